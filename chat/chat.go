// Package chat is the application: people, their nicknames and what they say.
//
// Its one idea: a person in a room is a room.Member with a nickname and a
// connection, 64 bytes in all. What is said becomes one encoded frame, which the
// room delivers; this package never writes to anybody but the one who asked.
//
//	server.Conn -- Message --> member -- Publish --> room.Room
//	server.Conn <-- WriteFrames -- member (a room.Peer) <-- turn of a room.Fanout
//
// [Chat] is the server's Handler and Turner. Its methods run on the workers; a
// member belongs to its connection's worker, except for its nickname, which
// everybody may read.
//
// The protocol is plain text: docs/protocol.md.
package chat

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"throng/room"
	"throng/server"
)

// Lobby is the room that /chat and / lead to.
const Lobby = "lobby"

// Limits of the protocol.
const (
	maxRoomName = 64  // characters
	maxWho      = 50  // nicknames that /who lists
	maxEcho     = 64  // bytes of a command repeated in an answer
	turnWrites  = 128 // writes of one turn
	turnTime    = time.Millisecond
	sweepRooms  = 1024 // rooms looked at in one tick
	shedRooms   = 1024 // rooms looked at to find memory
)

// Config is what an operator can choose.
type Config struct {
	// Rooms bounds what rooms keep. Its Now is the clock; its Views are set by New.
	Rooms room.Config
	// Announce tells a room who has joined.
	Announce bool
	// CloseSlow closes a member that fell behind what is kept with 4000, instead
	// of telling it how many messages it missed.
	CloseSlow bool
	// PresenceLimit is the number of members above which a room is no longer
	// told who comes and goes: a thousand lines to a thousand members each would
	// be a million.
	PresenceLimit int
}

// Chat is the server's Handler and Turner.
type Chat struct {
	cfg   Config
	srv   *server.Server
	rooms *room.Map
	names *names
	desks []desk // by worker

	roomsRefused atomic.Uint64
}

// desk is what one worker needs. It is touched by that worker alone.
type desk struct {
	fanout *room.Fanout
	line   line // that is being composed
	began  time.Duration
	stop   func() bool
	_      [64]byte // the next worker's desk is on another cache line
}

// New makes a chat. seed decides in what order nicknames are drawn.
func New(cfg Config, seed uint64) *Chat {
	cfg.Rooms.Views = views
	return &Chat{cfg: cfg, names: newNames(seed)}
}

// Start implements server.Turner.
func (ch *Chat) Start(s *server.Server) {
	ch.srv = s
	var wake []func()
	for _, w := range s.Workers() {
		wake = append(wake, w.Wake)
	}
	ch.rooms = room.NewMap(ch.cfg.Rooms, wake)
	ch.desks = make([]desk, len(wake))
	for i := range ch.desks {
		d := &ch.desks[i]
		d.fanout = ch.rooms.Fanout(i)
		d.stop = func() bool { return ch.cfg.Rooms.Now()-d.began > turnTime }
	}
}

// Rooms is the number of rooms. Any goroutine.
func (ch *Chat) Rooms() int { return ch.rooms.Len() }

// Bytes implements server.Keeper: what the rooms' logs hold.
func (ch *Chat) Bytes() int64 { return ch.rooms.Bytes() }

// Shed implements server.Keeper: the longest logs give.
func (ch *Chat) Shed(target int64) (taken int64) { return ch.rooms.Shed(target, shedRooms) }

// Metrics implements server.Meter.
func (ch *Chat) Metrics(add func(name, help string, value int64)) {
	add("rooms", "Rooms, those included that are kept for their history.", int64(ch.rooms.Len()))
	add("rooms_bytes", "Memory of the rooms' logs.", ch.Bytes())
	add("refused_rooms_total", "Upgrades answered 503 because of --max-rooms.", int64(ch.roomsRefused.Load()))
}

// Turn implements server.Turner: some fan-out.
func (ch *Chat) Turn(worker int) (more bool) {
	d := &ch.desks[worker]
	d.began = ch.cfg.Rooms.Now()
	return d.fanout.Turn(turnWrites, d.stop)
}

// Tick implements server.Turner: worker 0 removes rooms that are over.
func (ch *Chat) Tick(worker int) {
	if worker == 0 {
		ch.rooms.Sweep(sweepRooms)
	}
}

// Upgrade implements server.Handler: can there be such a room?
func (ch *Chat) Upgrade(r *server.Request) int {
	name, status := roomName(r.Path)
	if status != 0 {
		return status
	}
	if _, _, ok := wishes(r.Query); !ok {
		return 400
	}
	if !ch.rooms.Admits(name) {
		ch.roomsRefused.Add(1)
		return 503
	}
	return 101
}

// roomName is the room that a path leads to, or the status of the refusal.
func roomName(path string) (name string, status int) {
	if path == "/" || path == "/chat" {
		return Lobby, 0
	}
	name, ok := strings.CutPrefix(path, "/chat/")
	if !ok {
		return "", 404
	}
	if len(name) < 1 || len(name) > maxRoomName {
		return "", 400
	}
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return "", 400
		}
	}
	return name, 0
}

// wishes reads the query: a nickname, and how many earlier messages.
func wishes(query string) (nick string, history int, ok bool) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return "", 0, false
	}
	if h := q.Get("history"); h != "" {
		n, err := strconv.ParseUint(h, 10, 31)
		if err != nil && !errors.Is(err, strconv.ErrRange) { // more than is kept is all that is kept
			return "", 0, false
		}
		history = int(n)
	}
	return q.Get("nick"), history, true
}

// Open implements server.Handler: a member joins.
func (ch *Chat) Open(c *server.Conn, r *server.Request) {
	name, _ := roomName(r.Path) // Upgrade has checked both
	nick, history, _ := wishes(r.Query)
	m := &member{conn: c}
	m.id.Store(ch.names.draw())
	c.Data = m
	if nick != "" {
		if err := ch.names.choose(m, nick); err != nil {
			m.tell(err.Error())
		}
	}
	ch.rooms.Join(name, &m.Member, room.Joiner{Peer: m, Worker: c.WorkerID(), View: viewOf(c), History: history})
	if ch.cfg.Announce && m.Room().Len() <= ch.cfg.PresenceLimit {
		m.notice(m.Room(), ch.names.of(m), " has joined.")
	}
	m.Flush()
}

// Message implements server.Handler.
func (ch *Chat) Message(c *server.Conn, msg server.Message) bool {
	m := c.Data.(*member)
	if msg.Op != ws.OpText {
		c.Close(ws.StatusUnsupportedData, "this chat is text only")
		return true
	}
	text := msg.Payload
	if len(text) > 0 && text[0] == '/' {
		if len(text) < 2 || text[1] != '/' {
			return m.command(string(text))
		}
		text = text[1:]
	}
	return m.say(text)
}

// Writable implements server.Handler.
func (ch *Chat) Writable(c *server.Conn) { c.Data.(*member).Unblock() }

// Close implements server.Handler: the member leaves, and the rest are told.
func (ch *Chat) Close(c *server.Conn, _ ws.StatusCode, _ string) {
	m, ok := c.Data.(*member)
	if !ok {
		return // Open did not come so far
	}
	r := m.Room()
	nick := ch.names.of(m)
	ch.names.release(m)
	if r == nil {
		return
	}
	m.Leave()
	if n := r.Len(); n > 0 && n < ch.cfg.PresenceLimit && !ch.srv.Draining() {
		m.notice(r, nick, " has left.")
	}
}

// Error implements server.Handler. The server has logged it.
func (ch *Chat) Error(*server.Conn, error) {}

// member is a person's place in a room.
type member struct {
	room.Member
	conn *server.Conn
	id   id // the nickname; any goroutine
}

// chat is reached through the connection, which saves a pointer per member.
func (m *member) chat() *Chat { return m.conn.Handler().(*Chat) }

// Write implements room.Peer.
func (m *member) Write(frames []byte) int { return m.conn.WriteFrames(frames) }

// Missed implements room.Peer.
func (m *member) Missed(n, _ uint64) {
	if m.chat().cfg.CloseSlow {
		m.conn.CloseLater(server.CodeSlow, "slow consumer")
		return
	}
	if !m.tell("you missed " + strconv.FormatUint(n, 10) + " messages.") {
		// It has not even read its own answers: then it is to know from the close.
		m.conn.CloseLater(server.CodeSlow, "slow consumer")
	}
}

// Resume implements room.Waiter: the room takes messages again.
func (m *member) Resume() { m.conn.Resume() }

// say publishes a message; false means that the room is busy.
func (m *member) say(text []byte) bool {
	l := &m.desk().line
	l.text = append(m.chat().names.appendTo(l.text[:0], m), ": "...)
	l.text = append(l.text, text...)
	r := m.Room()
	l.encode(r, m.conn.Deflater())
	return r.Publish(l, m)
}

// notice tells a whole room something.
func (m *member) notice(r *room.Room, parts ...string) {
	l := &m.desk().line
	l.text = append(l.text[:0], " .... "...)
	for _, p := range parts {
		l.text = append(l.text, p...)
	}
	l.encode(r, m.conn.Deflater())
	r.Notice(l)
}

// tell answers the member alone. false: it takes nothing more at present.
func (m *member) tell(text string) bool { return m.conn.Send(ws.OpText, []byte(" .... "+text)) }

func (m *member) desk() *desk { return &m.chat().desks[m.conn.WorkerID()] }
