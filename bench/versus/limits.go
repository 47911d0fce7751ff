package versus

import (
	"fmt"
	"strings"

	"throng/bench/report"
)

// From these shares of the time on, a server has used up its core, or others
// have taken it away.
const (
	fullShare  = 0.95
	takenShare = 0.10
)

// Marks at figures that are worth less than they look.
const (
	limitedMark   = "†"
	disturbedMark = "‡"
)

// limits says in how many rounds the load generator was the limit, and for how
// much of the time others used the server's core. While a server is busy all the
// time it does not matter how the load fares.
func (c *Comparison) limits(scenario, server string) (limited, disturbed string) {
	rounds, measured, why, taken := 0, 0, "", 0.0
	for _, m := range c.of(scenario, server) {
		if m == nil || m.Result == nil {
			continue
		}
		measured++
		s := m.server()
		taken = max(taken, s.WaitedShare)
		if m.Result.Load.WasBottleneck && s.CPUShare <= fullShare {
			rounds++
			why = reason(&m.Result.Load)
		}
	}
	if rounds > 0 {
		limited = fmt.Sprintf("in %d of %d rounds (%s)", rounds, measured, why)
	}
	if taken > takenShare {
		disturbed = fmt.Sprintf("up to %.0f %%", 100*taken)
	}
	return limited, disturbed
}

func (m *Measurement) server() *report.Server { return server(m.Result) }

// reason is why the load generator was the limit.
func reason(l *report.Load) string {
	if l.WaitedShare > takenShare {
		return fmt.Sprintf("others kept it from its core for %.0f %% of the time", 100*l.WaitedShare)
	}
	return fmt.Sprintf("it used %.0f %% of its core", 100*l.CPUShare)
}

// marks stand behind a row's first figure.
func (row *Row) marks() (marks string) {
	if row.Limited != "" {
		marks += limitedMark
	}
	if row.Disturbed != "" {
		marks += disturbedMark
	}
	if marks != "" {
		marks = " " + marks
	}
	return marks
}

// remarks explain the marks of a table.
func remarks(rows []Row) (remarks []string) {
	var limited, disturbed []string
	for _, row := range rows {
		if row.Limited != "" {
			limited = append(limited, row.Server+" "+row.Limited)
		}
		if row.Disturbed != "" {
			disturbed = append(disturbed, row.Server+" "+row.Disturbed)
		}
	}
	if limited != nil {
		remarks = append(remarks, limitedMark+" The load generator was the limit, the server may be better, and its processor time decides: "+
			strings.Join(limited, "; ")+".")
	}
	if disturbed != nil {
		remarks = append(remarks, disturbedMark+" Other processes kept the server from its core for a part of the time: "+strings.Join(disturbed, "; ")+".")
	}
	return remarks
}
