package terminal

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gdamore/tcell/v2"

	"throng/client"
)

// help is what /help shows.
var help = []string{
	"/join ROOM   go to a room        /leave [ROOM]  leave it",
	"/nick NAME   another nickname    /who           who is here",
	"/quit        leave               //TEXT         say /TEXT",
	"PgUp, PgDn: scroll · Alt+1..9, Alt+Up, Alt+Down: rooms · Up, Down: what you wrote · Alt+Enter: a new line",
	"Ctrl+A, E, K, U, W, Y: as in a shell · Ctrl+L: draw again · Ctrl+C: empty the line, or quit",
}

// command does what a line that begins with a slash asks for.
func (s *Screen) command(text string) {
	v := s.shown()
	name, arg, _ := strings.Cut(text, " ")
	arg = strings.TrimSpace(arg)
	v.scroll = 0
	switch name {
	case "/join":
		s.join(arg)
	case "/leave":
		s.leave(arg)
	case "/nick":
		ask(s, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, s.client.SetNick(ctx, arg)
		}, func(_ struct{}, err error) {
			if err != nil {
				v.note(trouble, "nickname: %v", err)
			}
		})
	case "/who":
		s.who(v)
	case "/help":
		for _, h := range help {
			v.note(notice, "%s", h)
		}
	case "/quit", "/exit":
		s.quit = true
	default:
		v.note(trouble, "unknown command %s, try /help; //%s says it", name, text[1:])
	}
}

func (s *Screen) join(room string) {
	room = strings.TrimPrefix(room, "#")
	i := slices.IndexFunc(s.views, func(v *view) bool { return v.name == room })
	if err := s.client.Join(room); err != nil {
		s.shown().note(trouble, "%v", err)
		return
	}
	if i < 0 {
		s.views = slices.DeleteFunc(s.views, func(v *view) bool { return v.name == "" })
		i = len(s.views)
		s.views = append(s.views, newView(room))
	}
	s.goTo(i)
}

func (s *Screen) leave(room string) {
	if room = strings.TrimPrefix(room, "#"); room == "" {
		room = s.shown().name
	}
	i := slices.IndexFunc(s.views, func(v *view) bool { return v.name == room })
	if i < 0 || room == "" {
		s.shown().note(trouble, "%v", client.ErrNotMember)
		return
	}
	_ = s.client.Leave(room) // an error: we were not in it, which is what is wanted
	s.views = slices.Delete(s.views, i, i+1)
	if i <= s.current && s.current > 0 {
		s.current--
	}
	if s.shown().name == "" {
		s.shown().note(notice, "you are in no room: /join ROOM, or /quit")
	}
	s.shown().unread = 0
}

func (s *Screen) who(v *view) {
	ask(s, func(ctx context.Context) (client.Members, error) {
		return s.client.Who(ctx, v.name, 0, 200)
	}, func(m client.Members, err error) {
		if err != nil {
			v.note(trouble, "who: %v", err)
			return
		}
		var nicks []string
		for _, p := range m.Members {
			nicks = append(nicks, p.Nick)
		}
		text := fmt.Sprintf("%d here: %s", m.Count, strings.Join(nicks, ", "))
		if m.More {
			text += fmt.Sprintf(" and %d others", m.Count-len(nicks))
		}
		v.note(notice, "%s", text)
	})
}

// key takes in what was typed.
func (s *Screen) key(e tcell.Event) {
	switch e := e.(type) {
	case *tcell.EventResize:
		s.cells.Sync()
	case *tcell.EventPaste:
		s.pasting = e.Start()
	case *tcell.EventKey:
		if s.pasting {
			s.paste(e)
			return
		}
		s.press(e)
	}
}

// paste puts pasted text into the line, newlines too: a paste says nothing and does nothing by itself.
func (s *Screen) paste(k *tcell.EventKey) {
	switch k.Key() {
	case tcell.KeyRune:
		s.input.insert(string(k.Rune()))
	case tcell.KeyEnter, tcell.KeyLF:
		s.input.insert("\n")
	case tcell.KeyTab:
		s.input.insert("\t")
	}
}

// press does what a key stands for.
func (s *Screen) press(k *tcell.EventKey) {
	v, alt := s.shown(), k.Modifiers()&tcell.ModAlt != 0
	switch k.Key() {
	case tcell.KeyEnter:
		if alt {
			s.input.insert("\n")
		} else {
			s.say(s.input.take())
		}
	case tcell.KeyUp, tcell.KeyDown:
		step := 1
		if k.Key() == tcell.KeyUp {
			step = -1
		}
		switch {
		case alt:
			s.goTo((s.current + step + len(s.views)) % len(s.views))
		case step < 0:
			s.input.back()
		default:
			s.input.forward()
		}
	case tcell.KeyPgUp:
		v.scroll += max(1, s.rows()-1)
		v.up = true
	case tcell.KeyPgDn:
		v.scroll = max(0, v.scroll-max(1, s.rows()-1))
	case tcell.KeyCtrlL:
		s.cells.Sync()
	case tcell.KeyCtrlC:
		s.quit = s.input.take() == ""
	case tcell.KeyCtrlD:
		if len(s.input.text) == 0 {
			s.quit = true
		} else {
			s.input.remove(s.input.at, s.input.at+1, false)
		}
	case tcell.KeyRune:
		if alt && k.Rune() >= '1' && k.Rune() <= '9' {
			s.goTo(int(k.Rune() - '1'))
			return
		}
		if s.input.key(k) {
			s.writing(v)
		}
	default:
		s.input.key(k)
	}
}

// writing tells the room, from time to time, that something is being written.
func (s *Screen) writing(v *view) {
	if now := s.now(); now.Sub(s.wrote) >= typingEvery && !strings.HasPrefix(s.input.String(), "/") {
		s.wrote = now
		s.client.Typing(v.name)
	}
}
