package client

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A Client is somebody in rooms. Make it with New, and let it Run.
type Client struct {
	cfg    Config
	base   *url.URL
	events chan Event
	kick   chan struct{} // to the writing goroutine: there is something to do
	wake   chan struct{} // to Run: try now

	mu sync.Mutex // guards what follows

	// Who we are.
	me    Person
	token string // that this connection came with
	wish  string // the nickname that was chosen last

	// What lasts longer than a connection.
	rooms  []*place
	outbox []*said
	ids    uint64
	sends  uint64 // messages that were sent, each counted once

	// This connection.
	online  bool // hello has come
	out     [][]byte
	waiting map[string]chan<- answer // requests, by id
	path    string                   // the room of the address
	leaving []*place                 // left before the answer to their join: it comes, and they may be wanted again until then
	bye     *bye
	hold    time.Time // nothing is said before: the server has asked for a pause
	heard   time.Time // when the server last gave a sign of life
	asked   bool      // it was asked for one since
	handing bool      // Run is handing out events, and does not read

	pending []Event // not yet handed out
}

// New makes a client that is in no room yet: Run joins those of the Config.
func New(cfg Config) (*Client, error) {
	base, room, err := ParseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	c := &Client{
		cfg: cfg.defaults(), base: base, wish: cfg.Nick,
		events: make(chan Event, 256), kick: make(chan struct{}, 1), wake: make(chan struct{}, 1),
	}
	rooms := cfg.Rooms
	switch {
	case len(rooms) > 0:
	case room != "":
		rooms = []string{room}
	default:
		rooms = []string{Lobby}
	}
	for _, name := range rooms {
		if err := c.Join(name); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Events is where everything that happens comes out, in order. Receive from it
// until it is closed, when Run returns; while nobody does, little is read from the server.
func (c *Client) Events() <-chan Event { return c.events }

// Reconnect ends the waiting for the next attempt to connect.
func (c *Client) Reconnect() { signal(c.wake) }

// signal leaves word for who looks at a channel; once is enough.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Run connects, and connects again, until the context ends; it then says goodbye and
// returns the context's error. Another error says that trying again is useless. It may be called once.
func (c *Client) Run(ctx context.Context) error {
	defer close(c.events)
	once := false // we were connected before
	for attempt := 1; ; attempt++ {
		hello, goodbye, err := c.connection(ctx)
		if hello {
			attempt, once = 1, true
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// A server that has answered once will do so again; until then it is a wrong address.
		var refused *RefusedError
		isRefused := errors.As(err, &refused)
		if !once && (isRefused && refused.final() || errors.Is(err, ErrProtocol)) {
			return err
		}
		away := Away{Err: err, Retry: c.cfg.Backoff(attempt)}
		if isRefused {
			away.Retry += refused.After
		}
		if goodbye != nil {
			away.Bye, away.Retry = goodbye.Reason, away.Retry+time.Duration(goodbye.ReconnectMS)*time.Millisecond
		}
		if !c.hand(ctx, away) {
			return ctx.Err()
		}
		select {
		case <-c.after(away.Retry):
		case <-c.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// connection is one connection from dialing to its end, and why it ended.
func (c *Client) connection(ctx context.Context) (hello bool, goodbye *bye, err error) {
	opening, opened := c.within(ctx, helloTime, errHello)
	defer opened()
	conn, err := c.cfg.Dial(opening, c.address())
	if err != nil {
		if ctx.Err() == nil && opening.Err() != nil {
			err = context.Cause(opening)
		}
		return false, nil, err
	}
	defer conn.Cut()
	// The context that ends says goodbye; it must not cut a frame in two.
	reading, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(closed); conn.Close() })
	defer func() {
		if !stop() {
			<-closed
		}
	}()
	late := context.AfterFunc(opening, func() { cut(context.Cause(opening)) })
	defer late()

	c.begin()
	var writer sync.WaitGroup
	writer.Go(func() { c.write(reading, cut, conn) })
	err = c.read(ctx, reading, conn, func() { late() })
	if cause := context.Cause(reading); cause != nil {
		err = cause
	}
	cut(err)
	writer.Wait()
	hello, goodbye = c.end(err)
	return hello, goodbye, err
}

// within is a context that ends after a time of the client's clock.
func (c *Client) within(ctx context.Context, d time.Duration, why error) (context.Context, context.CancelFunc) {
	limited, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-c.after(d):
			cancel(why)
		case <-limited.Done():
		}
	}()
	return limited, func() { cancel(nil) }
}

// address is where to connect: to the first room.
func (c *Client) address() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.path, c.token = "", c.cfg.Tokens.Load()
	u, q := *c.base, url.Values{"history": {strconv.Itoa(c.cfg.History)}}
	if c.wish != "" {
		q.Set("nick", c.wish)
	}
	if c.token != "" {
		q.Set("token", c.token)
	}
	if len(c.rooms) == 0 {
		q.Set("history", "0") // it is left as soon as we are there
	} else {
		p := c.rooms[0]
		c.path = p.name
		u.Path += "/" + p.name
		if p.known {
			q.Set("epoch", p.epoch)
			q.Set("after", strconv.FormatUint(p.behind(), 10))
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// begin resets what belongs to one connection.
func (c *Client) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.online, c.bye = false, nil
	c.out, c.waiting, c.leaving = nil, map[string]chan<- answer{}, nil
	c.heard, c.asked = c.cfg.Clock.Now(), false
	for _, p := range c.rooms {
		p.joined, p.asked, p.retry = false, "", time.Time{}
	}
	for _, s := range c.outbox {
		s.again, s.sent = s.again || s.sent, false
	}
}

// end gives up what was asked of this connection.
func (c *Client) end(err error) (hello bool, goodbye *bye) {
	c.mu.Lock()
	defer c.mu.Unlock()
	hello, goodbye, c.online = c.online, c.bye, false
	for _, ch := range c.waiting {
		ch <- answer{err: ErrAway}
	}
	c.waiting = nil
	for _, p := range c.rooms {
		p.joined = false
	}
	if tooBig(err) {
		c.dropLargest(err)
	}
	return hello, goodbye
}

// read receives until the connection is lost.
func (c *Client) read(ctx, reading context.Context, conn Conn, greeted func()) error {
	for {
		b, err := conn.Read(reading)
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.heard, c.asked = c.cfg.Clock.Now(), false
		err = c.receive(b)
		online := c.online
		c.mu.Unlock()
		if err != nil {
			return err
		}
		if online {
			greeted()
		}
		if !c.hand(ctx) {
			return ctx.Err()
		}
	}
}

// hand hands out what has happened; false: the context has ended.
func (c *Client) hand(ctx context.Context, more ...Event) bool {
	c.mu.Lock()
	events := append(c.pending, more...)
	c.pending, c.handing = nil, true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.handing, c.heard = false, c.cfg.Clock.Now()
		c.mu.Unlock()
	}()
	for _, e := range events {
		select {
		case c.events <- e:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// write sends what there is to send, and looks after the time.
func (c *Client) write(ctx context.Context, cut context.CancelCauseFunc, conn Conn) {
	for {
		now := c.cfg.Clock.Now()
		c.mu.Lock()
		wait, alive := c.tick(now)
		frames := c.out
		c.out = nil
		c.mu.Unlock()
		if !alive {
			cut(errSilent)
			return
		}
		for _, f := range frames {
			if err := conn.Write(ctx, f); err != nil {
				// What the server has said about it may still have to be read.
				select {
				case <-c.after(grace):
					cut(err)
				case <-ctx.Done():
				}
				return
			}
		}
		select {
		case <-c.kick:
		case <-c.cfg.Clock.At(now.Add(wait)):
		case <-ctx.Done():
			return
		}
	}
}

// tick does what is due and says when there will be more to do. alive is false
// when the server has given no sign of life though asked.
func (c *Client) tick(now time.Time) (wait time.Duration, alive bool) {
	if c.handing {
		c.heard = now
	}
	silent := now.Sub(c.heard)
	switch {
	case silent >= quiet+grace:
		return 0, false
	case silent >= quiet && !c.asked:
		c.asked = true
		c.send(request{Op: "ping"})
	}
	wait = quiet - silent
	if c.asked {
		wait += grace
	}
	c.joinRooms(now)
	c.flush(now)
	due := []time.Time{c.hold}
	for _, p := range c.rooms {
		due = append(due, p.retry)
	}
	for _, t := range due {
		if d := t.Sub(now); d > 0 {
			wait = min(wait, d)
		}
	}
	return wait, true
}

// place finds a room that we are in, or want to be in.
func (c *Client) place(name string) *place { return named(c.rooms, name) }

// named finds a room in a list.
func named(list []*place, name string) *place {
	if i := slices.IndexFunc(list, func(p *place) bool { return p.name == name }); i >= 0 {
		return list[i]
	}
	return nil
}
