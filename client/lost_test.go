package client_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"throng/client"
)

// The lobby, when it is not resumed behind m4.
const lostJoined = `{"t":"joined","room":"lobby","epoch":"e","seq":20,"oldest":11,"members":2,"resumed":false}`

var lostLobby = client.Joined{Room: "lobby", Epoch: "e", Seq: 20, Oldest: 11, Members: 2, Again: true}

// What cannot be resumed is said, and nothing is shown twice.
func TestLost(t *testing.T) {
	gap := func(from, to uint64, missed int) (string, client.Gap) {
		return fmt.Sprintf(`{"t":"gap","room":"lobby","from":%d,"to":%d,"missed":%d}`, from, to, missed),
			client.Gap{Room: "lobby", From: from, To: to, Missed: missed}
	}
	said, told := gap(5, 10, 6)
	t.Run("told", func(t *testing.T) {
		f, w := enter(t)
		w = again(f, w, lostJoined, lostLobby)
		w.says(said, msg(11, 10), msg(12, 11))
		f.happens(told, heard(11, 10), heard(12, 11))
	})
	t.Run("told less than is lost", func(t *testing.T) {
		f, w := enter(t)
		w = again(f, w, lostJoined, lostLobby)
		w.says(said, msg(18, 17))
		f.happens(told, client.Gap{Room: "lobby", From: 11, To: 17}, heard(18, 17))
	})
	t.Run("told, and cut before the next message", func(t *testing.T) {
		f, w := enter(t)
		w = again(f, w, lostJoined, lostLobby)
		w.says(said)
		f.happens(told)
		w.end(io.EOF)
		f.happens(client.Away{Err: io.EOF, Retry: pause(1)})
		f.clock.pass(t, pause(1))
		if w = f.accepts(); w.query.Get("after") != "10" {
			t.Errorf("asked for what is behind %s", w.query.Get("after"))
		}
	})
	t.Run("not told", func(t *testing.T) {
		f, w := enter(t)
		w.says(msg(9, 8))
		f.happens(client.Gap{Room: "lobby", From: 5, To: 8}, heard(9, 8))
	})
	t.Run("told what we have", func(t *testing.T) {
		f, w := enter(t)
		old, _ := gap(1, 2, 2)
		w.says(old, msg(5, 4))
		f.happens(heard(5, 4))
	})
	t.Run("renumbered", func(t *testing.T) {
		f, w := enter(t)
		w = again(f, w, `{"t":"joined","room":"lobby","epoch":"new","seq":1,"oldest":1,"members":1,"resumed":false}`,
			client.Joined{Room: "lobby", Epoch: "new", Seq: 1, Oldest: 1, Members: 1, Again: true, Renumbered: true})
		w.says(msg(1, 0), msg(2, 1))
		f.happens(heard(1, 0), heard(2, 1))
	})
	t.Run("in a room that was empty", func(t *testing.T) {
		f := begin(t, client.Config{})
		w := f.accepts()
		w.says(hello, `{"t":"joined","room":"lobby","epoch":"e","seq":4,"oldest":5,"members":1,"resumed":false}`, msg(7, 6))
		f.happens(greeted, client.Joined{Room: "lobby", Epoch: "e", Seq: 4, Oldest: 5, Members: 1},
			client.Gap{Room: "lobby", From: 5, To: 6}, heard(7, 6))
	})
}

// Gaps before a room's numbering begins anew, one of them trimmed, say nothing of the numbers after it.
func TestGapsOverTwoLives(t *testing.T) {
	f, w := enter(t)
	w = again(f, w, lostJoined, lostLobby)
	w.says(`{"t":"gap","room":"lobby","from":5,"to":10,"missed":6}`, msg(18, 17), `{"t":"gap","room":"lobby","from":19,"to":30,"missed":12}`)
	f.happens(client.Gap{Room: "lobby", From: 5, To: 10, Missed: 6}, client.Gap{Room: "lobby", From: 11, To: 17}, heard(18, 17), client.Gap{Room: "lobby", From: 19, To: 30, Missed: 12})
	// In the new life the same numbers are other messages: none of them is known, none of them is lost without a word.
	w = again(f, w, `{"t":"joined","room":"lobby","epoch":"new","seq":0,"oldest":1,"members":1,"resumed":false}`,
		client.Joined{Room: "lobby", Epoch: "new", Oldest: 1, Members: 1, Again: true, Renumbered: true})
	w.says(msg(3, 2), msg(18, 3), msg(32, 31))
	f.happens(client.Gap{Room: "lobby", From: 1, To: 2}, heard(3, 2), heard(18, 3), client.Gap{Room: "lobby", From: 19, To: 31}, heard(32, 31))
	w.end(io.EOF)
	f.happens(client.Away{Err: io.EOF, Retry: pause(1)})
	f.clock.pass(t, pause(1))
	if q := f.accepts().query; q.Get("epoch") != "new" || q.Get("after") != "32" {
		t.Errorf("asked for what is behind %v", q)
	}
}

// A gap may have one of ours in it: it is said again, and the answer confirms it.
func TestGapOverOurs(t *testing.T) {
	f, w := enter(t)
	_, err := f.Say("lobby", "own")
	must(t, err)
	w.hears(`{"op":"say","room":"lobby","text":"own","id":"i-1"}`)
	w.says(`{"t":"gap","room":"lobby","from":5,"to":50}`)
	f.happens(client.Gap{Room: "lobby", From: 5, To: 50})
	w.hears(`{"op":"say","room":"lobby","text":"own","id":"i-1"}`)
	w.says(own(7, 6, "i-1"), msg(51, 50))
	f.happens(client.Confirmed{Room: "lobby", ID: "i-1", Seq: 7}, heard(51, 50))
	if n := f.Pending(); n != 0 {
		t.Errorf("%d pending", n)
	}
}

// The answer to one that is said again may overtake what comes first in a room of which nothing has come yet.
func TestAnswerBeforeHistory(t *testing.T) {
	f := begin(t, client.Config{})
	w := f.accepts()
	w.says(hello, joined)
	f.happens(greeted, client.Joined{Room: "lobby", Epoch: "e", Seq: 4, Oldest: 1, Members: 2})
	_, err := f.Say("lobby", "own")
	must(t, err)
	w.hears(`{"op":"say","room":"lobby","text":"own","id":"i-1"}`)
	w.end(io.EOF)
	f.happens(client.Away{Err: io.EOF, Retry: pause(1)})
	f.clock.pass(t, pause(1))
	w = f.accepts()
	w.says(hello, `{"t":"joined","room":"lobby","epoch":"e","seq":5,"oldest":1,"members":2,"resumed":false}`)
	f.happens(greeted, client.Joined{Room: "lobby", Epoch: "e", Seq: 5, Oldest: 1, Members: 2, Again: true})
	w.hears(`{"op":"say","room":"lobby","text":"own","id":"i-1"}`)
	w.says(own(5, 4, "i-1"), msg(4, 3), own(5, 4, "i-1"))
	f.happens(client.Confirmed{Room: "lobby", ID: "i-1", Seq: 5}, heard(4, 3), ownHeard(5, 4, "i-1"))
}

// What a room still says to who has left it does not belong to their next stay.
func TestLeftAndJoined(t *testing.T) {
	f, w := enter(t)
	must(t, f.Leave("lobby"))
	w.hears(`{"op":"leave","room":"lobby"}`)
	must(t, f.Join("lobby"))
	w.hears(`{"op":"join","id":"i-1","room":"lobby","history":50}`)
	w.says(msg(5, 4), `{"t":"gap","room":"lobby","from":6,"to":7}`, `{"t":"left","room":"lobby"}`,
		`{"t":"joined","id":"i-1","room":"lobby","epoch":"e","seq":8,"oldest":1,"members":2,"resumed":false}`, msg(5, 4), msg(6, 5))
	f.happens(client.Joined{Room: "lobby", Epoch: "e", Seq: 8, Oldest: 1, Members: 2}, heard(5, 4), heard(6, 5))
}

// Who leaves a room before being in it has made no mistake, whether they come back or not, and whatever the server says.
func TestLeftBeforeJoined(t *testing.T) {
	const inOps = `{"t":"joined","id":"i-1","room":"ops","epoch":"o","seq":0,"oldest":1,"members":1,"resumed":false}`
	here := client.Joined{Room: "ops", Epoch: "o", Oldest: 1, Members: 1}
	full := &client.Error{Code: "forbidden", Message: "no"}
	for _, c := range []struct {
		name    string
		change  func(*client.Client) error
		says    string
		happens []client.Event
		hears   string
	}{
		{"left", func(c *client.Client) error { return c.Leave("ops") }, inOps, nil, `{"op":"leave","room":"ops"}`},
		{"left, refused", func(c *client.Client) error { return c.Leave("ops") }, `{"t":"error","id":"i-1","code":"forbidden","message":"no"}`, nil, ""},
		{"back", func(c *client.Client) error { return errors.Join(c.Leave("ops"), c.Join("ops")) }, inOps, []client.Event{here}, ""},
		{"back, refused", func(c *client.Client) error { return errors.Join(c.Leave("ops"), c.Join("ops")) },
			`{"t":"error","id":"i-1","code":"forbidden","message":"no"}`, []client.Event{client.Left{Room: "ops", Err: full}}, ""},
		{"gone again", func(c *client.Client) error { return errors.Join(c.Leave("ops"), c.Join("ops"), c.Leave("ops")) }, inOps, nil, `{"op":"leave","room":"ops"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, w := enter(t)
			must(t, f.Join("ops"))
			w.hears(`{"op":"join","id":"i-1","room":"ops","history":50}`)
			asksNothing := func(id string) { // since what comes next is this
				t.Helper()
				_, err := f.Say("lobby", "own")
				must(t, err)
				w.hears(`{"op":"say","room":"lobby","text":"own","id":"` + id + `"}`)
			}
			must(t, c.change(f.Client))
			asksNothing("i-2")
			w.says(c.says, msg(5, 4))
			f.happens(append(c.happens, heard(5, 4))...)
			if c.hears != "" {
				w.hears(c.hears)
			}
			asksNothing("i-3")
		})
	}
}
