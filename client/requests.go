package client

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// request is what is sent.
type request struct {
	Op      string  `json:"op"`
	ID      string  `json:"id,omitempty"`
	Room    string  `json:"room,omitempty"`
	Text    *string `json:"text,omitempty"`
	Nick    *string `json:"nick,omitempty"`
	History *int    `json:"history,omitempty"`
	Epoch   string  `json:"epoch,omitempty"`
	After   *uint64 `json:"after,omitempty"`
	Before  *uint64 `json:"before,omitempty"`
	Limit   int     `json:"limit,omitempty"`
}

// answer is what a request that somebody waits for gets.
type answer struct {
	body []byte
	err  error
}

// said is a message that is not confirmed.
type said struct {
	room, id, text string
	sent           bool   // on this connection
	again          bool   // it was sent on an earlier one
	number         uint64 // among all that were sent, in the order of the first time; 0 is not yet
}

// send queues a request for the writing goroutine. Under the lock.
func (c *Client) send(r request) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // which would make "<" six bytes
	if err := e.Encode(r); err != nil {
		panic("client: " + err.Error()) // strings and numbers can always be encoded
	}
	c.out = append(c.out, bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	signal(c.kick)
}

// nextID draws an id for a request. Under the lock.
func (c *Client) nextID() string {
	c.ids++
	return c.cfg.IDs + "-" + strconv.FormatUint(c.ids, 36)
}

// Me is who we are at present.
func (c *Client) Me() Person {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.me
}

// Rooms lists the rooms that we are in or want to be in.
func (c *Client) Rooms() (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.rooms {
		names = append(names, p.name)
	}
	return names
}

// Pending is how many messages are not confirmed.
func (c *Client) Pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.outbox)
}

// Join joins a room, now or as soon as there is a connection: Joined comes then, or
// Left with an error. A room that we are in already is no error.
func (c *Client) Join(room string) error {
	if err := CheckRoom(room); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.place(room) != nil {
		return nil
	}
	if len(c.rooms) == maxRooms {
		return ErrRooms
	}
	p := named(c.leaving, room)
	if p == nil {
		p = &place{name: room}
	}
	c.leaving = without(c.leaving, p)
	c.rooms = append(c.rooms, p)
	signal(c.kick)
	return nil
}

// Leave leaves a room, and gives up what was said there and is not confirmed. Left comes when
// the server agrees; nothing comes without a connection.
func (c *Client) Leave(room string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.place(room)
	if p == nil {
		return ErrNotMember
	}
	c.rooms = without(c.rooms, p)
	c.outbox = slices.DeleteFunc(c.outbox, func(s *said) bool { return s.room == room })
	switch {
	case p.joined:
		c.send(request{Op: "leave", Room: room})
	case p.asked != "":
		c.leaving = append(c.leaving, p)
	}
	return nil
}

// Say says something in a room, now or as soon as that is possible, once and in order. The message comes
// back as a Message with the id, and a Confirmed; or a Failed comes.
func (c *Client) Say(room, text string) (id string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.place(room) == nil {
		return "", ErrNotMember
	}
	s := &said{room: room, id: c.nextID(), text: text}
	c.outbox = append(c.outbox, s)
	signal(c.kick)
	return s.id, nil
}

// Typing tells a room that you are writing. It is not worth being told late.
func (c *Client) Typing(room string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.place(room); p != nil && p.joined && len(c.out) == 0 {
		c.send(request{Op: "typing", Room: room})
	}
}

// A Page is earlier messages, oldest first. More: there are others before them.
type Page struct {
	Room     string    `json:"room"`
	Messages []Message `json:"messages"`
	More     bool      `json:"more"`
}

// History asks for messages of a room before a sequence number. It returns ErrAway without
// a connection, an *Error, or the context's error. Another goroutine has to receive the events meanwhile.
func (c *Client) History(ctx context.Context, room string, before uint64, limit int) (page Page, err error) {
	return page, c.ask(ctx, request{Op: "history", Room: room, Before: &before, Limit: limit}, &page)
}

// Members is a part of a room's members, in the order of joining. More: there are
// others behind the last one's Join. Count is how many there are in all.
type Members struct {
	Room    string   `json:"room"`
	Members []Member `json:"members"`
	More    bool     `json:"more"`
	Count   int      `json:"count"`
}

// A Member is a Person in a room. Join is its number there.
type Member struct {
	Person
	Join uint64 `json:"join"`
}

// Who asks for members of a room who joined after a number. As to errors and goroutines it is like History.
func (c *Client) Who(ctx context.Context, room string, after uint64, limit int) (members Members, err error) {
	return members, c.ask(ctx, request{Op: "who", Room: room, After: &after, Limit: limit}, &members)
}

// SetNick changes the nickname. As to errors and goroutines it is like History.
func (c *Client) SetNick(ctx context.Context, nick string) error {
	return c.ask(ctx, request{Op: "nick", Nick: &nick}, &struct{}{})
}

// ask sends a request and waits for the answer.
func (c *Client) ask(ctx context.Context, r request, into any) error {
	got := make(chan answer, 1)
	c.mu.Lock()
	if !c.online {
		c.mu.Unlock()
		return ErrAway
	}
	r.ID = c.nextID()
	c.waiting[r.ID] = got
	c.send(r)
	c.mu.Unlock()
	select {
	case a := <-got:
		if a.err != nil {
			return a.err
		}
		return json.Unmarshal(a.body, into)
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.waiting, r.ID)
		c.mu.Unlock()
		return ctx.Err()
	}
}

// reply hands an answer to whoever waits for it, if somebody does.
func (c *Client) reply(id string, a answer) bool {
	ch, ok := c.waiting[id]
	if ok {
		delete(c.waiting, id)
		ch <- a
	}
	return ok
}

// joinRooms asks for what we want to be in and are not. Under the lock.
func (c *Client) joinRooms(now time.Time) {
	if !c.online {
		return
	}
	for _, p := range c.rooms {
		if p.joined || p.asked != "" || p.retry.After(now) {
			continue
		}
		p.asked = c.nextID()
		r := request{Op: "join", ID: p.asked, Room: p.name, History: &c.cfg.History}
		if p.known {
			after := p.behind()
			r.Epoch, r.After = p.epoch, &after
		}
		c.send(r)
	}
}

// flush sends what was said and can be sent. Under the lock.
//
// Counting what is on its way would not do: one that waits for its room could be overtaken by any
// number of others, until the server has forgotten that it heard it before the last cut. Those that are sent again
// go one by one in each room: the connection before may still be saying them, and what comes behind must not overtake that.
func (c *Client) flush(now time.Time) {
	if !c.online || c.hold.After(now) {
		return
	}
	oldest := c.sends + 1 // that may have been heard, and is not confirmed
	for _, s := range c.outbox {
		if s.number > 0 {
			oldest = min(oldest, s.number)
		}
	}
	var repeating []string // rooms
	for _, s := range c.outbox {
		p := c.place(s.room)
		if p == nil || !p.joined || slices.Contains(repeating, s.room) {
			continue
		}
		if s.again {
			repeating = append(repeating, s.room)
		}
		if s.sent {
			continue
		}
		if s.number == 0 {
			if c.sends+1-oldest >= inFlight {
				continue
			}
			c.sends++
			s.number = c.sends
		}
		s.sent = true
		c.send(request{Op: "say", ID: s.id, Room: s.room, Text: &s.text})
	}
}

// confirmed removes from the outbox what was said.
func (c *Client) confirmed(id string, seq uint64) {
	if s := c.take(id); s != nil {
		c.pending = append(c.pending, Confirmed{Room: s.room, ID: id, Seq: seq})
		signal(c.kick) // there is place for another one
	}
}

// failed removes from the outbox what cannot be said.
func (c *Client) failed(id string, err error) {
	if s := c.take(id); s != nil {
		c.pending = append(c.pending, Failed{Room: s.room, ID: id, Text: s.text, Err: err})
		signal(c.kick)
	}
}

// take removes a message from the outbox; nil: it is not there.
func (c *Client) take(id string) *said {
	i := c.inOutbox(id)
	if i < 0 {
		return nil
	}
	s := c.outbox[i]
	c.outbox = slices.Delete(c.outbox, i, i+1)
	return s
}

func (c *Client) inOutbox(id string) int {
	return slices.IndexFunc(c.outbox, func(s *said) bool { return id != "" && s.id == id })
}

// dropLargest gives up the largest message on its way: it was too large for the connection, and
// would be for every other one.
func (c *Client) dropLargest(err error) {
	largest := -1
	for i, s := range c.outbox {
		if s.sent && (largest < 0 || len(s.text) > len(c.outbox[largest].text)) {
			largest = i
		}
	}
	if largest >= 0 {
		c.failed(c.outbox[largest].id, err)
	}
}
