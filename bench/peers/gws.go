package main

import (
	"context"
	"net"
	"net/http"
	"sync"

	"github.com/lxzan/gws"
)

// serveGws is what the gws README shows for broadcasting: a Broadcaster encodes the message once and is handed to each
// connection, whose own queue writes it in the background. The chat example keeps the members' names in the
// connection's session; so does this one.
//
// The queues have no limit: nothing is dropped and nothing waits, and a member that does not read costs memory. The
// chat example's heartbeat, which its page has to send every five seconds, is left out.
func serveGws(ctx context.Context, ln net.Listener, opts options) error {
	all := newRooms(func() *gwsRoom {
		return &gwsRoom{opts: opts, members: make(map[*gws.Conn]struct{})}
	})
	option := &gws.ServerOption{
		ReadMaxPayloadSize:  maxMessageBytes,
		WriteMaxPayloadSize: 2 * maxMessageBytes, // A message with its nickname is a little longer than it came.
		Authorize: func(r *http.Request, session gws.SessionStorage) bool {
			session.Store(gwsMemberKey, &gwsMember{nick: newNick(), room: all.get(roomName(r))})
			return true
		},
	}
	chat := gws.NewUpgrader(&gwsChat{}, option)
	echo := gws.NewUpgrader(&gwsEcho{}, &gws.ServerOption{
		ReadMaxPayloadSize: maxMessageBytes, WriteMaxPayloadSize: 2 * maxMessageBytes,
	})
	return serveHTTP(ctx, ln, routes(gwsUpgrade(chat), gwsUpgrade(echo)))
}

// gwsUpgrade reads in a goroutine of its own, as the README recommends, so that what the request holds can be
// collected.
func gwsUpgrade(upgrader *gws.Upgrader) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if conn, err := upgrader.Upgrade(w, r); err == nil {
			go conn.ReadLoop()
		}
	}
}

const gwsMemberKey = "member"

type gwsMember struct {
	nick string
	room *gwsRoom
}

func gwsMemberOf(conn *gws.Conn) *gwsMember {
	m, _ := conn.Session().Load(gwsMemberKey)
	return m.(*gwsMember)
}

type gwsRoom struct {
	opts options

	mu      sync.Mutex
	members map[*gws.Conn]struct{}
}

func (r *gwsRoom) join(conn *gws.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members[conn] = struct{}{}
}

// publish holds the lock while it fills the members' queues; that is what gives the room one order.
func (r *gwsRoom) publish(line []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fanOut(line)
}

func (r *gwsRoom) leave(conn *gws.Conn, nick string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.members, conn)
	if r.opts.announcesLeave(len(r.members)) {
		r.fanOut(leaveLine(nick))
	}
}

// fanOut is called under the lock.
func (r *gwsRoom) fanOut(line []byte) {
	b := gws.NewBroadcaster(gws.OpcodeText, line)
	defer b.Close()
	for conn := range r.members {
		_ = b.Broadcast(conn) // A failed connection ends in OnClose.
	}
}

type gwsChat struct {
	gws.BuiltinEventHandler
}

func (gwsChat) OnOpen(conn *gws.Conn) { gwsMemberOf(conn).room.join(conn) }

func (gwsChat) OnClose(conn *gws.Conn, _ error) {
	m := gwsMemberOf(conn)
	m.room.leave(conn, m.nick)
}

func (gwsChat) OnPing(conn *gws.Conn, payload []byte) { _ = conn.WritePong(payload) }

func (gwsChat) OnMessage(conn *gws.Conn, message *gws.Message) {
	defer message.Close()
	if message.Opcode == gws.OpcodeText {
		m := gwsMemberOf(conn)
		m.room.publish(messageLine(m.nick, message.Bytes()))
	}
}

// gwsEcho is the library's echo example.
type gwsEcho struct {
	gws.BuiltinEventHandler
}

func (gwsEcho) OnPing(conn *gws.Conn, payload []byte) { _ = conn.WritePong(payload) }

func (gwsEcho) OnMessage(conn *gws.Conn, message *gws.Message) {
	defer message.Close()
	_ = conn.WriteMessage(message.Opcode, message.Bytes())
}
