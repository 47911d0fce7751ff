package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"time"

	"throng/bench/crew"
	"throng/bench/hostile"
	"throng/bench/target"
	"throng/bench/versus"
)

type hostileCommand struct {
	Attack   []string      `help:"Only these attacks (${attacks})." placeholder:"NAME" group:"Load"`
	Duration time.Duration `help:"How long the mixed attack goes on." default:"10m" short:"d" group:"Load"`
	Calm     time.Duration `help:"How long the pairs talk undisturbed before each attack." default:"5s" group:"Load"`
	Spawn    string        `help:"Start the server with this command instead of building Throng; {address} and {admin} in it are replaced, and flags of Throng's are added." placeholder:"CMD" group:"Server"`
	Front    bool          `help:"Let the server go in front of whatever else wants its core, so that a busy machine says something, too. Takes CAP_SYS_NICE." group:"Server"`
	Docs     string        `help:"Put the table into this document." placeholder:"FILE" type:"path" group:"Reports"`
}

// Help shows an example.
func (*hostileCommand) Help() string { return "bench hostile --attack slow-handshakes,floods" }

// hostileBlock is the part of the document that is generated.
const hostileBlock = "hostile"

// errUnclear is a run on a machine that had other things to do.
var errUnclear = errors.New("the machine was the limit, see above: measure again when it is quiet")

func (c *hostileCommand) Run(ctx context.Context) error {
	if environ := os.Getenv(crew.Environ); environ != "" {
		return hostile.Work(environ)
	}
	if c.Duration <= 0 || c.Calm <= 0 {
		return errors.New("--duration and --calm must be positive")
	}
	attacks, err := pick(hostile.Attacks(c.Duration), func(a hostile.Attack) string { return a.Name }, c.Attack, "attack")
	if err != nil {
		return err
	}
	document, err := c.document()
	if err != nil {
		return err
	}
	raiseFiles(1 << 30)
	ground, err := enterGround(ctx, c.Spawn)
	if err != nil {
		return err
	}
	defer ground.leave()
	ground.front = c.Front
	stage := &hostile.Stage{Start: ground.start, Calm: c.Calm, Log: os.Stderr}
	var outcomes []*hostile.Outcome
	for i := range attacks {
		ground.adapt(&attacks[i])
		o, err := stage.Make(ctx, &attacks[i])
		if err != nil {
			return fmt.Errorf("%s: %w", attacks[i].Name, err)
		}
		outcomes = append(outcomes, o)
		fmt.Fprintf(os.Stderr, "%s: %s\n", attacks[i].Name, o.Verdict())
	}
	if err := hostile.Text(os.Stdout, outcomes); err != nil {
		return err
	}
	if document != "" {
		text, err := versus.SetBlock(document, hostileBlock, machine(&ground.environment, ground.pinned)+"\n\n"+hostile.Markdown(outcomes))
		if err == nil {
			err = os.WriteFile(c.Docs, []byte(text), 0o644)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.Docs, err)
		}
	}
	return hostileVerdict(outcomes)
}

// document reads the one that figures go into, and finds out before a long run
// whether it has a place for them.
func (c *hostileCommand) document() (string, error) {
	if c.Docs == "" {
		return "", nil
	}
	text, err := os.ReadFile(c.Docs)
	if err == nil {
		_, err = versus.SetBlock(string(text), hostileBlock, "")
	}
	if err != nil {
		return "", fmt.Errorf("the document to put figures into: %s: %w", c.Docs, err)
	}
	return string(text), nil
}

// hostileVerdict is that of all attacks.
func hostileVerdict(outcomes []*hostile.Outcome) error {
	var err error
	for _, o := range outcomes {
		switch o.Verdict() {
		case hostile.Failed:
			return errFailed
		case hostile.Unclear:
			err = errUnclear
		}
	}
	return err
}

// ground is where servers are started to be attacked: on a core of their own.
type ground struct {
	*arena
	command string
	help    string // what the server says of its flags
	front   bool   // it goes in front of others on its core
}

// enterGround builds what is needed, and takes its core.
func enterGround(ctx context.Context, spawn string) (*ground, error) {
	g := &ground{arena: &arena{serverCore: -1, environment: target.Environment()}, command: spawn}
	if spawn == "" {
		var err error
		if g.directory, err = os.MkdirTemp("", "throng-bench-"); err != nil {
			return nil, fmt.Errorf("a place for programs: %w", err)
		}
		program, err := g.build(ctx, "throng", ".")
		if err != nil {
			g.leave()
			return nil, err
		}
		g.command = quote(program) + " --listen {address} --admin {admin} --workers 1 --log-level error"
		// What it cannot say, it does not have.
		text, _ := exec.CommandContext(ctx, program, "--help").CombinedOutput()
		g.help = string(text)
	}
	if err := g.pin(); err != nil {
		g.leave()
		return nil, err
	}
	return g, nil
}

// leave removes what was built.
func (g *ground) leave() {
	if g.directory != "" {
		g.arena.leave()
	}
}

// adapt makes the most of what the server can be told.
func (g *ground) adapt(a *hostile.Attack) { a.Adapt(g.help) }

// start starts a server with more options.
func (g *ground) start(ctx context.Context, options string) (*hostile.Server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	command := strings.NewReplacer("{address}", address, "{admin}", admin).Replace(g.command)
	var process *target.Process
	start := func() (err error) {
		process, err = g.spawn(ctx, strings.TrimSpace(command+" "+options), address)
		return err
	}
	if !g.front {
		err = start()
	} else if allowed, problem := target.InFront(start); problem != nil || !allowed {
		err = errors.Join(problem, errors.New("--front: the kernel does not allow that"))
	}
	if err != nil {
		return nil, err
	}
	return &hostile.Server{Process: process, Address: netip.MustParseAddrPort(address), Admin: "http://" + admin}, nil
}

// attackNames are all of them.
func attackNames() []string {
	var names []string
	for _, a := range hostile.Attacks(time.Minute) {
		names = append(names, a.Name)
	}
	return names
}
