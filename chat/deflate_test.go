package chat_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"

	"throng/frame"
)

// deflating joins a room with permessage-deflate.
func (w *world) deflating(nick, room, query string) *person {
	w.Helper()
	offer := []httphead.Option{httphead.NewOption("permessage-deflate", nil)}
	p, err := w.dial(ws.Dialer{Extensions: offer}, "/chat/"+room+"?nick="+nick+query)
	must(w.T, err)
	return p
}

// hearPacked receives the next line, and whether it came compressed.
func (p *person) hearPacked() (line string, packed bool) {
	p.Helper()
	f, err := p.frame()
	must(p.T, err)
	if f.Header.OpCode != ws.OpText || !f.Header.Fin {
		p.Fatalf("a frame %v with %q, not a line", f.Header, f.Payload)
	}
	line, err = inflated(f)
	must(p.T, err)
	return line, f.Header.Rsv1()
}

// In a room with both kinds of members each is served from its own view, and a message is compressed once,
// however many there are; a short one, and a room without such members, cost no compression.
func TestEachMemberHasItsView(t *testing.T) {
	const each = 10
	w := start(t)
	ann := w.as("ann", "r")
	var plain, packing []*person
	for i := range each {
		plain = append(plain, w.as(fmt.Sprint("plain-", i), "r"))
		packing = append(packing, w.deflating(fmt.Sprint("packing-", i), "r", ""))
	}
	everybody := func(line string, compressed bool) {
		t.Helper()
		ann.wants(line)
		for i := range each {
			plain[i].wants(line)
			if got, packed := packing[i].hearPacked(); got != line || packed != compressed {
				t.Fatalf("packing-%d got %q, compressed: %v", i, got, packed)
			}
		}
	}
	long := strings.Repeat("a long message, ", 50)
	said := func(n int) { // messages that were worth it
		t.Helper()
		line := len("ann: " + long)
		got := w.srv.Stats().Deflated
		if want := (frame.DeflateCounts{Messages: uint64(n), In: uint64(n * line), Out: got.Out}); got != want || got.Out > got.In/5 {
			t.Fatalf("%+v after %d messages of %d bytes", got, n, line)
		}
	}
	ann.say(long)
	everybody("ann: "+long, true)
	said(1)
	ann.say("short")
	everybody("ann: short", false)
	said(1)
	packing[0].say(strings.Repeat("long", 100))
	everybody("packing-0: "+strings.Repeat("long", 100), true)
	ann.say("/nick bob")
	everybody(" .... ann is now bob.", false)

	other := w.as("ann", "other")
	other.say(long)
	other.wants("ann: " + long)
	if n := w.srv.Stats().Deflated.Messages; n != 2 {
		t.Errorf("%d messages were compressed, and nobody wants that in the other room", n)
	}
	late := w.deflating("late", "other", "&history=10")
	if got, packed := late.hearPacked(); got != "ann: "+long || packed {
		t.Errorf("history is %q, compressed: %v", got, packed)
	}
	other.say(long)
	if got, packed := late.hearPacked(); got != "ann: "+long || !packed {
		t.Errorf("the next one is %q, compressed: %v", got, packed)
	}
}
