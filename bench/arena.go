package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"throng/bench/load"
	"throng/bench/report"
	"throng/bench/target"
	"throng/bench/versus"
)

// baseline is the server that the others are put in relation to.
const baseline = "gorilla"

// rivals are the servers of bench/peers, with their libraries.
var rivals = []struct{ name, module string }{
	{"gorilla", "github.com/gorilla/websocket"},
	{"coder", "github.com/coder/websocket"},
	{"gws", "github.com/lxzan/gws"},
	{"nbio", "github.com/lesismal/nbio"},
	{"melody", "github.com/olahol/melody"},
	{"gobwas", "github.com/gobwas/ws"},
}

// serverNames are all that can be compared.
func serverNames() []string {
	names := []string{"throng"}
	for _, r := range rivals {
		names = append(names, r.name)
	}
	return names
}

// scenarioNames are all that servers can go through.
func scenarioNames() []string {
	var names []string
	for _, s := range versus.Scenarios {
		names = append(names, s.Name)
	}
	return names
}

// arena is where servers are compared: the programs, and a core for each side.
type arena struct {
	directory   string // of what was built; removed at the end
	servers     []versus.Server
	environment report.Environment
	serverCore  int // -1 where there are not two cores
	pinned      string
}

// enter builds what is needed, and takes its core.
func (c *contest) enter(ctx context.Context) (*arena, error) {
	if c.Rounds < 1 || c.Duration <= 0 || c.Warmup < 0 {
		return nil, errors.New("--rounds must be at least 1, --duration positive, --warmup not negative")
	}
	names, err := pick(serverNames(), func(s string) string { return s }, c.Only, "server")
	if err != nil {
		return nil, err
	}
	a := &arena{serverCore: -1, environment: target.Environment()}
	if a.directory, err = os.MkdirTemp("", "throng-bench-"); err != nil {
		return nil, fmt.Errorf("a place for programs: %w", err)
	}
	for _, name := range names {
		if err := a.add(ctx, c, name); err != nil {
			a.leave()
			return nil, err
		}
	}
	if err := a.pin(); err != nil {
		a.leave()
		return nil, err
	}
	return a, nil
}

// leave removes what was built.
func (a *arena) leave() { os.RemoveAll(a.directory) }

// add makes a server ready to be started.
func (a *arena) add(ctx context.Context, c *contest, name string) (err error) {
	s := versus.Server{Name: name}
	if name == "throng" {
		if c.Throng == "" {
			if c.Throng, err = a.build(ctx, "throng", "."); err != nil {
				return err
			}
		}
		s.Command = quote(c.Throng) + " --listen {address} --admin= --workers 1 --message-rate 0 --log-level error"
		s.Library = "this repository"
	} else {
		if c.Peers == "" {
			if c.Peers, err = a.build(ctx, "peers", filepath.Join("bench", "peers")); err != nil {
				return err
			}
		}
		s.Command = quote(c.Peers) + " " + name + " --listen {address}"
		s.Library = library(c.Peers, name)
	}
	a.servers = append(a.servers, s)
	return nil
}

// build compiles the program in a directory of this repository.
func (a *arena) build(ctx context.Context, name, directory string) (file string, err error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "throng").Output()
	root := strings.TrimSpace(string(out))
	if err != nil || root == "" {
		return "", fmt.Errorf("%s cannot be built, because this is not Throng's repository: run there, or name the program with --%s", name, name)
	}
	fmt.Fprintf(os.Stderr, "building %s\n", name)
	file = filepath.Join(a.directory, name)
	command := exec.CommandContext(ctx, "go", "build", "-o", file, ".")
	command.Dir = filepath.Join(root, directory)
	if text, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, bytes.TrimSpace(text))
	}
	return file, nil
}

// library is what a peer is written on, as its program records it.
func library(program, name string) string {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return ""
	}
	for _, rival := range rivals {
		for _, module := range info.Deps {
			if rival.name == name && module.Path == rival.module {
				return module.Path + " " + module.Version
			}
		}
	}
	return ""
}

// quote makes one word for sh of a file's name.
func quote(file string) string { return "'" + strings.ReplaceAll(file, "'", `'\''`) + "'" }

// pin takes the last core for this process, and keeps the first for servers.
// Neighbouring numbers may be two halves of one core.
func (a *arena) pin() error {
	cores, err := target.Cores()
	if err != nil {
		return err
	}
	if len(cores) < 2 {
		a.pinned = "There is one core only, which server and load share: the figures say little, and of throughput nothing."
		fmt.Fprintln(os.Stderr, "warning:", a.pinned)
		return nil
	}
	a.serverCore = cores[0]
	own := cores[len(cores)-1]
	a.pinned = fmt.Sprintf("Server on core %d, load on core %d.", a.serverCore, own)
	return target.PinSelf(own)
}

// compare makes the runs and says how they go.
func (a *arena) compare(ctx context.Context, plan *versus.Plan) *versus.Comparison {
	figures := map[string]versus.Figure{}
	for _, s := range plan.Scenarios {
		figures[s.Name] = s.Figures[0]
	}
	if most := idleLimit(); plan.Sizes.Idle > most {
		fmt.Fprintf(os.Stderr, "warning: the open-file limit allows %d idle connections instead of %d\n", most, plan.Sizes.Idle)
		plan.Sizes.Idle = most
	}
	c := versus.Run(ctx, plan, a.measure, func(m *versus.Measurement) { progressLine(m, plan.Rounds, figures[m.Scenario]) })
	c.Environment = a.environment
	c.Remarks = append([]string{machine(&a.environment, a.pinned)}, remarks...)
	return c
}

// remarks stand beside all figures.
var remarks = []string{
	"Medians over the rounds, with the least and the greatest; ratios are taken within each round.",
	"One message is one frame for every server, so that each delivery is counted alike; gorilla's own example joins queued messages into one frame.",
	"gorilla, coder, melody and gobwas wait up to 10 s for a member that is stuck, where their examples drop it or its messages.",
	"Every measurement has a server of its own: idle memory is that of one that has never sent a message.",
}

// spareServerFiles is what both sides may have open besides connections.
const spareServerFiles = 200

// idleLimit is how many connections the open-file limit allows both sides.
func idleLimit() int {
	soft, _ := raiseFiles(1 << 30)
	return max(int(min(soft, 1<<30))-spareServerFiles, 1)
}

// measure starts a server, makes one run against it, and stops it.
func (a *arena) measure(ctx context.Context, server versus.Server, apply func(*load.Config)) (*report.Result, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	flags := &common{URL: "ws://" + address + "/chat", Opening: 256, Handshake: 10 * time.Second, Procs: 1, Seed: 1, Order: "total",
		Spawn: strings.ReplaceAll(server.Command, "{address}", address)}
	var sized load.Config
	apply(&sized)
	flags.Conns = count(sized.Conns)
	config, err := configure(flags, sized.Duration)
	if err != nil {
		return nil, err
	}
	apply(&config)
	if err := check(&config, flags); err != nil {
		return nil, err
	}
	process, err := a.spawn(ctx, flags.Spawn, config.Server.String())
	if err != nil {
		return nil, err
	}
	defer process.Stop()
	config.PID = process.PID()
	began, waited := time.Now(), target.WaitedOf(config.PID)
	running, cancel := untilEnd(ctx, process)
	defer cancel()
	parts, err := run(running, config, nil)
	if end := process.Ended(err != nil); end != nil {
		return nil, end
	}
	if err != nil {
		return nil, err
	}
	waited = target.WaitedOf(config.PID) - waited
	result := load.Combine(parts)
	if result.Server != nil {
		result.Server.WaitedShare = max(waited.Seconds()/time.Since(began).Seconds(), 0)
	}
	result.Plan, result.Environment = plan(flags, &config), a.environment
	judge(result, flags)
	return result, nil
}

// spawn starts a server on its core.
func (a *arena) spawn(ctx context.Context, command, address string) (process *target.Process, err error) {
	start := func() (err error) {
		process, err = target.Spawn(ctx, command, address)
		return err
	}
	if a.serverCore < 0 {
		err = start()
	} else {
		err = target.OnCore(a.serverCore, start)
	}
	return process, err
}
