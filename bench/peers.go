package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"throng/bench/picture"
	"throng/bench/report"
	"throng/bench/versus"
)

// contest are the flags of a comparison with other servers.
type contest struct {
	Only     []string      `help:"Only these servers (${servers})." placeholder:"NAME" group:"Servers"`
	Throng   string        `help:"This program instead of one built here." placeholder:"FILE" type:"existingfile" group:"Servers"`
	Peers    string        `help:"This program instead of one built from bench/peers." placeholder:"FILE" type:"existingfile" group:"Servers"`
	Rounds   int           `help:"How often each server is measured in each scenario." default:"3" group:"Load"`
	Duration time.Duration `help:"How long to measure each." default:"4s" short:"d" group:"Load"`
	Warmup   time.Duration `help:"How long to send before measuring." default:"1s" group:"Load"`
}

type peersCommand struct {
	contest
	Scenario []string      `help:"Only these scenarios (${scenarios})." placeholder:"NAME" group:"Load"`
	Members  count         `help:"Members of the room." default:"2k" group:"Load"`
	Idle     count         `help:"Connections to hold; what the open-file limit allows, if that is less." default:"18k" group:"Load"`
	Hold     time.Duration `help:"How long to hold them until their memory is measured." default:"2s" group:"Load"`
	Connects count         `help:"Connections to open." default:"10k" group:"Load"`
	JSON     string        `name:"json" help:"Write all results here." placeholder:"FILE" type:"path" group:"Reports"`
	Markdown string        `help:"Write the tables here." placeholder:"FILE" type:"path" group:"Reports"`
	HTML     string        `name:"html" help:"Write a page, peers.html, into this directory." placeholder:"DIR" type:"path" group:"Reports"`
	PNG      string        `name:"png" help:"Write pictures into this directory." placeholder:"DIR" type:"path" group:"Reports"`
}

// Help shows an example.
func (*peersCommand) Help() string {
	return "bench peers --only throng,gorilla --scenario fanout-16 --rounds 5 --markdown peers.md"
}

func (c *peersCommand) Run(ctx context.Context) error {
	scenarios, err := pick(versus.Scenarios, func(s versus.Scenario) string { return s.Name }, c.Scenario, "scenario")
	if err != nil {
		return err
	}
	for _, dir := range []string{c.HTML, c.PNG} {
		if dir != "" {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return fmt.Errorf("a report cannot be written: %w", err)
			}
		}
	}
	if err := writable(c.JSON, c.Markdown); err != nil {
		return err
	}
	sizes := versus.Standard
	sizes.Members, sizes.Senders = int(c.Members), min(sizes.Senders, int(c.Members))
	sizes.Idle, sizes.Connects = int(c.Idle), int(c.Connects)
	sizes.Warmup, sizes.Duration, sizes.Hold = c.Warmup, c.Duration, c.Hold
	arena, err := c.enter(ctx)
	if err != nil {
		return err
	}
	defer arena.leave()
	comparison := arena.compare(ctx, &versus.Plan{Servers: arena.servers, Scenarios: scenarios, Sizes: sizes, Rounds: c.Rounds, Baseline: baseline})
	if err := comparison.Text(os.Stdout); err != nil {
		return err
	}
	if err := c.publish(comparison); err != nil {
		return err
	}
	if comparison.CutShort != "" {
		return context.Cause(ctx)
	}
	return verdict(comparison)
}

// pick chooses by name, in the order of all; nothing asked for is everything.
func pick[T any](all []T, name func(T) string, wanted []string, kind string) (chosen []T, err error) {
	var names []string
	for _, one := range all {
		names = append(names, name(one))
		if len(wanted) == 0 || slices.Contains(wanted, name(one)) {
			chosen = append(chosen, one)
		}
	}
	for _, w := range wanted {
		if !slices.Contains(names, w) {
			return nil, fmt.Errorf("there is no %s %q; there are %s", kind, w, strings.Join(names, ", "))
		}
	}
	return chosen, nil
}

// publish writes the reports that were asked for.
func (c *peersCommand) publish(comparison *versus.Comparison) (err error) {
	write := func(file string, content []byte, problem error) {
		if problem == nil {
			problem = keep(file, content)
		}
		err = errors.Join(err, problem)
	}
	if c.JSON != "" {
		text, problem := json.MarshalIndent(comparison, "", "  ")
		write(c.JSON, append(text, '\n'), problem)
	}
	if c.Markdown != "" {
		write(c.Markdown, []byte(comparison.Markdown()), nil)
	}
	if c.PNG != "" {
		for _, chart := range charts(comparison) {
			content, problem := chart.PNG(picture.Light)
			write(filepath.Join(c.PNG, chart.Name+".png"), content, problem)
		}
	}
	if c.HTML != "" {
		page, problem := picture.ComparisonPage(comparison, charts(comparison))
		write(filepath.Join(c.HTML, "peers.html"), page, problem)
	}
	return err
}

// verdict is the failure of any server, after all have been measured.
func verdict(comparison *versus.Comparison) error {
	failed := comparison.Failed()
	for _, what := range failed {
		fmt.Println("FAILED", what)
	}
	if len(failed) > 0 {
		return errFailed
	}
	return nil
}

// charts are the pictures of what was measured.
func charts(c *versus.Comparison) []*picture.Chart {
	short := func(t *versus.Table, figure, title, note string) picture.Panel {
		panel := picture.Panel{Title: title, Note: note}
		for _, row := range t.Rows {
			s := row.Figures[figure]
			panel.Bars = append(panel.Bars, picture.Bar{Name: row.Server, Value: s.Median, Min: s.Min, Max: s.Max, Text: t.Format(figure, s.Median)})
		}
		return panel
	}
	deliveries := &picture.Chart{Name: "peers-deliveries"}
	connections := &picture.Chart{Name: "peers-connections"}
	for i := range c.Tables {
		t := &c.Tables[i]
		switch t.Scenario {
		case "fanout-1":
			deliveries.Panels = append(deliveries.Panels, short(t, "rate", "Deliveries a second, 1 in flight", "more is better"))
		case "fanout-16":
			deliveries.Panels = append(deliveries.Panels, short(t, "rate", "Deliveries a second, 16 in flight", "more is better"))
		case "idle":
			connections.Panels = append(connections.Panels, short(t, "rss_per_conn_bytes", "Memory of an idle connection", "less is better"))
		case "connect":
			connections.Panels = append(connections.Panels, short(t, "cpu_per_connect_ns", "Processor time of a handshake", "less is better"))
		}
	}
	return slices.DeleteFunc([]*picture.Chart{deliveries, connections}, func(chart *picture.Chart) bool { return len(chart.Panels) == 0 })
}

// freeAddress is one that nobody listens at, as far as can be known.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a port for the server: %w", err)
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// progressLine says on standard error how a measurement went.
func progressLine(m *versus.Measurement, rounds int, figure versus.Figure) {
	text := "no result: " + m.Error
	if m.Result != nil {
		text = figure.Format(figure.Of(m.Result)) + " " + figure.Title
		if m.Result.Server != nil {
			text += fmt.Sprintf(", server %.0f %%, load %.0f %%", 100*m.Result.Server.CPUShare, 100*m.Result.Load.CPUShare)
		}
		if len(m.Result.Failures) > 0 {
			text += ", FAILED: " + strings.Join(m.Result.Failures, "; ")
		}
	}
	fmt.Fprintf(os.Stderr, "%d/%d  %-9s  %-8s  %s\n", m.Round, rounds, m.Scenario, m.Server, text)
}

// machine describes where the figures come from.
func machine(e *report.Environment, pinned string) string {
	kernel, _, _ := strings.Cut(e.Kernel, "-") // without a distribution's suffix
	return fmt.Sprintf("Linux %s, %s, %d cores, %s of memory, %s, at most %s open files in a process. %s", kernel, e.Processor, e.Processors,
		report.Bytes(float64(e.MemoryB)), e.Go, report.Number(float64(e.OpenFiles)), pinned)
}
