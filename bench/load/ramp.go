package load

import (
	"fmt"
	"time"

	"throng/bench/report"
)

// rampHold is how long the highest step of a ramp must stand, after its last
// members had the time to hear their first message.
const rampHold = 3 * time.Second

// Ramp adds connections to a room under load until the first limit is met.
type Ramp struct {
	plain
	From  int           // connections before the load begins, of all processes; the senders at least
	Limit time.Duration // of the 99th percentile of the latency

	full    int64 // when the last connection was open
	found   string
	limited bool // another process has met a limit
}

func (p *Ramp) begin(r *Run) {
	for id := r.initial(); id < len(r.members); id++ {
		r.queue = append(r.queue, id)
	}
	r.rampFrom, r.ramped = r.now, 0
}

func (p *Ramp) turn(r *Run) time.Duration {
	if gate := r.config.Gate; gate != nil && gate.Limited() {
		p.limited = true
	}
	switch {
	case p.found != "" || p.limited:
		p.halt(r) // again, because the warm-up's end sets another
	case r.present < len(r.members):
	case p.full == 0:
		p.full = r.now
	case r.now-p.full > int64(rampHold+r.config.Patience):
		p.meet(r, "")
	}
	return tickEvery
}

func (p *Ramp) failed(r *Run, _ int) {
	p.meet(r, fmt.Sprintf("a connection failed: %s", r.failed.first()))
}

func (p *Ramp) ended(r *Run, _ int) bool {
	p.meet(r, "the server closed a connection")
	return false
}

func (p *Ramp) sampled(r *Run, s *report.Sample) {
	if s.P99 > int64(p.Limit) {
		p.meet(r, fmt.Sprintf("latency: the 99th percentile of a second was %s, over %s", report.Duration(s.P99), p.Limit))
	}
}

// meet ends the ramp at its first limit.
func (p *Ramp) meet(r *Run, limit string) {
	if p.found != "" || r.phase > measuring {
		return
	}
	present := report.Number(float64(r.present * r.config.Processes))
	if p.found = noLimit + present + " connections"; limit != "" {
		p.found = fmt.Sprintf("at %s connections: %s", present, limit)
		if r.config.Gate != nil {
			r.config.Gate.Limit()
		}
	}
	p.halt(r)
}

// noLimit is what a ramp says that met none.
const noLimit = "none up to "

// halt ends the load.
func (p *Ramp) halt(r *Run) {
	r.queue = nil
	r.ends = r.now
}

// stop comes before a limit was met only at the end of the time.
func (p *Ramp) stop(r *Run) {
	if p.found == "" && !p.limited {
		p.found = noLimit + report.Number(float64(r.present*r.config.Processes)) + " connections, within the time"
	}
}

func (p *Ramp) tell(part *Part) { part.Limit = p.found }
