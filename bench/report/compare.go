package report

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"strconv"
	"text/tabwriter"
)

// compared are the figures that two results are compared by, and whether more
// is better.
var compared = []struct {
	name string
	more bool
}{
	{"rate", true}, {"send-rate", true}, {"p50", false}, {"p99", false}, {"p99.9", false}, {"max", false},
	{"last-p50", false}, {"spread-p50", false}, {"cpu-per-delivery", false}, {"connect-rate", true}, {"handshake-p99", false},
	{"cpu-per-connect", false}, {"rss-per-conn", false}, {"rss", false}, {"missing", false}, {"closed", false},
}

// assumedNoise is that of figures of which a result has no series.
const assumedNoise = 0.1

// Ratio is one figure of two results.
type Ratio struct {
	Figure string
	A, B   float64
	Ratio  float64 // B / A; not a number if A is 0 and B too, infinite if only A is
	Noise  float64 // how far the ratio may be off by chance, as a share
	Better bool    // B is better, and by more than noise
	Worse  bool
}

// Compare relates the figures of b to those of a.
func Compare(a, b *Result) (ratios []Ratio, err error) {
	for _, c := range compared {
		figure, err := Figure(c.name)
		if err != nil {
			return nil, err
		}
		r := Ratio{Figure: c.name}
		var errA, errB error
		r.A, errA = figure(a)
		r.B, errB = figure(b)
		if errA != nil || errB != nil || r.A == 0 && r.B == 0 {
			continue // nothing to compare
		}
		r.Ratio = r.B / r.A
		r.Noise = cmp.Or(math.Hypot(noise(a, c.name), noise(b, c.name)), assumedNoise)
		beyond := math.Abs(r.Ratio-1) > r.Noise
		r.Better, r.Worse = beyond && c.more == (r.Ratio > 1), beyond && c.more != (r.Ratio > 1)
		ratios = append(ratios, r)
	}
	return ratios, nil
}

// noise is how much a figure varies from second to second, as two standard
// errors of its mean: what a repetition may well differ by.
func noise(r *Result, figure string) float64 {
	value := map[string]func(*Sample) float64{
		"rate":             func(s *Sample) float64 { return float64(s.Received) },
		"send-rate":        func(s *Sample) float64 { return float64(s.Sent) },
		"p50":              func(s *Sample) float64 { return float64(s.P50) },
		"p99":              func(s *Sample) float64 { return float64(s.P99) },
		"p99.9":            func(s *Sample) float64 { return float64(s.P99) },
		"max":              func(s *Sample) float64 { return float64(s.Max) },
		"spread-p50":       func(s *Sample) float64 { return float64(s.Spread) },
		"cpu-per-delivery": func(s *Sample) float64 { return s.CPUShare / float64(max(s.Received, 1)) },
	}[figure]
	if value == nil {
		return 0
	}
	var n, sum, squares float64
	for i := range r.Samples {
		if s := &r.Samples[i]; s.Phase == "measuring" {
			v := value(s)
			n, sum, squares = n+1, sum+v, squares+v*v
		}
	}
	if n < 2 || sum == 0 {
		return 0
	}
	mean := sum / n
	variance := max(squares/n-mean*mean, 0) * n / (n - 1)
	return 2 * math.Sqrt(variance/n) / mean
}

// WriteRatios prints a comparison.
func WriteRatios(w io.Writer, a, b string, ratios []Ratio) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\t%s\t%s\tratio\tnoise\t\t\n", a, b)
	for i := range ratios {
		r := &ratios[i]
		verdict := ""
		switch {
		case r.Better:
			verdict = "better"
		case r.Worse:
			verdict = "worse"
		}
		c := Condition{Figure: r.Figure}
		fmt.Fprintf(t, "%s\t%s\t%s\t%.3f\t±%.1f %%\t%s\t\n", r.Figure, c.text(r.A), c.text(r.B), r.Ratio, 100*r.Noise, verdict)
	}
	return t.Flush()
}

// RatioCondition is one of compare's --fail-if: a condition on B/A.
type RatioCondition Condition

// UnmarshalText reads a condition such as "p99>1.2".
func (c *RatioCondition) UnmarshalText(text []byte) error {
	value, err := (*Condition)(c).parse(text)
	if err != nil {
		return err
	}
	if c.Value, err = strconv.ParseFloat(value, 64); err != nil || math.IsNaN(c.Value) {
		return fmt.Errorf("%q: %q is not a ratio such as 0.95 or 1.2", text, value)
	}
	return nil
}

// Check says why two results do not pass; it is empty when they do. The figure
// may be any, not only one of those that Compare shows.
func (c *RatioCondition) Check(a, b *Result) string {
	figure, err := Figure(c.Figure)
	if err != nil {
		return err.Error()
	}
	before, err := figure(a)
	if err != nil {
		return fmt.Sprintf("in %s %v", a.Label, err)
	}
	after, err := figure(b)
	if err != nil {
		return fmt.Sprintf("in %s %v", b.Label, err)
	}
	ratio := 1.0 // of nothing to nothing: it has not changed
	if before != 0 || after != 0 {
		ratio = after / before
	}
	if !(*Condition)(c).holds(ratio) {
		return ""
	}
	return fmt.Sprintf("the ratio of %s is %.3f", c.Figure, ratio)
}
