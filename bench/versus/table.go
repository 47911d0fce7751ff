package versus

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Table is one scenario, with a row for each server.
type Table struct {
	Scenario string   `json:"scenario"`
	Title    string   `json:"title"`
	Rows     []Row    `json:"rows"`
	Remarks  []string `json:"remarks,omitempty"` // on these figures

	figures  []Figure
	baseline string
	kind     string
}

// Row is one server's figures, by the names that Figure gives them.
type Row struct {
	Server     string            `json:"server"`
	Figures    map[string]Spread `json:"figures"`
	ToBaseline map[string]Spread `json:"to_baseline,omitempty"` // ratios, taken round by round
	ToBest     map[string]Spread `json:"to_best,omitempty"`
	Proof      string            `json:"proof"`               // "passed", or what was wrong
	Limited    string            `json:"limited,omitempty"`   // how the load generator was the limit, if it was
	Disturbed  string            `json:"disturbed,omitempty"` // how others used the server's core, if they did
}

// table computes one.
func (c *Comparison) table(scenario Scenario) Table {
	t := Table{Scenario: scenario.Name, Title: scenario.Title, figures: scenario.Figures, baseline: c.Baseline, kind: c.kind}
	for _, server := range c.Servers {
		row := Row{Server: server.Name, Figures: map[string]Spread{}, ToBaseline: map[string]Spread{}, ToBest: map[string]Spread{}}
		for i := range scenario.Figures {
			f := &scenario.Figures[i]
			values := c.values(scenario.Name, server.Name, f)
			row.Figures[f.Name] = spread(values)
			if f.Ratio && c.Baseline != "" {
				row.ToBaseline[f.Name] = spread(ratios(values, c.values(scenario.Name, c.Baseline, f)))
			}
			if best := c.best(scenario.Name, f); f.Best && best != nil {
				row.ToBest[f.Name] = spread(ratios(values, best))
			}
		}
		row.Proof = c.proof(scenario.Name, server.Name)
		if scenario.Timed {
			row.Limited, row.Disturbed = c.limits(scenario.Name, server.Name)
		}
		t.Rows = append(t.Rows, row)
	}
	t.Remarks = remarks(t.Rows)
	return t
}

// proof is what was wrong in any round.
func (c *Comparison) proof(scenario, server string) string {
	var wrong []string
	measured := 0
	for _, m := range c.of(scenario, server) {
		switch {
		case m == nil:
		case m.Error != "":
			// The first line is the error, the others are what the server printed.
			first, _, _ := strings.Cut(m.Error, "\n")
			wrong = append(wrong, "no result: "+first)
		default:
			measured++
			wrong = append(wrong, m.Result.Failures...)
		}
	}
	switch {
	case len(wrong) > 0:
		return "FAILED: " + strings.Join(wrong, "; ")
	case measured == 0:
		return "–"
	}
	return "passed"
}

// Headings names the columns.
func (t *Table) Headings() []string {
	headings := []string{t.kind}
	for _, f := range t.figures {
		headings = append(headings, f.Title)
		if f.Ratio && t.baseline != "" {
			headings = append(headings, "× "+t.baseline)
		}
		if f.Best {
			headings = append(headings, "× best")
		}
	}
	return append(headings, "proof")
}

// Cells writes all rows.
func (t *Table) Cells() (rows [][]string) {
	for i := range t.Rows {
		rows = append(rows, t.cells(&t.Rows[i]))
	}
	return rows
}

// cells writes a row.
func (t *Table) cells(row *Row) []string {
	cells := []string{row.Server}
	for i, f := range t.figures {
		value := row.Figures[f.Name].text(f.Format, f.Best)
		if i == 0 {
			value += row.marks()
		}
		cells = append(cells, value)
		if f.Ratio && t.baseline != "" {
			cells = append(cells, row.ToBaseline[f.Name].text(significant, f.Best))
		}
		if f.Best {
			cells = append(cells, row.ToBest[f.Name].text(significant, false))
		}
	}
	return append(cells, row.Proof)
}

// Text writes all tables for a terminal.
func (c *Comparison) Text(w io.Writer) error {
	if c.CutShort != "" {
		fmt.Fprintf(w, "CUT SHORT: %s\n", c.CutShort)
	}
	for i := range c.Tables {
		t := &c.Tables[i]
		fmt.Fprintf(w, "%s: %s\n", t.Scenario, t.Title)
		columns := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
		fmt.Fprintf(columns, "  %s\n", strings.Join(t.Headings(), "\t"))
		for _, cells := range t.Cells() {
			fmt.Fprintf(columns, "  %s\n", strings.Join(cells, "\t"))
		}
		if err := columns.Flush(); err != nil {
			return err
		}
		for _, remark := range t.Remarks {
			fmt.Fprintf(w, "  %s\n", remark)
		}
		fmt.Fprintln(w)
	}
	for _, remark := range c.Remarks {
		fmt.Fprintf(w, "%s\n", remark)
	}
	return nil
}

// Markdown is one table, with its remarks.
func (t *Table) Markdown() string {
	var b strings.Builder
	headings := t.Headings()
	fmt.Fprintf(&b, "| %s |\n| ---%s | --- |\n", strings.Join(headings, " | "), strings.Repeat(" | ---:", len(headings)-2))
	for _, cells := range t.Cells() {
		for k := range cells {
			cells[k] = strings.ReplaceAll(cells[k], "|", `\|`)
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	for _, remark := range t.Remarks {
		fmt.Fprintf(&b, "\n%s\n", remark)
	}
	return b.String()
}

// Markdown is all tables, each below its title, and the remarks on all.
func (c *Comparison) Markdown() string {
	var b strings.Builder
	if c.CutShort != "" {
		fmt.Fprintf(&b, "**Cut short: %s.**\n\n", c.CutShort)
	}
	for i := range c.Tables {
		fmt.Fprintf(&b, "### %s: %s\n\n%s\n", c.Tables[i].Scenario, c.Tables[i].Title, c.Tables[i].Markdown())
	}
	for _, remark := range c.Remarks {
		fmt.Fprintf(&b, "- %s\n", remark)
	}
	return b.String()
}

// Format writes a value of one of the table's figures.
func (t *Table) Format(figure string, value float64) string {
	for _, f := range t.figures {
		if f.Name == figure {
			return f.Format(value)
		}
	}
	panic("versus: the scenario " + t.Scenario + " has no figure " + figure)
}
