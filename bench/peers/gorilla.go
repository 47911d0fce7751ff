package main

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// serveGorilla is gorilla/websocket's chat example: one goroutine per room (the example's hub) owns the members and
// fans out, and each member has a read pump, a write pump and a channel of 256 messages between.
//
// Two things differ. The example's hub closes a member whose channel is full; here it waits (deliver). The example's
// write pump joins whatever is queued into one frame, with newlines; here each message is a frame.
func serveGorilla(ctx context.Context, ln net.Listener, opts options) error {
	all := newRooms(func() *gorillaRoom {
		room := newGorillaRoom(opts)
		go room.run()
		return room
	})
	upgrader := websocket.Upgrader{ReadBufferSize: 1024, WriteBufferSize: 1024, CheckOrigin: allowAnyOrigin}
	chat := func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return // Upgrade has answered.
		}
		m := &gorillaMember{
			nick: newNick(),
			room: all.get(roomName(r)),
			conn: conn,
			send: make(chan []byte, queueMessages),
			gone: make(chan struct{}),
		}
		m.room.join <- m
		// New goroutines, so that what the request holds can be collected.
		go m.writePump()
		go m.readPump()
	}
	echo := func(w http.ResponseWriter, r *http.Request) {
		if conn, err := upgrader.Upgrade(w, r, nil); err == nil {
			gorillaEcho(conn)
		}
	}
	return serveHTTP(ctx, ln, routes(chat, echo))
}

// A gorillaRoom's members belong to its goroutine; everybody else talks to it over the channels.
type gorillaRoom struct {
	opts    options
	members map[*gorillaMember]struct{}

	publish chan []byte
	join    chan *gorillaMember
	leave   chan *gorillaMember
}

func newGorillaRoom(opts options) *gorillaRoom {
	return &gorillaRoom{
		opts:    opts,
		members: make(map[*gorillaMember]struct{}),
		publish: make(chan []byte),
		join:    make(chan *gorillaMember),
		leave:   make(chan *gorillaMember),
	}
}

func (r *gorillaRoom) run() {
	for {
		select {
		case m := <-r.join:
			r.members[m] = struct{}{}
		case m := <-r.leave:
			delete(r.members, m)
			close(m.send)
			if r.opts.announcesLeave(len(r.members)) {
				r.fanOut(leaveLine(m.nick))
			}
		case line := <-r.publish:
			r.fanOut(line)
		}
	}
}

func (r *gorillaRoom) fanOut(line []byte) {
	for m := range r.members {
		m.deliver(line)
	}
}

// A gorillaMember leaves the room through its read pump alone.
type gorillaMember struct {
	nick string
	room *gorillaRoom
	conn *websocket.Conn

	send chan []byte   // Closed by the room after the leave.
	gone chan struct{} // Closed by the write pump when it stops taking from send.
}

// deliver queues the line and waits while the queue is full, unless nobody empties it any more. Only the room calls it.
func (m *gorillaMember) deliver(line []byte) {
	select {
	case m.send <- line:
		return
	default:
	}
	select {
	case m.send <- line:
	case <-m.gone:
	}
}

func (m *gorillaMember) readPump() {
	defer func() {
		// Closed first, so that a write in progress fails and a room that waits for this member goes on.
		_ = m.conn.Close()
		m.room.leave <- m
	}()
	m.conn.SetReadLimit(maxMessageBytes)
	_ = m.conn.SetReadDeadline(time.Now().Add(pongWait))
	m.conn.SetPongHandler(func(string) error { return m.conn.SetReadDeadline(time.Now().Add(pongWait)) })
	for {
		kind, text, err := m.conn.ReadMessage()
		if err != nil {
			return
		}
		if kind == websocket.TextMessage {
			m.room.publish <- messageLine(m.nick, text)
		}
	}
}

func (m *gorillaMember) writePump() {
	ticker := time.NewTicker(pingPeriod)
	defer func() {
		ticker.Stop()
		close(m.gone)
		_ = m.conn.Close()
	}()
	for {
		select {
		case line, ok := <-m.send:
			kind := websocket.TextMessage
			if !ok {
				kind = websocket.CloseMessage
			}
			_ = m.conn.SetWriteDeadline(time.Now().Add(writeWait))
			if err := m.conn.WriteMessage(kind, line); err != nil || !ok {
				return
			}
		case <-ticker.C:
			_ = m.conn.SetWriteDeadline(time.Now().Add(writeWait))
			if err := m.conn.WriteMessage(websocket.PingMessage, nil); err != nil {
				return
			}
		}
	}
}

// gorillaEcho is the library's echo example.
func gorillaEcho(conn *websocket.Conn) {
	defer conn.Close()
	conn.SetReadLimit(maxMessageBytes)
	for {
		kind, message, err := conn.ReadMessage()
		if err != nil {
			return
		}
		if err := conn.WriteMessage(kind, message); err != nil {
			return
		}
	}
}
