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
	attacks, err := pick(hostile.Attacks(c.Duration), attackName, c.Attack, "attack")
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
	outcomes, err := each(ctx, attacks, attackName, func(a *hostile.Attack) (*hostile.Outcome, error) {
		a.Adapt(ground.help)
		return stage.Make(ctx, a)
	})
	if err := errors.Join(hostile.Text(os.Stdout, outcomes), err); err != nil {
		return err // and a document is left as it is
	}
	content := machine(&ground.environment, ground.pinned) + "\n\n" + hostile.Markdown(outcomes)
	if err := c.publish(document, hostileBlock, content); err != nil {
		return err
	}
	return worst(verdicts(outcomes))
}

// each tries all cases, one after the other; the error is of those that could not be tried. Their names are told with what
// they came to.
func each[C any, R judged](ctx context.Context, cases []C, name func(C) string, try func(*C) (R, error)) (results []R, problem error) {
	for i := range cases {
		r, err := try(&cases[i])
		switch {
		case err == nil:
			results = append(results, r)
			fmt.Fprintf(os.Stderr, "%s: %s\n", name(cases[i]), r.Verdict())
		case ctx.Err() != nil:
			return results, errors.Join(problem, fmt.Errorf("%s: %w", name(cases[i]), err))
		default: // what the others show is not to be lost
			problem = errors.Join(problem, fmt.Errorf("%s: %w", name(cases[i]), err))
		}
	}
	return results, problem
}

// judged is what a case came to.
type judged interface{ Verdict() string }

func verdicts[R judged](results []R) (all []string) {
	for _, r := range results {
		all = append(all, r.Verdict())
	}
	return all
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
	faults, err := pick(hostile.Faults, faultName, c.Fault, "fault")
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
	trials, err := each(ctx, faults, faultName, func(f *hostile.Fault) (*hostile.Trial, error) { return stage.Try(ctx, f) })
	if err := errors.Join(hostile.FaultsText(os.Stdout, trials), err); err != nil {
		return err // and a document is left as it is
	}
	content := machine(&ground.environment, ground.pinned) + "\n\n" + hostile.FaultsMarkdown(trials)
	if err := c.publish(document, faultsBlock, content); err != nil {
		return err
	}
	return worst(verdicts(trials))
}

func attackName(a hostile.Attack) string { return a.Name }

func faultName(f hostile.Fault) string { return f.Name }

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
