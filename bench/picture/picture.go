// Package picture draws results: how latency is distributed, and how
// deliveries, latency, spread and memory went over time. Each plot takes
// several results, so that runs and servers can be laid over each other.
package picture

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"throng/bench/report"
)

// The size of one plot.
const (
	width  = 16 * vg.Centimeter
	height = 9 * vg.Centimeter
	margin = vg.Length(7)
)

// sans is the typeface of all text.
var sans = font.Font{Typeface: "Liberation", Variant: "Sans"}

// colors can be told apart by people who see few colours (Okabe and Ito).
var colors = []color.Color{
	color.RGBA{0x00, 0x72, 0xB2, 0xFF}, color.RGBA{0xD5, 0x5E, 0x00, 0xFF}, color.RGBA{0x00, 0x9E, 0x73, 0xFF},
	color.RGBA{0xCC, 0x79, 0xA7, 0xFF}, color.RGBA{0xE6, 0x9F, 0x00, 0xFF}, color.RGBA{0x56, 0xB4, 0xE9, 0xFF},
	color.RGBA{0x55, 0x55, 0x55, 0xFF},
}

var (
	ink  = color.RGBA{0x33, 0x33, 0x33, 0xFF}
	mesh = color.RGBA{0xE4, 0xE4, 0xE4, 0xFF}
)

// Plots draws what the results have something to say about.
func Plots(results ...*report.Result) ([]*plot.Plot, error) {
	var plots []*plot.Plot
	for _, draw := range []func([]*report.Result) (*plot.Plot, error){latency, deliveries, latencies, spread, memory} {
		p, err := draw(results)
		if err != nil {
			return nil, fmt.Errorf("plot: %w", err)
		}
		if p != nil {
			plots = append(plots, p)
		}
	}
	return plots, nil
}

// chart is a plot under construction.
type chart struct {
	*plot.Plot
	lines int
	err   error
}

// newChart makes an empty plot with a mesh.
func newChart(title, x, y string) *chart {
	plot.DefaultFont, plotter.DefaultFont = sans, sans
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.TextStyle.Font.Size, p.Title.Padding = 13, 8
	p.Legend.Top, p.Legend.Padding = true, 2
	p.BackgroundColor = color.White
	p.Title.TextStyle.Color = ink
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Color, axis.Tick.Color = ink, ink
		axis.Label.TextStyle.Color, axis.Tick.Label.Color = ink, ink
	}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = mesh, mesh
	p.Add(grid)
	return &chart{Plot: p}
}

// line adds a curve with a name of its own; without points it adds nothing.
func (c *chart) line(name string, points plotter.XYs, dashed bool) {
	if len(points) == 0 || c.err != nil {
		return
	}
	line, err := plotter.NewLine(points)
	if err != nil {
		c.err = err
		return
	}
	line.Color, line.Width = colors[c.lines%len(colors)], vg.Points(1.6)
	if dashed {
		line.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
	}
	c.lines++
	c.Add(line)
	if name != "" {
		c.Legend.Add(name, line)
	}
}

// done is the plot, or nil if it has no curve.
func (c *chart) done() (*plot.Plot, error) {
	if c.lines == 0 {
		return nil, c.err
	}
	// Room for the legend, which stands above the curves.
	if _, log := c.Y.Scale.(plot.LogScale); log {
		c.Y.Max *= math.Pow(c.Y.Max/c.Y.Min, 0.25)
	} else {
		c.Y.Max *= 1.1
	}
	return c.Plot, c.err
}

// name is what a curve is called; a single result's needs no label.
func name(results []*report.Result, r *report.Result, what string) string {
	switch {
	case len(results) == 1:
		return what
	case what == "":
		return r.Label
	}
	return r.Label + ", " + what
}

// latency is the plot of percentiles, on an axis on which each nine is as wide
// as the last.
func latency(results []*report.Result) (*plot.Plot, error) {
	c := newChart("Latency by percentile", "percentile", "")
	curve := func(p *report.Percentiles) (points plotter.XYs) {
		for _, point := range p.Curve {
			// The last nines of few measurements are all the same one.
			if share := 1 - point.Percentile/100; share > 0 && share < 1 && share*float64(p.Count) >= 1 {
				points = append(points, plotter.XY{X: -math.Log10(share), Y: atLeast(point.Ns)})
			}
		}
		return points
	}
	for _, r := range results {
		c.line(name(results, r, "corrected"), curve(&r.Latency.Corrected), false)
		if len(results) == 1 && r.Plan.Rate > 0 {
			c.line("raw", curve(&r.Latency.Raw), true)
		}
		if len(results) == 1 {
			c.line("last receiver", curve(&r.Latency.Last), false)
		}
	}
	c.X.Tick.Marker, c.Y.Tick.Marker, c.Y.Scale = nines{}, durations{}, plot.LogScale{}
	c.Legend.Left = true
	return c.done()
}

// atLeast keeps a duration where a logarithm can show it.
func atLeast(ns int64) float64 { return float64(max(ns, 1000)) }

// series draws one figure of each second of the load, but for those in which
// there was nothing to measure.
func series(c *chart, results []*report.Result, what string, value func(*report.Sample) (v float64, measured bool)) {
	for _, r := range results {
		var points plotter.XYs
		for i := range r.Samples {
			s := &r.Samples[i]
			if s.Phase != "warm-up" && s.Phase != "measuring" {
				continue
			}
			if v, measured := value(s); measured {
				points = append(points, plotter.XY{X: s.T, Y: v})
			}
		}
		if len(points) > 1 {
			c.line(name(results, r, what), points, false)
		}
	}
}

func deliveries(results []*report.Result) (*plot.Plot, error) {
	c := newChart("Deliveries per second", "seconds", "")
	// A second without a delivery is one of a stalled server; only a run without
	// messages has nothing to show.
	sending := slices.ContainsFunc(results, func(r *report.Result) bool { return r.Delivery.Sent > 0 })
	series(c, results, "", func(s *report.Sample) (float64, bool) { return float64(s.Received), sending })
	c.Y.Min, c.Y.Tick.Marker = 0, quantities("")
	return c.done()
}

func latencies(results []*report.Result) (*plot.Plot, error) {
	c := newChart("Latency over time", "seconds", "")
	series(c, results, "p50", func(s *report.Sample) (float64, bool) { return atLeast(s.P50), s.P50 > 0 })
	series(c, results, "p99", func(s *report.Sample) (float64, bool) { return atLeast(s.P99), s.P99 > 0 })
	c.Y.Tick.Marker, c.Y.Scale = durations{}, plot.LogScale{}
	return c.done()
}

func spread(results []*report.Result) (*plot.Plot, error) {
	title := "From the first receiver to the last, median"
	if slices.ContainsFunc(results, func(r *report.Result) bool { return r.Plan.Procs > 1 }) {
		title += ", within one client process"
	}
	c := newChart(title, "seconds", "")
	series(c, results, "", func(s *report.Sample) (float64, bool) { return float64(s.Spread), s.Spread > 0 })
	c.Y.Min, c.Y.Tick.Marker = 0, durations{}
	return c.done()
}

func memory(results []*report.Result) (*plot.Plot, error) {
	c := newChart("Memory of the server", "seconds", "")
	series(c, results, "", func(s *report.Sample) (float64, bool) { return float64(s.RSS), s.RSS > 0 })
	c.Y.Min, c.Y.Tick.Marker = 0, quantities("B")
	return c.done()
}

// SVG draws one plot.
func SVG(p *plot.Plot) ([]byte, error) {
	canvas := vgsvg.New(width, height)
	p.Draw(draw.Crop(draw.New(canvas), margin, -2*margin, margin, -margin))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("draw SVG: %w", err)
	}
	// Without the XML declaration it can stand in a page.
	_, svg, _ := bytes.Cut(b.Bytes(), []byte("?>"))
	return svg, nil
}

// PNG draws all plots on one picture, two beside each other.
func PNG(results ...*report.Result) ([]byte, error) {
	plots, err := Plots(results...)
	if err != nil {
		return nil, err
	}
	rows := (len(plots) + 1) / 2
	canvas := vgimg.NewWith(vgimg.UseWH(2*width, vg.Length(max(rows, 1))*height), vgimg.UseDPI(120), vgimg.UseBackgroundColor(color.White))
	page := draw.New(canvas)
	for i, p := range plots {
		left, top := vg.Length(i%2)*width, page.Max.Y-vg.Length(i/2)*height
		p.Draw(draw.Canvas{Canvas: page, Rectangle: vg.Rectangle{
			Min: vg.Point{X: left + margin, Y: top - height + margin}, Max: vg.Point{X: left + width - 2*margin, Y: top - margin}}})
	}
	var b bytes.Buffer
	if _, err := (vgimg.PngCanvas{Canvas: canvas}).WriteTo(&b); err != nil {
		return nil, fmt.Errorf("draw PNG: %w", err)
	}
	return b.Bytes(), nil
}
