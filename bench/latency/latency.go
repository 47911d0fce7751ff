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
// last receiver, and the spread between first and last.
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

	recent, recentSpread *hdrhistogram.Histogram // since the last Roll

	spare []*Broadcast
}

// NewRecorder makes an empty one.
func NewRecorder() *Recorder {
	r := &Recorder{recent: NewHistogram(), recentSpread: NewHistogram()}
	for _, h := range r.All() {
		*h = NewHistogram()
	}
	return r
}

// All lists the histograms in a fixed order.
func (r *Recorder) All() []**hdrhistogram.Histogram {
	return []**hdrhistogram.Histogram{&r.Corrected, &r.Raw, &r.First, &r.Median, &r.P99, &r.Last, &r.Spread}
}

// Broadcast is a message on its way to the members of a room.
type Broadcast struct {
	intended, sent int64
	arrivals       []uint32 // units since intended
	members        int
	serial         uint32 // tells its uses apart
}

// Ticket stands for one broadcast; it outlives it without harm.
type Ticket struct {
	broadcast *Broadcast
	serial    uint32
}

// Begin follows a message to a number of members.
func (r *Recorder) Begin(intended, sent int64, members int) Ticket {
	if len(r.spare) == 0 {
		r.spare = append(r.spare, new(Broadcast))
	}
	b := r.spare[len(r.spare)-1]
	r.spare = r.spare[:len(r.spare)-1]
	*b = Broadcast{intended: intended, sent: sent, arrivals: b.arrivals[:0], members: members, serial: b.serial + 1}
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
	if b.members == 1 {
		r.recycle(b)
		return
	}
	b.arrivals = append(b.arrivals, uint32(min(max(now-b.intended, 0)/unitNs, 1<<32-1)))
	if len(b.arrivals) == b.members {
		r.complete(b)
	}
}

// complete takes a broadcast that has reached everybody into the histograms.
func (r *Recorder) complete(b *Broadcast) {
	slices.Sort(b.arrivals)
	n := len(b.arrivals)
	at := func(rank int) int64 { return int64(b.arrivals[rank]) * unitNs }
	Record(r.First, at(0))
	Record(r.Median, at((n-1)/2))
	Record(r.P99, at((n*99+99)/100-1))
	Record(r.Last, at(n-1))
	Record(r.recentSpread, at(n-1)-at(0))
	r.recycle(b)
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
	r.Spread.Merge(r.recentSpread)
	r.recent.Reset()
	r.recentSpread.Reset()
	return now
}
