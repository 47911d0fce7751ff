package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"

	"throng/bench/hostile"
	"throng/bench/target"
	"throng/bench/versus"
)

// battle are the flags of commands that start servers and do something to them.
type battle struct {
	Spawn string `help:"Start the server with this command instead of building Throng; {address} and {admin} in it are replaced, and flags of Throng's are added." placeholder:"CMD" group:"Server"`
	Front bool   `help:"Let the server go in front of whatever else wants its core, so that a busy machine says something, too. Takes CAP_SYS_NICE." group:"Server"`
	Docs  string `help:"Put the table into this document." placeholder:"FILE" type:"path" group:"Reports"`
}

// document reads the one that figures go into, and finds out before a long run
// whether it has a place for them.
func (c *battle) document(block string) (string, error) {
	if c.Docs == "" {
		return "", nil
	}
	text, err := os.ReadFile(c.Docs)
	if err == nil {
		_, err = versus.SetBlock(string(text), block, "")
	}
	if err != nil {
		return "", fmt.Errorf("the document to put figures into: %s: %w", c.Docs, err)
	}
	return string(text), nil
}

// publish puts a block into the document, if there is one.
func (c *battle) publish(document, block, content string) error {
	if document == "" {
		return nil
	}
	text, err := versus.SetBlock(document, block, content)
	if err == nil {
		err = os.WriteFile(c.Docs, []byte(text), 0o644)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.Docs, err)
	}
	return nil
}

// errUnclear is a run on a machine that had other things to do.
var errUnclear = errors.New("the machine was the limit, see above: measure again when it is quiet")

// worst is the verdict of all.
func worst(verdicts []string) (err error) {
	for _, v := range verdicts {
		switch v {
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
func enterGround(ctx context.Context, flags *battle) (*ground, error) {
	g := &ground{arena: &arena{serverCore: -1, environment: target.Environment()}, command: flags.Spawn, front: flags.Front}
	raiseFiles(1 << 30)
	if flags.Spawn == "" {
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

// start starts a server with more options, at an address or a free one.
func (g *ground) start(ctx context.Context, at netip.AddrPort, options string) (*hostile.Server, error) {
	address := at.String()
	if !at.IsValid() {
		free, err := freeAddress()
		if err != nil {
			return nil, err
		}
		address = free
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
