package proof

import (
	"bytes"
	"cmp"
	"slices"

	"throng/bench/latency"
	"throng/bench/v1"
	"throng/bench/wire"
)

// Segments of a reference grow from the first size to the last.
const (
	firstSegmentBytes = 4 << 10
	lastSegmentBytes  = 256 << 10
)

// segment is a piece of the reference. It points to the next one, so that the
// pieces which all members have passed are free for the garbage collector, and
// those which a slow member still needs are not.
type segment struct {
	next    *segment
	bytes   []byte // whole frames; its capacity never changes
	entries []entry
	number  uint64 // throng.v1: of the last message before the segment
	samples []sample
	flaws   []uint32 // entries that stand behind a later one of their sender
	before  []int64  // by sender: one more than its highest number in earlier segments
}

// entry is one frame of a segment.
type entry struct {
	seq    int64
	sender uint32
	end    uint32 // in segment.bytes
	number uint64 // in throng.v1
	until  uint64 // bytes of payload, inflated, in the segment up to here
}

// sample marks an entry whose receivers measure their latency.
type sample struct {
	ticket latency.Ticket
	entry  uint32
	number int64 // how many there were before in the room
}

// sampled are those marks that belong to entries from ≤ n < to.
func (s *segment) sampled(from, to uint32) []sample {
	find := func(entry uint32) int {
		n, _ := slices.BinarySearchFunc(s.samples, entry, func(s sample, entry uint32) int { return cmp.Compare(s.entry, entry) })
		return n
	}
	return s.samples[find(from):find(to)]
}

// stamp is what an entry says about its message.
func (e entry) stamp() Stamp { return Stamp{Sender: int(e.sender), Seq: e.seq} }

// Events is what a reference tells while it is fed.
type Events interface {
	// Own says that a sender has received its own message: the
	// acknowledgement that a closed loop waits for.
	Own(sender int, seq int64)
	// Control hands over a control frame that member id received.
	Control(id int, op byte, payload []byte)
	// Said hands over what member id was told in throng.v1 that is no message. It
	// is not called for each member where all are told the same.
	Said(id int, o *v1.Object)
	// Broken says that member id received what is no WebSocket frame.
	Broken(id int, err error)
}

// Config describes one room.
type Config struct {
	Run         int            // messages of other runs are none of the room's
	FirstSender int            // the room's senders are numbered from here
	Senders     int            // and there are so many of them
	Size        int            // bytes of a message
	Loose       bool           // anything may stand around the message in its frame (JSON)
	Renamed     bool           // senders may come back under another name
	JSON        bool           // throng.v1 is spoken
	Room        string         // and this is the room's name there
	Inflater    *wire.Inflater // if compression was agreed
	Processes   int            // client processes that have members of the room
	Events      Events
	Latency     *latency.Recorder
	Account     *Account
}

// Reference is the stream of a room, as its first receivers had it.
type Reference struct {
	config   Config
	tail     *segment
	previous *segment // the one before tail: where newcomers look for their first message
	tracks   []track  // by sender, from FirstSender
	members  int
	audience int   // members that receive what comes from now on
	begun    int64 // broadcasts that were sampled
	scratch  []byte
	spare    *Exceptions // one that was given back; leaders need one at almost every read
	reached  []int64     // the last position that newcomers were given

	// In throng.v1.
	number     uint64 // of the last message
	common     []byte // what everybody was told last
	commonKind string

	// Pauses.
	paused  bool
	base    []int64 // by sender: messages below are from before the last pause's end; nil when there was none
	since   int64   // when that was
	partial bool    // a base is Unknown

	Digest uint64 // of the order of all messages; equal in all processes that saw the same
}

// track is what the reference holds of one sender.
type track struct {
	next   int64              // one more than the highest number that stands there
	holes  map[int64]struct{} // numbers below next that do not
	author []byte             // who its messages are from, as they say
	named  bool               // author is known
}

// seen reports whether a message stands in the reference.
func (t *track) seen(seq int64) bool {
	if seq >= t.next {
		return false
	}
	_, hole := t.holes[seq]
	return !hole
}

// add notes that a message stands in the reference now. It reports false when
// a later one of the same sender stood there before.
func (t *track) add(seq int64) (inOrder bool) {
	if seq < t.next {
		delete(t.holes, seq)
		return false
	}
	for missed := t.next; missed < seq; missed++ {
		if t.holes == nil {
			t.holes = make(map[int64]struct{})
		}
		t.holes[missed] = struct{}{}
	}
	t.next = seq + 1
	return true
}

// NewReference begins the stream of a room.
func NewReference(config Config) *Reference {
	first := &segment{bytes: make([]byte, 0, firstSegmentBytes), before: make([]int64, config.Senders)}
	return &Reference{config: config, tail: first, previous: first, tracks: make([]track, config.Senders)}
}

// track finds a sender; nil is one of another room.
func (r *Reference) track(sender int) *track {
	if i := sender - r.config.FirstSender; i >= 0 && i < len(r.tracks) {
		return &r.tracks[i]
	}
	return nil
}

// append adds a frame at the end, where the member stands that received it first.
func (r *Reference) append(m *Member, h heard, s Stamp) {
	seg := r.tail
	if len(seg.bytes)+len(h.frame) > cap(seg.bytes) {
		seg = r.extend(len(h.frame))
		m.segment, m.offset, m.whole = seg, 0, 0
	}
	if !r.track(s.Sender).add(s.Seq) {
		seg.flaws = append(seg.flaws, uint32(len(seg.entries)))
	}
	until := seg.payload(uint32(len(seg.entries))) + uint64(len(h.payload))
	seg.bytes = append(seg.bytes, h.frame...)
	seg.entries = append(seg.entries, entry{seq: s.Seq, sender: uint32(s.Sender), end: uint32(len(seg.bytes)), number: h.number, until: until})
	r.number = h.number
	if s.Sampled {
		message := latency.Message{Sender: s.Sender, Seq: s.Seq, Intended: s.Intended, Sent: s.Intended + s.Late}
		ticket := r.config.Latency.Begin(message, r.audience, r.config.Processes)
		seg.samples = append(seg.samples, sample{ticket, uint32(len(seg.entries) - 1), r.begun})
		r.begun++
	}
	// The FNV step makes the digest depend on the order.
	r.Digest = (r.Digest ^ (uint64(s.Sender)<<40 + uint64(s.Seq))) * 1099511628211
}

// extend starts a new segment with room for a frame. A room with a single
// member has nobody who could still need the old one, and uses it again.
func (r *Reference) extend(frameBytes int) *segment {
	old := r.tail
	before := old.before
	if r.members == 1 && frameBytes <= cap(old.bytes) && cap(old.bytes) == lastSegmentBytes {
		*old = segment{bytes: old.bytes[:0], entries: old.entries[:0], samples: old.samples[:0]}
	} else {
		before = make([]int64, len(r.tracks))
		size := max(min(2*cap(old.bytes), lastSegmentBytes), frameBytes)
		r.tail = &segment{bytes: make([]byte, 0, size)}
		old.next, r.previous = r.tail, old
	}
	for i := range r.tracks {
		before[i] = r.tracks[i].next
	}
	r.tail.before, r.tail.number = before, r.number
	return r.tail
}

// start is where the frame begins that comes after the first n of a segment.
func (s *segment) start(n uint32) uint32 {
	if n == 0 {
		return 0
	}
	return s.entries[n-1].end
}

// payload is how many bytes of it are in the first n frames of a segment.
func (s *segment) payload(n uint32) uint64 {
	if n == 0 {
		return 0
	}
	return s.entries[n-1].until
}

// frame is the n-th frame of a segment.
func (s *segment) frame(n uint32) []byte { return s.bytes[s.start(n):s.entries[n].end] }

// whole is how many of a segment's entries end at or before offset, given that
// the first n do.
func (s *segment) whole(n, offset uint32) uint32 {
	if int(offset) == len(s.bytes) {
		return uint32(len(s.entries))
	}
	low, high := n, uint32(len(s.entries))
	for low < high {
		middle := (low + high) / 2
		if s.entries[middle].end <= offset {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// equalFrames is how many bytes of whole frames, from entry n on, b begins with.
func (s *segment) equalFrames(n, offset uint32, b []byte) (size int) {
	for ; n < uint32(len(s.entries)); n++ {
		frame := s.bytes[offset:s.entries[n].end]
		if !bytes.HasPrefix(b[size:], frame) {
			break
		}
		size += len(frame)
		offset = s.entries[n].end
	}
	return size
}
