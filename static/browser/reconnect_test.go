package browser_test

import (
	"fmt"
	"testing"
	"time"

	"throng/room"
)

// numbers asserts that the page has each number of a feeder up to the last,
// once and in order, with nothing missed.
func (p *tab) numbers(last int) {
	p.Helper()
	p.shows(fmt.Sprint("#", last))
	got := eval[[]string](p, texts+`.filter((text) => text.startsWith("#"))`)
	if len(got) != last {
		p.Fatalf("%d messages of %d: %v", len(got), last, got)
	}
	for i, text := range got {
		if text != fmt.Sprint("#", i+1) {
			p.Fatalf("%s in the place of #%d", text, i+1)
		}
	}
	if n := eval[int](p, `document.querySelectorAll(".gap").length`); n != 0 {
		p.Fatalf("%d gaps", n)
	}
}

func TestCutsLoseNothing(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann, f := w.come("ann", "#r"), w.feeder("feeder", "r")
	for range 4 {
		f.count(20)
		ann.shows(fmt.Sprint("#", f.n))
		f.count(5)
		w.proxy.cut(false) // these five are somewhere on the way
		f.count(20)
		ann.back(shown(fmt.Sprint("#", f.n)))
	}
	ann.numbers(180)
	if joined := eval[int](ann, `[...document.querySelectorAll(".presence")].filter((e) => e.innerText.includes("ann")).length`); joined != 0 {
		t.Error("the cut was told as a departure")
	}
}

// What is typed while the connection is away waits, in order, and what is
// discarded does not go.
func TestOutboxWaits(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.come("ann", "#r")
	f := w.feeder("feeder", "r")
	f.say("before")
	ann.shows("before")
	w.proxy.cut(true)
	ann.wait(`document.getElementById("status").dataset.state !== "open"`)
	for _, text := range []string{"one", "two", "three"} {
		ann.say(text)
	}
	ann.wait(`document.querySelectorAll("#outbox .waiting").length === 3`)
	ann.pass(5 * time.Second)
	ann.wait(`!document.getElementById("banner").hidden && /Next attempt in \d+ second|Trying now/.test(document.querySelector(".countdown").textContent)`)
	eval[any](ann, `[...document.querySelectorAll("#outbox li")].find((e) => e.innerText.includes("two")).querySelector("button").click()`)
	ann.wait(`document.querySelectorAll("#outbox .waiting").length === 2`)
	w.proxy.up()
	ann.click("#retry")
	ann.wait(`document.getElementById("status").dataset.state === "open"`)
	ann.wait(`document.getElementById("outbox").hidden && document.getElementById("banner").hidden`)
	ann.shows("three")
	if got := fmt.Sprint(eval[[]string](ann, texts)); got != "[before one three]" {
		t.Error(got)
	}
	// When the network is said to be back nobody waits.
	w.proxy.cut(true)
	ann.wait(`document.getElementById("status").dataset.state === "waiting"`)
	w.proxy.up()
	ann.wait(`document.getElementById("status").dataset.state === "open" || dispatchEvent(new Event("online")) && false`)
}

// The new server has never heard of the old one's rooms: the page says so, and
// sends what was not confirmed, once.
func TestRestartOfTheServer(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann, bob := w.come("ann", "#r"), w.come("bob", "#r")
	ann.say("old")
	bob.shows("old")
	w.proxy.cut(true)
	ann.wait(`document.getElementById("status").dataset.state !== "open"`)
	ann.say("new")
	w.restart()
	w.proxy.up()
	for _, p := range []*tab{ann, bob} {
		p.connected()
		p.shows("new")
		p.wait(`document.getElementById("outbox").hidden`)
		p.wait(`document.querySelector(".notice.info").innerText.includes("begun anew")`)
	}
	for _, text := range []string{"then", "last"} {
		bob.say(text)
	}
	for _, p := range []*tab{ann, bob} {
		p.shows("last")
		if got := fmt.Sprint(eval[[]string](p, texts)); got != "[old new then last]" {
			t.Error(got)
		}
	}
	// The key is the same, so everybody is who they were.
	if nick := eval[string](ann, `document.getElementById("nick").textContent`); nick != "ann" {
		t.Errorf("ann is %s", nick)
	}
}

// What the server no longer keeps is said, with a button for what it still has.
func TestGap(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, before string }{
		{"counted", ``},
		{"not counted", `JSON.parse = ((parse) => (text) => { const m = parse(text); if (m?.t === "gap") m.missed = null; return m })(JSON.parse)`},
	} {
		t.Run(c.name, func(t *testing.T) { testGap(t, c.before) })
	}
}

func testGap(t *testing.T, before string) {
	t.Parallel()
	w := start(t, func(c *room.Config) { c.HistoryCount, c.Window = 100, 4096 })
	ann, f := w.come("ann", "#r", onNew(before)), w.feeder("feeder", "r")
	f.count(10)
	ann.shows("#10")
	w.proxy.cut(true)
	ann.wait(`document.getElementById("status").dataset.state !== "open"`)
	f.count(1000)
	f.say("end")
	f.hears("feeder: end")
	w.proxy.up()
	ann.connected()
	ann.shows("end")
	ann.wait(`/messages missed/i.test(document.querySelector(".gap")?.innerText)`)
	shown := eval[int](ann, texts+".length")
	ann.key("Tab", 0)
	eval[any](ann, `((button) => { button.focus(); button.click() })(document.querySelector(".gap .show"))`)
	ann.wait(fmt.Sprintf(`/the server no longer has them/.test(document.querySelector(".gap")?.innerText) && %s.length > %d`, texts, shown))
	numbers := eval[[]string](ann, texts+`.filter((text) => text.startsWith("#"))`)
	for i, text := range numbers[10:] {
		if want := fmt.Sprint("#", 1010-len(numbers[10:])+1+i); text != want {
			t.Fatalf("%s, not %s, of %v", text, want, numbers)
		}
	}
	if focus := eval[string](ann, `document.activeElement.id`); focus != "scroller" {
		t.Errorf("the button has gone, and the focus to %q", focus)
	}
	if before != "" {
		return
	}
	missed := eval[int](ann, `parseInt(document.querySelector(".gap").innerText.replace(",", ""))`)
	if missed+len(numbers) != 1010 {
		t.Errorf("%d are missed and %d there, of 1010", missed, len(numbers))
	}
}

// Tabs of one browser are one member.
func TestTabsAreOneMember(t *testing.T) {
	t.Parallel()
	w := start(t)
	bob := w.come("bob", "#r")
	v := w.visitor()
	first := v.open("#r")
	first.connected()
	tabs := []*tab{first}
	for len(tabs) < 10 {
		p := v.open("#r")
		p.connected()
		tabs = append(tabs, p)
	}
	tabs[9].say("from the tenth")
	for _, p := range append(tabs, bob) {
		p.shows("from the tenth")
		p.wait(`document.getElementById("many").textContent === "2"`)
	}
	for _, p := range tabs {
		if eval[int](p, `document.querySelectorAll("#messages .own").length`) != 1 {
			t.Error("its own message is not its own in another tab")
		}
	}
	first.click("#who")
	first.wait(`document.querySelectorAll(".people li").length === 2 && document.querySelector(".many").innerText === "2 members in #r"`)
}

// Once a room has begun anew its old numbers mean other messages: those are put
// neither into an old gap nor before what was said earlier.
func TestOldNumbers(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann, f := w.come("ann", "#r", onNew(spoiled)), w.feeder("feeder", "r")
	f.count(499)
	ann.shows("#499")
	ann.say("#500")
	ann.shows("#500")
	eval[any](ann, `tell({ t: "gap", room: "r", from: 501, to: 550, missed: 50 })`)
	ann.wait(`document.querySelector(".gap .show")`)
	w.restart()
	ann.back(`document.querySelector(".notice.info")?.innerText.includes("begun anew")`)
	g := w.feeder("feeder", "r")
	g.n = 500
	g.count(600)
	g.hears("feeder: #1100")
	ann.shows("#1100")
	eval[any](ann, `window.asked = 0, window.spoil = (text) => { if (text.includes('"op":"history"')) asked++; return text }`)
	// A scroll event each, instead of waiting for the browser's own.
	const up = `((s) => { for (let i = 0; i < 20 && !(%s); i++) { s.scrollTop = 0; s.dispatchEvent(new Event("scroll")) } })(document.getElementById("scroller"))`
	eval[any](ann, fmt.Sprintf(up, `document.querySelector(".gap .show")`))
	eval[any](ann, `document.querySelector(".gap .show").click()`)
	ann.wait(`/the server no longer has them/.test(document.querySelector(".gap").innerText)`)
	g.count(400)
	ann.click("#pill")
	ann.shows("#1500")
	eval[any](ann, fmt.Sprintf(up, `false`))
	if !eval[bool](ann, texts+`.includes("#201")`) {
		t.Error("this is not yet the beginning")
	}
	if asked := eval[int](ann, `asked`); asked != 0 {
		t.Errorf("%d pages were asked for", asked)
	}
}

// What tabs of one browser remember is what all of them did.
func TestTabsRemember(t *testing.T) {
	t.Parallel()
	w := start(t)
	f, v := w.feeder("feeder", "one"), w.visitor()
	open := func(path string) *tab {
		p := v.open(path, onNew(`localStorage.setItem("throng.nick", "ann"); Object.defineProperty(Document.prototype, "hidden", { get: () => false })`))
		p.connected()
		return p
	}
	var first *tab
	remembered := func(rooms string) {
		t.Helper()
		first.wait(`localStorage.getItem("throng.rooms") === ` + quote(rooms))
	}
	reads := func(text string) {
		t.Helper()
		f.say(text)
		first.shows(text)
		first.pass(time.Second) // the numbers are shown, and kept
	}
	first = open("#one")
	reads("first")
	second := open("#two")
	reads("second")
	first.goTo("three")
	second.goTo("four")
	remembered("one two three four")
	third := open("#three")
	f.say("ann, not read")
	third.wait(`document.querySelector('[href="#one"] .count')?.textContent.startsWith("@")`)
	if count := eval[string](third, `document.querySelector('[href="#one"] .count').textContent`); count != "@1" {
		t.Errorf("%s are not read", count)
	}
	second.click("#leave")
	third.click("#leave")
	first.goTo("one")
	remembered("one two")
}

// A page that may store nothing still is the same person after a cut, and keeps
// what was begun in each room.
func TestStorageForbidden(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, before string }{
		{"forbidden", `for (const name of ["localStorage", "sessionStorage"]) Object.defineProperty(window, name, { get() { throw new DOMException("no", "SecurityError") } })`},
		{"full", `Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError") }`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			ann := w.visitor().open("#one", onNew(c.before))
			ann.connected()
			ann.say("/nick ann")
			ann.wait(`document.getElementById("nick").textContent === "ann"`)
			ann.insert("half of a thought")
			ann.goTo("two")
			ann.goTo("one")
			ann.wait(`document.getElementById("field").value === "half of a thought"`)
			w.proxy.cut(false)
			ann.wait(`document.getElementById("status").dataset.state !== "open"`)
			ann.connected()
			ann.key("Enter", 0)
			ann.shows("half of a thought")
			if nick := eval[string](ann, `document.getElementById("nick").textContent`); nick != "ann" {
				t.Errorf("ann is %s", nick)
			}
		})
	}
}

// A clock that is put back changes neither the banner nor the countdown.
func TestClockPutBack(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.come("ann", "#r")
	w.proxy.cut(true)
	ann.wait(`document.getElementById("status").dataset.state === "waiting"`)
	eval[any](ann, `tests.stop(), Date.now = ((now) => () => now() - 3_600_000)(Date.now)`)
	ann.pass(5 * time.Second)
	ann.wait(`document.getElementById("status").dataset.state === "waiting"`)
	ann.pass(250 * time.Millisecond)
	ann.wait(`!document.getElementById("banner").hidden && /^Next attempt in \d\d? seconds?\.$/.test(document.querySelector(".countdown").textContent)`)
}

// A server that has forgotten everybody says so in words for people.
func TestForgotten(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.come("ann", "#r")
	w.key = []byte("another sixteen bytes")
	w.proxy.cut(true)
	w.restart()
	w.proxy.up()
	ann.back(`[...document.querySelectorAll(".info .words")].map((e) => e.textContent).join("|").startsWith("The server no longer knows you: to others you are somebody new.|This room has begun anew")`)
}

// What waits is sent though another tab has left its room meanwhile.
func TestOutboxBringsItsRoom(t *testing.T) {
	t.Parallel()
	w := start(t)
	f := w.feeder("feeder", "s")
	ann := w.come("ann", "#r", onNew(`sessionStorage.setItem("throng.outbox", '[{"id":"x-1","room":"s","text":"waited","state":"waiting","doubt":false,"error":"","number":0}]')`))
	f.hears("ann: waited")
	ann.wait(`document.querySelector('[href="#s"]')`)
}
