// Package browser_test looks at the page in a real Chromium, against the real
// server behind a proxy that cuts. All tabs are one browser's; a context of its
// own gives each test its storage.
//
// No test sleeps: each waits for what the page shows.
package browser_test

import (
	"context"
	"encoding/json"
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

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
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
const patience = 40 * time.Second

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
	for _, flag := range []string{"disable-quic", "disable-component-update", "disable-background-networking", "disable-sync"} {
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

func (p *proxy) close() {
	p.l.Close()
	p.cut(true)
}

// tab is one tab with the page.
type tab struct {
	*testing.T
	ctx context.Context
}

// visitor is somebody with a browser of their own: tabs of one share what it stores.
type visitor struct {
	*world
	home context.Context
}

func (w *world) visitor() *visitor {
	w.Helper()
	b, err := browser()
	if b == nil {
		w.Skip("no chromium on this machine: install Debian's package chromium, or run .ci/tools as root")
	}
	must(w.T, err)
	ctx, cancel := chromedp.NewContext(b, chromedp.WithNewBrowserContext())
	ctx, stop := context.WithTimeout(ctx, 2*patience)
	w.Cleanup(func() { stop(); cancel() })
	must(w.T, chromedp.Do(ctx))
	return &visitor{world: w, home: ctx}
}

// open opens the page in a new tab, with steps before.
func (v *visitor) open(path string, before ...chromedp.Action[chromedp.Void]) *tab {
	v.Helper()
	ctx, cancel := chromedp.NewContext(v.home)
	v.Cleanup(cancel)
	p := &tab{T: v.T, ctx: ctx}
	must(v.T, chromedp.Do(ctx, size(1100, 760)))
	must(v.T, chromedp.Do(ctx, before...))
	must(v.T, chromedp.Do(ctx, chromedp.Navigate("http://"+v.proxy.l.Addr().String()+"/"+path)))
	return p
}

// come opens the page for somebody with a nickname, and waits until it is there.
func (w *world) come(nick, path string, before ...chromedp.Action[chromedp.Void]) *tab {
	w.Helper()
	p := w.visitor().open(path, append([]chromedp.Action[chromedp.Void]{onNew(`localStorage.setItem("throng.nick", ` + quote(nick) + `)`)}, before...)...)
	p.connected()
	return p
}

// feeder is a plain-text member that talks straight to the server.
type feeder struct {
	*testing.T
	conn net.Conn
	n    int
}

func (w *world) feeder(nick, in string) *feeder {
	w.Helper()
	conn, _, _, err := ws.Dial(context.Background(), "ws://"+w.srv.Addrs()[0].String()+"/chat/"+in+"?nick="+nick)
	must(w.T, err)
	w.Cleanup(func() { conn.Close() })
	go io.Copy(io.Discard, conn)
	return &feeder{T: w.T, conn: conn}
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

// size is the viewport's.
func size(width, height int64) chromedp.Action[chromedp.Void] {
	return chromedp.EmulateViewport(width, height)
}

// onMedia sets a media feature, such as prefers-color-scheme.
func onMedia(name, value string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		features := []*emulation.MediaFeature{{Name: name, Value: value}}
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
		return err
	})
}

// onNew runs a script before those of a page.
func onNew(script string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		return err
	})
}

// quote writes a string as JavaScript does.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // of a string
	}
	return string(b)
}

// wait waits until an expression in the page is true.
func (p *tab) wait(expression string) {
	p.Helper()
	_, err := chromedp.Run(p.ctx, chromedp.Poll[bool]("Boolean("+expression+")", chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(patience)))
	if err != nil {
		p.Fatalf("%s: %v; the page ends with\n%s", expression, err, eval[string](p, "document.body.innerText.slice(-1500)"))
	}
}

func eval[T any](p *tab, expression string) T {
	p.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	must(p.T, err)
	return v
}

func (p *tab) connected() {
	p.Helper()
	p.wait(`document.getElementById("status").dataset.state === "open" && !document.getElementById("who").hidden`)
}

// texts are the messages that the page shows, in order.
const texts = `[...document.querySelectorAll("#messages .text")].map((e) => e.textContent)`

// shows waits for a message.
func (p *tab) shows(text string) {
	p.Helper()
	p.wait(texts + ".includes(" + quote(text) + ")")
}

// say types a message and sends it, by the keyboard.
func (p *tab) say(text string) {
	p.Helper()
	must(p.T, chromedp.Do(p.ctx, chromedp.Focus("#field")))
	p.insert(text)
	p.key("Enter", 0)
}

// insert puts text where the focus is, as an input method does.
func (p *tab) insert(text string) {
	p.Helper()
	_, err := chromedp.Call(p.ctx, input.InsertText, input.InsertTextParams{Text: text})
	must(p.T, err)
}

// key presses a key that writes nothing but a line break, with Alt (1) or Shift
// (8) held. It goes down with its text, which the page can prevent.
func (p *tab) key(name string, modifiers int64) {
	p.Helper()
	codes := map[string]int64{"Enter": 13, "Tab": 9, "Escape": 27, "ArrowUp": 38, "ArrowDown": 40, "Home": 36}
	k := input.DispatchKeyEventParams{Type: "keyDown", Key: name, Code: name, Modifiers: modifiers, WindowsVirtualKeyCode: codes[name]}
	if name == "Enter" {
		k.Text = "\r"
	}
	_, err := chromedp.Call(p.ctx, input.DispatchKeyEvent, k)
	must(p.T, err)
	k.Type, k.Text = "keyUp", ""
	_, err = chromedp.Call(p.ctx, input.DispatchKeyEvent, k)
	must(p.T, err)
}

func (p *tab) click(selector string) {
	p.Helper()
	must(p.T, chromedp.Do(p.ctx, chromedp.Click(selector)))
}

// up lets everybody through again.
func (p *proxy) up() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}

// heard waits until the server has published a text: one who joins then gets it
// as history.
func (w *world) heard(name, text string) {
	w.Helper()
	for {
		conn, r, _, err := ws.Dial(context.Background(), "ws://"+w.srv.Addrs()[0].String()+"/chat/"+name+"?history=1")
		must(w.T, err)
		var in io.Reader = conn
		if r != nil {
			in = r
		}
		must(w.T, conn.SetDeadline(time.Now().Add(patience)))
		h, err := ws.ReadHeader(in)
		must(w.T, err)
		payload := make([]byte, h.Length) // the server's own, which is no stranger
		_, err = io.ReadFull(in, payload)
		must(w.T, err)
		conn.Close()
		if strings.HasSuffix(string(payload), text) {
			return
		}
	}
}
