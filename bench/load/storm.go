package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"throng/bench/latency"
)

// Storm drops all connections at once, as a failing network does, and brings
// them back as fast as the server takes them.
type Storm struct {
	plain
	Calm time.Duration // between the return of the last connection and the next storm

	next     int64
	struck   int64 // when the present storm began; 0 in calm
	retry    []int
	retryAt  int64
	recovery *hdrhistogram.Histogram
	stopped  bool
}

// retryAfter is how long a connection waits that was refused during a storm.
const retryAfter = 200 * time.Millisecond

func (s *Storm) begin(r *Run) {
	s.recovery = latency.NewHistogram()
	s.next = r.now + int64(s.Calm)
}

func (s *Storm) turn(r *Run) time.Duration {
	if s.struck == 0 {
		if r.now >= s.next && !s.stopped {
			s.strike(r)
		}
		return time.Duration(max(s.next-r.now, 0))
	}
	if len(s.retry) > 0 && r.now >= s.retryAt {
		r.queue = append(r.queue, s.retry...)
		s.retry = s.retry[:0]
	}
	if r.present == r.config.local() {
		latency.Record(s.recovery, r.now-s.struck)
		s.struck, s.next = 0, r.now+int64(s.Calm)
		r.resume()
	}
	return tickEvery
}

// strike drops every connection.
func (s *Storm) strike(r *Run) {
	s.struck = r.now
	r.hold()
	for id := range r.members {
		r.loop.Close(id, true)
		r.dismiss(id)
		r.queue = append(r.queue, id)
	}
	r.rampFrom, r.ramped = r.now, 0
	for _, sender := range r.order {
		sender.acknowledged = sender.next // what was under way may be lost, and rightly
	}
}

// failed makes a connection try again that the server refused.
func (s *Storm) failed(r *Run, id int) {
	s.retry = append(s.retry, id)
	s.retryAt = r.now + int64(retryAfter)
}

func (s *Storm) stop(*Run) { s.stopped = true }

func (s *Storm) settled(r *Run) bool {
	if s.struck != 0 {
		s.turn(r)
	}
	return s.struck == 0
}

func (s *Storm) tell(part *Part) {
	if s.recovery != nil {
		part.Recovery = &latency.Histogram{Histogram: s.recovery}
	}
}
