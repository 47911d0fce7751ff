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
	w := start(t, func(c *room.Config) { c.HistoryCount, c.Window = 100, 4096 })
	ann, f := w.come("ann", "#r"), w.feeder("feeder", "r")
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
	ann.wait(`/^[\d,]+ messages missed/.test(document.querySelector(".gap")?.innerText)`)
	shown := eval[int](ann, texts+".length")
	ann.key("Tab", 0)
	eval[any](ann, `document.querySelector(".gap .show").click()`)
	ann.wait(fmt.Sprintf(`/the server no longer has them/.test(document.querySelector(".gap")?.innerText) && %s.length > %d`, texts, shown))
	numbers := eval[[]string](ann, texts+`.filter((text) => text.startsWith("#"))`)
	for i, text := range numbers[10:] {
		if want := fmt.Sprint("#", 1010-len(numbers[10:])+1+i); text != want {
			t.Fatalf("%s, not %s, of %v", text, want, numbers)
		}
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
