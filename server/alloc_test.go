package server_test

import (
	"net"
	"syscall"
	"testing"

	"github.com/gobwas/ws"

	"throng/poller"
	"throng/server"
)

// An idle connection is this struct, in a size class of 64: a million of them are
// held at a time.
func TestConnSize(t *testing.T) {
	if server.ConnSize > 64 {
		t.Errorf("a Conn has %d bytes", server.ConnSize)
	}
}

// wire is a client without the runtime's poller: blocking reads and writes that
// cost the test no allocation and no goroutine.
type wire struct {
	testing.TB
	fd       int
	out, in  []byte
	expected int
}

// wire opens a WebSocket and takes its descriptor out of the runtime's hands.
func (x *fixture) wire(out []byte, expected int, headers ...string) *wire {
	x.Helper()
	c := x.connect(headers...)
	f, err := c.Conn.(*net.TCPConn).File()
	must(x, err)
	x.Cleanup(func() { f.Close() })
	fd := int(f.Fd())
	must(x, syscall.SetNonblock(fd, false))
	c.Conn.Close()
	return &wire{TB: x.TB, fd: fd, out: out, in: make([]byte, expected), expected: expected}
}

// trip sends and reads what is expected.
func (w *wire) trip() {
	if _, err := syscall.Write(w.fd, w.out); err != nil {
		w.Fatal(err)
	}
	for n := 0; n < w.expected; {
		m, err := syscall.Read(w.fd, w.in[n:])
		if err != nil || m == 0 {
			w.Fatal("read: ", m, err)
		}
		n += m
	}
}

// From bytes read to bytes written nothing is allocated, for one message and for
// many in one read, pings among them.
func TestEchoAllocatesNothing(t *testing.T) {
	system, err := poller.System()
	must(t, err)
	x := start(t, setup{kernel: system, config: server.Config{MessageRate: 1e6}})
	var batch []byte
	for range 10 {
		batch = append(batch, masked(ws.OpText, "a message of a chat, not long")...)
		batch = append(batch, masked(ws.OpPing, "ping")...)
	}
	for _, test := range []struct {
		name     string
		out      []byte
		expected int
	}{
		{"one", masked(ws.OpText, "hello"), 7},
		{"twenty", batch, 10 * (2 + 29 + 2 + 4)},
	} {
		w := x.wire(test.out, test.expected)
		w.trip()
		if n := testing.AllocsPerRun(10_000, w.trip); n != 0 {
			t.Errorf("%s: %v allocations", test.name, n)
		}
	}
}

func BenchmarkEcho(b *testing.B) {
	system, err := poller.System()
	must(b, err)
	x := start(b, setup{kernel: system, config: server.Config{MessageRate: -1}})
	w := x.wire(masked(ws.OpText, "hello"), 7)
	b.ReportAllocs()
	for b.Loop() {
		w.trip()
	}
}

// BenchmarkEchoPipelined is 64 messages in flight: the cost without that of
// waking up.
func BenchmarkEchoPipelined(b *testing.B) {
	system, err := poller.System()
	must(b, err)
	x := start(b, setup{kernel: system, config: server.Config{MessageRate: -1}})
	var out []byte
	for range 64 {
		out = append(out, masked(ws.OpText, "hello")...)
	}
	w := x.wire(out, 64*7)
	b.ReportAllocs()
	for b.Loop() {
		w.trip()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/msg")
}

// BenchmarkHandshake is a connection from dialling to its end, the client's part
// included.
func BenchmarkHandshake(b *testing.B) {
	system, err := poller.System()
	must(b, err)
	x := start(b, setup{kernel: system, config: server.Config{MessageRate: -1}})
	addr := x.srv.Addrs()[0].(*net.TCPAddr)
	to := &syscall.SockaddrInet4{Port: addr.Port, Addr: [4]byte{127, 0, 0, 1}}
	request, in := []byte(upgrade()), make([]byte, 512)
	b.ReportAllocs()
	for b.Loop() {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		must(b, err)
		// A reset at the end, so that no port stays in TIME_WAIT.
		must(b, syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1}))
		must(b, syscall.Connect(fd, to))
		_, err = syscall.Write(fd, request)
		must(b, err)
		if n, err := syscall.Read(fd, in); err != nil || n == 0 {
			b.Fatal(n, err)
		}
		must(b, syscall.Close(fd))
		<-x.app.opened
		<-x.app.closed
		<-x.app.errors
	}
}

// BenchmarkParseHead is the strict check of a request alone.
func BenchmarkParseHead(b *testing.B) {
	request := []byte(upgrade("Origin: http://localhost:8080", "User-Agent: Mozilla/5.0", "Accept-Encoding: gzip, deflate, br"))
	b.ReportAllocs()
	for b.Loop() {
		if h, status := server.ParseHead(request, 64); status != 0 || h.Upgrade != 0 {
			b.Fatal(status, h.Upgrade)
		}
	}
}
