package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// The limits, beside each other. They are the examples' own where those do not lose messages.
const (
	maxMessageBytes = 1 << 20          // The examples allow 512 bytes or so, less than the load may send.
	queueMessages   = 256              // Per member, as in gorilla's chat and melody's defaults; coder's example has 16.
	writeWait       = 10 * time.Second // How long one write may take before the member is given up.
	pongWait        = 60 * time.Second // Silence after which a member is gone, where the example pings.
	pingPeriod      = pongWait * 9 / 10
	handshakeWait   = 10 * time.Second
)

// lobby is the room of /chat.
const lobby = "lobby"

var nicksGiven atomic.Int64

// newNick returns a nickname unlike any other in the process.
func newNick() string {
	return fmt.Sprintf("user-%d", nicksGiven.Add(1))
}

// messageLine returns, in memory of its own, what the room hears when nick says text.
func messageLine(nick string, text []byte) []byte {
	line := make([]byte, 0, len(nick)+len(": ")+len(text))
	line = append(line, nick...)
	line = append(line, ": "...)
	return append(line, text...)
}

// leaveLine returns what the rest of the room hears when nick has left.
func leaveLine(nick string) []byte {
	return []byte(" .... " + nick + " has left.")
}

// announcesLeave reports whether a room of that many remaining members is told of a leave. In a large room where all
// leave at once, each telling all others would cost the square of the members; Throng has the same limit.
func (o options) announcesLeave(members int) bool {
	return members > 0 && members <= o.leaveLimit
}

// rooms finds rooms by name, and makes one when it is first asked for. Rooms are never removed: the examples have a
// single one for the life of the process, and a benchmark uses the same few again and again.
type rooms[R any] struct {
	open func() R

	mu     sync.Mutex
	byName map[string]R
}

func newRooms[R any](open func() R) *rooms[R] {
	return &rooms[R]{open: open, byName: make(map[string]R)}
}

// get may be called by any goroutine.
func (rs *rooms[R]) get(name string) R {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	room, ok := rs.byName[name]
	if !ok {
		room = rs.open()
		rs.byName[name] = room
	}
	return room
}

// routes is the mux of the servers that are built on net/http. The handlers upgrade; chat finds its room with
// roomName.
func routes(chat, echo http.HandlerFunc) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /chat", chat)
	mux.HandleFunc("GET /chat/{room}", chat)
	mux.HandleFunc("GET /echo", echo)
	mux.HandleFunc("GET /healthz", answerOK)
	mux.HandleFunc("GET /{$}", answerOK)
	return mux
}

// roomName returns the room that a request to one of the chat routes asks for.
func roomName(r *http.Request) string {
	if name := r.PathValue("room"); name != "" {
		return name
	}
	return lobby
}

func answerOK(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, "ok\n") // A client that went away needs no answer.
}

// serveHTTP serves the handler until the context ends.
func serveHTTP(ctx context.Context, ln net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: handshakeWait}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	return server.Serve(ln)
}

// allowAnyOrigin is for upgraders that would otherwise compare the Origin header, which a load tool need not send.
func allowAnyOrigin(*http.Request) bool { return true }
