package chat

import (
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
	maxRooms    = 32 // of a connection
	joinHistory = 50 // messages that a joiner gets unless it says how many
	maxPage     = 200
	pageBytes   = 64 << 10
	typingEvery = time.Second

	byeLeast, byeSpread = 500, 4500 // ms after which to come back
)

// seat is a connection that speaks throng.v1. It belongs to its worker.
type seat struct {
	conn   *server.Conn
	who    *person
	places []*place
	out    []byte
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
	var wrong error
	if w.token != "" {
		cl, err := verify(ch.cfg.TokenKey, w.token, ch.cfg.Rooms.Wall())
		if wrong = err; err == nil {
			was = &cl
		}
	}
	s := &seat{conn: c, who: ch.people.arrive(was)}
	c.Data = s
	if wrong == nil && was == nil && w.nick != "" {
		s.who.mu.Lock()
		wrong = ch.names.choose(&s.who.nick, w.nick)
		s.who.mu.Unlock()
	}
	s.hello()
	switch wrong.(type) {
	case nil:
	case errTaken:
		s.fail("", "nick_taken", wrong.Error(), 0)
	default:
		code := "bad_request"
		if wrong == errToken {
			code = "forbidden"
		}
		s.fail("", code, wrong.Error(), 0)
	}
	history := joinHistory
	if w.hasHistory {
		history = w.history
	}
	s.join("", name, room.Joiner{History: history, Resume: w.resume})
}

// hello tells a connection who it is.
func (s *seat) hello() {
	ch := s.chat()
	b := append(s.out[:0], `{"t":"hello","me":`...)
	b = s.appendMe(b)
	b = append(append(b, `,"token":"`...), ch.token(s.who)...)
	b = appendString(append(b, `","server":`...), "throng "+ch.cfg.Version)
	b = strconv.AppendInt(append(b, `,"limits":{"message":`...), ch.maxText(), 10)
	b = strconv.AppendInt(append(b, `,"nick":`...), maxNick, 10)
	b = strconv.AppendInt(append(b, `,"rooms":`...), maxRooms, 10)
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

// send sends an object that was made in s.out.
func (s *seat) send(object []byte) bool {
	s.out = object
	return s.conn.Send(ws.OpText, object)
}

// fail answers that a request failed; retry is in milliseconds.
func (s *seat) fail(id, code, why string, retry int) {
	b := append(s.out[:0], `{"t":"error"`...)
	b = appendID(b, id)
	b = append(append(append(b, `,"code":"`...), code...), '"')
	b = appendString(append(b, `,"message":`...), why)
	if retry > 0 {
		b = strconv.AppendInt(append(b, `,"retry_ms":`...), int64(retry), 10)
	}
	s.send(append(b, '}'))
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
	b := append(append(append(s.out[:0], `{"t":"`...), t...), '"')
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
	how := s.who.enter(name)
	joined := ch.rooms.Join(name, &p.Member, j)
	s.places = append(s.places, p)
	switch how {
	case back:
		ch.halls.count(name, 0, -1)
	case again:
		ch.halls.count(name, 1, 0)
	case first:
		ch.arrived(p.Room(), s.desk(), s.who.id, ch.names.of(&s.who.nick))
	}
	b := s.answerRoom("joined", id, name)
	b = strconv.AppendUint(append(b, `,"epoch":"`...), joined.Epoch, 16)
	b = strconv.AppendUint(append(b, `","seq":`...), joined.Newest, 10)
	b = strconv.AppendUint(append(b, `,"oldest":`...), joined.Oldest, 10)
	b = strconv.AppendInt(append(b, `,"members":`...), int64(ch.members(p.Room())), 10)
	b = strconv.AppendBool(append(b, `,"resumed":`...), joined.Resumed)
	s.send(append(b, '}'))
	if j.Resume.Epoch == joined.Epoch && joined.Next > j.Resume.After+1 {
		p.gap(j.Resume.After+1, joined.Next-1)
	}
	p.Flush()
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
	last := s.who.leave(name, away, now)
	switch {
	case !last:
		ch.halls.count(name, -1, 0)
	case away:
		ch.halls.count(name, 0, 1)
	}
	p.Leave()
	switch {
	case last && away:
		ch.people.away(absence{now, s.who, name})
	case last:
		ch.left(r, s.desk(), s.who.id, ch.names.of(&s.who.nick))
	}
}

// maxText is the longest text of a message, in bytes.
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

// Farewell implements server.Farewell. Those who are sent away together come back over several seconds.
func (ch *Chat) Farewell(c *server.Conn, code ws.StatusCode, reason string) []byte {
	s, ok := c.Data.(*seat)
	if !ok {
		return nil
	}
	after := int64(byeLeast + s.who.number%byeSpread)
	b := strconv.AppendInt(append(s.out[:0], `{"t":"bye","code":`...), int64(code), 10)
	b = appendString(append(b, `,"reason":`...), reason)
	return append(strconv.AppendInt(append(b, `,"reconnect_ms":`...), after, 10), '}')
}

// expire lets those go whose grace time is over.
func (ch *Chat) expire() {
	d := &ch.desks[0]
	for _, a := range ch.people.expire(ch.cfg.Rooms.Now()-grace, expireAtOnce) {
		if a.room == "" {
			ch.names.release(&a.who.nick)
			continue
		}
		ch.halls.count(a.room, 0, -1)
		ch.rooms.With(a.room, func(r *room.Room) { ch.left(r, d, a.who.id, ch.names.of(&a.who.nick)) })
	}
}
