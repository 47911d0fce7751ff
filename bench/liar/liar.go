// Package liar is a small chat server that misbehaves on purpose. The tests of
// the load generator run against it: each of its lies must be found and named.
//
// It is built on net/http and writes its frames by hand, so that it can also
// break the protocol. When it tells the truth every member of its one room
// receives "user-N: TEXT" for each text that any of them sends, in one order.
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

	mu      sync.Mutex
	members map[*member]bool
	joined  int
	sent    int
	server  *httptest.Server
}

// member is one connection.
type member struct {
	number     int
	delivered  int
	connection net.Conn
	out        chan []byte // closed when the member has to go
	gone       bool
}

// Start serves on a port of its own; the URL is that of the room.
func (s *Server) Start() (url string) {
	s.members = make(map[*member]bool)
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
	m := s.join(connection)
	defer s.leave(m)
	fmt.Fprintf(connection, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: %s\r\n\r\n", wire.Accept(r.Header.Get("Sec-WebSocket-Key")))
	go m.write()
	for {
		text, op, err := read(buffered.Reader)
		if err != nil || op == wire.Close {
			return
		}
		s.broadcast(fmt.Appendf(nil, "user-%d: %s", m.number, text))
	}
}

func (s *Server) join(connection net.Conn) *member {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &member{number: s.joined, connection: connection, out: make(chan []byte, 1<<16)}
	s.joined++
	s.members[m] = true
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
	if s.sent++; s.Stall != nil {
		s.Stall(s.sent)
	}
	frame := wire.AppendServerFrame(nil, wire.Text, text)
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
