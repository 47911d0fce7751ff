package picture_test

import (
	"bytes"
	"image/png"
	"strings"
	"testing"

	"throng/bench/picture"
	"throng/bench/versus"
)

func chart() *picture.Chart {
	return &picture.Chart{Name: "test", Panels: []picture.Panel{
		{Title: "Speed", Note: "more is better", Bars: []picture.Bar{{"ours", 80, 70, 90, "80k"}, {"theirs", 10, 10, 10, "10k"}}},
		{Title: "Nothing", Bars: []picture.Bar{{"ours", 0, 0, 0, "–"}, {"below", -3, -4, 0, "-3"}}},
	}}
}

func TestBarsAreDrawnInBothThemes(t *testing.T) {
	for name, theme := range map[string]picture.Theme{"light": picture.Light, "dark": picture.Dark} {
		svg, err := chart().SVG(theme)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"Speed", "more is better", "theirs", "80k", "Nothing", "sans-serif"} {
			if !bytes.Contains(svg, []byte(want)) {
				t.Errorf("%s: the SVG lacks %q", name, want)
			}
		}
		if bytes.Contains(svg, []byte("NaN")) || bytes.Contains(svg, []byte("Inf")) {
			t.Errorf("%s: the SVG has coordinates that are none", name)
		}
		content, err := chart().PNG(theme)
		if err != nil {
			t.Fatal(err)
		}
		picture, err := png.Decode(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		corner, _, _, _ := picture.At(1, 1).RGBA()
		if light := corner > 0x8000; light != (name == "light") {
			t.Errorf("%s: the background has the red %x", name, corner)
		}
	}
}

func TestComparisonPageEscapesAndShowsAll(t *testing.T) {
	c := &versus.Comparison{CutShort: "interrupted", Remarks: []string{"a < b"}, Servers: []versus.Server{{Name: "ours", Library: "lib v1"}},
		Tables: []versus.Table{{Scenario: "echo", Title: "Round trips", Rows: []versus.Row{{Server: "<b>", Proof: "passed"}}}}}
	page, err := picture.ComparisonPage(c, []*picture.Chart{chart()})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Cut short: interrupted", "a &lt; b", "lib v1", "echo: Round trips", "&lt;b&gt;", "<svg"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}
