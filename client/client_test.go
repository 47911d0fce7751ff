package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"testing"
	"time"

	"throng/client"
)

const (
	hello  = `{"t":"hello","me":{"id":"7","nick":"ann"},"token":"T","server":"s","limits":{"message":100}}`
	joined = `{"t":"joined","room":"lobby","epoch":"e","seq":4,"oldest":1,"members":2,"resumed":false}`
)

var (
	ann     = client.Person{ID: "7", Nick: "ann"}
	bob     = client.Person{ID: "8", Nick: "bob"}
	greeted = client.Hello{Me: ann, Token: "T", Server: "s", Limits: client.Limits{Message: 100}}
	inLobby = client.Joined{Room: "lobby", Epoch: "e", Seq: 4, Oldest: 1, Members: 2}
)

// msg is a message of bob's in the lobby.
func msg(seq, prev uint64) string {
	return fmt.Sprintf(`{"t":"msg","seq":%d,"prev":%d,"ts":9,"room":"lobby","from":{"id":"8","nick":"bob"},"text":"m%d"}`, seq, prev, seq)
}

// own is one of ours.
func own(seq, prev uint64, id string) string {
	return fmt.Sprintf(`{"t":"msg","seq":%d,"prev":%d,"ts":9,"room":"lobby","from":{"id":"7","nick":"ann"},"text":"own","id":%q}`, seq, prev, id)
}

// heard is the event of msg, and ownHeard that of own.
func heard(seq, prev uint64) client.Message {
	return client.Message{Seq: seq, Prev: prev, TS: 9, Room: "lobby", From: bob, Text: fmt.Sprintf("m%d", seq)}
}

func ownHeard(seq, prev uint64, id string) client.Message {
	return client.Message{Seq: seq, Prev: prev, TS: 9, Room: "lobby", From: ann, Text: "own", ID: id}
}

// enter starts a client and takes it into the lobby, where it has m4.
func enter(t *testing.T) (*fake, *wire) {
	t.Helper()
	f := begin(t, client.Config{})
	w := f.accepts()
	w.says(hello, joined, msg(3, 2), msg(4, 3))
	f.happens(greeted, inLobby, heard(3, 2), heard(4, 3))
	return f, w
}

// again cuts the connection and makes the next one, up to the path's room.
func again(f *fake, w *wire, says string, happens client.Joined) *wire {
	f.Helper()
	w.end(io.EOF)
	f.happens(client.Away{Err: io.EOF, Retry: pause(1)})
	f.clock.pass(f.T, pause(1))
	w = f.accepts()
	w.says(hello, says)
	f.happens(greeted, happens)
	return w
}

func TestAddress(t *testing.T) {
	f := begin(t, client.Config{URL: "wss://there:1/deep/chat/garden", Nick: "Ann B", Tokens: &shelf{token: "T0"}, History: 7})
	w := f.accepts()
	if got := w.query.Encode(); w.path != "/deep/chat/garden" || got != "history=7&nick=Ann+B&token=T0" {
		t.Errorf("dialed %s?%s", w.path, got)
	}
	f.cancel()
	<-w.gone
}

func TestResume(t *testing.T) {
	resumed := `{"t":"joined","room":"lobby","epoch":"e","seq":6,"oldest":1,"members":2,"resumed":true}`
	event := client.Joined{Room: "lobby", Epoch: "e", Seq: 6, Oldest: 1, Members: 2, Resumed: true, Again: true}
	f, w := enter(t)
	w = again(f, w, resumed, event)
	if got := w.query.Encode(); got != "after=4&epoch=e&history=50&token=T" {
		t.Errorf("dialed with %s", got)
	}
	w.says(msg(5, 4), msg(5, 4), msg(6, 5))
	f.happens(heard(5, 4), heard(6, 5))
}

// Messages said are sent in order, eight at a time, and once more after a cut.
func TestOutbox(t *testing.T) {
	f, w := enter(t)
	for range 10 {
		_, err := f.Say("lobby", "own")
		must(t, err)
	}
	for i := range 8 {
		w.hears(fmt.Sprintf(`{"op":"say","room":"lobby","text":"own","id":"i-%d"}`, i+1))
	}
	w.says(own(5, 4, "i-1"))
	f.happens(ownHeard(5, 4, "i-1"), client.Confirmed{Room: "lobby", ID: "i-1", Seq: 5})
	w.hears(`{"op":"say","room":"lobby","text":"own","id":"i-9"}`)
	if n := f.Pending(); n != 9 {
		t.Errorf("%d pending", n)
	}
	w = again(f, w, `{"t":"joined","room":"lobby","epoch":"e","seq":7,"oldest":1,"members":2,"resumed":true}`,
		client.Joined{Room: "lobby", Epoch: "e", Seq: 7, Oldest: 1, Members: 2, Resumed: true, Again: true})
	// One by one: the connection before may still be saying them.
	w.hears(`{"op":"say","room":"lobby","text":"own","id":"i-2"}`)
	// The answer to one that was said before the cut overtakes the messages that come again, and is not one of them.
	w.says(own(7, 6, "i-2"), msg(6, 5), own(7, 6, "i-2"))
	f.happens(client.Confirmed{Room: "lobby", ID: "i-2", Seq: 7}, heard(6, 5), ownHeard(7, 6, "i-2"))
	w.hears(`{"op":"say","room":"lobby","text":"own","id":"i-3"}`)
	w.says(`{"t":"error","id":"i-3","code":"unavailable","message":"just being said"}`)
	f.clock.pass(t, 100*time.Millisecond)
	for i := uint64(3); i <= 9; i++ {
		id := fmt.Sprint("i-", i)
		w.hears(fmt.Sprintf(`{"op":"say","room":"lobby","text":"own","id":%q}`, id))
		w.says(own(5+i, 4+i, id))
		f.happens(ownHeard(5+i, 4+i, id), client.Confirmed{Room: "lobby", ID: id, Seq: 5 + i})
	}
	w.hears(`{"op":"say","room":"lobby","text":"own","id":"i-a"}`)
}

// While one message waits for its room, no more others are said than the server remembers.
func TestOvertaking(t *testing.T) {
	f, w := enter(t)
	must(t, f.Join("ops"))
	w.hears(`{"op":"join","id":"i-1","room":"ops","history":50}`)
	w.says(`{"t":"joined","id":"i-1","room":"ops","epoch":"o","seq":0,"oldest":1,"members":1,"resumed":false}`)
	f.happens(client.Joined{Room: "ops", Epoch: "o", Oldest: 1, Members: 1})
	say := func(room string) {
		_, err := f.Say(room, "own")
		must(t, err)
	}
	say("ops")
	w.hears(`{"op":"say","room":"ops","text":"own","id":"i-2"}`)
	w = again(f, w, `{"t":"joined","room":"lobby","epoch":"e","seq":4,"oldest":1,"members":2,"resumed":true}`,
		client.Joined{Room: "lobby", Epoch: "e", Seq: 4, Oldest: 1, Members: 2, Resumed: true, Again: true})
	w.hears(`{"op":"join","id":"i-3","room":"ops","history":50,"epoch":"o","after":0}`)
	for i := range uint64(7) {
		say("lobby")
		id := fmt.Sprint("i-", i+4)
		if i == 6 {
			id = "i-a"
		}
		w.hears(fmt.Sprintf(`{"op":"say","room":"lobby","text":"own","id":%q}`, id))
		w.says(own(5+i, 4+i, id))
		f.happens(ownHeard(5+i, 4+i, id), client.Confirmed{Room: "lobby", ID: id, Seq: 5 + i})
	}
	say("lobby") // one too many
	w.says(`{"t":"joined","id":"i-3","room":"ops","epoch":"o","seq":0,"oldest":1,"members":1,"resumed":true}`)
	f.happens(client.Joined{Room: "ops", Epoch: "o", Oldest: 1, Members: 1, Resumed: true, Again: true})
	w.hears(`{"op":"say","room":"ops","text":"own","id":"i-2"}`)
	w.says(`{"t":"error","id":"i-2","code":"unconfirmed"}`)
	f.happens(client.Confirmed{Room: "ops", ID: "i-2"})
	w.hears(`{"op":"say","room":"lobby","text":"own","id":"i-b"}`)
}

func TestRefusedMessages(t *testing.T) {
	f, w := enter(t)
	for _, c := range []struct {
		says    string
		happens client.Event
	}{
		{`"code":"too_long","message":"no"`, client.Failed{Room: "lobby", ID: "i-1", Text: "t", Err: &client.Error{Code: "too_long", Message: "no"}}},
		{`"code":"unconfirmed","message":"once"`, client.Confirmed{Room: "lobby", ID: "i-2"}},
	} {
		id, err := f.Say("lobby", "t")
		must(t, err)
		w.hears(fmt.Sprintf(`{"op":"say","room":"lobby","text":"t","id":%q}`, id))
		w.says(fmt.Sprintf(`{"t":"error","id":%q,%s}`, id, c.says))
		f.happens(c.happens)
	}
	// One that came too fast is said again after the pause that the server asks for.
	_, err := f.Say("lobby", "t")
	must(t, err)
	w.hears(`{"op":"say","room":"lobby","text":"t","id":"i-3"}`)
	w.says(`{"t":"error","id":"i-3","code":"rate_limited","message":"slow","retry_ms":3000}`)
	f.clock.pass(t, 3*time.Second)
	w.hears(`{"op":"say","room":"lobby","text":"t","id":"i-3"}`)
	if _, err := f.Say("elsewhere", "t"); err != client.ErrNotMember {
		t.Errorf("Say in a room that we are not in: %v", err)
	}
}

func TestRooms(t *testing.T) {
	f, w := enter(t)
	must(t, f.Join("ops"))
	must(t, f.Join("ops"))
	w.hears(`{"op":"join","id":"i-1","room":"ops","history":50}`)
	_, err := f.Say("ops", "early") // is said when we are there
	must(t, err)
	w.says(`{"t":"joined","id":"i-1","room":"ops","epoch":"o","seq":0,"oldest":1,"members":1,"resumed":false}`)
	f.happens(client.Joined{Room: "ops", Epoch: "o", Oldest: 1, Members: 1})
	w.hears(`{"op":"say","room":"ops","text":"early","id":"i-2"}`)

	w = again(f, w, joined, client.Joined{Room: "lobby", Epoch: "e", Seq: 4, Oldest: 1, Members: 2, Again: true})
	w.hears(`{"op":"join","id":"i-3","room":"ops","history":50,"epoch":"o","after":0}`)
	w.says(`{"t":"error","id":"i-3","code":"unavailable","message":"full","retry_ms":2000}`)
	f.clock.pass(t, 2*time.Second)
	w.hears(`{"op":"join","id":"i-4","room":"ops","history":50,"epoch":"o","after":0}`)
	full := &client.Error{Code: "forbidden", Message: "no"}
	w.says(`{"t":"error","id":"i-4","code":"forbidden","message":"no"}`)
	f.happens(client.Failed{Room: "ops", ID: "i-2", Text: "early", Err: full}, client.Left{Room: "ops", Err: full})

	must(t, f.Leave("lobby"))
	w.hears(`{"op":"leave","room":"lobby"}`)
	w.says(`{"t":"left","room":"lobby"}`)
	f.happens(client.Left{Room: "lobby"})
	if err := f.Leave("lobby"); err != client.ErrNotMember {
		t.Errorf("Leave of a room that we are not in: %v", err)
	}
	// Without a room the path still leads to one, which is left again.
	w.end(io.EOF)
	f.happens(client.Away{Err: io.EOF, Retry: pause(1)})
	f.clock.pass(t, pause(1))
	w = f.accepts()
	w.says(hello, joined)
	f.happens(greeted)
	w.hears(`{"op":"leave","room":"lobby"}`)

	for i := range 32 {
		must(t, f.Join(fmt.Sprint("r", i)))
	}
	if err := f.Join("one-more"); err != client.ErrRooms {
		t.Errorf("Join of a 33rd room: %v", err)
	}
	if err := f.Join("a b"); err == nil {
		t.Error("Join of a room that cannot be: no error")
	}
}

// A path's room that is not to be had at present is asked for again.
func TestPathUnavailable(t *testing.T) {
	f := begin(t, client.Config{History: client.NoHistory})
	w := f.accepts()
	w.says(hello, `{"t":"error","code":"unavailable","message":"full","retry_ms":5000}`)
	f.happens(greeted)
	f.clock.pass(t, 5*time.Second)
	w.hears(`{"op":"join","id":"i-1","room":"lobby","history":0}`)
}

func TestRequests(t *testing.T) {
	f, w := enter(t)
	page := make(chan any, 1)
	call := func(g func() (any, error)) {
		go func() {
			v, err := g()
			if err != nil {
				v = err
			}
			page <- v
		}()
	}
	wants := func(want any) {
		t.Helper()
		if got := receive(t, page, "answer"); !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	call(func() (any, error) { return f.History(t.Context(), "lobby", 3, 2) })
	w.hears(`{"op":"history","id":"i-1","room":"lobby","before":3,"limit":2}`)
	w.says(`{"t":"page","id":"i-1","room":"lobby","messages":[` + msg(2, 1) + `],"more":true}`)
	wants(client.Page{Room: "lobby", Messages: []client.Message{heard(2, 1)}, More: true})

	call(func() (any, error) { return f.Who(t.Context(), "lobby", 0, 10) })
	w.hears(`{"op":"who","id":"i-2","room":"lobby","after":0,"limit":10}`)
	w.says(`{"t":"members","id":"i-2","room":"lobby","members":[{"id":"8","nick":"bob","join":5}],"more":false,"count":1}`)
	wants(client.Members{Room: "lobby", Members: []client.Member{{Person: bob, Join: 5}}, Count: 1})

	call(func() (any, error) { return nil, f.SetNick(t.Context(), "bob") })
	w.hears(`{"op":"nick","id":"i-3","nick":"bob"}`)
	w.says(`{"t":"error","id":"i-3","code":"nick_taken","message":"taken"}`)
	wants(&client.Error{Code: "nick_taken", Message: "taken"})

	call(func() (any, error) { return nil, f.SetNick(t.Context(), "Ann") })
	w.hears(`{"op":"nick","id":"i-4","nick":"Ann"}`)
	w.says(`{"t":"nick","id":"i-4","nick":"Ann","token":"T2"}`)
	f.happens(client.Nick{Nick: "Ann", Token: "T2"})
	wants(any(nil))
	if f.Me().Nick != "Ann" {
		t.Errorf("we are %v", f.Me())
	}

	call(func() (any, error) { return nil, f.SetNick(t.Context(), "x") })
	w.hears(`{"op":"nick","id":"i-5","nick":"x"}`)
	w.end(io.EOF)
	wants(client.ErrAway)
	f.happens(client.Away{Err: io.EOF, Retry: pause(1)})
	call(func() (any, error) { return nil, f.SetNick(t.Context(), "x") })
	wants(client.ErrAway)

	// Back with the token; its nickname is another one than was chosen last.
	f.clock.pass(t, pause(1))
	w = f.accepts()
	if w.query.Get("token") != "T2" {
		t.Errorf("came with the token %q", w.query.Get("token"))
	}
	w.says(hello, `{"t":"error","code":"forbidden","message":"old"}`)
	f.happens(greeted, client.Notice{Err: &client.Error{Code: "forbidden", Message: "old"}})
	w.hears(`{"op":"nick","id":"i-6","nick":"Ann"}`)
	ctx, cancel := context.WithCancel(t.Context())
	call(func() (any, error) { return f.Who(ctx, "lobby", 0, 1) })
	w.hears(`{"op":"who","id":"i-7","room":"lobby","after":0,"limit":1}`)
	cancel()
	wants(context.Canceled)
}

func TestPresence(t *testing.T) {
	f, w := enter(t)
	w.says(`{"t":"presence","room":"lobby","joined":[{"id":"8","nick":"bob"}],"left":[],"renamed":[{"id":"7","old":"ann","nick":"Anna"}],"members":3}`,
		`{"t":"typing","room":"lobby","from":{"id":"8","nick":"bob"}}`, `{"t":"of the future"}`)
	f.happens(
		client.Presence{Room: "lobby", Joined: []client.Person{bob}, Left: []client.Person{}, Renamed: []client.Renamed{{ID: "7", Old: "ann", Nick: "Anna"}}, Members: 3},
		client.Typing{Room: "lobby", From: bob})
	if f.Me().Nick != "Anna" {
		t.Errorf("we are %v", f.Me())
	}
	f.Typing("lobby")
	w.hears(`{"op":"typing","room":"lobby"}`)
}

// Attempts come later and later, and begin anew once there was a connection.
func TestBackoff(t *testing.T) {
	f := begin(t, client.Config{})
	down := errors.New("down")
	w := f.accepts()
	f.refuse <- down
	w.end(io.EOF)
	f.happens(client.Away{Err: io.EOF, Retry: pause(1)})
	f.clock.pass(t, pause(1))
	f.happens(client.Away{Err: down, Retry: pause(2)})
	f.refuse <- &client.RefusedError{Status: 503, After: 20 * time.Second}
	f.Reconnect()
	if e := receive(t, f.Events(), "event").(client.Away); e.Retry != pause(3)+20*time.Second {
		t.Errorf("%+v", e)
	}
	f.clock.pass(t, pause(3)+20*time.Second)
	w = f.accepts()
	w.says(hello, `{"t":"bye","code":1001,"reason":"stops","reconnect_ms":7000}`)
	f.happens(greeted)
	w.end(io.EOF)
	f.happens(client.Away{Err: io.EOF, Bye: "stops", Retry: pause(1) + 7*time.Second})
	// One that has answered before is asked again whatever it says.
	f.refuse <- &client.RefusedError{Status: 404}
	f.clock.pass(t, pause(1)+7*time.Second)
	if e := receive(t, f.Events(), "event").(client.Away); e.Retry != pause(2) {
		t.Errorf("%+v", e)
	}
}

// What will be refused each time is not tried again.
func TestFinal(t *testing.T) {
	for _, err := range []error{&client.RefusedError{Status: 404, Text: "no"}, client.ErrProtocol} {
		f := begin(t, client.Config{})
		f.final = err
		f.accepts().end(err)
		if e, ok := <-f.Events(); ok {
			t.Errorf("%v: %+v", err, e)
		}
	}
}

// A server that says nothing is asked, and then left.
func TestSilence(t *testing.T) {
	const quiet, grace = 45 * time.Second, 15 * time.Second
	f, w := enter(t)
	// While the client hands out events it does not listen, and the test can have got the last one before it does again: then
	// the time counts from there on.
	asked := func() {
		for f.clock.pass(t, quiet); f.clock.awaits(t, quiet, grace) == quiet; {
			f.clock.pass(t, quiet)
		}
		w.hears(`{"op":"ping"}`)
	}
	asked()
	w.says(`{"t":"pong","ts":1}`, msg(5, 4))
	f.happens(heard(5, 4))
	f.Typing("lobby") // wakes the one who looks after the time
	w.hears(`{"op":"typing","room":"lobby"}`)
	asked()
	f.clock.pass(t, grace)
	if e := receive(t, f.Events(), "event").(client.Away); e.Err == nil || e.Err.Error() != "the server is silent" {
		t.Errorf("%+v", e)
	}
	<-w.gone

	f = begin(t, client.Config{})
	w = f.accepts()
	f.clock.pass(t, 15*time.Second)
	if e := receive(t, f.Events(), "event").(client.Away); e.Err == nil || e.Err.Error() != "the server has not said hello" {
		t.Errorf("%+v", e)
	}
	<-w.gone
}

func TestNonsense(t *testing.T) {
	for _, says := range []string{`x`, `[]`, `{"t":7}`, `{"t":"msg","seq":"1"}`, `{"t":"hello","me":1}`} {
		f := begin(t, client.Config{})
		w := f.accepts()
		w.says(hello, says)
		f.happens(greeted)
		if e := receive(t, f.Events(), "event").(client.Away); !errors.Is(e.Err, client.ErrProtocol) {
			t.Errorf("%s: %+v", says, e)
		}
	}
	f := begin(t, client.Config{})
	f.final = client.ErrProtocol
	f.accepts().says(joined) // before hello
	if e, ok := <-f.Events(); ok {
		t.Errorf("%+v", e)
	}
}

func TestGoodbye(t *testing.T) {
	f, w := enter(t)
	f.cancel()
	<-w.gone
	for range f.Events() {
		continue
	}
	if !w.polite {
		t.Error("it hung up without a word")
	}
}

// What the server has left out is not there either for who passes it on: nobody came is not that nobody says who.
func TestAbsence(t *testing.T) {
	for _, want := range []string{
		`{"room":"r","members":5000}`,
		`{"room":"r","joined":[],"left":[],"renamed":[],"members":2}`,
	} {
		var p client.Presence
		must(t, json.Unmarshal([]byte(want), &p))
		if got, err := json.Marshal(p); err != nil || string(got) != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
	if got, err := json.Marshal(client.Gap{Room: "r", From: 1, To: 2}); err != nil || string(got) != `{"room":"r","from":1,"to":2}` {
		t.Errorf("%s, %v", got, err)
	}
}
