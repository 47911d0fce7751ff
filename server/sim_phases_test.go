package server_test

import (
	"fmt"
	"hash/fnv"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"time"
)

// simHash stands for a text.
func simHash(text string) uint64 {
	h := fnv.New64a()
	io.WriteString(h, text)
	return h.Sum64()
}

// newGuest dials; nil if nobody listens.
func (w *simWorld) newGuest(room *simRoom) *simGuest {
	address := simAddress
	if w.rng.IntN(4) == 0 {
		address = simSocket
	}
	remote, err := w.kernel.Dial(address)
	if err != nil {
		return nil
	}
	g := &simGuest{w: w, id: w.ids, remote: remote, status: 101, stream: simStream{room: room, floor: len(room.lines)}}
	g.listens = w.large && w.rng.IntN(simListeners) > 0
	w.ids++
	w.byID = append(w.byID, g)
	return g
}

// request queues the upgrade request.
func (g *simGuest) request(room, query, extension string) {
	if g.w.compress && g.w.rng.IntN(2) == 0 {
		extension += "Sec-WebSocket-Extensions: permessage-deflate\r\n"
	}
	g.out = fmt.Appendf(g.out, "GET /chat/%s%s HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n", room, query, extension)
}

// seatWitnesses has one join each room, before everybody else.
func (w *simWorld) seatWitnesses() {
	w.comeToRest()
	for _, r := range w.rooms {
		g := w.newGuest(r)
		g.witness, g.greedy, g.listens, g.remote.Steady, g.remote.Buffer = true, true, false, true, 1<<26
		g.request(r.name, "", "")
		w.witnesses = append(w.witnesses, g)
		for range 100 {
			g.flush(len(g.out))
			g.read(len(w.buf))
			w.comeToRest()
		}
		if g.state != simOpen {
			w.fail("the witness of %s cannot join", r.name)
		}
	}
}

// arrive brings a new guest.
func (w *simWorld) arrive() {
	rng := w.rng
	if !w.packed && rng.IntN(3) == 0 {
		w.arrivePerson()
		return
	}
	r := newSimRoom(simWild)
	if rng.IntN(8) > 0 {
		r = w.rooms[rng.IntN(len(w.rooms))]
	}
	g := w.newGuest(r)
	if g == nil {
		return
	}
	w.guests = append(w.guests, g)
	r.afoot += 2 * simLineMax // it joins and leaves
	g.greedy, g.mute = rng.IntN(2) == 0, rng.IntN(10) == 0
	if rng.IntN(20) == 0 {
		g.nonsense()
		return
	}
	query := ""
	if rng.IntN(3) == 0 {
		g.stream.history = 1 + rng.IntN(20)
		query += fmt.Sprint("&history=", g.stream.history)
	}
	if rng.IntN(3) == 0 {
		nick := w.nick()
		query += "&nick=" + nick
		g.asked = append(g.asked, simAsk{prefix: "the nickname " + nick + " is taken", optional: true})
	}
	g.request(r.name, strings.Replace(query, "&", "?", 1), "")
	if rng.IntN(3) == 0 {
		g.say() // right behind the request
	}
}

// nonsense is a request that is refused.
func (g *simGuest) nonsense() {
	all := []struct {
		status int
		head   string
	}{
		{400, "\x16\x03\x01\x02\x00"},
		{400, "GET / HTTP/1.1\r\n\r\n\r\n"},
		{431, "GET / HTTP/1.1\r\nHost: " + strings.Repeat("x", 5000) + "\r\n\r\n"},
		{503, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{404, "GET /nowhere HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"},
	}
	v := all[g.w.rng.IntN(len(all))]
	g.hush()
	g.status = v.status
	g.out = append(g.out, v.head...)
}

// admin asks what an operator asks.
func (w *simWorld) admin() {
	for _, path := range []string{"/healthz", "/readyz"} {
		answer := httptest.NewRecorder()
		w.srv.Admin().ServeHTTP(answer, httptest.NewRequest("GET", path, nil))
		if answer.Code != 200 && !w.draining {
			w.fail("%s answers %d", path, answer.Code)
		}
	}
}

// comeToRest steps until nothing moves any more: everybody reads, nobody says anything new, no time passes.
func (w *simWorld) comeToRest() {
	for range 1_000_000 {
		moved := false
		for w.failed == nil && !w.kernel.Idle() {
			moved = true
			w.step++
			if w.rng.IntN(2) == 0 || !w.kernel.Deliver() {
				w.kernel.Step()
			}
			w.cheap()
		}
		for _, g := range append(w.guests, w.witnesses...) {
			if g.state == simOver {
				continue
			}
			for g.state != simOver && g.read(len(w.buf)) && w.failed == nil {
				moved = true
			}
			moved = g.state != simOver && g.flush(len(g.out)) || moved
		}
		w.guests = slices.DeleteFunc(w.guests, func(g *simGuest) bool { return g.state == simOver })
		if w.failed != nil || !moved && w.kernel.Idle() {
			return
		}
	}
	w.fail("the server never comes to rest")
}

// rest lets everything come to rest, and then asserts that nothing stands still that should have moved.
func (w *simWorld) rest() {
	w.kernel.Quiet(true)
	for _, g := range w.guests {
		g.deaf = false
	}
	w.comeToRest()
	for i := 0; (w.config.MessageRate > 0 || w.overflows) && i < 80; i++ {
		// Who has said too much is read when time passes, and who was flooded.
		w.kernel.Advance(250 * time.Millisecond)
		w.comeToRest()
	}
	w.complete()
	if w.failed != nil {
		return
	}
	// What only time brings: accepting after a failure, the end of connections whose peer does not end them.
	for range 20 {
		w.kernel.Advance(200 * time.Millisecond)
		w.comeToRest()
	}
	w.complete()
	if held := w.srv.Stats().HeldBytes; w.lean && held > w.config.MaxHeldBytes {
		w.fail("%d bytes are held at rest, and %d may be", held, w.config.MaxHeldBytes)
	}
	full := w.srv.Conns() >= w.config.MaxConns+max(w.config.RefuseConns, 1) || w.kernel.Full()
	for _, g := range w.guests {
		if g.state == simAsking && !g.hungUp && !full && w.failed == nil {
			w.fail("guest %d is not answered", g.id)
		}
	}
}

// complete is what must hold at rest.
func (w *simWorld) complete() {
	if w.failed != nil {
		return
	}
	w.settled()
	if _, err := w.srv.Inspect(w.bound, true); err != nil {
		w.fail("%v", err)
	}
	for _, g := range w.byID {
		if err := g.stream.check(w.sentAt, g.present() && !g.witness); err != nil && g.stream.room.name != simWild {
			w.fail("guest %d in %s: %v", g.id, g.stream.room.name, err)
			return
		}
	}
	for _, g := range append(slices.Clone(w.guests), w.witnesses...) {
		if g.present() {
			w.heardOf(g)
		}
		if g.present() && g.person != nil {
			g.person.complete()
		}
	}
	for _, g := range w.ended {
		if said := g.stream.room.said[g.id]; said != len(g.ends) {
			w.fail("guest %d said %d messages and closed with %d, %d of them were heard", g.id, len(g.ends), g.closed, said)
		}
	}
	w.ended = nil
	for _, r := range w.rooms {
		w.presences(r)
		if len(r.promised) > 0 {
			w.fail("some in %s have heard what the witness never heard: %v", r.name, r.promised)
		}
	}
}

// present says whether g is a member of its room.
func (g *simGuest) present() bool { return g.state == simOpen && g.closed == 0 && !g.hungUp }

// heardOf asserts that all that g has sent was dealt with.
func (w *simWorld) heardOf(g *simGuest) {
	room := g.stream.room
	i := slices.IndexFunc(g.asked, func(a simAsk) bool { return !a.optional })
	switch {
	case len(g.out) > 0:
		w.fail("guest %d is not read: %d bytes wait", g.id, len(g.out))
	case room.name != simWild && room.said[g.id] != len(g.ends):
		w.fail("guest %d has said %d messages, %s has heard %d", g.id, len(g.ends), room.name, room.said[g.id])
	case i >= 0:
		w.fail("guest %d was never told %q", g.id, g.asked[i].prefix)
	}
}

// sentAt is the step at which a message was with the kernel.
func (w *simWorld) sentAt(by, n int) int { return w.byID[by].sentAt[n-1] }

// genuine asserts that a line of the room is what somebody has sent.
func (w *simWorld) genuine(text string) error {
	_, by, n, ok := simParse(text)
	if !ok {
		return nil
	}
	_, said, _ := strings.Cut(text, ": ")
	if by >= len(w.byID) || n < 1 || n > len(w.byID[by].sentAt) || w.byID[by].texts[n-1] != simHash(said) {
		return fmt.Errorf("nobody has said %q", text)
	}
	return nil
}

// presences asserts that who has joined has left or is there.
func (w *simWorld) presences(r *simRoom) {
	if w.failed != nil || w.draining || w.strangers || len(w.byID) >= w.presence { // who is away counts, too
		return
	}
	if !slices.ContainsFunc(w.witnesses, func(g *simGuest) bool { return g.stream.room == r && g.present() }) {
		return // nobody is left to hear who leaves
	}
	present, known, doubtful := 0, 0, 0
	for _, g := range w.byID {
		switch {
		case g.stream.room != r:
		case g.present():
			present++
			known++
		case g.stream.since > 0:
			known++
		default:
			doubtful++
		}
	}
	if gone := known - present; r.leaves < gone || r.leaves > gone+doubtful {
		w.fail("%s: %d lines say that somebody has left; %d have, and perhaps %d", r.name, r.leaves, gone, doubtful)
	}
	if w.announce && r.joins-r.leaves != present {
		w.fail("%s: %d have joined and %d left, but %d are there", r.name, r.joins, r.leaves, present)
	}
}

// everybodyLeaves empties the server, and asserts that nothing is left in it.
func (w *simWorld) everybodyLeaves() {
	for _, g := range w.guests {
		if !g.silent {
			g.bye()
		}
	}
	w.rest()
	if n := len(w.guests); n > 0 && w.failed == nil {
		w.fail("%d are left when everybody has closed, the first is %d", n, w.guests[0].id)
	}
	// Nobody has any of the nicknames any more.
	for i := range simNicks {
		w.witnesses[0].send(simFin|simText, fmt.Sprint("/nick n", i))
	}
	w.rest()
	for _, g := range w.witnesses {
		g.bye()
	}
	w.rest()
	if n := w.srv.Conns(); n > 0 {
		w.fail("%d connections are left", n)
	}
	w.kernel.Advance(2 * time.Hour)
	w.rest()
	if n := w.chat.Rooms(); n > 0 {
		w.fail("%d rooms are left", n)
	}
}
