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

// index is the place of a message's sender among those of the room.
func (r *Reference) index(k key) int { return int(k.sender) - r.config.FirstSender }

// Exceptions is how one member differs from its room's reference. Nearly all
// members have none, except for half a frame now and then.
type Exceptions struct {
	// Input that is not a message yet.
	carry     []byte  // the start of a frame that nobody has completed
	fragments []byte  // the start of a fragmented message
	gathering bool    // a fragmented message has begun
	packed    bool    // and is compressed
	unplaced  bool    // joined late, and received nothing yet that stands in the reference
	owed      []int64 // unplaced: by sender, the first message that it must receive; nil before Expect

	// How the member's stream differs, once it does.
	skipped map[key]struct{} // passed in the reference, not received
	extras  map[key]struct{} // received, though the member has not passed them in the reference
	top     []int64          // by sender: one more than the highest number received

	// What the server owned up to. A loss is excused by a notice only if the
	// first message after it, of the same sender, reveals it.
	announced int64  // messages in all notices
	gaps      int64  // messages that were really left out where a notice stood
	open      []bool // by sender: nothing was received since the last notice; nil without one
	allowance int64  // announced, and not yet passed in the reference

	// In throng.v1.
	last           uint64             // the highest number received, where it is not that of the position
	gapFrom, gapTo uint64             // numbers that were announced as missed last
	unlinked       bool               // what came last cannot be read: what follows it cannot be told
	again          map[int64]struct{} // messages that the member has said again, by number
	afresh         int64              // the first that it has not

	counts Counts
}

// maxAnnounced bounds what one notice and all of a member's can say: above it
// they are nonsense, and must not overflow.
const maxAnnounced = 1 << 40

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
	i := sender - r.config.FirstSender
	top := &e.top[i]
	overtaken = seq+1 < *top
	if e.open != nil && e.open[i] && seq >= *top {
		e.open[i] = false
		e.gaps += e.gap(r, i, seq)
	}
	*top = max(*top, seq+1)
	return overtaken
}

// gap is how many messages of a sender a member lacks below seq, and above the
// highest that it has.
func (e *Exceptions) gap(r *Reference, i int, seq int64) int64 {
	from := e.top[i]
	if base := r.baseOf(i); base != Unknown {
		from = max(from, base)
	}
	return max(seq-from, 0)
}

// leftOut is how many messages a member lacks where a notice stood, given what
// was sent in all.
func (e *Exceptions) leftOut(r *Reference, sent Sent) int64 {
	n := e.gaps
	for i, open := range e.open {
		if open {
			n += e.gap(r, i, sent(r.config.FirstSender+i))
		}
	}
	return n
}

// announce takes a notice that a member missed n messages. What a newcomer
// missed before its first one is nobody's business.
func (r *Reference) announce(m *Member, n int64) {
	if m.except != nil && m.except.unplaced {
		return
	}
	e := r.differs(m)
	e.announced = min(e.announced+n, maxAnnounced)
	e.allowance = min(e.allowance+n, maxAnnounced)
	if e.open == nil {
		e.open = make([]bool, len(r.tracks))
	}
	for i := range e.open {
		e.open[i] = true
	}
}

// forgive takes the place back once it holds nothing.
func (r *Reference) forgive(m *Member) {
	e := m.except
	if e == nil || len(e.carry) > 0 || e.gathering || e.unplaced || e.top != nil || e.again != nil || e.last > r.at(m) || e.unlinked || e.counts != (Counts{}) {
		return
	}
	*e = Exceptions{carry: e.carry[:0]}
	m.except, r.spare = nil, e
}

// decoding reports whether a member's frames must be looked at one by one.
func (e *Exceptions) decoding() bool { return e.unplaced || e.gathering }

// skip notes a message as not received. It reports false for one that was
// received before it came into the reference.
func (e *Exceptions) skip(r *Reference, k key) bool {
	if _, ok := e.extras[k]; ok {
		delete(e.extras, k)
		return false
	}
	switch {
	case e.allowance > 0 && e.open[r.index(k)]:
		e.allowance-- // a slow member may be told of millions: they need no names
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
		r.announce(m, n)
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
			// A number that is too large for 64 bits is returned as the largest.
			n, _ := strconv.ParseInt(string(rest[:end]), 10, 64)
			return min(n, maxAnnounced), end > 0
		}
	}
	return 0, false
}
