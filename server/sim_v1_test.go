package server_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// simObject is whatever a server says in throng.v1: docs/throng.v1.md.
type simObject struct {
	T        string
	ID       string
	Room     string
	Seq      uint64
	Prev     uint64
	Text     string
	Me       simWho
	Token    string
	Epoch    string
	Oldest   uint64
	Resumed  bool
	From     simWho // of a gap: a number
	To       uint64
	Missed   uint64
	More     bool
	Members  simCount
	Messages []simObject
	Code     simCode
}

// simWho is somebody; or a number.
type simWho struct {
	ID, Nick string
	number   uint64
}

func (s *simWho) UnmarshalJSON(b []byte) error {
	if b[0] != '{' {
		return json.Unmarshal(b, &s.number)
	}
	type plain simWho
	return json.Unmarshal(b, (*plain)(s))
}

// simCount is a number; or a list, of which it is the length.
type simCount int

func (n *simCount) UnmarshalJSON(b []byte) error {
	if b[0] != '[' {
		return json.Unmarshal(b, (*int)(n))
	}
	var list []simWho
	err := json.Unmarshal(b, &list)
	*n = simCount(len(list))
	return err
}

// simCode is a word; or a number in digits.
type simCode string

func (c *simCode) UnmarshalJSON(b []byte) error {
	*c = simCode(strings.Trim(string(b), `"`))
	return nil
}

// parse reads a text of throng.v1. What goes to a whole room is read once.
func (w *simWorld) parse(text string) (m simObject, err error) {
	m, known := w.parsed[text]
	if known {
		return m, nil
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return m, fmt.Errorf("heard %q: %w", text, err)
	}
	if len(w.parsed) == 512 {
		clear(w.parsed)
	}
	if len(text) < 1000 && (m.T == "msg" || m.T == "presence") {
		w.parsed[text] = m
	}
	return m, nil
}

// object takes a text of throng.v1.
func (p *simPerson) object(text string) error {
	m, err := p.g.w.parse(text)
	if err != nil {
		return err
	}
	pl := p.places[0]
	if i := slices.IndexFunc(p.places, func(pl *simPlace) bool { return pl.room.name == m.Room }); i >= 0 {
		pl = p.places[i]
	} else if m.Room != "" {
		return fmt.Errorf("heard %q of a room it is not in", text)
	}
	switch m.T {
	case "presence", "typing", "bye":
		return nil
	case "msg":
		return p.hear(pl, &m)
	case "gap":
		return pl.missed(p.g.w, &m)
	case "error":
		return p.failed(&m)
	}
	if err := p.g.told(m.T + " " + m.ID + " " + m.Room); err != nil {
		return err
	}
	err = p.answer(pl, &m)
	p.seen = max(p.seen, p.g.answered) // behind hello, which asks how long ago that was
	return err
}

// answer takes the answer to a request.
func (p *simPerson) answer(pl *simPlace, m *simObject) error {
	switch m.T {
	case "hello":
		return p.greeted(m)
	case "joined":
		if err := pl.entered(p.g.w, m); err != nil {
			return err
		}
		for _, s := range p.said {
			if s.place == pl && !s.heard {
				p.sayAgain(s)
			}
		}
	case "left":
		pl.in, pl.leaving = false, false
	case "nick":
		p.token = m.Token // no older than hello's
	case "page":
		return p.page(pl, m)
	case "members":
		if m.Members < 1 {
			return fmt.Errorf("nobody is in %s", m.Room)
		}
	case "pong":
	default:
		return fmt.Errorf("heard %+v", m)
	}
	return nil
}

// page takes earlier messages.
func (p *simPerson) page(pl *simPlace, m *simObject) error {
	before, limit := p.pages[0][0], p.pages[0][1]
	p.pages = p.pages[1:]
	n := len(m.Messages)
	if n > int(limit) || n == 0 && m.More || m.More && m.Messages[0].Seq == 1 {
		return fmt.Errorf("a page of %d, asked for %d before %d; more: %t", n, limit, before, m.More)
	}
	for i := range m.Messages {
		x := &m.Messages[i]
		if x.T != "msg" || x.Room != m.Room || x.Seq != before-uint64(n-i) {
			return fmt.Errorf("message %d of %d before %d is %+v", i, n, before, x)
		}
		if err := pl.room.promise(x); err != nil {
			return err
		}
	}
	return nil
}

// behave thinks of something to do next.
func (p *simPerson) behave() {
	g, rng := p.g, p.g.w.rng
	pl := p.places[rng.IntN(len(p.places))]
	switch n := rng.IntN(1000); {
	case p.id == "" || len(g.asked) > 0 && strings.HasPrefix(g.asked[0].prefix, "hello"):
	case n < 360:
		p.say(pl)
	case n < 400:
		for range 16 {
			p.say(pl)
		}
	case n < 440 && len(p.said) > 0:
		if s := p.said[len(p.said)-1]; s.place.in && !s.place.leaving {
			p.sayAgain(s)
		}
	case n < 480:
		p.request("pong", `{"op":"ping"`)
	case n < 640:
		p.comeOrGo(pl)
	case n < 660 && pl.in && !pl.leaving:
		p.pages = append(p.pages, [2]uint64{1 + rng.Uint64N(pl.last+1), 1 + rng.Uint64N(20)})
		last := p.pages[len(p.pages)-1]
		p.request("page "+pl.room.name, `{"op":"history","room":%q,"before":%d,"limit":%d`, pl.room.name, last[0], last[1])
	case n < 690 && pl.in && !pl.leaving:
		p.request("members "+pl.room.name, `{"op":"who","room":%q`, pl.room.name)
	case n < 710 && pl.in && !pl.leaving:
		g.send(simFin|simText, fmt.Sprintf(`{"op":"typing","room":%q}`, pl.room.name))
	case n < 750:
		p.mistake(pl)
	case n < 780 && !g.w.lean:
		p.nicks++
		for _, pl := range p.places {
			pl.room.afoot += simLineMax
		}
		p.request("nick", `{"op":"nick","nick":"v%dx%d"`, p.number, p.nicks)
	case n < 840 && !g.greedy:
		g.deaf = true
	case n < 890 || n < 910 && g.w.leaving:
		g.leave()
	case n < 900 && !g.greedy:
		g.violate()
	}
}

// comeOrGo leaves a room, or joins it: perhaps behind what it has.
func (p *simPerson) comeOrGo(pl *simPlace) {
	rng := p.g.w.rng
	waits := func(s *simWord) bool { return s.place == pl && !s.heard }
	switch {
	case pl.asked, pl.leaving, pl.in && slices.ContainsFunc(p.said, waits):
	case pl.in:
		pl.leaving = true
		p.request("left "+pl.room.name, `{"op":"leave","room":%q`, pl.room.name)
	default:
		pl.wish(rng.IntN(2)*rng.IntN(20), rng.IntN(4) > 0)
		pl.room.afoot += 2 * simLineMax
		resume := ""
		if pl.resume {
			epoch, after := pl.claim(rng)
			resume = fmt.Sprintf(`,"epoch":%q,"after":%d`, epoch, after)
		}
		p.request("joined "+pl.room.name, `{"op":"join","room":%q,"history":%d%s`, pl.room.name, pl.history, resume)
	}
}

// mistake asks for what is refused.
func (p *simPerson) mistake(pl *simPlace) {
	g := p.g
	switch name := pl.room.name; g.w.rng.IntN(6) {
	case 0:
		p.ask("error  bad_request", false)
		g.send(simFin|simText, "What?")
	case 1:
		p.ask("error  too_long", false)
		g.send(simFin|simText, fmt.Sprintf(`{"op":"ping","id":%q}`, strings.Repeat("x", 65)))
	case 2:
		p.request("error not_member", `{"op":"say","text":"x","room":"cellar"`)
	case 3:
		p.request("error bad_request", `{"op":"dance","room":%q`, name)
	case 4:
		p.request("error bad_request", `{"op":"join","room":"cellar","after":1`)
	case 5:
		if pl.in && !pl.leaving {
			p.request("error bad_request", `{"op":"join","room":%q`, name)
		}
	}
}

// say says the next message in a room, unless so much is unconfirmed that the server might forget the first of it.
func (p *simPerson) say(pl *simPlace) {
	w := p.g.w
	first := slices.IndexFunc(p.said, func(s *simWord) bool { return !s.heard })
	if p.g.listens || !pl.in || pl.leaving || first >= 0 && len(p.said)-first >= simRemembered {
		return
	}
	if first < 0 && len(p.said) > simRemembered {
		p.said = slices.Clone(p.said[len(p.said)-1:])
	}
	pl.n++
	s := &simWord{place: pl, n: pl.n, id: fmt.Sprintf("g%d-%d", pl.by, pl.n), at: w.kernel.Now()}
	s.text = s.id
	if w.rng.IntN(w.terse) == 0 {
		s.text += " " + strings.Repeat("ä", w.rng.IntN(min(w.messageBytes/3, 4000))/2)
	}
	p.said = append(p.said, s)
	voice := w.byID[pl.by]
	voice.texts, voice.sentAt = append(voice.texts, simHash(s.text)), append(voice.sentAt, w.step)
	pl.room.afoot += len(s.text) + simLineMax
	p.utter(s)
}

// sayAgain says something with the id that it had.
func (p *simPerson) sayAgain(s *simWord) {
	p.g.w.reached["v1 said again"]++
	p.again[s.id]++
	p.utter(s)
}

func (p *simPerson) utter(s *simWord) {
	p.g.send(simFin|simText, fmt.Sprintf(`{"op":"say","room":"%s","text":"%s","id":"%s"}`, s.place.room.name, s.text, s.id))
}
