package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing/synctest"
	"time"

	"github.com/mailru/easygo/netpoll"

	"throng/chat"
	"throng/poller/sim"
	"throng/room"
	"throng/server"
)

const (
	simAddress = "127.0.0.1:80"
	simSocket  = "/nonexistent/throng.sock"
	simWild    = "wild"    // the room without a witness: it comes and goes
	simNicks   = 24        // nicknames that guests fight for
	simLean    = 128 << 10 // bytes for each room: the last segments of its logs
	simTurn    = 1 << 20   // bytes that may come in before logs and connections give
	// simNotices is the least window of a large crowd. Who misses nothing but notices, without a message, is not told so.
	simNotices = 64 << 10
	simLinger  = 2 * time.Second
	simStall   = 29 * time.Second // the limit, less what a loop's clock may be behind
	simMute    = 25 * time.Second // who says nothing for as long is pinged, and may be ended

	// simListeners is how many there are to somebody who talks, in a large crowd: everybody hears what everybody says, so that
	// those who check what they hear would have work that grows with the square of the crowd.
	simListeners = 16
)

// simWorld is a chat server on a simulated kernel, and those who use it.
type simWorld struct {
	rng    *rand.Rand
	kernel *sim.Kernel
	srv    *server.Server
	chat   *chat.Chat
	config server.Config
	trace  io.Writer
	step   int
	failed error
	buf    []byte

	rooms     []*simRoom
	witnesses []*simGuest
	guests    []*simGuest // those that are not over
	ids       int
	epochs    uint64
	ended     []*simGuest // that were closed properly, and have heard everything
	byID      []*simGuest
	persons   []*simPerson
	parsed    map[string]simObject // what was said in throng.v1 lately
	strangers bool                 // a token may have been refused: some who speak throng.v1 have drawn nicknames
	steps     int                  // of the wall clock
	calls     chan error           // what runs beside: New, then Shutdown
	draining  bool
	drained   time.Duration // since when
	leapt     time.Duration // when the process last went on after having been stopped
	cut       bool          // the drain's deadline has passed
	leaving   bool

	// Choices.
	crowd        int
	compress     bool // some negotiate permessage-deflate
	packed       bool // in one room, on one worker
	large        bool // thousands: one in simListeners talks, and nobody at length
	terse        int  // one message in so many is long
	lean         bool // has less memory than is wanted
	overflows    bool // receive buffers do
	messageBytes int
	announce     bool
	closeSlow    bool // whoever misses something is closed
	presence     int
	window       int // bytes kept for one room
	bound        int // bytes held for one connection

	reached map[string]uint64 // how often what happened
}

// fail ends the run.
func (w *simWorld) fail(format string, args ...any) {
	if w.failed == nil {
		w.failed = fmt.Errorf("step %d: "+format, append([]any{w.step}, args...)...)
	}
}

// nick draws one of the nicknames that all want, in one of two cases, which are the same to the server.
func (w *simWorld) nick() string {
	return fmt.Sprintf("%c%d", "nN"[w.rng.IntN(2)], w.rng.IntN(simNicks))
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

// newSimWorld draws a world.
func newSimWorld(seed uint64, trace io.Writer) *simWorld {
	rng := rand.New(rand.NewPCG(seed, 0x776f726c64))
	w := &simWorld{rng: rng, trace: trace, buf: make([]byte, 32<<10), calls: make(chan error, 1), reached: map[string]uint64{}, parsed: map[string]simObject{}}
	w.crowd = 2 + rng.IntN(20)
	switch rng.IntN(30) {
	case 0:
		w.crowd = 50 + rng.IntN(150)
	case 1, 2:
		w.crowd, w.packed = 60+rng.IntN(60), true
	}
	if seed%500 == 499 {
		w.crowd, w.large = 2000, true
	}
	w.lean = seed%25 == 7 && !w.packed
	faults := w.faults()
	w.messageBytes, w.window = pick(rng, 200, 2000, 20_000, 64<<10), pick(rng, 1<<10, 8<<10, 64<<10, 1<<20)
	if w.large {
		w.messageBytes, w.window = min(w.messageBytes, 2000), max(w.window, simNotices)
	}
	w.terse = 12
	if w.lean {
		w.terse = 3
		w.messageBytes, w.window = max(w.messageBytes, 20_000), 1<<20
	}
	faults.Overlap = pick(rng, 0, 100, 400)
	files := pick(rng, 0, 0, 0, w.crowd+24)
	sends, receives := pick(rng, 300, 2000, 16<<10, 64<<10), pick(rng, 100, 4000, 40<<10, 128<<10)
	if w.overflows = seed%4 == 2 && !w.lean && !w.packed; w.overflows { // what is packed has to rest without time
		faults.Overflow, receives = 1024, min(receives, 4000)
	}
	w.kernel = sim.New(sim.Config{
		Seed: seed, Faults: faults, Trace: trace, Files: files,
		SendBufferBytes: sends, ReceiveBufferBytes: receives,
	})
	w.announce, w.presence = rng.IntN(2) == 0, pick(rng, 1000, 1000, 6)
	if w.packed {
		w.presence = 6
	}
	if w.lean {
		w.presence = 1 // nobody is told who leaves
	}
	w.bound = w.messageBytes*3 + 192<<10
	limits := room.Config{
		Shards: 4, Window: w.window, HistoryCount: pick(rng, 0, 5, 200),
		HistoryBytes: pick(rng, 1000, 256<<10), HistoryAge: time.Hour, Now: w.kernel.Now,
		Wall: w.kernel.Wall, Epoch: func() uint64 { w.epochs++; return w.epochs },
	}
	w.closeSlow = rng.IntN(8) == 0
	w.chat = chat.New(chat.Config{Rooms: limits, Announce: w.announce, PresenceLimit: w.presence, CloseSlow: w.closeSlow, TokenKey: []byte("a key of thirty-two bytes, always")}, seed)
	w.config = server.Config{
		Listen: []string{simAddress, "unix:" + simSocket}, Workers: 1 + rng.IntN(3), Kernel: w.kernel,
		Log: slog.New(simLog{w}), MaxConns: pick(rng, 10_000, 10_000, 4+w.crowd*2/3), RefuseConns: pick(rng, 0, 2),
		MaxHandshakes: pick(rng, 0, 0, 12), MaxMessageBytes: int64(w.messageBytes), MessageRate: pick(rng, -1, -1, -1, -1, 100), Compression: 1,
		LingerTimeout: simLinger, LingerBytes: 1 << 30, // whoever says much and reads nothing after its end is TestLingerBytes's
	}
	if w.overflows {
		w.config.ReceiveBufferBytes = receives / 2 // Linux takes twice as much
	}
	w.furnish()
	return w
}

// faults draws how often what goes wrong.
func (w *simWorld) faults() sim.Faults {
	rng := w.rng
	level := pick(rng, 0, 8, 8, 60)
	rate := func() int {
		if level == 0 || rng.IntN(3) == 0 {
			return 0
		}
		return rng.IntN(level)
	}
	faults := sim.Faults{
		Interrupt: rate(), ShortRead: rate() * 4, ReadAgain: rate() * 2, ShortWrite: rate() * 4, WriteAgain: rate() * 2,
		Reset: rate() * 8, Accept: rate() * 8, Add: rate(), Shutdown: rate(), Option: rate(),
		Reorder: pick(rng, 0, 300, 1024), Slow: rate(),
	}
	if w.packed {
		faults.Slow = 600 // so that a pass takes several turns
	}
	return faults
}

// furnish draws the rooms, and says what depends on how many there are.
func (w *simWorld) furnish() {
	rooms := 1 + w.rng.IntN(3)
	if w.packed {
		rooms, w.config.Workers, w.config.MessageRate = 1, 1, -1
	}
	if w.compress = w.rng.IntN(8) == 0; !w.compress {
		w.config.Compression = server.CompressionOff
	}
	if w.lean {
		w.config.MaxHeldBytes = int64(rooms+2) * simLean
		if w.compress {
			w.config.MaxHeldBytes *= 2 // twice as many logs
		}
	}
	for i := range rooms {
		r := newSimRoom(fmt.Sprint("room-", i))
		r.quiet = w.presence < 1000 || w.large // beyond the limit nobody is told, and who is away counts, too
		w.rooms = append(w.rooms, r)
	}
}

// simLog is a log in which only expected errors may stand.
type simLog struct{ w *simWorld }

func (simLog) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }
func (l simLog) WithAttrs([]slog.Attr) slog.Handler         { return l }
func (l simLog) WithGroup(string) slog.Handler              { return l }

func (l simLog) Handle(_ context.Context, r slog.Record) error {
	var cause error
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok {
			cause = err
		}
		text += " " + a.String()
		return true
	})
	switch {
	case r.Level < slog.LevelError:
	case errors.Is(cause, syscall.ENOSPC), errors.Is(cause, syscall.ENOMEM): // the poll is full
	case errors.Is(cause, netpoll.ErrNotRegistered): // the same, for a request that could not be handed off
	default:
		l.w.fail("the server logs: %s", text)
	}
	return nil
}

// beside runs what waits for the workers, and steps until it is done. Nothing else happens meanwhile than in between.
func (w *simWorld) beside(f func() error, between func()) (err error) {
	w.kernel.Apart(true)
	defer w.kernel.Apart(false)
	go func() { w.calls <- f() }()
	for range 1_000_000 {
		synctest.Wait()
		select {
		case err := <-w.calls:
			return err
		default:
		}
		between()
	}
	panic(fmt.Sprintf("a call never returns; before it: %v", w.failed))
}

// run is the whole life of the world.
func (w *simWorld) run() {
	w.kernel.Quiet(true)
	err := w.beside(func() (err error) {
		w.srv, err = server.New(w.config, w.chat, nil)
		return err
	}, func() { w.kernel.Step() })
	if err != nil {
		w.fail("start: %v", err)
		return
	}
	defer w.stop()
	w.seatWitnesses()
	for range 1 + w.rng.IntN(3) {
		if w.failed != nil {
			return
		}
		w.kernel.Quiet(false)
		w.live(300 + 60*w.crowd)
		if w.packed && w.failed == nil {
			for _, g := range w.guests {
				g.deaf = false
			}
			w.stampede()
		}
		w.rest()
	}
	if w.failed != nil {
		return
	}
	if w.rng.IntN(2) == 0 {
		w.everybodyLeaves()
	}
}

// stop drains or stops the server, and asserts that nothing is left in the kernel.
func (w *simWorld) stop() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w.kernel.Quiet(w.rng.IntN(2) == 0)
	w.draining, w.leaving, w.drained = true, true, w.kernel.Now()
	for _, r := range w.rooms {
		r.quiet = true // a drain tells nobody who leaves
	}
	patience := pick(w.rng, 50, 5_000, 100_000)
	err := w.beside(func() error { return w.srv.Shutdown(ctx) }, func() {
		if patience--; patience == 0 || w.failed != nil {
			w.cut = true
			cancel()
			synctest.Wait()
		}
		w.once()
		if w.rng.IntN(20+len(w.guests)) == 0 {
			w.kernel.Advance(50 * time.Millisecond)
		}
	})
	if err != nil && (!errors.Is(err, server.ErrDeadline) || !w.cut) {
		w.fail("shutdown: %v", err)
	}
	w.settled()
	stats := w.srv.Stats()
	w.reached["accept failure"] += stats.AcceptFailures
	w.reached["slow handshake"] += stats.SlowHandshakes
	w.reached["broken"] += stats.Broken
	w.reached["logs gave"] += stats.ShedBytes
	w.reached["connections gave"] += stats.GaveUp
	if w.cut {
		w.reached["cut drain"]++
	}
	if open := w.kernel.Open(); open != (sim.Open{}) {
		w.fail("left in the kernel: %+v", open)
	}
}

// once lets one thing happen.
func (w *simWorld) once() {
	w.step++
	switch p := w.rng.IntN(10); {
	case p < 4:
		w.kernel.Step()
		if w.draining {
			synctest.Wait() // the call that runs beside goes on at once, and what comes next comes after it
		}
	case p < 6:
		w.kernel.Deliver()
	default:
		w.somebody()
	}
	w.cheap()
}

// cheap are the checks after each step.
func (w *simWorld) cheap() {
	for _, g := range w.witnesses {
		if g.state != simOpen {
			continue
		}
		for g.state == simOpen && g.read(len(w.buf)) {
		}
		g.flush(len(g.out))
	}
	if open, conns := w.kernel.Open(), w.srv.Conns(); open.Conns != conns && !w.cut {
		w.fail("%d descriptors are open for %d connections", open.Conns, conns)
	}
}

// settled compares the counts when no worker runs any more or is in the middle of something.
func (w *simWorld) settled() {
	if err := w.kernel.Misused(); err != nil {
		w.fail("%v", err)
	}
	open, err := w.srv.Inspect(w.bound, false)
	if err != nil {
		w.fail("%v", err)
	}
	s := w.srv.Stats()
	if w.lean && s.HeldBytes > w.config.MaxHeldBytes+simTurn {
		w.fail("%d bytes are held, and %d may be", s.HeldBytes, w.config.MaxHeldBytes)
	}
	if closed := s.Normal + s.Broken + s.Violations + s.Other; s.Opened-closed != uint64(open) {
		w.fail("%d were opened and %d closed, %d are open", s.Opened, closed, open)
	}
}

// somebody lets a guest act, or a new one come.
func (w *simWorld) somebody() {
	if len(w.guests) < w.crowd && !w.draining && (len(w.guests) == 0 || w.rng.IntN(w.crowd) > len(w.guests) || w.rng.IntN(20) == 0) {
		w.arrive()
		return
	}
	if len(w.guests) == 0 {
		return
	}
	i := w.rng.IntN(len(w.guests))
	g := w.guests[i]
	g.act()
	if g.deaf && w.rng.IntN(30) == 0 {
		g.deaf = false
	}
	if g.state == simOver {
		w.guests = slices.Delete(w.guests, i, i+1)
	}
}

// live lets the world go on for so many steps.
func (w *simWorld) live(steps int) {
	for i := range steps {
		if w.failed != nil {
			return
		}
		w.once()
		if w.rng.IntN(20+4*len(w.guests)) == 0 {
			w.kernel.Advance(time.Duration(w.rng.Int64N(int64(300 * time.Millisecond))))
		}
		switch p := w.rng.IntN(20_000); {
		case p == 0:
			w.kernel.Advance(pick(w.rng, 3*time.Second, 30*time.Second, time.Hour)) // the process was stopped
			w.leapt = w.kernel.Now()
		case p < 5:
			w.steps++
			w.strangers = w.strangers || slices.ContainsFunc(w.persons, func(p *simPerson) bool { return p.g.state == simAsking })
			w.kernel.StepWall(pick(w.rng, -time.Hour, time.Hour))
		case p < 20:
			w.admin()
		}
		if i%32 == 0 {
			w.settled()
		}
	}
}

// stampede has some leave while something that was just said goes round, in several turns. Nobody is told that they leave, and
// nobody says anything afterwards: who was passed over in that round would stay without it.
func (w *simWorld) stampede() {
	for range 12 {
		w.comeToRest()
		w.complete()
		for _, g := range w.witnesses {
			g.say()
			g.flush(len(g.out))
		}
		for range 16 {
			if len(w.guests) > 0 && w.rng.IntN(6) == 0 {
				i := w.rng.IntN(len(w.guests))
				w.guests[i].remote.Reset()
				w.guests[i].state = simOver
				w.guests = slices.Delete(w.guests, i, i+1)
			}
			if w.rng.IntN(3) > 0 || !w.kernel.Step() {
				w.kernel.Deliver()
			}
			w.cheap()
		}
	}
}
