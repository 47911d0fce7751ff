package proof

import (
	"bytes"

	"throng/bench/wire"
)

// Member is one receiver of a room: a position in its reference. A reading
// position may stand inside a frame; everything before it was equal.
type Member struct {
	segment  *segment
	offset   uint32 // bytes of the segment that it has received
	whole    uint32 // entries of the segment that are complete
	received int64  // messages, each counted once
	skipped  int64  // messages of the reference passed without receiving them
	sender   int32  // its number as a sender, or -1
	late     bool   // joined while the load was running
	ended    bool   // hears nothing more
	from     int64  // it is in the audience of sampled broadcasts from this number on
	except   *Exceptions
}

// NotSender is the sender number of a member that only listens.
const NotSender = -1

// Join adds a member before the load begins: it must receive everything.
func (r *Reference) Join(m *Member, sender int) {
	*m = Member{segment: r.tail, sender: int32(sender)}
	m.offset, m.whole = uint32(len(r.tail.bytes)), uint32(len(r.tail.entries))
	r.members++
	r.enter(m)
}

// JoinLate adds a member while the load runs: it must receive everything from
// the first message on that others had received before it, and after Expect in
// any case what others have not received yet.
func (r *Reference) JoinLate(m *Member, sender int) {
	*m = Member{segment: r.previous, sender: int32(sender), late: true}
	r.exceptions(m).unplaced = true
	r.members++
}

// Expect ends the time that a newcomer has for its first message: a server may
// answer first and enter it into the room a moment later, and what was sent before
// may still be on its way to the others. What nobody has received by now, it must.
func (r *Reference) Expect(m *Member) {
	if e := m.except; e != nil && e.unplaced && e.owed == nil {
		e.owed = r.position()
	}
}

// position is the number of each sender's next message that is new to the room.
// Newcomers of the same moment share it.
func (r *Reference) position() []int64 {
	for i := range r.tracks {
		if r.reached == nil || r.reached[i] != r.tracks[i].next {
			r.reached = make([]int64, len(r.tracks))
			for k := range r.tracks {
				r.reached[k] = r.tracks[k].next
			}
			break
		}
	}
	return r.reached
}

// JoinPaused adds a member while the reference is paused: it must receive
// everything that is sent from Resume on.
func (r *Reference) JoinPaused(m *Member, sender int) { r.Join(m, sender) }

// Pause ignores all messages from now on: nobody can say who ought to get them.
func (r *Reference) Pause() { r.paused = true }

// Resume ends a pause at the time now. Messages below a sender's number in sent
// were sent earlier; they may still be on their way, and remain ignored. Those of
// senders whose number is Unknown are told from later ones by their time.
func (r *Reference) Resume(now int64, sent Sent) {
	r.paused, r.since, r.partial = false, now, false
	r.base = make([]int64, len(r.tracks))
	for i := range r.tracks {
		if r.base[i] = sent(r.config.FirstSender + i); r.base[i] == Unknown {
			r.partial = true
			continue
		}
		t := &r.tracks[i]
		t.next, t.holes = max(t.next, r.base[i]), nil
	}
}

// stale reports whether a message is from before the end of a pause.
func (r *Reference) stale(s Stamp) bool {
	if r.base == nil {
		return false
	}
	if base := r.base[s.Sender-r.config.FirstSender]; base != Unknown {
		return s.Seq < base
	}
	return s.Intended+s.Late < r.since
}

// Feed takes bytes that a member received at the time now.
func (r *Reference) Feed(m *Member, id int, b []byte, now int64) {
	if m.except != nil && len(m.except.carry) > 0 {
		b = r.join(m.except.carry, b)
		m.except.carry = m.except.carry[:0]
	}
	for {
		if m.except == nil || !m.except.decoding() {
			if b = b[r.match(m, id, b, now):]; len(b) == 0 {
				break
			}
		}
		if start := m.segment.start(m.whole); m.offset > start {
			// The part of this frame that arrived earlier was equal; what
			// followed was not. Only the first frame of a call can be so.
			b = r.join(m.segment.bytes[start:m.offset], b)
			m.offset = start
		}
		size := r.decode(m, id, b, now)
		if size == 0 {
			if len(b) > 0 {
				e := r.exceptions(m)
				e.carry = append(e.carry[:0], b...)
			}
			break
		}
		b = b[size:]
	}
	r.forgive(m)
}

// join puts the beginning of a frame before the rest of it.
func (r *Reference) join(beginning, rest []byte) []byte {
	r.scratch = append(append(r.scratch[:0], beginning...), rest...)
	return r.scratch
}

// match moves a member over what is equal to the reference, and returns how
// many bytes that is. This is the path that nearly everything takes.
func (r *Reference) match(m *Member, id int, b []byte, now int64) (n int) {
	for {
		seg := m.segment
		have := seg.bytes[m.offset:]
		if len(have) == 0 {
			if seg.next == nil || n == len(b) {
				return n
			}
			m.segment, m.offset, m.whole = seg.next, 0, 0
			continue
		}
		k := min(len(have), len(b)-n)
		if k == 0 {
			return n
		}
		if !bytes.Equal(have[:k], b[n:n+k]) {
			k = seg.equalFrames(m.whole, m.offset, b[n:n+k])
			r.advance(m, id, m.offset+uint32(k), now)
			return n + k
		}
		r.advance(m, id, m.offset+uint32(k), now)
		n += k
	}
}

// advance moves a member within its segment and counts what it completed.
func (r *Reference) advance(m *Member, id int, offset uint32, now int64) {
	seg := m.segment
	from, to := m.whole, seg.whole(m.whole, offset)
	m.offset, m.whole = offset, to
	if from == to {
		return
	}
	m.received += int64(to - from)
	r.config.Account.Received += int64(to - from)
	r.config.Account.Payload += int64(seg.payload(to) - seg.payload(from))
	if len(seg.samples) > 0 {
		r.measure(m, seg, from, to, now)
	}
	if m.except != nil && m.except.top != nil {
		r.audit(m, id, from, to)
	} else if len(seg.flaws) > 0 {
		r.blame(m, id, from, to)
	}
	if m.sender >= 0 {
		for _, e := range seg.entries[from:to] {
			if e.sender == uint32(m.sender) {
				r.own(m, e.seq)
			}
		}
	}
}

// blame counts those entries from ≤ n < to that came out of order to a member
// which has received all that the reference has.
func (r *Reference) blame(m *Member, id int, from, to uint32) {
	for _, n := range m.segment.flaws {
		if n >= from && n < to {
			r.note(m, id, Reordered, m.segment.entries[n].stamp(), "")
		}
	}
}

// audit does the same for a member whose stream differs, and finds those that
// it had received already.
func (r *Reference) audit(m *Member, id int, from, to uint32) {
	e := m.except
	for _, passed := range m.segment.entries[from:to] {
		k := key{passed.sender, passed.seq}
		if _, again := e.extras[k]; again {
			delete(e.extras, k)
			m.received--
			r.config.Account.Received--
			r.note(m, id, Duplicated, passed.stamp(), "")
		} else if e.rise(r, int(passed.sender), passed.seq) {
			r.note(m, id, Reordered, passed.stamp(), "")
		}
	}
}

// decode reads one frame and returns its size, 0 when it is not complete.
func (r *Reference) decode(m *Member, id int, b []byte, now int64) (size int) {
	f, size, err := wire.Next(b, r.config.Inflater != nil)
	if err != nil {
		r.config.Events.Broken(id, err)
		return len(b)
	}
	switch {
	case size == 0:
		return 0
	case f.Opcode.IsControl():
		r.config.Events.Control(id, byte(f.Opcode), f.Payload)
	case f.Final && f.Opcode != wire.Continuation:
		r.complete(m, id, heard{frame: b[:size], payload: f.Payload}, f.Packed, now)
	default:
		r.fragment(m, id, f, now)
	}
	return size
}

// fragment gathers a message that came in pieces, and treats it as if it had
// come in one.
func (r *Reference) fragment(m *Member, id int, f wire.Frame, now int64) {
	e := r.exceptions(m)
	if starts := f.Opcode != wire.Continuation; starts == e.gathering {
		r.config.Events.Broken(id, errFragment)
		return
	}
	if f.Opcode != wire.Continuation {
		e.packed = f.Packed
	}
	e.gathering = !f.Final
	if e.fragments = append(e.fragments, f.Payload...); len(e.fragments) > wire.MaxPayloadBytes {
		r.config.Events.Broken(id, wire.ErrLength)
		return
	}
	if f.Final {
		frame := wire.AppendServerFrame(nil, wire.Text, e.fragments)
		r.complete(m, id, heard{frame: frame, payload: e.fragments}, e.packed, now)
		e.fragments = nil
	}
}

// heard is a message as it arrived.
type heard struct {
	frame   []byte // as on the wire, or put together from its fragments
	payload []byte // inflated
	number  uint64 // in throng.v1
}

// complete takes a message of which everything has arrived.
func (r *Reference) complete(m *Member, id int, h heard, packed bool, now int64) {
	if packed {
		payload, err := r.config.Inflater.Inflate(h.payload)
		if err != nil {
			r.note(m, id, Corrupted, Stamp{}, err.Error())
			m.except.unlinked = true
			return
		}
		h.payload = payload
	}
	if r.config.JSON {
		r.object(m, id, h, now)
	} else {
		r.message(m, id, h, now)
	}
}

// message judges one text or binary message.
func (r *Reference) message(m *Member, id int, h heard, now int64) {
	at := Find(h.payload)
	if at < 0 {
		r.line(m, id, h.payload)
		return
	}
	s, size, ok := Decode(h.payload[at:])
	if !ok || !r.config.Loose && at+size != len(h.payload) {
		r.note(m, id, Corrupted, s, "checksum")
		return
	}
	if r.ours(m, id, s) && (r.config.Loose || r.by(m, id, s, h.payload[:at])) {
		r.accept(m, id, s, h, now)
	}
}

// ours reports whether a message is one of this run and of this room's senders.
func (r *Reference) ours(m *Member, id int, s Stamp) bool {
	switch {
	case s.Run != r.config.Run || r.paused:
		r.config.Account.Notices++
	case r.track(s.Sender) == nil:
		r.note(m, id, Misdelivered, s, "from a sender of another room")
	case r.stale(s):
		r.config.Account.Notices++
	default:
		return true
	}
	return false
}

// by reports whether a message names the same author as the sender's others.
func (r *Reference) by(m *Member, id int, s Stamp, author []byte) bool {
	t := r.track(s.Sender)
	if !t.named {
		t.named, t.author = true, bytes.Clone(author)
	}
	if r.config.Renamed || bytes.Equal(t.author, author) {
		return true
	}
	r.note(m, id, Corrupted, s, "text before the message, or its author")
	return false
}
