package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"throng/bench/report"
)

// progress shows how a run goes: a panel that stays in place on a terminal, a
// line each second elsewhere, or nothing.
func progress(flags *common, scenario string, warmup, duration time.Duration) func(report.Sample) {
	if flags.Quiet {
		return nil
	}
	if _, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS); err != nil {
		return func(s report.Sample) { fmt.Fprintln(os.Stderr, report.Line(&s)) }
	}
	p := &panel{w: os.Stderr, width: terminalWidth, scenario: scenario, conns: int64(flags.Conns), warmup: warmup, duration: duration}
	return p.show
}

// terminalWidth is how many columns the terminal has at present.
func terminalWidth() int {
	if size, err := unix.IoctlGetWinsize(int(os.Stderr.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
		return int(size.Col)
	}
	return 80 // some terminals do not know
}

// panel is some lines on a terminal that are drawn over each second.
type panel struct {
	w                io.Writer
	width            func() int // columns that there are
	scenario         string
	conns            int64
	warmup, duration time.Duration
	rates, latencies []float64
	drawn            []int // columns of each line that is on the screen
}

// The width of a progress bar, and of a line of small columns: what the text
// beside them leaves, within these bounds.
const (
	leastCells  = 10
	mostCells   = 60
	besideCells = 52 // the longest text beside them, about
)

// show draws a second.
func (p *panel) show(s report.Sample) {
	p.rates = append(p.rates, float64(s.Received))
	p.latencies = append(p.latencies, float64(s.P99))
	width := p.width()
	cells := min(max(width-besideCells, leastCells), mostCells)
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, cut(fmt.Sprintf(format, args...), width)) }
	add("%s  %s", p.scenario, p.stage(&s, cells))
	add("  connections  %10s  %s", report.Number(float64(s.Open)), bar(float64(s.Open)/float64(p.conns), cells))
	add("  deliveries/s %10s  %s", report.Number(float64(s.Received)), columns(p.rates, cells))
	add("  p99          %10s  %s  p50 %s, max %s", report.Duration(s.P99), columns(p.latencies, cells), report.Duration(s.P50), report.Duration(s.Max))
	if s.RSS > 0 {
		add("  server       %10s  %.0f %% of a core, %d descriptors", report.Bytes(float64(s.RSS)), 100*s.CPUShare, s.FDs)
	}
	add("  load         %8.0f %%  of a core", 100*s.LoadShare)
	p.draw(lines, width)
}

// draw puts lines over those that were drawn last. If the terminal has become
// narrower since, it has wrapped them, and they take more rows.
func (p *panel) draw(lines []string, width int) {
	rows := 0
	for _, columns := range p.drawn {
		rows += max((columns+width-1)/width, 1)
	}
	if rows > 0 {
		fmt.Fprintf(p.w, "\x1b[%dA\x1b[J", rows)
	}
	p.drawn = p.drawn[:0]
	for _, line := range lines {
		fmt.Fprintf(p.w, "%s\n", line)
		p.drawn = append(p.drawn, utf8.RuneCountInString(line))
	}
}

// cut makes a line fit. All that the panel is made of takes one column a rune.
func cut(line string, width int) string {
	if utf8.RuneCountInString(line) <= width {
		return line
	}
	return string([]rune(line)[:width])
}

// stage is a progress bar of the time, with the phase.
func (p *panel) stage(s *report.Sample, cells int) string {
	if s.Phase == "opening" {
		return s.Phase
	}
	total := (p.warmup + p.duration).Seconds()
	passed := min(s.T+p.warmup.Seconds(), total) // warming up is below 0
	return fmt.Sprintf("%s %s %.0f of %.0f s", bar(passed/total, cells), s.Phase, passed, total)
}

// bar draws a share of 0 to 1.
func bar(share float64, cells int) string {
	full := int(min(max(share, 0), 1)*float64(cells) + 0.5)
	return "[" + strings.Repeat("█", full) + strings.Repeat("·", cells-full) + "]"
}

// columns draws the last values as columns of eighths.
func columns(values []float64, cells int) string {
	values = values[max(0, len(values)-cells):]
	highest := 0.0
	for _, v := range values {
		highest = max(highest, v)
	}
	heights := []rune(" ▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, v := range values {
		n := 0
		if highest > 0 {
			n = int(v/highest*float64(len(heights)-1) + 0.5)
		}
		b.WriteRune(heights[n])
	}
	return fmt.Sprintf("%-*s", cells, b.String())
}
