package chat_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"throng/chat"
)

// The memory budget holds with real rooms and real connections: rooms whose windows would need
// several times as much, each with somebody who reads nothing. Who talks hears everything, and who did not
// read is told exactly how much went by.
func TestMemoryOfRooms(t *testing.T) {
	const limit, rooms, messages, size = 4 << 20, 12, 250, 8 << 10
	w := start(t, func(o *options) {
		o.server.MaxHeldBytes, o.server.SendBufferBytes = limit, 4096
	})
	talkers, deaf := make([]*person, rooms), make([]*person, rooms)
	for i := range rooms {
		deaf[i] = w.deaf(fmt.Sprintf("/chat/r%d?nick=deaf%d&history=0", i, i))
		talkers[i] = w.as(fmt.Sprint("talker", i), fmt.Sprint("r", i))
	}
	most := int64(0)
	for m := range messages {
		text := fmt.Sprint(m, strings.Repeat("x", size))
		for i, p := range talkers {
			p.say(text)
			p.wants(fmt.Sprint("talker", i, ": ", text))
			most = max(most, w.srv.Stats().HeldBytes)
		}
	}
	// What one message adds, at most a page of each of the two views, is there before the turn that takes it from elsewhere.
	if most < limit*8/10 || most > limit+2*(64<<10+size) {
		t.Errorf("%d bytes were held at most, and the limit is %d", most, limit)
	}
	if s := w.srv.Stats(); s.ShedBytes < rooms*(1<<20)-limit || s.GaveUp != 0 {
		t.Errorf("%+v", s)
	}
	for i, p := range deaf {
		next, gaps := 0, 0
		for next < messages {
			line, missed := p.hear(), 0
			if _, err := fmt.Sscanf(line, " .... you missed %d messages.", &missed); err == nil {
				gaps++
				next += missed
				continue
			}
			if line != fmt.Sprint("talker", i, ": ", next, strings.Repeat("x", size)) {
				t.Fatalf("%.40q instead of message %d", line, next)
			}
			next++
		}
		if gaps == 0 {
			t.Errorf("nothing was missed in room %d", i)
		}
	}
}

// People count as memory, also for as long as they may come back: whoever comes and goes as often as can be fills no more than
// there may be, and what the rooms hold does not give for them more than it has.
func TestMemoryOfPeople(t *testing.T) {
	const limit = 64 << 10
	w := start(t, freeze, func(o *options) { o.server.MaxHeldBytes = limit })
	ear := w.as("ear", "r")
	came := 0
	for ; came < limit>>10; came++ {
		p, err := w.dial(ws.Dialer{Protocols: []string{chat.Protocol}}, "/chat/r")
		if err != nil {
			break
		}
		p.expect("hello")
		p.say(said("r", "x", "1"))
		ear.hear()
		w.drop(p)
	}
	if s := w.srv.Stats(); came < 20 || s.MemoryRefused != 1 || s.GaveUp != 0 || s.HeldBytes > limit {
		t.Errorf("%d came: %+v", came, s)
	}
	w.pass(31 * time.Second)
	w.seated("ann", "r")
}

// What a large message was composed in is not kept for the next one.
func TestLargeMessagesLeaveNothing(t *testing.T) {
	const size = 1 << 20
	w := start(t, func(o *options) { o.server.MaxMessageBytes, o.chat.MaxMessage = 8<<20, 8<<20 })
	ann := w.as("ann", "r")
	ben, _, _ := w.seated("ben", "r")
	text := strings.Repeat("x", size)
	ann.say(text)
	ann.wants("ann: " + text)
	for ben.get()["t"] != "msg" { // presence comes when it comes
	}
	ben.say(said("r", text, "large"))
	ann.wants("ben: " + text)
	for ben.get()["t"] != "msg" { // presence comes when it comes
	}
	ben.say(`{"op":"history","room":"r","id":"` + strings.Repeat("i", size) + `"}`)
	ben.get()
	ann.conn.Close()
	ben.conn.Close()
	must(t, w.srv.Close())
	if n := w.chat.Scratch(); n > size/2 {
		t.Errorf("%d bytes are kept", n)
	}
}

// TestMemoryOfManyRooms: whoever is in many rooms counts for more, with each connection, and no more when all are left.
func TestMemoryOfManyRooms(t *testing.T) {
	const rooms, each = 32, 128
	w := start(t, freeze)
	ann, hello, _ := w.seated("ann", "r0")
	also := w.sit("/chat/r0?history=0&token=" + hello["token"].(string))
	also.expect("hello")
	also.expect("joined")
	walk := func(op, answer string) {
		for _, p := range []*person{ann, also} {
			for i := 1; i < rooms; i++ {
				p.say(fmt.Sprintf(`{"op":%q,"room":"r%d","history":0}`, op, i))
				for p.get()["t"] != answer { // presence comes when it comes
				}
			}
		}
	}
	weight := func() int64 { return w.chat.Bytes() - int64(w.chat.Rooms())*512 }
	before := weight()
	walk("join", "joined")
	if n := weight() - before; n != 3*(rooms-1)*each {
		t.Errorf("%d rooms with two connections weigh %d", rooms-1, n)
	}
	walk("leave", "left")
	if n := weight(); n != before {
		t.Errorf("%d bytes are left, there were %d", n, before)
	}
	w.drop(ann)
	w.drop(also)
	w.pass(31 * time.Second)
	if n := w.chat.Bytes(); n != 0 {
		t.Errorf("%d bytes are left", n)
	}
}
