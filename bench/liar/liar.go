// Package liar is a small chat server that misbehaves on purpose. The tests of
// the load generator run against it: each of its lies must be found and named.
//
// It is built on net/http and writes its frames by hand, so that it can also
// break the protocol. When it tells the truth every member of its one room
// receives "user-N: TEXT" for each text that any of them sends, in one order; and
// those who ask for throng.v1 receive it in JSON, and can come back.
package liar

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"throng/bench/v1"
	"throng/bench/wire"
)

// Delivery is one frame on its way to one member.
type Delivery struct {
	Member int // in the order of joining
	N      int // the how manieth of this member's
	Frame  []byte
}

// Server is a liar. Set its lies before Start.
type Server struct {
	// Lie says what a member receives instead of a frame; nil is the truth.
	Lie func(d Delivery) [][]byte
	// Hang says after which of its frames a member is disconnected, 0 for never;
	// with a code it gets a close frame first.
	Hang     func(member int) (after int)
	HangCode int
	// Stall is called before each broadcast with its number.
	Stall func(n int)
	// Arrive is called with each upgrade request.
	Arrive func(r *http.Request)
	// Answer replaces the answer to upgrade requests, once so many members have
	// joined; nil is the right one.
	Answer      func(w io.Writer, r *http.Request)
	AnswerAfter int

	// Return says what somebody receives who comes back in throng.v1, instead of
	// hello, joined and what it has missed.
	Return func(frames [][]byte) [][]byte
	// Deflate compresses what is said in throng.v1, and agrees to that.
	Deflate bool
	// Refuse says which messages of throng.v1, by id, are to be said again later.
	Refuse func(id string) bool
	// Lose says which are not heard at all.
	Lose func(id string) bool

	mu      sync.Mutex
	room    room
	members map[*member]bool
	joined  int
	sent    int
	server  *httptest.Server
}

// member is one connection.
type member struct {
	number     int
	who        string // in throng.v1
	delivered  int
	connection net.Conn
	out        chan []byte // closed when the member has to go
	gone       bool
}

// Start serves on a port of its own; the URL is that of the room.
func (s *Server) Start() (url string) {
	s.members, s.room.said = make(map[*member]bool), make(map[string][]byte)
	s.server = httptest.NewServer(http.HandlerFunc(s.serve))
	return "ws" + strings.TrimPrefix(s.server.URL, "http") + "/chat"
}

// Stop ends the server and all connections.
func (s *Server) Stop() {
	s.mu.Lock()
	for m := range s.members {
		m.connection.Close()
	}
	s.mu.Unlock()
	s.server.Close()
}

// Joined is how many members there have been.
func (s *Server) Joined() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.joined
}

// serve takes one connection from its handshake to its end.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		http.NotFound(w, r)
		return
	}
	connection, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic("liar: " + err.Error())
	}
	defer connection.Close()
	if s.Arrive != nil {
		s.Arrive(r)
	}
	if s.Answer != nil && s.Joined() >= s.AnswerAfter {
		s.Answer(connection, r)
		return
	}
	m := s.join(connection, r)
	defer s.leave(m)
	protocol := ""
	if speaks(r) {
		protocol = "Sec-WebSocket-Protocol: " + v1.Name + "\r\n"
		if s.Deflate {
			protocol += "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n"
		}
	}
	fmt.Fprintf(connection, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: %s\r\n%s\r\n", wire.Accept(r.Header.Get("Sec-WebSocket-Key")), protocol)
	go m.write()
	for {
		text, op, err := read(buffered.Reader)
		if err != nil || op == wire.Close {
			return
		}
		if speaks(r) {
			s.say(m, text)
			continue
		}
		s.broadcast(fmt.Appendf(nil, "user-%d: %s", m.number, text))
	}
}

func (s *Server) join(connection net.Conn, r *http.Request) *member {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &member{number: s.joined, connection: connection, out: make(chan []byte, 1<<16)}
	s.joined++
	s.members[m] = true
	if speaks(r) {
		s.greet(m, r)
	}
	return m
}

func (s *Server) leave(m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.members, m)
	m.end()
}

// end lets the writer finish. The server's lock is held.
func (m *member) end() {
	if !m.gone {
		m.gone = true
		close(m.out)
	}
}

// write sends what the member is to receive, then hangs up.
func (m *member) write() {
	for frame := range m.out {
		m.connection.Write(frame)
	}
	m.connection.Close()
}

// broadcast delivers a text to all members, or lies about it.
func (s *Server) broadcast(text []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deliver(wire.AppendServerFrame(nil, wire.Text, text))
}

// deliver sends a frame to all members. The lock is held.
func (s *Server) deliver(frame []byte) {
	if s.sent++; s.Stall != nil {
		s.Stall(s.sent)
	}
	for m := range s.members {
		if m.gone {
			continue
		}
		m.delivered++
		frames := [][]byte{frame}
		if s.Lie != nil {
			frames = s.Lie(Delivery{m.number, m.delivered, frame})
		}
		for _, f := range frames {
			m.out <- f
		}
		if s.Hang != nil && m.delivered == s.Hang(m.number) {
			if s.HangCode != 0 {
				m.out <- wire.AppendServerFrame(nil, wire.Close, []byte{byte(s.HangCode >> 8), byte(s.HangCode)})
			}
			m.end()
		}
	}
}

// read takes one frame from a member.
func read(r *bufio.Reader) (payload []byte, op wire.Opcode, err error) {
	var head [14]byte
	if _, err := io.ReadFull(r, head[:2]); err != nil {
		return nil, 0, err
	}
	n := int(head[1] & 0x7F)
	if more := map[int]int{126: 2, 127: 8}[n]; more > 0 {
		if _, err := io.ReadFull(r, head[2:2+more]); err != nil {
			return nil, 0, err
		}
		n = 0
		for _, b := range head[2 : 2+more] {
			n = n<<8 | int(b)
		}
	}
	body := make([]byte, 4+n)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, 0, err
	}
	for i := range body[4:] {
		body[4+i] ^= body[i%4]
	}
	return body[4:], wire.Opcode(head[0] & 0x0F), nil
}
