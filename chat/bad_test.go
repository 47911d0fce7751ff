package chat_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"throng/server"
)

// wrongs are requests and the codes of their errors.
var wrongs = []struct{ request, code, id, word string }{
	{``, "bad_request", "", "JSON"},
	{`null`, "bad_request", "", "op"},
	{`7`, "bad_request", "", "not a number"},
	{`"say"`, "bad_request", "", "not a string"},
	{`[]`, "bad_request", "", "not an array"},
	{`{}`, "bad_request", "", "op"},
	{`{"op":null,"id":"i"}`, "bad_request", "i", "op"},
	{`{"op":"ping","id":"i"`, "bad_request", "", "end of JSON"},
	{`{"op":"ping","id":"i"}{"op":"ping"}`, "bad_request", "", "after top-level value"},
	{`{op:"ping"}`, "bad_request", "", "JSON"},
	{`{"op":"ping",}`, "bad_request", "", "JSON"},
	{`{"op":7,"id":"i"}`, "bad_request", "i", "op"},
	{`{"op":"ping","id":7}`, "bad_request", "", "id"},
	{`{"op":"sing","id":"i"}`, "bad_request", "i", "sing"},
	{`{"op":"SAY","room":"r","text":"x"}`, "bad_request", "", "SAY"},
	{`{"op":"say","room":"r","id":"i"}`, "bad_request", "i", "text"},
	{`{"op":"say","room":"r","text":null,"id":"i"}`, "bad_request", "i", "text"},
	{`{"op":"say","room":"r","text":["x"],"id":"i"}`, "bad_request", "i", "text"},
	{`{"op":"say","room":["r"],"text":"x"}`, "bad_request", "", "room cannot be an array"},
	{`{"op":"say","room":"r","text":{},"id":"i"}`, "bad_request", "i", "text cannot be an object"},
	{`{"op":"say","text":"x","id":"i"}`, "bad_request", "i", "room"},
	{`{"op":"say","room":"no room","text":"x","id":"i"}`, "bad_request", "i", "64"},
	{`{"op":"say","room":"other","text":"x","id":"i"}`, "not_member", "i", "other"},
	{`{"op":"leave","room":"other"}`, "not_member", "", "other"},
	{`{"op":"who","room":"R"}`, "not_member", "", "R"},
	{`{"op":"history","room":"other","before":1}`, "not_member", "", "other"},
	{`{"op":"typing","room":"other"}`, "not_member", "", "other"},
	{`{"op":"who","room":"r","limit":-1,"id":"i"}`, "bad_request", "i", "limit"},
	{`{"op":"who","room":"r","limit":0,"id":"i"}`, "bad_request", "i", "limit"},
	{`{"op":"who","room":"r","limit":1.5}`, "bad_request", "", "limit"},
	{`{"op":"who","room":"r","after":1e3}`, "bad_request", "", "after"},
	{`{"op":"who","room":"r","after":99999999999999999999999}`, "bad_request", "", "after"},
	{`{"op":"history","room":"r","id":"i"}`, "bad_request", "i", "before"},
	{`{"op":"history","room":"r","before":"1"}`, "bad_request", "", "before"},
	{`{"op":"history","room":"r","before":1,"limit":0}`, "bad_request", "", "limit"},
	{`{"op":"nick","id":"i"}`, "bad_request", "i", "nick"},
	{`{"op":"nick","nick":"","id":"i"}`, "bad_request", "i", "characters"},
	{`{"op":"nick","nick":"a:b"}`, "bad_request", "", "colon"},
	{`{"op":"nick","nick":"a\u202eb"}`, "bad_request", "", "letters"},
	{`{"op":"nick","nick":"\ud800"}`, "bad_request", "", "letters"},
	{`{"op":"nick","nick":"user-1"}`, "bad_request", "", "user-N"},
	{`{"op":"nick","nick":"BOB","id":"i"}`, "nick_taken", "i", "BOB"},
	{`{"op":"join","id":"i"}`, "bad_request", "i", "room"},
	{`{"op":"join","room":"r","id":"i"}`, "bad_request", "i", "already"},
	{`{"op":"join","room":"a/b"}`, "bad_request", "", "64"},
	{`{"op":"join","room":"` + strings.Repeat("r", 65) + `"}`, "bad_request", "", "64"},
	{`{"op":"join","room":"other","epoch":"1"}`, "bad_request", "", "after"},
	{`{"op":"join","room":"other","after":1}`, "bad_request", "", "epoch"},
	{`{"op":"join","room":"other","history":-1}`, "bad_request", "", "history"},
	{`{"op":"ping","id":"` + strings.Repeat("i", 65) + `"}`, "too_long", "", "64"},
	{`{"op":"say","room":"r","text":"` + strings.Repeat("x", 16<<10+1) + `","id":"i"}`, "too_long", "i", "16384"},
	{strings.Repeat("[", 64<<10), "bad_request", "", "max depth"},
	{`{"op":"ping","x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `,"id":7}`, "bad_request", "", "id"},
	{`{"` + strings.Repeat("x", 60_000) + `":`, "bad_request", "", "JSON"},
	{`{"op":"` + strings.Repeat("é", 30_000) + `"}`, "bad_request", "", "unknown op é"},
}

// Bad input gets the documented error, in words and no longer than they need to be, and the connection lives.
func TestV1BadInput(t *testing.T) {
	w := start(t, freeze)
	bob, _, _ := w.seated("bob", "elsewhere")
	ann, _, _ := w.seated("ann", "r")
	for _, c := range wrongs {
		e := ann.fails(c.request, c.code)
		why, _ := e["message"].(string)
		if id, _ := e["id"].(string); id != c.id || !strings.Contains(why, c.word) || len(why) > 250 {
			t.Errorf("%.100s is answered %v", c.request, e)
		}
	}
	ann.lives()
	bob.lives()
}

// What is unknown, absent or there twice, and fields in other letters, as docs/throng.v1.md has it.
func TestV1Lenient(t *testing.T) {
	w := start(t, freeze)
	ann, _, _ := w.seated("ann", "r")
	for _, c := range []struct{ request, text, id string }{
		{`{"op":"say","room":"r","text":"plain"}`, "plain", ""},
		{` {"colour":{"deep":[1,{"x":null}]},"op":"say" , "room":"r","text":"unknown","nick":"eve","before":1} `, "unknown", ""},
		{`{"op":"say","room":"r","text":"first","text":"last","id":"1","id":"2"}`, "last", "2"},
		{`{"op":"ping","op":"say","room":"r","text":"twice"}`, "twice", ""},
		{`{"op":"say","room":"r","text":"null","id":null,"limit":null,"nick":null}`, "null", ""},
		{`{"OP":"say","Room":"r","tEXT":"case","ID":"3"}`, "case", "3"},
		{`{"op":"say","room":"r","text":""}`, "", ""},
		{`{"op":"say","room":"r","text":"\ud83d\ude00\u0000\ud800x\u2028"}`, "😀\x00\ufffdx\u2028", ""},
		{`{"op":"say","room":"r","text":"` + strings.Repeat("x", 16<<10) + `"}`, strings.Repeat("x", 16<<10), ""},
		{`{"op":"say","room":"r","text":"` + strings.Repeat(`\n`, 16<<10) + `"}`, strings.Repeat("\n", 16<<10), ""},
		{`{"op":"say","room":"r","text":"x","x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`, "x", ""},
	} {
		ann.say(c.request)
		m := ann.expect("msg")
		if id, _ := m["id"].(string); m["text"] != c.text || id != c.id {
			t.Errorf("%.100s is %v", c.request, m)
		}
	}
}

// A connection is in so many rooms and no more, which hello says, and each join beyond is counted.
func TestV1RoomsPerConn(t *testing.T) {
	w := start(t, freeze, func(o *options) { o.chat.RoomsPerConn = 2 })
	ann, hello, _ := w.seated("ann", "a")
	if n := hello["limits"].(map[string]any)["rooms"]; n != 2.0 {
		t.Errorf("hello says %v", n)
	}
	for _, c := range []struct{ request, t, code string }{
		{`{"op":"join","room":"b"}`, "joined", ""},
		{`{"op":"join","room":"c"}`, "error", "forbidden"},
		{`{"op":"leave","room":"a"}`, "left", ""},
		{`{"op":"join","room":"c"}`, "joined", ""},
		{`{"op":"join","room":"a"}`, "error", "forbidden"},
	} {
		ann.trySay(c.request)
		if o := ann.expect(c.t); c.code != "" && o["code"] != c.code {
			t.Errorf("%s: %v", c.request, o)
		}
	}
	if n := w.metric("refused_joins_total"); n != 2 {
		t.Errorf("%d refusals were counted", n)
	}
	ann.conn.Close()
}

// All connections of somebody together are in eight times as many: the next room is refused, whether it stands in an address or is joined,
// and one that somebody is in through another connection is not.
func TestV1RoomsPerPerson(t *testing.T) {
	w := start(t, freeze, func(o *options) { o.chat.RoomsPerConn = 1 })
	ann, hello, _ := w.seated("ann", "r0")
	sit := func(room string) *person {
		p := w.sit("/chat/" + room + "?history=0&token=" + hello["token"].(string))
		p.expect("hello")
		return p
	}
	for i := 1; i < 8; i++ {
		sit(fmt.Sprint("r", i)).expect("joined")
	}
	late := sit("r8")
	if o := late.expect("error"); o["code"] != "forbidden" || !strings.Contains(o["message"].(string), "8 rooms") {
		t.Errorf("%v", o)
	}
	late.say(`{"op":"join","room":"r9","id":"i"}`)
	if o := late.expect("error"); o["code"] != "forbidden" || o["id"] != "i" {
		t.Errorf("%v", o)
	}
	late.say(`{"op":"join","room":"r3"}`)
	late.expect("joined")
	if n := w.metric("refused_joins_total"); n != 2 {
		t.Errorf("%d refusals were counted", n)
	}
	ann.say(`{"op":"leave","room":"r0"}`)
	ann.expect("left")
	sit("r8").expect("joined")
}

// Ten thousand joins on one connection: 32 rooms, and errors that say so; and ten thousand after leaving again leave
// nothing behind.
func TestV1ManyJoins(t *testing.T) {
	const joins = 10_000
	w := start(t, freeze)
	ann, _, _ := w.seated("ann", "r")
	go func() {
		for i := range joins {
			ann.trySay(fmt.Sprintf(`{"op":"join","room":"r%d"}`, i))
		}
		for i := range joins {
			ann.trySay(fmt.Sprintf(`{"op":"leave","room":"r%d"}`, i))
		}
		for i := range joins {
			ann.trySay(fmt.Sprintf(`{"op":"join","room":"again%d"}`, i))
			ann.trySay(fmt.Sprintf(`{"op":"leave","room":"again%d"}`, i))
		}
	}()
	wants := func(n int, t, code string) {
		ann.Helper()
		for range n {
			if o := ann.expect(t); code != "" && o["code"] != code {
				ann.Fatal(o)
			}
		}
	}
	wants(31, "joined", "")
	wants(joins-31, "error", "forbidden")
	wants(31, "left", "")
	wants(joins-31, "error", "not_member")
	for range joins {
		wants(1, "joined", "")
		wants(1, "left", "")
	}
	ann.lives()
	if n := w.chat.Left().Halls; n > 1 { // before any tick: nobody is left in them to be told
		t.Errorf("something is to be told in %d rooms, and ann is in one", n)
	}
	w.late.Add(int64(1e9)) // rooms are told, and forgotten
	eventually(t, func() error { return count("rooms", w.chat.Left().Rooms, 1) })
	eventually(t, func() error { return count("halls", w.chat.Left().Halls, 0) })
}

// The last room of a server that has all it may have.
func TestV1NoMoreRooms(t *testing.T) {
	w := start(t, freeze, func(o *options) { o.chat.Rooms.Rooms = 2 })
	ann, _, _ := w.seated("ann", "r")
	ann.say(`{"op":"join","room":"second"}`)
	ann.expect("joined")
	if e := ann.fails(`{"op":"join","room":"third","id":"i"}`, "unavailable"); e["id"] != "i" || e["retry_ms"].(float64) < 1 {
		t.Error(e)
	}
	ann.say(`{"op":"leave","room":"second"}`, `{"op":"join","room":"third"}`)
	ann.expect("left")
	ann.expect("joined")
}

// Who wants to resume from a number that the room has not reached, or in an epoch that is not its own, misses nothing silently and
// is told nothing that is not so: a join like any other.
func TestV1ResumesThatAreNone(t *testing.T) {
	w := start(t, freeze)
	bob, _, joined := w.seated("bob", "r")
	for _, text := range []string{"one", "two", "three"} {
		bob.until("r", text)
	}
	own := joined["epoch"].(string)
	for _, c := range []struct {
		epoch string
		after uint64
	}{
		{own, 4}, {own, 1 << 32}, {own, 1<<32 + 2}, {own, 1<<53 - 1}, {own, 1<<64 - 1},
		{"1", 2}, {"0", 0}, {"", 2}, {"no hexadecimal number", 2}, {own + "0", 2}, {strings.Repeat("f", 1000), 1<<64 - 1}, {"-" + own, 2},
	} {
		ann, _, _ := w.seated("ann", "own")
		ann.say(fmt.Sprintf(`{"op":"join","room":"r","epoch":%q,"after":%d,"history":2,"id":"i"}`, c.epoch, c.after))
		eve := w.sit(fmt.Sprintf("/chat/r?history=2&epoch=%s&after=%d", url.QueryEscape(c.epoch), c.after))
		eve.expect("hello")
		for _, p := range []*person{ann, eve} {
			if j := p.expect("joined"); j["resumed"] != false || j["epoch"] != own || j["seq"] != 3.0 {
				t.Errorf("%v: %v", c, j)
			}
			for _, want := range []string{"two", "three"} {
				if m := p.expect("msg"); m["text"] != want {
					t.Errorf("%v: %v", c, m)
				}
			}
			p.lives()
		}
		w.drop(ann)
		w.drop(eve)
		w.late.Add(int64(time.Minute))
		w.chat.DoTick() // the nickname is free
		eventually(t, func() error { return count("persons", w.chat.Left().Persons, 1) })
	}
}

// A text within its limit fits into a frame, however it is written, if no more than half of it are control characters, which
// JSON writes as six bytes. Otherwise the frame is too large, and what it says is never looked at.
func TestV1ControlCharacters(t *testing.T) {
	const limit = 16 << 10
	w := start(t, freeze)
	ann, _, _ := w.seated("ann", "r")
	for i, c := range []struct{ unit, escaped string }{
		{"\x1bx", `\u001bx`}, {"\"", `\"`}, {"\n", `\n`}, {"é", `\u00e9`}, {"😀", `\ud83d\ude00`}, {"\x1b[", `\u001b[`},
	} {
		times := limit / len(c.unit)
		id := strings.Repeat(`\u0001`, 63) + strconv.Itoa(i)
		ann.say(fmt.Sprintf(`{"op":"say","room":"r","text":"%s","id":"%s"}`, strings.Repeat(c.escaped, times), id))
		if m := ann.expect("msg"); m["text"] != strings.Repeat(c.unit, times) {
			t.Errorf("%q: %.100v", c.unit, m)
		}
	}
	ann.say(said("r", strings.Repeat("\x1b", limit*2/3), ""))
	ann.closed(ws.StatusMessageTooBig)
}

// A binary frame ends the connection, as does a frame over the limit.
func TestV1NotText(t *testing.T) {
	w := start(t, freeze)
	ann, _, _ := w.seated("ann", "r")
	ann.send(ws.OpBinary, `{"op":"ping"}`)
	ann.closed(ws.StatusUnsupportedData)
	bob, _, _ := w.seated("bob", "r")
	bob.say(strings.Repeat("[", 64<<10+1))
	bob.closed(ws.StatusMessageTooBig)
}

// FuzzRequests: whatever ann sends is answered as the schema has it, or has no answer where none is due, and she and bob, who
// speaks plain text, go on.
func FuzzRequests(f *testing.F) {
	for _, c := range wrongs {
		if len(c.request) < 2000 {
			f.Add(c.request)
		}
	}
	for _, op := range []string{
		`{"op":"say","room":"ROOM","text":"\u0000\"\\","id":"i"}`, `{"op":"join","room":"x","history":9}`, `{"op":"leave","room":"ROOM","id":"\n"}`,
		`{"op":"who","room":"ROOM","limit":1,"after":18446744073709551615}`, `{"op":"history","room":"ROOM","before":18446744073709551615}`,
		`{"op":"typing","room":"ROOM"}`, `{"op":"ping"}`, `{"op":"nick","nick":"\"\\'é"}`,
		`{"op":"join","room":"x","epoch":"ffffffffffffffff","after":18446744073709551615}`,
	} {
		f.Add(op)
	}
	at := fuzzed(f, -1)
	var rounds atomic.Int64
	f.Fuzz(func(t *testing.T, request string) {
		in := fmt.Sprint("r", rounds.Add(1))
		request = strings.ReplaceAll(request, "ROOM", in)
		if !utf8.ValidString(request) || len(request) > 32<<10 {
			return
		}
		w := at(t)
		bob := w.join("/chat/" + in)
		ann := w.sit("/chat/" + in + "?history=0")
		ann.expect("hello")
		ann.expect("joined")
		ann.say(request, said(in, "the end", "the end"))
		answers := 0
		for o := ann.get(); o["id"] != "the end"; o = ann.get() { // a msg, or an error if she has left
			if o["t"] != "presence" {
				answers++
			}
		}
		var q struct{ Op string }
		if json.Unmarshal([]byte(request), &q); q.Op != "typing" && answers != 1 {
			t.Fatalf("%q is answered %d times", request, answers)
		}
		bob.say("still there?")
		for line := bob.hear(); !strings.HasSuffix(line, ": still there?"); line = bob.hear() {
		}
		for _, p := range []*person{ann, bob} {
			p.send(ws.OpClose, "")
			p.conn.Close()
		}
	})
}

// TestLastWordsComeAfterTheRest: whom the server sends away gets first what the room has heard, though it was not yet his turn.
func TestLastWordsComeAfterTheRest(t *testing.T) {
	w := start(t)
	ann := w.as("ann", "r")
	w.chat.Post("r", "ann", func(c *server.Conn) { // as when a drain begins in the turn behind the message
		w.chat.Message(c, server.Message{Op: ws.OpText, Payload: []byte("last words")})
		w.chat.Farewell(c, ws.StatusGoingAway, "")
		c.Close(ws.StatusGoingAway, "")
	})
	ann.wants("ann: last words")
	ann.closed(ws.StatusGoingAway)
}
