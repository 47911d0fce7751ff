// Package browser_test looks at the page in a real Chromium, and at its client
// library in Node, against the real server behind a proxy that cuts. All tabs
// are one browser's: what it stores is by host and port, and each server has a
// port of its own, each visitor a host.
//
// No test sleeps or waits for time to pass: each waits for what the page shows,
// and puts the page's clock forward. Both are in testdata/clock.mjs.
package browser_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/gobwas/ws"

	"throng/chat"
	"throng/poller"
	"throng/room"
	"throng/server"
	"throng/static"
)

// patience is how long a test waits for what must come. It is never used up,
// except by a fault.
const patience = time.Minute

// browser is the one that all tests share; TestMain ends it.
var browser = sync.OnceValues(launch)

var stopBrowser = func() {}

func TestMain(m *testing.M) {
	code := m.Run()
	stopBrowser()
	os.Exit(code)
}

func launch() (context.Context, error) {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		return nil, exec.ErrNotFound
	}
	opts := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU)
	// Tabs of one host share a process, which takes half of their processor time away.
	for _, flag := range []string{"disable-quic", "disable-component-update", "in-process-gpu", "process-per-site"} {
		opts = append(opts, chromedp.Flag(flag, true))
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, cancel := chromedp.NewContext(ctx)
	stopBrowser = func() { cancel(); stop() }
	return ctx, chromedp.Do(ctx)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a server, which can be started again, behind a proxy.
type world struct {
	*testing.T
	proxy *proxy
	srv   *server.Server
	key   []byte
	opts  []func(*room.Config)
	came  int // visitors
}

func start(t *testing.T, opts ...func(*room.Config)) *world {
	t.Helper()
	w := &world{T: t, proxy: listen(t), key: []byte("sixteen bytes and more"), opts: opts}
	w.serve()
	t.Cleanup(func() { w.proxy.close(); w.srv.Close() })
	return w
}

func (w *world) serve() {
	w.Helper()
	kernel, err := poller.System()
	must(w.T, err)
	rooms := room.Defaults()
	rooms.Now = kernel.Now
	for _, opt := range w.opts {
		opt(&rooms)
	}
	w.srv, err = server.New(server.Config{
		Listen: []string{"127.0.0.1:0"}, Workers: 1, Kernel: kernel, Log: slog.New(slog.DiscardHandler),
	}, chat.New(chat.Config{Rooms: rooms, PresenceLimit: 1000, TokenKey: w.key, Version: "test"}, 4711), static.Handler())
	must(w.T, err)
	w.proxy.to(w.srv.Addrs()[0].String())
}

// restart starts a server that knows nothing of the old one but the key.
func (w *world) restart() {
	w.Helper()
	must(w.T, w.srv.Close())
	w.serve()
}

// proxy passes bytes on, until it cuts.
type proxy struct {
	l net.Listener

	mu      sync.Mutex
	backend string
	conns   map[net.Conn]bool
	down    bool
}

func listen(t *testing.T) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &proxy{l: l, conns: map[net.Conn]bool{}}
	go p.accept()
	return p
}

func (p *proxy) accept() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		go p.pass(c)
	}
}

func (p *proxy) pass(c net.Conn) {
	p.mu.Lock()
	backend, down := p.backend, p.down
	p.mu.Unlock()
	if down {
		c.Close()
		return
	}
	b, err := net.Dial("tcp", backend)
	if err != nil {
		c.Close()
		return
	}
	if !p.add(c, b) {
		return
	}
	go func() { io.Copy(b, c); b.Close() }()
	io.Copy(c, b)
	c.Close()
	p.mu.Lock()
	delete(p.conns, c)
	delete(p.conns, b)
	p.mu.Unlock()
}

func (p *proxy) add(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.down {
			c.Close()
			continue
		}
		p.conns[c] = true
	}
	return !p.down
}

func (p *proxy) to(backend string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.backend = backend
}

// cut ends all connections in the middle of whatever they do; with down nobody
// comes through from then on.
func (p *proxy) cut(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	for c := range p.conns {
		c.Close()
	}
}

// up lets everybody through again.
func (p *proxy) up() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}

func (p *proxy) close() {
	p.l.Close()
	p.cut(true)
}

// feeder is a plain-text member that talks straight to the server.
type feeder struct {
	*testing.T
	conn net.Conn
	n    int

	mu    sync.Mutex
	more  *sync.Cond
	lines []string // what it has heard
	err   error
}

func (w *world) feeder(nick, in string) *feeder {
	w.Helper()
	conn, r, _, err := ws.Dial(context.Background(), "ws://"+w.srv.Addrs()[0].String()+"/chat/"+in+"?nick="+nick)
	must(w.T, err)
	must(w.T, conn.SetDeadline(time.Now().Add(2*patience)))
	w.Cleanup(func() { conn.Close() })
	f := &feeder{T: w.T, conn: conn}
	f.more = sync.NewCond(&f.mu)
	go f.listen(io.MultiReader(early(r), conn))
	return f
}

// early is what came together with the answer to the handshake.
func early(r *bufio.Reader) io.Reader {
	if r == nil {
		return strings.NewReader("")
	}
	return io.LimitReader(r, int64(r.Buffered()))
}

func (f *feeder) listen(in io.Reader) {
	for {
		h, err := ws.ReadHeader(in)
		payload := make([]byte, h.Length) // the server's own, which is no stranger
		if err == nil {
			_, err = io.ReadFull(in, payload)
		}
		f.mu.Lock()
		f.lines, f.err = append(f.lines, string(payload)), err
		f.more.Broadcast()
		f.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// hears waits for a line.
func (f *feeder) hears(line string) {
	f.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for !slices.Contains(f.lines, line) {
		if f.err != nil {
			f.Fatalf("%q was not heard: %v", line, f.err)
		}
		f.more.Wait()
	}
}

func (f *feeder) say(text string) {
	f.Helper()
	b := ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewTextFrame([]byte(text))))
	_, err := f.conn.Write(b)
	must(f.T, err)
}

// count says the next numbers.
func (f *feeder) count(messages int) {
	f.Helper()
	for range messages {
		f.n++
		f.say(fmt.Sprint("#", f.n))
	}
}
