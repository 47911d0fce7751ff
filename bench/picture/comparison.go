package picture

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"

	"throng/bench/versus"
)

//go:embed comparison.html
var comparisonText string

var comparisonPage = template.Must(template.New("comparison").Parse(comparisonText))

// ComparisonPage writes a page that needs nothing else.
func ComparisonPage(c *versus.Comparison, charts []*Chart) ([]byte, error) {
	var pictures []map[string]template.HTML
	for _, chart := range charts {
		themes := map[string]template.HTML{}
		for name, theme := range map[string]Theme{"Light": Light, "Dark": Dark} {
			svg, err := chart.SVG(theme)
			if err != nil {
				return nil, err
			}
			// Without the XML declaration it can stand in a page.
			_, svg, _ = bytes.Cut(svg, []byte("?>"))
			themes[name] = template.HTML(svg)
		}
		pictures = append(pictures, themes)
	}
	var b bytes.Buffer
	if err := comparisonPage.Execute(&b, map[string]any{"C": c, "Pictures": pictures}); err != nil {
		return nil, fmt.Errorf("write HTML: %w", err)
	}
	return b.Bytes(), nil
}
