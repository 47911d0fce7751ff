package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"throng/bench/load"
	"throng/bench/report"
)

// count is a whole number that may be written as 10k or 1.5m.
type count int

// UnmarshalText reads a count.
func (c *count) UnmarshalText(text []byte) error {
	v, err := quantity(string(text))
	*c = count(v + 0.5)
	return err
}

// perSecond is a rate, which may be written the same way.
type perSecond float64

// UnmarshalText reads a rate.
func (p *perSecond) UnmarshalText(text []byte) error {
	v, err := quantity(string(text))
	*p = perSecond(v)
	return err
}

// quantity reads a number with or without k or m behind it.
func quantity(text string) (float64, error) {
	s, factor := strings.ToLower(text), 1.0
	for suffix, f := range map[string]float64{"k": 1e3, "m": 1e6} {
		if rest, ok := strings.CutSuffix(s, suffix); ok {
			s, factor = rest, f
		}
	}
	v, err := strconv.ParseFloat(s, 64)
	if v *= factor; err != nil || !within(v, 0, 1e8) {
		return 0, fmt.Errorf("%q is not a number such as 500, 10k or 1.5m", text)
	}
	return v, nil
}

// common are the flags of every scenario.
type common struct {
	URL         string `help:"WebSocket URL; {room} in it is replaced by each room's name." default:"ws://127.0.0.1:8080/chat" group:"Server"`
	Spawn       string `help:"Start this command first, measure it, and stop it at the end." placeholder:"CMD" group:"Server"`
	PID         int    `name:"pid" help:"Measure this running process." group:"Server"`
	Pprof       string `help:"Where the server answers /debug/pprof/, which tells of its goroutines and heap (default: looked for where it listens, but not by idle and connect; none is not to look)." placeholder:"URL" group:"Server"`
	Metrics     string `help:"Where it answers /metrics instead." placeholder:"URL" group:"Server"`
	Subprotocol string `help:"Ask for this subprotocol; throng.v1 is spoken in JSON." group:"Server"`
	Compression bool   `help:"Offer permessage-deflate, and take no connection without it." group:"Server"`

	Conns     count         `help:"Connections, of all client processes." default:"1000" short:"n" group:"Connections"`
	RampRate  perSecond     `help:"Connections to open per second; 0 is as fast as they are accepted." group:"Connections"`
	Opening   count         `help:"Handshakes under way at a time." default:"256" group:"Connections"`
	Handshake time.Duration `help:"Limit for one handshake." default:"10s" group:"Connections"`
	Procs     int           `help:"Client processes." default:"1" group:"Connections"`
	Seed      uint64        `help:"Seed of all randomness." default:"1" group:"Connections"`

	Floor    bool          `help:"Measure first what the machine itself allows, and give the figures as multiples of it." group:"Load"`
	Duration time.Duration `help:"How long to measure (default: ${duration} or what the scenario says)." short:"d" group:"Load"`

	FailIf []report.Condition `name:"fail-if" help:"Exit with 99 if this holds, such as p99>50ms, missing>0, rss-per-conn>400. Repeatable." placeholder:"COND" sep:"none" group:"Reports"`
	Order  string             `help:"What counts as in order: total is one order for all members, sender is each sender's own." enum:"total,sender" default:"total" group:"Reports"`
	Label  string             `help:"A name for the server in reports." group:"Reports"`
	JSON   string             `name:"json" help:"Write the result here." placeholder:"FILE" type:"path" group:"Reports"`
	CSV    string             `name:"csv" help:"Write the time series here." placeholder:"FILE" type:"path" group:"Reports"`
	HTML   string             `name:"html" help:"Write a page with plots here, in one file." placeholder:"FILE" type:"path" group:"Reports"`
	PNG    string             `name:"png" help:"Write the plots here." placeholder:"FILE" type:"path" group:"Reports"`
	Quiet  bool               `help:"No progress while running." short:"q" group:"Reports"`
}

// speakers is the flag of scenarios with rooms of several members.
type speakers struct {
	Senders *count `help:"Members of each room that send (default: 8, or all where they are fewer)." group:"Load"`
}

// defaultSenders is how many members of a room send when nothing is said.
const defaultSenders = 8

// apply puts the senders into a configuration that has its rooms.
func (s *speakers) apply(c *load.Config) {
	c.Senders = min(defaultSenders, max(c.Conns/max(c.Rooms, 1), 1))
	if s.Senders != nil {
		c.Senders = int(*s.Senders)
	}
}

// sending are the flags of scenarios in which messages are sent.
type sending struct {
	Window   count         `help:"Messages that a sender has in flight (default: 1, or with --rate no bound)." group:"Load"`
	Rate     perSecond     `help:"Messages a second of all senders together (open loop); 0 sends as fast as answers come (closed loop)." group:"Load"`
	Size     count         `help:"Bytes of a message, at least ${stamp}." default:"64" group:"Load"`
	Messages count         `help:"Messages that each sender sends; the run is over when they have arrived." group:"Load"`
	Warmup   time.Duration `help:"How long to send before measuring." default:"1s" group:"Load"`
	Patience time.Duration `help:"How long to wait for a delivery before it counts as missing." default:"3s" group:"Load"`
}
