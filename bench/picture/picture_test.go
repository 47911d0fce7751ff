package picture_test

import (
	"bytes"
	"encoding/xml"
	"image/png"
	"io"
	"slices"
	"strings"
	"testing"

	"throng/bench/picture"
	"throng/bench/report"
)

// result has a curve and a series.
func result(scenario string) *report.Result {
	r := &report.Result{Scenario: scenario, Label: "<throng>", Server: &report.Server{RSSPeak: 1e6}}
	r.Plan.Rate = 10
	r.Delivery.Sent = 1
	r.Latency.Corrected = report.Percentiles{Count: 1e6, P50: 1e6, P99: 9e6}
	for i, percentile := range []float64{0, 50, 90, 99, 99.9, 100} {
		r.Latency.Corrected.Curve = append(r.Latency.Corrected.Curve, report.Point{Percentile: percentile, Ns: int64(i) * 1e6})
	}
	r.Latency.Raw, r.Latency.Last = r.Latency.Corrected, r.Latency.Corrected
	for i := range 10 {
		r.Samples = append(r.Samples, report.Sample{T: float64(i), Phase: "measuring", Sent: 1, Received: int64(i) * 1e6, P50: 1e6, P99: 2e6, Spread: 1e5, RSS: 1e6})
	}
	return r
}

func TestSVGIsWellFormed(t *testing.T) {
	plots, err := picture.Plots(result("fanout"), result("fanout"))
	if err != nil {
		t.Fatal(err)
	}
	if len(plots) != 5 {
		t.Errorf("%d plots, want 5", len(plots))
	}
	for _, p := range plots {
		svg, err := picture.SVG(p)
		if err != nil {
			t.Fatal(err)
		}
		decoder := xml.NewDecoder(bytes.NewReader(svg))
		for {
			if _, err := decoder.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", p.Title.Text, err)
			}
		}
	}
}

func TestPNGIsAPicture(t *testing.T) {
	content, err := picture.PNG(result("fanout"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := png.Decode(bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
}

// The page loads nothing from elsewhere, and a label cannot break it.
func TestHTMLIsSelfContained(t *testing.T) {
	r := result("fanout")
	r.Latency.Incomplete = 17
	r.Proof.Missing, r.Failures = 7, []string{"7 deliveries missing"}
	r.Storm, r.Churn, r.Slow = &report.Storm{Rounds: 2}, &report.Churn{}, &report.Slow{}
	content, err := picture.HTML(r)
	if err != nil {
		t.Fatal(err)
	}
	page := string(content)
	for _, want := range []string{"<svg", "17 broadcasts did not reach every member", "7 deliveries missing", "&lt;throng&gt;", "failed"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing", want)
		}
	}
	for _, unwanted := range []string{"<throng>", "src=", "<link", "@import", "url("} {
		if strings.Contains(page, unwanted) {
			t.Errorf("%q is in the page", unwanted)
		}
	}
}

// The seconds of a stall are drawn, and not joined over.
func TestAStallIsDrawn(t *testing.T) {
	lines := func(r *report.Result) string {
		t.Helper()
		plots, err := picture.Plots(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range plots {
			if p.Title.Text != "Deliveries per second" {
				continue
			}
			svg, err := picture.SVG(p)
			if err != nil {
				t.Fatal(err)
			}
			return string(svg)
		}
		t.Fatal("deliveries are not drawn")
		return ""
	}
	stalled, without := result("fanout"), result("fanout")
	stalled.Samples[4].Sent, stalled.Samples[4].Received = 0, 0
	without.Samples = slices.Delete(without.Samples, 4, 5)
	if lines(stalled) == lines(without) {
		t.Error("a second without deliveries leaves no trace")
	}
}

// A run without messages has no latency to draw, and must not fail for it.
func TestAnEmptyResultHasNoPlots(t *testing.T) {
	plots, err := picture.Plots(&report.Result{Scenario: "idle"})
	if err != nil || len(plots) != 0 {
		t.Errorf("%d plots, %v", len(plots), err)
	}
	if _, err := picture.HTML(&report.Result{Scenario: "idle"}); err != nil {
		t.Error(err)
	}
	if _, err := picture.PNG(&report.Result{Scenario: "idle"}); err != nil {
		t.Error(err)
	}
}
