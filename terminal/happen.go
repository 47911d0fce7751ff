package terminal

import (
	"errors"
	"slices"

	"throng/client"
)

// event takes in what has happened.
func (s *Screen) event(e client.Event) {
	switch e := e.(type) {
	case client.Hello:
		s.online, s.why = true, ""
	case client.Away:
		s.away(e)
	case client.Joined:
		s.joined(e)
	case client.Left:
		s.left(e)
	case client.Message:
		s.message(e)
	case client.Confirmed:
		if v, ok := s.room(e.Room); ok {
			v.settle(e.ID)
		}
	case client.Failed:
		s.failed(e)
	case client.Gap:
		if v, ok := s.room(e.Room); ok {
			s.heal(v, v.missing(e))
		}
	case client.Presence:
		if v, ok := s.room(e.Room); ok {
			me := s.client.Me().ID
			e.Joined = slices.DeleteFunc(e.Joined, func(p client.Person) bool { return p.ID == me }) // we know
			v.moved(e)
		}
	case client.Typing:
		if v, ok := s.room(e.Room); ok && e.From.ID != s.client.Me().ID {
			v.typing[e.From.ID] = typist{e.From.Nick, s.now().Add(typingFor)}
		}
	case client.Nick:
		s.shown().note(notice, "you are %s now", e.Nick)
	case client.Notice:
		s.shown().note(trouble, "%v", e.Err)
	}
}

func (s *Screen) away(e client.Away) {
	s.online, s.why, s.retry = false, "", s.now().Add(e.Retry)
	switch {
	case e.Bye != "":
		s.why = e.Bye
	case e.Err != nil:
		s.why = e.Err.Error()
	}
	for _, v := range s.views {
		v.here = false
		clear(v.typing)
	}
}

func (s *Screen) joined(e client.Joined) {
	v, ok := s.room(e.Room)
	if !ok {
		return
	}
	v.here, v.members = true, e.Members
	switch {
	case e.Renumbered:
		v.note(trouble, "the server has been restarted, or this room was empty for long: what was said meanwhile is not known")
		v.life = len(v.entries)
		v.oldest = e.Oldest
	case !e.Again:
		v.oldest = e.Oldest
	}
}

func (s *Screen) left(e client.Left) {
	i := slices.IndexFunc(s.views, func(v *view) bool { return v.name == e.Room })
	if e.Err == nil || i < 0 {
		return // the view has gone with the command
	}
	s.views[i].here = false
	s.views[i].note(trouble, "you are not in this room: %v (/leave closes it, /join %s tries again)", e.Err, e.Room)
}

func (s *Screen) message(m client.Message) {
	v, ok := s.room(m.Room)
	if !ok {
		return
	}
	delete(v.typing, m.From.ID)
	if m.From.ID == s.client.Me().ID {
		v.settle(m.ID)
	}
	if e, latest := v.hear(m); e != nil && latest {
		if v != s.shown() {
			v.unread++
		}
		if v.scroll > 0 {
			v.scroll += len(e.layout(s.columns(), s.look)) // what is read stays where it is
		}
	}
}

func (s *Screen) failed(e client.Failed) {
	v, ok := s.room(e.Room)
	if !ok {
		return
	}
	v.settle(e.ID)
	var why *client.Error
	if errors.As(e.Err, &why) {
		v.note(trouble, "not said: %v (the text is under Up)", why)
	} else {
		v.note(trouble, "not said: the server takes no message of this size (the text is under Up)")
	}
	s.input.remember(e.Text)
}

// settle takes a message out of those that are not confirmed.
func (v *view) settle(id string) {
	v.pending = slices.DeleteFunc(v.pending, func(p pending) bool { return p.id == id })
}
