package chat_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/gobwas/ws"

	"throng/chat"
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
