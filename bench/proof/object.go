package proof

import (
	"bytes"

	"throng/bench/v1"
)

// Traffic is what a server sends beside the load's messages.
type Traffic struct {
	Count int64
	Bytes int64 // on the wire
}

// maxKinds bounds the kinds of traffic that are kept apart.
const maxKinds = 30

// traffic counts a frame that is none of the load's messages.
func (a *Account) traffic(kind string, frame []byte) {
	if a.Traffic == nil {
		a.Traffic = make(map[string]Traffic)
	}
	t, known := a.Traffic[kind]
	if !known && len(a.Traffic) >= maxKinds {
		kind = "others"
		t = a.Traffic[kind]
	}
	t.Count++
	t.Bytes += int64(len(frame))
	a.Traffic[kind] = t
}

// object takes one object of throng.v1. What everybody in a room is told beside
// the messages is decoded once, and only counted for the others.
func (r *Reference) object(m *Member, id int, h heard, now int64) {
	if len(r.common) > 0 && bytes.Equal(h.payload, r.common) {
		r.config.Account.traffic(r.commonKind, h.frame)
		return
	}
	o, err := v1.Decode(h.payload)
	if err != nil {
		r.note(m, id, Corrupted, Stamp{}, "no object of throng.v1: "+err.Error())
		r.exceptions(m).unlinked = true
		return
	}
	switch o.T {
	case v1.Msg:
		r.said(m, id, o, h, now)
		return
	case v1.Gap:
		r.gap(m, id, o)
	case v1.Joined:
		if m.except != nil && m.except.unplaced {
			m.except.last = o.Seq
		}
	case v1.Presence, v1.Typing:
		r.common, r.commonKind = append(r.common[:0], h.payload...), o.T
	}
	r.config.Account.traffic(o.T, h.frame)
	r.config.Events.Said(id, o)
}

// said judges a message.
func (r *Reference) said(m *Member, id int, o *v1.Object, h heard, now int64) {
	text := []byte(o.Text)
	s, size, ok := Decode(text)
	switch {
	case o.Room != r.config.Room:
		r.note(m, id, Misdelivered, s, "from the room "+o.Room)
		return
	case ok && s.Run != r.config.Run || !ok && Find(text) < 0 && len(text) != r.config.Size:
		r.exceptions(m).last = max(r.last(m), o.Seq) // a link in the chain all the same
		r.config.Account.traffic("messages of others", h.frame)
		return
	case !ok || size != len(text):
		r.spoilt(m, id, o, s, "checksum")
		return
	case !r.ours(m, id, s):
		return
	case !r.by(m, id, s, o.From):
		r.exceptions(m).last = o.Seq
		return
	case o.ID != v1.MessageID(s.Seq):
		r.spoilt(m, id, o, s, "the sender's id for it")
		return
	case r.repeated(m, s, o, h):
		return
	}
	r.link(m, id, s, o)
	h.number = o.Seq
	r.accept(m, id, s, h, now)
}

// spoilt notes a message that is not as it was sent. It stands for one in the
// order of numbers all the same.
func (r *Reference) spoilt(m *Member, id int, o *v1.Object, s Stamp, detail string) {
	r.note(m, id, Corrupted, s, detail)
	m.except.last = max(r.last(m), o.Seq)
}

// last is the number of the latest message that a member has, 0 if it is unknown.
func (r *Reference) last(m *Member) (number uint64) {
	switch {
	case m.except == nil:
		return r.at(m)
	case m.except.unplaced:
		return m.except.last
	}
	return max(r.at(m), m.except.last)
}

// at is the number of the message before a member's position.
func (r *Reference) at(m *Member) uint64 {
	if m.whole == 0 {
		return m.segment.number
	}
	return m.segment.entries[m.whole-1].number
}

// link checks that a message says of itself that it follows the one which the
// member had last, or what the server has announced as missed. This is how clients
// find out that something is missing; one that is older is no news to them.
func (r *Reference) link(m *Member, id int, s Stamp, o *v1.Object) {
	last, e := r.last(m), m.except
	if e == nil {
		e = &Exceptions{}
	}
	gap := e.gapTo != 0
	announced := gap && e.gapFrom <= o.Prev && o.Prev <= e.gapTo
	late := gap && e.gapFrom <= o.Seq && o.Seq <= e.gapTo
	unknown := last == 0 || e.unlinked
	if e.unlinked, e.last = false, max(last, o.Seq); late {
		e.last = o.Seq
	}
	if late || e.gapTo < o.Seq {
		e.gapFrom, e.gapTo = 0, 0
	}
	switch {
	case o.Prev >= o.Seq:
		r.note(m, id, Unlinked, s, "its predecessor's number is not below its own")
	case late:
		r.note(m, id, Unlinked, s, "has a number that was announced as missed")
	case unknown || o.Seq <= last || o.Prev == last || announced: // numbers may be sparse
	default:
		r.note(m, id, Unlinked, s, "does not follow the message before it, and no gap was announced")
	}
}

// gap takes a notice that a member has missed something.
func (r *Reference) gap(m *Member, id int, o *v1.Object) {
	from, to, missed, ok := o.Missing()
	if !ok || o.Room != r.config.Room {
		r.note(m, id, Corrupted, Stamp{}, "a gap without sense")
		return
	}
	r.announce(m, int64(min(missed, maxAnnounced)))
	last, e := r.last(m), r.exceptions(m)
	e.gapFrom, e.gapTo, e.last = from, to, max(last, to)
}

// Interrupt says that the connection of a member is gone, which is to come back
// and go on behind the last message that it has: number, or 0 if there is none.
// What had arrived of another one is forgotten.
func (r *Reference) Interrupt(m *Member) (number uint64) {
	m.offset = m.segment.start(m.whole)
	if e := m.except; e != nil {
		e.carry, e.fragments, e.gathering = e.carry[:0], nil, false
	}
	r.forgive(m)
	return r.last(m)
}

// Last is the number of the latest message that a member has, 0 if there is none.
func (r *Reference) Last(m *Member) (number uint64) { return r.last(m) }

// Again says that a sender says those of its messages again, from ≤ seq < until,
// of which it does not know whether they were heard. One that was is repeated to
// it alone, which is no second delivery.
func (r *Reference) Again(m *Member, from, until int64) {
	e := r.exceptions(m)
	e.again = make(map[int64]struct{})
	for seq := from; seq < until; seq++ {
		e.again[seq] = struct{}{}
	}
	e.afresh = until
}

// repeated takes the answer to a message that was said again. It may come before
// or after the room's own copy, which is known by its place.
func (r *Reference) repeated(m *Member, s Stamp, o *v1.Object, h heard) bool {
	if m.except == nil || int(m.sender) != s.Sender {
		return false
	}
	if _, again := m.except.again[s.Seq]; !again {
		return false
	}
	if last := r.last(m); o.Seq > last && (o.Prev == last || last == 0) {
		return false
	}
	delete(m.except.again, s.Seq)
	r.config.Account.traffic("repeated to their senders", h.frame)
	r.config.Events.Own(s.Sender, s.Seq)
	return true
}

// own tells a sender that its message has come back. Once one has that was sent
// after those that were said again, their answers have come too.
func (r *Reference) own(m *Member, seq int64) {
	if e := m.except; e != nil && e.again != nil && seq >= e.afresh {
		e.again = nil
	}
	r.config.Events.Own(int(m.sender), seq)
}
