package chat_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"throng/chat"
)

// texts are strings with all that JSON treats in a way of its own.
var texts = []string{
	"", "a", `"`, `\`, `\"`, `\\`, "\n\t\r\b\f\x00\x1f\x7f", "é😀\u2028\u2029", `{"nick":"x"},"text":"y"`, `\u0041`, "<script>&amp;", "\\", `a\`, "\u202e",
	`","from":{"id":"`, strings.Repeat("long, ", 50), strings.Repeat(`"\`, 100),
}

// FuzzString: a string that is encoded here is what encoding/json makes of it, and is found and decoded again.
func FuzzString(f *testing.F) {
	for _, s := range texts {
		f.Add(s, "rest")
		f.Add(s, `"rest"`)
	}
	f.Fuzz(func(t *testing.T, s, rest string) {
		if !utf8.ValidString(s) {
			return
		}
		b := chat.AppendString([]byte("before"), s)
		enc, found := bytes.CutPrefix(b, []byte("before"))
		var got string
		if err := json.Unmarshal(enc, &got); !found || err != nil || got != s {
			t.Fatalf("%q is encoded as %s, which is %q (%v)", s, b, got, err)
		}
		inside, behind, ok := chat.CutString(append(enc, rest...))
		if !ok || string(behind) != rest || string(chat.Unescape(nil, inside)) != s {
			t.Fatalf("%q is found as %q, before %q", s, inside, behind)
		}
		// Whatever the bytes are: no panic, and what is cut is what encoding/json reads.
		inside, behind, ok = chat.CutString([]byte(rest))
		chat.Unescape(nil, []byte(rest))
		if !ok {
			return
		}
		if cut := strings.TrimSuffix(rest, string(behind)); json.Unmarshal([]byte(cut), &got) != nil {
			return // control characters, or escapes that are none
		} else if want := chat.AppendString(nil, got); string(want) == cut && string(chat.Unescape(nil, inside)) != got {
			t.Fatalf("%q is %q, not %q", cut, chat.Unescape(nil, inside), got)
		}
	})
}

// FuzzMessage: what somebody says is, in each view, what encoding/json and compress/flate read, and the history gives the
// plain views the same line.
func FuzzMessage(f *testing.F) {
	for i, s := range texts {
		f.Add("ann", s, "id-1", uint64(i), uint8(i))
		f.Add(`a"\b`, s, "", uint64(1)<<53, uint8(15))
		f.Add("é", strings.Repeat(s, 30), s, ^uint64(0)>>1, uint8(i))
	}
	f.Fuzz(func(t *testing.T, nick, text, id string, seq uint64, in uint8) {
		if !utf8.ValidString(nick) || !utf8.ValidString(text) || !utf8.ValidString(id) || nick == "" || len(text) > 1<<16 {
			return
		}
		var views []int
		for v := range 4 {
			if in>>v&1 == 1 {
				views = append(views, v)
			}
		}
		frames := chat.Said("the.room_-1", "0123abc", nick, text, id, seq, views)
		want := fields{
			"t": "msg", "seq": json.Number(fmt.Sprint(seq)), "prev": json.Number(fmt.Sprint(seq / 2)), "ts": json.Number(fmt.Sprint(seq % 1e15)),
			"room": "the.room_-1", "from": map[string]any{"id": "0123abc", "nick": nick}, "text": text,
		}
		if id != "" {
			want["id"] = id
		}
		for view, b := range frames {
			line := payload(t, b)
			if view == chat.PlainView || view == chat.PlainDeflated {
				if line != nick+": "+text {
					t.Fatalf("view %d has %q", view, line)
				}
				continue
			}
			var got fields
			d := json.NewDecoder(strings.NewReader(line))
			d.UseNumber()
			if err := d.Decode(&got); err != nil || !reflect.DeepEqual(got, want) || d.More() {
				t.Fatalf("view %d has %s (%v)", view, line, err)
			}
			if !strings.HasPrefix(line, `{"t":"msg","seq":`) {
				t.Fatalf("%.50s", line)
			}
		}
		history := frames[chat.JSONView]
		for _, view := range []int{chat.PlainView, chat.PlainDeflated} {
			got, found := bytes.CutPrefix(chat.Recode([]byte("before"), history, view), []byte("before"))
			if !found || !bytes.Equal(got, frames[chat.PlainView]) {
				t.Fatalf("the history has %q of %q", got, frames[chat.PlainView])
			}
		}
		if got := chat.Recode(nil, history, chat.JSONDeflated); !bytes.Equal(got, history) {
			t.Fatalf("the history has %q of %q", got, history)
		}
	})
}

// payload reads a frame with the library.
func payload(t *testing.T, b []byte) string {
	t.Helper()
	r := bytes.NewReader(b)
	f, err := readFrame(r)
	if err != nil || r.Len() > 0 || f.Header.OpCode != ws.OpText || f.Header.Masked || !f.Header.Fin {
		t.Fatalf("%q: %v", b, err)
	}
	line, err := inflated(f)
	must(t, err)
	return line
}

// FuzzSpoken: what is no message of the history is not taken for one, and nothing panics.
func FuzzSpoken(f *testing.F) {
	for _, s := range texts {
		f.Add([]byte(`{"t":"msg","seq":1,"prev":0,"ts":1,"room":"r","from":{"id":"1","nick":"n"},"text":"` + s + `"}`))
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		nick, text, ok := chat.Spoken(b)
		if ok {
			chat.Unescape(chat.Unescape(nil, nick), text)
		} else if nick != nil && text != nil {
			t.Fatalf("%q and %q in %q", nick, text, b)
		}
	})
}

// list is what a client knows of a room, as docs/throng.v1.md tells it to.
type list map[string]string

// read takes a presence line in.
func (l list) read(t *testing.T, line string) {
	t.Helper()
	if _, err := readObject(line); err != nil {
		t.Fatal(err)
	}
	var p struct {
		Left, Joined []struct{ ID, Nick string }
		Renamed      []struct{ ID, Old, Nick string }
	}
	must(t, json.Unmarshal([]byte(line), &p))
	for _, c := range p.Left {
		delete(l, c.ID)
	}
	for _, c := range p.Joined {
		l[c.ID] = c.Nick
	}
	for _, c := range p.Renamed {
		if _, ok := l[c.ID]; ok {
			l[c.ID] = c.Nick
		}
	}
}

// FuzzPresence: whatever happens between two lines, one who knew everybody before knows everybody after, and so does one who
// has asked in between.
func FuzzPresence(f *testing.F) {
	for i := range uint64(50) {
		f.Add(i, uint8(i), uint8(i/2))
	}
	f.Fuzz(func(t *testing.T, seed uint64, steps, ask uint8) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		there, known, asking := list{}, list{}, list{}
		for id := range rnd.IntN(4) {
			there[fmt.Sprint(id)], known[fmt.Sprint(id)] = fmt.Sprint("n", id), fmt.Sprint("n", id)
		}
		asks := int(ask) % (int(steps) + 1)
		var changes []chat.Change
		for i := range int(steps) + 1 {
			if i == asks {
				for id, nick := range there {
					asking[id] = nick
				}
			}
			id, nick := fmt.Sprint(rnd.IntN(5)), texts[3+rnd.IntN(7)]+fmt.Sprint(rnd.IntN(3))
			old, in := there[id]
			switch {
			case !in:
				changes = append(changes, chat.Change{Kind: "joined", ID: id, Nick: nick})
				there[id] = nick
			case rnd.IntN(2) == 0:
				changes = append(changes, chat.Change{Kind: "left", ID: id, Nick: old})
				delete(there, id)
			case old != nick:
				changes = append(changes, chat.Change{Kind: "renamed", ID: id, Old: old, Nick: nick})
				there[id] = nick
			}
		}
		for name, l := range map[string]list{"known": known, "asking": asking} {
			for _, asked := range []bool{true, name == "asking"} {
				line := chat.Presence("r", len(there), false, asked, changes...)
				if l.read(t, line); !reflect.DeepEqual(l, there) {
					t.Fatalf("%s: %v after %s, not %v\n%v", name, l, line, there, changes)
				}
			}
		}
	})
}

// The order of the lists, and what cancels out.
func TestPresenceLine(t *testing.T) {
	joined, left := chat.Change{Kind: "joined", ID: "1", Nick: `a"`}, chat.Change{Kind: "left", ID: "1", Nick: `a"`}
	renamed, back := chat.Change{Kind: "renamed", ID: "1", Old: `a"`, Nick: "b"}, chat.Change{Kind: "renamed", ID: "1", Old: "b", Nick: `a"`}
	const begin = `{"t":"presence","room":"r",`
	for _, c := range []struct {
		asked   bool
		changes []chat.Change
		want    string
	}{
		{false, nil, `"left":[],"joined":[],"renamed":[],"members":7}`},
		{false, []chat.Change{joined}, `"left":[],"joined":[{"id":"1","nick":"a\""}],"renamed":[],"members":7}`},
		{false, []chat.Change{joined, left}, `"left":[],"joined":[],"renamed":[],"members":7}`},
		{true, []chat.Change{joined, left}, `"left":[{"id":"1","nick":"a\""}],"joined":[],"renamed":[],"members":7}`},
		{false, []chat.Change{left, joined}, `"left":[{"id":"1","nick":"a\""}],"joined":[{"id":"1","nick":"a\""}],"renamed":[],"members":7}`},
		{false, []chat.Change{renamed}, `"left":[],"joined":[],"renamed":[{"id":"1","old":"a\"","nick":"b"}],"members":7}`},
		{false, []chat.Change{renamed, back}, `"left":[],"joined":[],"renamed":[],"members":7}`},
		{false, []chat.Change{joined, renamed}, `"left":[],"joined":[{"id":"1","nick":"b"}],"renamed":[],"members":7}`},
		{false, []chat.Change{renamed, left}, `"left":[{"id":"1","nick":"a\""}],"joined":[],"renamed":[],"members":7}`},
	} {
		if got := chat.Presence("r", 7, false, c.asked, c.changes...); got != begin+c.want {
			t.Errorf("%v: %s", c.changes, got)
		}
	}
	if got := chat.Presence("r", 1001, true, true, joined); got != begin+`"members":1001}` {
		t.Error(got)
	}
}
