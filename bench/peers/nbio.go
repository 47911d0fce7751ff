package main

import (
	"context"
	"net"
	"net/http"
	"sync"

	"github.com/lesismal/nbio/logging"
	"github.com/lesismal/nbio/nbhttp"
	"github.com/lesismal/nbio/nbhttp/websocket"
)

// serveNbio is nbio's WebSocket server example on its own HTTP engine, in its default mode: connections belong to a
// poller, not to goroutines, and what a socket does not take is kept and written when it can be. A broadcast writes
// to one member after another. The library has no chat example; the room is the plainest one that its calls allow.
//
// What is kept per member has no limit (MaxWriteBufferSize is 0, the default): nothing is dropped and nothing waits.
// The library passes an empty message to nobody, so that this peer neither broadcasts nor echoes one.
func serveNbio(ctx context.Context, ln net.Listener, opts options) error {
	logging.SetLevel(logging.LevelError)
	all := newRooms(func() *nbioRoom {
		return &nbioRoom{opts: opts, members: make(map[*websocket.Conn]struct{})}
	})
	chat, echo := newNbioChatUpgrader(), newNbioEchoUpgrader()
	join := func(w http.ResponseWriter, r *http.Request) {
		conn, err := chat.Upgrade(w, r, nil)
		if err != nil {
			return // Upgrade has answered.
		}
		// A connection's callbacks run one after another and behind this handler, so that all find the session.
		m := &nbioMember{nick: newNick(), room: all.get(roomName(r))}
		conn.SetSession(m)
		m.room.join(conn)
	}
	answer := func(w http.ResponseWriter, r *http.Request) { _, _ = echo.Upgrade(w, r, nil) }
	engine := nbhttp.NewEngine(nbhttp.Config{
		Network: "tcp",
		Addrs:   []string{ln.Addr().String()},
		Listen:  func(string, string) (net.Listener, error) { return ln, nil },
		Handler: routes(join, answer),
		// As in the example for a million connections.
		ReleaseWebsocketPayload: true,
		ReadBufferSize:          4 * 1024,
		// The default would cut messages into frames of 32 KiB.
		MaxWebsocketFramePayloadSize: 2 * maxMessageBytes,
	})
	if err := engine.Start(); err != nil {
		return err
	}
	<-ctx.Done()
	engine.Stop()
	return ctx.Err()
}

// newNbioUpgrader turns off the keep-alive of two minutes, which would close a member that has nothing to say.
func newNbioUpgrader() *websocket.Upgrader {
	u := websocket.NewUpgrader()
	u.KeepaliveTime = 0
	u.MessageLengthLimit = maxMessageBytes
	u.CheckOrigin = allowAnyOrigin
	return u
}

func newNbioChatUpgrader() *websocket.Upgrader {
	u := newNbioUpgrader()
	u.OnMessage(func(conn *websocket.Conn, kind websocket.MessageType, text []byte) {
		if kind == websocket.TextMessage {
			m := conn.Session().(*nbioMember)
			m.room.publish(messageLine(m.nick, text))
		}
	})
	u.OnClose(func(conn *websocket.Conn, _ error) {
		m := conn.Session().(*nbioMember)
		m.room.leave(conn, m.nick)
	})
	return u
}

// newNbioEchoUpgrader is the library's echo example.
func newNbioEchoUpgrader() *websocket.Upgrader {
	u := newNbioUpgrader()
	u.OnMessage(func(conn *websocket.Conn, kind websocket.MessageType, message []byte) {
		_ = conn.WriteMessage(kind, message)
	})
	return u
}

type nbioMember struct {
	nick string
	room *nbioRoom
}

type nbioRoom struct {
	opts options

	mu      sync.Mutex
	members map[*websocket.Conn]struct{}
}

func (r *nbioRoom) join(conn *websocket.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members[conn] = struct{}{}
}

// publish holds the lock while it writes; that is what gives the room one order.
func (r *nbioRoom) publish(line []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fanOut(line)
}

func (r *nbioRoom) leave(conn *websocket.Conn, nick string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.members, conn)
	if r.opts.announcesLeave(len(r.members)) {
		r.fanOut(leaveLine(nick))
	}
}

// fanOut is called under the lock. A write that fails closes its connection, whose OnClose comes later, from another
// goroutine.
func (r *nbioRoom) fanOut(line []byte) {
	for conn := range r.members {
		_ = conn.WriteMessage(websocket.TextMessage, line)
	}
}
