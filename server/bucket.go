package server

import (
	"sync/atomic"
	"time"
)

// rate is what a bucket allows: so many a second, and a burst after a rest. The
// zero rate allows everything.
type rate struct {
	each  int64 // ns between two, at the steady rate; 0: no limit
	burst int64 // ns that a full bucket is worth
}

// newRate makes a rate; perSecond below 1 is none.
func newRate(perSecond, burst int) rate {
	if perSecond < 1 {
		return rate{}
	}
	each := max(1, int64(time.Second)/int64(perSecond))
	return rate{each: each, burst: each * int64(max(1, burst))}
}

// bucket is a token bucket in 8 bytes: the time at which it is full again. That
// is the generic cell rate algorithm. The zero bucket is full.
type bucket int64

// take takes one token, if there is one at that time.
func (b *bucket) take(r rate, now int64) bool {
	if !b.ready(r, now) {
		return false
	}
	*b = bucket(max(int64(*b), now) + r.each)
	return true
}

// ready reports whether there is a token.
func (b bucket) ready(r rate, now int64) bool { return int64(b)+r.each-now <= r.burst }

// sharedBucket is a bucket that all workers take from.
type sharedBucket struct{ full atomic.Int64 }

// take takes one token, if there is one at that time. Any goroutine.
func (s *sharedBucket) take(r rate, now int64) bool {
	for r.each > 0 {
		old := s.full.Load()
		b := bucket(old)
		if !b.take(r, now) {
			return false
		}
		if s.full.CompareAndSwap(old, int64(b)) {
			break
		}
	}
	return true
}
