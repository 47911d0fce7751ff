package main

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/olahol/melody"
)

// serveMelody is melody's chat example: the library has the hub, the pumps and a queue of 256 messages per session,
// and the server only calls Broadcast. The example for several rooms filters one melody by path; a melody for each
// room is faster, as nobody then looks at the members of other rooms.
//
// The library drops a message for which a session's queue has no place. The only callback that it makes before that
// is the filter of a broadcast, so the filter waits for a place (melodyMember.reserve).
func serveMelody(ctx context.Context, ln net.Listener, opts options) error {
	all := newRooms(func() *melodyRoom { return newMelodyRoom(opts) })
	chat := func(w http.ResponseWriter, r *http.Request) {
		keys := map[string]any{melodyMemberKey: newMelodyMember()}
		_ = all.get(roomName(r)).HandleRequestWithKeys(w, r, keys)
	}
	echoes := newMelody()
	echoes.HandleMessage(func(s *melody.Session, message []byte) { _ = s.Write(message) })
	echoes.HandleMessageBinary(func(s *melody.Session, message []byte) { _ = s.WriteBinary(message) })
	echo := func(w http.ResponseWriter, r *http.Request) { _ = echoes.HandleRequest(w, r) }
	return serveHTTP(ctx, ln, routes(chat, echo))
}

func newMelody() *melody.Melody {
	m := melody.New()
	m.Config.MaxMessageSize = maxMessageBytes
	m.Config.MessageBufferSize = queueMessages
	m.Config.WriteWait = writeWait
	m.Config.PongWait = pongWait
	m.Config.PingPeriod = pingPeriod
	return m
}

// A melodyRoom counts its members itself: while the disconnect handler runs, the library's Len may still include the
// session that left.
type melodyRoom struct {
	*melody.Melody
	opts    options
	members atomic.Int64
}

func newMelodyRoom(opts options) *melodyRoom {
	room := &melodyRoom{Melody: newMelody(), opts: opts}
	room.HandleConnect(func(*melody.Session) { room.members.Add(1) })
	room.HandleMessage(func(s *melody.Session, text []byte) {
		room.publish(messageLine(melodyMemberOf(s).nick, text))
	})
	room.HandleDisconnect(func(s *melody.Session) {
		if room.opts.announcesLeave(int(room.members.Add(-1))) {
			room.publish(leaveLine(melodyMemberOf(s).nick))
		}
	})
	room.HandleSentMessage(func(s *melody.Session, _ []byte) { melodyMemberOf(s).release() })
	room.HandleError(func(s *melody.Session, _ error) { melodyMemberOf(s).fail() })
	return room
}

func (r *melodyRoom) publish(line []byte) {
	_ = r.BroadcastFilter(line, func(s *melody.Session) bool { return melodyMemberOf(s).reserve() })
}

const melodyMemberKey = "member"

// melodyMemberOf reads the key without the session's lock: it is set before the session exists, and never again.
func melodyMemberOf(s *melody.Session) *melodyMember {
	return s.Keys[melodyMemberKey].(*melodyMember)
}

type melodyMember struct {
	nick string

	places   chan struct{} // Holds one value for each message that is queued or being written.
	gone     chan struct{} // Closed when reading or writing has failed and the queue may never empty.
	failOnce sync.Once
}

func newMelodyMember() *melodyMember {
	return &melodyMember{
		nick:   newNick(),
		places: make(chan struct{}, queueMessages),
		gone:   make(chan struct{}),
	}
}

// reserve waits for a place in the session's queue and reports whether there is one. The library's hub calls it.
func (m *melodyMember) reserve() bool {
	select {
	case m.places <- struct{}{}:
		return true
	default:
	}
	select {
	case m.places <- struct{}{}:
		return true
	case <-m.gone:
		return false
	}
}

// release frees the place of a message that was written. The session's write pump calls it.
func (m *melodyMember) release() { <-m.places }

// fail lets a hub that waits for this member go on. Either pump calls it.
func (m *melodyMember) fail() { m.failOnce.Do(func() { close(m.gone) }) }
