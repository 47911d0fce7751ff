package versus

import (
	"fmt"
	"math"
	"slices"
	"time"

	"throng/bench/report"
)

// Spread is what several rounds say about one figure. N is 0 if none has it.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	N      int     `json:"rounds"`
}

// spread summarizes values. One that is not a finite number was not measured.
func spread(values []float64) Spread {
	known := slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	n := len(known)
	if n == 0 {
		return Spread{}
	}
	slices.Sort(known)
	return Spread{Median: (known[(n-1)/2] + known[n/2]) / 2, Min: known[0], Max: known[n-1], N: n}
}

// ratios divides round by round.
func ratios(values, by []float64) []float64 {
	quotients := make([]float64, len(values))
	for i := range values {
		quotients[i] = values[i] / by[i]
	}
	return quotients
}

// text writes the median, with the range if that is more than a point.
func (s Spread) text(format func(float64) string, ranged bool) string {
	switch {
	case s.N == 0:
		return "–"
	case !ranged || s.N == 1 || format(s.Min) == format(s.Max):
		return format(s.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", format(s.Median), format(s.Min), format(s.Max))
}

// short writes a quantity with three significant digits: 512, 98.2k, 6.73M.
func short(v float64) string {
	unit := ""
	for _, next := range []string{"k", "M", "G"} {
		if math.Abs(v) < 999.5 {
			break
		}
		v /= 1000
		unit = next
	}
	if unit == "" {
		return report.Number(v)
	}
	return significant(v) + unit
}

// significant writes three digits.
func significant(v float64) string {
	switch a := math.Abs(v); {
	case a >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case a >= 9.995:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.0995:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

func duration(ns float64) string {
	if ns < 0 || ns > math.MaxInt64 {
		return "–"
	}
	return report.Duration(time.Duration(ns).Nanoseconds())
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }
