package load_test

import (
	"cmp"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"throng/bench/clock"
	"throng/bench/liar"
	"throng/bench/load"
	"throng/bench/report"
)

// mute delivers nothing to some members.
func mute(is func(member int) bool) func(liar.Delivery) [][]byte {
	return func(d liar.Delivery) [][]byte {
		if is(d.Member) {
			return nil
		}
		return [][]byte{d.Frame}
	}
}

// unanswered is a server that stops to answer handshakes after so many.
func unanswered(t *testing.T, after int) load.Config {
	t.Helper()
	release := make(chan struct{})
	server := &liar.Server{AnswerAfter: after, Answer: func(io.Writer, *http.Request) { <-release }}
	config := start(t, server)
	t.Cleanup(func() { close(release) })
	config.Opening = 1 // so that it is exactly so many
	config.Messages, config.Patience = 0, time.Second
	return config
}

// limited makes a run that must come to an end.
func limited(t *testing.T, config load.Config) *report.Result {
	t.Helper()
	r, err := load.New(config)
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan error)
	go func() { over <- r.Go() }()
	select {
	case err := <-over:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the run does not end")
	}
	return load.Combine([]*load.Part{r.Part()})
}

func TestARampFindsMembersThatHearNothing(t *testing.T) {
	t.Parallel()
	config := start(t, &liar.Server{Lie: mute(func(member int) bool { return member == 10 })})
	config.Conns, config.Messages, config.Opening, config.Patience = 12, 0, 1, 500*time.Millisecond
	config.Act = &load.Ramp{From: 5, Limit: time.Hour}
	result := run(t, config)
	p := &result.Proof
	if p.Missing == 0 || len(p.Findings) == 0 || !strings.HasPrefix(result.Limit, "none up to 12 ") {
		t.Fatalf("missing %d, findings %v, limit %q", p.Missing, p.Findings, result.Limit)
	}
	for _, f := range p.Findings {
		if f.Member != 10 {
			t.Errorf("%s: the others missed nothing", f)
		}
	}
}

func TestAStormFindsMembersThatHearNothingAfterIt(t *testing.T) {
	t.Parallel()
	for name, is := range map[string]func(int) bool{
		"one":  func(member int) bool { return member == members+5 },
		"none": func(member int) bool { return member >= members },
	} {
		server := &liar.Server{Lie: mute(is)}
		config := start(t, server)
		config.Act, config.Patience = &load.Storm{Calm: 20 * time.Millisecond}, 100*time.Millisecond
		result := runUntil(t, config, func() bool { return server.Joined() > 3*members })
		if result.Proof.Missing == 0 {
			t.Errorf("%s: nothing is missing of %d that were due", name, result.Proof.Expected)
		}
	}
}

func TestAStormThatDoesNotEndIsAFailure(t *testing.T) {
	t.Parallel()
	result := lasting(t, 300*time.Millisecond, func(long time.Duration) *report.Result {
		config := unanswered(t, members+5)
		config.Duration, config.Act = long, &load.Storm{Calm: 20 * time.Millisecond}
		return run(t, config)
	}, func(r *report.Result) bool { return r.Connect.Failed > 0 })
	if s := result.Storm; s == nil || s.Unfinished != 1 || s.Rounds != 0 || result.Connect.Failed != members-5 {
		t.Errorf("storm %+v, %d failed, want %d", s, result.Connect.Failed, members-5)
	}
	if result.Proof.Missing != 0 {
		t.Errorf("%d missing: nobody sends before all are back", result.Proof.Missing)
	}
}

func TestNoStormIsToldAsWell(t *testing.T) {
	t.Parallel()
	config := start(t, &liar.Server{})
	config.Act = &load.Storm{Calm: time.Hour}
	if s := run(t, config).Storm; s == nil || s.Rounds != 0 {
		t.Errorf("storm %+v, want one of no rounds", s)
	}
	r, err := load.New(config)
	if err != nil {
		t.Fatal(err)
	}
	if load.Combine([]*load.Part{r.Part()}).Storm == nil {
		t.Error("a run that was cut before its load began tells of no storm")
	}
}

func TestVisitsThatDoNotEndAreFailures(t *testing.T) {
	t.Parallel()
	result := lasting(t, 300*time.Millisecond, func(long time.Duration) *report.Result {
		config := unanswered(t, members)
		config.Duration = long
		config.Visitors, config.Act = 10, &load.Churn{Rate: 1e12} // none is held back by the rate
		return limited(t, config)
	}, func(r *report.Result) bool { return r.Churn.HeldBack > 0 }) // so all ten were under way
	if result.Churn.Visits != 0 || result.Connect.Failed != 10 {
		t.Errorf("%+v, %d failed, want 10", result.Churn, result.Connect.Failed)
	}
}

func TestVisitsThatAreNotHeardAreFailures(t *testing.T) {
	t.Parallel()
	result := lasting(t, 300*time.Millisecond, func(long time.Duration) *report.Result {
		config := start(t, &liar.Server{Lie: mute(func(member int) bool { return member >= members })})
		config.Messages, config.Duration, config.Patience = 0, long, 100*time.Millisecond
		config.Rate, config.Window = 1e-6, 0 // the members say one thing in all
		config.Visitors, config.Act = 10, &load.Churn{Rate: 1e12}
		return limited(t, config)
	}, func(r *report.Result) bool { return r.Proof.Sent > 10 })
	if said := result.Proof.Sent - 1; result.Churn.Visits != 0 || result.Proof.Closed != said {
		t.Errorf("%+v, %d closed, want all %d that said something", result.Churn, result.Proof.Closed, said)
	}
}

// What is due faster than it can be sent must not keep the loop from reading.
func TestARateBeyondAllMeansIsLate(t *testing.T) {
	t.Parallel()
	config := start(t, &liar.Server{})
	config.Conns, config.Messages, config.Rate, config.Window, config.Duration = 2, 0, 1e12, 1, 200*time.Millisecond
	result := limited(t, config)
	clean(t, &result.Proof)
	if d := &result.Delivery; d.LateSends < 1e11 || !result.Load.WasBottleneck {
		t.Errorf("%d late of some 200 billion", d.LateSends)
	}
}

func TestATricklingServerIsNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	drops := time.NewTicker(10 * time.Millisecond)
	defer drops.Stop()
	over := make(chan struct{})
	server := &liar.Server{Stall: func(n int) {
		if n > 20 {
			select {
			case <-drops.C:
			case <-over:
			}
		}
	}}
	config := start(t, server)
	defer close(over)
	config.Window, config.Messages = 1500, 1500 // which takes half a minute
	config.Patience, config.Handshake = 500*time.Millisecond, 3*time.Second
	result := run(t, config)
	if result.Proof.Missing == 0 || len(result.Warnings) != 1 || !strings.Contains(result.Warnings[0], "trickled") {
		t.Errorf("missing %d, warnings %q", result.Proof.Missing, result.Warnings)
	}
}

// gate is what one process of two sees of the other.
type gate struct {
	began   int64
	asked   int           // how often for the totals
	after   int           // they are known after so many
	others  map[int]int64 // what the other's senders have sent
	own     map[int]int64
	limits  int
	limited bool
}

func (g *gate) Ready()                    {}
func (g *gate) Sent(counts map[int]int64) { g.own = counts }
func (g *gate) Limit()                    { g.limits++ }
func (g *gate) Limited() bool             { return g.limited }
func (g *gate) Begin() (int64, bool) {
	g.began = cmp.Or(g.began, clock.Now())
	return g.began, true
}
func (g *gate) Totals() (map[int]int64, bool) {
	g.asked++
	totals := maps.Clone(g.own)
	maps.Copy(totals, g.others)
	return totals, g.asked > g.after
}

// half is the second of two processes; the first one's senders do not exist.
func half(t *testing.T, server *liar.Server, g *gate) load.Config {
	config := start(t, server)
	config.Process, config.Processes, config.Gate, config.Opening = 1, 2, g, 1
	config.Patience = 500 * time.Millisecond
	return config
}

// No process may end before it knows what the others have sent.
func TestOtherProcessesSendersAreAudited(t *testing.T) {
	t.Parallel()
	g := &gate{after: 100, others: map[int]int64{0: 5}} // looked at each 10 ms
	p := run(t, half(t, &liar.Server{}, g)).Proof
	if want := int64(members / 2 * 5); p.Missing != want || p.Expected != want+members/2*messages {
		t.Errorf("missing %d, want %d of %d", p.Missing, want, p.Expected)
	}
}

func TestOtherProcessesAreNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	config := half(t, &liar.Server{}, &gate{after: 1 << 40})
	config.Duration, config.Patience, config.Handshake = 10*time.Millisecond, 50*time.Millisecond, time.Second
	r, err := load.New(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Go(); err == nil || !strings.Contains(err.Error(), "did not say in time what they had sent") {
		t.Errorf("got %v", err)
	}
}

func TestFindingsNumberMembersAmongAllProcesses(t *testing.T) {
	t.Parallel()
	server := &liar.Server{Lie: at(7, 30, func([]byte) [][]byte { return nil })}
	p := run(t, half(t, server, &gate{})).Proof
	if len(p.Findings) != 1 || p.Findings[0].Member != 7*2+1 {
		t.Errorf("findings %v, want one of member %d", p.Findings, 7*2+1)
	}
}

func TestARampEndsInAllProcesses(t *testing.T) {
	t.Parallel()
	g := &gate{limited: true}
	config := half(t, &liar.Server{}, g)
	config.Messages, config.Warmup, config.Duration = 0, 50*time.Millisecond, time.Hour
	config.Act = &load.Ramp{From: 4, Limit: time.Hour}
	if result := limited(t, config); result.Limit != "" || g.limits != 0 {
		t.Errorf("limit %q, told %d times: it was another's", result.Limit, g.limits)
	}
	g = &gate{}
	config = half(t, &liar.Server{AnswerAfter: 3, Answer: func(w io.Writer, _ *http.Request) {
		io.WriteString(w, "HTTP/1.1 503 Service Unavailable\r\n\r\nfull")
	}}, g)
	config.Messages, config.Warmup, config.Duration = 0, 50*time.Millisecond, time.Hour
	config.Act = &load.Ramp{From: 4, Limit: time.Hour}
	if result := limited(t, config); !strings.Contains(result.Limit, "503") || g.limits != 1 {
		t.Errorf("limit %q, told %d times", result.Limit, g.limits)
	}
}

// The limit that one process met is the ramp's, whatever the others say.
func TestTheLimitOfOneProcessIsThatOfAll(t *testing.T) {
	r, err := load.New(start(t, &liar.Server{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, limits := range [][2]string{{"none up to 9 connections", "at 5"}, {"at 5", "none up to 9 connections"}, {"", "at 5"}} {
		parts := []*load.Part{r.Part(), r.Part()}
		parts[0].Limit, parts[1].Limit = limits[0], limits[1]
		if got := load.Combine(parts).Limit; got != "at 5" {
			t.Errorf("%q: %q", limits, got)
		}
	}
}

// The order of each room is compared between the processes.
func TestEachRoomHasItsOrder(t *testing.T) {
	t.Parallel()
	config := start(t, &liar.Server{})
	config.Rooms, config.Senders, config.Messages = 4, 1, 10
	r, err := load.New(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Go(); err != nil {
		t.Fatal(err)
	}
	a := r.Part()
	if len(a.Digests) != 4 || a.Digests[0] == a.Digests[1] {
		t.Fatalf("digests %v, want one of each room", a.Digests)
	}
	for name, test := range map[string]struct {
		change func(map[int]uint64)
		want   bool
	}{
		"same":       {func(map[int]uint64) {}, true},
		"no part in": {func(d map[int]uint64) { delete(d, 2) }, true},
		"other":      {func(d map[int]uint64) { d[2]++ }, false},
	} {
		b := r.Part()
		b.Account.Counts, b.Digests = a.Account.Counts, maps.Clone(a.Digests)
		test.change(b.Digests)
		if got := load.Combine([]*load.Part{b, a}).Proof.OneOrder; got != test.want {
			t.Errorf("%s: one order %v", name, got)
		}
	}
}
