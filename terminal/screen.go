package terminal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gdamore/tcell/v2"

	"throng/client"
)

// Times of what is shown for a while.
const (
	typingEvery = 3 * time.Second // we tell that we are writing
	typingFor   = 5 * time.Second // somebody is said to be writing
	askTime     = 15 * time.Second
	pageSize    = 100 // messages asked for when the top is reached
)

// Chatter is what this package needs of a client.Client.
type Chatter interface {
	Run(ctx context.Context) error
	Events() <-chan client.Event
	Me() client.Person
	Rooms() []string
	Pending() int
	Join(room string) error
	Leave(room string) error
	Say(room, text string) (id string, err error)
	Typing(room string)
	History(ctx context.Context, room string, before uint64, limit int) (client.Page, error)
	Who(ctx context.Context, room string, after uint64, limit int) (client.Members, error)
	SetNick(ctx context.Context, nick string) error
}

// Screen is the chat on a full screen.
type Screen struct {
	client Chatter
	cells  tcell.Screen
	look   *look
	now    func() time.Time

	results chan func() // of requests, to be called here
	quit    bool
	pasting bool

	// What there is to see.
	views   []*view
	current int
	input   editor
	online  bool
	why     string    // there is no connection
	retry   time.Time // the next attempt
	wrote   time.Time // we told last that we are writing

	ctx context.Context // of Run, for requests
}

// NewScreen makes a screen for a client that is not yet running.
func NewScreen(c Chatter, cells tcell.Screen) *Screen {
	s := &Screen{
		client: c, cells: cells, now: time.Now, look: newLook(0),
		results: make(chan func()), ctx: context.Background(), why: "connecting",
	}
	for _, name := range c.Rooms() {
		s.views = append(s.views, newView(name))
	}
	return s
}

func newView(name string) *view { return &view{name: name, typing: map[string]typist{}} }

// Run shows the chat until the person or the context ends it. The error is the client's when that gave up.
func (s *Screen) Run(ctx context.Context) error {
	if err := s.cells.Init(); err != nil {
		return fmt.Errorf("open the terminal: %w; --lines does without", err)
	}
	defer s.cells.Fini()
	s.look = newLook(s.cells.Colors())
	s.cells.EnablePaste()

	ctx, cancel := context.WithCancel(ctx)
	s.ctx = ctx
	ended := make(chan error, 1)
	go func() { ended <- s.client.Run(ctx) }()
	keys, stop := make(chan tcell.Event), make(chan struct{})
	go s.cells.ChannelEvents(keys, stop)
	defer close(stop)

	err := s.loop(ctx, keys)
	cancel()
	for range s.client.Events() { // until it has said goodbye
		continue
	}
	if gaveUp := <-ended; !errors.Is(gaveUp, context.Canceled) {
		err = gaveUp
	}
	return err
}

// loop takes in what happens, draws, and so on.
func (s *Screen) loop(ctx context.Context, keys <-chan tcell.Event) error {
	second := time.NewTicker(time.Second) // for the countdown, and for who has stopped writing
	defer second.Stop()
	for !s.quit {
		s.draw()
		select {
		case k, ok := <-keys:
			if !ok {
				return errors.New("the terminal is gone")
			}
			s.key(k)
		case e, ok := <-s.client.Events():
			if !ok {
				return nil
			}
			s.event(e)
			s.more()
		case f := <-s.results:
			f()
		case <-second.C:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// more takes in what is there already, so that a busy room is not drawn for each message.
func (s *Screen) more() {
	for range 1000 {
		select {
		case e, ok := <-s.client.Events():
			if !ok {
				return
			}
			s.event(e)
		default:
			return
		}
	}
}

// ask makes a request without waiting for it; then is called with its result as part of the loop.
func ask[T any](s *Screen, request func(ctx context.Context) (T, error), then func(T, error)) {
	go func() {
		ctx, cancel := context.WithTimeout(s.ctx, askTime)
		defer cancel()
		v, err := request(ctx)
		select {
		case s.results <- func() { then(v, err) }:
		case <-s.ctx.Done():
		}
	}()
}

// room finds a view.
func (s *Screen) room(name string) (v *view, ok bool) {
	for _, v := range s.views {
		if v.name == name {
			return v, true
		}
	}
	return nil, false
}

// shown is the room that is looked at.
func (s *Screen) shown() *view {
	if len(s.views) == 0 {
		s.views = []*view{newView("")}
	}
	s.current = min(s.current, len(s.views)-1)
	return s.views[s.current]
}

// goTo looks at another room.
func (s *Screen) goTo(i int) {
	if i >= 0 && i < len(s.views) {
		s.current = i
		s.shown().unread = 0
	}
}

// say sends what was written, or does what it asks for.
func (s *Screen) say(text string) {
	v := s.shown()
	if strings.TrimSpace(text) == "" {
		return
	}
	if strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//") {
		s.command(text)
		return
	}
	text = strings.TrimPrefix(text, "/")
	id, err := s.client.Say(v.name, text)
	if err != nil {
		v.note(trouble, "not said: %v (the text is under Up)", err)
		return
	}
	v.scroll = 0
	v.pending = append(v.pending, pending{id, text})
}

// older asks for what was said before what is shown.
func (s *Screen) older(v *view) {
	before, ok := v.earlier()
	if !ok {
		return
	}
	v.asking = true
	ask(s, func(ctx context.Context) (client.Page, error) {
		return s.client.History(ctx, v.name, before, pageSize)
	}, func(p client.Page, err error) {
		v.asking = false
		if err != nil {
			v.note(trouble, "earlier messages: %v", err)
			return
		}
		if v.first() != before {
			return // another life of the room
		}
		if !p.More {
			v.oldest = before // nothing is there to ask for, unless what has come says otherwise
			if len(p.Messages) > 0 {
				v.oldest = p.Messages[0].Seq
			}
		}
		for i := len(p.Messages) - 1; i >= 0; i-- {
			v.hear(p.Messages[i])
		}
	})
}

// heal asks for what is missing, once.
func (s *Screen) heal(v *view, gap *entry) {
	ask(s, func(ctx context.Context) (client.Page, error) {
		return s.client.History(ctx, v.name, gap.gap.To+1, 2*pageSize)
	}, func(p client.Page, err error) {
		if err == nil {
			v.fill(gap, p.Messages)
		}
	})
}
