package server_test

import (
	"bytes"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/gobwas/ws"

	"throng/frame"
	"throng/poller"
	"throng/server"
)

// Half a handshake, half a frame, a client that never reads: 2,000 of each at
// once do not hold the one worker. An honest pair still gets every answer, and
// there is not one goroutine more.
func TestHostileClients(t *testing.T) {
	const each = 2000
	var limit syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	if limit.Cur < 6*each+200 {
		t.Skipf("needs %d descriptors, the limit is %d: raise it with ulimit -n", 6*each+200, limit.Cur)
	}
	var mutes atomic.Int32 // connections of which no more is taken
	x := start(t, setup{config: server.Config{
		MaxConns: 4 * each, MaxHandshakes: 2 * each, SendBufferBytes: 4 << 10,
	}, app: &app{message: func(c *server.Conn, m server.Message) bool {
		taken := c.Send(m.Op, m.Payload)
		if own, _ := c.Waiting(); own >= maxOwn {
			mutes.Add(1)
		}
		return taken
	}}})
	a, b := x.connect(), x.connect()
	goroutines := runtime.NumGoroutine()
	honest := func(round int) {
		a.say(fmt.Sprint("a ", round))
		b.say(fmt.Sprint("b ", round))
	}
	half := masked(ws.OpText, "half a frame")
	flood := append([]byte(upgrade()), masked(ws.OpBinary, strings.Repeat("x", 60<<10))...)
	for i := range each {
		small(x, 0).write([]byte(upgrade()[:50+i%100]))
		small(x, 0).write(append([]byte(upgrade()), half[:1+i%(len(half)-1)]...))
		small(x, len(flood)).write(flood)
		if i%20 == 0 {
			honest(i)
		}
	}
	x.until("all of them to be there", func() bool { return x.srv.Conns() == 3*each+2 && mutes.Load() >= each })
	for i := range 100 {
		honest(each + i)
	}
	if stats := x.srv.Stats(); stats.Conns != 3*each+2 || stats.Opened != 2*each+2 {
		t.Errorf("%+v", stats)
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
}

// small dials without a goroutine or a buffer of its own that could hide what the
// server cannot send. Its send buffer takes the flood at once.
func small(x *fixture, send int) *client {
	x.Helper()
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10)
			if send > 0 {
				_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, 2*send)
			}
		})
	}}
	conn, err := d.Dial("tcp", x.srv.Addrs()[0].String())
	must(x, err)
	x.Cleanup(func() { conn.Close() })
	return &client{TB: x.TB, Conn: conn}
}

// What the kernel holds for a peer that does not read is bounded, however large the
// window that the peer has offered, and however much is written at once.
func TestKernelMemoryOfStalledPeers(t *testing.T) {
	const limit = 64 << 10
	for _, size := range []int{100, 4 << 10, 20 << 10, 60 << 10} {
		x := start(t, setup{})
		c := x.connect() // its window is what the kernel gives
		room := frame.Append(nil, ws.OpText, make([]byte, size))
		on(t, c.at, func(conn *server.Conn) {
			for conn.WriteFrames(room) > 0 {
			}
		})
		if held := x.kernelMemory(c); held == 0 || held > limit {
			t.Errorf("frames of %d bytes: the kernel holds %d bytes, at most %d", size, held, limit)
		}
	}
}

// kernelMemory is what the kernel holds on the server's socket, as ss -m shows it:
// received, set aside, and queued for sending.
func (x *fixture) kernelMemory(c *client) int {
	x.Helper()
	const soMeminfo = 55
	var info [9]uint32
	size := uint32(unsafe.Sizeof(info))
	if _, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, uintptr(c.fd), syscall.SOL_SOCKET, soMeminfo,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0); errno != 0 {
		x.Fatal(errno)
	}
	return int(info[0] + info[4] + info[5])
}

// One that floods stands in the worker's queue once, however many edges come
// besides: it gets no more of a turn than others.
func TestFloodIsQueuedOnce(t *testing.T) {
	x := start(t, setup{})
	c := x.connect()
	text := masked(ws.OpText, "x")
	var handled []int64
	x.run(0, func() {}) // the worker is at rest
	done := make(chan bool)
	release := x.hold(func() {
		// Ten edges before the next turn: each handles one budget of 64.
		for range 10 {
			x.kernel.polls[0].callback(c.fd)(poller.Readable)
			handled = append(handled, x.app.messages.Load())
		}
		x.srv.Workers()[0].Post(func() { // before the queue of the next turn
			handled = append(handled, x.app.messages.Load())
			x.srv.Workers()[0].Post(func() {
				handled = append(handled, x.app.messages.Load())
				close(done)
			})
		})
	})
	var all []byte
	for range 2000 {
		all = append(all, text...)
	}
	c.write(all)
	x.arrived(c, len(all))
	release()
	await(t, done)
	n := len(handled)
	if first, turn := handled[9], handled[n-1]-handled[n-2]; first == 0 || turn > 2*64 {
		t.Errorf("messages handled: %v: more than an edge and one place in the queue", handled)
	}
	for range 2000 {
		c.expect(ws.OpText, "x")
	}
}

// Whoever sends messages that take the Handler long is served like the others: after 25 µs of them the next connection
// has its turn, which one whose messages take no time would have after 64.
func TestDearMessagesAreBudgeted(t *testing.T) {
	var x *fixture
	var order []string
	x = start(t, setup{app: &app{message: func(_ *server.Conn, m server.Message) bool {
		order = append(order, string(m.Payload))
		if string(m.Payload) == "dear" {
			x.kernel.advance(20 * time.Microsecond)
		}
		return true
	}}})
	const many = 60
	x.contest(bytes.Repeat(masked(ws.OpText, "dear"), many), func() bool { return len(order) == many+1 })
	x.run(0, func() {
		if i := slices.Index(order, "honest"); i > 4 {
			t.Errorf("served after %d dear ones", i)
		}
	})
}

// So is whoever sends one message in thousands of fragments.
func TestFragmentsAreBudgeted(t *testing.T) {
	var x *fixture
	var order []int
	x = start(t, setup{app: &app{message: func(_ *server.Conn, m server.Message) bool {
		order = append(order, len(m.Payload))
		return true
	}}})
	const many = 2000
	fragment := func(op ws.OpCode, fin bool) []byte {
		return ws.MustCompileFrame(ws.MaskFrame(ws.NewFrame(op, fin, []byte("x"))))
	}
	b := append(fragment(ws.OpText, false), bytes.Repeat(fragment(ws.OpContinuation, false), many-2)...)
	b = append(b, fragment(ws.OpContinuation, true)...)
	x.kernel.slow(20 * time.Microsecond)
	x.contest(b, func() bool { return len(order) == 2 })
	x.run(0, func() {
		if want := []int{len("honest"), many}; !slices.Equal(order, want) {
			t.Errorf("messages of %d bytes, want %d", order, want)
		}
	})
}

// contest has one connection send input, and an honest one a message behind it, before the worker looks.
func (x *fixture) contest(input []byte, over func() bool) {
	x.Helper()
	greedy, honest := x.connect(), x.connect()
	release := x.hold(func() {})
	greedy.write(input)
	x.arrived(greedy, len(input))
	honest.send(ws.OpText, "honest")
	x.arrived(honest, 6+len("honest"))
	release()
	x.until("all to be heard", func() (done bool) {
		x.run(0, func() { done = over() })
		return done
	})
}

// After churn with resets at any point nothing is left, and nobody else was hurt.
func TestChurn(t *testing.T) {
	x := start(t, setup{config: server.Config{Workers: 2}})
	honest := x.connect()
	whole := append([]byte(upgrade()), masked(ws.OpText, "text")...)
	for i := range 500 {
		c := x.dial()
		<-x.kernel.accepted
		c.write(whole[:i*len(whole)/500])
		if i%2 == 0 {
			c.reset()
		} else {
			c.Close()
		}
		if i%50 == 0 {
			honest.say(fmt.Sprint(i))
		}
	}
	x.until("all to go", func() bool { return x.srv.Conns() == 1 })
	honest.say("hello")
	if s := x.srv.Stats(); s.Opened-1 != s.Broken+s.Normal || s.Accepted != 501 {
		t.Errorf("%+v", s)
	}
}

// A read of exactly the buffer's size is followed by another, though no edge comes.
func TestExactlyOneBuffer(t *testing.T) {
	x := start(t, setup{})
	for _, size := range []int{16<<10 - 1, 16 << 10, 16<<10 + 1, 32 << 10, 48<<10 + 5} {
		c := x.connect()
		frame := masked(ws.OpBinary, strings.Repeat("x", size-8))
		release := x.hold(func() {})
		done := make(chan bool)
		go func() { defer close(done); c.Conn.Write(append(frame, masked(ws.OpText, "last")...)) }()
		x.arrived(c, min(size, 16<<10))
		release()
		await(t, done)
		c.expect(ws.OpBinary, strings.Repeat("x", size-8))
		c.expect(ws.OpText, "last")
		c.Close()
	}
}
