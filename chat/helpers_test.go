// Package chat_test speaks the plain text protocol to a real server on a real
// socket, as docs/protocol.md has it.
//
// No test sleeps or measures time. That somebody gets nothing is shown by what
// comes next: all members of a room see one order.
package chat_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"throng/chat"
	"throng/poller"
	"throng/room"
	"throng/server"
)

// patience is how long a test waits for what must come. It is never used up,
// except by a fault.
const patience = 60 * time.Second

// options are what a test may choose.
type options struct {
	chat   chat.Config
	server server.Config
	frozen bool
	seed   uint64 // of nicknames, and of who people are
}

// world is a chat server.
type world struct {
	*testing.T
	chat *chat.Chat
	srv  *server.Server
	addr string
	late atomic.Int64 // ns that the rooms' clocks are ahead

	// The rooms' clock stands still, but for late: nobody is told of presence, and nobody's grace time is over, until the test
	// says so.
	frozen bool
}

// freeze has the rooms' clock stand still.
func freeze(o *options) { o.frozen = true }

// start starts a server with two workers. At the test's end everybody has to
// be gone: members, nicknames, rooms, descriptors and goroutines.
func start(t *testing.T, opts ...func(*options)) *world {
	t.Helper()
	restored(t)
	kernel, err := poller.System()
	must(t, err)
	w := &world{T: t}
	rooms := room.Defaults()
	rooms.Now = func() time.Duration {
		if w.frozen {
			return time.Duration(w.late.Load())
		}
		return kernel.Now() + time.Duration(w.late.Load())
	}
	rooms.Wall = func() time.Time { return time.Now().Add(time.Duration(w.late.Load())) }
	o := options{
		seed: 4711,
		chat: chat.Config{Rooms: rooms, PresenceLimit: 1000},
		server: server.Config{
			Listen: []string{"127.0.0.1:0"}, Workers: 2, Kernel: kernel,
			Log: slog.New(slog.NewTextHandler(io.Discard, nil)), LingerTimeout: patience, MessageRate: -1,
		},
	}
	for _, opt := range opts {
		opt(&o)
	}
	w.frozen = o.frozen
	w.chat = chat.New(o.chat, o.seed)
	w.srv, err = server.New(o.server, w.chat, nil)
	must(t, err)
	w.addr = w.srv.Addrs()[0].String()
	t.Cleanup(w.stop)
	return w
}

// stop stops the server and asserts that nothing is left.
func (w *world) stop() {
	w.Helper()
	must(w.T, w.srv.Close())
	if n := w.srv.Conns(); n != 0 {
		w.Errorf("%d connections are left", n)
	}
	w.late.Add(int64(24 * time.Hour)) // nobody comes back
	w.chat.Expire()
	w.chat.Sweep()
	if left := w.chat.Left(); left != (chat.Leftovers{}) {
		w.Errorf("what is left: %+v", left)
	}
}

// restored asserts, after everything else of the test, that goroutines and
// descriptors are back.
func restored(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // the runtime makes its own poll at the first use
	must(t, err)
	l.Close()
	before, goroutines := descriptors(t), runtime.NumGoroutine()
	t.Cleanup(func() {
		eventually(t, func() error {
			if n := runtime.NumGoroutine(); n > goroutines {
				return fmt.Errorf("%d goroutines, %d before", n, goroutines)
			}
			return nil
		})
		if after := descriptors(t); !slices.Equal(before, after) {
			t.Errorf("descriptors %v, before %v", after, before)
		}
	})
}

// descriptors lists the open ones, but not the one that lists them.
func descriptors(t *testing.T) (open []string) {
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

// eventually waits for what no message tells.
func eventually(t *testing.T, f func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// person is somebody who talks to the server.
type person struct {
	*testing.T
	conn net.Conn
	in   *bufio.Reader
}

// dial opens a WebSocket, or says how it was refused.
func (w *world) dial(d ws.Dialer, path string) (*person, error) {
	d.Timeout = patience
	conn, in, _, err := d.Dial(context.Background(), "ws://"+w.addr+path)
	if err != nil {
		return nil, err
	}
	if in == nil {
		in = bufio.NewReader(conn)
	}
	p := &person{T: w.T, conn: conn, in: in}
	must(w.T, conn.SetDeadline(time.Now().Add(patience)))
	w.Cleanup(func() { conn.Close() })
	return p, nil
}

// join opens a WebSocket. When it returns, the person is in the room.
func (w *world) join(path string) *person {
	w.Helper()
	p, err := w.dial(ws.Dialer{}, path)
	must(w.T, err)
	return p
}

// as joins a room under a nickname.
func (w *world) as(nick, room string) *person {
	w.Helper()
	return w.join("/chat/" + room + "?nick=" + url.QueryEscape(nick))
}

// deaf joins like as, but with little room in the kernel for what it does not
// read, and the same at the server's end if it was started with little.
func (w *world) deaf(path string, protocols ...string) *person {
	w.Helper()
	small := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
	}}
	p, err := w.dial(ws.Dialer{NetDial: small.DialContext, Protocols: protocols}, path)
	must(w.T, err)
	return p
}

// send sends one frame.
func (p *person) send(op ws.OpCode, payload string) {
	p.Helper()
	p.raw(ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewFrame(op, true, []byte(payload)))))
}

// raw sends bytes.
func (p *person) raw(b []byte) {
	p.Helper()
	if _, err := p.conn.Write(b); err != nil {
		p.Fatal(err)
	}
}

// say sends text messages.
func (p *person) say(texts ...string) {
	p.Helper()
	for _, text := range texts {
		p.send(ws.OpText, text)
	}
}

// frame receives the next frame that is neither a ping nor a pong.
func (p *person) frame() (ws.Frame, error) {
	_ = p.conn.SetDeadline(time.Now().Add(patience)) // one that is closed says so when it is read
	for {
		f, err := readFrame(p.in)
		if err != nil || f.Header.OpCode != ws.OpPing && f.Header.OpCode != ws.OpPong {
			return f, err
		}
	}
}

// readFrame reads one frame.
func readFrame(r io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(r); err == nil {
		f.Payload = make([]byte, f.Header.Length)
		_, err = io.ReadFull(r, f.Payload)
	}
	return f, err
}

// hear receives the next line.
func (p *person) hear() string {
	p.Helper()
	f, err := p.frame()
	if err != nil {
		p.Fatal(err)
	}
	if f.Header.OpCode != ws.OpText || !f.Header.Fin {
		p.Fatalf("a frame %v with %q, not a line", f.Header, f.Payload)
	}
	return string(f.Payload)
}

// wants asserts what the next lines are.
func (p *person) wants(lines ...string) {
	p.Helper()
	for _, want := range lines {
		if got := p.hear(); got != want {
			p.Fatalf("got %q, want %q", got, want)
		}
	}
}

// closed asserts that the next frame is a close frame with that code, and that
// nothing comes after it.
func (p *person) closed(code ws.StatusCode) {
	p.Helper()
	f, err := p.frame()
	if err != nil {
		p.Fatal(err)
	}
	got, reason := ws.ParseCloseFrameData(f.Payload)
	if len(f.Payload) == 0 {
		got = server.CodeNone
	}
	if f.Header.OpCode != ws.OpClose || got != code {
		p.Fatalf("a frame %v with code %d, %q; want a close with %d", f.Header, got, reason, code)
	}
	p.send(ws.OpClose, string(f.Payload[:min(2, len(f.Payload))]))
	if _, err := p.in.ReadByte(); err != io.EOF {
		p.Fatalf("after the close frame: %v", err)
	}
	p.conn.Close()
}

// nick asks the server for the person's nickname; for somebody alone in a room.
func (p *person) nick() string {
	p.Helper()
	p.say("/who")
	line := p.hear()
	nick, ok := strings.CutPrefix(line, " .... 1 here: ")
	if !ok {
		p.Fatalf("/who answered %q", line)
	}
	return nick
}

// metric is the value of one of the chat's metrics.
func (w *world) metric(name string) (value int64) {
	w.Helper()
	found := false
	w.chat.Metrics(func(n, _ string, v int64) {
		if n == name {
			value, found = v, true
		}
	})
	if !found {
		w.Fatalf("there is no metric %s", name)
	}
	return value
}
