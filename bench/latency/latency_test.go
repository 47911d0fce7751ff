package latency_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"throng/bench/latency"
)

// near reports whether a value has the three digits that the histograms keep.
func near(got int64, want float64) bool { return math.Abs(float64(got)-want) <= want/500+2_000 }

func TestPercentilesOfKnownDistributions(t *testing.T) {
	const n = 1_000_000
	random := rand.New(rand.NewPCG(1, 2))
	for _, test := range []struct {
		name      string
		draw      func(i int) int64
		quantile  func(q float64) float64
		tolerance float64 // of the sampling, beyond that of the histogram
	}{
		{"uniform", func(i int) int64 { return int64(i+1) * 1000 }, func(q float64) float64 { return q * n * 1000 }, 0},
		{"constant", func(int) int64 { return 5_000_000 }, func(float64) float64 { return 5_000_000 }, 0},
		{"exponential", func(int) int64 { return int64(random.ExpFloat64() * 1e6) },
			func(q float64) float64 { return -math.Log(1-q) * 1e6 }, 0.03},
	} {
		h := latency.NewHistogram()
		for i := range n {
			latency.Record(h, test.draw(i))
		}
		for _, q := range []float64{0.5, 0.9, 0.99, 0.999} {
			got, want := h.ValueAtQuantile(100*q), test.quantile(q)
			if !near(got, want) && math.Abs(float64(got)-want) > test.tolerance*want {
				t.Errorf("%s: %v-quantile %d, want %.0f", test.name, q, got, want)
			}
		}
	}
}

func TestRecordKeepsWhatIsOutOfRange(t *testing.T) {
	h := latency.NewHistogram()
	latency.Record(h, -5)
	latency.Record(h, math.MaxInt64)
	if h.TotalCount() != 2 || h.Min() > 1000 || h.Max() < int64(59*time.Minute) {
		t.Errorf("%d values from %d to %d", h.TotalCount(), h.Min(), h.Max())
	}
}

// Gil Tene's example of coordinated omission: a server answers in 1 ms for 100
// s, and then not at all for 100 s. A client that sends 100 messages a second,
// but waits for each answer, measures 10,000 times 1 ms and one time 100 s, and
// believes in a 99.9th percentile of 1 ms. Half of what ought to have been sent
// waited for 50 s on average.
func TestCoordinatedOmission(t *testing.T) {
	const (
		interval = int64(10 * time.Millisecond)
		service  = int64(time.Millisecond)
		half     = int64(100 * time.Second)
	)
	r := latency.NewRecorder()
	free := int64(0) // when the sender may send again
	for i := range 2 * half / interval {
		intended := i * interval
		sent := max(intended, free)
		arrived := sent + service
		if sent <= half && intended >= half || sent < half && arrived > half {
			arrived = 2 * half
		}
		if sent >= 2*half {
			arrived = sent // the queue is let through at once
		}
		free = arrived
		r.Receive(r.Begin(latency.Message{Intended: intended, Sent: sent}, 1, 1), arrived)
	}
	r.Roll()
	if got := r.Raw.ValueAtQuantile(99.9); got > 2*service {
		t.Errorf("raw 99.9th percentile %s: the example is wrong", time.Duration(got))
	}
	for q, want := range map[float64]float64{50: 1e6, 75: 50e9, 99: 98e9, 100: 100e9} {
		if got := r.Corrected.ValueAtQuantile(q); math.Abs(float64(got)-want) > want/50+1e6 {
			t.Errorf("corrected %vth percentile %s, want about %s", q, time.Duration(got), time.Duration(want))
		}
	}
}

func TestABroadcastHasFirstMedianAndLast(t *testing.T) {
	r := latency.NewRecorder()
	ticket := r.Begin(latency.Message{}, 100, 1)
	for i := 100; i >= 1; i-- {
		r.Receive(ticket, int64(i)*1_000_000)
	}
	r.Receive(ticket, 999_000_000) // more than there were: the ticket is void
	r.Roll()
	for _, test := range []struct {
		name string
		got  int64
		want float64
	}{
		{"first", r.First.Max(), 1e6}, {"median", r.Median.Max(), 50e6}, {"99th", r.P99.Max(), 99e6},
		{"last", r.Last.Max(), 100e6}, {"spread", r.Spread.Max(), 99e6},
	} {
		if !near(test.got, test.want) {
			t.Errorf("%s: %d, want %.0f", test.name, test.got, test.want)
		}
	}
	if n := r.Corrected.TotalCount(); n != 100 {
		t.Errorf("%d deliveries, want 100", n)
	}
}

func TestRollReportsWhatIsNew(t *testing.T) {
	r := latency.NewRecorder()
	r.Receive(r.Begin(latency.Message{}, 1, 1), 1_000_000)
	if got := r.Roll(); !near(got.P50, 1e6) {
		t.Errorf("first: %+v", got)
	}
	if got := r.Roll(); got.P50 != 0 || got.Max != 0 {
		t.Errorf("nothing new, but %+v", got)
	}
	if r.Corrected.TotalCount() != 1 {
		t.Errorf("%d in all, want 1", r.Corrected.TotalCount())
	}
}

func TestHistogramsTravel(t *testing.T) {
	h := latency.Histogram{Histogram: latency.NewHistogram()}
	for i := range int64(1000) {
		latency.Record(h.Histogram, i*10_000)
	}
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var back latency.Histogram
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if !back.Equals(h.Histogram) {
		t.Error("it came back changed")
	}
}

// A broadcast that does not reach a member is counted, its deliveries are
// measured all the same, and those after it go on.
func TestABroadcastThatFailsIsIncomplete(t *testing.T) {
	r := latency.NewRecorder()
	failed := r.Begin(latency.Message{}, 3, 1)
	r.Receive(failed, 1_000_000)
	r.Fail(failed)
	r.Fail(failed)
	next := r.Begin(latency.Message{Seq: 1}, 2, 1)
	for at := range int64(3) { // late, and now all of them
		r.Receive(failed, (5+at)*1_000_000)
	}
	r.Receive(next, 2_000_000)
	r.Receive(next, 3_000_000)
	r.Fail(next) // it is complete, and stays so
	r.Roll()
	if r.Incomplete != 1 || r.Last.TotalCount() != 1 || !near(r.Last.Max(), 3e6) || r.Corrected.TotalCount() != 6 {
		t.Errorf("%d incomplete, %d complete, the last after %d, %d deliveries", r.Incomplete, r.Last.TotalCount(), r.Last.Max(), r.Corrected.TotalCount())
	}
}

// Who left by itself is not waited for.
func TestABroadcastGoesOnWithoutWhoLeft(t *testing.T) {
	for name, leave := range map[string][]string{
		"before the last receiver": {"leave", "receive", "receive"},
		"after it":                 {"receive", "receive", "leave"},
	} {
		r := latency.NewRecorder()
		ticket := r.Begin(latency.Message{}, 3, 1)
		for i, what := range leave {
			if what == "leave" {
				r.Excuse(ticket)
			} else {
				r.Receive(ticket, int64(i+1)*1_000_000)
			}
		}
		if r.Last.TotalCount() != 1 || r.Incomplete != 0 {
			t.Errorf("%s: %d complete, %d incomplete", name, r.Last.TotalCount(), r.Incomplete)
		}
	}
	r := latency.NewRecorder()
	ticket := r.Begin(latency.Message{}, 1, 1)
	r.Excuse(ticket)
	if r.Last.TotalCount() != 0 {
		t.Error("a broadcast to nobody has a last receiver")
	}
}
