package chat_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"throng/server"
)

// history joins a room with that many earlier messages asked for, and asserts
// which come. It leaves again, and returns once the others were told.
func (w *world) history(n any, lines ...string) {
	w.Helper()
	p := w.join(fmt.Sprintf("/chat/r?nick=late&history=%v", n))
	p.wants(lines...)
	p.say("/who") // the answer comes after the history
	p.wants(" .... 2 here: ann, late")
	p.conn.Close()
}

func TestHistory(t *testing.T) {
	w := start(t, func(o *options) { o.chat.Rooms.HistoryCount = 10 })
	ann := w.as("ann", "r")
	leaves := func() { t.Helper(); ann.wants(" .... late has left.") }
	w.history(5)
	leaves()
	var said []string
	for i := range 25 {
		ann.say(fmt.Sprint("message ", i), "/nick Ann", "/nick ann")
		said = append(said, fmt.Sprint("ann: message ", i))
		ann.wants(said[i], " .... ann is now Ann.", " .... Ann is now ann.")
	}
	for _, n := range []int{0, 1, 9, 10, 11, 25, 2147483647} {
		w.history(n, said[25-min(n, 10):]...)
		leaves()
	}
	w.history("", []string{}...)
	leaves()
	w.history("0003", said[22:]...)
	leaves()
	w.late.Add(int64(2 * time.Hour)) // the history ages
	w.history(10)
	leaves()
	ann.say("afresh")
	ann.wants("ann: afresh")
	w.history(10, "ann: afresh")
	leaves()
}

// The history ends at the byte limit too, with a whole message.
func TestHistoryBytes(t *testing.T) {
	w := start(t, func(o *options) { o.chat.Rooms.HistoryBytes = 1300 })
	ann := w.as("ann", "r")
	text := strings.Repeat("x", 295) // history is kept in JSON: about 400 bytes each
	for range 7 {
		ann.say(text)
		ann.wants("ann: " + text)
	}
	w.history(100, slices.Repeat([]string{"ann: " + text}, 3)...)
}

// A room with history outlives its members, one without does not.
func TestRoomOutlivesItsMembers(t *testing.T) {
	for _, keeps := range []int{0, 200} {
		t.Run(fmt.Sprint(keeps), func(t *testing.T) {
			w := start(t, func(o *options) { o.chat.Rooms.HistoryCount = keeps })
			ann := w.as("ann", "r")
			ann.say("remember me")
			ann.wants("ann: remember me")
			ann.send(8, "")
			ann.closed(server.CodeNone)
			eventually(t, func() error { return count("connections", w.srv.Conns(), 0) })
			if err := count("rooms", w.chat.Rooms(), min(keeps, 1)); err != nil {
				t.Error(err)
			}
			bob := w.join("/chat/r?nick=bob&history=9")
			if keeps > 0 {
				bob.wants("ann: remember me")
			}
			bob.say("/who")
			bob.wants(" .... 1 here: bob")
			bob.send(8, "")
			bob.closed(server.CodeNone)
			// A tick removes the room when its history has aged.
			w.late.Add(int64(2 * time.Hour))
			eventually(t, func() error { return count("rooms", w.chat.Rooms(), 0) })
		})
	}
}

// talkers have people say numbered messages until done, each waiting for its own
// before the next, and returns what one of them heard, in that order.
func (w *world) talkers(room string, people, messages int) (heard func() []string) {
	var lines []string
	var wg sync.WaitGroup
	total := people * messages
	var joined sync.WaitGroup
	joined.Add(people)
	for i := range people {
		p := w.as(fmt.Sprint("talker", i), room)
		wg.Go(func() {
			joined.Done()
			joined.Wait()
			sent := 0
			for range total {
				if sent == 0 {
					p.trySay(fmt.Sprint(sent))
					sent++
				}
				f, err := p.frame()
				if err != nil {
					p.Error(err)
					return
				}
				line := string(f.Payload)
				if i == 0 {
					lines = append(lines, line)
				}
				if line == fmt.Sprintf("talker%d: %d", i, sent-1) && sent < messages {
					p.trySay(fmt.Sprint(sent))
					sent++
				}
			}
		})
	}
	return func() []string { wg.Wait(); return lines }
}

// Who joins with history while others talk gets everything from there on, once
// and in the order that all see.
func TestHistoryThenLive(t *testing.T) {
	const people, messages, joiners = 4, 400, 20
	w := start(t, func(o *options) { o.chat.Rooms.HistoryCount = 50 })
	heard := w.talkers("r", people, messages)
	late := make([][]string, joiners)
	var wg sync.WaitGroup
	for i := range late {
		p := w.join(fmt.Sprintf("/chat/r?history=%d", 5*i))
		wg.Go(func() {
			for {
				f, err := p.frame()
				if err != nil {
					p.Error(err)
					return
				}
				if string(f.Payload) == "the: end" {
					return
				}
				late[i] = append(late[i], string(f.Payload))
			}
		})
	}
	all := heard()
	the := w.as("the", "r")
	the.say("end")
	the.wants("the: end")
	wg.Wait()
	if len(all) != people*messages {
		t.Fatalf("%d messages of %d were heard", len(all), people*messages)
	}
	for i, lines := range late {
		if tail := all[len(all)-min(len(lines), len(all)):]; !slices.Equal(lines, tail) {
			t.Errorf("joiner %d got %d lines which are not the last %d", i, len(lines), len(tail))
		}
	}
}
