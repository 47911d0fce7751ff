package liar

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"throng/bench/v1"
	"throng/bench/wire"
)

// room is what the server knows of its one room in throng.v1.
type room struct {
	log  [][]byte          // the frame of message n+1
	said map[string][]byte // the same by sender and id
}

// greet is what a member is told first: who it is, and what it has missed since it
// was here. The server's lock is held.
func (s *Server) greet(m *member, r *http.Request) {
	query := r.URL.Query()
	if m.who = query.Get("token"); m.who == "" {
		m.who = fmt.Sprintf("who-%d", m.number)
	}
	after, err := strconv.Atoi(query.Get("after"))
	back := err == nil && query.Get("epoch") == "e"
	if !back {
		after = len(s.room.log)
	}
	frames := [][]byte{
		object(`{"t":"hello","me":{"id":"%s","nick":"%[1]s"},"token":"%[1]s"}`, m.who),
		object(`{"t":"joined","room":"lobby","epoch":"e","seq":%d,"resumed":%v}`, len(s.room.log), back),
	}
	frames = append(frames, s.room.log[after:]...)
	if back && s.Return != nil {
		frames = s.Return(frames)
	}
	for _, f := range frames {
		m.out <- f
	}
}

// object is a frame of throng.v1.
func object(format string, values ...any) []byte {
	return wire.AppendServerFrame(nil, wire.Text, fmt.Appendf(nil, format, values...))
}

// say takes a request. What was said already is repeated to the sender.
func (s *Server) say(m *member, request []byte) {
	var q struct{ Op, ID, Room, Text string }
	if err := json.Unmarshal(request, &q); err != nil || q.Op != "say" || q.Room != "lobby" || q.ID == "" {
		m.out <- object(`{"t":"error","code":"bad_request","message":"%s"}`, request)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := m.who + " " + q.ID
	if frame, known := s.room.said[key]; known {
		if !m.gone {
			m.out <- frame
		}
		return
	}
	if s.Refuse != nil && s.Refuse(q.ID) {
		m.out <- object(`{"t":"error","id":"%s","code":"rate_limited","message":"slower","retry_ms":1}`, q.ID)
		return
	}
	if s.Lose != nil && s.Lose(q.ID) {
		return
	}
	n := len(s.room.log)
	frame := object(`{"t":"msg","seq":%d,"prev":%d,"ts":1,"room":"lobby","from":{"id":"%s","nick":"%[3]s"},"text":"%s","id":"%s"}`,
		n+1, n, m.who, q.Text, q.ID)
	if s.Deflate {
		frame = deflated(frame)
	}
	s.room.log = append(s.room.log, frame)
	s.room.said[key] = frame
	s.deliver(frame)
}

// deflated compresses a frame, each for itself.
func deflated(frame []byte) []byte {
	f, _, err := wire.Next(frame, false)
	if err != nil {
		panic("liar: " + err.Error())
	}
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestSpeed) // fails for an unknown level only
	w.Write(f.Payload)
	w.Flush()
	frame = wire.AppendServerFrame(nil, wire.Text, bytes.TrimSuffix(b.Bytes(), []byte("\x00\x00\xff\xff")))
	frame[0] |= 0x40 // RFC 7692, 6: RSV1
	return frame
}

// speaks reports whether a request asks for throng.v1.
func speaks(r *http.Request) bool { return r.Header.Get("Sec-WebSocket-Protocol") == v1.Name }
