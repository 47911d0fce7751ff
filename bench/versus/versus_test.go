package versus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"throng/bench/load"
	"throng/bench/report"
	"throng/bench/versus"
)

// rate and cost are figures of which more and less are better.
var (
	rate = versus.Figure{Name: "rate", Title: "a second", More: true, Ratio: true, Best: true,
		Format: func(v float64) string { return fmt.Sprint(v) }, Of: func(r *report.Result) float64 { return r.Delivery.Rate }}
	cost = versus.Figure{Name: "cost", Title: "cost", Ratio: true, Best: true,
		Format: func(v float64) string { return fmt.Sprint(v) }, Of: func(r *report.Result) float64 { return r.Server.CPUPerDelivery }}
)

// scripted answers with the results of a script, by server and round.
type scripted struct {
	results map[string][]*report.Result
	calls   []string
	done    map[string]int
}

func (s *scripted) measure(_ context.Context, server versus.Server, apply func(*load.Config)) (*report.Result, error) {
	var config load.Config
	apply(&config)
	s.calls = append(s.calls, fmt.Sprintf("%s/%d", server.Name, config.Conns))
	if s.done == nil {
		s.done = map[string]int{}
	}
	n := s.done[server.Name]
	s.done[server.Name]++
	if r := s.results[server.Name][n]; r != nil {
		return r, nil
	}
	return nil, errors.New("it broke\nits output")
}

// result is one with a rate and a cost.
func result(rate, cost float64) *report.Result {
	return &report.Result{Delivery: report.Delivery{Rate: rate}, Server: &report.Server{CPUPerDelivery: cost}}
}

// compare runs a script.
func compare(s *scripted, rounds int, figures []versus.Figure, names ...string) *versus.Comparison {
	plan := &versus.Plan{Rounds: rounds, Baseline: "base", Scenarios: []versus.Scenario{
		{Name: "try", Title: "A try", Timed: true, Figures: figures, Apply: func(c *load.Config, s *versus.Sizes) { c.Conns = s.Members }}}}
	plan.Sizes.Members = 7
	for _, name := range names {
		plan.Servers = append(plan.Servers, versus.Server{Name: name})
	}
	return versus.Run(context.Background(), plan, s.measure, func(*versus.Measurement) {})
}

func TestRatiosAreTakenWithinARound(t *testing.T) {
	s := &scripted{results: map[string][]*report.Result{
		"base":  {result(100, 8), result(200, 4), result(400, 2)},
		"other": {result(300, 4), result(400, 1), result(1600, 2)},
	}}
	c := compare(s, 3, []versus.Figure{rate, cost}, "base", "other")
	row := c.Tables[0].Rows[1]
	for _, test := range []struct {
		what      string
		got, want versus.Spread
	}{
		{"rate", row.Figures["rate"], versus.Spread{Median: 400, Min: 300, Max: 1600, N: 3}},
		{"rate to the baseline", row.ToBaseline["rate"], versus.Spread{Median: 3, Min: 2, Max: 4, N: 3}},
		{"rate to the best, which it is", row.ToBest["rate"], versus.Spread{Median: 1, Min: 1, Max: 1, N: 3}},
		{"cost", row.Figures["cost"], versus.Spread{Median: 2, Min: 1, Max: 4, N: 3}},
		{"cost to the baseline", row.ToBaseline["cost"], versus.Spread{Median: 0.5, Min: 0.25, Max: 1, N: 3}},
		{"the baseline's cost to the best", c.Tables[0].Rows[0].ToBest["cost"], versus.Spread{Median: 2, Min: 1, Max: 4, N: 3}},
	} {
		if test.got != test.want {
			t.Errorf("%s: %+v, want %+v", test.what, test.got, test.want)
		}
	}
	want := "| server | a second | × base | × best | cost | × base | × best | proof |\n" +
		"| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n" +
		"| base | 200 (100–400) | 1.00 | 0.33 | 4 (2–8) | 1.00 | 2.00 | passed |\n" +
		"| other | 400 (300–1600) | 3.00 (2.00–4.00) | 1.00 | 2 (1–4) | 0.50 (0.25–1.00) | 1.00 | passed |\n"
	if got := c.Tables[0].Markdown(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	var text strings.Builder
	if err := c.Text(&text); err != nil || !strings.Contains(text.String(), "other    400 (300–1600)   3.00 (2.00–4.00)   1.00") {
		t.Errorf("%v\n%s", err, text.String())
	}
}

func TestServersTakeTurnsInAnotherOrderEachRound(t *testing.T) {
	r := result(1, 1)
	s := &scripted{results: map[string][]*report.Result{"a": {r, r, r}, "b": {r, r, r}, "c": {r, r, r}}}
	compare(s, 3, []versus.Figure{rate}, "a", "b", "c")
	if want := strings.Fields("a/7 b/7 c/7 b/7 c/7 a/7 c/7 a/7 b/7"); !slices.Equal(s.calls, want) {
		t.Errorf("the order is %v, want %v", s.calls, want)
	}
}

func TestAnEvenNumberOfRoundsHasAMedianInBetween(t *testing.T) {
	s := &scripted{results: map[string][]*report.Result{"a": {result(1, 1), result(9, 1), result(4, 1), result(2, 1)}}}
	c := compare(s, 4, []versus.Figure{rate}, "a")
	if got, want := c.Tables[0].Rows[0].Figures["rate"], (versus.Spread{Median: 3, Min: 1, Max: 9, N: 4}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if len(c.Tables[0].Rows[0].ToBaseline) != 0 || c.Baseline != "" {
		t.Error("there are ratios to a baseline that does not take part")
	}
}

func TestAServerThatFailsDoesNotStopTheOthers(t *testing.T) {
	lost := result(5, 5)
	lost.Failures = []string{"3 deliveries missing"}
	s := &scripted{results: map[string][]*report.Result{
		"base": {result(100, 1), nil}, "dead": {nil, nil}, "liar": {result(50, 1), lost}}}
	c := compare(s, 2, []versus.Figure{rate}, "base", "dead", "liar")
	rows := c.Tables[0].Rows
	if rows[0].Figures["rate"].N != 1 || rows[1].Figures["rate"].N != 0 || rows[2].Figures["rate"].N != 2 {
		t.Errorf("figures of %+v", rows)
	}
	// Only the first round has both.
	if got, want := rows[2].ToBaseline["rate"], (versus.Spread{Median: 0.5, Min: 0.5, Max: 0.5, N: 1}); got != want {
		t.Errorf("the ratio is %+v, want %+v", got, want)
	}
	for i, want := range []string{"FAILED: no result: it broke", "FAILED: no result: it broke; no result: it broke", "FAILED: 3 deliveries missing"} {
		if rows[i].Proof != want {
			t.Errorf("the proof of %s is %q, want %q", rows[i].Server, rows[i].Proof, want)
		}
	}
	if failed := c.Failed(); len(failed) != 4 || !slices.Contains(failed, "liar, try, round 2: 3 deliveries missing") {
		t.Errorf("failed: %q", failed)
	}
	if cells := c.Tables[0].Cells()[1]; cells[1] != "–" || cells[2] != "–" {
		t.Errorf("what was not measured is shown as %q", cells)
	}
}

func TestWhatLimitedFiguresIsSaid(t *testing.T) {
	limited, saturated, disturbed := result(1, 1), result(1, 1), result(1, 1)
	limited.Load = report.Load{WasBottleneck: true, CPUShare: 0.97}
	saturated.Load, saturated.Server.CPUShare = report.Load{WasBottleneck: true, WaitedShare: 0.5}, 0.99
	disturbed.Server.WaitedShare = 0.4
	paused := result(1, 1)
	paused.Delivery.Sent, paused.Server.CPUShare, paused.Load.CPUShare = 9, 0.3, 0.1
	s := &scripted{results: map[string][]*report.Result{
		"limited": {limited, result(1, 1)}, "saturated": {saturated, saturated}, "disturbed": {result(1, 1), disturbed},
		"paused": {paused, paused}}}
	table := compare(s, 2, []versus.Figure{rate}, "limited", "saturated", "disturbed", "paused").Tables[0]
	for i, want := range []string{"1 †", "1", "1 ‡", "1 ‡"} {
		if got := table.Cells()[i][1]; got != want {
			t.Errorf("%s has %q, want %q", table.Rows[i].Server, got, want)
		}
	}
	said := strings.Join(table.Remarks, "\n")
	if !strings.Contains(said, "limited 1 of 2 rounds (97 % busy)") || !strings.Contains(said, "disturbed 40 % taken, paused 60 % at rest.") {
		t.Errorf("remarks:\n%s", said)
	}
}

func TestAnInterruptedComparisonSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	s := &scripted{results: map[string][]*report.Result{"a": {result(1, 1)}, "b": {result(1, 1)}}}
	plan := &versus.Plan{Rounds: 1, Servers: []versus.Server{{Name: "a"}, {Name: "b"}}, Scenarios: versus.Scenarios[:1]}
	c := versus.Run(ctx, plan, s.measure, func(*versus.Measurement) { cancel() })
	if c.CutShort == "" || len(c.Measurements) != 1 || c.Tables[0].Rows[1].Proof != "–" || !strings.HasPrefix(c.Markdown(), "**Cut short") {
		t.Errorf("cut short %q, measurements %+v", c.CutShort, c.Measurements)
	}
}

func TestAnInterruptIsNoFailureOfTheServer(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	plan := &versus.Plan{Rounds: 3, Servers: []versus.Server{{Name: "a"}, {Name: "b"}}, Scenarios: versus.Scenarios[:1]}
	c := versus.Run(ctx, plan, func(context.Context, versus.Server, func(*load.Config)) (*report.Result, error) {
		cancel()
		return &report.Result{CutShort: "interrupted"}, nil
	}, func(m *versus.Measurement) { t.Errorf("%+v is shown", m) })
	if failed := c.Failed(); c.CutShort == "" || len(failed) > 0 || len(c.Measurements) > 0 {
		t.Errorf("cut short %q, failed %q", c.CutShort, failed)
	}
}

func TestScenariosAreAsLargeAsTheyShouldBe(t *testing.T) {
	sizes := versus.Standard
	for _, test := range []struct {
		name                          string
		conns, rooms, senders, window int
		silent                        bool
	}{
		{"fanout-1", 2000, 0, 8, 1, false}, {"fanout-16", 2000, 0, 8, 16, false}, {"echo", 1, 1, 1, 1, false},
		{"idle", 18_000, 0, 0, 0, true}, {"connect", 10_000, 0, 0, 0, true},
	} {
		i := slices.IndexFunc(versus.Scenarios, func(s versus.Scenario) bool { return s.Name == test.name })
		var c load.Config
		versus.Scenarios[i].Apply(&c, &sizes)
		if c.Conns != test.conns || c.Rooms != test.rooms || c.Senders != test.senders || c.Window != test.window || c.Silent != test.silent {
			t.Errorf("%s: %+v", test.name, c)
		}
	}
	var conns []int
	plan := &versus.Plan{Rounds: 1, Sizes: sizes, Servers: []versus.Server{{Name: "as it says"}, {Name: "larger", Conns: 9000}}, Scenarios: versus.Scenarios[:1]}
	versus.Run(context.Background(), plan, func(_ context.Context, _ versus.Server, apply func(*load.Config)) (*report.Result, error) {
		var c load.Config
		apply(&c)
		conns = append(conns, c.Conns)
		return result(1, 1), nil
	}, func(*versus.Measurement) {})
	if !slices.Equal(conns, []int{2000, 9000}) {
		t.Errorf("connections: %v", conns)
	}
}

func TestFiguresAreWrittenShort(t *testing.T) {
	table := compare(&scripted{results: map[string][]*report.Result{"a": {result(1, 1)}}}, 1, versus.Scenarios[0].Figures, "a").Tables[0]
	for v, want := range map[float64]string{0: "0", 512: "512", 999.6: "1.00k", 98_240: "98.2k", 838_400: "838k", 6_730_000: "6.73M", 15.4e6: "15.4M"} {
		if got := table.Format("rate", v); got != want {
			t.Errorf("%v is written %q, want %q", v, got, want)
		}
	}
	if got := table.Format("cpu_per_delivery_ns", 1234.5); got != "1.23µs" {
		t.Errorf("1234.5 ns is written %q", got)
	}
}
