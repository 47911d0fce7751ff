package proof

import (
	"bytes"
	"errors"
	"strconv"
)

// errFragment is a fragment where none may stand, or none where one must.
var errFragment = errors.New("fragments of messages out of order")

// Limits of what is kept of one member's exceptions. Above them the counts stay
// exact; only a late message can then no longer be told from a duplicate.
const maxSkipped = 1 << 17

// patience is how many messages a member that skipped one is decoded for, to
// see whether it comes late. After that it counts as overtaken.
const patience = 4096

// key names a message.
type key struct {
	sender uint32
	seq    int64
}

func keyOf(s Stamp) key { return key{uint32(s.Sender), s.Seq} }

// Exceptions is how one member differs from its room's reference. Nearly all
// members have none, except for half a frame now and then.
type Exceptions struct {
	// Input that is not a message yet.
	carry     []byte // the start of a frame that nobody has completed
	fragments []byte // the start of a fragmented message
	gathering bool   // a fragmented message has begun
	unplaced  bool   // joined late, nothing received yet

	// Messages of the reference that were not received.
	pending map[key]struct{} // and might still come in their sender's order
	lost    map[key]struct{} // while later ones of the same sender were
	waited  int              // messages since pending was last empty

	extras    map[key]struct{} // received, though the reference lacks them
	allowance int64            // announced by the server as dropped, and not skipped yet
	announced int64            // the same in all
	counts    Counts
}

// exceptions gives a member a place for its own.
func (r *Reference) exceptions(m *Member) *Exceptions {
	if m.except == nil {
		if r.spare == nil {
			r.spare = new(Exceptions)
		}
		m.except, r.spare = r.spare, nil
	}
	return m.except
}

// forgive takes the place back once it holds nothing.
func (r *Reference) forgive(m *Member) {
	e := m.except
	if e == nil || len(e.carry) > 0 || e.gathering || e.unplaced || e.announced > 0 ||
		len(e.pending)+len(e.lost)+len(e.extras) > 0 || e.counts != (Counts{}) {
		return
	}
	*e = Exceptions{carry: e.carry[:0]}
	m.except, r.spare = nil, e
}

// decoding reports whether a member's frames must be looked at one by one.
func (e *Exceptions) decoding() bool { return e.unplaced || e.gathering || len(e.pending) > 0 }

// has reports whether a message was received that the reference lacked.
func (e *Exceptions) has(k key) bool { _, ok := e.extras[k]; return ok }

// skip notes a message as not received. It reports false for one that was
// received before it came into the reference.
func (e *Exceptions) skip(k key) bool {
	if e.has(k) {
		delete(e.extras, k)
		return false
	}
	switch {
	case e.allowance > 0:
		e.allowance--
	case len(e.pending)+len(e.lost) < maxSkipped:
		if e.pending == nil {
			e.pending = make(map[key]struct{})
		}
		e.pending[k] = struct{}{}
	}
	return true
}

// found takes a skipped message back: it came after all.
func (e *Exceptions) found(k key) (skipped, overtaken bool) {
	if _, skipped = e.pending[k]; skipped {
		delete(e.pending, k)
		return true, false
	}
	if _, overtaken = e.lost[k]; overtaken {
		delete(e.lost, k)
	}
	return overtaken, overtaken
}

// overtake notes which skipped messages are now late for certain, because the
// same sender's later one is there.
func (e *Exceptions) overtake(s Stamp) {
	if len(e.pending) == 0 {
		e.waited = 0
		return
	}
	e.waited++
	for k := range e.pending {
		if k.sender == uint32(s.Sender) && k.seq < s.Seq || e.waited > patience {
			if e.lost == nil {
				e.lost = make(map[key]struct{})
			}
			e.lost[k] = struct{}{}
			delete(e.pending, k)
		}
	}
}

// line takes a text without a message in it: a notice of the server's, or
// something that is none of ours.
func (r *Reference) line(m *Member, id int, payload []byte) {
	if n, ok := missedLine(payload); ok {
		e := r.exceptions(m)
		e.announced += n
		e.allowance += n
		r.config.Account.Announced += n
		return
	}
	if r.config.Size > 0 && len(payload) >= r.config.Size && !r.config.Loose {
		// As long as a message, but not recognisable as one.
		r.note(m, id, Corrupted, Stamp{}, "no message in the frame")
		return
	}
	r.config.Account.Notices++
}

// missedLine reads the notice by which a server owns up to a gap, in either
// protocol: " .... you missed 12 messages." or {"t":"gap",…,"missed":12}.
func missedLine(text []byte) (n int64, ok bool) {
	for _, before := range []string{" .... you missed ", `"missed":`} {
		if _, rest, found := bytes.Cut(text, []byte(before)); found {
			end := 0
			for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
				end++
			}
			n, err := strconv.ParseInt(string(rest[:end]), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
