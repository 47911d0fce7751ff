package picture

import (
	"math"
	"strings"

	"gonum.org/v1/plot"

	"throng/bench/report"
)

// nines marks the axis of percentiles, which is the number of nines.
type nines struct{}

// Ticks implements plot.Ticker.
func (nines) Ticks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for _, mark := range []struct {
		share float64
		label string
	}{{1, "0"}, {0.5, "50"}, {0.1, "90"}, {0.01, "99"}, {1e-3, "99.9"}, {1e-4, "99.99"}, {1e-5, "99.999"}} {
		if at := -math.Log10(mark.share); at >= low-1e-9 && at <= high+1e-9 {
			ticks = append(ticks, plot.Tick{Value: at, Label: mark.label})
		}
	}
	return ticks
}

// durations marks an axis of nanoseconds: the decades, and their halves where
// there are few.
type durations struct{}

// Ticks implements plot.Ticker.
func (durations) Ticks(low, high float64) []plot.Tick {
	if low <= 0 || high/low < 3 {
		return label(plot.DefaultTicks{}.Ticks(low, high), func(v float64) string { return report.Duration(int64(v)) })
	}
	var ticks []plot.Tick
	for decade := math.Pow(10, math.Floor(math.Log10(low))); decade <= high; decade *= 10 {
		for _, m := range []float64{1, 2, 5} {
			if v := decade * m; v >= low && v <= high {
				tick := plot.Tick{Value: v}
				if m == 1 || high/low < 300 {
					tick.Label = report.Duration(int64(v))
				}
				ticks = append(ticks, tick)
			}
		}
	}
	return ticks
}

// quantities marks an axis of large numbers, with a unit.
type quantities string

// Ticks implements plot.Ticker.
func (unit quantities) Ticks(low, high float64) []plot.Tick {
	return label(plot.DefaultTicks{}.Ticks(low, high), func(v float64) string {
		for _, prefix := range []string{"", "k", "M", "G"} {
			if math.Abs(v) < 1000 {
				return strings.TrimSpace(report.Number(v) + " " + prefix + string(unit))
			}
			v /= 1000
		}
		return report.Number(v) + " T" + string(unit)
	})
}

// label writes the marks that have a label in another form.
func label(ticks []plot.Tick, text func(float64) string) []plot.Tick {
	for i := range ticks {
		if ticks[i].Label != "" {
			ticks[i].Label = text(ticks[i].Value)
		}
	}
	return ticks
}
