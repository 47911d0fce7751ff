package client_test

import (
	"fmt"
	"io"
	"testing"

	"throng/client"
)

// Clients that share a token are one person, also when the server refuses it: who hears of that second takes over the identity
// that the first has got.
func TestSharedToken(t *testing.T) {
	who := func(id, token string) (string, client.Hello) {
		return fmt.Sprintf(`{"t":"hello","me":{"id":%q,"nick":"ann"},"token":%q}`, id, token),
			client.Hello{Me: client.Person{ID: id, Nick: "ann"}, Token: token}
	}
	tokens := &shelf{}
	f := begin(t, client.Config{Tokens: tokens})
	comes := func(w *wire, with, id, gets string) {
		t.Helper()
		says, happens := who(id, gets)
		w.says(says)
		f.happens(happens)
		if got := w.query.Get("token"); got != with || tokens.Load() != gets {
			t.Errorf("came with the token %q instead of %q, and %q is kept", got, with, tokens.Load())
		}
	}
	next := func(w *wire) *wire {
		t.Helper()
		w.end(io.EOF)
		f.happens(client.Away{Err: io.EOF, Retry: pause(1)})
		f.clock.pass(t, pause(1))
		return f.accepts()
	}
	w := f.accepts()
	comes(w, "", "7", "T")
	tokens.Save("T, renamed") // by another one
	w = next(w)
	tokens.Save("T, renamed again")
	comes(w, "T, renamed", "7", "T1")
	w = next(w)
	comes(w, "T1", "8", "U") // refused, and nobody else was

	w = next(w)
	tokens.Save("V")
	says, _ := who("9", "W")
	w.says(says)
	if e := receive(t, f.Events(), "event").(client.Away); e.Err == nil || e.Retry != pause(2) {
		t.Errorf("%+v", e)
	}
	<-w.gone
	f.clock.pass(t, pause(2))
	comes(f.accepts(), "V", "10", "V1")
}
