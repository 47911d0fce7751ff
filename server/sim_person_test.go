package server_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// simGrace is less than the time for which throng.v1 remembers somebody whose connection is gone.
const simGrace = 29 * time.Second

// simRemembered is how many of somebody's messages the server knows by their ids.
const simRemembered = 16

// simPerson is somebody who speaks throng.v1: over one connection after the other, in several rooms.
type simPerson struct {
	g      *simGuest // its latest connection
	number int       // its nickname begins with v and this
	nicks  int

	// What hello has said, and the steps of the wall clock until it was asked: after some a good token is too old, or of tomorrow.
	id, token string
	steps     int
	asking    int           // the steps until this connection's request
	seen      time.Duration // when the server certainly knew it: it has answered what was asked then

	places []*simPlace
	said   []*simWord     // all, in order: the unconfirmed ones are to be said again
	again  map[string]int // by id: how often this connection may hear a message out of turn, because it has said it again
	asks   int
	pages  [][2]uint64 // before and limit of those that are to come
}

// simWord is a message, whose id is how its text begins.
type simWord struct {
	place    *simPlace
	n        int
	id, text string
	at       time.Duration
	heard    bool
	answered bool // that it was said, but is no longer kept
}

// simPlace is somebody's place in a room. What was heard is kept over connections.
type simPlace struct {
	room *simRoom
	by   int // who says what it says, for the witness
	n    int // messages said under that number

	known   bool   // it has been in the room, up to the message last
	last    uint64 //
	in      bool   // the connection is in the room
	leaving bool
	asked   bool // to join, behind the message last if resume
	resume  bool
	history int
	toldTo  uint64 // the end of the gap that has to be told first; 0: none
	loose   uint64 // up to so many messages before last may have been answers out of turn
	gapped  bool   // in this connection
}

// newVoice gives what is said from now on in a room a number of its own: what was said before may be heard or not.
func (p *simPerson) newVoice(pl *simPlace) {
	w := p.g.w
	pl.by, pl.n = w.ids, 0
	w.ids++
	pl.room.voices[pl.by] = true
	w.byID = append(w.byID, &simGuest{w: w, id: pl.by, state: simOver, stream: simStream{room: newSimRoom(simWild)}})
}

// arrivePerson brings somebody new, or somebody back whose connection is over.
func (w *simWorld) arrivePerson() {
	var p *simPerson
	if i := slices.IndexFunc(w.persons, func(p *simPerson) bool { return p.g.state == simOver }); i >= 0 && w.rng.IntN(4) > 0 {
		p = w.persons[i]
		w.persons = append(slices.Delete(w.persons, i, i+1), p)
	}
	g := w.newGuest(newSimRoom(simWild))
	if g == nil {
		return
	}
	w.guests = append(w.guests, g)
	g.greedy, g.mute = w.rng.IntN(2) == 0, w.rng.IntN(10) == 0
	if p == nil {
		p = &simPerson{g: g}
		for _, r := range w.rooms {
			pl := &simPlace{room: r}
			p.newVoice(pl)
			p.places = append(p.places, pl)
		}
		w.persons = append(w.persons, p)
	}
	p.g, g.person, p.again, p.pages = g, p, map[string]int{}, nil
	for _, pl := range p.places {
		pl.in, pl.leaving, pl.asked, pl.toldTo, pl.loose, pl.gapped = false, false, false, 0, 0, false
	}
	p.connect()
}

// connect queues the request.
func (p *simPerson) connect() {
	g, rng := p.g, p.g.w.rng
	if p.id == "" {
		p.number = g.id // the server may know somebody else by the old one, whose hello was cut off
	}
	p.ask("hello ", false)
	p.asking = g.w.steps
	query := ""
	switch {
	case p.id != "":
		query = "&token=" + p.token
		w := g.w
		w.strangers = w.strangers || p.steps != w.steps
		p.ask("error  forbidden", true) // only the wall clock can bring that about: greeted
	case rng.IntN(8) == 0:
		query = fmt.Sprintf("&token=abc&nick=v%d", p.number)
		p.ask("error  forbidden", false)
	default:
		query = fmt.Sprintf("&nick=v%d", p.number)
	}
	pl := p.places[rng.IntN(len(p.places))]
	pl.wish(rng.IntN(2)*rng.IntN(20), rng.IntN(8) > 0)
	pl.room.afoot += 2 * simLineMax // it joins and leaves
	if pl.resume {
		epoch, after := pl.claim(rng)
		query += fmt.Sprintf("&epoch=%s&after=%d", epoch, after)
	}
	p.ask("joined  "+pl.room.name, false)
	query += fmt.Sprint("&history=", pl.history)
	g.request(pl.room.name, "?"+query[1:], "Sec-WebSocket-Protocol: throng.v1\r\n")
}

// wish notes what a join asks for.
func (pl *simPlace) wish(history int, resume bool) {
	pl.asked, pl.history, pl.resume = true, history, resume && pl.known
}

// claim is from where a place is to be resumed: sometimes in another epoch, or behind what the room has not said yet, which is no
// resuming then.
func (pl *simPlace) claim(rng *rand.Rand) (epoch string, after uint64) {
	switch rng.IntN(8) {
	case 0, 1:
		pl.resume = false
		return pick(rng, "ffff", "fffe", "0", "none"), pl.last
	case 2:
		pl.resume = false
		return pl.room.epoch, 1 << 40
	}
	return pl.room.epoch, pl.last
}

// ask notes an answer that is to come.
func (p *simPerson) ask(answer string, optional bool) {
	p.g.asked = append(p.g.asked, simAsk{answer, optional, p.g.w.kernel.Now()})
}

// request sends a request with an id, whose answer begins with a word.
func (p *simPerson) request(answer, format string, args ...any) {
	p.asks++
	id := fmt.Sprint("r", p.asks)
	first, rest, _ := strings.Cut(answer, " ")
	p.ask(first+" "+id+" "+rest, false)
	p.g.send(simFin|simText, fmt.Sprintf(format, args...)+fmt.Sprintf(`,"id":%q}`, id))
}

// greeted takes hello. Who is still known says again what was not confirmed; who may have been forgotten does not, since nobody
// could tell it from something new.
func (p *simPerson) greeted(m *simObject) error {
	w := p.g.w
	same := p.id == m.Me.ID
	switch {
	case p.id != "" && !same && p.steps == w.steps:
		return fmt.Errorf("%s came back as %s", p.id, m.Me.ID)
	case p.id != "" && !same:
		w.reached["v1 refused"]++
	case p.id != "":
		w.reached["v1 back"]++
	}
	known := same && w.kernel.Now()-p.seen < simGrace
	p.id, p.token, p.steps = m.Me.ID, m.Token, p.asking
	if !known {
		p.said = nil
		for _, pl := range p.places {
			p.newVoice(pl)
		}
	}
	return nil
}

// entered takes joined: it says exactly what has to come next.
func (pl *simPlace) entered(w *simWorld, m *simObject) error {
	if pl.room.epoch == "" {
		pl.room.epoch = m.Epoch
	}
	first := max(m.Oldest, m.Seq+1-min(m.Seq, uint64(pl.history)))
	switch {
	case !pl.asked || pl.in:
		return fmt.Errorf("joined %s without having asked", m.Room)
	case m.Epoch != pl.room.epoch || m.Oldest > m.Seq+1 || m.Oldest < 1 || m.Members < 1:
		return fmt.Errorf("joined %+v in the epoch %s", m, pl.room.epoch)
	case !pl.resume && m.Resumed:
		return fmt.Errorf("%s was resumed without having asked", m.Room)
	case !pl.resume:
		pl.last = first - 1
	case m.Resumed:
		w.reached["v1 resumed"]++
	case pl.last+1 >= m.Oldest:
		return fmt.Errorf("%s was not resumed behind %d, although it has all from %d on", m.Room, pl.last, m.Oldest)
	default:
		w.reached["v1 lost"]++
		pl.toldTo = first - 1
	}
	pl.in, pl.asked, pl.known, pl.loose = true, false, true, 0
	return nil
}

// hear takes a message: the next one of its room, or the answer to one that was said again.
func (p *simPerson) hear(pl *simPlace, m *simObject) error {
	again := p.again[m.ID] > 0
	switch {
	case !pl.in || pl.toldTo > 0:
		return fmt.Errorf("heard %d of %s, with a gap to be told up to %d", m.Seq, m.Room, pl.toldTo)
	case m.Seq == pl.last+1:
		pl.last++
		if pl.loose++; !again {
			pl.loose = 0
		}
	case again:
		p.again[m.ID]--
		p.g.w.reached["v1 answered again"]++
	default:
		return fmt.Errorf("heard %d of %s after %d", m.Seq, m.Room, pl.last)
	}
	if i := slices.IndexFunc(p.said, func(s *simWord) bool { return s.id == m.ID }); i >= 0 {
		p.seen = max(p.seen, p.said[i].at)
		p.said[i].heard = true
	}
	return pl.room.promise(m)
}

// missed takes a gap.
func (pl *simPlace) missed(w *simWorld, m *simObject) error {
	w.reached["v1 gap"]++
	from := m.From.number
	if !pl.in || from > pl.last+1 || from+pl.loose < pl.last+1 || m.To < from || m.Missed != m.To-from+1 || pl.toldTo > 0 && m.To != pl.toldTo {
		return fmt.Errorf("a gap of %d from %d to %d in %s, of which it has %d, and expects one up to %d", m.Missed, from, m.To, m.Room, pl.last, pl.toldTo)
	}
	pl.last, pl.toldTo, pl.loose, pl.gapped = max(pl.last, m.To), 0, 0, true
	return nil
}

// failed takes an error.
func (p *simPerson) failed(m *simObject) error {
	if p.again[m.ID] == 0 {
		return p.g.told("error " + m.ID + " " + string(m.Code))
	}
	p.g.w.reached["v1 "+string(m.Code)]++
	p.again[m.ID]--
	i := slices.IndexFunc(p.said, func(s *simWord) bool { return s.id == m.ID })
	switch {
	case m.Code != "unconfirmed" && m.Code != "unavailable":
		return fmt.Errorf("%s for something said again", m.Code)
	case i < 0: // it was heard meanwhile, and forgotten
	case m.Code == "unconfirmed":
		p.said[i].answered = true
	default:
		p.sayAgain(p.said[i])
	}
	return nil
}

// complete asserts that somebody who is there has heard all, and that all was heard that it has said.
func (p *simPerson) complete() {
	w := p.g.w
	for _, pl := range p.places {
		if all := len(pl.room.numbered); pl.in && (pl.last != uint64(all) || pl.toldTo > 0) {
			w.fail("person %d has heard up to %d of %d in %s", p.number, pl.last, all, pl.room.name)
		}
	}
	for _, s := range p.said {
		_, there := s.place.room.places[[2]int{s.place.by, s.n}]
		if !s.place.in && !s.heard {
			continue // to be said when it is there
		}
		if !there || !s.heard && !s.answered && !s.place.gapped {
			w.fail("person %d has said %s in %s; heard by others: %t, confirmed: %t", p.number, s.id, s.place.room.name, there, s.heard)
		}
		s.heard = true
	}
}
