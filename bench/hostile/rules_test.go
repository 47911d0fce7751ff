package hostile

import (
	"errors"
	"strings"
	"testing"
	"time"

	"throng/bench/report"
	"throng/bench/target"
)

// good is the outcome of an attack that nobody noticed.
func good(rules ...rule) *Outcome {
	talk := func() *report.Result {
		r := &report.Result{}
		r.Proof.Received, r.Proof.Expected = 1000, 1000
		r.Latency.Corrected.P99 = int64(time.Millisecond)
		return r
	}
	state := State{RSS: 10 << 20, HeapLive: 1 << 20, FDs: 20, Goroutines: 8, Sockets: target.Sockets{Count: 3}}
	return &Outcome{Attack: &Attack{Name: "test", Squads: []Force{{"idle", 1, 10}}, rules: rules}, Calm: talk(), Pairs: talk(), Room: talk(),
		Before: state, Ready: state, During: state, End: state, After: state, Peak: state, Lasted: time.Second,
		Deeds: []*Deeds{{Most: 10, Done: 5, Figures: map[string]float64{}}}}
}

// Each rule passes what is good and finds the one thing that is not.
func TestRules(t *testing.T) {
	for _, test := range []struct {
		name  string
		rule  rule
		spoil func(o *Outcome)
		want  string
	}{
		{"missing", nil, func(o *Outcome) { o.Pairs.Proof.Missing = 1 }, Failed},
		{"not received", nil, func(o *Outcome) { o.Pairs.Proof.Received-- }, Failed},
		{"nothing said", nil, func(o *Outcome) { o.Pairs.Proof = report.Proof{} }, Failed},
		{"closed", nil, func(o *Outcome) { o.Pairs.Proof.Closed = 1 }, Failed},
		{"twice before", nil, func(o *Outcome) { o.Calm.Proof.Duplicated = 1 }, Failed},
		{"just fast enough", nil, func(o *Outcome) { o.Pairs.Latency.Corrected.P99 = int64(50 * time.Millisecond) }, Passed},
		{"slow", nil, func(o *Outcome) { o.Pairs.Latency.Corrected.P99 = int64(51 * time.Millisecond) }, Failed},
		{"slow as before", nil, func(o *Outcome) {
			o.Calm.Latency.Corrected.P99, o.Pairs.Latency.Corrected.P99 = int64(20*time.Millisecond), int64(100*time.Millisecond)
		}, Passed},
		{"slow on a busy machine", nil, func(o *Outcome) { o.Pairs.Latency.Corrected.P99, o.Waited = int64(time.Second), 0.2 }, Unclear},
		{"slow and lossy on a busy machine", nil, func(o *Outcome) {
			o.Pairs.Latency.Corrected.P99, o.Waited, o.Pairs.Proof.Missing = int64(time.Second), 0.2, 1
		}, Failed},
		{"the server ended", nil, func(o *Outcome) { o.Stray = errors.New("panic") }, Failed},
		{"too few", there(10), func(o *Outcome) { o.Deeds[0].Most = 9 }, Failed},
		{"nothing done", didSomething, func(o *Outcome) { o.Deeds[0].Done = 0 }, Failed},
		{"a goroutine each", noGoroutines, func(o *Outcome) { o.Peak.Goroutines += 10 }, Failed},
		{"goroutines not counted", noGoroutines, func(o *Outcome) { o.Peak.Goroutines = 0 }, Failed},
		{"memory each", memoryEach(10, 4<<10), func(o *Outcome) { o.Peak.RSS += 41 << 10 }, Failed},
		{"memory", memoryAtMost(1 << 20), func(o *Outcome) { o.Peak.RSS += 2 << 20 }, Failed},
		{"heap each", heapEach(10), func(o *Outcome) { o.During.HeapLive += roomSlack + 10*(roomSize+connBytes) + 1 }, Failed},
		{"a fat socket", socketEach, func(o *Outcome) { o.During.Sockets.Largest = socketLimit + 1 }, Failed},
		{"no ss", socketEach, func(o *Outcome) { o.During = State{NoSockets: "no ss"} }, Passed},
		{"no sockets", socketEach, func(o *Outcome) { o.During.Sockets.Count = 0 }, Failed},
		{"a reader lacks something", roomGotAll, func(o *Outcome) { o.Room.Proof.Missing = 1 }, Failed},
		{"an operator's connection is left", backAgain(heapSlack), func(o *Outcome) { o.After.FDs++; o.After.Goroutines++ }, Passed},
		{"a descriptor is left", backAgain(heapSlack), func(o *Outcome) { o.After.FDs++ }, Failed},
		{"a socket is left", backAgain(heapSlack), func(o *Outcome) { o.After.Sockets.Count++ }, Failed},
		{"memory is left", backAgain(heapSlack), func(o *Outcome) { o.After.HeapLive += heapSlack + 1 }, Failed},
		{"goroutines are left", backAgain(heapSlack), func(o *Outcome) { o.After.Goroutines += spareGoroutines + 1 }, Failed},
	} {
		rules := []rule{test.rule}
		if test.rule == nil {
			rules = nil
		}
		if o := good(rules...); o.Verdict() != Passed {
			t.Errorf("%s: before: %s %v", test.name, o.Verdict(), o.Findings())
		}
		o := good(rules...)
		test.spoil(o)
		if got := o.Verdict(); got != test.want {
			t.Errorf("%s: %s, want %s: %v", test.name, got, test.want, o.Findings())
		}
	}
}

// What the attackers saw and what was measured is judged, too.
func TestRulesOfOneAttack(t *testing.T) {
	ends := func(list ...report.ErrorCount) *Deeds { return &Deeds{Ends: list, Figures: map[string]float64{}} }
	cut := func(from, to time.Duration) *Deeds {
		d := ends(report.ErrorCount{Error: "x", Count: 2})
		d.Shortest, d.Longest = int64(from), int64(to)
		return d
	}
	figures := func(pairs map[string]float64) *Deeds { return &Deeds{Figures: pairs} }
	left := func(n int) func(*Outcome) {
		return func(o *Outcome) { o.End.FDs += pairConns + roomMembers + n }
	}
	grown := func(o *Outcome) { o.During.HeapLive += 3 << 20 }
	none := func(*Outcome) {}
	for _, test := range []struct {
		name    string
		rule    rule
		deeds   *Deeds
		prepare func(o *Outcome)
		ok      bool
	}{
		{"cut in time", cutInTime, cut(4800*time.Millisecond, 5300*time.Millisecond), none, true},
		{"cut too soon", cutInTime, cut(3*time.Second, 5*time.Second), none, false},
		{"cut too late", cutInTime, cut(5*time.Second, 9*time.Second), none, false},
		{"not cut", cutInTime, ends(), none, false},
		{"right ends", endsOnly("a", "b"), ends(report.ErrorCount{Error: "a", Count: 1}), none, true},
		{"a wrong end", endsOnly("a", "b"), ends(report.ErrorCount{Error: "a", Count: 1}, report.ErrorCount{Error: "c", Count: 1}), none, false},
		{"no ends", endsOnly("a"), ends(), none, false},
		{"told", stalledTold, figures(map[string]float64{"told of a gap": resumed}), left(resumed), true},
		{"one not told", stalledTold, figures(map[string]float64{"told of a gap": resumed - 1}), left(resumed), false},
		{"one not closed", stalledTold, figures(map[string]float64{"told of a gap": resumed}), left(resumed + 1), false},
		{"all closed", stalledClosed, ends(), left(0), true},
		{"one left", stalledClosed, ends(), left(1), false},
		{"linear", linearTime, figures(map[string]float64{"ns a byte 0": 100, "ns a byte 1": 150}), none, true},
		{"quadratic", linearTime, figures(map[string]float64{"ns a byte 0": 100, "ns a byte 1": 1600}), none, false},
		{"never timed", linearTime, figures(nil), none, false},
		{"twice", twiceThePayload, figures(map[string]float64{"held": 2 << 20}), grown, true},
		{"thrice", twiceThePayload, figures(map[string]float64{"held": 0.9 * (1 << 20)}), grown, false},
		{"cycles", allCycles, &Deeds{Done: churnCycles}, none, true},
		{"a cycle less", allCycles, &Deeds{Done: churnCycles - 1}, none, false},
	} {
		o := good()
		test.prepare(o)
		if f := test.rule(o, test.deeds); f.OK != test.ok {
			t.Errorf("%s: %v: %s", test.name, f.OK, f.Text)
		}
	}
}

// A skipped attack is neither passed nor failed, and says why.
func TestSkipped(t *testing.T) {
	o := good(didSomething)
	o.Deeds[0].Done, o.Deeds[0].Skipped = 0, "no reason"
	if text := Markdown([]*Outcome{o}); o.Verdict() != Skipped || !strings.Contains(text, "skipped: no reason") {
		t.Errorf("%s\n%s", o.Verdict(), text)
	}
	o.Attack.Squads = append(o.Attack.Squads, o.Attack.Squads...) // others have done something
	if o.Verdict() != Failed {
		t.Errorf("with others: %s", o.Verdict())
	}
}
