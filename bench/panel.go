package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

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
	p := &panel{w: os.Stderr, scenario: scenario, conns: int64(flags.Conns), warmup: warmup, duration: duration}
	return p.show
}

// panel is some lines on a terminal that are drawn over each second.
type panel struct {
	w                io.Writer
	scenario         string
	conns            int64
	warmup, duration time.Duration
	rates, latencies []float64
	drawn            int
}

// barCells is the width of a progress bar, and of a line of small columns.
const barCells = 40

// show draws a second.
func (p *panel) show(s report.Sample) {
	p.rates = append(p.rates, float64(s.Received))
	p.latencies = append(p.latencies, float64(s.P99))
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	add("%s  %s", p.scenario, p.stage(&s))
	add("  connections  %10s  %s", report.Number(float64(s.Open)), bar(float64(s.Open)/float64(p.conns)))
	add("  deliveries/s %10s  %s", report.Number(float64(s.Received)), columns(p.rates))
	add("  p99          %10s  %s  p50 %s, max %s", report.Duration(s.P99), columns(p.latencies), report.Duration(s.P50), report.Duration(s.Max))
	if s.RSS > 0 {
		add("  server       %10s  %.0f %% of a core, %d descriptors", report.Bytes(float64(s.RSS)), 100*s.CPUShare, s.FDs)
	}
	add("  load         %8.0f %%  of a core", 100*s.LoadShare)
	if p.drawn > 0 {
		fmt.Fprintf(p.w, "\x1b[%dA", p.drawn)
	}
	for _, line := range lines {
		fmt.Fprintf(p.w, "\x1b[2K%s\n", line)
	}
	p.drawn = len(lines)
}

// stage is a progress bar of the time, with the phase.
func (p *panel) stage(s *report.Sample) string {
	if s.Phase == "opening" {
		return s.Phase
	}
	total := (p.warmup + p.duration).Seconds()
	passed := min(s.T+p.warmup.Seconds(), total) // warming up is below 0
	return fmt.Sprintf("%s %s %.0f of %.0f s", bar(passed/total), s.Phase, passed, total)
}

// bar draws a share of 0 to 1.
func bar(share float64) string {
	full := int(min(max(share, 0), 1)*barCells + 0.5)
	return "[" + strings.Repeat("█", full) + strings.Repeat("·", barCells-full) + "]"
}

// columns draws the last values as columns of eighths.
func columns(values []float64) string {
	values = values[max(0, len(values)-barCells):]
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
	return fmt.Sprintf("%-*s", barCells, b.String())
}
