package hostile

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"throng/bench/crew"
	"throng/bench/loop"
	"throng/bench/report"
	"throng/bench/wire"
)

// How a mob opens its connections: so many a turn, and so many handshakes under
// way where it waits for answers.
const (
	dialsPerTurn = 64
	maxPending   = 256
)

// handshakeLimit is far beyond the server's own, which is what is measured.
const handshakeLimit = time.Minute

// script is what distinguishes one attack from another. Its methods run on the
// loop.
type script interface {
	// greet is what a connection sends first; key is for a request.
	greet(m *mob, id int, key string) []byte
	// opened is called when the server has agreed to the upgrade.
	opened(m *mob, id int)
	// frame is called for each frame of the server's that is no close frame.
	frame(m *mob, id int, f wire.Frame)
	// ended is called when the server has ended a connection, and says whether
	// to dial again.
	ended(m *mob, id int) (again bool)
	// turn does what is due, and says how long the loop may sleep.
	turn(m *mob) time.Duration
	// finished reports whether everything is done, before anybody says stop.
	finished(m *mob) bool
}

// plain is a script that connects and is silent.
type plain struct{}

func (plain) greet(m *mob, id int, key string) []byte {
	return wire.AppendRequest(nil, m.squad.Host, m.path(id), key, m.terms)
}
func (plain) opened(*mob, int)            {}
func (plain) frame(*mob, int, wire.Frame) {}
func (plain) ended(*mob, int) bool        { return true }
func (plain) turn(*mob) time.Duration     { return 10 * time.Millisecond }
func (plain) finished(*mob) bool          { return false }

// Deeds is what a process of attackers did, and what it was answered.
type Deeds struct {
	Dialled int64
	Opened  int64
	Done    int64               // what the script counts: frames, heads, cycles
	Bytes   int64               // that were sent as an attack
	Most    int                 // connections at a time
	Ends    []report.ErrorCount // how the server ended connections
	// Shortest and Longest is how long connections lasted that the server ended.
	Shortest, Longest int64
	// Figures are those of one script only.
	Figures map[string]float64 `json:",omitempty"`
	// Skipped says why nothing was done.
	Skipped string        `json:",omitempty"`
	CPU     time.Duration // that this took
}

// mob is what all scripts share: it keeps their connections open, takes frames
// apart and counts.
type mob struct {
	squad  Squad
	orders *crew.Orders
	script script
	loop   *loop.Loop
	random *rand.Rand
	now    int64

	// Connections, by number.
	queue   []int  // to be dialled
	waiting []bool // for an answer
	up      []bool // open, for the server too
	dialled []int64
	carry   map[int][]byte // the beginnings of frames

	pending int // waiting for an answer
	answers int // that have come
	open    int // dialled, and not ended
	hasty   bool
	terms   wire.Terms // that are asked for
	agreed  bool       // to a subprotocol or an extension
	ready   int64      // since when all are there
	ends    map[string]int64
	deeds   Deeds
}

// attack runs a squad until it is told to stop, or is finished.
func attack(squad *Squad, orders *crew.Orders) (any, error) {
	m := &mob{squad: *squad, orders: orders, random: rand.New(rand.NewPCG(squad.Seed, uint64(squad.Process))),
		waiting: make([]bool, squad.Conns), up: make([]bool, squad.Conns), dialled: make([]int64, squad.Conns), carry: map[int][]byte{}, ends: map[string]int64{}}
	m.deeds.Shortest, m.deeds.Figures = math.MaxInt64, map[string]float64{}
	make, known := scripts[squad.Script]
	if !known {
		return nil, fmt.Errorf("there is no attack %q", squad.Script)
	}
	m.script = make(m)
	for id := range squad.Conns {
		m.queue = append(m.queue, id)
	}
	l, err := loop.New(loop.Config{
		Server: squad.Server, Host: squad.Host, Path: m.path, Source: m.source, Capacity: squad.Conns,
		ReceiveBuffer:    func(id int) int { return id % 2 * smallBuffer },
		HandshakeTimeout: handshakeLimit, Random: m.random.Uint64,
		Request: func(id int, key string) []byte { return m.script.greet(m, id, key) },
		Answer:  m.answered,
	}, m)
	if err != nil {
		return nil, err
	}
	m.loop = l
	if err := l.Run(); err != nil {
		return nil, err
	}
	return m.report(), nil
}

// smallBuffer, which every other connection has, makes the server soon hold what
// nobody reads. The others leave it to the kernel: into a large window more is
// written at once.
const smallBuffer = 4 << 10

// path is a room of the connection's own.
func (m *mob) path(id int) string {
	if m.squad.Script == "stalled" || m.squad.Script == "listening" {
		return stalledPath
	}
	return fmt.Sprintf("/chat/%s-%d-%d", m.squad.Script, m.squad.Process, id)
}

// source spreads the connections over addresses, each of which has ports of its
// own.
func (m *mob) source(id int) netip.Addr {
	if !m.squad.Server.Addr().IsLoopback() || !m.squad.Server.Addr().Is4() {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte{127, 1, byte(1 + m.squad.Process), byte(1 + id/4000 + 8*(len(m.squad.Script)%8))})
}

// answered judges a head. An extension that the server agrees to is the
// script's business.
func (m *mob) answered(id int, head []byte, key string) (int, error) {
	end := bytes.Index(head, []byte("\r\n\r\n"))
	if end < 0 {
		return wire.ParseResponse(head, key, m.terms)
	}
	lines := strings.Split(string(head[:end]), "\r\n")
	kept := slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
		return strings.HasPrefix(strings.ToLower(line), "sec-websocket-extensions:")
	})
	m.agreed = len(kept) < len(lines) || slices.ContainsFunc(kept, func(line string) bool {
		return strings.HasPrefix(strings.ToLower(line), "sec-websocket-protocol:")
	})
	plain := append([]byte(strings.Join(kept, "\r\n")), head[end:]...)
	size, err := wire.ParseResponse(plain, key, m.terms)
	return size + len(head) - len(plain), err
}

// Turn implements loop.Handler.
func (m *mob) Turn(now int64) (time.Duration, bool) {
	m.now = now
	m.dial()
	if m.ready == 0 && (m.answers >= len(m.dialled) || m.hasty && len(m.queue) == 0) {
		m.ready = now
		m.orders.Ready()
	}
	wait := m.script.turn(m)
	if len(m.queue) > 0 {
		wait = min(wait, time.Millisecond)
	}
	return wait, m.orders.Stopped() || m.script.finished(m)
}

// dial opens some of those in the queue.
func (m *mob) dial() {
	n := min(len(m.queue), dialsPerTurn)
	if !m.hasty {
		n = min(n, maxPending-m.pending)
	}
	for range n {
		id := m.queue[0]
		m.queue = m.queue[1:]
		m.dialled[id] = m.now
		m.deeds.Dialled++
		if err := m.loop.Dial(id); err != nil {
			m.ends[err.Error()]++
			m.queue = append(m.queue, id)
			return // for want of ports or descriptors: in the next turn perhaps
		}
		m.open++
		m.deeds.Most = max(m.deeds.Most, m.open)
		if !m.hasty {
			m.waiting[id] = true
			m.pending++
		}
	}
}

// answeredNow notes that nothing is waited for any more.
func (m *mob) answeredNow(id int) {
	if m.waiting[id] {
		m.waiting[id] = false
		m.pending--
		m.answers++
	}
}

// Opened implements loop.Handler.
func (m *mob) Opened(id int, _ time.Duration) {
	m.answeredNow(id)
	m.up[id] = true
	m.deeds.Opened++
	m.script.opened(m, id)
}

// Received implements loop.Handler: it takes frames apart, answers pings, and
// ends a connection when the server does.
func (m *mob) Received(id int, b []byte) {
	if before := m.carry[id]; len(before) > 0 {
		b = append(before, b...)
	}
	delete(m.carry, id)
	for len(b) > 0 {
		f, size, err := wire.Next(b, true) // some have agreed to compression
		if err != nil {
			m.leave(id, "protocol error: "+err.Error())
			return
		}
		if size == 0 {
			m.carry[id] = bytes.Clone(b)
			return
		}
		b = b[size:]
		switch f.Opcode {
		case wire.Close:
			code, _ := wire.CloseInfo(f.Payload)
			m.loop.SendFrames(id, wire.AppendClose(nil, uint32(m.random.Uint64()), code))
			m.leave(id, fmt.Sprintf("close %d", code))
			return
		case wire.Ping:
			m.loop.Send(id, wire.Pong, f.Payload)
		}
		m.script.frame(m, id, f)
	}
}

// Failed implements loop.Handler.
func (m *mob) Failed(id int, err error) { m.gone(id, endText(err)) }

// Closed implements loop.Handler.
func (m *mob) Closed(id int, err error) { m.gone(id, endText(err)) }

// endText says how a connection ended, in few different words.
func endText(err error) string {
	var refused *wire.Refused
	switch {
	case errors.As(err, &refused):
		status, _, _ := strings.Cut(refused.Status, " ")
		return "status " + status
	case errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		return "reset"
	}
	return err.Error()
}

// leave ends a connection because of what the server said on it.
func (m *mob) leave(id int, why string) {
	m.loop.Close(id, false)
	m.gone(id, why)
}

// abort resets a connection, and counts no end of the server's.
func (m *mob) abort(id int) {
	m.loop.Close(id, true)
	m.release(id)
}

// release forgets what was known of a connection.
func (m *mob) release(id int) {
	m.answeredNow(id)
	m.up[id] = false
	m.open--
	delete(m.carry, id)
}

// gone notes that the server has ended a connection.
func (m *mob) gone(id int, why string) {
	m.release(id)
	m.ends[why]++
	lasted := m.now - m.dialled[id]
	m.deeds.Shortest, m.deeds.Longest = min(m.deeds.Shortest, lasted), max(m.deeds.Longest, lasted)
	if m.script.ended(m, id) {
		m.queue = append(m.queue, id)
	}
}

// report closes the account.
func (m *mob) report() *Deeds {
	for why, count := range m.ends {
		m.deeds.Ends = append(m.deeds.Ends, report.ErrorCount{Error: why, Count: count})
	}
	slices.SortFunc(m.deeds.Ends, func(a, b report.ErrorCount) int { return int(b.Count - a.Count) })
	if len(m.ends) == 0 {
		m.deeds.Shortest = 0
	}
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) == nil {
		m.deeds.CPU = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	return &m.deeds
}
