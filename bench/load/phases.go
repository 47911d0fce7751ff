package load

import (
	"fmt"
	"time"

	"throng/bench/proof"
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
		if r.now >= r.ends || r.said() {
			r.drain()
		}
	case draining:
		r.drainTick()
	}
	r.unstick()
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
	r.phase, r.idleSince = draining, r.now
	r.marks.idle = r.account.Received
	r.act.stop(r)
	if r.config.Gate != nil {
		sent := make(map[int]int64, len(r.senders))
		for number, s := range r.senders {
			sent[number] = s.next
		}
		r.config.Gate.Sent(sent)
	}
}

// drainTick waits until everything has arrived, or nothing more does.
func (r *Run) drainTick() {
	if r.account.Received > r.marks.idle {
		r.marks.idle, r.idleSince = r.account.Received, r.now
	}
	if r.act.settled(r) && r.complete() || r.now-r.idleSince > int64(r.config.Patience) {
		r.finish()
	}
}

// complete reports whether every member that is still there has everything.
func (r *Run) complete() bool {
	if gate := r.config.Gate; gate != nil && r.totals == nil {
		totals, known := gate.Totals()
		if !known {
			return false
		}
		r.totals = totals
	}
	due := -r.account.Announced - r.account.Counts[proof.Corrupted]
	for id := range r.members {
		if r.standings[id] == present {
			room := r.config.room(id)
			due += r.rooms[room].Due(&r.members[id], r.sentBy)
		}
	}
	return due <= 0
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
	for id := range r.members {
		r.settle(id, r.standings[id] == gone || r.cut.Load() != nil)
	}
	r.save()
	r.phase = done
}
