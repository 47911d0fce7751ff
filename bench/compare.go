package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"throng/bench/picture"
	"throng/bench/report"
)

type compareCommand struct {
	A      string                  `arg:"" help:"The JSON report of the earlier or reference run." type:"existingfile"`
	B      string                  `arg:"" help:"The JSON report of the later run." type:"existingfile"`
	FailIf []report.RatioCondition `name:"fail-if" help:"Exit with 99 if this holds for the ratio B/A, such as rate<0.95 or p99>1.2. Repeatable." placeholder:"COND" sep:"none"`
	PNG    string                  `name:"png" help:"Write plots of both here." placeholder:"FILE" type:"path"`
}

// Help shows an example.
func (*compareCommand) Help() string {
	return "bench compare before.json after.json --fail-if 'rate<0.9' --fail-if 'cpu-per-delivery>1.1'"
}

func (c *compareCommand) Run() error {
	a, err := readReport(c.A)
	if err != nil {
		return err
	}
	b, err := readReport(c.B)
	if err != nil {
		return err
	}
	if a.Scenario != b.Scenario {
		return fmt.Errorf("%s is of the scenario %s, %s of %s", c.A, a.Scenario, c.B, b.Scenario)
	}
	ratios, err := report.Compare(a, b)
	if err != nil {
		return err
	}
	for i, warning := range [...]bool{a.Plan != b.Plan, a.Environment.Processor != b.Environment.Processor || a.Environment.Kernel != b.Environment.Kernel} {
		if warning {
			fmt.Fprintf(os.Stderr, "warning: the two runs differ in their %s\n", [...]string{"plans", "machines"}[i])
		}
	}
	if err := report.WriteRatios(os.Stdout, a.Label, b.Label, ratios); err != nil {
		return err
	}
	if c.PNG != "" {
		content, err := picture.PNG(a, b)
		if err == nil {
			err = keep(c.PNG, content)
		}
		if err != nil {
			return err
		}
	}
	return c.judge(a, b)
}

// judge holds the conditions against two runs. It says so of a run that was cut
// short or has failed, and such a one cannot meet any condition.
func (c *compareCommand) judge(a, b *report.Result) error {
	failed := false
	say := func(what string) {
		if len(c.FailIf) == 0 {
			fmt.Fprintln(os.Stderr, "warning:", what)
			return
		}
		fmt.Println("FAILED", what)
		failed = true
	}
	for _, r := range []*report.Result{a, b} {
		if r.CutShort != "" {
			say(fmt.Sprintf("%s is of a run that was cut short: %s", r.Label, r.CutShort))
		}
		if len(r.Failures) > 0 {
			say(fmt.Sprintf("%s is of a run that failed: %s", r.Label, strings.Join(r.Failures, "; ")))
		}
	}
	for _, condition := range c.FailIf {
		if met := condition.Check(a, b); met != "" {
			say(met)
		}
	}
	if failed {
		return errFailed
	}
	return nil
}

// readReport reads a JSON report. One without a label gets its file's name.
func readReport(file string) (*report.Result, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var r report.Result
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s is not a report: %w", file, err)
	}
	if r.Schema != report.Schema {
		return nil, fmt.Errorf("%s is a report of schema %d, not %d", file, r.Schema, report.Schema)
	}
	if r.Label == "" {
		r.Label = filepath.Base(file)
	}
	return &r, nil
}
