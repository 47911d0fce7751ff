package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"throng/bench/crew"
	"throng/bench/hostile"
)

type hostileCommand struct {
	battle
	Attack   []string      `help:"Only these attacks (${attacks})." placeholder:"NAME" group:"Load"`
	Duration time.Duration `help:"How long the mixed attack goes on." default:"10m" short:"d" group:"Load"`
	Calm     time.Duration `help:"How long the pairs talk undisturbed before each attack." default:"5s" group:"Load"`
}

// Help shows an example.
func (*hostileCommand) Help() string { return "bench hostile --attack slow-handshakes,floods" }

// The parts of documents that are generated.
const (
	hostileBlock = "hostile"
	faultsBlock  = "faults"
)

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
	document, err := c.document(hostileBlock)
	if err != nil {
		return err
	}
	ground, err := enterGround(ctx, &c.battle)
	if err != nil {
		return err
	}
	defer ground.leave()
	stage := &hostile.Stage{Start: ground.start, Calm: c.Calm, Log: os.Stderr}
	var outcomes []*hostile.Outcome
	var verdicts []string
	var problem error
	for i := range attacks {
		attacks[i].Adapt(ground.help)
		o, err := stage.Make(ctx, &attacks[i])
		if err != nil {
			problem = errors.Join(problem, fmt.Errorf("%s: %w", attacks[i].Name, err))
			if ctx.Err() != nil {
				break
			}
			continue // what the others show is not to be lost
		}
		outcomes, verdicts = append(outcomes, o), append(verdicts, o.Verdict())
		fmt.Fprintf(os.Stderr, "%s: %s\n", attacks[i].Name, o.Verdict())
	}
	if err := errors.Join(hostile.Text(os.Stdout, outcomes), problem); err != nil {
		return err // and a document is left as it is
	}
	content := machine(&ground.environment, ground.pinned) + "\n\n" + hostile.Markdown(outcomes)
	if err := c.publish(document, hostileBlock, content); err != nil {
		return err
	}
	return worst(verdicts)
}

type faultsCommand struct {
	battle
	Fault []string `help:"Only these faults (${faults})." placeholder:"NAME" group:"Load"`
}

// Help shows an example.
func (*faultsCommand) Help() string { return "bench faults --fault server-stopped,half-open" }

func (c *faultsCommand) Run(ctx context.Context) error {
	if environ := os.Getenv(crew.Environ); environ != "" {
		return hostile.Work(environ)
	}
	faults, err := pick(hostile.Faults, func(f hostile.Fault) string { return f.Name }, c.Fault, "fault")
	if err != nil {
		return err
	}
	document, err := c.document(faultsBlock)
	if err != nil {
		return err
	}
	ground, err := enterGround(ctx, &c.battle)
	if err != nil {
		return err
	}
	defer ground.leave()
	stage := &hostile.Stage{Start: ground.start, Log: os.Stderr}
	var trials []*hostile.Trial
	var verdicts []string
	var problem error
	for i := range faults {
		t, err := stage.Try(ctx, &faults[i])
		if err != nil {
			problem = errors.Join(problem, fmt.Errorf("%s: %w", faults[i].Name, err))
			if ctx.Err() != nil {
				break
			}
			continue // what the others show is not to be lost
		}
		trials, verdicts = append(trials, t), append(verdicts, t.Verdict())
		fmt.Fprintf(os.Stderr, "%s: %s\n", faults[i].Name, t.Verdict())
	}
	if err := errors.Join(hostile.FaultsText(os.Stdout, trials), problem); err != nil {
		return err // and a document is left as it is
	}
	content := machine(&ground.environment, ground.pinned) + "\n\n" + hostile.FaultsMarkdown(trials)
	if err := c.publish(document, faultsBlock, content); err != nil {
		return err
	}
	return worst(verdicts)
}

// attackNames are all of them.
func attackNames() []string {
	var names []string
	for _, a := range hostile.Attacks(time.Minute) {
		names = append(names, a.Name)
	}
	return names
}

// faultNames are all of those.
func faultNames() []string {
	var names []string
	for _, f := range hostile.Faults {
		names = append(names, f.Name)
	}
	return names
}
