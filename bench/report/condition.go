package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Condition is one of --fail-if: a figure, a comparison and a value.
type Condition struct {
	Figure string
	Above  bool    // else below
	Value  float64 // latencies in nanoseconds
}

// figures are the names that a Condition may use.
var figures = map[string]func(*Result) float64{
	"missing":          func(r *Result) float64 { return float64(r.Proof.Missing) },
	"duplicated":       func(r *Result) float64 { return float64(r.Proof.Duplicated) },
	"reordered":        func(r *Result) float64 { return float64(r.Proof.Reordered) },
	"diverged":         func(r *Result) float64 { return float64(r.Proof.Diverged) },
	"corrupted":        func(r *Result) float64 { return float64(r.Proof.Corrupted) },
	"misdelivered":     func(r *Result) float64 { return float64(r.Proof.Misdelivered) },
	"invented":         func(r *Result) float64 { return float64(r.Proof.Invented) },
	"announced":        func(r *Result) float64 { return float64(r.Proof.Announced) },
	"closed":           func(r *Result) float64 { return float64(r.Proof.Closed) },
	"failed":           func(r *Result) float64 { return float64(r.Connect.Failed) },
	"connect-rate":     func(r *Result) float64 { return r.Connect.Rate },
	"rate":             func(r *Result) float64 { return r.Delivery.Rate },
	"send-rate":        func(r *Result) float64 { return r.Delivery.SendRate },
	"late-sends":       func(r *Result) float64 { return float64(r.Delivery.LateSends) },
	"cpu-per-delivery": func(r *Result) float64 { return server(r).CPUPerDelivery },
	"cpu-per-connect":  func(r *Result) float64 { return server(r).CPUPerConnect },
	"rss":              func(r *Result) float64 { return float64(server(r).RSSPeak) },
	"rss-per-conn":     func(r *Result) float64 { return server(r).RSSPerConn },
	"fds":              func(r *Result) float64 { return float64(server(r).FDsPeak) },
	"threads":          func(r *Result) float64 { return float64(server(r).ThreadsPeak) },
	"goroutines":       func(r *Result) float64 { return float64(server(r).GoroutinesPeak) },
	"rss-slope":        func(r *Result) float64 { return slopes(r).RSSBytes },
	"fds-slope":        func(r *Result) float64 { return slopes(r).FDs },
	"goroutines-slope": func(r *Result) float64 { return slopes(r).Goroutines },
}

// distributions are those whose percentiles a Condition may name, such as
// raw-p99; without a first part it is the corrected latency.
var distributions = map[string]func(*Result) *Percentiles{
	"":          func(r *Result) *Percentiles { return &r.Latency.Corrected },
	"raw":       func(r *Result) *Percentiles { return &r.Latency.Raw },
	"first":     func(r *Result) *Percentiles { return &r.Latency.First },
	"median":    func(r *Result) *Percentiles { return &r.Latency.Median },
	"last":      func(r *Result) *Percentiles { return &r.Latency.Last },
	"spread":    func(r *Result) *Percentiles { return &r.Latency.Spread },
	"handshake": func(r *Result) *Percentiles { return &r.Connect.Handshake },
	"recovery": func(r *Result) *Percentiles {
		if r.Storm == nil {
			return &Percentiles{}
		}
		return &r.Storm.Recovery
	},
}

// points are the parts of a distribution that a Condition may name.
var points = map[string]func(*Percentiles) int64{
	"p50":   func(p *Percentiles) int64 { return p.P50 },
	"p90":   func(p *Percentiles) int64 { return p.P90 },
	"p99":   func(p *Percentiles) int64 { return p.P99 },
	"p99.9": func(p *Percentiles) int64 { return p.P999 },
	"max":   func(p *Percentiles) int64 { return p.Max },
}

func server(r *Result) *Server {
	if r.Server == nil {
		return &Server{}
	}
	return r.Server
}

func slopes(r *Result) *Slopes {
	if s := server(r).Slopes; s != nil {
		return s
	}
	return &Slopes{}
}

// Figure finds a figure of a result by its name.
func Figure(name string) (func(*Result) float64, error) {
	if f, ok := figures[name]; ok {
		return f, nil
	}
	of, point := "", name
	if i := strings.LastIndexByte(name, '-'); i >= 0 {
		of, point = name[:i], name[i+1:]
	}
	d, ok1 := distributions[of]
	p, ok2 := points[point]
	if !ok1 || !ok2 {
		return nil, fmt.Errorf("there is no figure %q; there are p50, p90, p99, p99.9 and max (also as raw-p99, first-p99, "+
			"median-, last-, spread-, handshake- and recovery-) and %s", name, strings.Join(Names(), ", "))
	}
	return func(r *Result) float64 { return float64(p(d(r))) }, nil
}

// Names lists the figures that are no percentiles.
func Names() (names []string) {
	for name := range figures {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// UnmarshalText reads a condition such as "p99>50ms" or "rss-per-conn>400".
func (c *Condition) UnmarshalText(text []byte) error {
	at := strings.IndexAny(string(text), "<>")
	if at < 0 {
		return fmt.Errorf("%q is not of the form FIGURE>VALUE or FIGURE<VALUE", text)
	}
	c.Figure, c.Above = strings.TrimSpace(string(text[:at])), text[at] == '>'
	if _, err := Figure(c.Figure); err != nil {
		return err
	}
	var err error
	if c.Value, err = value(strings.TrimSpace(string(text[at+1:]))); err != nil {
		return fmt.Errorf("%q: %w", text, err)
	}
	return nil
}

// value reads a number, one with k, m or g, or a duration.
func value(s string) (float64, error) {
	// "5m" means five million here, not minutes.
	if d, err := time.ParseDuration(s); err == nil && strings.ContainsAny(s, "sh") {
		return float64(d), nil
	}
	factor := 1.0
	for suffix, f := range map[string]float64{"k": 1e3, "m": 1e6, "g": 1e9} {
		if rest, ok := strings.CutSuffix(strings.ToLower(s), suffix); ok {
			s, factor = rest, f
		}
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is neither a number such as 400 or 10k nor a duration such as 50ms", s)
	}
	return v * factor, nil
}

// Check says how a result meets the condition; it is empty when it does not.
func (c *Condition) Check(r *Result) string {
	figure, err := Figure(c.Figure)
	if err != nil {
		return err.Error()
	}
	got, relation := figure(r), "below"
	if c.Above {
		relation = "above"
	}
	if c.Above && got <= c.Value || !c.Above && got >= c.Value {
		return ""
	}
	return fmt.Sprintf("%s is %s, %s %s", c.Figure, c.text(got), relation, c.text(c.Value))
}

// text writes a value in the unit of the figure.
func (c *Condition) text(v float64) string {
	_, plain := figures[c.Figure]
	if !plain || strings.HasPrefix(c.Figure, "cpu-") {
		return Duration(int64(v))
	}
	return Number(v)
}
