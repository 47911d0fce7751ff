package proof

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
)

// errFragment is a fragment where none may stand, or none where one must.
var errFragment = errors.New("fragments of messages out of order")

// maxSkipped bounds what is kept of one member. Above it the counts stay exact,
// but a late message can no longer be told from a duplicate.
const maxSkipped = 1 << 17

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

	// How the member's stream differs, once it does.
	skipped map[key]struct{} // passed in the reference, not received
	extras  map[key]struct{} // received, though the member has not passed them in the reference
	top     []int64          // by sender: one more than the highest number received

	allowance int64 // announced by the server as dropped, and not skipped yet
	announced int64 // the same in all
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

// differs prepares a member's place for a stream that is not the reference's.
// Until now it was: so the highest numbers are those of what it has passed.
func (r *Reference) differs(m *Member) *Exceptions {
	e := r.exceptions(m)
	if e.top == nil {
		e.top = slices.Clone(m.segment.before)
		for _, passed := range m.segment.entries[:m.whole] {
			e.rise(r, int(passed.sender), passed.seq)
		}
	}
	return e
}

// rise notes a message as received, and reports whether a later one of its
// sender was received before.
func (e *Exceptions) rise(r *Reference, sender int, seq int64) (overtaken bool) {
	top := &e.top[sender-r.config.FirstSender]
	overtaken = seq+1 < *top
	*top = max(*top, seq+1)
	return overtaken
}

// forgive takes the place back once it holds nothing.
func (r *Reference) forgive(m *Member) {
	e := m.except
	if e == nil || len(e.carry) > 0 || e.gathering || e.unplaced || e.top != nil || e.announced > 0 || e.counts != (Counts{}) {
		return
	}
	*e = Exceptions{carry: e.carry[:0]}
	m.except, r.spare = nil, e
}

// decoding reports whether a member's frames must be looked at one by one.
func (e *Exceptions) decoding() bool { return e.unplaced || e.gathering }

// skip notes a message as not received. It reports false for one that was
// received before it came into the reference.
func (e *Exceptions) skip(k key) bool {
	if _, ok := e.extras[k]; ok {
		delete(e.extras, k)
		return false
	}
	switch {
	case e.allowance > 0:
		e.allowance--
	case len(e.skipped) < maxSkipped:
		if e.skipped == nil {
			e.skipped = make(map[key]struct{})
		}
		e.skipped[k] = struct{}{}
	}
	return true
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
