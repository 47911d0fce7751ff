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
		{"rss-per-conn>400", "rss-per-conn is 420, above 400"},
		{"cpu-per-delivery>1us", "cpu-per-delivery is 1.5µs, above 1µs"},
		{"goroutines>4", ""},
		{"recovery-p99>1s", ""},
	} {
		var c report.Condition
		if err := c.UnmarshalText([]byte(test.condition)); err != nil {
			t.Errorf("%s: %v", test.condition, err)
		} else if got := c.Check(sample()); got != test.met {
			t.Errorf("%s: %q, want %q", test.condition, got, test.met)
		}
	}
	for _, wrong := range []string{"p99", "p98>1", "speed>1", "p99>", "p99>x", "raw->1"} {
		var c report.Condition
		if err := c.UnmarshalText([]byte(wrong)); err == nil {
			t.Errorf("%q was accepted as %+v", wrong, c)
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
	c := report.Condition{Figure: "p50", Above: true, Value: 1.5}
	if c.CheckRatio(ratios) == "" {
		t.Error("p50>1.5 does not fail")
	}
	c = report.Condition{Figure: "rate", Value: 0.95}
	if met := c.CheckRatio(ratios); met != "" {
		t.Errorf("rate<0.95 fails: %s", met)
	}
}

func TestSummaryHasWhatMatters(t *testing.T) {
	r := sample()
	r.Latency.Incomplete, r.Latency.Last.Count = 17, 83
	r.Delivery.NotSent, r.Delivery.OldestUnsent = 1234, 2e9
	r.CutShort, r.Failures, r.Limit = "interrupted", []string{"1 deliveries missing"}, "at 10 connections"
	r.Floor = &report.Floor{Conns: 10, WriteNs: 3000, EchoP50Ns: 50000}
	var b strings.Builder
	if err := report.Summary(&b, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CUT SHORT", "interrupted", "not sent", "17 broadcasts did not reach every member; the receivers are those of 83 that did", "1,234 that were due, the oldest for 2s", "missing 1", "missing: member 3, sender 4", "500 a second", "60ms",
		"1.5µs per delivery", "420 B per connection", "0.500 of a write(2)", "at 10 connections", "FAILED"} {
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
