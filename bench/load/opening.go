package load

import (
	"slices"
	"strings"
	"time"

	"throng/bench/latency"
	"throng/bench/proof"
	"throng/bench/report"
)

// openMore dials as many connections as the ramp and the number of handshakes
// under way allow.
func (r *Run) openMore() time.Duration {
	allowed := len(r.members)
	if r.config.RampRate > 0 {
		share := r.config.RampRate / float64(r.config.Processes)
		allowed = min(allowed, 1+int(float64(r.now-r.began)/1e9*share))
	}
	for r.dialled < allowed && r.pending < r.config.Opening {
		id := r.dialled
		r.dialled++
		r.pending++
		if err := r.loop.Dial(id); err != nil {
			r.Failed(id, err)
		}
	}
	if r.config.RampRate > 0 {
		return time.Millisecond
	}
	return tickEvery
}

// Opened takes a connection into its room.
func (r *Run) Opened(id int, took time.Duration) {
	r.pending--
	r.opened++
	r.present++
	latency.Record(r.handshake, int64(took))
	r.standings[id] = present
	number := proof.NotSender
	if !r.config.Silent {
		number = r.config.sender(id)
	}
	r.rooms[r.config.room(id)].Join(&r.members[id], number)
}

// Failed counts a connection that did not come about.
func (r *Run) Failed(_ int, err error) {
	r.pending--
	r.failed.add(err)
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
