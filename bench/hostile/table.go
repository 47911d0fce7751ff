package hostile

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"throng/bench/report"
)

// Verdicts of an attack.
const (
	Passed  = "pass"
	Failed  = "FAIL"
	Unclear = "unclear"
	Skipped = "skipped"
)

// Verdict is the worst of what the rules found.
func (o *Outcome) Verdict() string {
	if o.skipped() != "" {
		return Skipped
	}
	return verdict(o.Findings())
}

// Verdict is the worst of what was found.
func (t *Trial) Verdict() string {
	if t.Skipped != "" {
		return Skipped
	}
	return verdict(t.Found)
}

func verdict(found []Finding) string {
	verdict := Passed
	for _, f := range found {
		switch {
		case !f.OK && f.Unclear && verdict == Passed:
			verdict = Unclear
		case !f.OK && !f.Unclear:
			verdict = Failed
		}
	}
	return verdict
}

// columns are the table's.
var columns = []string{"attack", "pairs: p50", "p99", "lost", "process memory", "live heap", "descriptors", "goroutines", "kernel memory", "verdict"}

// row is one attack's line, in the order of the columns.
func (o *Outcome) row() []string {
	three := func(format func(State) string) string {
		return format(o.Before) + " / " + format(o.Peak) + " / " + format(o.After)
	}
	bytes := func(n int64) string { return report.Bytes(float64(n)) }
	change := func(of func(*report.Percentiles) int64) string {
		return report.Duration(of(&o.Calm.Latency.Corrected)) + " → " + report.Duration(of(&o.Pairs.Latency.Corrected))
	}
	kernel := o.During.NoSockets
	if kernel == "" {
		kernel = bytes(o.During.Sockets.Sum)
	}
	lost := o.Pairs.Proof.Missing
	if o.Room != nil {
		lost += o.Room.Proof.Missing
	}
	return []string{
		o.Attack.Name,
		change(func(p *report.Percentiles) int64 { return p.P50 }),
		change(func(p *report.Percentiles) int64 { return p.P99 }),
		fmt.Sprint(lost),
		three(func(s State) string { return bytes(s.RSS) }),
		fmt.Sprintf("%s / %s / %s", bytes(o.Before.HeapLive), bytes(o.During.HeapLive), bytes(o.After.HeapLive)),
		three(func(s State) string { return fmt.Sprint(s.FDs) }),
		three(func(s State) string { return fmt.Sprint(s.Goroutines) }),
		kernel,
		o.Verdict(),
	}
}

// Text writes the table for a terminal.
func Text(w io.Writer, outcomes []*Outcome) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(columns, "\t"))
	for _, o := range outcomes {
		fmt.Fprintln(t, strings.Join(o.row(), "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, o := range outcomes {
		fmt.Fprintf(w, "\n%s: %s\n", o.Attack.Name, o.Attack.Title)
		for _, line := range o.lines() {
			fmt.Fprintln(w, "  "+line)
		}
	}
	return nil
}

// Markdown is the same for a document.
func Markdown(outcomes []*Outcome) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)))
	for _, o := range outcomes {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(o.row(), " | "))
	}
	for _, o := range outcomes {
		fmt.Fprintf(&b, "\n**%s**: %s.\n\n", o.Attack.Name, o.Attack.Title)
		for _, line := range o.lines() {
			fmt.Fprintf(&b, "- %s\n", line)
		}
	}
	return b.String()
}

// lines say what each rule found, and what else there is to know.
func (o *Outcome) lines() (lines []string) {
	if why := o.skipped(); why != "" {
		return []string{"skipped: " + why}
	}
	for _, f := range o.Findings() {
		lines = append(lines, f.String())
	}
	d := o.total()
	lines = append(lines, fmt.Sprintf("%.0f s; the server used %.0f %% of its core, the attackers %.0f %% of theirs", o.Lasted.Seconds(),
		100*o.CPUShare, 100*d.CPU.Seconds()/o.Lasted.Seconds()))
	if why := o.limit(); why != "" {
		lines = append(lines, "the machine was a limit: "+why)
	}
	return lines
}

// FaultsText writes what became of faults for a terminal.
func FaultsText(w io.Writer, trials []*Trial) error {
	for _, t := range trials {
		if _, err := fmt.Fprintf(w, "%-16s %-8s %s\n", t.Fault.Name, t.Verdict(), t.Fault.Title); err != nil {
			return err
		}
		for _, line := range t.lines() {
			fmt.Fprintf(w, "  %s\n", line)
		}
	}
	return nil
}

// FaultsMarkdown is the same for a document.
func FaultsMarkdown(trials []*Trial) string {
	var b strings.Builder
	b.WriteString("| fault | what was found | verdict |\n| --- | --- | --- |\n")
	for _, t := range trials {
		fmt.Fprintf(&b, "| **%s**: %s | %s | %s |\n", t.Fault.Name, t.Fault.Title, strings.Join(t.lines(), "; "), t.Verdict())
	}
	return b.String()
}

// lines say what was found.
func (t *Trial) lines() (lines []string) {
	if t.Skipped != "" {
		return []string{"skipped: " + t.Skipped}
	}
	for _, f := range t.Found {
		lines = append(lines, f.String())
	}
	return lines
}
