package browser_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"throng/room"
)

// goTo follows a link to a room.
func (p *tab) goTo(name string) {
	p.Helper()
	eval[any](p, `location.hash = `+quote(name))
	p.wait(`document.querySelector("h1").innerText.includes(` + quote(name) + `)`)
	p.connected()
}

func TestRoomsCountWhatIsUnread(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann, f, one := w.come("ann", "#one"), w.feeder("feeder", "two"), w.feeder("other", "one")
	one.say("read")
	ann.shows("read")
	ann.goTo("two")
	f.say("seen")
	ann.shows("seen")
	ann.goTo("one")
	f.say("first")
	f.say("Hello, ANN!")
	f.say("announce")
	ann.wait(`document.querySelector('[href="#two"] .count')?.textContent === "@3"`)
	ann.wait(`document.title === "(3) #one · Throng"`)
	ann.click(`[href="#two"]`)
	ann.connected()
	ann.shows("announce")
	if focus := eval[string](ann, `document.activeElement.id`); focus != "field" {
		t.Errorf("in another room one cannot write at once: the focus is on %q", focus)
	}
	ann.wait(`document.title === "#two · Throng" && !document.querySelector('[href="#two"] .count')`)
	if above := eval[string](ann, `document.querySelector(".line.fresh").closest("li").querySelector(".text").textContent`); above != "first" {
		t.Errorf("the line of what is new is above %q", above)
	}
	if got := eval[[]string](ann, `[...document.querySelectorAll(".mention .text")].map((e) => e.textContent)`); len(got) != 1 || got[0] != "Hello, ANN!" {
		t.Errorf("mentions: %q", got)
	}
	// A reload finds the rooms, and nothing new in them.
	must(t, chromedp.Do(ann.ctx, chromedp.Reload()))
	ann.connected()
	ann.shows("announce")
	ann.wait(`document.querySelectorAll("#rooms a").length === 2 && document.title === "#two · Throng" && !document.querySelector(".fresh, .count:not(.pill .count)")`)
	one.say("ann, not read")
	ann.wait(`document.querySelector('[href="#one"] .count')?.textContent === "@1"`)
	ann.click("#leave")
	ann.wait(`document.querySelectorAll("#rooms a").length === 1 && location.hash === "#one"`)
	f.hears(" .... ann has left.")
}

func TestDraftsAndWhatWasSaid(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.come("ann", "#one")
	ann.say("said first")
	ann.say("said second")
	ann.shows("said second")
	value := func(want string) {
		t.Helper()
		ann.wait(`document.getElementById("field").value === ` + quote(want))
	}
	ann.key("ArrowUp", 0)
	value("said second")
	ann.key("ArrowUp", 0)
	value("said first")
	ann.key("ArrowDown", 0)
	ann.key("ArrowDown", 0)
	value("")
	ann.insert("half of a thought")
	ann.goTo("two")
	value("")
	ann.insert("another")
	ann.key("ArrowUp", 0)
	value("another")
	ann.goTo("one")
	value("half of a thought")
	must(t, chromedp.Do(ann.ctx, chromedp.Reload()))
	ann.connected()
	value("half of a thought")
	ann.goTo("two")
	value("another")
}

// What cannot be sent stays where it was typed, and says why.
func TestRefusalsLoseNoText(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.come("ann", "#r")
	w.feeder("bob", "r")
	long := strings.Repeat("x", 100_000)
	ann.focus("#field")
	ann.insert(long)
	ann.wait(`document.querySelector("#counter.over").textContent === "83,616 too many"`)
	ann.key("Enter", 0)
	ann.wait(`document.getElementById("problem").textContent.startsWith("Too long")`)
	if n := eval[int](ann, `document.getElementById("field").value.length`); n != len(long) {
		t.Errorf("%d characters are left", n)
	}
	for _, c := range []struct{ nick, says string }{
		{"bob", "taken"}, {"a:b", "letters"}, {"a  b", "space"}, {"user-5", "server"},
	} {
		ann.click("#me")
		ann.wait(`document.getElementById("nick-dialog").open`)
		ann.insert(c.nick)
		ann.key("Enter", 0)
		ann.wait(`document.getElementById("nick-problem").textContent.includes(` + quote(c.says) + `)`)
		if got := eval[string](ann, `document.getElementById("nick-field").value`); got != c.nick {
			t.Errorf("%q is left of %q", got, c.nick)
		}
		ann.key("Escape", 0)
	}
	ann.click("#add")
	ann.insert("no room")
	ann.key("Enter", 0)
	ann.wait(`document.getElementById("room-problem").textContent.includes("letters")`)
}

func TestStrangersTextIsText(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann, f := w.come("ann", "#r"), w.feeder("feeder", "r")
	for _, text := range []string{
		`<img src=x onerror="window.bad=1"><script>window.bad=1</script>`,
		`javascript:alert(1) JAVASCRIPT:void data:text/html,x`,
		"https://good.example/a(b). and \u202ehttps://evil.example/\u202dx",
		strings.Repeat("w", 60_000),
		"a\n```go\nfunc `x` https://not.example\n```\nb `c`",
		"🎉👩‍👩‍👧",
		strings.Repeat("`a` ", 5000),
		"end",
	} {
		f.say(text)
	}
	ann.shows("end")
	for what, expression := range map[string]string{
		"nothing ran, nothing was made":       `!window.bad && !document.querySelector("#messages :is(img, script, iframe, style)")`,
		"links are to the web only":           `[...document.querySelectorAll("#messages a")].map((a) => a.href).join(" ") === "https://good.example/a(b) https://evil.example/"`,
		"links know nothing of this page":     `[...document.querySelectorAll("#messages a")].every((a) => a.rel === "noopener noreferrer" && a.target === "_blank")`,
		"a link does not run backwards":       `[...document.querySelectorAll("#messages a")].every((a) => getComputedStyle(a).unicodeBidi === "isolate" && getComputedStyle(a).direction === "ltr")`,
		"a long word stays in its column":     `document.querySelector(".long").scrollWidth <= document.querySelector(".column").clientWidth`,
		"the page does not scroll sideways":   `document.documentElement.scrollWidth <= innerWidth && document.getElementById("scroller").scrollWidth <= innerWidth`,
		"a fenced block is as it was written": "document.querySelector(\"pre code\").textContent === \"func `x` https://not.example\"",
		"emoji alone are large":               `document.querySelectorAll(".emoji").length === 1`,
		"marks make a bounded number":         `document.querySelectorAll("code").length < 500`,
	} {
		if !eval[bool](ann, expression) {
			t.Error(what)
		}
	}
}

// A room of 500 messages a second, and far more: what is on the screen stays
// bounded, an input event is answered, and the end is reached.
func TestBusyRoom(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann, f := w.come("ann", "#r"), w.feeder("feeder", "r")
	eval[any](ann, `new MutationObserver(() => { window.most = Math.max(window.most ?? 0, document.getElementById("messages").childElementCount) }).observe(document.getElementById("messages"), { childList: true })`)
	f.count(500)
	ann.wait(texts + ".length > 0")
	ann.focus("#field")
	for i := range 5 {
		f.count(500)
		ann.insert("typed ")
		ann.wait(fmt.Sprintf(`document.getElementById("field").value.length === %d`, 6*(i+1)))
	}
	ann.numbersEnd(3000)
	// 300, and for a moment those that a frame has added.
	if most, nodes := eval[int](ann, "window.most"), eval[int](ann, `document.querySelectorAll("*").length`); most > 600 || nodes > 4000 {
		t.Errorf("up to %d messages on the screen, %d elements", most, nodes)
	}
	if n := eval[int](ann, `document.getElementById("messages").childElementCount`); n > 300 {
		t.Errorf("%d messages on the screen", n)
	}
	// Read further up, it does not move, and counts.
	eval[any](ann, `document.getElementById("scroller").scrollTop = 2000`)
	ann.wait(`!document.getElementById("pill").hidden`)
	place := `(() => { const top = document.getElementById("scroller").getBoundingClientRect().top; const e = [...document.querySelectorAll("#messages .text")].find((e) => e.getBoundingClientRect().top > top); return e.textContent + " " + Math.round(e.getBoundingClientRect().top) })()`
	before := eval[string](ann, place)
	f.count(700)
	ann.wait(`document.querySelector("#pill .count").textContent === "700 new"`)
	if after := eval[string](ann, place); after != before {
		t.Errorf("what one reads was %s and is %s", before, after)
	}
	// What was not looked at is not kept for ever: it is counted, and can be fetched.
	f.count(2000)
	ann.wait(`document.querySelector("#pill .count").textContent === "2,700 new"`)
	if after := eval[string](ann, place); after != before {
		t.Errorf("what one reads was %s and is %s", before, after)
	}
	ann.click("#pill")
	ann.numbersEnd(5700)
	ann.wait(`(document.getElementById("scroller").scrollTop = 0, /messages missed\s*Show/.test(document.querySelector(".gap")?.innerText))`)
	if words := eval[string](ann, `document.querySelector("#pill .count").textContent`); words != "Latest" {
		t.Errorf("%s, and all was seen", words)
	}
}

// numbersEnd waits for a feeder's last number, at the end of the screen, with
// those before it in order.
func (p *tab) numbersEnd(last int) {
	p.Helper()
	p.shows(fmt.Sprint("#", last))
	p.wait(`document.getElementById("pill").hidden`)
	got := eval[[]string](p, texts)
	for i, text := range got {
		if want := fmt.Sprint("#", last-len(got)+1+i); text != want {
			p.Fatalf("%s in the place of %s", text, want)
		}
	}
	if !eval[bool](p, `(() => { const s = document.getElementById("scroller"); return s.scrollHeight - s.scrollTop - s.clientHeight < 2 })()`) {
		p.Error("the end is not on the screen")
	}
}

// Earlier messages come from the server as one scrolls up, and what one reads
// keeps its place; on the way back down everything is there once.
func TestPagingBothWays(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *room.Config) { c.HistoryCount = 1000 })
	f := w.feeder("feeder", "r")
	f.count(700)
	f.hears("feeder: #700")
	ann := w.come("ann", "#r")
	ann.shows("#700")
	for range 30 {
		if eval[bool](ann, texts+`.includes("#1")`) {
			break
		}
		first := eval[string](ann, texts+"[0]")
		eval[any](ann, `document.getElementById("scroller").scrollTop = 0`)
		ann.wait(texts + "[0] !== " + quote(first))
		if eval[int](ann, `document.getElementById("scroller").scrollTop`) == 0 {
			t.Fatal("the place was not kept")
		}
	}
	ann.shows("#1")
	if n := eval[int](ann, texts+".length"); n > 300 {
		t.Errorf("%d messages on the screen", n)
	}
	seen := map[string]bool{}
	for range 60 {
		got := eval[[]string](ann, texts)
		for i, text := range got {
			seen[text] = true
			var a, b int
			fmt.Sscanf(text, "#%d", &a)
			if i > 0 {
				fmt.Sscanf(got[i-1], "#%d", &b)
				if a != b+1 {
					t.Fatalf("%d behind %d", a, b)
				}
			}
		}
		if seen["#700"] && len(seen) == 700 {
			break
		}
		last := got[len(got)-1]
		eval[any](ann, `(() => { const s = document.getElementById("scroller"); s.scrollTop = s.scrollHeight - s.clientHeight - 150 })()`)
		ann.wait(texts + ".at(-1) !== " + quote(last) + ` || ` + texts + `.includes("#700")`)
	}
	if len(seen) != 700 {
		t.Errorf("%d of 700 were to be seen", len(seen))
	}
}

func TestMembersInPages(t *testing.T) {
	t.Parallel()
	w := start(t)
	for i := range 60 {
		w.feeder(fmt.Sprint("p", i), "r")
	}
	ann := w.come("ann", "#r")
	ann.wait(`document.getElementById("many").textContent === "61"`)
	ann.click("#who")
	ann.wait(`document.querySelectorAll(".people li").length === 50 && document.querySelector(".many").innerText.startsWith("50 of 61")`)
	ann.click(".more-people")
	ann.wait(`document.querySelectorAll(".people li").length === 61 && document.querySelector(".more-people").hidden`)
	if n := eval[int](ann, `new Set([...document.querySelectorAll(".people bdi")].map((e) => e.textContent)).size`); n != 61 {
		t.Errorf("%d different members", n)
	}
}

// Notifications are asked for by a click, and come for mentions only, while
// the page is hidden.
func TestNotifications(t *testing.T) {
	t.Parallel()
	w := start(t)
	stub := onNew(`window.notices = []; window.asked = 0;
		window.Notification = class { static permission = "default"; static async requestPermission() { asked++; return Notification.permission = "granted" } constructor(title, { body }) { if (Notification.permission === "granted") notices.push(title + ": " + body) } close() {} };
		Object.defineProperty(Document.prototype, "hidden", { get: () => window.away ?? false });`)
	ann, f := w.come("ann", "#r", stub), w.feeder("feeder", "r")
	f.say("ann, before")
	ann.shows("ann, before")
	ann.click("#me")
	if n := eval[int](ann, "asked"); n != 0 {
		t.Errorf("asked %d times before the click", n)
	}
	ann.click("#notify")
	ann.wait("asked === 1")
	ann.key("Escape", 0)
	f.say("ann, visible")
	ann.shows("ann, visible")
	eval[any](ann, `window.away = true`)
	f.say("somebody else")
	f.say("ann, hidden")
	ann.wait(`notices.length > 0 && document.title.startsWith("(2)")`)
	if got := eval[string](ann, `notices.join("|")`); got != "feeder in #r: ann, hidden" {
		t.Errorf("notices: %s", got)
	}
	eval[any](ann, `window.away = false; document.dispatchEvent(new Event("visibilitychange"))`)
	ann.wait(`document.title === "#r · Throng"`)
}

// On Android a page may not make notifications itself: whoever asks for them hears so, and whoever
// has them on from elsewhere gets the messages all the same.
func TestNotificationsForbidden(t *testing.T) {
	t.Parallel()
	w := start(t)
	stub := onNew(`window.asked = 0; window.faults = []; addEventListener("error", ({ message }) => faults.push(message));
		window.Notification = class { static permission = "granted"; static async requestPermission() { asked++; return "granted" } constructor() { throw new TypeError("Illegal constructor") } };
		Object.defineProperty(Document.prototype, "hidden", { get: () => window.away ?? false });
		localStorage.setItem("throng.notify", "on");`)
	ann, f := w.come("ann", "#r", stub), w.feeder("feeder", "r")
	eval[any](ann, `window.away = true`)
	f.say("ann, hidden")
	ann.shows("ann, hidden")
	if faults := eval[[]string](ann, `faults`); len(faults) > 0 {
		t.Errorf("faults: %q", faults)
	}
	eval[any](ann, `window.away = false`)
	ann.click("#me")
	for range 2 { // off, on
		ann.click("#notify")
	}
	ann.wait(`document.getElementById("nick-problem").textContent.includes("does not allow notifications")`)
	if on := eval[bool](ann, `document.getElementById("notify").checked || asked > 0`); on {
		t.Error("they are asked for, or on, and cannot come")
	}
}

// Who has scrolled up a little is told how many have come, though they stand
// ready below.
func TestPillCounts(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann, f := w.come("ann", "#r"), w.feeder("feeder", "r")
	f.count(100)
	ann.shows("#100")
	eval[any](ann, `((s) => { s.scrollTop = s.scrollHeight - s.clientHeight - 300 })(document.getElementById("scroller"))`)
	ann.wait(`!document.getElementById("pill").hidden`)
	f.count(3)
	ann.shows("#103")
	ann.wait(`document.querySelector("#pill .count").textContent === "3 new"`)
	ann.click("#pill")
	ann.wait(`document.getElementById("pill").hidden`)
}

// The line of what is new stands once, above the first that was not seen.
func TestOneLineOfWhatIsNew(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann, f := w.come("ann", "#r", onNew(`Object.defineProperty(Document.prototype, "hidden", { get: () => window.away ?? false })`)), w.feeder("feeder", "r")
	for _, text := range []string{"first", "second"} {
		eval[any](ann, `window.away = true`)
		f.say(text)
		ann.shows(text)
		eval[any](ann, `window.away = false; document.dispatchEvent(new Event("visibilitychange"))`)
		ann.wait(`document.title === "#r · Throng"`)
		if got := eval[[]string](ann, `[...document.querySelectorAll(".line.fresh")].map((e) => e.closest("li").querySelector(".text").textContent)`); len(got) != 1 || got[0] != text {
			t.Errorf("above %q, not %s", got, text)
		}
	}
}

// Whoever stays past midnight reads yesterday's messages below Yesterday.
func TestMidnight(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann, f := w.come("ann", "#r"), w.feeder("feeder", "r")
	f.say("late")
	ann.shows("late")
	ann.wait(`document.querySelector(".line.day").textContent === "Today"`)
	eval[any](ann, `Date.now = ((now) => () => now() + 86_400_000)(Date.now)`)
	f.say("later")
	ann.shows("later")
	ann.wait(`document.querySelector(".line.day").textContent === "Yesterday"`)
}

// What nobody looked at is one gap, also where a room began anew in it: it counts
// the messages of both lives, and asks for the numbers of the present one.
func TestGapOverTwoLives(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.come("ann", "#r")
	got := eval[string](ann, `import("/timeline.js").then(({ Timeline }) => {
		const timeline = new Timeline();
		const life = (epoch, count) => { for (let seq = 1; seq <= count; seq++) timeline.push({ kind: "message", epoch, seq }, 300) };
		life("a", 1000);
		timeline.push({ kind: "gap", epoch: "a", from: 1001, to: 1010, missed: 10 }, 300);
		timeline.push({ kind: "info" }, 300);
		life("b", 399);
		const { items } = timeline;
		const { kind, epoch, from, to, missed } = items[300];
		return JSON.stringify([kind, epoch, from, to, missed, items[299].seq, items[301].seq, items.length]);
	})`)
	if want := `["gap","b",1,99,809,300,100,601]`; got != want {
		t.Errorf("%s, wanted %s", got, want)
	}
}
