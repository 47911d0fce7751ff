package browser_test

import (
	"strings"
	"testing"
	"time"
)

// spoiled lets a page's requests be changed on their way, and more be told than the server has said.
const spoiled = `(() => {
	const send = WebSocket.prototype.send;
	WebSocket.prototype.send = function (text) { window.socket = this; send.call(this, window.spoil ? window.spoil(text) : text) };
	window.tell = (object) => socket.onmessage({ data: JSON.stringify(object) });
})()`

// A refusal is told in words; what was written stays, to be sent again or taken back.
func TestRefusedMessage(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.come("ann", "#r", onNew(spoiled))
	ann.say("fine")
	ann.shows("fine")
	eval[any](ann, `window.spoil = (text) => text.replace('"room":"r"', '"room":"elsewhere"')`)
	for _, text := range []string{"sent again", "taken back"} {
		ann.say(text)
	}
	ann.wait(`[...document.querySelectorAll("#outbox .failed .words")].map((e) => e.textContent).join("|") === "Not sent: you are not in the room elsewhere|Not sent: you are not in the room elsewhere"`)
	// Nobody leaves it behind without a word.
	ann.goTo("s")
	ann.goTo("r")
	ann.click("#leave")
	ann.wait(`document.getElementById("problem").textContent.includes("not sent yet") && location.hash === "#r"`)
	eval[any](ann, `window.spoil = null`)
	press := func(text, button string) {
		t.Helper()
		eval[any](ann, `[...[...document.querySelectorAll("#outbox li")].find((e) => e.innerText.includes(`+quote(text)+`)).querySelectorAll("button")].find((e) => e.textContent === `+quote(button)+`).click()`)
	}
	press("sent again", "Retry")
	ann.shows("sent again")
	press("taken back", "Discard")
	ann.wait(`document.getElementById("outbox").hidden`)
	ann.focus("#field")
	ann.key("ArrowUp", 0)
	ann.wait(`document.getElementById("field").value === "taken back"`)
}

// A room that is asked for again and again has one line that says so.
func TestRefusedRoom(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.come("ann", "#r", onNew(spoiled))
	eval[any](ann, `window.spoil = (text) => { const { op, room, id } = JSON.parse(text); if (op !== "join" || room !== "s") return text; window.asked = id; return JSON.stringify({ op: "ping" }) }`)
	eval[any](ann, `location.hash = "#s"`)
	ann.wait(`window.asked`)
	for _, words := range []string{"full", "still full"} {
		eval[any](ann, `tell({ t: "error", id: asked, code: "unavailable", message: "`+words+`", retry_ms: 5000 }), window.asked = null`)
		ann.wait(`[...document.querySelectorAll(".info .words")].map((e) => e.textContent).join("|") === "You are not in this room: ` + words + `."`)
		ann.pass(5 * time.Second)
		ann.wait(`window.asked`)
	}
}

// People are told apart by their ids: two may have had the same nickname.
func TestPeopleAreTheirIDs(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.come("ann", "#r", onNew(spoiled))
	ann.say("hello")
	ann.shows("hello")
	presence := func(change string) {
		t.Helper()
		eval[any](ann, `tell({ t: "presence", room: "r", members: 1, `+change+` })`)
	}
	presence(`joined: [{ id: "x1", nick: "kim" }, { id: "x2", nick: "lee" }]`)
	presence(`left: [{ id: "x1", nick: "kim" }], joined: [{ id: "x3", nick: "kim" }]`)
	presence(`left: [{ id: "x2", nick: "lee" }, { id: "x4", nick: "bo" }], joined: [{ id: "x4", nick: "bo" }], renamed: [{ id: "x3", old: "kim", nick: "Kim" }]`)
	presence(``) // a large room's: a count alone
	ann.wait(`document.querySelectorAll(".presence").length > 0 && [...document.querySelectorAll(".presence .words")].at(-1).textContent.endsWith("kim and bo joined · kim and lee left · kim is now Kim")`)
	for _, who := range []string{`{ id: "x3", nick: "Kim" }`, `{ id: "x4", nick: "Kim" }`} {
		eval[any](ann, `tell({ t: "typing", room: "r", from: `+who+` })`)
	}
	ann.wait(`document.getElementById("typing").textContent === "2 members are writing…"`)
	eval[any](ann, `tell({ t: "msg", seq: 2, prev: 1, ts: Date.now(), room: "r", from: { id: "x3", nick: "Kim" }, text: "written" })`)
	ann.wait(`document.getElementById("typing").textContent === "Kim is writing…"`)
	ann.pass(5 * time.Second)
	ann.wait(`document.getElementById("typing").textContent === ""`)
	// Who writes here does not in another room.
	eval[any](ann, `tell({ t: "typing", room: "r", from: { id: "x3", nick: "Kim" } })`)
	ann.wait(`document.getElementById("typing").textContent === "Kim is writing…"`)
	if words := eval[string](ann, `location.hash = "#s", tests.until(() => document.querySelector("h1").innerText === "#s").then(() => document.getElementById("typing").textContent)`); words != "" {
		t.Errorf("in the next room: %s", words)
	}
	ann.goTo("r")
	// In two pages of the list somebody is there once.
	eval[any](ann, `window.spoil = (text) => { const { id } = JSON.parse(text); window.page = (page ?? 0) + 1; setTimeout(tell, 0, { t: "members", id, room: "r", members: [{ id: "y1", nick: "eva", join: page }, { id: "y" + (page + 1), nick: "eva", join: page + 8 }], more: page < 2, count: 3 }); return JSON.stringify({ op: "ping" }) }; window.page = null`)
	ann.click("#who")
	ann.wait(`document.querySelectorAll(".people li").length === 2`)
	ann.click(".more-people")
	ann.wait(`document.querySelectorAll(".people li").length === 3 && document.querySelector(".more-people").hidden`)
}

// Somebody changes their name in place, and it is remembered.
func TestNickname(t *testing.T) {
	t.Parallel()
	w := start(t)
	bob, ann := w.come("bob", "#r"), w.come("ann", "#r")
	// Who changes names before others were told of the arrival has always had the new one.
	bob.wait(`document.querySelector("#messages").textContent.includes("ann joined")`)
	ann.click("#me")
	ann.wait(`document.getElementById("nick-dialog").open`)
	ann.insert("Anna")
	ann.key("Enter", 0)
	ann.wait(`document.getElementById("nick").textContent === "Anna" && !document.querySelector("dialog[open]")`)
	bob.wait(`document.querySelector("#messages").textContent.includes("ann is now Anna")`)
	ann.say("/nick Anne")
	ann.wait(`document.getElementById("nick").textContent === "Anne" && localStorage.getItem("throng.nick") === "Anne"`)
	bob.wait(`document.querySelector("#messages").textContent.includes("Anna is now Anne")`)
	ann.say("one")
	ann.say("two")
	bob.shows("two")
	if got := eval[[]string](bob, `[...document.querySelectorAll("#messages .message")].map((e) => e.querySelector(".nick").textContent + (e.matches(".more") ? " more" : ""))`); strings.Join(got, ", ") != "Anne, Anne more" {
		t.Errorf("the messages are of %q", got)
	}
	if days := eval[string](bob, `[...document.querySelectorAll(".line.day")].map((e) => e.textContent).join()`); days != "Today" {
		t.Errorf("the days are %s", days)
	}
}

// That somebody writes is told every 3 s at most, and of the next message at once.
func TestTypingIsTold(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.come("ann", "#r", onNew(spoiled))
	eval[any](ann, `window.told = 0, window.spoil = (text) => { if (text.includes('"op":"typing"')) told++; return text }`)
	ann.focus("#field")
	for _, c := range []struct {
		after time.Duration
		told  int
	}{{0, 1}, {0, 1}, {2 * time.Second, 1}, {time.Second, 2}} {
		ann.pass(c.after)
		ann.insert("a")
		if n := eval[int](ann, `told`); n != c.told {
			t.Errorf("%s later: told %d times, wanted %d", c.after, n, c.told)
		}
	}
	ann.key("Enter", 0)
	ann.insert("a")
	if n := eval[int](ann, `told`); n != 3 {
		t.Errorf("of the next message: told %d times", n)
	}
	// Each one's line goes in its own time.
	typing := func(nick string) {
		t.Helper()
		eval[any](ann, `tell({ t: "typing", room: "r", from: { id: "`+nick+`", nick: "`+nick+`" } })`)
	}
	typing("kim")
	ann.pass(3 * time.Second)
	typing("lee")
	ann.pass(2 * time.Second)
	ann.wait(`document.getElementById("typing").textContent === "lee is writing…"`)
	ann.pass(3 * time.Second)
	ann.wait(`document.getElementById("typing").textContent === ""`)
}
