package browser_test

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/css"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
)

// tab is one tab with the page.
type tab struct {
	*testing.T
	ctx context.Context
}

// visitor is somebody with a browser of their own: tabs of one share what it stores.
type visitor struct {
	*world
	origin string
	tabs   int
}

func (w *world) visitor() *visitor {
	w.Helper()
	w.came++
	_, port, err := net.SplitHostPort(w.proxy.l.Addr().String())
	must(w.T, err)
	return &visitor{world: w, origin: fmt.Sprintf("http://v%d.localhost:%s", w.came, port)}
}

// open opens the page in a new tab, with steps before.
func (v *visitor) open(path string, before ...chromedp.Action[chromedp.Void]) *tab {
	v.Helper()
	b, err := browser()
	if b == nil {
		v.Skip("no Chromium on this machine: install Debian's package chromium, or run .ci/tools as root")
	}
	must(v.T, err)
	ctx, cancel := chromedp.NewContext(b)
	ctx, stop := context.WithTimeout(ctx, 3*patience)
	v.Cleanup(func() { cancel(); stop() })
	p := &tab{T: v.T, ctx: ctx}
	must(v.T, chromedp.Do(ctx, size(1100, 760)))
	// Nobody listens to what the browser would tell of each element and each frame.
	for _, domain := range []cdp.Command[cdp.Empty, cdp.Empty]{dom.Disable, css.Disable, network.Disable, log.Disable} {
		_, err = chromedp.Call(ctx, domain, cdp.Empty{})
		must(v.T, err)
	}
	must(v.T, chromedp.Do(ctx, onNew(clock)))
	must(v.T, chromedp.Do(ctx, before...))
	if v.tabs == 0 { // the port may have been an earlier server's
		_, err = chromedp.Call(ctx, storage.ClearDataForOrigin, storage.ClearDataForOriginParams{Origin: v.origin, StorageTypes: "local_storage"})
		must(v.T, err)
	}
	v.tabs++
	must(v.T, chromedp.Do(ctx, chromedp.Navigate(v.origin+"/"+path)))
	return p
}

// come opens the page for somebody with a nickname, and waits until it is there.
func (w *world) come(nick, path string, before ...chromedp.Action[chromedp.Void]) *tab {
	w.Helper()
	named := onNew(`localStorage.setItem("throng.nick", ` + quote(nick) + `)`)
	p := w.visitor().open(path, append([]chromedp.Action[chromedp.Void]{named}, before...)...)
	p.connected()
	return p
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

// clock is the page's: see there.
//
//go:embed testdata/clock.mjs
var clock string

// wait waits until an expression in the page is true.
func (p *tab) wait(expression string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("tests.until(() => "+expression+")", chromedp.EvalAwaitPromise)); err != nil {
		p.Fatalf("%s: %v; the page ends with\n%s", expression, err, eval[string](p, "document.body.innerText.slice(-1500)"))
	}
}

// back waits as well, for somebody who has lost the connection: each time that
// the page waits for its next attempt, its clock is put forward.
func (p *tab) back(expression string) {
	p.Helper()
	p.wait("(" + expression + `) || (document.getElementById("status").dataset.state === "waiting" && tests.pass(30000))`)
}

// pass puts the page's clock forward.
func (p *tab) pass(d time.Duration) {
	p.Helper()
	eval[any](p, fmt.Sprintf("tests.pass(%d)", d.Milliseconds()))
}

func eval[T any](p *tab, expression string) T {
	p.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	must(p.T, err)
	return v
}

func (p *tab) connected() {
	p.Helper()
	p.back(`document.getElementById("status").dataset.state === "open" && !document.getElementById("who").hidden`)
}

// texts are the messages that the page shows, in order.
const texts = `[...document.querySelectorAll("#messages .text")].map((e) => e.textContent)`

// shown says whether the page shows a message.
func shown(text string) string {
	return texts + ".includes(" + quote(text) + ")"
}

// shows waits for a message.
func (p *tab) shows(text string) {
	p.Helper()
	p.wait(shown(text))
}

// say types a message and sends it, by the keyboard.
func (p *tab) say(text string) {
	p.Helper()
	p.focus("#field")
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

// click presses the mouse where an element is, once nothing covers it.
func (p *tab) click(selector string) {
	p.Helper()
	element := "document.querySelector(" + quote(selector) + ")"
	const middle = `((e) => { const { x, y, width, height } = e.getBoundingClientRect(); return [x + width / 2, y + height / 2] })`
	p.wait(element + "?.contains(document.elementFromPoint(..." + middle + "(" + element + ")))")
	at := eval[[]float64](p, middle+"("+element+")")
	p.mouse("mousePressed", at[0], at[1])
	p.mouse("mouseReleased", at[0], at[1])
}

func (p *tab) mouse(kind input.DispatchMouseEventType, x, y float64) {
	p.Helper()
	_, err := chromedp.Call(p.ctx, input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: kind, X: x, Y: y, Button: "left", ClickCount: 1})
	must(p.T, err)
}

func (p *tab) focus(selector string) {
	p.Helper()
	eval[any](p, "document.querySelector("+quote(selector)+").focus()")
}
