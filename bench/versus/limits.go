package versus

import (
	"fmt"
	"strings"

	"throng/bench/report"
)

// From these shares of the time on, a server has used up its core, others have
// taken it away, or neither server nor load ran. One of the two always has
// something to do in a closed loop: if neither runs, the machine has paused.
const (
	fullShare   = 0.95
	takenShare  = 0.10
	pausedShare = 0.20
)

// Marks at figures that are worth less than they look.
const (
	limitedMark   = "†"
	disturbedMark = "‡"
)

// limits says in how many rounds the load generator was the limit, and for how
// much of the time others used the server's core or nobody did. While a server is busy all the
// time it does not matter how the load fares.
func (c *Comparison) limits(scenario, server string) (limited, disturbed string) {
	rounds, measured, why, taken, paused := 0, 0, "", 0.0, 0.0
	for _, m := range c.of(scenario, server) {
		if m == nil || m.Result == nil {
			continue
		}
		measured++
		s := m.server()
		taken = max(taken, s.WaitedShare)
		if m.Result.Delivery.Sent > 0 && m.Result.Plan.Rate == 0 {
			paused = max(paused, 1-s.CPUShare-m.Result.Load.CPUShare)
		}
		if m.Result.Load.WasBottleneck && s.CPUShare <= fullShare {
			rounds++
			why = reason(&m.Result.Load)
		}
	}
	if rounds > 0 {
		limited = fmt.Sprintf("%d of %d rounds (%s)", rounds, measured, why)
	}
	var disturbances []string
	if taken > takenShare {
		disturbances = append(disturbances, fmt.Sprintf("%.0f %% taken", 100*taken))
	}
	if paused > pausedShare {
		disturbances = append(disturbances, fmt.Sprintf("%.0f %% at rest", 100*paused))
	}
	disturbed = strings.Join(disturbances, " and ")
	return limited, disturbed
}

func (m *Measurement) server() *report.Server { return server(m.Result) }

// reason is why the load generator was the limit.
func reason(l *report.Load) string {
	if l.WaitedShare > takenShare {
		return fmt.Sprintf("%.0f %% taken", 100*l.WaitedShare)
	}
	return fmt.Sprintf("%.0f %% busy", 100*l.CPUShare)
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
		remarks = append(remarks, limitedMark+" The load generator was the limit, being busy or having its core taken by others; these servers may be better, and their "+
			"processor time decides: "+strings.Join(limited, ", ")+".")
	}
	if disturbed != nil {
		remarks = append(remarks, disturbedMark+" In the worst round others took the server's core, or server and load were both at rest, for a part of the time: "+
			strings.Join(disturbed, ", ")+".")
	}
	return remarks
}
