// Package latency measures how long messages take, honestly.
//
// Each delivery is measured twice: from the time at which its message ought to
// have been sent, which includes what a sender had to wait for (Corrected), and
// from the time at which it really was sent (Raw). A load generator that only
// knows the second forgets the messages it was kept from sending by a stalled
// server; that error is known as coordinated omission.
//
// For each sampled broadcast the arrivals at all members are kept until the
// last one is in, which gives the first, the median, the 99th percentile and the
// last receiver, and the spread between first and last. One that does not reach
// all its members counts as incomplete. Of a broadcast to the members of several
// processes each has a Share; MergeShares puts them together.
package latency

import (
	"slices"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The range of the histograms in nanoseconds, and their precision in digits.
const (
	lowestNs  = 1_000
	highestNs = 3_600_000_000_000
	digits    = 3
)

// unitNs is the resolution of a broadcast's arrivals, so that one fits 32 bits.
const unitNs = 100

// NewHistogram makes a histogram of nanoseconds.
func NewHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(lowestNs, highestNs, digits) }

// Record notes a duration; one outside the range counts as the nearest in it.
func Record(h *hdrhistogram.Histogram, ns int64) { h.RecordValue(min(max(ns, 0), highestNs)) }

// Recorder gathers the latencies of one process.
type Recorder struct {
	Corrected *hdrhistogram.Histogram
	Raw       *hdrhistogram.Histogram

	// Of each broadcast to several members, from the intended time on.
	First, Median, P99, Last, Spread *hdrhistogram.Histogram

	// Incomplete counts the broadcasts that did not reach all their members.
	Incomplete int64

	// Shares are this process's parts of broadcasts to several.
	Shares Shares

	recent, recentSpread *hdrhistogram.Histogram // since the last Roll; the spread is that in this process

	spare []*Broadcast
}

// NewRecorder makes an empty one.
func NewRecorder() *Recorder {
	r := &Recorder{Shares: newShares(), recent: NewHistogram(), recentSpread: NewHistogram()}
	for _, h := range r.All() {
		*h = NewHistogram()
	}
	return r
}

// All lists the histograms in a fixed order.
func (r *Recorder) All() []**hdrhistogram.Histogram {
	return []**hdrhistogram.Histogram{&r.Corrected, &r.Raw, &r.First, &r.Median, &r.P99, &r.Last, &r.Spread}
}

// Message is what is broadcast. Sender and Seq name it in all processes.
type Message struct {
	Sender         int
	Seq            int64
	Intended, Sent int64
}

// Broadcast is a message on its way to the members of a room. It fills one
// cache line, because each delivery needs it.
type Broadcast struct {
	intended, sent int64
	seq            int64
	arrivals       []uint32 // units since intended
	sender         uint32
	serial         uint32 // tells its uses apart
	members        uint32 // of this process that are to receive it
	shared         uint16 // the number of processes that have members of the room
	failed         bool   // one of the members will never have it
}

// Ticket stands for one broadcast; it outlives it without harm.
type Ticket struct {
	broadcast *Broadcast
	serial    uint32
}

// Begin follows a message to a number of members of this process. If several
// processes have members of the room, its receivers are put in order by
// MergeShares.
func (r *Recorder) Begin(m Message, members, processes int) Ticket {
	if len(r.spare) == 0 {
		r.spare = append(r.spare, new(Broadcast))
	}
	b := r.spare[len(r.spare)-1]
	r.spare = r.spare[:len(r.spare)-1]
	*b = Broadcast{intended: m.Intended, sent: m.Sent, seq: m.Seq, sender: uint32(m.Sender), arrivals: b.arrivals[:0],
		members: uint32(members), shared: uint16(processes), serial: b.serial + 1}
	return Ticket{b, b.serial}
}

// Receive notes that one more member has the message.
func (r *Recorder) Receive(t Ticket, now int64) {
	b := t.broadcast
	if b.serial != t.serial {
		return // to more members than there were: complete already
	}
	Record(r.recent, now-b.intended)
	Record(r.Raw, now-b.sent)
	if b.failed {
		return
	}
	if b.members == 1 && b.shared <= 1 && len(b.arrivals) == 0 {
		r.recycle(b) // a lone member is no audience
		return
	}
	b.arrivals = append(b.arrivals, uint32(min(max(now-b.intended, 0)/unitNs, 1<<32-1)))
	if len(b.arrivals) == int(b.members) {
		r.complete(b)
	}
}

// Excuse says that a member which does not have the broadcast yet has left: it
// goes on to the others.
func (r *Recorder) Excuse(t Ticket) {
	b := t.broadcast
	if b.serial != t.serial || b.failed {
		return
	}
	if b.members--; b.members > 0 && len(b.arrivals) == int(b.members) {
		r.complete(b)
	}
}

// Fail says that a member will never have the broadcast. When the others have
// it still counts as their latency.
func (r *Recorder) Fail(t Ticket) {
	b := t.broadcast
	if b.serial != t.serial || b.failed {
		return
	}
	b.failed, b.arrivals = true, nil
	if b.shared > 1 {
		r.Shares.add(b)
	} else {
		r.Incomplete++
	}
}

// complete takes a broadcast that has reached everybody into account.
func (r *Recorder) complete(b *Broadcast) {
	slices.Sort(b.arrivals)
	Record(r.recentSpread, int64(b.arrivals[len(b.arrivals)-1]-b.arrivals[0])*unitNs)
	if b.shared > 1 {
		r.Shares.add(b)
	} else {
		r.rank(b.arrivals)
	}
	r.recycle(b)
}

// rank takes the arrivals of a broadcast, in order, into the histograms.
func (r *Recorder) rank(arrivals []uint32) {
	n := len(arrivals)
	at := func(rank int) int64 { return int64(arrivals[rank]) * unitNs }
	Record(r.First, at(0))
	Record(r.Median, at((n-1)/2))
	Record(r.P99, at((n*99+99)/100-1))
	Record(r.Last, at(n-1))
	Record(r.Spread, at(n-1)-at(0))
}

// Omit notes n deliveries of a message that was not sent, and would have taken
// so long at least.
func (r *Recorder) Omit(ns, n int64) { r.recent.RecordValues(min(max(ns, 0), highestNs), n) }

// recycle makes the tickets of a broadcast void and keeps it for the next.
func (r *Recorder) recycle(b *Broadcast) {
	b.serial++
	r.spare = append(r.spare, b)
}

// Recent is what was measured since the last Roll.
type Recent struct{ P50, P99, Max, Spread int64 }

// Roll takes what was measured since the last call into the totals.
func (r *Recorder) Roll() Recent {
	if r.recent.TotalCount() == 0 {
		return Recent{} // an empty histogram's maximum is not 0
	}
	now := Recent{P50: r.recent.ValueAtQuantile(50), P99: r.recent.ValueAtQuantile(99),
		Max: r.recent.Max(), Spread: r.recentSpread.ValueAtQuantile(50)}
	r.Corrected.Merge(r.recent)
	r.recent.Reset()
	r.recentSpread.Reset()
	return now
}
