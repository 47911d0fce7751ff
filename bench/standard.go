package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"throng/bench/floor"
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
var growing = []int{1000, 4000, 18_000}

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
type findings struct {
	floor         report.Floor
	peers, growth *versus.Comparison
}

// measure runs the standard set.
func (c *standardCommand) measure(ctx context.Context) (*findings, error) {
	const frame = 74 // bytes of a message of 64 with a nickname and a head, about
	raiseFiles(2*maxFloorConns + spareFiles)
	ground, err := floor.Measure(floor.Config{Conns: versus.Standard.Members, Bytes: frame, Duration: standardDuration})
	if err != nil {
		return nil, err
	}
	all := &contest{Throng: c.Throng, Peers: c.Peers, Rounds: c.Rounds, Duration: standardDuration, Warmup: standardWarmup}
	arena, err := all.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer arena.leave()
	sizes := versus.Standard
	sizes.Warmup, sizes.Duration, sizes.Connects = standardWarmup, standardDuration, standardConnects
	results := &findings{floor: ground}
	results.peers = arena.compare(ctx, &versus.Plan{Servers: arena.servers, Scenarios: versus.Scenarios, Sizes: sizes, Rounds: c.Rounds, Baseline: baseline})
	results.growth = arena.compare(ctx, growth(arena.servers[0], sizes, min(c.Rounds, growthRounds)))
	for _, comparison := range []*versus.Comparison{results.peers, results.growth} {
		if comparison.CutShort != "" {
			return nil, fmt.Errorf("%s: nothing was written", comparison.CutShort)
		}
	}
	return results, nil
}

// growth is a comparison of a server with itself, at other sizes.
func growth(server versus.Server, sizes versus.Sizes, rounds int) *versus.Plan {
	p := &versus.Plan{Kind: "connections", Sizes: sizes, Rounds: rounds}
	for _, conns := range growing {
		sized := server
		sized.Conns = min(conns, idleLimit())
		sized.Name = report.Number(float64(sized.Conns))
		p.Servers = append(p.Servers, sized)
	}
	p.Baseline = p.Servers[0].Name
	for _, s := range versus.Scenarios {
		if s.Name == "fanout-1" || s.Name == "idle" {
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
				err = os.WriteFile(filepath.Join(c.Images, chart.Name+ending), content, 0o644)
			}
			if err != nil {
				return fmt.Errorf("a picture: %w", err)
			}
		}
	}
	if err := os.WriteFile(c.Docs, []byte(document), 0o644); err != nil {
		return fmt.Errorf("the document: %w", err)
	}
	fmt.Println("written:", c.Docs)
	return nil
}

// blockNames are the parts of the document that are generated.
func blockNames() []string {
	return append([]string{"machine", "servers", "floor", "growth-fanout-1", "growth-idle"}, scenarioNames()...)
}

// block is one of them.
func (f *findings) block(name string, rounds int) string {
	switch rest, grown := strings.CutPrefix(name, "growth-"); {
	case name == "machine":
		return f.peers.Remarks[0]
	case name == "servers":
		return serverTable(f.peers.Servers)
	case name == "floor":
		return f.floorTable()
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

// floorTable lays Throng beside what the machine itself allows.
func (f *findings) floorTable() string {
	own := func(scenario, figure string) float64 { return tableOf(f.peers, scenario).Rows[0].Figures[figure].Median }
	var b strings.Builder
	b.WriteString("| | the machine | Throng | ratio |\n| --- | ---: | ---: | ---: |\n")
	for _, row := range []struct {
		what          string
		floor, throng float64
	}{
		{"one write(2) to one of 2,000 sockets; processor time of a delivery, 1 in flight", f.floor.WriteNs, own("fanout-1", "cpu_per_delivery_ns")},
		{"the same; processor time of a delivery, 16 in flight", f.floor.WriteNs, own("fanout-16", "cpu_per_delivery_ns")},
		{"round trip of a bare epoll echo, median; of a lone connection", float64(f.floor.EchoP50Ns), own("echo", "p50_ns")},
	} {
		fmt.Fprintf(&b, "| %s | %s | %s | %.2f |\n", row.what, report.Duration(int64(row.floor)), report.Duration(int64(row.throng)), row.throng/row.floor)
	}
	return "    go run ./bench floor --conns 2k\n\n" + b.String()
}
