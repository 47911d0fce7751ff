package load

import (
	"errors"
	"slices"
	"strings"
	"time"

	"throng/bench/latency"
	"throng/bench/proof"
	"throng/bench/report"
)

// initial is how many connections this process opens before the load begins. The
// senders are among them: what comes due for one that is yet to be opened would
// count as the server's delay.
func (r *Run) initial() int {
	if ramp, ok := r.act.(*Ramp); ok {
		return min(max(1, ramp.From/r.config.Processes, len(r.order)), r.config.local())
	}
	return r.config.local()
}

// openMore dials as many of those in the queue as the ramp and the number of
// handshakes under way allow.
func (r *Run) openMore() time.Duration {
	n := min(len(r.queue), r.config.Opening-r.pending)
	wait := tickEvery
	if r.config.RampRate > 0 {
		share := r.config.RampRate / float64(r.config.Processes)
		n = min(n, 1+int(float64(r.now-r.rampFrom)/1e9*share)-r.ramped)
		wait = time.Millisecond
	}
	for range n {
		id := r.queue[0]
		r.queue = r.queue[1:]
		r.ramped++
		r.pending++
		if err := r.loop.Dial(id); err != nil {
			r.Failed(id, err)
		}
	}
	return wait
}

// Opened takes a connection into its room. One that comes while the load runs
// owes an account only of what follows.
func (r *Run) Opened(id int, took time.Duration) {
	r.now = r.loop.Now()
	r.pending--
	r.opened++
	r.present++
	r.peak = max(r.peak, int64(r.present))
	latency.Record(r.handshake, int64(took))
	was := r.standings[id]
	r.standings[id] = present
	number := proof.NotSender
	if !r.config.Silent {
		number = r.config.sender(id)
	}
	room, m := r.room(id), &r.members[id]
	switch {
	case was == dropped: // the account goes on
	case r.phase == opening:
		room.Join(m, number)
	case r.held && !r.config.resumes():
		room.JoinPaused(m, number)
	default:
		room.JoinLate(m, number)
		if id < r.config.local() { // a visitor waits for its own message
			r.newcomers = append(r.newcomers, newcomer{id, r.now + int64(r.config.Patience)})
		}
		r.act.opened(r, id)
	}
}

// newcomer is a connection that came while the load runs, and that must receive
// everything from a time on, even if it was answered before it was in its room.
type newcomer struct {
	id   int
	from int64
}

// expect takes the newcomers whose time has come.
func (r *Run) expect() {
	for len(r.newcomers) > 0 && r.newcomers[0].from <= r.now {
		id := r.newcomers[0].id
		r.newcomers = r.newcomers[1:]
		r.room(id).Expect(&r.members[id])
	}
}

// errUnopened is a handshake that the end of the run found under way.
var errUnopened = errors.New("not open when the run ended")

// Failed counts a connection that did not come about.
func (r *Run) Failed(id int, err error) {
	r.pending--
	r.failed.add(err)
	if r.phase > opening {
		r.act.failed(r, id)
	}
}

// tally counts errors by what they say.
type tally struct {
	counts map[string]int64
	total  int64
}

// tallyLimit bounds the number of different errors that are kept apart.
const tallyLimit = 50

func (t *tally) add(err error) {
	if t.counts == nil {
		t.counts = make(map[string]int64)
	}
	text := strings.TrimSpace(err.Error())
	if _, known := t.counts[text]; !known && len(t.counts) >= tallyLimit {
		text = "others"
	}
	t.counts[text]++
	t.total++
}

// list has the errors, the most frequent first.
func (t *tally) list() (list []report.ErrorCount) {
	for text, count := range t.counts {
		list = append(list, report.ErrorCount{Error: text, Count: count})
	}
	slices.SortFunc(list, func(a, b report.ErrorCount) int {
		if a.Count != b.Count {
			return int(b.Count - a.Count)
		}
		return strings.Compare(a.Error, b.Error)
	})
	return list
}

// first is the most frequent error.
func (t *tally) first() string {
	if list := t.list(); len(list) > 0 {
		return list[0].Error
	}
	return "no reason was given"
}
