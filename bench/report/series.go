package report

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Line is one second of a run, on a line.
func Line(s *Sample) string {
	line := fmt.Sprintf("%7.1f s  %-9s  %8s open  %12s received", s.T, s.Phase, Number(float64(s.Open)), Number(float64(s.Received)))
	if s.P99 > 0 {
		line += fmt.Sprintf("  p50 %7s  p99 %7s", Duration(s.P50), Duration(s.P99))
	}
	if s.RSS > 0 {
		line += fmt.Sprintf("  server %s, %.0f %%", Bytes(float64(s.RSS)), 100*s.CPUShare)
	}
	return line
}

// CSV is the time series, with a line of names first.
func CSV(samples []Sample) []byte {
	var b bytes.Buffer
	b.WriteString("t_s,phase,open,sent,received,p50_ns,p99_ns,max_ns,spread_ns,rss_bytes,cpu_share,fds,goroutines,load_cpu_share,heap_bytes\n")
	for i := range samples {
		s := &samples[i]
		fmt.Fprintf(&b, "%.3f,%s,%d,%d,%d,%d,%d,%d,%d,%d,%.4f,%d,%d,%.4f,%d\n", s.T, s.Phase, s.Open, s.Sent, s.Received,
			s.P50, s.P99, s.Max, s.Spread, s.RSS, s.CPUShare, s.FDs, s.Goroutines, s.LoadShare, s.Heap)
	}
	return b.Bytes()
}

// JSON is the whole result.
func JSON(r *Result) ([]byte, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return append(text, '\n'), nil
}
