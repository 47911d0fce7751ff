package picture

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"

	"throng/bench/report"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"number":   report.Number,
	"count":    func(n int64) string { return report.Number(float64(n)) },
	"duration": report.Duration,
	"nanos":    func(ns float64) string { return report.Duration(int64(ns)) },
	"bytes":    func(v any) string { return report.Bytes(asFloat(v)) },
	"percent":  func(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) },
}).Parse(pageText))

// asFloat takes the kinds of numbers that results have.
func asFloat(v any) float64 {
	switch n := v.(type) {
	case int64:
		return float64(n)
	case float64:
		return n
	}
	panic(fmt.Sprintf("picture: %T is no number", v))
}

// row is a line of the table of latencies.
type row struct {
	Name string
	*report.Percentiles
}

// HTML writes a page that needs nothing else.
func HTML(r *report.Result) ([]byte, error) {
	plots, err := Plots(r)
	if err != nil {
		return nil, err
	}
	var pictures []template.HTML
	for _, p := range plots {
		svg, err := SVG(p)
		if err != nil {
			return nil, err
		}
		pictures = append(pictures, template.HTML(svg))
	}
	var rows []row
	l := &r.Latency
	for _, candidate := range []row{{"corrected", &l.Corrected}, {"raw", &l.Raw}, {"first receiver", &l.First},
		{"median receiver", &l.Median}, {"99th of 100", &l.P99}, {"last receiver", &l.Last}, {"first to last", &l.Spread}} {
		if candidate.Count > 0 {
			rows = append(rows, candidate)
		}
	}
	var b bytes.Buffer
	err = page.Execute(&b, map[string]any{"R": r, "Pictures": pictures, "Latencies": rows})
	if err != nil {
		return nil, fmt.Errorf("write HTML: %w", err)
	}
	return b.Bytes(), nil
}
