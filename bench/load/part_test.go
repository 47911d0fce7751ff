package load_test

import (
	"testing"
	"time"

	"throng/bench/latency"
	"throng/bench/liar"
	"throng/bench/load"
	"throng/bench/report"
)

// part is what a process found out that did nothing.
func part() *load.Part {
	p := &load.Part{Handshake: latency.Histogram{Histogram: latency.NewHistogram()}, Seconds: 1}
	for _, h := range latency.NewRecorder().All() {
		p.Latencies = append(p.Latencies, latency.Histogram{Histogram: *h})
	}
	return p
}

// Who was late is judged by all that was due: a server that stalls lets only a
// few be sent, and a few late ones are no excuse for it.
func TestAStalledServerDoesNotMakeTheLoadLate(t *testing.T) {
	for _, test := range []struct {
		sent, notSent, late int64
		want                bool
	}{
		{20, 980, 5, false}, {20, 980, 20, true}, {1000, 0, 5, false}, {1000, 0, 20, true}, {0, 1000, 20, true}, {0, 0, 0, false},
	} {
		p := part()
		p.Sent, p.NotSent, p.LateSends = test.sent, test.notSent, test.late
		if got := load.Combine([]*load.Part{p}).Load.WasBottleneck; got != test.want {
			t.Errorf("%d sent, %d not, %d late: a bottleneck is %v, want %v", test.sent, test.notSent, test.late, got, test.want)
		}
	}
}

// What comes due while the load generator itself is stuck is sent all the same,
// and late is what it is: nothing was kept back by the server.
func TestALateLoadGeneratorBlamesItself(t *testing.T) {
	t.Parallel()
	config := start(t, &liar.Server{})
	config.Rate, config.Window, config.Messages, config.Duration = 1000, 0, 0, 900*time.Millisecond
	stuck := false
	result := runSampling(t, config, func(s report.Sample) {
		if s.Phase == "measuring" && !stuck {
			stuck = true
			<-time.NewTimer(config.Duration).C // on the loop: until after the end
		}
	})
	clean(t, &result.Proof)
	if d := &result.Delivery; d.NotSent != 0 || d.Sent != 900 || d.LateSends == 0 || !result.Load.WasBottleneck {
		t.Errorf("%d sent, %d not sent, %d late, a bottleneck is %v", d.Sent, d.NotSent, d.LateSends, result.Load.WasBottleneck)
	}
}
