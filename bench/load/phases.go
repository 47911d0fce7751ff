package load

import (
	"errors"
	"fmt"
	"time"

	"throng/bench/report"
)

// phase is where a run stands.
type phase int

const (
	opening phase = iota
	warmup
	measuring
	draining
	done
)

var phaseNames = [...]string{"opening", "warm-up", "measuring", "draining", "done"}

// tickEvery is how often the slower things are looked at.
const tickEvery = 10 * time.Millisecond

// settling is how long nobody sends after the last handshake. Many a chat server
// answers first and enters the member into its room a moment later, on another
// goroutine; what is sent in between is not missing.
const settling = 200 * time.Millisecond

// tick moves the phases on and keeps the time series.
func (r *Run) tick() {
	r.nextTick = r.now + int64(tickEvery)
	switch r.phase {
	case opening:
		r.openingTick()
	case warmup:
		if r.now >= r.ends {
			r.measure()
		}
	case measuring:
		if r.enough.Load() {
			r.ends = min(r.ends, r.now) // what was due later is not late
		}
		if r.now >= r.ends || r.said() {
			r.drain()
		}
	case draining:
		r.drainTick()
	}
	r.unstick()
	r.retry()
	r.expect()
	if r.now >= r.nextSave {
		r.save()
	}
}

// openingTick goes on to the load once every connection has an answer.
func (r *Run) openingTick() {
	if len(r.queue) > 0 || r.pending > 0 {
		return
	}
	if r.opened == 0 {
		r.errs = fmt.Errorf("no connection could be opened: %s", r.failed.first())
		r.phase = done
		return
	}
	if r.ready == 0 {
		r.ready, r.atStart = r.now, r.opened
	}
	if r.now-r.ready < int64(settling) {
		return
	}
	if r.marks.opened.at == 0 {
		r.isReady()
	}
	begin := r.now
	if gate := r.config.Gate; gate != nil {
		at, known := gate.Begin()
		if !known || at > r.now {
			return
		}
		begin = at
	}
	r.begin(begin)
}

// isReady notes that every connection is open.
func (r *Run) isReady() {
	if r.config.Gate != nil {
		r.config.Gate.Ready()
	}
	r.marks.opened = r.mark()
	r.bytesPerConn = float64(heapBytes()-r.marks.heap) / float64(len(r.members))
}

// begin begins the load.
func (r *Run) begin(at int64) {
	r.start, r.ends = at, at+int64(r.config.Warmup)
	r.phase = warmup
	if r.config.Warmup == 0 {
		r.measure()
	}
	r.act.begin(r)
	r.startSending()
}

// measure begins the part of the run that the figures are of.
func (r *Run) measure() {
	r.marks.start = r.mark()
	r.phase, r.ends = measuring, r.start+int64(r.config.Warmup+r.config.Duration)
	r.longest = 0
}

// drain ends the part that is measured; what is under way may still arrive.
func (r *Run) drain() {
	r.endMeasuring()
	r.countUnsent()
	r.phase, r.idleSince = draining, r.now
	r.waitUntil = r.now + r.drainLimit()
	r.act.stop(r)
	if r.config.Gate != nil {
		sent := make(map[int]int64, len(r.senders))
		for number, s := range r.senders {
			sent[number] = s.next
		}
		r.config.Gate.Sent(sent)
		// The others end no later than this one ought to have.
		r.waitUntil = max(r.now, r.start+int64(r.config.Warmup+r.config.Duration)) + r.drainLimit()
	}
}

// drainLimit is how long what is under way at the end may take in all. A server
// that always delivers a little more would never let Patience end.
func (r *Run) drainLimit() int64 {
	limit := 10*r.config.Patience + r.config.Handshake
	if r.config.RampRate > 0 {
		limit += time.Duration(float64(len(r.queue)*r.config.Processes) / r.config.RampRate * float64(time.Second))
	}
	return int64(limit)
}

// drainTick waits until everything has arrived, or nothing more does.
func (r *Run) drainTick() {
	if progress := r.account.Received + r.opened; progress != r.marks.idle {
		r.marks.idle, r.idleSince = progress, r.now
	}
	settled := r.act.settled(r)
	switch {
	case !r.totalled():
		if r.now > r.waitUntil {
			r.errs = errors.New("the other client processes did not say in time what they had sent")
			r.phase = done
		}
	case settled && r.complete() || r.now-r.idleSince > int64(r.config.Patience):
		r.finish()
	case r.now > r.waitUntil:
		r.overdue = fmt.Sprintf("what was under way at the end still trickled in after %s, and was not waited for any longer",
			report.Duration(r.now-r.marks.end.at))
		r.finish()
	}
}

// totalled reports whether it is known what all senders have sent. Before that no
// process can tell what is missing.
func (r *Run) totalled() bool {
	gate := r.config.Gate
	if gate == nil || r.totals != nil {
		return true
	}
	totals, known := gate.Totals()
	if known {
		r.totals = totals
		r.idleSince, r.waitUntil = r.now, r.now+r.drainLimit()
	}
	return known
}

// complete reports whether every member that is still there has everything.
func (r *Run) complete() bool {
	for id := range r.members {
		if r.standings[id] == present && r.room(id).Due(&r.members[id], r.sentBy) > 0 {
			return false
		}
	}
	return true
}

// sentBy is how many messages a sender has sent.
func (r *Run) sentBy(number int) int64 {
	if s := r.senders[number]; s != nil {
		return s.next
	}
	return r.totals[number]
}

// finish closes all accounts.
func (r *Run) finish() {
	if r.phase < draining {
		r.endMeasuring()
		if r.marks.start.at == 0 {
			r.marks.start = r.marks.end
		}
	}
	cut := r.cut.Load() != nil
	if !cut {
		r.countUnopened()
		r.act.end(r)
	}
	for id := range r.members {
		r.settle(id, r.standings[id] != present || cut)
	}
	r.save()
	r.phase = done
}

// countUnopened counts the connections that the end found under way, which a ramp
// leaves behind on purpose.
func (r *Run) countUnopened() {
	if _, ramp := r.act.(*Ramp); ramp {
		return
	}
	for range r.pending + len(r.queue) {
		r.failed.add(errUnopened)
	}
}
