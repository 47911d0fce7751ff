package chat_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"throng/chat"
)

// withKey gives a server a key that outlives it.
func withKey(o *options) { o.chat.TokenKey = []byte("a key of sixteen bytes or more") }

// who is the identity in a hello.
func who(hello fields) string {
	me := hello["me"].(fields)
	return fmt.Sprint(me["id"], " ", me["nick"])
}

// back connects with a token.
func (w *world) back(hello fields, room string) (p *person, again, joined fields) {
	w.Helper()
	p = w.sit("/chat/" + room + "?history=0&token=" + hello["token"].(string))
	return p, p.expect("hello"), p.expect("joined")
}

// drop closes somebody's connection, and returns when the server knows.
func (w *world) drop(p *person) {
	w.Helper()
	before := w.srv.Conns()
	p.conn.Close()
	eventually(w.T, func() error { return count("connections", w.srv.Conns(), before-1) })
}

// pass lets time pass, and has the server do what is due.
func (w *world) pass(d time.Duration) {
	w.late.Add(int64(d))
	w.chat.DoTick()
}

// news asserts what somebody is told next of a room.
func (p *person) news(left, joined string, members int) {
	p.Helper()
	o := p.expect("presence")
	nicks := func(key string) string {
		var all []string
		for _, x := range o[key].([]any) {
			all = append(all, x.(fields)["nick"].(string))
		}
		slices.Sort(all)
		return strings.Join(all, " ")
	}
	if nicks("left") != left || nicks("joined") != joined || o["members"] != float64(members) {
		p.Fatalf("%v, want %q, %q, %d", o, left, joined, members)
	}
}

// Within the grace time nobody sees that somebody was away; when it is over, all see that.
func TestGrace(t *testing.T) {
	w := start(t, freeze)
	bob, _, _ := w.seated("bob", "r")
	eve := w.as("eve", "r")
	ann, hello, _ := w.seated("ann", "r")
	w.pass(time.Second)
	bob.news("", "ann bob eve", 3)
	ann.news("", "ann bob eve", 3)
	for _, away := range []time.Duration{0, time.Second, 29 * time.Second} {
		w.drop(ann)
		w.pass(away)
		var again, joined fields
		ann, again, joined = w.back(hello, "r")
		if who(again) != who(hello) || joined["members"] != 3.0 {
			t.Fatalf("%v, %v", again, joined)
		}
		hello = again
	}
	carl := w.as("carl", "r")
	w.pass(time.Second)
	bob.news("", "carl", 4)
	ann.news("", "carl", 4)
	w.drop(ann)
	w.pass(30*time.Second - 1)
	eve.say("not yet")
	for _, p := range []*person{eve, carl} {
		p.wants("eve: not yet")
	}
	bob.expect("msg")
	w.pass(time.Second)
	eve.wants(" .... ann has left.")
	w.pass(time.Second)
	bob.news("ann", "", 3)
	_, again, _ := w.back(hello, "r")
	if who(again) != who(hello) {
		t.Errorf("%v after the grace time, %v before", again, hello)
	}
	w.pass(time.Second)
	bob.news("", "ann", 4)
}

// Somebody who goes from two rooms in one tick of a coarse clock, with a return between, is called by name in both.
func TestGoneTwiceInOneTick(t *testing.T) {
	w := start(t, freeze)
	bob, _, _ := w.seated("bob", "b")
	ann, hello, _ := w.seated("ann", "a")
	w.drop(ann)
	ann, _, _ = w.back(hello, "b")
	w.drop(ann)
	w.pass(time.Second)
	bob.news("", "ann bob", 2)
	w.pass(30 * time.Second)
	bob.news("ann", "", 1)
}

// Somebody who went twice in one tick of a coarse clock is forgotten once: not again after having come back.
func TestForgottenOnce(t *testing.T) {
	const inATick = 2048 // absences, of which each loss of a connection is one and each room another
	w := start(t, freeze)
	ann, hello, _ := w.seated("ann", "r")
	w.chat.Lose("elsewhere", inATick/2-1)
	w.drop(ann)
	ann, _, _ = w.back(hello, "r")
	w.drop(ann)
	w.pass(31 * time.Second)
	w.back(hello, "r")
	w.pass(0)
	if _, again, joined := w.back(hello, "r"); who(again) != who(hello) || joined["members"] != 1.0 {
		t.Errorf("%v, %v", again, joined)
	}
}

// A nickname that was taken in the meantime is not given back; the id is.
func TestNicknameTakenMeanwhile(t *testing.T) {
	w := start(t, freeze)
	ann, hello, _ := w.seated("ann", "r")
	w.drop(ann)
	bob, _, _ := w.seated("bob", "r")
	bob.fails(`{"op":"nick","nick":"Ann"}`, "nick_taken")
	w.pass(31 * time.Second)
	bob.expect("presence")
	bob.say(`{"op":"nick","nick":"Ann"}`)
	bob.expect("nick")
	_, again, _ := w.back(hello, "r")
	if me, was := again["me"].(fields), hello["me"].(fields); me["id"] != was["id"] || !strings.HasPrefix(me["nick"].(string), "user-") {
		t.Errorf("%v", again)
	}
}

// With the same key a restart changes nobody, unless somebody has taken the nickname first, drawn ones too.
func TestIdentityOutlivesARestart(t *testing.T) {
	var chosen, drawn, renamed fields
	t.Run("before", func(t *testing.T) {
		w := start(t, freeze, withKey)
		_, chosen, _ = w.seated("ann", "r")
		_, drawn, _ = w.seated("", "r")
		p, hello, _ := w.seated("bob", "r")
		p.say(`{"op":"nick","nick":"Bob the second"}`)
		n := p.expect("nick")
		renamed = fields{"me": fields{"id": hello["me"].(fields)["id"], "nick": n["nick"]}, "token": n["token"]}
	})
	t.Run("after", func(t *testing.T) {
		w := start(t, freeze, withKey)
		for _, hello := range []fields{chosen, drawn, renamed} {
			if _, again, joined := w.back(hello, "r"); who(again) != who(hello) || joined["resumed"] != false {
				t.Errorf("%v was %v", again, hello)
			}
		}
	})
	t.Run("taken", func(t *testing.T) {
		// Nicknames are drawn in the order that the seed gives modulo 900,000; who people are comes from all of it.
		w := start(t, freeze, withKey, func(o *options) { o.seed = 4711 + 900_000 })
		for range 3 {
			w.seated("", "r") // the same nicknames are drawn, by others
		}
		w.seated("Ann", "r")
		for _, hello := range []fields{chosen, drawn} {
			_, again, _ := w.back(hello, "r")
			if me, was := again["me"].(fields), hello["me"].(fields); me["id"] != was["id"] || me["nick"] == was["nick"] {
				t.Errorf("%v was %v", again, hello)
			}
		}
	})
	t.Run("another key", func(t *testing.T) {
		w := start(t, freeze, func(o *options) { o.seed++ })
		w.stranger(chosen["token"].(string), chosen)
	})
}

// stranger asserts that a token makes somebody new, with the nickname wished for, and an error.
func (w *world) stranger(token string, was fields) {
	w.Helper()
	p := w.sit("/chat/r?nick=wish&token=" + token)
	hello, e := p.expect("hello"), p.expect("error")
	if me := hello["me"].(fields); me["id"] == was["me"].(fields)["id"] || me["nick"] != "wish" || e["code"] != "forbidden" {
		w.Errorf("%s: %v, %v", token, hello, e)
	}
	p.expect("joined")
	p.say(`{"op":"nick","nick":"free"}`, `{"op":"leave","room":"r"}`)
	p.expect("nick")
	p.expect("left")
	w.drop(p)
	w.pass(31 * time.Second)
}

// A token that was changed, cut or made up, or that is too old, makes somebody new.
func TestTokensThatAreNone(t *testing.T) {
	w := start(t, freeze, withKey)
	_, hello, _ := w.seated("ann", "r")
	token := hello["token"].(string)
	tokens := []string{"x", "AAAA", token[:len(token)-1], token + "AAAA", "!!!", strings.Repeat("A", 1000), token[4:]}
	tokens = append(tokens, token+"%0A", token[:9]+"%0D"+token[9:])
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	flip := func(i, bit int) {
		other := digits[strings.IndexByte(digits, token[i])^(1<<bit)]
		tokens = append(tokens, token[:i]+string(other)+token[i+1:])
	}
	for i := range len(token) {
		flip(i, i%6)
	}
	for bit := range 6 { // some bits of the last digit mean nothing
		flip(len(token)-1, bit)
	}
	for _, forged := range tokens {
		w.stranger(forged, hello)
	}
	w.pass(29 * 24 * time.Hour)
	p, again, _ := w.back(hello, "other")
	if who(again) != who(hello) {
		t.Errorf("%v after 29 days", again)
	}
	w.drop(p)
	w.pass(48 * time.Hour)
	w.stranger(token, hello)
}

// Two connections with one token are one member, who leaves when the last one has gone.
func TestTwoTabs(t *testing.T) {
	w := start(t, freeze)
	bob, _, _ := w.seated("bob", "r")
	one, hello, _ := w.seated("ann", "r")
	w.pass(time.Second)
	bob.news("", "ann bob", 2)
	one.expect("presence")
	two, again, joined := w.back(hello, "r")
	if who(again) != who(hello) || joined["members"] != 2.0 {
		t.Fatalf("%v, %v", again, joined)
	}
	list := func(want string, members float64) {
		t.Helper()
		bob.say(`{"op":"who","room":"r"}`)
		o := bob.expect("members")
		var nicks []string
		for _, m := range o["members"].([]any) {
			nicks = append(nicks, m.(fields)["nick"].(string))
		}
		if got := strings.Join(nicks, " "); got != want || o["count"] != members {
			t.Errorf("%v, want %s", o, want)
		}
	}
	list("bob ann", 2)
	two.say(`{"op":"nick","nick":"anna"}`) // renames both
	two.expect("nick")
	one.say(said("r", "who am I?", ""))
	for _, p := range []*person{one, two, bob} {
		if m := p.expect("msg"); m["from"].(fields)["nick"] != "anna" {
			t.Errorf("%v", m)
		}
	}
	one.say(`{"op":"leave","room":"r"}`)
	one.expect("left")
	list("bob anna", 2)
	w.drop(one)
	w.pass(40 * time.Second)
	bob.expect("presence") // the nickname
	list("bob anna", 2)
	w.drop(two)
	list("bob", 2) // who is absent is counted
	w.pass(40 * time.Second)
	bob.news("anna", "", 1)
	list("bob", 1)
}

// Who asks for the list while somebody is absent is told that he has come back.
func TestListWhileSomebodyIsAbsent(t *testing.T) {
	w := start(t, freeze)
	bob, _, _ := w.seated("bob", "r")
	ann, hello, _ := w.seated("ann", "r")
	w.pass(time.Second)
	bob.expect("presence")
	w.drop(ann)
	bob.say(`{"op":"who","room":"r"}`)
	if o := bob.expect("members"); len(o["members"].([]any)) != 1 || o["count"] != 2.0 {
		t.Errorf("%v", o)
	}
	w.pass(time.Second)
	w.back(hello, "r")
	w.pass(time.Second)
	bob.news("", "ann", 2)
}

// A message that is said again is answered with what the room has heard, and heard once: live, after a resume, through
// another connection, and when it is no longer kept.
func TestSaidAgain(t *testing.T) {
	w := start(t, freeze)
	bob, _, _ := w.seated("bob", "r")
	ann, hello, joined := w.seated("ann", "r")
	ann.say(said("r", "once", "1"))
	original := ann.expect("msg")
	for range 2 {
		ann.say(said("r", "something else", "1"))
		if again := ann.expect("msg"); fmt.Sprint(again) != fmt.Sprint(original) {
			t.Errorf("%v, and was %v", again, original)
		}
	}
	w.drop(ann)
	ann = w.sit(fmt.Sprintf("/chat/r?token=%s&epoch=%s&after=0", hello["token"], joined["epoch"]))
	ann.expect("hello")
	if j := ann.expect("joined"); j["resumed"] != true {
		t.Errorf("%v", j)
	}
	ann.say(said("r", "once", "1"))
	for range 2 { // in its place, and as the answer
		if again := ann.expect("msg"); fmt.Sprint(again) != fmt.Sprint(original) {
			t.Errorf("%v, and was %v", again, original)
		}
	}
	ann.say(`{"op":"join","room":"other","history":0}`)
	ann.expect("joined")
	ann.say(said("other", "the same id elsewhere", "1"))
	if m := ann.expect("msg"); m["room"] != "other" || m["seq"] != 1.0 {
		t.Errorf("%v", m)
	}
	for i := range 15 {
		ann.say(said("r", "x", fmt.Sprint("more ", i)))
		ann.expect("msg")
	}
	ann.say(said("r", "forgotten", "1")) // the 17th
	if m := ann.expect("msg"); m["seq"] != 17.0 || m["text"] != "forgotten" {
		t.Errorf("%v", m)
	}
	for seq := range 17 {
		if m := bob.expect("msg"); m["seq"] != float64(seq+1) {
			t.Fatalf("bob has heard %v after %d", m, seq)
		}
	}
}

// What was said in a room that has gone since is no answer in the next one of that name.
func TestSaidInAnotherLife(t *testing.T) {
	w := start(t, freeze, func(o *options) { o.chat.Rooms.HistoryCount = 0 })
	ann, _, _ := w.seated("ann", "home")
	for life := range 3 {
		ann.say(`{"op":"join","room":"r"}`)
		ann.expect("joined")
		if life > 0 {
			ann.say(said("r", "in between", ""))
			ann.expect("msg")
		}
		text := fmt.Sprint("life ", life)
		ann.say(said("r", text, "1"))
		if m := ann.expect("msg"); m["text"] != text {
			t.Errorf("%v in life %d", m, life)
		}
		ann.say(`{"op":"leave","room":"r"}`)
		ann.expect("left")
	}
}

// A message that a busy room refuses, however often, does not push out the others' ids.
func TestRefusedMessagesTakeNoPlace(t *testing.T) {
	var steps, want []string
	for i := range 16 {
		id := fmt.Sprintf("%02d", i)
		steps, want = append(steps, id), append(want, id)
	}
	for range 40 {
		steps = append(steps, "!new")
	}
	steps, want = append(steps, "new"), append(want[1:], "new")
	if got := chat.Remembers(steps...); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// The same id through two connections at the same time: the room hears one message each time.
func TestSaidTwiceAtOnce(t *testing.T) {
	const rounds = 500
	w := start(t, freeze)
	ear := w.as("ear", "r")
	one, hello, _ := w.seated("ann", "r")
	two, _, _ := w.back(hello, "r")
	say := func(p *person, id string) {
		p.trySay(said("r", id, id))
		for done := false; !done; {
			f, err := p.frame()
			var o struct{ T, ID, Code string }
			if err != nil || json.Unmarshal(f.Payload, &o) != nil {
				p.Errorf("%q, %v", f.Payload, err)
				return
			}
			if done = o.ID == id && o.T == "msg"; o.Code == "unavailable" {
				p.trySay(said("r", id, id))
			} else if o.Code != "" {
				p.Errorf("%q", f.Payload)
			}
		}
	}
	for i := range rounds {
		var wg sync.WaitGroup
		for _, p := range []*person{one, two} {
			wg.Go(func() { say(p, fmt.Sprint(i)) })
		}
		wg.Wait()
		ear.wants(fmt.Sprint("ann: ", i))
	}
	ear.say("end")
	ear.wants("ear: end")
}

// A nickname changes twenty times at once and then once a second, through whichever connections; what changes nothing does
// not count, and the room hears of no change that was refused.
func TestRenamesAreLimited(t *testing.T) {
	const atOnce = 20
	w := start(t, freeze)
	eve := w.as("eve", "r")
	one, hello, _ := w.seated("ann", "r")
	two, _, _ := w.back(hello, "r")
	now, changes := "ann", 0
	answered := func(p *person, request string) fields {
		t.Helper()
		p.say(request)
		o := p.get()
		for ; o["t"] == "presence"; o = p.get() { // time passes here
		}
		return o
	}
	rename := func(p *person) {
		t.Helper()
		changes++
		nick := fmt.Sprint("ann ", changes)
		if o := answered(p, fmt.Sprintf(`{"op":"nick","nick":%q}`, nick)); o["nick"] != nick {
			t.Fatalf("%v", o)
		}
		eve.wants(" .... " + now + " is now " + nick + ".")
		now = nick
	}
	refused := func(p *person, retry float64) {
		t.Helper()
		e := answered(p, `{"op":"nick","nick":"somebody else","id":"i"}`)
		if e["code"] != "rate_limited" || e["id"] != "i" || e["retry_ms"] != retry {
			t.Errorf("%v, want %v ms", e, retry)
		}
	}
	for i := range atOnce {
		one.fails(`{"op":"nick","nick":"EVE"}`, "nick_taken")
		one.fails(`{"op":"nick","nick":"a:b"}`, "bad_request")
		one.say(fmt.Sprintf(`{"op":"nick","nick":%q}`, now)) // the same again
		one.expect("nick")
		rename([]*person{one, two}[i%2])
	}
	for _, p := range []*person{one, two} {
		refused(p, 1000)
	}
	w.late.Add(int64(900*time.Millisecond - 1))
	refused(two, 101)
	w.late.Add(int64(100*time.Millisecond + 1))
	rename(two)
	refused(one, 1000)
	w.late.Add(int64(time.Hour))
	for range atOnce {
		rename(one)
	}
	refused(one, 1000)
	eve.say("end")
	eve.wants("eve: end")
}

// TestAbsencesEndInTime: however many people come and go, they are not there for longer and longer.
func TestAbsencesEndInTime(t *testing.T) {
	for _, perTick := range []int{100, 3000, 10_000} {
		if n := chat.Overdue(perTick, 300); n > 0 {
			t.Errorf("%d in a tick: %d are overdue", perTick, n)
		}
	}
}
