package server_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"throng/poller"
	"throng/server"
)

// An incomplete handshake is cut at its time, and not before, however much of it
// comes meanwhile.
func TestHandshakeTimeout(t *testing.T) {
	x := start(t, setup{})
	silent, slow := x.enter(), x.enter()
	x.pass(4500 * time.Millisecond)
	slow.write([]byte("GET / HTTP/1.1\r\n"))
	in := x.enter()
	x.pass(250 * time.Millisecond)
	if n := x.srv.Conns(); n != 3 {
		t.Fatalf("%d connections before the time", n)
	}
	x.pass(500 * time.Millisecond)
	if stats := x.srv.Stats(); stats.Conns != 1 || stats.SlowHandshakes != 2 {
		t.Fatalf("%+v after the time", stats)
	}
	silent.gone()
	slow.gone()
	in.write([]byte(upgrade()))
	in.accepted()
	x.pass(10 * time.Second) // open connections have all the time
	in.say("hello")
}

// gone reads the end, be it a reset or not.
func (c *client) gone() {
	c.Helper()
	if b, err := c.in.ReadByte(); err == nil {
		c.Errorf("got a byte %#x, want the end", b)
	}
}

// At the limit of handshakes the oldest goes, never the newcomer.
func TestMaxHandshakes(t *testing.T) {
	x := start(t, setup{config: server.Config{MaxHandshakes: 3}})
	var all []*client
	for range 5 {
		all = append(all, x.enter())
	}
	if n := x.srv.Conns(); n != 3 {
		t.Errorf("%d handshakes, the limit is 3", n)
	}
	all[0].gone()
	all[1].gone()
	for _, c := range all[2:] {
		c.write([]byte(upgrade()))
		c.accepted()
		c.say("hello")
	}
	// Open ones do not count.
	for range 3 {
		all = append(all, x.enter())
	}
	if n := x.srv.Conns(); n != 6 {
		t.Errorf("%d connections", n)
	}
}

// A silent connection is pinged once, and closed when that is not answered.
func TestSilentPeers(t *testing.T) {
	x := start(t, setup{config: server.Config{PingPeriod: 10 * time.Second}})
	silent, ponging, talking := x.connect(), x.connect(), x.connect()
	for round := 1; round <= 6; round++ {
		x.pass(10 * time.Second)
		if round%2 == 0 { // one look finds a sign of life, the next finds none
			ponging.expect(ws.OpPing, "")
			x.feed(ponging, masked(ws.OpPong, ""))
			x.barrier()
		}
		talking.say("hello")
	}
	silent.expect(ws.OpPing, "")
	silent.expectClose(server.CodeIdle, server.ErrSilent.Error())
	x.ended(silent, server.CodeIdle, server.ErrSilent.Error(), server.ErrSilent)
	ponging.say("hello")
	if n := x.srv.Stats().Other; n != 1 {
		t.Errorf("%d closed", n)
	}
}

// Silence is found within three periods, also by those whose place changes when
// another one goes that the sweep has seen already.
func TestSweepMissesNobody(t *testing.T) {
	for leaving := range 8 {
		x := start(t, setup{config: server.Config{PingPeriod: 10 * time.Second}})
		var clients []*client
		for range 8 {
			clients = append(clients, x.connect())
		}
		x.pass(5 * time.Second) // the sweep has seen half of them
		c := clients[leaving]
		c.send(ws.OpClose, "\x03\xe8")
		await(t, x.app.closed)
		c.Close()
		x.pass(25 * time.Second)
		if n := len(x.app.closed); n != 7 {
			t.Errorf("after number %d has gone, %d of 7 are found silent", leaving, n)
		}
		for i, c := range clients {
			if i != leaving {
				c.expect(ws.OpPing, "")
				c.expectClose(server.CodeIdle, server.ErrSilent.Error())
				c.Close()
			}
		}
	}
}

// TestAllLeaveInSweep: however far the sweep has come and in whatever order
// connections go, each finds its own place to leave.
func TestAllLeaveInSweep(t *testing.T) {
	const n = 5
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		x := start(t, setup{config: server.Config{PingPeriod: n * time.Second}})
		var clients []*client
		for range n {
			clients = append(clients, x.connect())
		}
		x.pass(time.Duration(rnd.IntN(n+1)) * time.Second)
		for _, i := range rnd.Perm(n) {
			clients[i].send(ws.OpClose, "\x03\xe8")
			await(t, x.app.closed)
			clients[i].Close()
		}
		x.until("everybody has gone", func() bool { return x.srv.Conns() == 0 })
		if x.log.count("panic") > 0 {
			t.Fatalf("seed %d: a panic", seed)
		}
	}
}

// Paused and blocked connections are not silent: it is the server that does not
// listen. Nor are they when that is over.
func TestPausedIsNotSilent(t *testing.T) {
	busy := true
	x := start(t, setup{config: server.Config{PingPeriod: 10 * time.Second, StallTimeout: time.Hour}, app: &app{
		message: func(c *server.Conn, m server.Message) bool { return !busy && c.Send(m.Op, m.Payload) },
	}})
	paused, blocked := x.connect(), x.connect()
	paused.send(ws.OpText, "held")
	x.pass(25 * time.Second) // pinged by now
	blocked.expect(ws.OpPing, "")
	x.kernel.allow(blocked.fd, 1)
	on(t, blocked.at, func(c *server.Conn) { c.Send(ws.OpText, []byte("waits")) })
	x.pass(100 * time.Second)
	x.run(0, func() { busy = false })
	paused.at.Resume()
	x.kernel.free(blocked.fd)
	x.fire(blocked.fd, poller.Writable)
	x.pass(9 * time.Second)
	paused.expect(ws.OpText, "held")
	blocked.expect(ws.OpText, "waits")
	paused.say("hello")
	blocked.say("hello")
	if len(x.app.closed) > 0 {
		t.Errorf("closed: %+v", <-x.app.closed)
	}
}

// A peer that takes nothing is cut at the stall limit. One that takes a little is
// not.
func TestStall(t *testing.T) {
	x := start(t, setup{config: server.Config{StallTimeout: 10 * time.Second}})
	stalled, slow := x.connect(), x.connect()
	for _, c := range []*client{stalled, slow} {
		x.kernel.allow(c.fd, 5)
		on(t, c.at, func(c *server.Conn) {
			if n := c.WriteFrames([]byte("\x81\x04room")); n != 6 {
				t.Errorf("WriteFrames: %d", n)
			}
			c.Send(ws.OpText, []byte("waits"))
		})
	}
	x.pass(9 * time.Second)
	x.kernel.allow(slow.fd, 1)
	x.fire(slow.fd, poller.Writable)
	x.pass(2 * time.Second)
	x.ended(stalled, server.CodeBroken, server.ErrStalled.Error(), server.ErrStalled)
	x.until("it to go", func() bool { return x.srv.Conns() == 1 })
	x.pass(7 * time.Second)
	if len(x.app.closed) > 0 {
		t.Fatal("closed one that takes a little")
	}
	// It takes a little more, but not enough for an edge.
	x.kernel.allow(slow.fd, 1)
	x.pass(9 * time.Second)
	if len(x.app.closed) > 0 {
		t.Fatal("closed one that takes a little without an edge")
	}
	x.kernel.free(slow.fd)
	x.fire(slow.fd, poller.Writable)
	slow.expect(ws.OpText, "room")
	slow.expect(ws.OpText, "waits")
	x.pass(20 * time.Second) // nothing waits: no stall
	slow.say("hello")
	if d := x.kernel.timeouts[slow.fd]; d != 10*time.Second {
		t.Errorf("TCP_USER_TIMEOUT %v", d)
	}
}

// A receive buffer that overflows while the server waits for room to write: the kernel hears neither what the peer sends
// nor what it acknowledges until the buffer is read. The server reads it after a while, and all is answered.
func TestUnclog(t *testing.T) {
	x := start(t, setup{})
	c := x.connect()
	must(t, c.Conn.(*net.TCPConn).SetReadBuffer(4096))
	text := strings.Repeat("x", 1000)
	messages, behind := 0, 0
	for behind < 4<<10 { // in the kernel, and the server does not read it
		c.send(ws.OpText, text)
		messages++
		x.barrier()
		on(t, c.at, func(at *server.Conn) {
			if own, _ := at.Waiting(); own >= 16<<10 && at.Unread() > 0 {
				behind = x.unreadBytes(c)
			}
		})
	}
	room := func(bytes int) { must(t, unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bytes)) }
	room(1)
	c.send(ws.OpText, "too much")
	x.pass(time.Second)
	for range messages {
		c.expect(ws.OpText, text)
	}
	room(32 << 10)
	c.expect(ws.OpText, "too much")
}

// Whatever a connection is not read for, what its peer sends while it takes nothing is taken in, up to a limit, and is
// handled in order afterwards.
func TestUnclogTakesInOrder(t *testing.T) {
	const receive, limit = 8 << 10, 16<<10 + 4*8<<10
	for _, with := range []struct {
		why        string
		busy       bool
		rate, size int
	}{
		{"too many answers wait", false, -1, 1000},
		{"the handler is busy", true, -1, 100},
		{"too much was said", false, 8, 100},
	} {
		t.Run(with.why, func(t *testing.T) {
			busy := with.busy
			x := start(t, setup{
				config: server.Config{ReceiveBufferBytes: receive, MessageRate: with.rate, StallTimeout: time.Hour, PingPeriod: time.Hour},
				app:    &app{message: func(c *server.Conn, m server.Message) bool { return !busy && c.Send(m.Op, m.Payload) }},
			})
			c := x.connect()
			x.kernel.allow(c.fd, 0)
			on(t, c.at, func(c *server.Conn) { c.Send(ws.OpText, []byte("first")) })
			text := func(i int) string { return fmt.Sprintf("%0*d", with.size, i) }
			sent := 0
			for x.unreadBytes(c) == 0 {
				if sent*with.size > 3*limit {
					t.Fatal("read without a limit")
				}
				for range receive / with.size {
					c.send(ws.OpText, text(sent))
					sent++
				}
				x.pass(time.Second)
			}
			on(t, c.at, func(c *server.Conn) {
				if n := c.Unread(); n < limit || n > limit+16<<10 {
					t.Errorf("%d bytes were taken in", n)
				}
			})
			x.run(0, func() { busy = false })
			x.kernel.free(c.fd)
			x.fire(c.fd, poller.Writable)
			c.at.Resume()
			c.expect(ws.OpText, "first")
			for i := range sent {
				if with.rate > 0 && i%with.rate == 0 {
					x.pass(time.Second)
				}
				c.expect(ws.OpText, text(i))
			}
		})
	}
}

// After the close frame the server waits LingerTimeout for the peer's end, whether
// the frame could be sent or not; the same after a refusal.
func TestLingerTimeout(t *testing.T) {
	x := start(t, setup{})
	open, blocked, refused := x.connect(), x.connect(), x.enter()
	x.kernel.allow(blocked.fd, 1)
	for _, c := range []*client{open, blocked} {
		on(t, c.at, func(c *server.Conn) { c.Close(1000, "") })
	}
	refused.write([]byte("\r\n"))
	x.until("the refusal", func() bool { return x.srv.Stats().Refused == 1 })
	x.pass(1750 * time.Millisecond)
	if n := x.srv.Conns(); n != 3 {
		t.Fatalf("%d connections before the time", n)
	}
	x.pass(500 * time.Millisecond)
	if n := x.srv.Conns(); n != 0 {
		t.Fatalf("%d connections after the time", n)
	}
	open.expectClose(1000, "")
}

// A process that was stopped for a minute closes nobody when it goes on.
func TestStoppedProcess(t *testing.T) {
	x := start(t, setup{config: server.Config{PingPeriod: 10 * time.Second, StallTimeout: 10 * time.Second}})
	open, shaking, blocked := x.connect(), x.enter(), x.connect()
	x.kernel.allow(blocked.fd, 1)
	on(t, blocked.at, func(c *server.Conn) { c.Send(ws.OpText, []byte("waits")) })
	for range 2 {
		x.kernel.advance(time.Minute) // one tick, a minute late
		x.barrier()
	}
	if n := x.srv.Conns(); n != 3 || len(x.app.closed) > 0 {
		t.Fatalf("%d connections, %d closed", n, len(x.app.closed))
	}
	open.say("hello")
	shaking.write([]byte(upgrade()))
	shaking.accepted()
	x.kernel.free(blocked.fd)
	x.fire(blocked.fd, poller.Writable)
	blocked.expect(ws.OpText, "waits")
}

// A Turner's Tick comes with every tick, on each worker.
func TestTick(t *testing.T) {
	ticks := make(chan int, 100)
	started := make(chan bool, 1)
	x := start(t, setup{config: server.Config{Workers: 2}, turner: &turner{
		start: func(*server.Server) { started <- true },
		tick:  func(worker int) { ticks <- worker },
	}})
	await(t, started)
	for range 3 {
		x.pass(250 * time.Millisecond)
	}
	var got []string
	for len(ticks) > 0 {
		got = append(got, fmt.Sprint(<-ticks))
	}
	if all := strings.Join(got, ""); strings.Count(all, "0") != 3 || strings.Count(all, "1") != 3 {
		t.Errorf("ticks on workers %s", all)
	}
}

// A tick that was due when the server was stopped comes afterwards: it must not read from whoever has the timer's number then.
func TestLateTick(t *testing.T) {
	x := start(t, setup{})
	due := -1
	x.kernel.mu.Lock()
	for fd, timer := range x.kernel.timers {
		if timer.armed {
			due = fd
		}
	}
	x.kernel.mu.Unlock()
	late := x.kernel.polls[0].callback(due)
	must(t, x.srv.Close())

	other := -1
	for other < due {
		fd, err := x.kernel.NewSignal()
		must(t, err)
		defer x.kernel.Close(fd)
		other = fd
	}
	if other != due {
		t.Fatalf("no descriptor gets the number %d", due)
	}
	must(t, x.kernel.Signal(other))
	late(poller.Readable)
	if n, err := x.kernel.Kernel.Read(other, make([]byte, 8)); n != 8 {
		t.Errorf("the other's descriptor was read from: %v", err)
	}
}

// TestDoomedWhileStalled: one that is about to be closed when it has taken nothing for too long is looked at once.
func TestDoomedWhileStalled(t *testing.T) {
	x := start(t, setup{})
	c := x.connect()
	x.kernel.allow(c.fd, 0)
	on(t, c.at, func(c *server.Conn) { c.Send(ws.OpText, []byte("x")) })
	x.pass(29 * time.Second)
	tick := x.kernel.polls[0].callback(slices.Min(slices.Collect(maps.Keys(x.kernel.timers))))
	x.run(0, func() { // as in one batch of events
		c.at.CloseLater(server.CodeSlow, "slow")
		for range 2 {
			x.kernel.advance(time.Second)
			tick(poller.Readable)
		}
	})
	x.ended(c, server.CodeBroken, server.ErrStalled.Error(), server.ErrStalled)
	c.gone()
}
