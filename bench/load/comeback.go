package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"throng/bench/latency"
)

// Comeback brings connections back that the server has dropped, all of them, as
// clients do when it was restarted. What was under way then may be lost; what
// is sent once all are back may not.
type Comeback struct {
	plain

	lost     int64 // when the first of them ended; 0 while all are there
	retry    []int
	retryAt  int64
	recovery *hdrhistogram.Histogram
}

func (c *Comeback) begin(*Run) { c.recovery = latency.NewHistogram() }

// ended drops the others, too: half a room would be owed half the messages.
func (c *Comeback) ended(r *Run, id int) bool {
	if c.lost == 0 {
		c.lost = r.now
		r.hold()
		for _, sender := range r.order {
			sender.acknowledged = sender.next
		}
		for other := range r.members {
			if other != id && r.standings[other] == present {
				r.loop.Close(other, true)
				r.dismiss(other)
				c.retry = append(c.retry, other)
			}
		}
	}
	r.dismiss(id)
	c.failed(r, id)
	return true
}

func (c *Comeback) failed(r *Run, id int) {
	c.retry = append(c.retry, id)
	c.retryAt = r.now + int64(retryAfter)
}

func (c *Comeback) turn(r *Run) time.Duration {
	if c.lost == 0 {
		return tickEvery
	}
	if len(c.retry) > 0 && r.now >= c.retryAt {
		r.queue = append(r.queue, c.retry...)
		c.retry = c.retry[:0]
	}
	if r.present == r.config.local() {
		latency.Record(c.recovery, r.now-c.lost)
		c.lost = 0
		r.resume()
	}
	return tickEvery
}

func (c *Comeback) settled(r *Run) bool {
	c.turn(r)
	return c.lost == 0
}

func (c *Comeback) end(r *Run) {
	for range c.retry {
		r.failed.add(errUnopened)
	}
}

func (c *Comeback) tell(part *Part) {
	if c.recovery != nil {
		part.Recovery = &latency.Histogram{Histogram: c.recovery}
	}
}
