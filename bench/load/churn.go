package load

import (
	"errors"
	"time"

	"throng/bench/report"
	"throng/bench/wire"
)

// Where a visitor stands.
const (
	away = iota
	arriving
	saying  // waits for its own message to come back
	leaving // waits for the answer to its close frame
)

var errUnanswered = errors.New("a visitor's message or goodbye was not answered in time")

// Churn lets visitors come, say one thing, hear it, and leave, at a rate, while
// the other members stay and hear all of it.
type Churn struct {
	Rate float64 // visits a second, of all processes

	first    int // the connection number of the first visitor
	visits   []visit
	free     []int
	interval int64
	next     int64
	stopped  bool
	done     int64
	heldBack int64 // visits that came late because all visitors were under way
}

// visit is one visitor's present one.
type visit struct {
	state int
	since int64
}

func (c *Churn) begin(r *Run) {
	c.first = r.config.local()
	c.visits = make([]visit, len(r.members)-c.first)
	for i := range c.visits {
		c.free = append(c.free, i)
	}
	c.interval = max(int64(1e9*float64(r.config.Processes)/c.Rate), 1)
	c.next = r.now
}

func (c *Churn) turn(r *Run) time.Duration {
	if c.stopped {
		return tickEvery
	}
	for ; c.next <= r.now && len(c.free) > 0; c.next += c.interval {
		i := c.free[0]
		c.free = c.free[1:]
		c.visits[i] = visit{arriving, r.now}
		r.queue = append(r.queue, c.first+i)
	}
	if c.next <= r.now { // a loop over all that a long turn has held back would make the next one longer
		n := (r.now-c.next)/c.interval + 1
		c.heldBack += n
		c.next += n * c.interval
	}
	return time.Duration(c.next - r.now)
}

// visitor finds a connection's visit, if it is a visitor's.
func (c *Churn) visitor(id int) (*visit, bool) {
	if id < c.first || c.visits == nil {
		return nil, false
	}
	return &c.visits[id-c.first], true
}

func (c *Churn) opened(r *Run, id int) {
	v, ok := c.visitor(id)
	switch {
	case ok && c.stopped:
		r.loop.Close(id, false) // too late to say anything
		c.release(r, id)
	case ok:
		*v = visit{saying, r.now}
		s := r.senders[r.config.sender(id)]
		r.loop.SendFrames(id, r.appendMessage(nil, s))
	}
}

func (c *Churn) own(r *Run, id int) {
	if v, ok := c.visitor(id); ok && v.state == saying {
		*v = visit{leaving, r.now}
		r.loop.SendFrames(id, wire.AppendClose(nil, uint32(r.random.Uint64()), 1000))
	}
}

func (c *Churn) ended(r *Run, id int) bool {
	v, ok := c.visitor(id)
	if !ok {
		return false
	}
	asIntended := v.state == leaving
	if asIntended {
		c.done++
	}
	c.release(r, id)
	return asIntended
}

func (c *Churn) failed(r *Run, id int) {
	if _, ok := c.visitor(id); ok {
		c.release(r, id)
	}
}

// release makes a visitor free for its next visit.
func (c *Churn) release(r *Run, id int) {
	r.dismiss(id)
	c.visits[id-c.first].state = away
	c.free = append(c.free, id-c.first)
}

// sampled ends visits that the server left unanswered.
func (c *Churn) sampled(r *Run, _ *report.Sample) {
	for i := range c.visits {
		if v := &c.visits[i]; v.state > arriving && r.now-v.since > int64(r.config.Patience) {
			c.giveUp(r, i)
		}
	}
}

// giveUp ends a visit that the server left unanswered.
func (c *Churn) giveUp(r *Run, i int) {
	r.loop.Close(c.first+i, true)
	r.closed.add(errUnanswered)
	c.release(r, c.first+i)
}

func (c *Churn) stop(*Run)         { c.stopped = true }
func (c *Churn) settled(*Run) bool { return len(c.free) == len(c.visits) }

// end counts the visits that the server left unanswered. Those that are still
// arriving count as handshakes.
func (c *Churn) end(r *Run) {
	for i := range c.visits {
		if c.visits[i].state > arriving {
			c.giveUp(r, i)
		}
	}
}

func (c *Churn) tell(part *Part) {
	part.Churn = &report.Churn{Visits: c.done, HeldBack: c.heldBack}
}
