package load_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"throng/bench/liar"
	"throng/bench/load"
	"throng/bench/report"
	"throng/bench/wire"
)

// A run of the tests: so many members, of whom two send so many messages each.
const (
	members  = 20
	senders  = 2
	messages = 50
	due      = members * senders * messages
)

// start serves a liar for the length of a test.
func start(t *testing.T, server *liar.Server) load.Config {
	t.Helper()
	u, err := url.Parse(server.Start())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return load.Config{
		Server: netip.MustParseAddrPort(u.Host), Host: u.Host, Path: u.Path,
		Conns: members, Rooms: 1, Senders: senders, Window: 3, Size: 64, Messages: messages, Duration: time.Minute,
		Opening: 8, Handshake: 10 * time.Second, Patience: 10 * time.Second, Seed: 1, Run: 5, Processes: 1,
	}
}

// run makes a run.
func run(t *testing.T, config load.Config) *report.Result {
	t.Helper()
	return runSampling(t, config, nil)
}

// lasting makes runs, each twice as long as the one before, until one has lasted
// long enough for something to happen in it: on a busy machine little does.
func lasting(t *testing.T, long time.Duration, makeRun func(time.Duration) *report.Result, happened func(*report.Result) bool) *report.Result {
	t.Helper()
	for ; long < time.Minute; long *= 2 {
		if result := makeRun(long); happened(result) {
			return result
		}
	}
	t.Fatal("it did not happen within a minute")
	return nil
}

// runSampling makes a run and looks at it each second.
func runSampling(t *testing.T, config load.Config, onSample func(report.Sample)) *report.Result {
	t.Helper()
	r, err := load.New(config)
	if err != nil {
		t.Fatal(err)
	}
	r.OnSample = onSample
	if err := r.Go(); err != nil {
		t.Fatal(err)
	}
	return load.Combine([]*load.Part{r.Part()})
}

// at lies to one member only, at one of its deliveries.
func at(member, n int, lie func(frame []byte) [][]byte) func(liar.Delivery) [][]byte {
	return func(d liar.Delivery) [][]byte {
		if d.Member == member && d.N == n {
			return lie(d.Frame)
		}
		return [][]byte{d.Frame}
	}
}

func TestAnHonestServerPasses(t *testing.T) {
	result := run(t, start(t, &liar.Server{}))
	p := &result.Proof
	if p.Sent != senders*messages || p.Expected != due || p.Received != due || !p.OneOrder {
		t.Errorf("sent %d, expected %d, received %d, one order %v", p.Sent, p.Expected, p.Received, p.OneOrder)
	}
	if n := p.Missing + p.Duplicated + p.Reordered + p.Diverged + p.Corrupted + p.Misdelivered + p.Closed; n != 0 {
		t.Errorf("%d false accusations: %+v", n, p)
	}
	if result.Latency.Corrected.Count != due || result.Latency.Last.Count != senders*messages || result.Latency.Incomplete != 0 {
		t.Errorf("%d deliveries and %d broadcasts were measured, want %d and %d",
			result.Latency.Corrected.Count, result.Latency.Last.Count, due, senders*messages)
	}
	if result.Connect.Opened != members || result.Connect.Handshake.Count != members {
		t.Errorf("%d opened, %d handshakes measured", result.Connect.Opened, result.Connect.Handshake.Count)
	}
}

func TestLiesAreFoundAndNamed(t *testing.T) {
	for _, test := range []struct {
		name string
		lie  func(liar.Delivery) [][]byte
		want report.Proof
	}{
		{"drop one", at(7, 30, func([]byte) [][]byte { return nil }), report.Proof{Missing: 1}},
		{"drop each tenth", func(d liar.Delivery) [][]byte {
			if d.N%10 == 0 {
				return nil
			}
			return [][]byte{d.Frame}
		}, report.Proof{Missing: due / 10}},
		{"send one twice", at(7, 30, func(f []byte) [][]byte { return [][]byte{f, f} }), report.Proof{Duplicated: 1}},
		{"corrupt a byte", at(7, 30, func(f []byte) [][]byte {
			f = slices.Clone(f)
			f[len(f)-1] ^= 1
			return [][]byte{f}
		}), report.Proof{Corrupted: 1}},
		{"swap two", swap(7, 30), report.Proof{Reordered: 1}},
		{"announce a loss that is none", at(7, 30, func(f []byte) [][]byte {
			return [][]byte{f, wire.AppendServerFrame(nil, wire.Text, []byte(" .... you missed 3 messages."))}
		}), report.Proof{Invented: 3}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			config := start(t, &liar.Server{Lie: test.lie})
			config.Patience = 2 * time.Second // for which it waits for what is missing
			got := run(t, config).Proof
			if got.Missing != test.want.Missing || got.Duplicated != test.want.Duplicated ||
				got.Reordered != test.want.Reordered || got.Corrupted != test.want.Corrupted || got.Invented != test.want.Invented {
				t.Errorf("missing %d, duplicated %d, reordered %d, corrupted %d, invented %d; want %d, %d, %d, %d, %d",
					got.Missing, got.Duplicated, got.Reordered, got.Corrupted, got.Invented,
					test.want.Missing, test.want.Duplicated, test.want.Reordered, test.want.Corrupted, test.want.Invented)
			}
			if len(got.Findings) == 0 {
				t.Error("no finding names it")
			}
		})
	}
}

// swap holds a frame of one member back until it has the next of that sender.
func swap(member, n int) func(liar.Delivery) [][]byte {
	var held []byte
	return func(d liar.Delivery) [][]byte {
		switch {
		case d.Member == member && d.N == n:
			held = d.Frame
			return nil
		case d.Member == member && held != nil && sameSender(held, d.Frame):
			late := held
			held = nil
			return [][]byte{d.Frame, late}
		}
		return [][]byte{d.Frame}
	}
}

// sameSender reports whether two frames carry messages of one sender.
func sameSender(a, b []byte) bool {
	name := func(f []byte) string { text, _, _ := strings.Cut(string(f), ": "); return text }
	return name(a) == name(b)
}

func TestClosedConnectionsAreCountedWithTheirCodes(t *testing.T) {
	server := &liar.Server{HangCode: 1013, Hang: func(member int) int {
		if member >= members-2 {
			return 30
		}
		return 0
	}}
	config := start(t, server)
	config.Senders, config.Opening = 1, 1 // the sender joins first, and stays
	result := run(t, config)
	p, l := &result.Proof, &result.Latency
	if l.Last.Count+l.Incomplete != messages {
		t.Errorf("%d broadcasts reached all who were there and %d did not, want %d in all", l.Last.Count, l.Incomplete, messages)
	}
	if p.Closed != 2 || len(p.CloseReasons) != 1 || p.CloseReasons[0].Error != "close 1013" || p.Missing != 0 {
		t.Errorf("closed %d, reasons %v, missing %d", p.Closed, p.CloseReasons, p.Missing)
	}
}

// The corrected latency contains what a stall kept from being sent; the raw one
// only knows the few messages that were under way.
func TestAStallIsNotOmitted(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var stall time.Duration
	server := &liar.Server{Stall: func(n int) {
		if n == 20 {
			from := time.Now()
			<-release
			stall = time.Since(from)
		}
	}}
	config := start(t, server)
	config.Rate, config.Window, config.Messages = 1000, 1, 2000
	l := runReleasing(t, config, release, "measuring").Latency
	if l.Raw.Max < int64(stall) || l.Corrected.Max < int64(stall) {
		t.Errorf("the longest are %s raw and %s corrected, under the stall of %s",
			report.Duration(l.Raw.Max), report.Duration(l.Corrected.Max), stall)
	}
	if l.Corrected.Mean < 2*l.Raw.Mean {
		t.Errorf("means: corrected %.0f, raw %.0f; messages that could not be sent are not counted", l.Corrected.Mean, l.Raw.Mean)
	}
}

// A stall that lasts until the end keeps nearly all messages from being sent at
// all: what was due counts with the time for which it was.
func TestAStallUntilTheEndIsNotOmitted(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := &liar.Server{Stall: func(n int) {
		if n == 20 {
			<-release
		}
	}}
	config := start(t, server)
	config.Rate, config.Window, config.Messages, config.Duration, config.Patience = 1000, 1, 0, time.Second, 10*time.Second
	result := runReleasing(t, config, release, "draining")
	clean(t, &result.Proof)
	d, l := &result.Delivery, &result.Latency
	if d.Sent > 21 || d.Sent+d.NotSent != 1000 {
		t.Errorf("%d sent and %d not sent, want at most 21 and 1000 in all", d.Sent, d.NotSent)
	}
	if want := members * (d.Sent + d.NotSent); l.Corrected.Count != want {
		t.Errorf("%d deliveries in the corrected latency, want %d", l.Corrected.Count, want)
	}
	// The message that was due k milliseconds before the end waited for so long.
	for _, test := range []struct {
		name     string
		got      int64
		from, to time.Duration
	}{
		{"p50", l.Corrected.P50, 470 * time.Millisecond, 520 * time.Millisecond},
		{"p99", l.Corrected.P99, 960 * time.Millisecond, time.Hour},
		{"oldest unsent", d.OldestUnsent, 970 * time.Millisecond, time.Second},
	} {
		if test.got < int64(test.from) || test.got > int64(test.to) {
			t.Errorf("%s is %s, want %s to %s", test.name, report.Duration(test.got), test.from, test.to)
		}
	}
}

// runReleasing makes a run and lets a stalled server go on at the first sample of a phase.
func runReleasing(t *testing.T, config load.Config, release chan struct{}, phase string) *report.Result {
	t.Helper()
	released := false
	return runSampling(t, config, func(s report.Sample) {
		if s.Phase == phase && !released {
			released = true
			close(release)
		}
	})
}

// A server that does not read for a while makes the load late, and loses nothing.
func TestWhatTheServerDoesNotReadIsKept(t *testing.T) {
	release := make(chan struct{})
	server := &liar.Server{Stall: func(n int) {
		if n == 1 {
			<-release
		}
	}}
	config := start(t, server)
	config.Conns, config.Rate, config.Window, config.Size, config.Messages = 2, 1000, 0, 100_000, 60
	p := runReleasing(t, config, release, "measuring").Proof
	clean(t, &p)
	if want := int64(2 * 2 * 60); p.Received != want {
		t.Errorf("%d received, want %d", p.Received, want)
	}
}

// Above what one source address has ports for, others of 127.0.0.0/8 are used.
func TestSourceAddressesRotate(t *testing.T) {
	var mu sync.Mutex
	from := make(map[string]int)
	server := &liar.Server{Arrive: func(r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		host, _, _ := strings.Cut(r.RemoteAddr, ":")
		from[host]++
	}}
	config := start(t, server)
	config.Sources, config.Conns, config.Messages = true, 4010, 1
	config.Process, config.Processes = 0, 200 // every 200th of them, 21 in all
	config.Senders = 1
	p := run(t, config).Proof
	clean(t, &p)
	if len(from) != 2 || from["127.1.0.2"] != 20 || from["127.1.0.3"] != 1 {
		t.Errorf("connections came from %v", from)
	}
}
