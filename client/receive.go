package client

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// place is what we know of a room that we are in, or want to be in.
type place struct {
	name string

	// What we have of its messages.
	seen  bool   // we were in it at some time
	known bool   // epoch and last say where to go on
	epoch string // the life of its numbering
	last  uint64 // the newest message that we have
	skip  uint64 // what a gap has declared as lost, up to here

	// On this connection.
	joined bool
	asked  string // the id of a join on its way
	retry  time.Time
}

// byPath stands for the id of a join that the address has asked for. No id of ours looks like it.
const byPath = "path"

// behind is the message behind which to go on.
func (p *place) behind() uint64 { return max(p.last, p.skip) }

// bye is the server's announcement of the connection's end.
type bye struct {
	Reason      string `json:"reason"`
	ReconnectMS int64  `json:"reconnect_ms"`
}

// receive takes in one message from the server. Under the lock. The error ends the connection.
func (c *Client) receive(b []byte) (err error) {
	var head struct{ T, ID string }
	if err := json.Unmarshal(b, &head); err != nil {
		return fmt.Errorf("%w: %w in %.60q", ErrProtocol, err, b)
	}
	if !c.online && head.T != "hello" && head.T != "bye" && head.T != "error" {
		return fmt.Errorf("%w: it begins with %.60q", ErrProtocol, b)
	}
	switch head.T {
	case "hello":
		var other error
		if err = take(b, func(h Hello) { other = c.hello(h) }); err == nil {
			return other
		}
	case "joined":
		err = take(b, c.hasJoined)
	case "msg":
		err = take(b, c.message)
	case "gap":
		err = take(b, c.gap)
	case "presence":
		err = take(b, c.presence)
	case "typing":
		err = take(b, func(t Typing) { c.pending = append(c.pending, t) })
	case "members", "page":
		c.reply(head.ID, answer{body: b})
	case "nick":
		err = take(b, c.nick)
		c.reply(head.ID, answer{body: b})
	case "left":
		err = take(b, func(l struct{ Room string }) { c.left(l.Room) })
	case "error":
		err = take(b, func(e Error) { c.refused(head.ID, &e) })
	case "bye":
		c.bye = &bye{}
		err = json.Unmarshal(b, c.bye)
	}
	if err != nil {
		return fmt.Errorf("%w: %w in %.60q", ErrProtocol, err, b)
	}
	return nil
}

// take decodes b for f.
func take[T any](b []byte, f func(T)) error {
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	f(v)
	return nil
}

// hello takes in who we are. When a server refuses the token, all who share it are refused, and each gets an identity of its
// own: who comes second takes over that of the first, which is kept by then. The error ends the connection.
func (c *Client) hello(h Hello) error {
	if c.me.ID != "" && h.Me.ID != c.me.ID && c.cfg.Tokens.Load() != c.token {
		return errOther
	}
	c.online, c.me = true, h.Me
	c.cfg.Tokens.Save(h.Token)
	c.pending = append(c.pending, h)
	// A token's nickname comes before the wish.
	if c.token != "" && c.wish != "" && c.wish != h.Me.Nick {
		wish := c.wish
		c.send(request{Op: "nick", ID: c.nextID(), Nick: &wish})
	}
	if p := c.place(c.path); p != nil {
		p.asked = byPath
	}
	signal(c.kick)
	return nil
}

func (c *Client) hasJoined(j Joined) {
	p := c.place(j.Room)
	if p == nil {
		c.send(request{Op: "leave", Room: j.Room}) // it was left meanwhile
		c.leaving = without(c.leaving, named(c.leaving, j.Room))
		return
	}
	p.joined, p.asked = true, ""
	j.Again = p.seen
	j.Renumbered = p.seen && p.epoch != j.Epoch
	if !j.Resumed && (p.epoch != j.Epoch || p.last > j.Seq) {
		p.known, p.last, p.skip = false, 0, 0
	}
	p.seen, p.epoch = true, j.Epoch
	if !p.known && (j.Oldest > j.Seq || c.cfg.History == 0) {
		p.known, p.last = true, j.Seq // nothing of what was said comes
	}
	c.pending = append(c.pending, j)
	signal(c.kick)
}

// message takes in a message. It comes from the room, or is the answer to one of ours that was sent
// again: the original, which then has another place in the room's order than the one where it comes.
func (c *Client) message(m Message) {
	p := c.place(m.Room)
	if p == nil || !p.joined { // it was left, and is perhaps wanted again
		return
	}
	repeated := false
	if i := c.inOutbox(m.ID); i >= 0 && m.From.ID == c.me.ID {
		repeated = c.outbox[i].again
		defer c.confirmed(m.ID, m.Seq)
	}
	switch {
	case p.known && m.Seq <= p.last:
		return // we have it
	case repeated && m.Prev != p.last && m.Prev != p.skip:
		return // the room has others before it, and it comes again in its place
	case p.known && m.Prev > p.behind():
		c.pending = append(c.pending, Gap{Room: m.Room, From: p.behind() + 1, To: m.Prev})
	}
	p.known, p.last, p.skip = true, m.Seq, 0
	c.pending = append(c.pending, m)
}

// gap takes in what the connection was too slow for. One of ours may be among it, whose confirmation then never comes by
// itself: all that wait for one are sent again, and the server knows them by their ids.
func (c *Client) gap(g Gap) {
	p := c.place(g.Room)
	if p == nil || !p.joined || g.To <= p.last {
		return
	}
	p.skip = max(p.skip, g.To)
	c.pending = append(c.pending, g)
	for _, s := range c.outbox {
		if s.room == g.Room && s.sent {
			s.again, s.sent = true, false
		}
	}
	signal(c.kick)
}

func (c *Client) presence(p Presence) {
	for _, r := range p.Renamed {
		if r.ID == c.me.ID {
			c.me.Nick = r.Nick // by another connection with our token
		}
	}
	c.pending = append(c.pending, p)
}

func (c *Client) nick(n Nick) {
	c.me.Nick, c.wish = n.Nick, n.Nick
	c.cfg.Tokens.Save(n.Token)
	c.pending = append(c.pending, n)
}

func (c *Client) left(room string) {
	if p := c.place(room); p != nil {
		p.joined = false // it was left and is wanted again
		signal(c.kick)
		return
	}
	c.pending = append(c.pending, Left{Room: room})
}

// refused takes in an error: of a message, of a join, of a request that somebody waits for, or of nothing.
func (c *Client) refused(id string, e *Error) {
	now := c.cfg.Clock.Now()
	again := now.Add(max(leastPause, time.Duration(e.RetryMS)*time.Millisecond))
	if i := c.inOutbox(id); i >= 0 {
		switch {
		case e.passing():
			c.outbox[i].sent = false
			c.hold = again
			signal(c.kick)
		case e.Code == Unconfirmed:
			c.confirmed(id, 0)
		default:
			c.failed(id, e)
		}
		return
	}
	for _, p := range slices.Concat(c.rooms, c.leaving) {
		if p.asked != id && !(id == "" && p.asked == byPath && e.Code == Unavailable) || p.asked == "" {
			continue
		}
		p.asked = ""
		switch {
		case slices.Contains(c.leaving, p):
			c.leaving = without(c.leaving, p) // which is what is wanted
			return
		case e.passing():
			p.retry = again
			signal(c.kick)
			return
		}
		c.rooms = without(c.rooms, p)
		for _, s := range append([]*said(nil), c.outbox...) {
			if s.room == p.name {
				c.failed(s.id, e)
			}
		}
		c.pending = append(c.pending, Left{Room: p.name, Err: e})
		return
	}
	if !c.reply(id, answer{err: e}) {
		c.pending = append(c.pending, Notice{Err: e})
	}
}

// without is a list without one element.
func without[T comparable](list []T, out T) (rest []T) {
	for _, v := range list {
		if v != out {
			rest = append(rest, v)
		}
	}
	return rest
}
