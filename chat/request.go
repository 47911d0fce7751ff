package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"throng/frame"
	"throng/room"
)

// request is what a throng.v1 connection sends.
type request struct {
	Op      string  `json:"op"`
	ID      string  `json:"id"`
	Room    string  `json:"room"`
	Text    *string `json:"text"`
	Nick    *string `json:"nick"`
	History *uint32 `json:"history"`
	Epoch   *string `json:"epoch"`
	After   *uint64 `json:"after"`
	Before  *uint64 `json:"before"`
	Limit   *uint32 `json:"limit"`
}

// message carries out a request; false means that a room is busy.
func (s *seat) message(payload []byte) (taken bool) {
	var q request
	if err := json.Unmarshal(payload, &q); err != nil {
		s.fail(q.idIfShort(), "bad_request", explain(err), 0)
		return true
	}
	if len(q.ID) > maxID {
		s.fail("", "too_long", fmt.Sprintf("an id has at most %d bytes", maxID), 0)
		return true
	}
	switch q.Op {
	case "say", "leave", "who", "history", "typing":
		p := s.place(q.Room)
		if p == nil {
			s.notThere(&q)
			return true
		}
		return s.inRoom(p, &q)
	case "join":
		s.joinAsked(&q)
	case "nick":
		return s.rename(&q)
	case "ping":
		b := s.answer("pong", q.ID)
		b = strconv.AppendInt(append(b, `,"ts":`...), s.chat().cfg.Rooms.Wall().UnixMilli(), 10)
		s.send(append(b, '}'))
	case "":
		s.fail(q.ID, "bad_request", "a request has an op", 0)
	default:
		s.fail(q.ID, "bad_request", "unknown op "+cut(q.Op, maxEcho), 0)
	}
	return true
}

// idIfShort is the id of a request that could not be read as a whole.
func (q *request) idIfShort() string {
	if len(q.ID) > maxID {
		return ""
	}
	return q.ID
}

// explain says what is wrong with a request in words that its sender can use.
func explain(err error) string {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return "a request is a JSON object: " + cut(err.Error(), 2*maxEcho)
	}
	what := "a " + cut(wrong.Value, maxEcho)
	if wrong.Value == "array" || wrong.Value == "object" {
		what = "an " + wrong.Value
	}
	if wrong.Field == "" {
		return "a request is a JSON object, not " + what
	}
	return "the field " + cut(wrong.Field, maxEcho) + " cannot be " + what
}

// notThere answers a request about a room that the connection is not in.
func (s *seat) notThere(q *request) {
	switch {
	case q.Room == "":
		s.fail(q.ID, "bad_request", q.Op+" needs a room", 0)
	case !isRoomName(q.Room):
		s.fail(q.ID, "bad_request", errRoomName, 0)
	default:
		s.fail(q.ID, "not_member", "you are not in the room "+q.Room, 0)
	}
}

// inRoom carries out a request about a room that the connection is in.
func (s *seat) inRoom(p *place, q *request) (taken bool) {
	switch q.Op {
	case "say":
		return s.say(p, q)
	case "leave":
		name := p.Room().Name()
		p.Flush() // what was said before comes before the answer
		s.leave(p, false)
		s.places = slices.DeleteFunc(s.places, func(other *place) bool { return other == p })
		s.send(append(s.answerRoom("left", q.ID, name), '}'))
	case "who":
		s.members(p, q)
	case "history":
		s.page(p, q)
	case "typing":
		s.typing(p)
	}
	return true
}

// say publishes a message, unless it was published already.
func (s *seat) say(p *place, q *request) (taken bool) {
	if q.Text == nil {
		s.fail(q.ID, "bad_request", "say needs a text", 0)
		return true
	}
	if limit := s.chat().maxText(); int64(len(*q.Text)) > limit {
		s.fail(q.ID, "too_long", fmt.Sprintf("a text has at most %d bytes, and this one has %d", limit, len(*q.Text)), 0)
		return true
	}
	ch, r, m := s.chat(), p.Room(), &s.desk().message
	if q.ID != "" {
		if seq, known := s.who.recall(r.Epoch(), q.ID); known {
			s.repeat(p, q.ID, seq)
			return true
		}
	}
	nick := ch.names.appendTo(m.begin(), &s.who.nick)
	m.encode(r, s.conn.Deflater(), []byte(s.who.id), nick, []byte(*q.Text), q.ID)
	taken = r.Publish(m, s)
	m.trim()
	if q.ID != "" {
		s.who.settle(r.Epoch(), q.ID, m.seq)
	}
	return taken
}

// repeat answers a message that was said already with what the room has heard.
func (s *seat) repeat(p *place, id string, seq uint64) {
	p.Flush() // what was said before it comes before the answer, unless the connection is slow
	if seq == 0 {
		s.fail(id, "unavailable", "this message is just being said through another connection", 200)
		return
	}
	if original := p.Room().Message(seq); original != nil {
		s.send(append(s.begin(), frame.Payload(original)...))
		return
	}
	s.fail(id, "unconfirmed", "this message was said as number "+strconv.FormatUint(seq, 10)+", and is no longer kept", 0)
}

// joinAsked joins a room, or resumes it.
func (s *seat) joinAsked(q *request) {
	j := room.Joiner{History: joinHistory}
	if q.History != nil {
		j.History = int(*q.History)
	}
	var err error
	j.Resume, err = resumption(q.Epoch, q.After)
	switch ch := s.chat(); {
	case q.Room == "":
		s.fail(q.ID, "bad_request", "join needs a room", 0)
	case !isRoomName(q.Room):
		s.fail(q.ID, "bad_request", errRoomName, 0)
	case err != nil:
		s.fail(q.ID, "bad_request", err.Error(), 0)
	case s.place(q.Room) != nil:
		s.fail(q.ID, "bad_request", "you are in the room "+q.Room+" already", 0)
	case len(s.places) >= ch.cfg.RoomsPerConn:
		ch.joinsRefused.Add(1)
		s.fail(q.ID, "forbidden", fmt.Sprintf("a connection is in at most %d rooms", ch.cfg.RoomsPerConn), 0)
	case s.spread(q.Room):
		s.refuseSpread(q.ID)
	case !ch.rooms.Admit(q.Room):
		ch.roomsRefused.Add(1)
		s.fail(q.ID, "unavailable", "there are too many rooms on this server", 5000)
	default:
		s.join(q.ID, q.Room, j)
	}
}

// resumption reads from where a room is to be resumed, if that is asked for.
func resumption(epoch *string, after *uint64) (re room.Resume, err error) {
	if epoch == nil && after == nil {
		return re, nil
	}
	if epoch == nil || after == nil {
		return re, errors.New("to resume takes both an epoch and an after")
	}
	n, err := strconv.ParseUint(*epoch, 16, 64)
	if err != nil {
		n = 0 // of another server: nothing to resume
	}
	return room.Resume{Epoch: n, After: *after}, nil
}

// rename changes the nickname, and tells every room.
func (s *seat) rename(q *request) (taken bool) {
	if q.Nick == nil {
		s.fail(q.ID, "bad_request", "nick needs a nick", 0)
		return true
	}
	for _, p := range s.places {
		if !p.Room().Admits(s) {
			return false
		}
	}
	ch, clock := s.chat(), s.chat().cfg.Rooms.Now()
	s.who.mu.Lock()
	defer s.who.mu.Unlock()
	if wait := s.who.restless(clock); wait > 0 {
		s.fail(q.ID, "rate_limited", fmt.Sprintf("your nickname has changed %d times in a row: wait before you change it again", renameBurst),
			int((wait+time.Millisecond-1)/time.Millisecond))
		return true
	}
	old := ch.names.of(&s.who.nick)
	if err := ch.names.choose(&s.who.nick, *q.Nick); err != nil {
		s.refuseNick(q.ID, err)
		return true
	}
	now := ch.names.of(&s.who.nick)
	b := appendString(append(s.answer("nick", q.ID), `,"nick":`...), now)
	b = append(append(append(b, `,"token":"`...), ch.token(s.who)...), `"}`...)
	s.send(b)
	if now != old {
		s.who.renamed(clock)
		for _, name := range slices.Sorted(maps.Keys(s.who.stays)) { // who is in several of them hears of it in the same order each time
			ch.rooms.With(name, func(r *room.Room) { ch.renamed(r, s.desk(), s.who.id, old, now) })
		}
	}
	return true
}

// members answers with a page of the member list. Somebody with several connections in the room stands in it once,
// for the first of them.
func (s *seat) members(p *place, q *request) {
	ch, r := s.chat(), p.Room()
	limit, ok := s.limit(q, maxPage)
	if !ok {
		return
	}
	after := uint64(0)
	if q.After != nil {
		after = *q.After
	}
	type listed struct {
		join uint64
		peer room.Peer
	}
	var page []listed
	var more bool
	ch.halls.ask(r.Name(), func() {
		more = r.Members(after, limit, func(join uint64, peer room.Peer) { page = append(page, listed{join, peer}) })
	})
	b := append(s.answerRoom("members", q.ID, r.Name()), `,"members":[`...)
	some := false
	seen := make(map[string]bool)
	for _, l := range page {
		id, nick := ch.identity(l.peer)
		if id == "" || seen[id] {
			continue
		}
		seen[id] = true
		if some {
			b = append(b, ',')
		}
		some = true
		b = appendPerson(b, id, nick)
		b = strconv.AppendUint(append(b[:len(b)-1], `,"join":`...), l.join, 10)
		b = append(b, '}')
	}
	b = strconv.AppendBool(append(b, `],"more":`...), more)
	b = strconv.AppendInt(append(b, `,"count":`...), int64(ch.halls.members(r)), 10)
	s.send(append(b, '}'))
}

// limit is how long a page may be; usual is how long if the request does not say. A page of nothing, of which there is
// always more, would have a client ask for ever.
func (s *seat) limit(q *request, usual int) (limit int, ok bool) {
	switch {
	case q.Limit == nil:
		return usual, true
	case *q.Limit == 0:
		s.fail(q.ID, "bad_request", "a limit is 1 or more", 0)
		return 0, false
	}
	return int(min(*q.Limit, maxPage)), true
}

// identity is who stands behind a peer.
func (ch *Chat) identity(p room.Peer) (id, nick string) {
	switch p := p.(type) {
	case *member:
		number := p.id.Load()
		return strconv.FormatUint(number&^chosen, 10), ch.names.name(number)
	case *place:
		return p.seat.who.id, ch.names.of(&p.seat.who.nick)
	}
	return "", ""
}

// page answers with earlier messages.
func (s *seat) page(p *place, q *request) {
	if q.Before == nil {
		s.fail(q.ID, "bad_request", "history needs a before: the number of the oldest message that you have", 0)
		return
	}
	limit, ok := s.limit(q, joinHistory)
	if !ok {
		return
	}
	frames, more := p.Room().Page(*q.Before, limit, pageBytes)
	b := append(s.answerRoom("page", q.ID, p.Room().Name()), `,"messages":[`...)
	for i, f := range frames {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, frame.Payload(f)...)
	}
	b = strconv.AppendBool(append(b, `],"more":`...), more)
	s.send(append(b, '}'))
}

// typing tells the others in a room that somebody writes, unless the room has other things to do.
func (s *seat) typing(p *place) {
	ch, r := s.chat(), p.Room()
	now := ch.cfg.Rooms.Now()
	if p.typed != 0 && now-p.typed < typingEvery || r.Len() > ch.cfg.PresenceLimit || !r.Admits(nil) {
		return
	}
	p.typed = now
	n := &s.desk().notice
	n.payload = append(append(append(n.payload[:0], `{"t":"typing","room":"`...), r.Name()...), `","from":`...)
	n.payload = append(s.appendMe(n.payload), '}')
	r.Notice(n.encode(true))
}
