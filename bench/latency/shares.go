package latency

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
)

// sharesBytes bounds what the shares of one process take, in memory and on the
// way to the process that merges them.
const sharesBytes = 16 << 20

// shareBytes is what a share takes besides its arrivals, as text.
const shareBytes = 64

// Share is one process's part of a broadcast.
type Share struct {
	Sender    int    `json:"s"`
	Seq       int64  `json:"n"`
	Processes int    `json:"p"`           // that have a share of it
	Arrivals  []byte `json:"a,omitempty"` // in order, as differences in units; none if it is incomplete
}

// Shares are those of one process. When they become too many only those stay
// whose place is in the lower half, and so on. A place depends on nothing but
// the message's name, so all processes keep the same ones: a fair choice among
// all, of which every receiver is known.
type Shares struct {
	All   []Share `json:"all,omitempty"`
	Below uint64  `json:"below"` // those whose place is below are all there
	bytes int
}

func newShares() Shares { return Shares{Below: math.MaxUint64} }

// place spreads the names of messages evenly (the finalizer of SplitMix64).
func (s *Share) place() uint64 {
	x := uint64(s.Sender)<<40 + uint64(s.Seq) + 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// add keeps a broadcast whose arrivals are in order, or which has failed.
func (s *Shares) add(b *Broadcast) {
	share := Share{Sender: int(b.sender), Seq: b.seq, Processes: int(b.shared)}
	if share.place() >= s.Below {
		return
	}
	before := uint32(0)
	for _, at := range b.arrivals {
		share.Arrivals = binary.AppendUvarint(share.Arrivals, uint64(at-before))
		before = at
	}
	share.Arrivals = slices.Clip(share.Arrivals)
	s.All = append(s.All, share)
	for s.bytes += share.size(); s.bytes > sharesBytes; {
		s.halve()
	}
}

// size is what a share takes.
func (s *Share) size() int { return shareBytes + len(s.Arrivals) }

// halve drops the shares of the upper half.
func (s *Shares) halve() {
	s.Below, s.bytes = s.Below/2, 0
	s.All = slices.DeleteFunc(s.All, func(share Share) bool { return share.place() >= s.Below })
	for i := range s.All {
		s.bytes += s.All[i].size()
	}
}

// append adds a share's arrivals to those of others.
func (s *Share) append(arrivals []uint32) []uint32 {
	at := uint32(0)
	for b := s.Arrivals; len(b) > 0; {
		difference, n := binary.Uvarint(b)
		if n <= 0 {
			panic("latency: a share's arrivals are not what add wrote")
		}
		at += uint32(difference)
		arrivals, b = append(arrivals, at), b[n:]
	}
	return arrivals
}

// MergeShares takes the broadcasts to members of several processes into the
// histograms, from the arrivals at all of them. One of which a process has no
// share, or an incomplete one, did not reach everybody.
func (r *Recorder) MergeShares(parts []*Shares) {
	below := uint64(math.MaxUint64)
	for _, part := range parts {
		below = min(below, part.Below)
	}
	var all []*Share
	for _, part := range parts {
		for i := range part.All {
			if part.All[i].place() < below {
				all = append(all, &part.All[i])
			}
		}
	}
	slices.SortFunc(all, func(a, b *Share) int { return cmp.Or(a.Sender-b.Sender, cmp.Compare(a.Seq, b.Seq)) })
	var arrivals []uint32
	for len(all) > 0 {
		first, n, complete := all[0], 0, true
		arrivals = arrivals[:0]
		for ; n < len(all) && all[n].Sender == first.Sender && all[n].Seq == first.Seq; n++ {
			complete = complete && len(all[n].Arrivals) > 0
			arrivals = all[n].append(arrivals)
		}
		if all = all[n:]; complete && n == first.Processes {
			slices.Sort(arrivals)
			r.rank(arrivals)
		} else {
			r.Incomplete++
		}
	}
}
