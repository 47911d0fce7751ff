package chat_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"throng/chat"
)

// hand is one of the two connections of a person, each on a goroutine of its own.
type hand struct {
	*world
	rnd   *rand.Rand
	name  string // no nickname: unlike any other's
	conn  *person
	token string
	epoch string
	last  float64 // the last message of the room r
	ids   int
	aside bool // in the room aside, too
	cuts  int
}

// connect connects as who the person was, and resumes the room r.
func (h *hand) connect() error {
	path := "/chat/r?history=0&nick=" + h.name + "&token=" + h.token
	if h.epoch != "" {
		path += fmt.Sprintf("&epoch=%s&after=%.0f", h.epoch, h.last)
	}
	p, err := h.dial(ws.Dialer{Protocols: []string{chat.Protocol}}, path)
	if err != nil {
		return err
	}
	h.conn, h.aside = p, false
	hello, err := h.until(func(o fields) bool { return o["t"] == "hello" })
	if err != nil {
		return err
	}
	joined, err := h.until(func(o fields) bool { return o["t"] == "joined" })
	if err != nil {
		return err
	}
	if joined["resumed"] != (h.epoch != "") {
		return fmt.Errorf("%s, after %v: %v", h.name, h.last, joined)
	}
	h.token, h.epoch, h.last = hello["token"].(string), joined["epoch"].(string), max(h.last, 0)
	return nil
}

// until receives until something comes.
func (h *hand) until(is func(fields) bool) (fields, error) {
	for {
		f, err := h.conn.frame()
		if err != nil {
			return nil, err
		}
		o, err := readObject(string(f.Payload))
		if err != nil {
			return nil, err
		}
		if seq, _ := o["seq"].(float64); o["t"] == "msg" && seq == h.last+1 {
			h.last = seq
		}
		if is(o) {
			return o, nil
		}
	}
}

// ask sends a request, and returns its answer.
func (h *hand) ask(request fields) (fields, error) {
	h.ids++
	id := fmt.Sprintf("%p %d", h, h.ids)
	request["id"] = id
	b, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	h.conn.trySay(string(b))
	return h.until(func(o fields) bool { return o["id"] == id })
}

// say says what the other hand says, too, until it is acknowledged. Sometimes the connection breaks before.
func (h *hand) say(id string) error {
	for {
		h.conn.trySay(said("r", id, id))
		if h.rnd.IntN(4) == 0 {
			if err := h.cut(); err != nil {
				return err
			}
			continue
		}
		o, err := h.until(func(o fields) bool { return o["id"] == id })
		if err != nil || o["t"] == "msg" {
			return err
		}
		if o["code"] != "unavailable" {
			return fmt.Errorf("%v", o)
		}
	}
}

// cut breaks the connection, and makes another one.
func (h *hand) cut() error {
	h.cuts++
	h.conn.conn.Close()
	return h.connect()
}

// stroll goes aside, or comes back.
func (h *hand) stroll() error {
	op := map[bool]string{false: "join", true: "leave"}[h.aside]
	h.aside = !h.aside
	o, err := h.ask(fields{"op": op, "room": "aside"})
	if err == nil && o["t"] == "error" {
		err = fmt.Errorf("%v", o)
	}
	return err
}

// rename takes another nickname.
func (h *hand) rename() error {
	o, err := h.ask(fields{"op": "nick", "nick": fmt.Sprint(h.name, "-", h.rnd.IntN(100))})
	if err == nil && o["t"] != "nick" && o["code"] != "rate_limited" {
		err = fmt.Errorf("%v", o)
	}
	return err
}

// round is a little of everything, and a message that the other hand says at the same time.
func (h *hand) round(id string) error {
	for range h.rnd.IntN(4) {
		act := []func() error{h.cut, h.stroll, h.stroll, h.rename}[h.rnd.IntN(4)]
		if err := act(); err != nil {
			return err
		}
	}
	return h.say(id)
}

// home leaves the room aside for good, in which the person may be away.
func (h *hand) home() error {
	for range 2 - map[bool]int{true: 1}[h.aside] {
		if err := h.stroll(); err != nil {
			return err
		}
	}
	return nil
}

// both has both hands do something at the same time.
func both(t *testing.T, hands [2]*hand, do func(*hand) error) {
	var wg sync.WaitGroup
	for _, h := range hands {
		wg.Go(func() {
			if err := do(h); err != nil {
				t.Errorf("%s: %v", h.name, err)
			}
		})
	}
	wg.Wait()
}

// People do everything with both hands, which are connections on two workers: what each says twice is heard once, nobody is ever
// counted twice or not at all, and when they stop the room aside is empty.
func TestTwoHands(t *testing.T) {
	const people, rounds = 3, 150
	w := start(t, freeze)
	ear := w.as("ear", "r")
	watch, _, _ := w.seated("watch", "r")
	watch.walk("join", "aside")
	var hands [people][2]*hand
	for i := range hands {
		for j := range hands[i] {
			h := &hand{world: w, rnd: rand.New(rand.NewPCG(uint64(i), uint64(j))), name: fmt.Sprint("p", i)}
			if j > 0 {
				h.token = hands[i][0].token
			}
			must(t, h.connect())
			hands[i][j] = h
		}
		if n := w.chat.Workers("r", hands[i][0].name); n != 2 {
			t.Fatalf("the hands are on %d workers", n)
		}
	}
	w.pass(time.Second)
	for o := watch.expect("presence"); o["room"] != "r"; o = watch.expect("presence") {
	}
	var wg sync.WaitGroup
	for i := range hands {
		wg.Go(func() {
			for round := range rounds {
				both(t, hands[i], func(h *hand) error { return h.round(fmt.Sprintf("%d of %s", round, h.name)) })
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	w.watch(watch, done, people+2)
	eventually(t, func() error { return count("connections", w.srv.Conns(), 2*people+2) }) // the last cuts are noticed
	for i := range hands {
		both(t, hands[i], (*hand).home)
	}
	watch.count("aside", 1)
	heard := map[string]int{}
	ear.say("end")
	for line := ear.hear(); line != "ear: end"; line = ear.hear() {
		if _, text, ok := strings.Cut(line, ": "); ok {
			heard[text]++
		} else if !strings.Contains(line, " is now ") {
			t.Errorf("%q", line)
		}
	}
	cuts := 0
	for _, both := range hands {
		cuts += both[0].cuts + both[1].cuts
		for round := range rounds {
			if text := fmt.Sprintf("%d of %s", round, both[0].name); heard[text] != 1 {
				t.Errorf("%q is heard %d times", text, heard[text])
			}
		}
	}
	if len(heard) != people*rounds || cuts < people*rounds/2 {
		t.Errorf("%d messages, %d cuts", len(heard), cuts)
	}
}

// watch counts the people in the room r until all is done, while time passes.
func (w *world) watch(p *person, done chan struct{}, members float64) {
	w.Helper()
	for looks := 0; ; looks++ {
		if looks%100 == 0 && looks < 4000 { // 20 s: less than the grace time
			w.pass(500 * time.Millisecond)
		}
		p.count("r", members)
		select {
		case <-done:
			return
		default:
		}
	}
}

// count asserts how many are in a room, and that nobody was seen leaving the room r.
func (p *person) count(in string, members float64) {
	p.Helper()
	p.say(fmt.Sprintf(`{"op":"who","room":%q}`, in))
	for {
		o := p.get()
		switch left, _ := o["left"].([]any); {
		case o["t"] == "presence" && o["room"] == "r" && len(left) > 0:
			p.Fatalf("%v", o)
		case o["t"] != "members":
			continue
		}
		if o["count"] != members {
			p.Fatalf("%v, and there are %v", o, members)
		}
		return
	}
}
