package proof

import (
	"bytes"

	"throng/bench/wire"
)

// accept puts an intact message into a member's account.
func (r *Reference) accept(m *Member, id int, s Stamp, h heard, now int64) {
	if m.except != nil && m.except.unplaced && !r.place(m, id, s) {
		return
	}
	for int(m.offset) == len(m.segment.bytes) && m.segment.next != nil {
		m.segment, m.offset, m.whole = m.segment.next, 0, 0
	}
	atEnd := int(m.offset) == len(m.segment.bytes)
	switch t := r.track(s.Sender); {
	case atEnd && !t.seen(s.Seq):
		r.append(m, h, s)
		r.step(m, id, now)
	case !atEnd && m.segment.entries[m.whole].is(s):
		r.expected(m, id, s, h, now)
	default:
		r.unexpected(m, id, s, h, now)
	}
}

// is reports whether an entry is a given message.
func (e entry) is(s Stamp) bool { return e.seq == s.Seq && e.sender == uint32(s.Sender) }

// step moves a member over the next frame.
func (r *Reference) step(m *Member, id int, now int64) {
	r.advance(m, id, m.segment.entries[m.whole].end, now)
}

// expected takes the message that stands next in the reference, though perhaps
// not in the same bytes.
func (r *Reference) expected(m *Member, id int, s Stamp, h heard, now int64) {
	if !r.config.Loose && !r.same(h, m.segment.frame(m.whole)) {
		r.note(m, id, Corrupted, s, "frame differs from what others received")
		m.except.last = max(m.except.last, h.number)
		return
	}
	r.step(m, id, now)
}

// same reports whether a message is the same as a frame of the reference. Where
// compression was agreed each may be compressed or not.
func (r *Reference) same(h heard, frame []byte) bool {
	if bytes.Equal(h.frame, frame) {
		return true
	}
	if r.config.Inflater == nil {
		return false
	}
	payload := bytes.Clone(h.payload) // which may stand where the next one is inflated
	f, _, err := wire.Next(frame, true)
	if err == nil && f.Packed {
		f.Payload, err = r.config.Inflater.Inflate(f.Payload)
	}
	return err == nil && bytes.Equal(payload, f.Payload)
}

// unexpected takes a message that does not stand next in the reference.
func (r *Reference) unexpected(m *Member, id int, s Stamp, h heard, now int64) {
	e := r.differs(m)
	k := keyOf(s)
	if _, late := e.skipped[k]; late {
		delete(e.skipped, k)
		m.skipped--
		r.config.Account.Skipped--
		r.aside(m, id, s, Diverged)
		return
	}
	if seg, n := m.ahead(s); seg != nil {
		r.skip(m, seg, n)
		r.expected(m, id, s, h, now)
		return
	}
	_, extra := e.extras[k]
	switch t := r.track(s.Sender); {
	case extra || t.seen(s.Seq):
		r.note(m, id, Duplicated, s, "")
	case t.next > s.Seq:
		// The member that wrote the reference never had this one, or has it later.
		if e.extras == nil {
			e.extras = make(map[key]struct{})
		}
		e.extras[k] = struct{}{}
		r.aside(m, id, s, Kinds)
	default:
		// This member is the first after all: it lacks what others have.
		for m.segment.next != nil {
			r.skip(m, m.segment.next, 0)
		}
		r.skip(m, m.segment, uint32(len(m.segment.entries)))
		r.append(m, h, s)
		r.step(m, id, now)
	}
}

// aside counts a message that a member received elsewhere than the reference
// has it. If it is not even in its sender's order it is reordered, else of the
// kind otherwise, where Kinds is none.
func (r *Reference) aside(m *Member, id int, s Stamp, otherwise Kind) {
	m.received++
	r.config.Account.Received++
	if m.except.rise(r, s.Sender, s.Seq) {
		otherwise = Reordered
	}
	if otherwise != Kinds {
		r.note(m, id, otherwise, s, "")
	}
	if int(m.sender) == s.Sender {
		r.own(m, s.Seq)
	}
}

// ahead looks for a message between a member's position and the end.
func (m *Member) ahead(s Stamp) (*segment, uint32) {
	n := m.whole
	for seg := m.segment; seg != nil; seg, n = seg.next, 0 {
		for ; int(n) < len(seg.entries); n++ {
			if seg.entries[n].is(s) {
				return seg, n
			}
		}
	}
	return nil, 0
}

// skip moves a member to entry n of a segment, not having received what lies
// between.
func (r *Reference) skip(m *Member, to *segment, n uint32) {
	e := r.differs(m)
	for {
		last := uint32(len(m.segment.entries))
		if m.segment == to {
			last = n
		}
		r.miss(m, m.segment, m.whole, last)
		for _, missed := range m.segment.entries[m.whole:last] {
			r.pass(m, e, missed)
		}
		if m.whole, m.offset = last, m.segment.start(last); m.segment == to {
			return
		}
		m.segment, m.whole, m.offset = m.segment.next, 0, 0
	}
}

// pass leaves an entry behind that a member has not received here.
func (r *Reference) pass(m *Member, e *Exceptions, missed entry) {
	if e.skip(r, key{missed.sender, missed.seq}) {
		m.skipped++
		r.config.Account.Skipped++
	}
}

// place finds where a newcomer stands: at its first message that is in the
// reference. What it received before cannot be told from a server's history, or
// from messages that the others are yet to receive; it hears of its own all the
// same. What it must receive since Expect is told from both, and kept.
func (r *Reference) place(m *Member, id int, s Stamp) bool {
	seg, n := m.ahead(s)
	if seg == nil {
		if owed := m.except.owed; owed != nil && s.Seq >= owed[r.index(keyOf(s))] {
			r.early(m, id, s)
		} else if int(m.sender) == s.Sender {
			r.config.Events.Own(s.Sender, s.Seq)
		}
		return false
	}
	if m.except.owed != nil {
		r.passOwed(m, seg, n)
	}
	m.segment, m.whole, m.offset = seg, n, seg.start(n)
	m.except.unplaced, m.except.owed = false, nil
	if !m.ended {
		r.enter(m)
	}
	return true
}

// early takes a message that a newcomer has before all others.
func (r *Reference) early(m *Member, id int, s Stamp) {
	e := r.differs(m)
	if _, again := e.extras[keyOf(s)]; again {
		r.note(m, id, Duplicated, s, "")
		return
	}
	if e.extras == nil {
		e.extras = make(map[key]struct{})
	}
	e.extras[keyOf(s)] = struct{}{}
	r.aside(m, id, s, Kinds)
}

// passOwed leaves behind what others received before a newcomer's first message,
// though it should have had that as well.
func (r *Reference) passOwed(m *Member, to *segment, n uint32) {
	for seg := m.segment; ; seg = seg.next {
		last := uint32(len(seg.entries))
		if seg == to {
			last = n
		}
		for _, entry := range seg.entries[:last] {
			if k := (key{entry.sender, entry.seq}); k.seq >= m.except.owed[r.index(k)] {
				r.pass(m, r.differs(m), entry)
			}
		}
		if seg == to {
			return
		}
	}
}
