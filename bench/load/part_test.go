package load_test

import (
	"math"
	"net/http"
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
	stuck, due := false, int64(0)
	result := lasting(t, 900*time.Millisecond, func(long time.Duration) *report.Result {
		config := start(t, &liar.Server{})
		config.Rate, config.Window, config.Messages, config.Duration = 1000, 0, 0, long
		due = long.Milliseconds()
		return runSampling(t, config, func(s report.Sample) {
			if s.Phase == "measuring" && !stuck {
				stuck = true
				<-time.NewTimer(config.Duration).C // on the loop: until after the end
			}
		})
	}, func(*report.Result) bool { return stuck })
	clean(t, &result.Proof)
	if d := &result.Delivery; d.NotSent != 0 || d.Sent != due || d.LateSends == 0 || !result.Load.WasBottleneck {
		t.Errorf("%d sent, %d not sent, %d late, a bottleneck is %v", d.Sent, d.NotSent, d.LateSends, result.Load.WasBottleneck)
	}
}

// What grows with the connections is no leak: the slopes are those of measuring.
func TestSlopesAreThoseOfMeasuring(t *testing.T) {
	p := part()
	p.Server = &report.Server{}
	for i := range 200 {
		s := report.Sample{T: float64(i - 100), Phase: "opening", RSS: int64(i) * 1e6, FDs: i, Goroutines: i}
		if i >= 95 {
			s.Phase = "warm-up"
		}
		if i >= 100 {
			// A byte, a descriptor in ten seconds and a goroutine in five.
			s.Phase, s.RSS, s.FDs, s.Goroutines = "measuring", 100e6+int64(i), 100+i/10, 100+i/5
		}
		p.Samples = append(p.Samples, s)
	}
	p.Samples = append(p.Samples, report.Sample{T: 100, Phase: "draining"})
	s := load.Combine([]*load.Part{p}).Server.Slopes
	if s == nil || math.Abs(s.RSSBytes-3600) > 1 || math.Abs(s.FDs-360) > 5 || math.Abs(s.Goroutines-720) > 5 {
		t.Errorf("slopes %+v, want about 3600, 360 and 720 an hour", s)
	}
	p.Samples = p.Samples[:159]
	if s := load.Combine([]*load.Part{p}).Server.Slopes; s != nil {
		t.Errorf("slopes of 59 s of measuring: %+v", s)
	}
}

// One clock runs through all phases, and measuring begins at 0 of it.
func TestTheSeriesBeginsBeforeMeasuring(t *testing.T) {
	t.Parallel()
	answer := make(chan struct{})
	config := start(t, &liar.Server{Arrive: func(*http.Request) { <-answer }})
	config.Messages, config.Warmup, config.Duration = 0, 1100*time.Millisecond, time.Hour
	r, err := load.New(config)
	if err != nil {
		t.Fatal(err)
	}
	var shown []report.Sample
	r.OnSample = func(s report.Sample) {
		shown = append(shown, s)
		if len(shown) == 1 {
			close(answer)
		}
		if s.Phase == "measuring" {
			r.Cut("enough")
		}
	}
	if err := r.Go(); err != nil {
		t.Fatal(err)
	}
	samples := r.Part().Samples
	for i, s := range samples {
		if before := s.Phase == "opening" || s.Phase == "warm-up"; before != (s.T < 0) {
			t.Errorf("%s at %.3f s", s.Phase, s.T)
		}
		if i > 0 && s.T < samples[i-1].T {
			t.Errorf("%.3f s comes after %.3f s", s.T, samples[i-1].T)
		}
		if s.Phase != "opening" && s.T != shown[i].T {
			t.Errorf("%s was shown at %.3f s and is reported at %.3f s", s.Phase, shown[i].T, s.T)
		}
	}
	if shown[0].Phase != "opening" || shown[0].T < 1 || samples[0].T > shown[0].T-2 {
		t.Errorf("the first sample was shown as %+v and is reported at %.3f s", shown[0], samples[0].T)
	}
}
