package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"throng/bench/report"
)

// wide is a second whose figures are as long as they get.
var wide = report.Sample{T: 12, Phase: "measuring", Open: 19_900, Received: 12_345_678, P50: 123_456_789, P99: 987_654_321, Max: 999_999_999_999,
	RSS: 123_456_789_012, FDs: 19_999, CPUShare: 12, LoadShare: 1}

func TestThePanelFitsTheTerminal(t *testing.T) {
	for _, width := range []int{1, 20, 60, 80, 200} {
		var screen bytes.Buffer
		p := &panel{w: &screen, width: func() int { return width }, scenario: "fanout", conns: 20_000, warmup: time.Second, duration: time.Hour}
		for range 100 {
			p.show(wide)
		}
		for line := range strings.Lines(screen.String()) {
			line = strings.TrimRight(line, "\n")
			if _, text, ok := strings.Cut(line, "\x1b[J"); ok {
				line = text
			}
			if n := utf8.RuneCountInString(line); n > width {
				t.Fatalf("%d columns in %d: %q", n, width, line)
			}
			if width >= 80 && strings.HasPrefix(line, "  p99") && !strings.Contains(line, "max 16m40s") {
				t.Fatalf("%d columns lack the end of %q", width, line)
			}
		}
		if n := strings.Count(screen.String(), "\x1b[6A\x1b[J"); n != 99 {
			t.Errorf("%d columns: drawn over %d times, want 99", width, n)
		}
	}
}

// A terminal that becomes narrower wraps what is on it.
func TestThePanelFollowsTheTerminal(t *testing.T) {
	width := 80
	var screen bytes.Buffer
	p := &panel{w: &screen, width: func() int { return width }, scenario: "fanout", conns: 20_000, duration: time.Hour}
	p.show(wide)
	rows := 0
	width = 30
	for line := range strings.Lines(screen.String()) {
		rows += (utf8.RuneCountInString(strings.TrimRight(line, "\n")) + width - 1) / width
	}
	screen.Reset()
	p.show(wide)
	if want := fmt.Sprintf("\x1b[%dA\x1b[J", rows); !strings.HasPrefix(screen.String(), want) {
		t.Errorf("drawn with %q, want %q", screen.String()[:10], want)
	}
}
