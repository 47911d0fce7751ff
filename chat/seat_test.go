package chat_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"throng/chat"
	"throng/server"
)

// object is one that the server sent.
type object map[string]any

// seat joins with throng.v1; hello and joined have been received.
func (w *world) seat(path string) *person {
	w.Helper()
	p, err := w.dial(ws.Dialer{Protocols: []string{chat.Protocol}}, path)
	must(w.T, err)
	p.object("hello")
	p.object("joined")
	return p
}

// object receives the next object, which is to be of a type.
func (p *person) object(t string) (o object) {
	p.Helper()
	line := p.hear()
	if err := json.Unmarshal([]byte(line), &o); err != nil || o["t"] != t {
		p.Fatalf("got %s, want %s", line, t)
	}
	return o
}

// Whoever is sent away is told when to come back.
func TestBye(t *testing.T) {
	w := start(t)
	ann, bob := w.seat("/chat"), w.join("/chat")
	done := make(chan error, 1)
	go func() { done <- w.srv.Shutdown(context.Background()) }()
	bye := ann.object("bye")
	if after := bye["reconnect_ms"].(float64); bye["code"] != 1001.0 || after < 500 || after >= 5000 {
		t.Errorf("%v", bye)
	}
	ann.closed(ws.StatusGoingAway)
	bob.closed(ws.StatusGoingAway)
	must(t, <-done)
}

// Who answers no ping is told when to come back as well: what reads may be there, and what answers not.
func TestByeToTheSilent(t *testing.T) {
	w := start(t, freeze, func(o *options) { o.server.PingPeriod = 50 * time.Millisecond })
	ann := w.seat("/chat")
	if bye := ann.object("bye"); bye["code"] != 4008.0 || bye["reconnect_ms"].(float64) < 500 {
		t.Errorf("%v", bye)
	}
	ann.closed(server.CodeIdle)
}

// Who is too slow, and is to be closed for that, is told when to come back behind what was sent, and nothing is missing before.
func TestByeToTheSlow(t *testing.T) {
	const messages = 2000
	w := start(t, freeze, small, func(o *options) { o.chat.CloseSlow = true })
	bob := w.deaf("/chat/r?history=0", chat.Protocol)
	w.as("ann", "r").flood(messages)
	bob.object("hello")
	bob.object("joined")
	for seq := 1.0; ; seq++ {
		var o object
		must(t, json.Unmarshal([]byte(bob.hear()), &o))
		if o["t"] == "bye" {
			if o["code"] != 4000.0 {
				t.Errorf("%v", o)
			}
			break
		}
		if o["t"] != "msg" || o["seq"] != seq {
			t.Fatalf("%v, want message %v", o, seq)
		}
	}
	bob.closed(server.CodeSlow)
}
