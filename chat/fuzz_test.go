package chat_test

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"golang.org/x/text/unicode/norm"

	"throng/chat"
	"throng/poller"
	"throng/room"
	"throng/server"
)

// FuzzNick: a nickname that can be chosen ends at the colon in "NICK: TEXT", shows
// all of itself, and is unlike any other.
func FuzzNick(f *testing.F) {
	for _, nick := range []string{
		"ann", "", " ", "user-1", "USER-1", "ｕser-１", "user-x", "a:b", "a：b", "a\u202eb", "\u0301a", "e\u0301", "❤\ufe0f", "\u3164", "a\u2800", "ß", "SS", "ﬁ", "ſ",
		"a  b", "a b ", "\xff", strings.Repeat("é", 32), strings.Repeat("é", 33), "İ", "ŉ", "\u1160", "a\u00a0b", "℀", "⑴", "\U000e0061", "ꭴ",
	} {
		f.Add(nick)
	}
	f.Fuzz(func(t *testing.T, nick string) {
		names := chat.NewNames(1)
		ann, bob := names.Draw(), names.Draw()
		was := ann.Nick()
		if ann.Choose(nick) != nil {
			if o, x := names.Count(); o+x > 0 || ann.Nick() != was {
				t.Fatalf("%q was refused and left %d, %d, %q", nick, o, x, ann.Nick())
			}
			return
		}
		got := ann.Nick()
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > 32 || got != norm.NFC.String(nick) || strings.TrimSpace(got) != got || got == "" {
			t.Fatalf("%q gives %q", nick, got)
		}
		for _, r := range norm.NFKC.String(got) {
			if r == ':' || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
				t.Fatalf("%q has %q in it", got, r)
			}
		}
		if chat.Key(chat.Key(got)) != chat.Key(got) {
			t.Fatalf("the key of %q is %q, whose key is %q", got, chat.Key(got), chat.Key(chat.Key(got)))
		}
		for _, alike := range []string{got, strings.ToUpper(got), strings.ToLower(got), norm.NFD.String(got), norm.NFKC.String(got)} {
			if chat.Key(alike) == chat.Key(got) && bob.Choose(alike) == nil {
				t.Fatalf("%q and %q are there at the same time", got, alike)
			}
		}
		if norm.NFKC.String(got) != got && bob.Choose(norm.NFKC.String(got)) == nil {
			t.Fatalf("%q and its compatible form are there at the same time", got)
		}
		ann.Release()
		bob.Release()
		if o, x := names.Count(); o+x > 0 {
			t.Fatalf("%d and %d are left of %q", o, x, got)
		}
	})
}

// fuzzed starts the server of a fuzz target, and gives each of its runs a way there.
func fuzzed(f *testing.F, presence int) func(*testing.T) *world {
	kernel, err := poller.System()
	if err != nil {
		f.Fatal(err)
	}
	rooms := room.Defaults()
	rooms.Now = kernel.Now
	ch := chat.New(chat.Config{Rooms: rooms, PresenceLimit: presence}, 1)
	srv, err := server.New(server.Config{
		Listen: []string{"127.0.0.1:0"}, Workers: 1, Kernel: kernel, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}, ch, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { srv.Close() })
	return func(t *testing.T) *world {
		return &world{T: t, chat: ch, srv: srv, addr: srv.Addrs()[0].String()}
	}
}

// FuzzCommands: whatever ann says is heard by both as it is, or answered to her alone;
// what she says next comes under the nickname that she has then.
func FuzzCommands(f *testing.F) {
	for _, line := range []string{
		"hello", "", "/", "//", "//me", "/nick", "/nick eve", "/nick  eve ", "/nick user-1", "/nick a:b", "/who", "/who x", "/help", "/help\n", "/nope", "/\u202e", "/nick é",
		"/NICK x", "/nick\tx", " /who", "/" + strings.Repeat("é", 200), "/nick " + strings.Repeat("x", 5000), "/nick ❤\ufe0f", "/nick bob",
	} {
		f.Add(line)
	}
	at := fuzzed(f, 1000)
	var rounds atomic.Int64
	f.Fuzz(func(t *testing.T, line string) {
		if !utf8.ValidString(line) || len(line) > 32<<10 {
			return
		}
		w := at(t)
		n := rounds.Add(1)
		in, ann := fmt.Sprint("r", n), fmt.Sprint("ann", n)
		a, b := w.as(ann, in), w.as(fmt.Sprint("bob", n), in)
		a.say(line, "end")
		obey(t, a, b, ann, line)
		for _, p := range []*person{a, b} {
			p.send(ws.OpClose, "")
			p.conn.Close()
		}
	})
}

// obey reads what both get of a line and the "end" behind it.
func obey(t *testing.T, a, b *person, ann, line string) {
	text, command := line, strings.HasPrefix(line, "/")
	if strings.HasPrefix(line, "//") {
		text, command = line[1:], false
	}
	if !command {
		for _, p := range []*person{a, b} {
			p.wants(ann+": "+text, ann+": end")
		}
		return
	}
	heard := b.hear()
	if change, ok := strings.CutPrefix(heard, " .... "+ann+" is now "); ok {
		if !strings.HasPrefix(line, "/nick ") || !strings.HasSuffix(change, ".") {
			t.Fatalf("%q made %q", line, heard)
		}
		ann = strings.TrimSuffix(change, ".")
		heard = b.hear()
	}
	if heard != ann+": end" {
		t.Fatalf("after %q the other one heard %q", line, heard)
	}
	answers := 0
	for got := a.hear(); got != heard; got = a.hear() {
		if answers++; !strings.HasPrefix(got, " .... ") || answers > 10 || len(got) > 350 {
			t.Fatalf("%q was answered %q", line, got)
		}
	}
	if answers == 0 {
		t.Fatalf("%q was not answered", line)
	}
}
