package server

import "fmt"

// Inspect looks at every connection while no worker runs, and says what must not be: a place in the wrong list or none, more
// bytes held than bound allows, or, when the server is at rest, something that stands still although nothing stops it. It also
// counts the open ones.
func (s *Server) Inspect(bound int, atRest bool) (open int, err error) {
	for _, l := range s.loops {
		open += len(l.open)
		if err := l.inspect(s, bound, atRest); err != nil {
			return open, fmt.Errorf("worker %d: %w", l.worker.ID(), err)
		}
	}
	return open, nil
}

func (l *loop) inspect(s *Server, bound int, atRest bool) error {
	if len(l.cork) > 0 || l.corked != nil || l.inTurn {
		return fmt.Errorf("%d bytes in the cork between two events", len(l.cork))
	}
	if atRest && len(l.incoming)+len(l.doomed) > 0 {
		return fmt.Errorf("at rest with %d arrivals and %d doomed", len(l.incoming), len(l.doomed))
	}
	if held := l.held.Load(); held < 0 || held != 0 && s.Conns() == 0 {
		return fmt.Errorf("%d bytes on the account of %d connections", held, s.Conns())
	}
	looked := map[*Conn]bool{}
	for _, c := range l.notRead {
		if looked[c] || !c.is(listed) {
			return fmt.Errorf("descriptor %d stands among those that are not read twice, or does not know it", c.fd)
		}
		looked[c] = true
	}
	for i, c := range l.open {
		if c.is(listed) != looked[c] || c.flags&notRead != 0 && !c.is(listed) {
			return fmt.Errorf("descriptor %d is not read, with flags %b, and nobody looks after it", c.fd, c.flags)
		}
		if err := l.inspectOpen(c, i, bound, atRest); err != nil {
			return fmt.Errorf("descriptor %d: %w", c.fd, err)
		}
	}
	for _, ls := range []*list{&l.handshakes, &l.stalled, &l.closing} {
		n := 0
		for e := ls.head; e != nil; e = e.next {
			n++
			if e.list != ls || e.conn.more != e || e.conn.state == closed {
				return fmt.Errorf("descriptor %d stands in a list that it is not in", e.conn.fd)
			}
			if len(e.own)+len(e.head) > bound {
				return fmt.Errorf("descriptor %d: %d bytes held", e.conn.fd, len(e.own)+len(e.head))
			}
		}
		if n != ls.len {
			return fmt.Errorf("a list of %d with %d in it", ls.len, n)
		}
	}
	return nil
}

// inspectOpen looks at one open connection, which has place i.
func (l *loop) inspectOpen(c *Conn, i, bound int, atRest bool) error {
	if c.state != open || int(c.seat) != i || c.loop != l {
		return fmt.Errorf("in state %d at place %d of another's seat %d", c.state, i, c.seat)
	}
	held := c.input.Held()
	if e := c.more; e != nil {
		held += len(e.unread) + len(e.held.Payload) + len(e.rest) + len(e.own) + len(e.pong)
	}
	switch {
	case held > bound:
		return fmt.Errorf("%d bytes held, at most %d expected", held, bound)
	case c.pending() && !c.is(blocked|doomed):
		return fmt.Errorf("output waits, but no edge is waited for")
	case c.is(blocked) && !c.is(doomed) && (c.more == nil || c.more.list != &l.stalled):
		return fmt.Errorf("blocked, but with no deadline")
	case atRest && c.is(blocked|paused|deaf|doomed|queued|throttled):
		return fmt.Errorf("at rest with flags %b", c.flags)
	case atRest && c.more != nil && len(c.more.unread) > 0:
		return fmt.Errorf("at rest with %d bytes undecoded", len(c.more.unread))
	}
	return nil
}
