package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// serveGobwas is the chat of gobwas/ws's examples with a goroutine per connection instead of their poller: the
// handshake is read from the bare connection ("zero-copy upgrade"), a message is encoded once into a frame, and one
// goroutine per room takes the frames from a channel and writes them to the members.
//
// The example hands each write to a pool of goroutines, where two messages to one member may change places; here the
// room's goroutine writes, in order. The example gives up a member whose socket takes nothing for 100 ms; here it is
// writeWait, and the room waits.
func serveGobwas(ctx context.Context, ln net.Listener, opts options) error {
	wsutil.SetMaxMessageSize(maxMessageBytes)
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	all := newRooms(func() *gobwasRoom {
		room := &gobwasRoom{opts: opts, out: make(chan []byte, 1)}
		go room.run()
		return room
	})
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go serveGobwasConn(conn, all)
	}
}

// serveGobwasConn lives as long as the connection.
func serveGobwasConn(conn net.Conn, all *rooms[*gobwasRoom]) {
	defer conn.Close()
	path, err := gobwasUpgrade(conn)
	if err != nil {
		return // Upgrade has answered, if there was anything to answer.
	}
	rw := newGobwasReadWriter(conn)
	if path == "/echo" {
		gobwasEcho(rw)
		return
	}
	m := &gobwasMember{nick: newNick(), conn: conn}
	room := all.get(gobwasRoomName(path))
	room.join(m)
	m.read(rw, room)
	room.leave(m)
}

// gobwasUpgrade shakes hands and returns the path that was asked for. Requests for / and /healthz are answered by
// refusing the upgrade with status 200, which spares a second HTTP parser.
func gobwasUpgrade(conn net.Conn) (path string, err error) {
	upgrader := ws.Upgrader{OnRequest: func(uri []byte) error {
		path, _, _ = strings.Cut(string(uri), "?")
		switch {
		case path == "/", path == "/healthz":
			return ws.RejectConnectionError(ws.RejectionStatus(http.StatusOK), ws.RejectionReason("ok"))
		case path != "/echo" && gobwasRoomName(path) == "":
			return ws.RejectConnectionError(ws.RejectionStatus(http.StatusNotFound), ws.RejectionReason("not found"))
		}
		return nil
	}}
	_ = conn.SetDeadline(time.Now().Add(handshakeWait))
	if _, err := upgrader.Upgrade(conn); err != nil {
		return "", err
	}
	return path, conn.SetDeadline(time.Time{})
}

// gobwasRoomName returns the room that the path names, or "" when it names none.
func gobwasRoomName(path string) string {
	if path == "/chat" {
		return lobby
	}
	name, ok := strings.CutPrefix(path, "/chat/")
	if !ok || strings.Contains(name, "/") {
		return ""
	}
	return name
}

// newGobwasReadWriter buffers reading: the library reads a frame in three steps, and each would be a read(2).
// 1 KiB is what gorilla's chat example takes.
func newGobwasReadWriter(conn net.Conn) io.ReadWriter {
	return struct {
		io.Reader
		io.Writer
	}{bufio.NewReaderSize(conn, 1024), conn}
}

type gobwasRoom struct {
	opts options
	out  chan []byte // Frames.

	mu      sync.Mutex
	members []*gobwasMember // Appended to in place, but copied before one is removed: run keeps a view of it.
}

func (r *gobwasRoom) run() {
	for frame := range r.out {
		r.mu.Lock()
		members := r.members
		r.mu.Unlock()
		for _, m := range members {
			m.write(frame)
		}
	}
}

func (r *gobwasRoom) join(m *gobwasMember) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members = append(r.members, m)
}

func (r *gobwasRoom) publish(line []byte) {
	r.out <- ws.MustCompileFrame(ws.NewTextFrame(line))
}

func (r *gobwasRoom) leave(m *gobwasMember) {
	r.mu.Lock()
	i := slices.Index(r.members, m)
	r.members = slices.Concat(r.members[:i], r.members[i+1:])
	remaining := len(r.members)
	r.mu.Unlock()
	if r.opts.announcesLeave(remaining) {
		r.publish(leaveLine(m.nick))
	}
}

type gobwasMember struct {
	nick string
	conn net.Conn
}

// read publishes what the member says until the connection ends. The library answers pings and the close frame, each
// with a single write, which a net.Conn keeps apart from the room's.
func (m *gobwasMember) read(rw io.ReadWriter, room *gobwasRoom) {
	for {
		text, op, err := wsutil.ReadClientData(rw)
		if err != nil {
			return
		}
		if op == ws.OpText {
			room.publish(messageLine(m.nick, text))
		}
	}
}

// write closes a connection that fails; its own goroutine then takes the member out of the room.
func (m *gobwasMember) write(frame []byte) {
	_ = m.conn.SetWriteDeadline(time.Now().Add(writeWait))
	if _, err := m.conn.Write(frame); err != nil {
		_ = m.conn.Close()
	}
}

// gobwasEcho compiles the frame, as the library's own helper would write header and payload with a write(2) each.
func gobwasEcho(rw io.ReadWriter) {
	for {
		message, op, err := wsutil.ReadClientData(rw)
		if err != nil {
			return
		}
		if _, err := rw.Write(ws.MustCompileFrame(ws.NewFrame(op, true, message))); err != nil {
			return
		}
	}
}
