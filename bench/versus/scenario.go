package versus

import (
	"time"

	"throng/bench/load"
	"throng/bench/report"
)

// Sizes are how large the scenarios are.
type Sizes struct {
	Members  int // of the one room
	Senders  int // among them
	Bytes    int // of a message
	Idle     int // connections that are held
	Connects int // connections that are opened
	Warmup   time.Duration
	Duration time.Duration
	Hold     time.Duration // of idle connections, before their memory is measured
}

// Standard are the sizes that published figures are of.
var Standard = Sizes{Members: 2000, Senders: 8, Bytes: 64, Idle: 18_000, Connects: 10_000, Warmup: time.Second, Duration: 4 * time.Second,
	Hold: 2 * time.Second}

// Scenario is what each server goes through. Its first figure is the one that
// it is for.
type Scenario struct {
	Name  string
	Title string
	// Timed means that waiting for a core spoils its figures. Not so for a lone
	// round trip, in which every wake-up waits a little, others or not.
	Timed   bool
	Figures []Figure
	Apply   func(c *load.Config, s *Sizes)
}

// Figure is one column of a table.
type Figure struct {
	Name   string // in JSON
	Title  string
	More   bool // is better
	Ratio  bool // shown in relation to the baseline, and its range too
	Best   bool // and to the best
	Format func(float64) string
	Of     func(*report.Result) float64
}

// Scenarios are all that there are, in their order.
var Scenarios = []Scenario{
	{"fanout-1", "One room, one message in flight per sender", true, fanoutFigures, fanout(1)},
	{"fanout-16", "One room, 16 messages in flight per sender", true, fanoutFigures, fanout(16)},
	{"echo", "Round trip of a lone connection", false, echoFigures, func(c *load.Config, s *Sizes) {
		c.Conns, c.Rooms, c.Senders, c.Window, c.Size = 1, 1, 1, 1, s.Bytes
		c.Warmup, c.Duration, c.Patience = s.Warmup, s.Duration, 3*time.Second
	}},
	{"idle", "Idle connections", false, idleFigures, func(c *load.Config, s *Sizes) {
		// Long enough for what a server lets go of at once, and well within the
		// five seconds that the figure is defined by.
		c.Conns, c.Silent, c.Duration = s.Idle, true, s.Hold
	}},
	{"connect", "Opening connections", true, connectFigures, func(c *load.Config, s *Sizes) {
		c.Conns, c.Silent, c.Duration = s.Connects, true, 500*time.Millisecond
	}},
}

func fanout(window int) func(*load.Config, *Sizes) {
	return func(c *load.Config, s *Sizes) {
		c.Conns, c.Senders, c.Window, c.Size = s.Members, s.Senders, window, s.Bytes
		c.Warmup, c.Duration, c.Patience = s.Warmup, s.Duration, 3*time.Second
	}
}

var fanoutFigures = []Figure{
	{"rate", "deliveries/s", true, true, true, short, func(r *report.Result) float64 { return r.Delivery.Rate }},
	{"cpu_per_delivery_ns", "CPU/delivery", false, true, false, duration, cpuPerDelivery},
	{"p50_ns", "p50", false, false, false, duration, p50},
	{"p99_ns", "p99", false, false, false, duration, p99},
	{"cpu_share", "server CPU", false, false, false, percent, cpuShare},
	{"load_share", "load CPU", false, false, false, percent, func(r *report.Result) float64 { return r.Load.CPUShare }},
}

var echoFigures = []Figure{
	{"p50_ns", "p50", false, true, true, duration, p50},
	{"p99_ns", "p99", false, false, false, duration, p99},
	{"rate", "round trips/s", true, false, false, short, func(r *report.Result) float64 { return r.Delivery.Rate }},
	{"cpu_per_delivery_ns", "CPU/round trip", false, true, false, duration, cpuPerDelivery},
}

var idleFigures = []Figure{
	{"rss_per_conn_bytes", "bytes/connection", false, true, true, report.Bytes, func(r *report.Result) float64 { return server(r).RSSPerConn }},
	{"rss_bytes", "resident", false, false, false, report.Bytes, func(r *report.Result) float64 { return float64(server(r).RSSEnd) }},
	{"rss_before_bytes", "before", false, false, false, report.Bytes, func(r *report.Result) float64 { return float64(server(r).RSSBefore) }},
	{"conns", "connections", true, false, false, report.Number, func(r *report.Result) float64 { return float64(r.Connect.Peak) }},
	{"cpu_share", "server CPU", false, false, false, percent, cpuShare},
}

var connectFigures = []Figure{
	{"cpu_per_connect_ns", "CPU/handshake", false, true, true, duration, func(r *report.Result) float64 { return server(r).CPUPerConnect }},
	{"connect_rate", "handshakes/s", true, true, false, short, func(r *report.Result) float64 { return r.Connect.Rate }},
	{"handshake_p50_ns", "p50", false, false, false, duration, func(r *report.Result) float64 { return float64(r.Connect.Handshake.P50) }},
	{"handshake_p99_ns", "p99", false, false, false, duration, func(r *report.Result) float64 { return float64(r.Connect.Handshake.P99) }},
}

func cpuPerDelivery(r *report.Result) float64 { return server(r).CPUPerDelivery }
func cpuShare(r *report.Result) float64       { return server(r).CPUShare }
func p50(r *report.Result) float64            { return float64(r.Latency.Corrected.P50) }
func p99(r *report.Result) float64            { return float64(r.Latency.Corrected.P99) }

// server is what is known about the server's process.
func server(r *report.Result) *report.Server {
	if r.Server == nil {
		return &report.Server{}
	}
	return r.Server
}
