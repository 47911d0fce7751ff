package chat

import (
	"errors"
	"strconv"
	"time"

	"github.com/gobwas/ws"

	"throng/room"
	"throng/server"
)

// Protocol is the name of the JSON protocol as a WebSocket subprotocol.
const Protocol = "throng.v1"

// Limits of throng.v1.
const (
	maxID       = 64 // bytes of a request's id
	joinHistory = 50 // messages that a joiner gets unless it says how many
	maxPage     = 200
	pageBytes   = 64 << 10
	typingEvery = time.Second

	// Changes of a nickname: each is a line to every member of all their rooms, so that waiting for busy rooms alone would
	// not keep one person from being most of what they hear.
	renameBurst = 20 // at once
	renameEvery = time.Second

	byeLeast, byeSpread = 500, 4500 // ms after which to come back
)

// seat is a connection that speaks throng.v1. It belongs to its worker.
type seat struct {
	conn   *server.Conn
	who    *person
	places []*place
}

// place is a connection's being in a room.
type place struct {
	room.Member
	seat  *seat
	typed time.Duration // when the others were last told that it types
}

func (s *seat) chat() *Chat { return s.conn.Handler().(*Chat) }
func (s *seat) desk() *desk { return &s.chat().desks[s.conn.WorkerID()] }

// open is the beginning of a connection: hello, and the room of the path.
func (ch *Chat) openSeat(c *server.Conn, name string, w wish) {
	var was *claim
	var wrong error // with the token
	if w.token != "" {
		cl, err := verify(ch.cfg.TokenKey, w.token, ch.cfg.Rooms.Wall())
		if wrong = err; err == nil {
			was = &cl
		}
	}
	s := &seat{conn: c, who: ch.people.arrive(was)}
	c.Data = s
	var notTo error
	if was == nil && w.nick != "" {
		notTo = ch.names.choose(&s.who.nick, w.nick) // nobody else knows this person yet
	}
	s.hello()
	if wrong != nil {
		s.fail("", "forbidden", wrong.Error(), 0)
	}
	if notTo != nil {
		s.refuseNick("", notTo)
	}
	history := joinHistory
	if w.hasHistory {
		history = w.history
	}
	if s.spread(name) {
		s.refuseSpread("")
		return
	}
	s.join("", name, room.Joiner{History: history, Resume: w.resume})
}

// spread says whether the person is in as many rooms as all its connections together may be, and not in that one: all of
// them are told, at once, when it is renamed.
func (s *seat) spread(name string) bool {
	s.who.mu.Lock()
	defer s.who.mu.Unlock()
	return len(s.who.stays) >= s.chat().personRooms() && s.who.stays[name] == nil
}

func (s *seat) refuseSpread(id string) {
	s.chat().joinsRefused.Add(1)
	s.fail(id, "forbidden", "somebody is in at most "+strconv.Itoa(s.chat().personRooms())+" rooms, by all connections together", 0)
}

// hello tells a connection who it is.
func (s *seat) hello() {
	ch := s.chat()
	b := append(s.begin(), `{"t":"hello","me":`...)
	b = s.appendMe(b)
	b = append(append(b, `,"token":"`...), ch.token(s.who)...)
	b = appendString(append(b, `","server":`...), "throng "+ch.cfg.Version)
	b = strconv.AppendInt(append(b, `,"limits":{"message":`...), ch.maxText(), 10)
	b = strconv.AppendInt(append(b, `,"nick":`...), maxNick, 10)
	b = strconv.AppendInt(append(b, `,"rooms":`...), int64(ch.cfg.RoomsPerConn), 10)
	b = strconv.AppendInt(append(b, `,"history":`...), int64(ch.cfg.Rooms.HistoryCount), 10)
	b = strconv.AppendInt(append(b, `,"page":`...), maxPage, 10)
	s.send(append(b, `}}`...))
}

// appendMe appends who this is, as the protocol has it.
func (s *seat) appendMe(b []byte) []byte {
	return appendPerson(b, s.who.id, s.chat().names.of(&s.who.nick))
}

func appendPerson(b []byte, id, nick string) []byte {
	b = append(append(b, `{"id":"`...), id...)
	return append(appendString(append(b, `","nick":`...), nick), '}')
}

// token is a person's, as it is now.
func (ch *Chat) token(p *person) string {
	c := claim{number: p.number, nick: p.nick.Load(), issued: ch.cfg.Rooms.Wall().Unix()}
	if c.nick&chosen != 0 {
		c.text = ch.names.name(c.nick)
	}
	return c.sign(ch.cfg.TokenKey)
}

// begin is where an object is made. It is the worker's, for one object at a time: what is begun is sent before the next
// one is.
func (s *seat) begin() []byte { return s.desk().object[:0] }

// send sends an object that was made in what begin gave.
func (s *seat) send(object []byte) bool {
	if s.desk().object = object; cap(object) > keepMessage {
		s.desk().object = nil
	}
	return s.conn.Send(ws.OpText, object)
}

// fail answers that a request failed; retry is in milliseconds.
func (s *seat) fail(id, code, why string, retry int) {
	b := append(s.begin(), `{"t":"error"`...)
	b = appendID(b, id)
	b = append(append(append(b, `,"code":"`...), code...), '"')
	b = appendString(append(b, `,"message":`...), why)
	if retry > 0 {
		b = strconv.AppendInt(append(b, `,"retry_ms":`...), int64(retry), 10)
	}
	s.send(append(b, '}'))
}

// refuseNick answers why somebody cannot have a nickname.
func (s *seat) refuseNick(id string, why error) {
	code := "bad_request"
	if errors.As(why, new(errTaken)) {
		code = "nick_taken"
	}
	s.fail(id, code, why.Error(), 0)
}

// appendID appends a request's id, if it has one.
func appendID(b []byte, id string) []byte {
	if id == "" {
		return b
	}
	return appendString(append(b, `,"id":`...), id)
}

// answer begins the answer to a request.
func (s *seat) answer(t, id string) []byte {
	b := append(append(append(s.begin(), `{"t":"`...), t...), '"')
	return appendID(b, id)
}

// answerRoom begins the answer to a request that is about a room.
func (s *seat) answerRoom(t, id, name string) []byte {
	return append(append(append(s.answer(t, id), `,"room":"`...), name...), '"')
}

// place is the connection's place in a room, nil if it is not there.
func (s *seat) place(name string) *place {
	for _, p := range s.places {
		if p.Room().Name() == name {
			return p
		}
	}
	return nil
}

// join puts the connection into a room.
func (s *seat) join(id, name string, j room.Joiner) {
	ch, p := s.chat(), &place{seat: s}
	j.Peer, j.Worker, j.View = p, s.conn.WorkerID(), viewOf(s.conn, true)
	joined := s.enter(p, name, j)
	s.places = append(s.places, p)
	ch.people.ties.Add(1)
	b := s.answerRoom("joined", id, name)
	b = strconv.AppendUint(append(b, `,"epoch":"`...), joined.Epoch, 16)
	b = strconv.AppendUint(append(b, `","seq":`...), joined.Newest, 10)
	b = strconv.AppendUint(append(b, `,"oldest":`...), joined.Oldest, 10)
	b = strconv.AppendInt(append(b, `,"members":`...), int64(ch.halls.members(p.Room())), 10)
	b = strconv.AppendBool(append(b, `,"resumed":`...), joined.Resumed)
	s.send(append(b, '}'))
	if j.Resume.Epoch == joined.Epoch && joined.Next-1 > j.Resume.After && !p.gap(j.Resume.After+1, joined.Next-1) {
		s.conn.CloseLater(server.CodeSlow, "slow consumer") // rather than say nothing of it
	}
	p.Flush()
}

// enter puts a place into its room, and tells the others if somebody has come by that.
func (s *seat) enter(p *place, name string, j room.Joiner) (joined room.Joined) {
	ch := s.chat()
	join := func() { joined = ch.rooms.Join(name, &p.Member, j) }
	s.who.mu.Lock()
	defer s.who.mu.Unlock()
	switch s.who.enter(name) {
	case first:
		ch.people.ties.Add(1)
		join()
		ch.arrived(p.Room(), s.desk(), s.who.id, ch.names.of(&s.who.nick))
	case again:
		ch.halls.count(name, 1, 0, join)
	case back:
		if ch.halls.count(name, 0, -1, join) {
			ch.halls.note(name, p.Room().Len(), change{kind: hasJoined, id: s.who.id, nick: ch.names.of(&s.who.nick)})
		}
	}
	return joined
}

// gap tells which messages the connection does not get. false: it takes nothing more.
func (p *place) gap(from, to uint64) bool {
	s := p.seat
	b := s.answerRoom("gap", "", p.Room().Name())
	b = strconv.AppendUint(append(b, `,"from":`...), from, 10)
	b = strconv.AppendUint(append(b, `,"to":`...), to, 10)
	b = strconv.AppendUint(append(b, `,"missed":`...), to-from+1, 10)
	return s.send(append(b, '}'))
}

// Write implements room.Peer.
func (p *place) Write(frames []byte) int { return p.seat.conn.WriteFrames(frames) }

// Missed implements room.Peer.
func (p *place) Missed(n, next uint64) {
	if p.seat.chat().cfg.CloseSlow || !p.gap(next-n, next-1) {
		p.seat.conn.CloseLater(server.CodeSlow, "slow consumer")
	}
}

// Resume implements room.Waiter.
func (s *seat) Resume() { s.conn.Resume() }

// leave takes the connection out of a room; away: it is expected back.
func (s *seat) leave(p *place, away bool) {
	ch, r, name := s.chat(), p.Room(), p.Room().Name()
	now := ch.cfg.Rooms.Now()
	s.who.mu.Lock()
	last := s.who.leave(name, away, now)
	switch {
	case !last:
		ch.halls.count(name, -1, 0, p.Leave)
	case away:
		ch.halls.count(name, 0, 1, p.Leave)
	default:
		ch.people.ties.Add(-1)
		p.Leave()
		ch.left(r, s.desk(), s.who.id, ch.names.of(&s.who.nick))
	}
	s.who.mu.Unlock()
	ch.people.ties.Add(-1)
	if last && away {
		ch.people.away(absence{now, s.who, name})
	}
}

// maxText is the longest text of a message, in bytes: with all escapes that people's texts need, and most that nobody
// needs, the request fits Config.MaxMessage. A text that is mostly control characters, six bytes of JSON each, does not.
func (ch *Chat) maxText() int64 { return ch.cfg.MaxMessage / 4 }

// writable implements speaker.
func (s *seat) writable() {
	for _, p := range s.places {
		p.Unblock()
	}
}

// closed implements speaker. Whoever the connection belonged to is expected back.
func (s *seat) closed() {
	ch := s.chat()
	for _, p := range s.places {
		s.leave(p, true)
	}
	s.places = nil
	ch.people.depart(s.who, ch.cfg.Rooms.Now())
}

// flush implements speaker.
func (s *seat) flush() {
	for _, p := range s.places {
		p.Flush()
	}
}

// Farewell implements server.Farewell. What was said before comes before it. Those who are sent away together come back over
// several seconds.
func (ch *Chat) Farewell(c *server.Conn, code ws.StatusCode, reason string) []byte {
	if sp, ok := c.Data.(speaker); ok {
		sp.flush()
	}
	s, ok := c.Data.(*seat)
	if !ok {
		return nil
	}
	after := int64(byeLeast + s.who.number%byeSpread)
	b := strconv.AppendInt(append(s.begin(), `{"t":"bye","code":`...), int64(code), 10)
	b = appendString(append(b, `,"reason":`...), reason)
	return append(strconv.AppendInt(append(b, `,"reconnect_ms":`...), after, 10), '}')
}

// expire lets those go whose grace time is over.
func (ch *Chat) expire() {
	for _, a := range ch.people.due(ch.cfg.Rooms.Now()-grace, expireAtOnce) {
		if a.room == "" {
			ch.people.forget(a)
		} else {
			ch.expireFrom(a)
		}
	}
}

// expireFrom has somebody leave a room who has not come back.
func (ch *Chat) expireFrom(a absence) {
	p := a.who
	p.mu.Lock()
	defer p.mu.Unlock()
	if !a.final() {
		return
	}
	ch.people.ties.Add(-1)
	ch.halls.count(a.room, 0, -1, func() {})
	ch.rooms.With(a.room, func(r *room.Room) { ch.left(r, &ch.desks[0], p.id, ch.names.of(&p.nick)) })
}
