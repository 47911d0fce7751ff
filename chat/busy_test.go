package chat_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gobwas/ws"

	"throng/server"
)

// trySay says something on a goroutine of its own, which must not end the test.
func (p *person) trySay(text string) {
	b := ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewTextFrame([]byte(text))))
	if _, err := p.conn.Write(b); err != nil {
		p.Error(err)
	}
}

// A busy room gets slower, not lossy: everybody sends without waiting, with a
// window far smaller than what is on its way, and everybody gets everything, in
// one order, each sender's messages in the order of sending.
func TestBusyRoomLosesNothing(t *testing.T) {
	const people, messages = 8, 250
	w := start(t, func(o *options) {
		o.chat.Rooms.Window, o.chat.Rooms.HistoryCount = 4096, 0
		o.server.SendBufferBytes = 1 << 20 // nobody is slow
	})
	ears := make([]*person, people)
	for i := range ears {
		ears[i] = w.as(fmt.Sprint("p", i), "r")
	}
	heard := make([][]string, people)
	var wg sync.WaitGroup
	for i, p := range ears {
		wg.Go(func() {
			for m := range messages {
				p.trySay(fmt.Sprint(m))
			}
		})
		wg.Go(func() {
			for range people * messages {
				f, err := p.frame()
				if err != nil {
					p.Error(err)
					return
				}
				heard[i] = append(heard[i], string(f.Payload))
			}
		})
	}
	wg.Wait()
	next := make([]int, people)
	for _, line := range heard[0] {
		var who, m int
		if _, err := fmt.Sscanf(line, "p%d: %d", &who, &m); err != nil || m != next[who] {
			t.Fatalf("%q, after %v", line, next)
		}
		next[who]++
	}
	for i := range heard {
		if !slices.Equal(heard[i], heard[0]) {
			t.Errorf("%d saw another order than 0", i)
		}
	}
}

// Lines that members cause wait like messages: who changes nicknames as fast as
// can be takes nobody's messages away.
func TestRenamesDoNotDrownARoom(t *testing.T) {
	const renames = 4000
	w := start(t, func(o *options) {
		o.chat.Rooms.Window, o.chat.Rooms.HistoryCount = 4096, 0
		o.server.SendBufferBytes = 1 << 20 // nobody is slow
	})
	ears := make([]*person, 16)
	for i := range ears {
		ears[i] = w.as(fmt.Sprint("p", i), "r")
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range renames {
			ears[0].trySay(fmt.Sprint("/nick q", i%2))
		}
		ears[0].trySay("done")
	})
	for _, p := range ears {
		wg.Go(func() {
			for range renames {
				if f, err := p.frame(); err != nil || !strings.Contains(string(f.Payload), " is now q") {
					p.Errorf("%q, %v", f.Payload, err)
					return
				}
			}
			p.wants("q1: done")
		})
	}
	wg.Wait()
}

// What somebody sends to a busy room and does not read back comes out in order,
// commands among it.
func TestManyAtOnce(t *testing.T) {
	w := start(t, func(o *options) { o.chat.Rooms.Window, o.chat.Rooms.HistoryCount = 4096, 0 })
	ann := w.as("ann", "r")
	var burst []byte
	var want []string
	now := "ann"
	for i := range 500 {
		say, nick := fmt.Sprint("message ", i), fmt.Sprint("ann", i%7)
		for _, text := range []string{say, "/nick " + nick} {
			burst = append(burst, ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewTextFrame([]byte(text))))...)
		}
		want = append(want, now+": "+say, " .... "+now+" is now "+nick+".")
		now = nick
	}
	go func() {
		if _, err := ann.conn.Write(burst); err != nil {
			t.Error(err)
		}
	}()
	ann.wants(want...)
}

// small makes a server that keeps little, in rooms and in the kernel.
func small(o *options) {
	o.chat.Rooms.Window, o.chat.Rooms.HistoryCount = 8192, 0
	o.server.SendBufferBytes, o.server.ReceiveBufferBytes = 4096, 4096
}

// flood has ann say numbered messages that are far more than a member who reads
// nothing can have waiting, and hear them herself. It returns the other lines
// that she has heard.
func (p *person) flood(messages int) (others []string) {
	p.Helper()
	fill := strings.Repeat(".", 200)
	for i := range messages {
		text := fmt.Sprint(i, " ", fill)
		p.say(text)
		line := p.hear()
		for ; line != "ann: "+text; line = p.hear() {
			others = append(others, line)
		}
	}
	return others
}

// Somebody who has stopped reading holds nobody up. When he reads again he is
// told how many messages he has missed, and goes on from there.
func TestMissed(t *testing.T) {
	const messages = 2000
	w := start(t, small)
	bob, ann := w.deaf("/chat/r?nick=bob"), w.as("ann", "r")
	if others := ann.flood(messages); others != nil {
		t.Errorf("ann heard %q", others)
	}
	gaps := 0
	for next := 0; next < messages; {
		line := bob.hear()
		var n int
		if _, err := fmt.Sscanf(line, " .... you missed %d messages.", &n); err == nil {
			if want := fmt.Sprintf(" .... you missed %d messages.", n); line != want || n < 1 {
				t.Fatalf("%q", line)
			}
			gaps++
			next += n
			continue
		}
		if _, err := fmt.Sscanf(line, "ann: %d ", &n); err != nil || n != next {
			t.Fatalf("%q, want number %d", line, next)
		}
		next++
	}
	if gaps == 0 {
		t.Error("nothing was missed: the test proves nothing")
	}
	bob.say("here again")
	ann.wants("bob: here again")
	bob.wants("bob: here again")
}

// Notices are not counted as missed messages.
func TestMissedNoticesDoNotCount(t *testing.T) {
	const notices = 4000
	w := start(t, small)
	bob, ann := w.deaf("/chat/r?nick=bob"), w.as("ann", "r")
	long := strings.Repeat("n", 32)
	ann.say("first")
	ann.wants("ann: first")
	now := "ann"
	for i := range notices {
		nick := []string{long, strings.ToUpper(long)}[i%2]
		ann.say("/nick " + nick)
		ann.wants(" .... " + now + " is now " + nick + ".")
		now = nick
	}
	ann.say("last")
	ann.wants(now + ": last")
	bob.wants("ann: first")
	for heard := 0; ; heard++ {
		line := bob.hear()
		if strings.Contains(line, "missed") {
			t.Fatalf("%q, but there were notices only", line)
		}
		if line == now+": last" {
			if heard == notices {
				t.Error("nothing was missed: the test proves nothing")
			}
			return
		}
	}
}

// With CloseSlow he is closed instead, as soon as the server sees that he has
// missed something: when there is room for more again.
func TestCloseSlow(t *testing.T) {
	const messages = 2000
	w := start(t, small, func(o *options) { o.chat.CloseSlow = true })
	bob, ann := w.deaf("/chat/r?nick=bob"), w.as("ann", "r")
	others := ann.flood(messages)
	for next := 0; ; next++ {
		f, err := bob.frame()
		must(t, err)
		if f.Header.OpCode == ws.OpClose {
			if code, _ := ws.ParseCloseFrameData(f.Payload); code != server.CodeSlow {
				t.Errorf("closed with %d", code)
			}
			break
		}
		var n int
		if _, err := fmt.Sscanf(string(f.Payload), "ann: %d ", &n); err != nil || n != next {
			t.Fatalf("%q, want number %d", f.Payload, next)
		}
	}
	if others == nil {
		others = append(others, ann.hear())
	}
	if want := []string{" .... bob has left."}; !slices.Equal(others, want) {
		t.Errorf("ann heard %q", others)
	}
}
