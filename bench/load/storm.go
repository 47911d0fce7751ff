package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"throng/bench/latency"
)

// Storm drops all connections at once, as a failing network does, and brings
// them back as fast as the server takes them. In throng.v1 they go on behind the
// last message that they have; in plain text they come as somebody else.
type Storm struct {
	plain
	Calm time.Duration // between the return of the last connection and the next storm

	next       int64
	mark       map[int]int64 // what each sender had sent when the storm was due; nil before
	heard      int           // connections below have received that
	behind     int           // connections below have caught up after the present storm
	struck     int64         // when the present storm began; 0 in calm
	retry      []int
	retryAt    int64
	recovery   *hdrhistogram.Histogram
	stopped    bool
	unfinished int64
}

// retryAfter is how long a connection waits that was refused during a storm.
const retryAfter = 200 * time.Millisecond

func (s *Storm) begin(r *Run) {
	s.recovery = latency.NewHistogram()
	s.next = r.now + int64(s.Calm)
}

func (s *Storm) turn(r *Run) time.Duration {
	if s.struck == 0 {
		return s.calm(r)
	}
	if len(s.retry) > 0 && r.now >= s.retryAt {
		r.queue = append(r.queue, s.retry...)
		s.retry = s.retry[:0]
	}
	if r.present == r.config.local() && s.caughtUp(r) {
		latency.Record(s.recovery, r.now-s.struck)
		s.struck, s.next = 0, r.now+int64(s.Calm)
		r.resume()
	}
	return tickEvery
}

// calm waits for the next storm. It strikes amid the traffic, but not before
// everybody has received what had been sent when it was due, or had the time to:
// a member that hears nothing would never be found otherwise.
func (s *Storm) calm(r *Run) time.Duration {
	if s.stopped || r.now < s.next {
		return time.Duration(max(s.next-r.now, 0))
	}
	if s.mark == nil {
		s.mark, s.heard = make(map[int]int64), 0
		for _, sender := range r.order {
			s.mark[sender.number] = sender.next
		}
	}
	for s.heard < len(r.members) && !(r.standings[s.heard] == present && r.room(s.heard).Awaits(&r.members[s.heard], s.sent)) {
		s.heard++
	}
	if s.heard == len(r.members) || r.now-s.next > int64(r.config.Patience) {
		s.strike(r)
	}
	return time.Millisecond
}

// sent is what a sender had sent when the storm was due. Of those of other
// processes, which have storms of their own, nothing is expected.
func (s *Storm) sent(number int) int64 { return s.mark[number] }

// strike drops every connection.
func (s *Storm) strike(r *Run) {
	s.struck = r.now
	r.hold()
	for id := range r.members {
		r.loop.Close(id, true)
		if r.config.resumes() && r.standings[id] == present {
			r.interrupt(id)
		} else {
			s.cut(r, id)
		}
		r.queue = append(r.queue, id)
	}
	s.mark, s.behind = nil, 0
	r.rampFrom, r.ramped = r.now, 0
	if r.config.resumes() {
		return
	}
	for _, sender := range r.order {
		sender.acknowledged = sender.next // what was under way may be lost, and rightly
	}
}

// cut closes the account of a connection that comes back as somebody else.
func (s *Storm) cut(r *Run, id int) {
	if r.standings[id] == present {
		r.room(id).Cut(&r.members[id], id, s.sent)
		r.standings[id] = unborn
		r.present--
	}
	r.dismiss(id)
}

// caughtUp reports whether everybody has what was said before it was back.
func (s *Storm) caughtUp(r *Run) bool {
	if !r.config.resumes() {
		return true
	}
	for s.behind < r.config.local() && r.caughtUp(s.behind) {
		s.behind++
	}
	return s.behind == r.config.local()
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

func (s *Storm) end(r *Run) {
	if s.struck != 0 {
		s.unfinished = 1
	}
	for range s.retry {
		r.failed.add(errUnopened)
	}
}

func (s *Storm) tell(part *Part) {
	if s.recovery == nil { // it never began
		s.recovery = latency.NewHistogram()
	}
	part.Recovery = &latency.Histogram{Histogram: s.recovery}
	part.Unfinished = s.unfinished
}
