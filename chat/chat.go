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
// There are two protocols on the same rooms: plain text (docs/protocol.md), a member for each connection, and throng.v1
// (docs/throng.v1.md), a seat for each connection, which has a place in each of its rooms and belongs to a person. A room's
// views are the encodings of both.
package chat

import (
	"crypto/rand"
	"errors"
	"math"
	"net/url"
	"slices"
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
	maxRoomName = 64   // characters
	maxWho      = 50   // nicknames that /who lists
	maxEcho     = 64   // bytes of a command repeated in an answer
	sweepRooms  = 1024 // rooms looked at in one tick
	shedRooms   = 1024 // rooms looked at to find memory
	// expireAtOnce is how many people's absences end in one tick.
	expireAtOnce = 2048
)

// Limits of one turn.
const (
	turnWrites  = 128
	turnTime    = time.Millisecond
	maxTurnTime = 20 * time.Millisecond // after much input
)

// Config is what an operator can choose.
type Config struct {
	// Rooms bounds what rooms keep. Its Now is the clock; its Views and its Recode are set by New.
	Rooms room.Config
	// Announce tells a room who has joined.
	Announce bool
	// CloseSlow closes a member that fell behind what is kept with 4000, instead
	// of telling it how many messages it missed.
	CloseSlow bool
	// TokenKey signs the tokens of throng.v1, which say who somebody is: at least 16 bytes that nobody else has. Default: random
	// ones, with which no token outlives the process.
	TokenKey []byte
	// MaxMessage is the server's limit, in bytes: 64 KiB. A text of throng.v1 has at most a quarter of it, so that
	// it fits however it is written.
	MaxMessage int64
	// RoomsPerConn is the number of rooms that one connection of throng.v1 may be in: 32. All connections of a person may
	// together be in eight times as many.
	RoomsPerConn int
	// Version is what throng.v1 says that the server is.
	Version string
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
	desks []desk // by worker

	names  *names
	people *people
	halls  halls
	round  round // owned by worker 0

	roomsRefused atomic.Uint64
	joinsRefused atomic.Uint64
}

// desk is what one worker needs. It is touched by that worker alone.
type desk struct {
	fanout  *room.Fanout
	message message       // that is being composed
	notice  notice        // the same
	object  []byte        // the same, for one connection
	until   time.Duration // the end of its turn
	stop    func() bool
	_       [64]byte // the next worker's desk is on another cache line
}

// New makes a chat. seed decides in what order nicknames are drawn.
func New(cfg Config, seed uint64) *Chat {
	cfg.Rooms.Views, cfg.Rooms.Recode = views, recode
	if cfg.TokenKey == nil {
		cfg.TokenKey = make([]byte, 32)
		_, _ = rand.Read(cfg.TokenKey) // never fails
	}
	if cfg.MaxMessage == 0 {
		cfg.MaxMessage = 64 << 10
	}
	if cfg.RoomsPerConn == 0 {
		cfg.RoomsPerConn = 32
	}
	n := newNames(seed)
	return &Chat{
		cfg: cfg, names: n, people: newPeople(n, seed),
		halls: halls{limit: cfg.PresenceLimit, byName: make(map[string]*hall)},
	}
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
		d.stop = func() bool { return ch.cfg.Rooms.Now() > d.until }
	}
}

// Rooms is the number of rooms. Any goroutine.
func (ch *Chat) Rooms() int { return ch.rooms.Len() }

// Bytes implements server.Keeper: what the rooms hold, and people, those included who may come back.
func (ch *Chat) Bytes() int64 { return ch.rooms.Bytes() + ch.people.bytes() }

// Shed implements server.Keeper: the longest logs give.
func (ch *Chat) Shed(target int64) (taken int64) {
	return ch.rooms.Shed(max(0, target-ch.people.bytes()), shedRooms)
}

// Metrics implements server.Meter.
func (ch *Chat) Metrics(add func(name, help string, value int64)) {
	add("rooms", "Rooms, those included that are kept for their history.", int64(ch.rooms.Len()))
	add("rooms_bytes", "Memory of the rooms, their logs included, without their members.", ch.rooms.Bytes())
	add("persons", "People who speak throng.v1, those included who have just lost the connection.", ch.people.count.Load())
	add("evicted_rooms_total", "Empty rooms whose history was given up for new ones because of --max-rooms or --memory.", int64(ch.rooms.Evicted()))
	add("refused_rooms_total", "Upgrades answered 503, and joins refused, because of --max-rooms.", int64(ch.roomsRefused.Load()))
	add("refused_joins_total", "Joins refused because of --max-rooms-per-conn.", int64(ch.joinsRefused.Load()))
}

// Turn implements server.Turner: some fan-out.
func (ch *Chat) Turn(worker int) (more bool) {
	d := &ch.desks[worker]
	budget, writes := share(ch.srv.Workers()[worker].Busy())
	d.until = ch.cfg.Rooms.Now() + budget
	return d.fanout.Turn(writes, d.stop)
}

// share is what a turn's fan-out may take when what came before it took that long: as much, or else those who flood many rooms
// would keep everybody from hearing theirs.
func share(busy time.Duration) (budget time.Duration, writes int) {
	if busy <= turnTime {
		return turnTime, turnWrites
	}
	return min(busy, maxTurnTime), math.MaxInt
}

// Tick implements server.Turner: worker 0 removes rooms that are over, lets those go who have not come back, and tells
// rooms who came and went.
func (ch *Chat) Tick(worker int) {
	if worker != 0 {
		return
	}
	ch.rooms.Sweep(sweepRooms)
	ch.expire()
	ch.tell()
}

// personRooms is how many rooms one person may be in.
func (ch *Chat) personRooms() int { return 8 * ch.cfg.RoomsPerConn }

// A speaker is the chat's side of a connection: its Data.
type speaker interface {
	message(payload []byte) (taken bool)
	writable()
	flush() // what it has not got yet goes out, as far as it can
	closed()
}

// Upgrade implements server.Handler: can there be such a room?
func (ch *Chat) Upgrade(r *server.Request) int {
	name, status := roomName(r.Path)
	if status != 0 {
		return status
	}
	if _, err := readWish(r.Query); err != nil {
		return 400
	}
	if !ch.rooms.Admit(name) {
		ch.roomsRefused.Add(1)
		return 503
	}
	if slices.Contains(r.Protocols, Protocol) {
		r.Protocol = Protocol
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
	if !isRoomName(name) {
		return "", 400
	}
	return name, 0
}

const errRoomName = "a room's name is 1 to 64 of the characters A-Z a-z 0-9 . _ -"

func isRoomName(name string) bool {
	if len(name) < 1 || len(name) > maxRoomName {
		return false
	}
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// A wish is what the query of an address asks for.
type wish struct {
	nick       string
	token      string
	history    int
	hasHistory bool
	resume     room.Resume
}

// readWish reads a query.
func readWish(query string) (w wish, err error) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return w, err
	}
	w.nick, w.token, w.hasHistory = q.Get("nick"), q.Get("token"), q.Get("history") != ""
	if w.hasHistory {
		n, err := strconv.ParseUint(q.Get("history"), 10, 31)
		if err != nil && !errors.Is(err, strconv.ErrRange) { // more than is kept is all that is kept
			return w, err
		}
		w.history = int(n)
	}
	var epoch *string
	if q.Has("epoch") {
		epoch = new(q.Get("epoch"))
	}
	var after *uint64
	if q.Has("after") {
		n, err := strconv.ParseUint(q.Get("after"), 10, 64)
		if err != nil {
			return w, err
		}
		after = &n
	}
	w.resume, err = resumption(epoch, after)
	return w, err
}

// Open implements server.Handler: somebody has come.
func (ch *Chat) Open(c *server.Conn, r *server.Request) {
	name, _ := roomName(r.Path) // Upgrade has checked both
	w, _ := readWish(r.Query)
	if r.Protocol == Protocol {
		ch.openSeat(c, name, w)
	} else {
		ch.openMember(c, name, w)
	}
}

// Message implements server.Handler.
func (ch *Chat) Message(c *server.Conn, msg server.Message) bool {
	if msg.Op != ws.OpText {
		c.Close(ws.StatusUnsupportedData, "this chat is text only")
		return true
	}
	return c.Data.(speaker).message(msg.Payload)
}

// Writable implements server.Handler.
func (ch *Chat) Writable(c *server.Conn) { c.Data.(speaker).writable() }

// Close implements server.Handler.
func (ch *Chat) Close(c *server.Conn, _ ws.StatusCode, _ string) {
	if s, ok := c.Data.(speaker); ok { // else Open did not come so far
		s.closed()
	}
}

// Error implements server.Handler. The server has logged it.
func (ch *Chat) Error(*server.Conn, error) {}

// arrived tells a room that somebody has come. On the desk's worker.
func (ch *Chat) arrived(r *room.Room, d *desk, who, nick string) {
	if ch.cfg.Announce && hasPlain(r) && ch.halls.members(r) <= ch.cfg.PresenceLimit {
		r.Notice(d.line(nick, " has joined."))
	}
	if hasJSON(r) {
		ch.halls.note(r.Name(), r.Len(), change{kind: hasJoined, id: who, nick: nick})
	}
}

// left tells a room that somebody has gone. On the desk's worker.
func (ch *Chat) left(r *room.Room, d *desk, who, nick string) {
	if ch.srv.Draining() {
		return
	}
	if hasPlain(r) && ch.halls.members(r) < ch.cfg.PresenceLimit {
		r.Notice(d.line(nick, " has left."))
	}
	if hasJSON(r) {
		ch.halls.note(r.Name(), r.Len(), change{kind: hasLeft, id: who, nick: nick})
	} else {
		ch.halls.desert(r)
	}
}

// renamed tells a room that somebody has another nickname. On the desk's worker.
func (ch *Chat) renamed(r *room.Room, d *desk, who, old, nick string) {
	if hasPlain(r) {
		r.Notice(d.line(old, " is now ", nick, "."))
	}
	if hasJSON(r) {
		ch.halls.note(r.Name(), r.Len(), change{kind: isRenamed, id: who, old: old, nick: nick})
	}
}

// line makes a notice for the plain views, valid until the worker's next one.
func (d *desk) line(parts ...string) *notice {
	n := &d.notice
	n.payload = append(n.payload[:0], " .... "...)
	for _, p := range parts {
		n.payload = append(n.payload, p...)
	}
	return n.encode(false)
}
