package report

import (
	"fmt"
	"math"
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

// figure is one that a Condition may name.
type figure struct {
	value func(*Result) float64
	needs func(*Result) string // why it was not measured; "" if it was
}

// figures are those that are no percentiles, by name.
var figures = map[string]figure{
	"missing":            {func(r *Result) float64 { return float64(r.Proof.Missing) }, messages},
	"duplicated":         {func(r *Result) float64 { return float64(r.Proof.Duplicated) }, messages},
	"reordered":          {func(r *Result) float64 { return float64(r.Proof.Reordered) }, messages},
	"diverged":           {func(r *Result) float64 { return float64(r.Proof.Diverged) }, messages},
	"corrupted":          {func(r *Result) float64 { return float64(r.Proof.Corrupted) }, messages},
	"misdelivered":       {func(r *Result) float64 { return float64(r.Proof.Misdelivered) }, messages},
	"invented":           {func(r *Result) float64 { return float64(r.Proof.Invented) }, messages},
	"unlinked":           {func(r *Result) float64 { return float64(r.Proof.Unlinked) }, messages},
	"not-sent":           {func(r *Result) float64 { return float64(r.Delivery.NotSent) }, timetable},
	"incomplete":         {func(r *Result) float64 { return float64(r.Latency.Incomplete) }, messages},
	"announced":          {func(r *Result) float64 { return float64(r.Proof.Announced) }, messages},
	"closed":             {func(r *Result) float64 { return float64(r.Proof.Closed) }, nothing},
	"failed":             {func(r *Result) float64 { return float64(r.Connect.Failed) }, nothing},
	"bytes-per-delivery": {func(r *Result) float64 { return float64(r.Delivery.BytesIn) / float64(r.Delivery.Received) }, received},
	"connect-rate":       {func(r *Result) float64 { return r.Connect.Rate }, connections},
	"rate":               {func(r *Result) float64 { return r.Delivery.Rate }, measuring},
	"send-rate":          {func(r *Result) float64 { return r.Delivery.SendRate }, measuring},
	"late-sends":         {func(r *Result) float64 { return float64(r.Delivery.LateSends) }, timetable},
	"cpu-per-delivery":   {func(r *Result) float64 { return r.Server.CPUPerDelivery }, deliveries},
	"cpu-per-connect":    {func(r *Result) float64 { return r.Server.CPUPerConnect }, serverConnections},
	"rss":                {func(r *Result) float64 { return float64(r.Server.RSSPeak) }, process},
	"rss-per-conn":       {func(r *Result) float64 { return r.Server.RSSPerConn }, serverConnections},
	"fds":                {func(r *Result) float64 { return float64(r.Server.FDsPeak) }, process},
	"threads":            {func(r *Result) float64 { return float64(r.Server.ThreadsPeak) }, process},
	"goroutines":         {func(r *Result) float64 { return float64(r.Server.GoroutinesPeak) }, goroutines},
	"heap":               {func(r *Result) float64 { return float64(r.Server.HeapPeak) }, heap},
	"rss-slope":          {func(r *Result) float64 { return r.Server.Slopes.RSSBytes }, minutes},
	"fds-slope":          {func(r *Result) float64 { return r.Server.Slopes.FDs }, minutes},
	"goroutines-slope":   {func(r *Result) float64 { return r.Server.Slopes.Goroutines }, goroutineMinutes},
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

// Figure finds a figure of a result by its name. What it returns is the value,
// or an error that says why the run did not measure it.
func Figure(name string) (func(*Result) (float64, error), error) {
	if f, ok := figures[name]; ok {
		return measured(name, f), nil
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
	return measured(name, figure{
		func(r *Result) float64 { return float64(p(d(r))) },
		func(r *Result) string {
			if d(r).Count == 0 {
				return "there is no latency of that kind in this run"
			}
			return ""
		},
	}), nil
}

// measured asks for what a figure needs before it reads it.
func measured(name string, f figure) func(*Result) (float64, error) {
	return func(r *Result) (float64, error) {
		if why := f.needs(r); why != "" {
			return 0, fmt.Errorf("%s was not measured: %s", name, why)
		}
		return f.value(r), nil
	}
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
	value, err := c.parse(text)
	if err != nil {
		return err
	}
	if c.isTime() {
		c.Value, err = duration(value)
	} else {
		c.Value, err = quantity(value)
	}
	if err != nil {
		return fmt.Errorf("%q: %w", text, err)
	}
	return nil
}

// parse reads all but the value, which depends on what the figure is.
func (c *Condition) parse(text []byte) (value string, err error) {
	at := strings.IndexAny(string(text), "<>")
	if at < 0 {
		return "", fmt.Errorf("%q is not of the form FIGURE>VALUE or FIGURE<VALUE", text)
	}
	c.Figure, c.Above = strings.TrimSpace(string(text[:at])), text[at] == '>'
	_, err = Figure(c.Figure)
	return strings.TrimSpace(string(text[at+1:])), err
}

// isTime tells the figures that are durations from those that are numbers.
func (c *Condition) isTime() bool {
	_, plain := figures[c.Figure]
	return !plain || strings.HasPrefix(c.Figure, "cpu-")
}

// duration reads one with its unit: 50 could be anything from nanoseconds on.
func duration(s string) (float64, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration with its unit, such as 50ms, 800us or 1.5s", s)
	}
	return float64(d), nil
}

// quantity reads a number, or one with k, m or g.
func quantity(s string) (float64, error) {
	digits, factor := strings.ToLower(s), 1.0
	for suffix, f := range map[string]float64{"k": 1e3, "m": 1e6, "g": 1e9} {
		if rest, ok := strings.CutSuffix(digits, suffix); ok {
			digits, factor = rest, f
		}
	}
	v, err := strconv.ParseFloat(digits, 64)
	if err != nil || math.IsNaN(v) {
		return 0, fmt.Errorf("%q is not a number such as 400, 10k or 1.5m", s)
	}
	return v * factor, nil
}

// holds compares a value with the condition's.
func (c *Condition) holds(v float64) bool {
	return c.Above && v > c.Value || !c.Above && v < c.Value
}

// Check says why a result does not pass; it is empty when it does. What was not
// measured cannot pass: a condition that is not looked at must not look met.
func (c *Condition) Check(r *Result) string {
	figure, err := Figure(c.Figure)
	if err != nil {
		return err.Error()
	}
	got, err := figure(r)
	switch {
	case err != nil:
		return err.Error()
	case !c.holds(got):
		return ""
	case c.Above:
		return fmt.Sprintf("%s is %s, above %s", c.Figure, c.text(got), c.text(c.Value))
	}
	return fmt.Sprintf("%s is %s, below %s", c.Figure, c.text(got), c.text(c.Value))
}

// text writes a value in the unit of the figure.
func (c *Condition) text(v float64) string {
	if c.isTime() {
		return Duration(int64(v))
	}
	return Number(v)
}
