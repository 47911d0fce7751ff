package server_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"throng/poller"
	"throng/server"
)

// patience is how long a test waits for what must come. It is never used up,
// except by a fault.
const patience = 30 * time.Second

// app is a Handler made of functions. Without them it echoes.
type app struct {
	upgrade  func(*server.Request) int
	open     func(*server.Conn, *server.Request)
	message  func(*server.Conn, server.Message) bool
	writable func(*server.Conn)
	close    func(*server.Conn, ws.StatusCode, string)
	error    func(*server.Conn, error)
	farewell func(*server.Conn, ws.StatusCode) string

	messages atomic.Int64 // heard by the echo
	opened   chan *server.Conn
	closed   chan end
	errors   chan error
}

// end is what Handler.Close was told.
type end struct {
	conn   *server.Conn
	code   ws.StatusCode
	reason string
}

func (a *app) Farewell(c *server.Conn, code ws.StatusCode, _ string) []byte {
	if a.farewell != nil {
		return []byte(a.farewell(c, code))
	}
	return nil
}

func (a *app) Upgrade(r *server.Request) int {
	if a.upgrade != nil {
		return a.upgrade(r)
	}
	return 101
}

func (a *app) Open(c *server.Conn, r *server.Request) {
	a.opened <- c
	if a.open != nil {
		a.open(c, r)
	}
}

func (a *app) Message(c *server.Conn, m server.Message) bool {
	if a.message != nil {
		return a.message(c, m)
	}
	a.messages.Add(1)
	return c.Send(m.Op, m.Payload)
}

func (a *app) Writable(c *server.Conn) {
	if a.writable != nil {
		a.writable(c)
		return
	}
	c.Resume()
}

func (a *app) Close(c *server.Conn, code ws.StatusCode, reason string) {
	a.closed <- end{c, code, reason}
	if a.close != nil {
		a.close(c, code, reason)
	}
}

func (a *app) Error(c *server.Conn, err error) {
	a.errors <- err
	if a.error != nil {
		a.error(c, err)
	}
}

// turner is an app with work between the events.
type turner struct {
	*app
	start func(*server.Server)
	turn  func(worker int) bool
	tick  func(worker int)
}

func (a *turner) Start(s *server.Server) {
	if a.start != nil {
		a.start(s)
	}
}

func (a *turner) Turn(worker int) bool { return a.turn != nil && a.turn(worker) }

func (a *turner) Tick(worker int) {
	if a.tick != nil {
		a.tick(worker)
	}
}

// fixture is a server with its handler and its kernel.
type fixture struct {
	testing.TB
	srv    *server.Server
	app    *app
	kernel *kernel // nil when the system's is used
	log    *logbook
}

// setup is what a test wants otherwise than usual: one worker, an echo, the
// kernel whose clock stands still.
type setup struct {
	config server.Config
	app    *app
	turner *turner
	keeper *keeper
	plain  http.Handler
	kernel poller.Kernel
}

// start starts a server. When the test is over, and its clients are closed, the
// server must have nothing left: no connection, descriptor or goroutine.
func start(t testing.TB, with setup) *fixture {
	t.Helper()
	restored(t)
	x := &fixture{TB: t, app: with.app, log: &logbook{}}
	if x.app == nil {
		x.app = &app{}
	}
	x.app.opened, x.app.closed = make(chan *server.Conn, 1<<14), make(chan end, 1<<14)
	x.app.errors = make(chan error, 1<<14)
	cfg := with.config
	if with.kernel == nil {
		with.kernel = newKernel(t)
	}
	x.kernel, _ = with.kernel.(*kernel)
	cfg.Kernel = with.kernel
	cfg.Workers = max(1, cfg.Workers)
	cfg.Log = slog.New(slog.NewTextHandler(x.log, nil))
	if cfg.Listen == nil {
		cfg.Listen = []string{"127.0.0.1:0"}
	}
	var h server.Handler = x.app
	if with.turner != nil {
		with.turner.app = x.app
		h = with.turner
	}
	if with.keeper != nil {
		with.keeper.app = x.app
		h = with.keeper
	}
	var err error
	x.srv, err = server.New(cfg, h, with.plain)
	must(t, err)
	t.Cleanup(func() {
		x.until("connections to go", func() bool { return x.srv.Conns() == 0 })
		must(t, x.srv.Close())
		if x.srv.Conns() != 0 {
			t.Errorf("%d connections after Close", x.srv.Conns())
		}
		x.until("requests to end", func() bool { return x.srv.Stats().Addresses == 0 })
		if n := x.srv.HeldByConns(); n != 0 {
			t.Errorf("%d bytes are accounted for that nobody holds", n)
		}
	})
	return x
}

// until waits for what other goroutines bring about.
func (x *fixture) until(what string, f func() bool) { x.Helper(); until(x, what, f) }

func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !f(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// run runs f on a worker and waits for it.
func (x *fixture) run(worker int, f func()) {
	x.Helper()
	done := make(chan struct{})
	x.srv.Workers()[worker].Post(func() { defer close(done); f() })
	await(x, done)
}

// hold stops worker 0 until release is called; then f runs on it.
func (x *fixture) hold(f func()) (release func()) {
	x.Helper()
	entered, left := make(chan bool), make(chan bool)
	x.srv.Workers()[0].Post(func() { close(entered); <-left; f() })
	await(x, entered)
	return func() { close(left) }
}

// barrier returns when all workers have heard what was due.
func (x *fixture) barrier() {
	x.Helper()
	for i := range x.srv.Workers() {
		x.run(i, func() {})
		x.run(i, func() {})
	}
}

// pass lets time pass, in steps that a running process would make.
func (x *fixture) pass(d time.Duration) {
	x.Helper()
	for d > 0 {
		step := min(d, time.Second)
		x.kernel.advance(step)
		x.barrier()
		d -= step
	}
}

// fire calls the callback of a descriptor on worker 0, as an edge would.
func (x *fixture) fire(fd int, e poller.Event) {
	x.Helper()
	callback := x.kernel.polls[0].callback(fd)
	x.run(0, func() { callback(e) })
	x.barrier() // what the event queued is done, too
}

// on runs f on the connection's worker and waits for it.
func on(t testing.TB, c *server.Conn, f func(c *server.Conn)) {
	t.Helper()
	done := make(chan struct{})
	c.Post(func(c *server.Conn) { defer close(done); f(c) })
	await(t, done)
}

// client is one end of a connection. The other is the server's.
type client struct {
	testing.TB
	net.Conn
	in *bufio.Reader
	fd int          // the server's descriptor, where the kernel tells
	at *server.Conn // the server's connection, once it is open
}

// dial connects without a word.
func (x *fixture) dial() *client {
	x.Helper()
	addr := x.srv.Addrs()[0]
	conn, err := net.Dial(addr.Network(), addr.String())
	must(x, err)
	x.Cleanup(func() { conn.Close() })
	must(x, conn.SetDeadline(time.Now().Add(patience)))
	return &client{TB: x.TB, Conn: conn, in: bufio.NewReader(conn)}
}

// enter dials and waits until the server has the connection.
func (x *fixture) enter() *client {
	x.Helper()
	c := x.dial()
	c.fd = await(x, x.kernel.accepted)
	x.barrier()
	return c
}

// connect opens a WebSocket; headers are added to the request.
func (x *fixture) connect(headers ...string) *client {
	x.Helper()
	c := x.dial()
	if x.kernel != nil {
		c.fd = await(x, x.kernel.accepted)
	}
	c.write([]byte(upgrade(headers...)))
	c.accepted()
	c.at = await(x, x.app.opened)
	return c
}

// accepted reads the answer to an upgrade, which is to be 101.
func (c *client) accepted() http.Header {
	c.Helper()
	r, err := http.ReadResponse(c.in, nil)
	must(c, err)
	if r.StatusCode != 101 {
		body, _ := io.ReadAll(r.Body)
		c.Fatalf("answer %s: %s", r.Status, body)
	}
	return r.Header
}

func (c *client) write(b []byte) {
	c.Helper()
	_, err := c.Conn.Write(b)
	must(c, err)
}

// send sends a frame.
func (c *client) send(op ws.OpCode, payload string) { c.Helper(); c.write(masked(op, payload)) }

// say sends a text and reads its echo.
func (c *client) say(text string) { c.Helper(); c.send(ws.OpText, text); c.expect(ws.OpText, text) }

// expect reads a frame, which is to be this one.
func (c *client) expect(op ws.OpCode, payload string) {
	c.Helper()
	h, err := ws.ReadHeader(c.in)
	must(c, err)
	got := make([]byte, min(h.Length, 1<<20))
	_, err = io.ReadFull(c.in, got)
	must(c, err)
	if h.OpCode != op || string(got) != payload || h.Masked || !h.Fin {
		c.Fatalf("got opcode %d %.80q (%d bytes), want %d %.80q", h.OpCode, got, len(got), op, payload)
	}
}

// expectClose reads a close frame, then the end.
func (c *client) expectClose(code ws.StatusCode, reason string) {
	c.Helper()
	c.expect(ws.OpClose, string(ws.NewCloseFrameBody(code, reason)))
	c.expectEnd()
}

// expectEnd reads the end: no bytes, and no reset.
func (c *client) expectEnd() {
	c.Helper()
	if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
		c.Fatalf("wanted the end, got %q, %v", rest, err)
	}
}

// shut ends the client's side.
func (c *client) shut() {
	c.Helper()
	must(c, c.Conn.(interface{ CloseWrite() error }).CloseWrite())
}

// reset closes with a reset.
func (c *client) reset() {
	c.Helper()
	must(c, c.Conn.(*net.TCPConn).SetLinger(0))
	must(c, c.Conn.Close())
}

// feed writes b and waits until the server has read some of it.
func (x *fixture) feed(c *client, b []byte) {
	x.Helper()
	before := x.kernel.count(&x.kernel.reads)
	c.write(b)
	x.until("the server to read", func() bool { return x.kernel.count(&x.kernel.reads) > before })
}

// unreadBytes is how many bytes the kernel has for the server to read.
func (x *fixture) unreadBytes(c *client) int {
	x.Helper()
	n, err := unix.IoctlGetInt(c.fd, unix.TIOCINQ)
	must(x, err)
	return n
}

// arrived waits until the kernel has n bytes for the server to read.
func (x *fixture) arrived(c *client, n int) {
	x.Helper()
	x.until("bytes to arrive", func() bool { return x.unreadBytes(c) >= n })
}

// hungUp waits until the kernel knows that the client has ended its side.
func (x *fixture) hungUp(c *client) {
	x.Helper()
	x.until("the end to arrive", func() bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLRDHUP}}, 0)
		return n == 1 && err == nil
	})
}

// upgrade is a request that is right, with headers added.
func upgrade(headers ...string) string { return upgradeTo("/chat", headers...) }

func upgradeTo(target string, headers ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: chat.example:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" + lines(headers...) + "\r\n"
}

func lines(headers ...string) string {
	var b strings.Builder
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	return b.String()
}

// masked is a client's frame.
func masked(op ws.OpCode, payload string) []byte {
	return ws.MustCompileFrame(ws.MaskFrame(ws.NewFrame(op, true, []byte(payload))))
}

// logbook collects what the server logs.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func await[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("what should have come has not come")
		panic("unreachable")
	}
}

// restored asserts, after everything else of the test, that goroutines and
// descriptors are back.
func restored(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // the runtime makes its own poll at the first use
	must(t, err)
	l.Close()
	before, goroutines := descriptors(t), runtime.NumGoroutine()
	t.Cleanup(func() {
		until(t, fmt.Sprintf("goroutines to end (%d before)", goroutines), func() bool { return runtime.NumGoroutine() <= goroutines })
		var after []string
		until(t, "descriptors to be closed", func() bool { after = descriptors(t); return len(after) <= len(before) })
		if !slices.Equal(before, after) {
			t.Errorf("descriptors %v, before %v", after, before)
		}
	})
}

// descriptors lists the open ones, but not the one that lists them.
func descriptors(t testing.TB) (open []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			open = append(open, e.Name()+" "+to)
		}
	}
	return open
}

// expired is a deadline that has passed.
func expired() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
