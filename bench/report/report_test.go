package report_test

import (
	"math"
	"strings"
	"testing"

	"throng/bench/report"
)

// sample is a result with figures in it.
func sample() *report.Result {
	r := &report.Result{Schema: report.Schema, Scenario: "fanout"}
	r.Connect.Opened, r.Connect.Peak = 10, 10
	r.Delivery = report.Delivery{Sent: 100, Received: 1000, Seconds: 2, Rate: 500}
	r.Latency.Corrected = report.Percentiles{Count: 1000, P50: 1e6, P99: 60e6, Max: 90e6}
	r.Proof = report.Proof{Sent: 100, Expected: 1000, Received: 999, Missing: 1,
		Findings: []report.Finding{{Kind: "missing", Member: 3, Sender: 4, Seq: 5, Count: 1}}}
	r.Server = &report.Server{RSSPeak: 12e6, RSSPerConn: 420, CPUPerDelivery: 1500}
	for i := range 5 {
		r.Samples = append(r.Samples, report.Sample{T: float64(i), Phase: "measuring", Received: 500 + int64(i%2)*10, P50: 1e6, P99: 60e6, Spread: 1e6, RSS: 12e6})
	}
	return r
}

func TestConditions(t *testing.T) {
	for _, test := range []struct {
		condition string
		met       string
	}{
		{"p99>50ms", "p99 is 60ms, above 50ms"},
		{"p99>0.1s", ""},
		{"max<1s", "max is 90ms, below 1s"},
		{"missing>0", "missing is 1, above 0"},
		{"missing > 1", ""},
		{"rate<1k", "rate is 500, below 1,000"},
		{"rss>10m", "rss is 12,000,000, above 10,000,000"},
		{"cpu-per-delivery>1us", "cpu-per-delivery is 1.5µs, above 1µs"},
		{"rss<1g", "rss is 12,000,000, below 1,000,000,000"},
		{"closed>0", ""},
		{"failed<1", "failed is 0, below 1"},
		{"p50>1m", ""}, // a minute
		// What was not measured does not pass, whichever way it is asked.
		{"goroutines>4", "goroutines was not measured: the server answers neither /debug/pprof nor /metrics with its goroutines (--pprof or --metrics says where)"},
		{"heap<1g", "heap was not measured: the server answers neither /debug/pprof nor /metrics with its heap (--pprof or --metrics says where)"},
		{"recovery-p99>1s", "recovery-p99 was not measured: there is no latency of that kind in this run"},
		{"last-p99<1s", "last-p99 was not measured: there is no latency of that kind in this run"},
		{"rss-slope>1m", "rss-slope was not measured: a slope needs a minute at least (--duration)"},
		{"late-sends>0", "late-sends was not measured: only an open loop (--rate) has times to send at"},
		{"connect-rate<1", "connect-rate was not measured: the connections were not all opened"},
		{"rss-per-conn>1k", "rss-per-conn was not measured: the connections were not all opened"},
	} {
		var c report.Condition
		if err := c.UnmarshalText([]byte(test.condition)); err != nil {
			t.Errorf("%s: %v", test.condition, err)
		} else if got := c.Check(sample()); got != test.met {
			t.Errorf("%s: %q, want %q", test.condition, got, test.met)
		}
	}
}

func TestConditionsThatAreRefused(t *testing.T) {
	for wrong, want := range map[string]string{
		"p99": "not of the form", "p98>1": "no figure", "speed>1": "no figure", "raw->1": "no figure",
		"p99>": "not a duration with its unit", "p99>x": "not a duration with its unit", "p99>50": "not a duration with its unit",
		"cpu-per-delivery>10": "not a duration with its unit", "missing>1ms": "not a number", "rate<": "not a number", "rate<nan": "not a number",
	} {
		var c report.Condition
		if err := c.UnmarshalText([]byte(wrong)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", wrong, err, want)
		}
	}
	for _, wrong := range []string{"p99", "speed>1", "p99>50ms", "rate<", "rate<nan"} {
		var c report.RatioCondition
		if err := c.UnmarshalText([]byte(wrong)); err == nil {
			t.Errorf("%q was accepted as a condition on a ratio", wrong)
		}
	}
}

// Without a server's process nothing of it is known, without messages nothing of
// their fate.
func TestConditionsOnAnEmptyRun(t *testing.T) {
	for condition, want := range map[string]string{
		"missing>0": "no message was sent", "rate<1": "no message was sent", "p99<1s": "no latency of that kind",
		"rss>0": "process is not known", "cpu-per-delivery>1ns": "process is not known", "goroutines>1": "process is not known",
		"rss-slope>0": "process is not known", "fds<1": "process is not known",
	} {
		var c report.Condition
		if err := c.UnmarshalText([]byte(condition)); err != nil {
			t.Error(err)
		} else if got := c.Check(&report.Result{}); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", condition, got, want)
		}
	}
}

func TestRatioConditions(t *testing.T) {
	a, b := sample(), sample()
	a.Label, b.Label = "before", "after"
	b.Delivery.Rate, b.Latency.Corrected.P50, b.Proof.Closed = 505, 2e6, 1
	a.Latency.Raw, b.Latency.Raw = report.Percentiles{Count: 1, P99: 10}, report.Percentiles{Count: 1, P99: 30}
	a.Latency.First = report.Percentiles{Count: 1, P99: 10}
	for condition, want := range map[string]string{
		"p50>1.5":      "the ratio of p50 is 2.000",
		"rate<0.95":    "",
		"raw-p99>2":    "the ratio of raw-p99 is 3.000", // which the table does not show
		"closed>1":     "the ratio of closed is +Inf",
		"reordered>1":  "", // none before, none after
		"first-p99>1":  "in after first-p99 was not measured: there is no latency of that kind in this run",
		"goroutines<2": "in before goroutines was not measured: the server answers neither /debug/pprof nor /metrics with its goroutines (--pprof or --metrics says where)",
	} {
		var c report.RatioCondition
		if err := c.UnmarshalText([]byte(condition)); err != nil {
			t.Error(err)
		} else if got := c.Check(a, b); got != want {
			t.Errorf("%s: %q, want %q", condition, got, want)
		}
	}
}

func TestCompareTellsNoiseFromChange(t *testing.T) {
	a, b := sample(), sample()
	b.Delivery.Rate, b.Latency.Corrected.P50, b.Server.CPUPerDelivery = 505, 2e6, 1500
	ratios, err := report.Compare(a, b)
	if err != nil {
		t.Fatal(err)
	}
	find := func(name string) report.Ratio {
		for _, r := range ratios {
			if r.Figure == name {
				return r
			}
		}
		t.Fatalf("%s is not compared", name)
		return report.Ratio{}
	}
	if r := find("rate"); r.Better || r.Worse || math.Abs(r.Ratio-1.01) > 1e-9 {
		t.Errorf("rate: %+v; one per cent is within its noise", r)
	}
	if r := find("p50"); !r.Worse || r.Ratio != 2 {
		t.Errorf("p50: %+v; it has doubled", r)
	}
}

func TestSummaryHasWhatMatters(t *testing.T) {
	r := sample()
	r.Latency.Incomplete, r.Latency.Last.Count = 17, 83
	r.Delivery.NotSent, r.Delivery.OldestUnsent = 1234, 2e9
	r.CutShort, r.Failures, r.Limit = "interrupted", []string{"1 deliveries missing"}, "at 10 connections"
	r.Floor = &report.Floor{Conns: 10, WriteNs: 3000, WriteWallNs: 4e6, EchoP50Ns: 50000}
	r.Plan.Conns, r.Plan.Rooms = 10, 1
	var b strings.Builder
	if err := report.Summary(&b, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CUT SHORT", "interrupted", "not sent", "17 broadcasts did not reach every member; the receivers are those of 83 that did", "1,234 that were due, the oldest for 2s", "missing 1", "missing: member 3, sender 4", "500 a second", "60ms",
		"1.5µs per delivery", "420 B per connection", "0.500 × a write(2)", "2.00 × the rate of bare writes", "at 10 connections", "FAILED"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}

func TestNumbersForPeople(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{report.Number(0), "0"}, {report.Number(1.5), "1.50"}, {report.Number(999), "999"}, {report.Number(1234567), "1,234,567"}, {report.Number(-1234), "-1,234"},
		{report.Duration(0), "0s"}, {report.Duration(999), "999ns"}, {report.Duration(1_234_567), "1.23ms"}, {report.Duration(61e9), "1m1s"},
		{report.Bytes(400), "400 B"}, {report.Bytes(12_345_678), "12.35 MB"}, {report.Bytes(25e9), "25 GB"},
	} {
		if test.got != test.want {
			t.Errorf("%q, want %q", test.got, test.want)
		}
	}
}
