package server

import (
	"math"
	"unsafe"
)

// What is held is counted, not measured: the collector's idea of memory comes
// late and contains what is garbage already.
const (
	// connBytes is an idle connection with all that belongs to it, the handler's
	// part and the allocator's included.
	connBytes = 400
	// plainBytes is a request in the hands of net/http: a goroutine's stack and
	// two buffers of 4 KiB.
	plainBytes = 32 << 10
	// relieveLook is the number of connections that one turn looks at when
	// memory has to be found.
	relieveLook = 1024
	// When nobody has anything to give, the next search is made at the next tick,
	// or when one part in so many of the limit has come in meanwhile.
	relieveAgain = 64

	extraBytes = int(unsafe.Sizeof(extra{}))
)

// Keeper is a Handler that keeps bytes for others than a single connection, such
// as the logs of rooms. They count as held, and are what gives first.
type Keeper interface {
	// Bytes is what is kept. Any goroutine, cheap.
	Bytes() int64
	// Shed does a bounded amount of work to bring that down to target and returns
	// how many bytes that took; 0 when nothing more can go. Any goroutine.
	Shed(target int64) (taken int64)
}

// memory is the account of what the process holds. Near its limit nobody new is
// let in; above it those who can do without give.
type memory struct {
	limit, near int64
	keeper      Keeper // the handler, if it is one; else nil
}

// held is what the process holds now, in bytes. Any goroutine.
func (s *Server) held() int64 {
	n := s.conns.Load()*connBytes + s.pages.active.Load()*plainBytes
	for _, l := range s.loops {
		n += l.held.Load()
	}
	if k := s.memory.keeper; k != nil {
		n += k.Bytes()
	}
	return n
}

// weigh brings the account of c's extra up to date. It may be called at any
// time; what an extra weighed is taken off when it is given back.
func (c *Conn) weigh() {
	e := c.more
	if e == nil {
		return
	}
	n := extraBytes + cap(e.head) + cap(e.held.Payload) + cap(e.unread) + e.cut + cap(e.rest) + cap(e.own) + cap(e.pong)
	if n != e.weight {
		c.loop.held.Add(int64(n - e.weight))
		e.weight = n
	}
}

// weighInput adds what the decoder holds more than it did before.
func (c *Conn) weighInput(before int) {
	if n := c.input.Held(); n != before {
		c.loop.held.Add(int64(n - before))
	}
}

// weight is what an open connection holds beyond what an idle one does.
func (c *Conn) weight() int {
	n := c.input.Held()
	if c.more != nil {
		n += c.more.weight
	}
	return n
}

// relief is a loop's search for those who hold most. Owned by the worker.
type relief struct {
	look     int   // where to look next in open
	heaviest int   // in this round
	bar      int   // who holds as much is closed; from the last round
	spent    int64 // what was held when nobody had anything to give; 0: not so
}

func newRelief() relief { return relief{bar: math.MaxInt} }

// relieve makes room when more is held than the limit allows: first the longest
// logs give, down to where newcomers are let in again, then the connections that
// hold most, to within a factor of two. It reports whether it has to go on.
func (l *loop) relieve() bool {
	s := l.srv
	m := &s.memory
	held := s.held()
	if held <= m.limit {
		l.relief = newRelief()
		return false
	}
	if spent := l.relief.spent; spent > 0 {
		if held < spent+m.limit/relieveAgain {
			return false // until the next tick
		}
		l.relief = newRelief()
	}
	if k := m.keeper; k != nil {
		target := max(0, k.Bytes()-(held-m.near))
		taken := k.Shed(target)
		s.counts.shedBytes.Add(uint64(taken))
		// When nothing had to be taken, another worker has done so meanwhile.
		if taken > 0 || k.Bytes() <= target && target > 0 {
			return true
		}
	}
	return l.closeHeaviest(held)
}

// closeHeaviest looks at some of the open connections. A round over all of them
// finds the heaviest, and the next one closes those that hold at least half as
// much, until no more is held than the limit allows. It reports whether it has to
// go on.
func (l *loop) closeHeaviest(held int64) bool {
	r, excess := &l.relief, held-l.srv.memory.limit
	for range relieveLook {
		if excess <= 0 {
			return false
		}
		if r.look >= len(l.open) {
			r.look, r.bar = 0, max(1, (r.heaviest+1)/2)
			if r.heaviest == 0 {
				r.spent = held
				return false
			}
			r.heaviest = 0
		}
		c := l.open[r.look]
		n := c.weight()
		if n < r.bar {
			r.heaviest = max(r.heaviest, n)
			r.look++
			continue
		}
		excess -= int64(n)
		l.contain(c, c.giveUp) // another one gets its seat
	}
	return true
}

// giveUp ends a connection for what it holds. One that does not read would hold
// a close frame as well: it is cut. One that makes others wait for the rest of
// its message hears why.
func (c *Conn) giveUp() {
	c.loop.srv.counts.gaveUp.Add(1)
	if c.is(blocked) {
		c.leave(ErrMemory, CodeSlow, ErrMemory.Error())
		c.destroy()
		return
	}
	c.end(ErrMemory, CodeOverload, ErrMemory.Error())
}
