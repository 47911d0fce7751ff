package browser_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// audit finds what is without a name, a text that is too faint for WCAG 2.2 AA
// (1.4.3), and a target that is too small for a finger.
const audit = `(() => {
	const faults = [];
	const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
	const rgba = (colour) => {
		canvas.clearRect(0, 0, 1, 1);
		canvas.fillStyle = colour;
		canvas.fillRect(0, 0, 1, 1);
		return [...canvas.getImageData(0, 0, 1, 1).data].map((v, i) => i < 3 ? v : v / 255);
	};
	const over = (top, below) => below.map((v, i) => i < 3 ? top[i] * top[3] + v * (1 - top[3]) : 1);
	const behind = (e) => {
		const chain = [];
		for (; e; e = e.parentElement) chain.unshift(rgba(getComputedStyle(e).backgroundColor));
		return chain.reduce((below, top) => over(top, below), [255, 255, 255, 1]);
	};
	const light = (c) => {
		const [r, g, b] = c.slice(0, 3).map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const visible = (e) => e.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && !e.closest(".sr") && e.getBoundingClientRect().width > 1;
	let looked = 0;
	const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let node; node = walker.nextNode();) {
		const e = node.parentElement;
		if (!node.data.trim() || !visible(e)) continue;
		looked++;
		const below = behind(e), above = over(rgba(getComputedStyle(e).color), below);
		const [hi, lo] = [light(above), light(below)].sort((a, b) => b - a);
		const ratio = (hi + 0.05) / (lo + 0.05);
		if (ratio < 4.5) faults.push(ratio.toFixed(2) + ":1 " + node.data.trim().slice(0, 30));
	}
	for (const e of document.querySelectorAll("button, a, input, textarea, dialog, nav, [role=log], [tabindex], ul, ol")) {
		const labelled = (e.getAttribute("aria-labelledby") ?? "").split(" ").some((id) => document.getElementById(id)?.textContent.trim());
		const named = labelled || e.getAttribute("aria-label") || e.labels?.length || (e.matches("button, a, pre, .text") && e.textContent.trim());
		if (!named && !e.matches("ul, ol")) faults.push("no name: " + e.outerHTML.slice(0, 80));
	}
	for (const e of document.querySelectorAll("button, .rooms a, dialog input:not([type=checkbox])")) {
		if (!visible(e)) continue;
		const { width, height } = e.getBoundingClientRect();
		if (width < 43.5 || height < 43.5) faults.push("small, " + width + " by " + height + ": " + e.outerHTML.slice(0, 60));
	}
	if (new Set([...document.querySelectorAll("[id]")].map((e) => e.id)).size !== document.querySelectorAll("[id]").length) faults.push("an id twice");
	if (looked < 10) faults.push("only " + looked + " texts");
	return faults;
})()`

func (p *tab) audited(what string) {
	p.Helper()
	for _, fault := range eval[[]string](p, audit) {
		p.Errorf("%s: %s", what, fault)
	}
}

// busy fills a room with everything that a list may show.
func (w *world) busy(before ...chromedp.Action[chromedp.Void]) *tab {
	w.Helper()
	ann := w.come("ann", "#r", before...)
	for _, nick := range []string{"bob", "Miguel", "zoe", "Nils", "Ida", "Olu", "Kim", "Ravi", "Eva", "Sam"} {
		w.feeder(nick, "r").say("hello `ann`, see https://example.org and\n```\ncode\n```")
	}
	ann.wait(texts + ".length === 10")
	ann.say("mine")
	ann.shows("mine")
	ann.wait(`document.querySelector(".presence")`)
	return ann
}

func TestContrastNamesAndTargets(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.busy()
	for _, scheme := range []string{"light", "dark"} {
		must(t, chromedp.Do(ann.ctx, onMedia("prefers-color-scheme", scheme)))
		ann.wait(`matchMedia("(prefers-color-scheme: ` + scheme + `)").matches`)
		ann.audited(scheme)
		for button, dialog := range map[string]string{"#who": "people", "#me": "nick", "#add": "room"} {
			ann.click(button)
			ann.wait(`document.getElementById("` + dialog + `-dialog").open`)
			ann.audited(scheme + " " + dialog)
			ann.key("Escape", 0)
			ann.wait(`!document.querySelector("dialog[open]")`)
		}
	}
	dark := eval[string](ann, `getComputedStyle(document.body).backgroundColor`)
	must(t, chromedp.Do(ann.ctx, onMedia("prefers-color-scheme", "light")))
	ann.wait(`getComputedStyle(document.body).backgroundColor !== ` + quote(dark))
	w.proxy.cut(true)
	ann.say("waits")
	ann.wait(`document.querySelector("#outbox .waiting")`)
	ann.pass(5 * time.Second)
	ann.wait(`!document.getElementById("banner").hidden`)
	ann.audited("away")
}

func TestNarrow(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.busy(size(320, 568))
	for _, width := range []int64{320, 390} {
		must(t, chromedp.Do(ann.ctx, size(width, 568)))
		if !eval[bool](ann, `[document.documentElement, document.getElementById("scroller")].every((e) => e.scrollWidth <= innerWidth)`) {
			t.Errorf("at %d px it scrolls sideways", width)
		}
		if out := eval[[]string](ann, `[...document.querySelectorAll("header *, footer *, #messages *")].filter((e) => e.checkVisibility() && !e.closest(".sr, pre, .menu .sr") && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 80))`); len(out) > 0 {
			t.Errorf("at %d px these stand out: %s", width, strings.Join(out, "\n"))
		}
		ann.audited("narrow")
	}
	ann.click(".menu")
	ann.wait(`document.getElementById("side").matches(":popover-open") && document.getElementById("add").checkVisibility()`)
	ann.audited("menu")
	ann.key("Escape", 0)
	ann.wait(`!document.getElementById("side").matches(":popover-open")`)
}

func TestRoles(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.busy()
	for what, expression := range map[string]string{
		"the messages are a log":           `document.querySelector("#log[role=log][aria-label] > ol > li")`,
		"states are told":                  `document.querySelector("#status[role=status]") && document.querySelector("#banner [role=status]")`,
		"problems are told at once":        `document.querySelectorAll("[role=alert]").length >= 4`,
		"there is one heading of the page": `document.querySelectorAll("h1").length === 1 && document.querySelector("h1").innerText.includes("r")`,
		"there is a main and a navigation": `document.querySelectorAll("main").length === 1 && document.querySelector("nav[aria-label]")`,
		"each message says who and when":   `[...document.querySelectorAll("#messages .message")].every((e) => e.querySelector(".nick").textContent && e.querySelector("time[datetime]"))`,
		"pictures of names are silent":     `[...document.querySelectorAll(".avatar")].every((e) => e.ariaHidden === "true")`,
		"the current room is marked":       `document.querySelectorAll("[aria-current=page]").length === 1`,
	} {
		if !eval[bool](ann, "Boolean("+expression+")") {
			t.Error(what)
		}
	}
	// In a busy room the log falls silent, and a count is told instead.
	f := w.feeder("feeder", "r")
	f.count(300)
	ann.shows("#300")
	ann.wait(`document.getElementById("log").ariaLive === "off"`)
	ann.pass(10 * time.Second)
	ann.wait(`/\d+ new messages/.test(document.getElementById("announcer").textContent)`)
	// Once it is quiet again it speaks.
	f.say("quiet")
	ann.shows("quiet")
	ann.wait(`document.getElementById("log").ariaLive === "polite"`)
}

func TestKeyboardOnly(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.come("ann", "#one")
	ann.goTo("two")
	ann.key("ArrowUp", 1)
	ann.wait(`location.hash === "#one" && document.querySelector("h1").innerText.includes("one")`)
	ann.key("ArrowDown", 1)
	ann.wait(`location.hash === "#two"`)
	eval[any](ann, `document.activeElement.blur()`)
	reached := map[string]bool{}
	for range 20 {
		ann.key("Tab", 0)
		const focus = `(() => { const e = document.activeElement; const ring = e.matches("textarea") ? getComputedStyle(e.closest("form")).boxShadow : getComputedStyle(e).outlineStyle; return (e.id || e.className || e.getAttribute("href") || e.tagName) + (ring === "none" ? " without a ring" : "") })()`
		reached[eval[string](ann, focus)] = true
	}
	for _, want := range []string{"#one", "current", "add", "who", "leave", "scroller", "me", "field", "send"} {
		if !reached[want] {
			t.Errorf("%s is not reached: %v", want, reached)
		}
	}
	for name := range reached {
		if strings.HasSuffix(name, "a ring") && !strings.HasPrefix(name, "BODY") {
			t.Error(name)
		}
	}
	eval[any](ann, `document.getElementById("who").focus()`)
	ann.key("Enter", 0)
	ann.wait(`document.getElementById("people-dialog").open`)
	ann.key("Escape", 0)
	ann.wait(`!document.getElementById("people-dialog").open && document.activeElement.id === "who"`)
	// Shift+Enter begins a line, and an input method's Enter sends nothing.
	ann.focus("#field")
	ann.insert("a")
	ann.key("Enter", 8)
	ann.insert("b")
	ann.wait(`document.getElementById("field").value === "a\nb"`)
	eval[any](ann, `document.getElementById("field").dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", isComposing: true, bubbles: true, cancelable: true }))`)
	ann.wait(`document.getElementById("field").value === "a\nb"`)
	ann.key("Enter", 0)
	ann.shows("a\nb")
	ann.insert("pasted\nin lines")
	ann.key("Enter", 0)
	ann.shows("pasted\nin lines")
}

func TestReducedMotion(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.come("ann", "#r")
	moving := `document.getAnimations().some((a) => a.animationName === "breathe")`
	w.proxy.cut(true)
	ann.wait(moving)
	must(t, chromedp.Do(ann.ctx, onMedia("prefers-reduced-motion", "reduce")))
	ann.wait(`document.getAnimations().length === 0 && document.getElementById("status").dataset.state !== "open"`)
}

// What one presses or has the focus on stays the same element, whatever is told
// meanwhile: a click begins and ends on it.
func TestControlsStay(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann, f := w.come("ann", "#two"), w.feeder("feeder", "two")
	ann.goTo("one")
	eval[any](ann, `window.link = document.querySelector('[href="#two"]'), link.focus()`)
	f.say("not read")
	ann.wait(`document.querySelector('[href="#two"] .count')?.textContent === "1"`)
	if !eval[bool](ann, `link.isConnected && document.activeElement === link`) {
		t.Error("the link to a room is another one")
	}
	w.proxy.cut(true)
	ann.wait(`document.getElementById("status").dataset.state === "waiting"`)
	ann.say("waits")
	ann.wait(`document.querySelector("#outbox .waiting")`)
	eval[any](ann, `window.button = document.querySelector("#outbox button"), button.focus()`)
	ann.pass(30 * time.Second) // the next attempt
	ann.wait(`document.getElementById("status").dataset.state === "waiting"`)
	eval[any](ann, `new Promise((ok) => requestAnimationFrame(() => requestAnimationFrame(() => ok())))`)
	if !eval[bool](ann, `button.isConnected && document.activeElement === button`) {
		t.Error("an attempt to connect took the focus away")
	}
}

// Who selects a text and lets go beside the dialog has not pressed beside it.
func TestSelectingKeepsTheDialog(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.come("ann", "#r")
	ann.click("#me")
	ann.wait(`document.getElementById("nick-dialog").open`)
	at := eval[[]float64](ann, `(({ x, y, height }) => [x + 20, y + height / 2])(document.getElementById("nick-field").getBoundingClientRect())`)
	ann.mouse("mousePressed", at[0], at[1])
	ann.mouse("mouseReleased", 3, 3)
	if !eval[bool](ann, `document.getElementById("nick-dialog").open`) {
		t.Error("the dialog has closed")
	}
	ann.mouse("mousePressed", 3, 3)
	ann.mouse("mouseReleased", 3, 3)
	ann.wait(`!document.getElementById("nick-dialog").open`)
}

// A phone on its side has room for messages, and icons are as large as the text.
func TestLowAndLarge(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.come("ann", "#r", size(740, 360))
	if height := eval[float64](ann, `document.getElementById("scroller").clientHeight`); height < 220 {
		t.Errorf("%.0f of 360 px are the messages'", height)
	}
	ann.click("#me")
	ann.wait(`document.getElementById("nick-dialog").open`)
	if !eval[bool](ann, `((d) => d.scrollHeight <= d.clientHeight)(document.getElementById("nick-dialog"))`) {
		t.Error("the dialog has to be scrolled")
	}
	ann.key("Escape", 0)
	// That somebody writes moves nothing, and stands at the end of its line.
	const place = `JSON.stringify(document.getElementById("composer").getBoundingClientRect())`
	before := eval[string](ann, place)
	eval[any](ann, `document.getElementById("typing").textContent = "somebody is writing…"`)
	if after := eval[string](ann, place); after != before {
		t.Errorf("the field moves from %s to %s", before, after)
	}
	if gap := eval[float64](ann, `(({ right }, { right: end }) => end - right)(document.getElementById("typing").getBoundingClientRect(), document.querySelector(".under").getBoundingClientRect())`); gap > 16.5 {
		t.Errorf("%.0f px from the end", gap)
	}
	eval[any](ann, `document.documentElement.style.fontSize = "32px"`)
	ann.wait(`document.querySelector(".send svg").getBoundingClientRect().width === 40`)
}

// Who presses a button that goes by that keeps the focus: on what comes back, or else where one writes.
func TestFocusOutlivesItsButton(t *testing.T) {
	t.Parallel()
	w := start(t)
	for i := range 110 {
		w.feeder(fmt.Sprint("p", i), "r")
	}
	ann := w.come("ann", "#r")
	ann.wait(`document.getElementById("many").textContent === "111"`)
	ann.click("#who")
	for i, many := range []int{50, 100, 111} {
		ann.wait(fmt.Sprintf(`document.querySelectorAll(".people li").length === %d`, many))
		if i == 0 {
			eval[any](ann, `document.querySelector(".more-people").focus()`)
		}
		if i < 2 {
			ann.wait(`document.activeElement.classList.contains("more-people")`)
			ann.key("Enter", 0)
		}
	}
	ann.wait(`document.activeElement.classList.contains("people")`)
	ann.key("Escape", 0)
	w.proxy.cut(true)
	ann.wait(`document.getElementById("status").dataset.state !== "open"`)
	ann.pass(5 * time.Second)
	ann.wait(`!document.getElementById("banner").hidden`)
	w.proxy.up()
	ann.focus("#retry")
	ann.key("Enter", 0)
	ann.wait(`document.getElementById("status").dataset.state === "open" && document.getElementById("banner").hidden`)
	ann.wait(`document.activeElement.id === "field"`)
}
