package versus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"throng/bench/load"
	"throng/bench/report"
)

// Schema is the version of a Comparison's JSON form.
const Schema = 1

// Server is one of those that are compared.
type Server struct {
	Name    string `json:"name"`
	Library string `json:"library,omitempty"` // what it is written on, with its version
	Command string `json:"command"`           // for sh; {address} in it is where it has to listen
	Conns   int    `json:"conns,omitempty"`   // instead of the scenario's, to lay sizes beside each other
}

// Plan is what is compared.
type Plan struct {
	Servers   []Server
	Scenarios []Scenario
	Sizes     Sizes
	Rounds    int
	Kind      string // what the servers are called in tables, if not servers
	Baseline  string // the name of the server that all are put in relation to; it need not take part
}

// Measurement is one run of one scenario against one server.
type Measurement struct {
	Round    int            `json:"round"` // from 1
	Scenario string         `json:"scenario"`
	Server   string         `json:"server"`
	Result   *report.Result `json:"result,omitempty"` // without its time series
	Error    string         `json:"error,omitempty"`  // why there is no result
}

// Comparison is what was found out. It is also the form of --json.
type Comparison struct {
	Schema       int                `json:"schema"`
	Environment  report.Environment `json:"environment"`
	Baseline     string             `json:"baseline,omitempty"`
	Rounds       int                `json:"rounds"`
	Servers      []Server           `json:"servers"`
	CutShort     string             `json:"cut_short,omitempty"`
	Remarks      []string           `json:"remarks,omitempty"` // on all figures
	Tables       []Table            `json:"tables"`
	Measurements []Measurement      `json:"measurements"`

	kind string
}

// Measure makes one run of a scenario against a server that it starts and stops.
type Measure func(ctx context.Context, server Server, apply func(*load.Config)) (*report.Result, error)

// Run measures all servers in all rounds; progress hears of each measurement. A
// server that fails is noted, and the others go on. When ctx ends, what was
// measured until then is what there is.
func Run(ctx context.Context, plan *Plan, measure Measure, progress func(*Measurement)) *Comparison {
	c := &Comparison{Schema: Schema, Rounds: plan.Rounds, Servers: plan.Servers, kind: cmp.Or(plan.Kind, "server")}
	if slices.ContainsFunc(plan.Servers, func(s Server) bool { return s.Name == plan.Baseline }) && len(plan.Servers) > 1 {
		c.Baseline = plan.Baseline
	}
	for round := range plan.Rounds {
		for _, scenario := range plan.Scenarios {
			for _, server := range rotated(plan.Servers, round) {
				if ctx.Err() != nil {
					continue
				}
				m := one(ctx, plan, measure, scenario, server)
				m.Round = round + 1
				if m.Result == nil && ctx.Err() != nil {
					continue // the interrupt is not the server's failure
				}
				c.Measurements = append(c.Measurements, m)
				progress(&m)
			}
		}
	}
	if ctx.Err() != nil {
		c.CutShort = "interrupted"
	}
	for _, scenario := range plan.Scenarios {
		c.Tables = append(c.Tables, c.table(scenario))
	}
	return c
}

// one makes a measurement. A run that was cut short has no figures to compare.
func one(ctx context.Context, plan *Plan, measure Measure, scenario Scenario, server Server) Measurement {
	m := Measurement{Scenario: scenario.Name, Server: server.Name}
	result, err := measure(ctx, server, func(config *load.Config) {
		scenario.Apply(config, &plan.Sizes)
		if server.Conns > 0 {
			config.Conns = server.Conns
		}
	})
	if err == nil && result.CutShort != "" {
		err = errors.New(result.CutShort)
	}
	if err != nil {
		m.Error = err.Error()
		return m
	}
	result.Scenario, result.Label, result.Samples = scenario.Name, server.Name, nil
	for _, p := range []*report.Percentiles{&result.Connect.Handshake, &result.Latency.Corrected, &result.Latency.Raw, &result.Latency.First,
		&result.Latency.Median, &result.Latency.P99, &result.Latency.Last, &result.Latency.Spread} {
		p.Curve = nil
	}
	m.Result = result
	return m
}

// rotated begins with another server each round, so that none is always
// measured after the same one.
func rotated(servers []Server, round int) []Server {
	at := round % len(servers)
	return slices.Concat(servers[at:], servers[:at])
}

// of finds the measurements of a server in a scenario, by round.
func (c *Comparison) of(scenario, server string) []*Measurement {
	found := make([]*Measurement, c.Rounds)
	for i := range c.Measurements {
		if m := &c.Measurements[i]; m.Scenario == scenario && m.Server == server {
			found[m.Round-1] = m
		}
	}
	return found
}

// values has a figure by round, and not a number where it was not measured.
func (c *Comparison) values(scenario, server string, figure *Figure) []float64 {
	values := make([]float64, c.Rounds)
	for i, m := range c.of(scenario, server) {
		values[i] = math.NaN()
		if m != nil && m.Result != nil {
			values[i] = figure.Of(m.Result)
		}
	}
	return values
}

// best is the values of the server with the best median.
func (c *Comparison) best(scenario string, figure *Figure) (best []float64) {
	for _, server := range c.Servers {
		values := c.values(scenario, server.Name, figure)
		now, before := spread(values), spread(best)
		if now.N > 0 && (before.N == 0 || figure.More == (now.Median > before.Median)) {
			best = values
		}
	}
	return best
}

// Failed says in one line each what went wrong, by server and scenario.
func (c *Comparison) Failed() (failed []string) {
	for _, m := range c.Measurements {
		for _, what := range append([]string{m.Error}, failures(&m)...) {
			if what != "" {
				failed = append(failed, fmt.Sprintf("%s, %s, round %d: %s", m.Server, m.Scenario, m.Round, what))
			}
		}
	}
	return failed
}

func failures(m *Measurement) []string {
	if m.Result == nil {
		return nil
	}
	return m.Result.Failures
}
