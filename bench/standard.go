package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"throng/bench/picture"
	"throng/bench/report"
	"throng/bench/versus"
)

// standardCommand is what `make bench` runs.
type standardCommand struct {
	Docs   string `help:"The document whose figures are replaced." default:"docs/benchmarks.md" type:"path" group:"Reports"`
	Images string `help:"Where its pictures go (default: images, beside it)." placeholder:"DIR" type:"path" group:"Reports"`
	Throng string `help:"This program instead of one built here." placeholder:"FILE" type:"existingfile" group:"Servers"`
	Peers  string `help:"This program instead of one built from bench/peers." placeholder:"FILE" type:"existingfile" group:"Servers"`
	Rounds int    `help:"How often each server is measured in each scenario." default:"3" group:"Load"`
}

// The standard set takes less than ten minutes: seven servers, five scenarios.
const (
	standardWarmup   = 500 * time.Millisecond
	standardDuration = 2 * time.Second
	standardConnects = 5000
	standardFlags    = "--warmup 500ms --duration 2s --connects 5k"
	growthRounds     = 2
)

// growing are the sizes at which costs have to stay the same.
var growing = []int{1000, 4000, 9000, 18_000}

// growthFigures are those that should not depend on the size.
var growthFigures = []string{"cpu_per_delivery_ns", "p50_ns", "p99_ns"}

// Help shows an example.
func (*standardCommand) Help() string { return "bench standard --docs docs/benchmarks.md" }

func (c *standardCommand) Run(ctx context.Context) error {
	document, err := os.ReadFile(c.Docs)
	if err != nil {
		return fmt.Errorf("the document to put figures into: %w", err)
	}
	if c.Images == "" {
		c.Images = filepath.Join(filepath.Dir(c.Docs), "images")
	}
	if err := os.MkdirAll(c.Images, 0o755); err != nil {
		return fmt.Errorf("a place for pictures: %w", err)
	}
	// Half the markers missing should not be found out after ten minutes.
	for _, name := range blockNames() {
		if _, err := versus.SetBlock(string(document), name, ""); err != nil {
			return fmt.Errorf("%s: %w", c.Docs, err)
		}
	}
	results, err := c.measure(ctx)
	if err != nil {
		return err
	}
	text := string(document)
	for _, name := range blockNames() {
		if text, err = versus.SetBlock(text, name, results.block(name, c.Rounds)); err != nil {
			return fmt.Errorf("%s: %w", c.Docs, err)
		}
	}
	if err := c.write(text, results); err != nil {
		return err
	}
	return errors.Join(verdict(results.peers), verdict(results.growth))
}

// findings are what the standard set found out.
type findings struct{ peers, growth *versus.Comparison }

// measure runs the standard set.
func (c *standardCommand) measure(ctx context.Context) (*findings, error) {
	all := &contest{Throng: c.Throng, Peers: c.Peers, Rounds: c.Rounds, Duration: standardDuration, Warmup: standardWarmup}
	arena, err := all.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer arena.leave()
	sizes := versus.Standard
	sizes.Warmup, sizes.Duration, sizes.Connects = standardWarmup, standardDuration, standardConnects
	results := &findings{}
	results.peers = arena.compare(ctx, &versus.Plan{Servers: arena.servers, Scenarios: versus.Scenarios, Sizes: sizes, Rounds: c.Rounds, Baseline: baseline})
	results.growth = arena.compare(ctx, growth(arena.servers[0], sizes, min(c.Rounds, growthRounds)))
	for _, comparison := range []*versus.Comparison{results.peers, results.growth} {
		if comparison.CutShort != "" {
			return nil, fmt.Errorf("%s: nothing was written", comparison.CutShort)
		}
	}
	return results, nil
}

// growth is a comparison of a server with itself, at other sizes. There is one
// sender, so that each delivery is a write of its own.
func growth(server versus.Server, sizes versus.Sizes, rounds int) *versus.Plan {
	p := &versus.Plan{Kind: "connections", Sizes: sizes, Rounds: rounds}
	for _, conns := range growing {
		sized := server
		sized.Conns = min(conns, idleLimit())
		sized.Name = report.Number(float64(sized.Conns))
		p.Servers = append(p.Servers, sized)
	}
	p.Baseline = p.Servers[0].Name
	p.Sizes.Senders = 1
	for _, s := range versus.Scenarios {
		switch s.Name {
		case "fanout-1":
			s.Figures = slices.DeleteFunc(slices.Clone(s.Figures), func(f versus.Figure) bool { return !slices.Contains(growthFigures, f.Name) })
			s.Figures[0].Best = true // so that its range is shown
			p.Scenarios = append(p.Scenarios, s)
		case "idle":
			p.Scenarios = append(p.Scenarios, s)
		}
	}
	return p
}

// write puts everything where it belongs.
func (c *standardCommand) write(document string, results *findings) error {
	for _, chart := range charts(results.peers) {
		for ending, theme := range map[string]picture.Theme{".svg": picture.Light, "-dark.svg": picture.Dark} {
			content, err := chart.SVG(theme)
			if err == nil {
				err = keep(filepath.Join(c.Images, chart.Name+ending), content)
			}
			if err != nil {
				return fmt.Errorf("a picture: %w", err)
			}
		}
	}
	if err := keep(c.Docs, []byte(document)); err != nil {
		return fmt.Errorf("the document: %w", err)
	}
	fmt.Println("written:", c.Docs)
	return nil
}

// blockNames are the parts of the document that are generated.
func blockNames() []string {
	return append([]string{"machine", "servers", "growth-fanout-1", "growth-idle"}, scenarioNames()...)
}

// block is one of them.
func (f *findings) block(name string, rounds int) string {
	switch rest, grown := strings.CutPrefix(name, "growth-"); {
	case name == "machine":
		return f.peers.Remarks[0]
	case name == "servers":
		return serverTable(f.peers.Servers)
	case grown:
		return tableOf(f.growth, rest).Markdown()
	default:
		return fmt.Sprintf("    go run ./bench peers --scenario %s --rounds %d %s\n\n%s", name, rounds, standardFlags, tableOf(f.peers, name).Markdown())
	}
}

// tableOf finds a scenario's table.
func tableOf(c *versus.Comparison, scenario string) *versus.Table {
	for i := range c.Tables {
		if c.Tables[i].Scenario == scenario {
			return &c.Tables[i]
		}
	}
	panic("bench: the standard set has no scenario " + scenario)
}

// serverTable says what was compared.
func serverTable(servers []versus.Server) string {
	var b strings.Builder
	b.WriteString("| server | library |\n| --- | --- |\n")
	for _, s := range servers {
		fmt.Fprintf(&b, "| %s | %s |\n", s.Name, s.Library)
	}
	return b.String()
}
