package picture

import (
	"bytes"
	"fmt"
	"image/color"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Chart is a picture of bars, in panels beside each other.
type Chart struct {
	Name   string // of its file, without an ending
	Panels []Panel
}

// Panel has bars with a scale of their own, which begins at 0.
type Panel struct {
	Title string
	Note  string // below the title
	Bars  []Bar
}

// Bar is one value, with the range that it is the middle of.
type Bar struct {
	Name            string
	Value, Min, Max float64
	Text            string // the value as people read it
}

// Theme is the colours of a chart.
type Theme struct {
	paper, ink, faint, first, others, whisker color.Color
}

// The two themes that pages have. Both have a background of their own, so that a chart
// can be read wherever it is put.
var (
	Light = Theme{paper: color.White, ink: gray(0x24), faint: gray(0x6B), first: color.RGBA{0x00, 0x72, 0xB2, 0xFF},
		others: color.RGBA{0xB4, 0xBD, 0xC6, 0xFF}, whisker: gray(0x55)}
	Dark = Theme{paper: color.RGBA{0x0D, 0x11, 0x17, 0xFF}, ink: gray(0xE6), faint: gray(0x9A), first: color.RGBA{0x56, 0xB4, 0xE9, 0xFF},
		others: color.RGBA{0x4A, 0x54, 0x60, 0xFF}, whisker: gray(0xC0)}
)

func gray(level uint8) color.Color { return color.RGBA{level, level, level, 0xFF} }

// Measures of a chart.
const (
	panelWidth  = 13 * vg.Centimeter
	panelMargin = 14 * vg.Length(1)
	headHeight  = 44 * vg.Length(1)
	barPitch    = 22 * vg.Length(1) // from one bar to the next
	barHeight   = 14 * vg.Length(1)
	namesWidth  = 56 * vg.Length(1)
	valuesWidth = 64 * vg.Length(1)
)

// size is that of the whole picture.
func (c *Chart) size() (w, h vg.Length) {
	most := 0
	for _, p := range c.Panels {
		most = max(most, len(p.Bars))
	}
	return vg.Length(len(c.Panels)) * panelWidth, headHeight + vg.Length(most)*barPitch + 2*panelMargin
}

// SVG draws the chart as a file of its own.
func (c *Chart) SVG(theme Theme) ([]byte, error) {
	canvas := vgsvg.New(c.size())
	c.draw(draw.New(canvas), &theme)
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("draw SVG: %w", err)
	}
	// These have the same widths of letters, where Liberation is not installed.
	return bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;")), nil
}

// PNG draws the chart with the pixels of a good screen.
func (c *Chart) PNG(theme Theme) ([]byte, error) {
	w, h := c.size()
	canvas := vgimg.NewWith(vgimg.UseWH(w, h), vgimg.UseDPI(144), vgimg.UseBackgroundColor(theme.paper))
	c.draw(draw.New(canvas), &theme)
	var b bytes.Buffer
	if _, err := (vgimg.PngCanvas{Canvas: canvas}).WriteTo(&b); err != nil {
		return nil, fmt.Errorf("draw PNG: %w", err)
	}
	return b.Bytes(), nil
}

// pen writes on a canvas.
type pen struct {
	draw.Canvas
	handler text.Handler
}

func (p *pen) write(at vg.Point, size vg.Length, bold bool, ink color.Color, align text.XAlignment, s string) {
	face := font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
	if bold {
		face.Weight = 3 // font.WeightBold of x/image
	}
	p.FillText(text.Style{Color: ink, Font: face, XAlign: align, YAlign: text.YCenter, Handler: p.handler}, at, s)
}

func (c *Chart) draw(canvas draw.Canvas, theme *Theme) {
	p := &pen{Canvas: canvas, handler: text.Plain{Fonts: font.NewCache(liberation.Collection())}}
	p.rectangle(canvas.Rectangle, theme.paper)
	for i := range c.Panels {
		left := canvas.Min.X + vg.Length(i)*panelWidth
		p.panel(&c.Panels[i], theme, vg.Rectangle{
			Min: vg.Point{X: left + panelMargin, Y: canvas.Min.Y + panelMargin},
			Max: vg.Point{X: left + panelWidth - panelMargin, Y: canvas.Max.Y - panelMargin}})
	}
}

func (p *pen) panel(panel *Panel, theme *Theme, area vg.Rectangle) {
	p.write(vg.Point{X: area.Min.X, Y: area.Max.Y - 8}, 13, true, theme.ink, text.XLeft, panel.Title)
	p.write(vg.Point{X: area.Min.X, Y: area.Max.Y - 25}, 10, false, theme.faint, text.XLeft, panel.Note)
	longest := 0.0
	for _, b := range panel.Bars {
		longest = max(longest, b.Value, b.Max)
	}
	if longest == 0 {
		longest = 1 // nothing was measured
	}
	left := area.Min.X + namesWidth
	scale := (area.Max.X - left - valuesWidth) / vg.Length(longest)
	for i, b := range panel.Bars {
		middle := area.Max.Y - headHeight - vg.Length(i)*barPitch - barPitch/2
		at := func(v float64) vg.Length { return left + vg.Length(max(v, 0))*scale }
		fill, ink, inside := theme.others, theme.ink, theme.whisker
		if i == 0 {
			fill, inside = theme.first, theme.paper
		}
		p.write(vg.Point{X: left - 8, Y: middle}, 11, i == 0, ink, text.XRight, b.Name)
		p.rectangle(vg.Rectangle{Min: vg.Point{X: left, Y: middle - barHeight/2}, Max: vg.Point{X: max(at(b.Value), left+1), Y: middle + barHeight/2}}, fill)
		if b.Max > b.Min {
			p.whisker(at(b.Min), at(b.Value), middle, inside)
			p.whisker(at(b.Max), at(b.Value), middle, theme.whisker)
		}
		p.write(vg.Point{X: max(at(b.Value), at(b.Max)) + 7, Y: middle}, 11, i == 0, ink, text.XLeft, b.Text)
	}
}

// whisker is one side of a bar's range, if it is wide enough to be seen.
func (p *pen) whisker(end, middle, y vg.Length, ink color.Color) {
	if max(end-middle, middle-end) < 1 {
		return
	}
	style := draw.LineStyle{Color: ink, Width: vg.Points(1)}
	p.StrokeLine2(style, end, y, middle, y)
	p.StrokeLine2(style, end, y-3, end, y+3)
}

func (p *pen) rectangle(r vg.Rectangle, fill color.Color) {
	p.FillPolygon(fill, []vg.Point{r.Min, {X: r.Max.X, Y: r.Min.Y}, r.Max, {X: r.Min.X, Y: r.Max.Y}})
}
