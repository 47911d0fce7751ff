package chat_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"throng/chat"
)

// Coming to a room of 15,000 and leaving it takes no more memory than in one of 2,000: nothing is made that grows with the room.
func TestComingAndGoingCostsTheSameInACrowd(t *testing.T) {
	few, many := chat.ComeAndGo(2000), chat.ComeAndGo(15_000)
	if many > few+few/2+64 {
		t.Errorf("%d bytes in a room of 15,000, and %d in one of 2,000", many, few)
	}
}

// walk has somebody who is in a room of their own come to another one, or leave it.
func (p *person) walk(op, room string) {
	p.Helper()
	p.say(fmt.Sprintf(`{"op":%q,"room":%q,"history":0}`, op, room))
	for o := p.get(); o["t"] != map[string]string{"join": "joined", "leave": "left"}[op]; o = p.get() {
	}
}

// until receives what comes before a message of one's own.
func (p *person) until(room, text string) (news []fields) {
	p.Helper()
	p.say(said(room, text, ""))
	for o := p.get(); o["t"] != "msg"; o = p.get() {
		news = append(news, o)
	}
	return news
}

// The rooms of somebody who is renamed hear of it in the order of their names: nothing that the server does is left to chance.
func TestRenameIsToldInOrder(t *testing.T) {
	w := start(t, freeze)
	ann, _, _ := w.seated("ann", "own")
	bob, _, _ := w.seated("bob", "bobs")
	var rooms, told []string
	for i := range 8 {
		rooms = append(rooms, fmt.Sprint("r", i))
		ann.walk("join", rooms[i])
		bob.walk("join", rooms[i])
	}
	w.pass(time.Second)
	bob.until("bobs", "what came before")
	ann.say(`{"op":"nick","nick":"anna"}`)
	ann.until("own", "renamed")
	w.pass(time.Second)
	for _, o := range bob.until("bobs", "end") {
		told = append(told, o["room"].(string))
	}
	if !slices.Equal(told, rooms) {
		t.Errorf("%v were told in this order", told)
	}
}

// However many come and go, a room is told twice a second at most, and within two ticks of that.
func TestPresenceTwiceASecond(t *testing.T) {
	const step, steps = 50 * time.Millisecond, 80
	w := start(t, freeze)
	ann, _, _ := w.seated("ann", "r")
	var others []*person
	for i := range 8 {
		p, _, _ := w.seated(fmt.Sprint("p", i), "elsewhere")
		others = append(others, p)
	}
	var told []time.Duration
	for i := range steps {
		for j, p := range others {
			p.walk([]string{"join", "leave"}[(i+j)%2^j%2], "r")
		}
		w.pass(step)
		for range ann.until("r", fmt.Sprint(i)) {
			told = append(told, time.Duration(i)*step)
		}
	}
	for i := range told[1:] {
		if apart := told[i+1] - told[i]; apart < 500*time.Millisecond {
			t.Errorf("told %v after it was told", apart)
		}
	}
	if most := int(steps * step / (500 * time.Millisecond)); len(told) < most-1 || len(told) > most {
		t.Errorf("told at %v", told)
	}
}

// Above the limit the number of members is all that is told, in plain text nothing; below it everybody is told again who comes and goes.
func TestPresenceOfLargeRooms(t *testing.T) {
	const limit = 5
	w := start(t, freeze, func(o *options) { o.chat.PresenceLimit, o.chat.Announce = limit, true })
	ann, _, _ := w.seated("ann", "r")
	ear := w.as("ear", "r")
	ear.wants(" .... ear has joined.")
	var others []*person
	for i := range 6 {
		p, _, _ := w.seated(fmt.Sprint("p", i), fmt.Sprint("own", i))
		others = append(others, p)
	}
	round := 0
	tells := func(members int, listed bool) {
		t.Helper()
		round++
		w.pass(time.Second)
		news := ann.until("r", fmt.Sprint("round ", round))
		if len(news) != 1 || news[0]["members"] != float64(members) || (news[0]["joined"] != nil) != listed {
			t.Fatalf("%v, want one of %d", news, members)
		}
	}
	tells(2, true)
	for i, p := range others[:3] {
		p.walk("join", "r")
		ear.wants([]string{"ann: round 1"}[:max(0, 1-i)]...)
		ear.wants(fmt.Sprintf(" .... p%d has joined.", i))
	}
	tells(5, true)
	others[3].walk("join", "r")
	tells(6, false)
	others[4].walk("join", "r")
	others[3].say(`{"op":"typing","room":"r"}`)
	tells(7, false)
	others[0].walk("leave", "r")
	others[1].walk("leave", "r") // down to the limit, in a round that began above it
	tells(5, false)
	ear.wants("ann: round 2", "ann: round 3", "ann: round 4", "ann: round 5")
	others[2].walk("leave", "r")
	ear.wants(" .... p2 has left.")
	tells(4, true)
	for range limit + 1 { // too many changes at once
		others[0].walk("join", "r")
		others[0].walk("leave", "r")
	}
	tells(4, false)
	others[0].walk("join", "r")
	tells(5, true)
	others[5].walk("join", "r")
	tells(6, false)
	w.drop(others[3]) // counted, as long as she may come back
	others[5].say(`{"op":"nick","nick":"the sixth"}`)
	for o := others[5].get(); o["t"] != "nick"; o = others[5].get() {
	}
	tells(6, false)
}

// Whoever is in a room all the time is listed once by somebody who turns the pages, in the order of joining, whoever comes
// and goes meanwhile, and however many: also while nine of ten go.
func TestPagesWhilePeopleComeAndGo(t *testing.T) {
	const people, limit = 100, 7
	w := start(t, freeze)
	for _, c := range []struct{ leave, come int }{{0, 1}, {1, 1}, {8, 1}, {1, 8}} {
		rnd := rand.New(rand.NewPCG(uint64(c.leave), uint64(c.come)))
		in := fmt.Sprintf("r%d-%d", c.leave, c.come)
		ann, _, _ := w.seated("ann"+in, in)
		stays := []string{"ann" + in}
		var goes []*person
		joined := 0
		come := func() {
			nick := fmt.Sprint(in, "-", joined)
			p := w.as(nick, in)
			if joined++; joined%5 == 0 {
				stays = append(stays, nick)
			} else {
				goes = append(goes, p)
			}
		}
		for range people {
			come()
		}
		there := slices.Clone(stays)
		var listed []string
		for after, more := 0.0, true; more; {
			ann.say(fmt.Sprintf(`{"op":"who","room":%q,"limit":%d,"after":%.0f}`, in, limit, after))
			page := ann.expect("members")
			for _, m := range page["members"].([]any) {
				m := m.(fields)
				listed, after = append(listed, m["nick"].(string)), m["join"].(float64)
			}
			more = page["more"].(bool)
			for range min(c.leave, len(goes)) {
				i := rnd.IntN(len(goes))
				w.drop(goes[i])
				goes = slices.Delete(goes, i, i+1)
			}
			for range rnd.IntN(c.come + 1) {
				come()
			}
			if joined > people+50 {
				c.come = 0
			}
		}
		listed = slices.DeleteFunc(listed, func(nick string) bool { return !slices.Contains(there, nick) })
		if !slices.Equal(listed, there) {
			t.Errorf("%d go and %d come at each page: %d of %d who stayed are listed", c.leave, c.come, len(listed), len(there))
		}
	}
}

// lost is a room that 15,000 have been cut off from, and in it one who speaks throng.v1 and one who speaks plain text.
func lost(w *world) (ann, ear *person) {
	ear = w.as("ear", "r")
	ann, _, _ = w.seated("ann", "r")
	w.chat.Lose("r", 15_000)
	w.pass(30 * time.Second)
	return ann, ear
}

// A crowd that was cut off and stays away is gone soon after the grace time, and those who are still there are not told of each: the
// room is as large as all who are counted.
func TestStormThatStaysAway(t *testing.T) {
	const ticks = 15
	w := start(t, freeze)
	ann, ear := lost(w)
	ann.say(`{"op":"who","room":"r"}`)
	for range ticks {
		w.pass(500 * time.Millisecond)
	}
	news := ann.until("r", "end")
	if last := news[len(news)-1]; len(news) > ticks+2 || last["members"] != 2.0 {
		t.Errorf("%d lines, the last one %v", len(news), last)
	}
	for _, o := range news {
		if left, _ := o["left"].([]any); len(left) > 1000 {
			t.Errorf("%d have left", len(left))
		}
	}
	told := 0
	for line := ear.hear(); line != "ann: end"; line = ear.hear() {
		told++
	}
	if told != 1000-2 {
		t.Errorf("the one who speaks plain text was told of %d", told)
	}
	if l := w.chat.Left(); l.Persons != 1 || l.Absences != 0 {
		t.Errorf("%+v", l)
	}
}

// A room is told that somebody writes once a second at most through each connection, who writes too; and for typing nobody waits.
func TestTypingOnceASecond(t *testing.T) {
	w := start(t, freeze)
	w.late.Store(int64(time.Hour))
	eve := w.as("eve", "r")
	bob, _, _ := w.seated("bob", "r")
	ann, hello, _ := w.seated("ann", "r")
	again, _, _ := w.back(hello, "r")
	// until counts what somebody is told of who writes, before something else comes.
	until := func(p *person, t string) (told int) {
		for o := p.get(); o["t"] != t; o = p.get() {
			if o["t"] != "typing" || o["room"] != "r" || fmt.Sprint(o["from"]) != fmt.Sprint(hello["me"]) || len(o) != 3 {
				w.Errorf("%v", o)
			}
			told++
		}
		return told
	}
	typing := func(p *person, want bool) {
		t.Helper()
		p.say(`{"op":"typing","room":"r","id":"no answer has it"}`, `{"op":"ping"}`)
		own := until(p, "pong")
		bob.say(said("r", "now", ""))
		for _, x := range []*person{bob, ann, again} {
			told := until(x, "msg")
			if x == p {
				told += own
			}
			if told > 1 || (told == 1) != want {
				t.Errorf("told %d times, want %v", told, want)
			}
		}
		eve.wants("bob: now") // and nothing of who writes
	}
	typing(ann, true)
	typing(ann, false)
	typing(again, true) // it has a second of its own
	w.late.Add(int64(time.Second - 1))
	typing(ann, false)
	w.late.Add(1)
	typing(ann, true)
	typing(ann, false)
}

// A room that is behind has other things to do than to tell who writes; later it is told again.
func TestTypingInABusyRoom(t *testing.T) {
	w := start(t, freeze, func(o *options) { o.server.Workers, o.chat.Rooms.Window = 1, 4096 })
	w.late.Store(int64(time.Hour))
	eve := w.as("eve", "r")
	ann, _, _ := w.seated("ann", "r")
	if w.chat.TypeWhileBehind("r", "ann") {
		t.Error("it was told")
	}
	eve.say("now")
	for line := eve.hear(); line != "eve: now"; line = eve.hear() {
	}
	ann.expect("msg")
	ann.say(`{"op":"typing","room":"r"}`)
	ann.expect("typing")
}
