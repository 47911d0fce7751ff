package load

import "throng/bench/report"

// slowBufferBytes is the receive buffer of a slow member, so that it is the
// server who feels that nobody reads, and not the kernel that hides it.
const slowBufferBytes = 4 << 10

// Slow lets a share of the members stop reading while the load runs, and read
// on at its end. Whoever reads must not notice; whoever did not must either be
// told what it missed, or be closed.
type Slow struct {
	plain
	Share float64

	from    int // connections from this number on are slow
	members int
	closed  int64
}

// first is the number of the first slow connection: the senders stay quick.
func (s *Slow) first(c *Config) int {
	n := c.local()
	senders := (c.Senders*c.Rooms + c.Processes - 1) / c.Processes
	return max(senders, n-int(s.Share*float64(n)))
}

// Members is how many connections of all processes are slow.
func (s *Slow) Members(c *Config) (n int) {
	for process := range c.Processes {
		part := *c
		part.Process = process
		n += max(part.local()-s.first(&part), 0)
	}
	return n
}

func (s *Slow) begin(r *Run) {
	s.from = s.first(&r.config)
	s.members = max(len(r.members)-s.from, 0)
	for id := s.from; id < len(r.members); id++ {
		r.loop.Pause(id, true)
	}
}

func (s *Slow) ended(_ *Run, id int) bool {
	if s.from == 0 || id < s.from {
		return false
	}
	s.closed++
	return true
}

func (s *Slow) stop(r *Run) {
	for id := s.from; id < len(r.members); id++ {
		r.loop.Pause(id, false)
	}
}

func (s *Slow) tell(part *Part) {
	part.Slow = &report.Slow{Members: s.members, Closed: s.closed}
}
