package chat_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"throng/server"
)

func TestMessageReachesEverybody(t *testing.T) {
	w := start(t)
	ann, bob, far := w.as("ann", "r"), w.as("bob", "r"), w.as("eve", "elsewhere")
	for text, line := range map[string]string{
		"hello":                 "ann: hello",
		"":                      "ann: ",
		" .... bob has left.":   "ann:  .... bob has left.",
		"bob: two: colons":      "ann: bob: two: colons",
		"two\nlines\r\n\x00":    "ann: two\nlines\r\n\x00",
		"žluťoučký 🐎 \u202e":    "ann: žluťoučký 🐎 \u202e",
		"//me waves":            "ann: /me waves",
		"//":                    "ann: /",
		"///":                   "ann: //",
		" /nick bob":            "ann:  /nick bob",
		strings.Repeat("é", 99): "ann: " + strings.Repeat("é", 99),
	} {
		ann.say(text)
		ann.wants(line)
		bob.wants(line)
	}
	long := strings.Repeat("x", 64<<10)
	ann.say(long)
	ann.wants("ann: " + long)
	bob.wants("ann: " + long)
	far.say("alone")
	far.wants("eve: alone")
}

// A message in fragments, with a ping between them, is one line.
func TestFragmentsAreOneLine(t *testing.T) {
	w := start(t)
	ann := w.as("ann", "r")
	for _, f := range []ws.Frame{
		ws.NewFrame(ws.OpText, false, []byte("caf\xc3")), ws.NewPingFrame([]byte("p")),
		ws.NewFrame(ws.OpContinuation, false, nil), ws.NewFrame(ws.OpContinuation, true, []byte("\xa9!")),
	} {
		ann.raw(ws.MustCompileFrame(ws.MaskFrameInPlace(f)))
	}
	ann.wants("ann: café!")
}

func TestCommands(t *testing.T) {
	w := start(t)
	ann, bob := w.as("ann", "r"), w.as("bob", "r")
	help := []string{
		" .... /nick NAME changes your nickname",
		" .... /who lists who is here",
		" .... /help lists the commands",
		" .... //TEXT says /TEXT; anything else is said as it is",
	}
	for _, c := range []struct {
		said   string
		answer []string
	}{
		{"/help", help}, {"/help me", help},
		{"/who", []string{" .... 2 here: ann, bob"}},
		{"/", []string{" .... unknown command /, try /help"}},
		{"/ who", []string{" .... unknown command /, try /help"}},
		{"/dance now", []string{" .... unknown command /dance, try /help"}},
		{"/WHO", []string{" .... unknown command /WHO, try /help"}},
		{"/who\n", []string{" .... unknown command /who\n, try /help"}},
		{"/" + strings.Repeat("x", 64), []string{" .... unknown command /" + strings.Repeat("x", 63) + "…, try /help"}},
		{"/" + strings.Repeat("é", 64), []string{" .... unknown command /" + strings.Repeat("é", 31) + "…, try /help"}},
	} {
		ann.say(c.said)
		ann.wants(c.answer...)
	}
	ann.say("that was for me alone")
	bob.wants("ann: that was for me alone")
}

func TestWhoListsFifty(t *testing.T) {
	w := start(t)
	ann := w.as("ann", "r")
	ann.say("/who")
	ann.wants(" .... 1 here: ann")
	nicks := []string{"ann"}
	for i := 2; i <= 52; i++ {
		nicks = append(nicks, fmt.Sprintf("n%02d", i))
		w.as(nicks[i-1], "r")
		if i < 50 {
			continue
		}
		list := strings.Join(nicks[:50], ", ")
		if i > 50 {
			list += ", …"
		}
		ann.say("/who")
		ann.wants(fmt.Sprintf(" .... %d here: %s", i, list))
	}
}

func TestAnnounce(t *testing.T) {
	w := start(t, func(o *options) { o.chat.Announce, o.chat.PresenceLimit = true, 3 })
	ann := w.as("ann", "r")
	ann.wants(" .... ann has joined.")
	bob := w.as("bob", "r")
	ann.wants(" .... bob has joined.")
	bob.wants(" .... bob has joined.")
	cid := w.as("cid", "r")
	dan := w.as("dan", "r") // the fourth is above the limit
	dan.say("hi")
	cid.wants(" .... cid has joined.", "dan: hi")
	ann.wants(" .... cid has joined.", "dan: hi")
}

// leavings are the ways to leave. What a member says before is said.
var leavings = []struct {
	name  string
	leave func(w *world, p *person)
}{
	{"close frame", func(_ *world, p *person) {
		p.send(ws.OpClose, string(ws.NewCloseFrameBody(1000, "bye")))
		p.closed(1000)
	}},
	{"empty close frame", func(_ *world, p *person) { p.send(ws.OpClose, ""); p.closed(server.CodeNone) }},
	{"hang up", func(_ *world, p *person) { p.conn.Close() }},
	{"half close", func(_ *world, p *person) { must(p.T, p.conn.(*net.TCPConn).CloseWrite()) }},
	{"reset", func(_ *world, p *person) {
		must(p.T, p.conn.(*net.TCPConn).SetLinger(0))
		p.conn.Close()
	}},
	{"half a frame", func(_ *world, p *person) { p.raw([]byte{0x81, 0x85, 1, 2}); p.conn.Close() }},
	{"protocol error", func(_ *world, p *person) { p.raw([]byte{0x81, 0x01, 'x'}); p.closed(1002) }}, // not masked
	{"binary", func(_ *world, p *person) { p.send(ws.OpBinary, "x"); p.closed(1003) }},
	{"bad UTF-8", func(_ *world, p *person) { p.send(ws.OpText, "\xff"); p.closed(1007) }},
	{"too big", func(_ *world, p *person) { p.raw(tooBig(64<<10 + 1)); p.closed(1009) }},
	{"panic", func(w *world, p *person) {
		if !w.chat.Post("r", "bob", func(*server.Conn) { panic("a fault") }) {
			p.Fatal("nobody to panic")
		}
		p.closed(1011)
	}},
	{"kicked", func(w *world, p *person) {
		w.chat.Post("r", "bob", func(c *server.Conn) { c.Close(server.CodeKicked, "") })
		p.closed(4001)
	}},
}

// tooBig is the header of a frame whose payload never comes.
func tooBig(n uint64) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{0x81, 0xff}, n), 1, 2, 3, 4)
}

func TestLeavingIsTold(t *testing.T) {
	w := start(t)
	ann := w.as("ann", "r")
	for _, l := range leavings {
		// Again and again, with the same nickname: it is free once the leaving was told.
		bob := w.as("bob", "r")
		bob.say("I leave by " + l.name)
		ann.wants("bob: I leave by " + l.name)
		bob.wants("bob: I leave by " + l.name)
		l.leave(w, bob)
		if got := ann.hear(); got != " .... bob has left." {
			t.Fatalf("%s: %q", l.name, got)
		}
	}
	ann.say("/who")
	ann.wants(" .... 1 here: ann")
}

// One who leaves without having read or said anything is told of just the same,
// under the nickname that was drawn.
func TestSilentLeavingIsTold(t *testing.T) {
	w := start(t)
	bob := w.join("/chat/r")
	nick := bob.nick()
	ann := w.as("ann", "r")
	bob.conn.Close()
	ann.wants(" .... " + nick + " has left.")
}

// Above the limit nobody is told; at the limit the rest are.
func TestPresenceLimit(t *testing.T) {
	for limit := range 5 {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			w := start(t, func(o *options) { o.chat.PresenceLimit = limit })
			ann, bob, cid := w.as("ann", "r"), w.as("bob", "r"), w.as("cid", "r")
			bob.send(ws.OpClose, "")
			bob.closed(server.CodeNone)
			if limit >= 3 {
				ann.wants(" .... bob has left.")
			}
			ann.say("after")
			ann.wants("ann: after")
			cid.send(ws.OpClose, "")
			if limit >= 3 {
				cid.wants(" .... bob has left.")
			}
			cid.wants("ann: after")
			cid.closed(server.CodeNone)
			if limit >= 2 {
				ann.wants(" .... cid has left.")
			}
			ann.say("alone")
			ann.wants("ann: alone")
		})
	}
}

// The last one leaves an empty room: it has nothing for the next one, and no
// reason to stay.
func TestNothingStaysInAnEmptyRoom(t *testing.T) {
	w := start(t)
	for range 3 {
		ann := w.join("/chat/r?nick=ann&history=100")
		ann.say("/who")
		ann.wants(" .... 1 here: ann")
		ann.send(ws.OpClose, "")
		ann.closed(server.CodeNone)
	}
	eventually(t, func() error { return count("rooms", w.chat.Rooms(), 0) }) // nobody has said anything
}

func count(what string, got, want int) error {
	if got != want {
		return fmt.Errorf("%d %s, want %d", got, what, want)
	}
	return nil
}

// A whole server that goes is no crowd of people who leave.
func TestDrainTellsNobody(t *testing.T) {
	w := start(t)
	ann, bob := w.as("ann", "r"), w.as("bob", "r")
	done := make(chan error, 1)
	go func() { done <- w.srv.Shutdown(t.Context()) }()
	ann.closed(1001)
	bob.closed(1001)
	must(t, <-done)
}

func TestRefusedMessages(t *testing.T) {
	w := start(t, func(o *options) { o.server.MaxMessageBytes = 100 })
	ann := w.as("ann", "r")
	ann.say(strings.Repeat("x", 100))
	ann.wants("ann: " + strings.Repeat("x", 100))
	for _, c := range []struct {
		op   ws.OpCode
		text string
		code ws.StatusCode
	}{
		{ws.OpBinary, "", 1003},
		{ws.OpBinary, "\xff", 1003},
		{ws.OpText, strings.Repeat("x", 101), 1009},
		{ws.OpText, "/nick " + strings.Repeat("x", 101), 1009},
		{ws.OpText, "/nick \xc3\x28", 1007},
		{ws.OpText, "//\xed\xa0\x80", 1007},        // a surrogate
		{ws.OpText, "cut \xf0\x9f\x90", 1007},      // an unfinished rune
		{ws.OpText, "\xc0\xaf", 1007},              // not the shortest form
		{ws.OpText, "\xf4\x90\x80\x80", 1007},      // above U+10FFFF
		{ws.OpText, strings.Repeat("é", 51), 1009}, // bytes count, not characters
	} {
		bob := w.as("bob", "r")
		bob.send(c.op, c.text)
		bob.closed(c.code)
		ann.wants(" .... bob has left.")
	}
}

// Several rooms do not hear each other, and the same room is one on all workers.
func TestRoomsByPath(t *testing.T) {
	w := start(t)
	paths := map[string]string{
		"/": "lobby", "/chat": "lobby", "/chat?history=0": "lobby", "/chat/lobby": "lobby", "/?nick=": "lobby",
		"/chat/Lobby": "Lobby", "/chat/a": "a", "/chat/%61": "a", "/chat/.": ".", "/chat/..": "..", "/chat/-_.": "-_.",
		"/chat/" + strings.Repeat("x", 64): strings.Repeat("x", 64),
	}
	for path, room := range paths {
		ear, mouth := w.join("/chat/"+room), w.join(path)
		text := fmt.Sprintf("by %s %d", path, rand.Uint64())
		mouth.say(text)
		if got := ear.hear(); !strings.HasSuffix(got, ": "+text) {
			t.Errorf("%s did not lead to %s: %q", path, room, got)
		}
		mouth.hear()
		mouth.conn.Close()
		ear.hear()
		ear.conn.Close()
		// Wait until the room is empty, for the next one's sake.
		eventually(t, func() error { return count("connections", w.srv.Conns(), 0) })
	}
}

// refused is the status that a path is refused with, 101 if it is not.
func (w *world) refused(path string) int {
	w.Helper()
	p, err := w.dial(ws.Dialer{}, path)
	if err == nil {
		p.conn.Close()
		return 101
	}
	var status ws.StatusError
	if !errors.As(err, &status) {
		w.Fatalf("%q: %v", path, err)
	}
	return int(status)
}

// Every byte is good in a room name, or not, however it is written.
func TestRoomNames(t *testing.T) {
	w := start(t)
	const good = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
	for b := range 256 {
		want := 400
		if strings.IndexByte(good, byte(b)) >= 0 {
			want = 101
		}
		if got := w.refused(fmt.Sprintf("/chat/x%%%02X", b)); got != want {
			t.Errorf("byte %#02x in a room name: %d, want %d", b, got, want)
		}
	}
}

// There are so many rooms and no more: whoever asks for another one is refused,
// until one goes. Those that exist can be joined.
func TestMaxRooms(t *testing.T) {
	w := start(t, func(o *options) { o.chat.Rooms.Rooms = 2; o.chat.Rooms.HistoryCount = 0 })
	a, b := w.as("ann", "a"), w.as("ben", "b")
	for path, want := range map[string]int{"/chat/c": 503, "/": 503, "/chat/a": 101, "/chat/b": 101} {
		if got := w.refused(path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	if refused := w.metric("refused_rooms_total"); refused != 2 {
		t.Errorf("%d refusals were counted", refused)
	}
	a.conn.Close()
	eventually(t, func() error {
		if n := w.chat.Rooms(); n != 1 {
			return fmt.Errorf("%d rooms", n)
		}
		return nil
	})
	c := w.as("cid", "c")
	if got := w.refused("/chat/a"); got != 503 {
		t.Errorf("the room that has gone: %d", got)
	}
	b.conn.Close()
	c.conn.Close()
}

func TestRefusedUpgrades(t *testing.T) {
	w := start(t)
	for path, want := range map[string]int{
		"/chat/": 400, "/chat/a/b": 400, "/chat/a/": 400, "/chat//a": 400, "/chat/é": 400,
		"/chat/" + strings.Repeat("x", 65): 400,
		"/x":                               404, "/chats": 404, "/Chat": 404, "/chat.": 404, "/favicon.ico": 404, "//chat": 404,
		"/chat?history=x": 400, "/chat?history=-1": 400, "/chat?history=1.5": 400, "/chat?history=%2B1": 400,
		"/chat?after=1": 400, "/chat?epoch=1": 400, "/chat?epoch=&after=": 400, "/chat?epoch=1&after=-1": 400, "/chat?epoch=1&after=1e3": 400,
		"/chat?epoch=z&after=18446744073709551615": 101, "/chat?epoch=&after=0": 101,

		"/chat?history=99999999999": 101, // all that is kept
		"/chat?history=":            101, "/chat?history=007": 101, "/chat?history=2147483647": 101, "/chat?unknown=1": 101,
	} {
		if got := w.refused(path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
}
