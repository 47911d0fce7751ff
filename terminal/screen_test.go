package terminal_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"

	"throng/client"
	"throng/terminal"
)

func TestTalk(t *testing.T) {
	d := sit(t, 40, 8, "ops")
	d.shows(6, " connecting", ">")
	d.enters("ops")
	d.Happens(line("ops", 30, "bob", "hello, 日本語 here"))
	d.typed("hi ", "日本")
	d.shows(0, " 1 ops", "", "", "", "", "12:30 bob: hello, 日本語 here", " ann | connected | 3 here", "> hi 日本")
	if x, y, on := d.cells.GetCursor(); x != 9 || y != 7 || !on {
		t.Errorf("the cursor is at %d, %d, %v", x, y, on)
	}
	d.typed("<enter>")
	d.shows(4, "12:30 bob: hello, 日本語 here", "  ... ann: hi 日本", " ann | connected | 1 pending | 3 here", ">")
	own := line("ops", 31, "ann", "hi 日本")
	own.From.ID, own.ID = "7", "i-1"
	d.client.pending = 0
	d.Happens(own)
	d.Happens(client.Confirmed{Room: "ops", ID: "i-1", Seq: 31})
	d.shows(4, "12:30 bob: hello, 日本語 here", "12:31 ann: hi 日本", " ann | connected | 3 here", ">")
	d.typed("//me", "<alt-enter>", "two", "<enter>", "  ", "<enter>", "<up>", "<up>")
	d.shows(7, "> //me␊two")
	want := []string{"typing ops", `say ops "hi 日本"`, `say ops "/me\ntwo"`}
	if !slices.Equal(d.client.asked, want) {
		t.Errorf("asked %q", d.client.asked)
	}
}

func TestRefused(t *testing.T) {
	d := sit(t, 50, 8, "ops")
	d.enters("ops")
	d.typed("too long", "<enter>")
	d.Happens(client.Failed{Room: "ops", ID: "i-1", Text: "too long", Err: &client.Error{Code: "too_long", Message: "shorter"}})
	d.shows(5, "! not said: shorter (the text is under Up)")
	d.has("  ... ann: too long", false)
	d.typed("<up>")
	d.shows(7, "> too long")
	d.Happens(client.Notice{Err: &client.Error{Code: "nick_taken"}})
	d.shows(5, "! nick_taken")
	d.Happens(client.Left{Room: "ops", Err: &client.Error{Message: "full"}})
	d.has("! you are not in this room: full (/leave closes", true)
}

func TestRoomsShown(t *testing.T) {
	d := sit(t, 44, 7, "ops", "garden")
	d.enters("ops", "garden")
	d.Happens(line("garden", 2, "bob", "in the garden"))
	d.Happens(line("garden", 3, "bob", "again"))
	d.shows(0, " 1 ops  2 garden (2)")
	d.has("12:02 bob: in the garden", false)
	d.typed("<alt-2>")
	d.shows(0, " 1 ops  2 garden", "", "", "12:02 bob: in the garden", "12:03 bob: again")
	d.typed("<alt-9>", "<alt-down>")
	d.Happens(line("garden", 4, "bob", "x"))
	d.shows(0, " 1 ops  2 garden (1)")
	d.typed("<alt-up>", "/join #cellar", "<enter>")
	d.shows(0, " 1 ops  2 garden  3 cellar")
	d.typed("/leave garden", "<enter>")
	d.shows(0, " 1 ops  2 cellar")
	d.typed("/leave", "<enter>", "/leave nowhere", "<enter>", "/leave", "<enter>", "/join a b", "<enter>", "into the void", "<enter>")
	d.shows(0, "")
	d.shows(3, "! not said: you are not in that room (the", "  text is under Up)")
	d.typed("/join last", "<enter>")
	d.shows(0, " 1 last")
	want := []string{"join cellar", "leave garden", "leave cellar", "leave ops", "join a b", "typing", "join last"}
	asked := slices.DeleteFunc(d.client.asked, func(s string) bool { return strings.HasPrefix(s, "typing") })
	want = slices.DeleteFunc(want, func(s string) bool { return s == "typing" })
	if !slices.Equal(asked, want) {
		t.Errorf("asked %q", asked)
	}
}

func TestManyRoomsShown(t *testing.T) {
	d := sit(t, 20, 5, "one", "two", "three", "four")
	d.shows(0, " 1 one  2 two  3 thr")
	d.typed("<alt-up>")
	d.shows(0, " 3 three  4 four")
}

func TestScroll(t *testing.T) {
	d := sit(t, 30, 8, "ops") // five rows of transcript
	d.enters("ops")
	for seq := uint64(21); seq <= 40; seq++ {
		d.Happens(line("ops", seq, "bob", fmt.Sprint("m", seq)))
	}
	d.shows(1, "12:36 bob: m36", "12:37 bob: m37", "12:38 bob: m38", "12:39 bob: m39", "12:40 bob: m40")
	d.typed("<pgup>")
	d.shows(1, "12:32 bob: m32", "12:33 bob: m33", "12:34 bob: m34", "12:35 bob: m35", "12:36 bob: m36", " ann | connected | 3 here | s…")
	d.Happens(line("ops", 41, "bob", "m41")) // what is read stays
	d.shows(1, "12:32 bob: m32")
	for seq := uint64(11); seq <= 20; seq++ {
		d.client.page.Messages = append(d.client.page.Messages, line("ops", seq, "bob", fmt.Sprint("m", seq)))
	}
	d.client.page.More = true
	d.typed("<pgup>", "<pgup>")
	if d.client.asked != nil {
		t.Errorf("asked %q before the top", d.client.asked)
	}
	d.typed("<pgup>")
	d.shows(1, "12:21 bob: m21")
	d.Answer()
	d.shows(1, "12:21 bob: m21")
	d.typed("<pgup>")
	d.shows(1, "12:17 bob: m17")
	d.client.page = client.Page{Messages: []client.Message{line("ops", 10, "bob", "m10")}}
	d.typed("<pgup>", "<pgup>")
	d.Answer()
	d.typed("<pgup>")
	d.shows(1, "12:10 bob: m10", "12:11 bob: m11")
	d.typed("<pgup>", "<pgup>") // there is nothing more to ask for
	if want := []string{"history ops 21 100", "history ops 11 100"}; !slices.Equal(d.client.asked, want) {
		t.Errorf("asked %q, want %q", d.client.asked, want)
	}
	for range 12 {
		d.typed("<pgdn>")
	}
	d.shows(5, "12:41 bob: m41", " ann | connected | 3 here")
}

func TestGaps(t *testing.T) {
	lose := func(d *desk, page client.Page, err error) {
		d.enters("ops")
		d.client.page, d.client.err = page, err
		d.Happens(line("ops", 1, "bob", "m1"))
		d.Happens(client.Gap{Room: "ops", From: 2, To: 5, Missed: 4})
		d.Happens(line("ops", 6, "bob", "m6"))
		d.shows(4, "12:01 bob: m1", "-- 4 messages are missing here --", "12:06 bob: m6")
		d.Answer()
	}
	messages := func(from uint64) (list []client.Message) {
		for seq := from; seq <= 5; seq++ {
			list = append(list, line("ops", seq, "bob", fmt.Sprint("m", seq)))
		}
		return list
	}
	d := sit(t, 40, 9, "ops")
	lose(d, client.Page{Messages: messages(1)}, nil)
	d.shows(1, "12:01 bob: m1", "12:02 bob: m2", "12:03 bob: m3", "12:04 bob: m4", "12:05 bob: m5", "12:06 bob: m6")
	if want := []string{"history ops 6 200"}; !slices.Equal(d.client.asked, want) {
		t.Errorf("asked %q", d.client.asked)
	}
	d = sit(t, 40, 9, "ops")
	lose(d, client.Page{Messages: messages(4)}, nil)
	d.shows(2, "12:01 bob: m1", "-- messages are missing here --", "12:04 bob: m4", "12:05 bob: m5", "12:06 bob: m6")
	d = sit(t, 40, 9, "ops")
	lose(d, client.Page{}, errors.New("no"))
	d.shows(4, "12:01 bob: m1", "-- 4 messages are missing here --", "12:06 bob: m6")
}

// What history has of the room's present numbering is not put into a gap of an earlier one.
func TestGapOfAnotherLife(t *testing.T) {
	d := sit(t, 60, 10, "ops")
	d.enters("ops")
	d.client.page.Messages = []client.Message{line("ops", 2, "eve", "of the new life"), line("ops", 3, "eve", "too")}
	d.Happens(line("ops", 1, "bob", "m1"))
	d.Happens(client.Gap{Room: "ops", From: 2, To: 3, Missed: 2})
	d.Happens(client.Joined{Room: "ops", Epoch: "f", Seq: 4, Oldest: 2, Members: 3, Again: true, Renumbered: true})
	d.Happens(line("ops", 4, "eve", "m4"))
	d.Answer()
	d.shows(3, "12:01 bob: m1", "-- 2 messages are missing here --",
		"! the server has been restarted, or this room was empty for", "  long: what was said meanwhile is not known", "12:04 eve: m4")
	d.typed("<pgup>")
	d.Answer()
	d.shows(4, "  long: what was said meanwhile is not known", "12:02 eve: of the new life", "12:03 eve: too", "12:04 eve: m4")
}

// A gap is filled in order also in a transcript of which the beginning goes by that; two lives of a room are in it.
func TestGapInALongTranscript(t *testing.T) {
	const most = 5000
	d := sit(t, 40, 10, "ops")
	d.enters("ops")
	for seq := uint64(1); seq < most; seq++ {
		d.Unseen(line("ops", seq, "bob", "old"))
	}
	d.Happens(client.Joined{Room: "ops", Epoch: "f", Seq: 1, Oldest: 1, Members: 3, Again: true, Renumbered: true})
	for seq := uint64(2); seq <= 4; seq++ {
		d.client.page.Messages = append(d.client.page.Messages, line("ops", seq, "eve", fmt.Sprint("m", seq)))
	}
	d.Happens(line("ops", 1, "eve", "m1"))
	d.Happens(client.Gap{Room: "ops", From: 2, To: 4, Missed: 3})
	d.Happens(line("ops", 5, "eve", "m5"))
	d.Answer()
	d.Happens(line("ops", 3, "eve", "twice"))
	d.shows(3, "12:01 eve: m1", "12:02 eve: m2", "12:03 eve: m3", "12:04 eve: m4", "12:05 eve: m5")
	if n := d.Entries(); n != most {
		t.Errorf("%d entries", n)
	}
}

func TestPresenceFolded(t *testing.T) {
	d := sit(t, 60, 8, "ops")
	d.enters("ops")
	p := func(nick string) client.Person { return client.Person{ID: "id of " + nick, Nick: nick} }
	d.Happens(client.Presence{Room: "ops", Joined: []client.Person{p("bob"), d.client.Me(), p("eve")}, Members: 4})
	d.Happens(client.Presence{Room: "ops", Left: []client.Person{p("eve"), p("kim")}, Members: 9})
	d.Happens(client.Presence{Room: "ops", Renamed: []client.Renamed{{Old: "x", Nick: "y"}}, Members: 9})
	d.Happens(client.Presence{Room: "ops", Members: 1200})
	d.shows(4, "", "· bob joined · kim left · x is now y", " ann | connected | 1200 here")
	d.Happens(line("ops", 1, "bob", "m"))
	var many []client.Person
	for i := range 12 {
		many = append(many, p(fmt.Sprint("n", i)))
	}
	d.Happens(client.Presence{Room: "ops", Joined: many, Members: 3})
	d.shows(3, "· bob joined · kim left · x is now y", "12:01 bob: m", "· n0, n1, n2, n3, n4, n5, n6, n7 and 4 others joined")
	d.Happens(client.Typing{Room: "ops", From: p("eve")})
	d.Happens(client.Typing{Room: "ops", From: d.client.Me()}) // as everybody is told
	d.shows(6, " ann | connected | 3 here | eve writing")
	d.now = d.now.Add(6 * time.Second)
	d.Draw()
	d.shows(6, " ann | connected | 3 here")
}

func TestAway(t *testing.T) {
	d := sit(t, 70, 8, "ops")
	d.enters("ops")
	d.Happens(line("ops", 7, "bob", "before"))
	d.Happens(client.Away{Err: errors.New("cut"), Retry: 2500 * time.Millisecond})
	d.shows(6, " away: again in 3 s | cut")
	d.now = d.now.Add(time.Second)
	d.client.pending = 2
	d.Draw()
	d.shows(6, " away: again in 2 s | 2 pending | cut")
	d.now = d.now.Add(2 * time.Second)
	d.Draw()
	d.shows(6, " away: connecting | 2 pending | cut")
	d.Happens(client.Away{Bye: "the server stops"})
	d.shows(6, " away: connecting | 2 pending | the server stops")
	d.client.pending = 0
	d.Happens(client.Hello{})
	d.Happens(client.Joined{Room: "ops", Epoch: "new", Seq: 1, Oldest: 1, Members: 1, Again: true, Renumbered: true})
	d.Happens(line("ops", 1, "bob", "a new life"))
	d.shows(2, "12:07 bob: before", "! the server has been restarted, or this room was empty for long: what",
		"  was said meanwhile is not known", "12:01 bob: a new life")
}

func TestCommands(t *testing.T) {
	d := sit(t, 110, 12, "ops")
	d.enters("ops")
	d.typed("/who", "<enter>")
	d.Answer()
	d.has("· 5 here: ann, b␛ob and 3 others", true)
	d.typed("/nick Ann of the Garden", "<enter>")
	d.Answer()
	d.Happens(client.Nick{Nick: "Ann of the Garden", Token: "T2"})
	d.has("· you are Ann of the Garden now", true)
	d.client.err = errors.New("taken")
	d.typed("/nick bob", "<enter>")
	d.Answer()
	d.has("! nickname: taken", true)
	d.typed("/dance", "<enter>")
	d.has("! unknown command /dance, try /help; //dance says it", true)
	d.typed("/help", "<enter>")
	d.has("· /quit        leave               //TEXT         say /TEXT", true)
	if want := []string{"nick Ann of the Garden", "nick bob"}; !slices.Equal(d.client.asked, want) {
		t.Errorf("asked %q", d.client.asked)
	}
	d.typed("x", "^C")
	if d.Quit() {
		t.Error("^C with something in the line quits")
	}
	d.typed("^C")
	if !d.Quit() {
		t.Error("^C does not quit")
	}
	for _, way := range [][]string{{"/quit", "<enter>"}, {"^D"}} {
		d = sit(t, 80, 5, "ops")
		if d.typed(way...); !d.Quit() {
			t.Errorf("%q does not quit", way)
		}
	}
}

// A paste is put into the line, and does nothing before Enter.
func TestPaste(t *testing.T) {
	d := sit(t, 60, 8, "ops")
	d.Key(tcell.NewEventPaste(true))
	d.typed("/quit", "<enter>", "^C")
	d.Key(tcell.NewEventKey(tcell.KeyTab, 0, tcell.ModNone))
	d.typed("x")
	d.Key(tcell.NewEventPaste(false))
	d.shows(7, "> /quit␊ x")
	if d.Quit() {
		t.Error("a pasted command was obeyed")
	}
}

// Nothing that comes from elsewhere reaches the terminal as it is, wherever it is shown.
func TestHarmless(t *testing.T) {
	evil := "\x1b]0;x\x07\u009b2J\u202egnp\x00\u200b\xff"
	who := client.Person{ID: "8", Nick: evil}
	d := sit(t, 200, 24, "ops", "garden")
	d.enters("ops", "garden")
	m := line("ops", 1, evil, evil)
	for _, e := range []client.Event{
		m, client.Presence{Room: "ops", Joined: []client.Person{who}, Renamed: []client.Renamed{{ID: "9", Old: evil, Nick: evil}}},
		client.Typing{Room: "ops", From: who}, client.Notice{Err: &client.Error{Message: evil}},
		client.Failed{Room: "ops", Text: evil, Err: &client.Error{Message: evil}}, client.Nick{Nick: evil},
		client.Left{Room: "garden", Err: &client.Error{Code: evil}}, client.Away{Bye: evil},
	} {
		d.Happens(e)
	}
	d.typed("<up>")
	shown := 0
	cells, _, _ := d.cells.GetContents()
	for _, c := range cells {
		for _, r := range c.Runes {
			if terminal.Obeyed(r) && r != '\ufffd' {
				t.Errorf("%U stands on the screen", r)
			}
			if r == '␛' {
				shown++
			}
		}
	}
	if shown < 9 {
		t.Errorf("only %d of them are shown:\n%s", shown, strings.Join(d.rows(), "\n"))
	}
}

// Any size is drawn, and the transcript is wrapped anew.
func TestResize(t *testing.T) {
	d := sit(t, 40, 8, "ops")
	d.enters("ops")
	d.Happens(line("ops", 1, "bob", "some words and 日本語日本語"))
	d.typed("draft")
	d.shows(5, "12:01 bob: some words and 日本語日本語")
	for columns := range 12 {
		for rows := range 6 {
			d.cells.SetSize(columns, rows)
			d.Key(tcell.NewEventResize(columns, rows))
		}
	}
	d.cells.SetSize(24, 6)
	d.Key(tcell.NewEventResize(24, 6))
	d.shows(2, "12:01 bob: some words", "      and 日本語日本語")
	d.cells.SetSize(24, 1)
	d.Key(tcell.NewEventResize(24, 1))
	d.shows(0, "> draft")
}

// Nicknames have colours where there are any, always the same; without them everything is still told.
func TestColours(t *testing.T) {
	for colors, want := range map[int]int{0: 0, 8: 6, 16: 6, 256: 12, 1 << 24: 12} {
		if got := terminal.Palette(colors); got != want {
			t.Errorf("%d colours of %d", got, colors)
		}
	}
	d := sit(t, 40, 8, "ops")
	d.enters("ops")
	colour := map[string]tcell.Color{}
	for i, nick := range []string{"bob", "eve", "kim", "bob", "eve"} {
		d.Happens(line("ops", uint64(i+1), nick, "m"))
		cells, columns, _ := d.cells.GetContents()
		fg, _, _ := cells[5*columns+6].Style.Decompose()
		if before, ok := colour[nick]; ok && before != fg {
			t.Errorf("%s is %v, and was %v", nick, fg, before)
		}
		colour[nick] = fg
	}
	if colour["bob"] == colour["eve"] && colour["eve"] == colour["kim"] {
		t.Errorf("all are %v", colour["bob"])
	}
}

// While somebody writes the room is told every three seconds, and not of commands.
func TestWriting(t *testing.T) {
	d := sit(t, 40, 8, "ops")
	d.enters("ops")
	for _, passed := range []time.Duration{0, 3*time.Second - 1, 1, 2 * time.Second} {
		d.now = d.now.Add(passed)
		d.typed("x")
	}
	d.now = d.now.Add(time.Minute)
	d.typed("<enter>", "/who")
	if want := []string{"typing ops", "typing ops", `say ops "xxxx"`}; !slices.Equal(d.client.asked, want) {
		t.Errorf("asked %q", d.client.asked)
	}
}

// A room's transcript does not grow for ever, and an earlier message that is there already is not put in again.
func TestBounded(t *testing.T) {
	d := sit(t, 40, 8, "ops")
	d.enters("ops")
	for seq := uint64(1); seq <= 5100; seq++ {
		d.Unseen(line("ops", seq, "bob", fmt.Sprint("m", seq)))
		d.Unseen(line("ops", seq, "bob", "twice"))
	}
	d.Draw()
	d.shows(1, "00:56 bob: m5096", "00:57 bob: m5097", "00:58 bob: m5098", "00:59 bob: m5099", "01:00 bob: m5100")
	if n := d.Entries(); n != 5000 {
		t.Errorf("%d entries", n)
	}
}

func TestRun(t *testing.T) {
	cells := tcell.NewSimulationScreen("UTF-8")
	c := &chatter{events: make(chan client.Event), rooms: []string{"ops"}}
	ended := make(chan error, 1)
	go func() { ended <- terminal.NewScreen(c, cells).Run(t.Context()) }()
	c.events <- client.Hello{}
	cells.InjectKey(tcell.KeyCtrlC, 0, tcell.ModCtrl)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
