package hostile

import (
	"bytes"
	"compress/flate"
	"fmt"
	"math"
	"time"

	"throng/bench/v1"
	"throng/bench/wire"
)

// stalled joins a room and does not read. Some read on after a while: they must be told what they missed, or be closed. What the server does to the
// others they do not see: nothing reaches a socket whose window is closed.
type stalled struct {
	plain
	resumed bool
	told    []bool
}

func newStalled(m *mob) script { return &stalled{told: make([]bool, m.squad.Conns)} }

func (s *stalled) opened(m *mob, id int) { m.loop.Pause(id, true) }

// ended counts those that were closed although they read on.
func (s *stalled) ended(m *mob, id int) bool {
	if s.resumed && id%resumeEvery == 0 {
		m.deeds.Figures["closed after reading on"]++
	}
	return m.squad.Again
}

func (s *stalled) turn(m *mob) time.Duration {
	if !s.resumed && m.ready != 0 && m.now-m.ready > int64(resumeAfter) {
		s.resumed = true
		for id := 0; id < m.squad.Conns; id += resumeEvery {
			m.loop.Pause(id, false)
		}
	}
	return 10 * time.Millisecond
}

func (s *stalled) frame(m *mob, id int, f wire.Frame) {
	if !s.told[id] && bytes.HasPrefix(f.Payload, []byte(" .... you missed ")) {
		s.told[id] = true
		m.deeds.Figures["told of a gap"]++
	}
}

// flood sends small frames of several kinds as fast as the server takes them.
type flood struct {
	plain
	kinds [floodKinds][]byte
	sizes [floodKinds]int // of one frame of each
}

const (
	floodKinds = 5
	// floodBytes is what is handed to the kernel at a time.
	floodBytes = 16 << 10
)

func newFlood(*mob) script {
	f := &flood{}
	one := [floodKinds][]byte{
		wire.Append(nil, wire.Ping, 1, bytes.Repeat([]byte("p"), 125)),
		wire.Append(nil, wire.Text, 2, []byte("x")),
		wire.Append(nil, wire.Text, 3, nil),
		{0x00, 0x80, 1, 2, 3, 4},            // a continuation without an end or a byte
		wire.Append(nil, wire.Ping, 4, nil), // whose pongs nobody reads
	}
	for i, b := range one {
		f.sizes[i] = len(b)
		f.kinds[i] = bytes.Repeat(b, floodBytes/len(b))
	}
	return f
}

func (f *flood) opened(m *mob, id int) {
	switch id % floodKinds {
	case 3:
		m.loop.SendFrames(id, []byte{0x01, 0x81, 0, 0, 0, 0, 'x'}) // what there is to continue
	case 4:
		m.loop.Pause(id, true)
	}
}

func (f *flood) turn(m *mob) time.Duration {
	for id := range m.squad.Conns {
		if !m.up[id] || m.loop.Unsent(id) > 0 {
			continue
		}
		b := f.kinds[id%floodKinds]
		m.loop.SendFrames(id, b)
		m.deeds.Done += int64(len(b) / f.sizes[id%floodKinds])
		m.deeds.Bytes += int64(len(b))
	}
	return time.Millisecond
}

// rooms speaks throng.v1. One half talks in as many rooms as is allowed; the other goes from one to the next, and says something in each.
type rooms struct {
	plain
	talk   [][]byte // a message to each room of a connection
	visits int
}

const (
	roomsConns = 300
	// roomsEach are those besides the one in a connection's path.
	roomsEach = 31
)

func newRooms(m *mob) script {
	m.terms.Subprotocol = v1.Name
	return &rooms{talk: make([][]byte, m.squad.Conns)}
}

func (s *rooms) opened(m *mob, id int) {
	if !m.agreed {
		m.deeds.Skipped = "the server does not speak " + v1.Name
		return
	}
	if id%2 == 0 {
		return
	}
	var join, talk []byte
	for i := range roomsEach {
		room := fmt.Sprintf("%s-%d-%d-%d", m.squad.Script, m.squad.Process, id, i)
		join = appendOp(join, "join", room)
		talk = appendOp(talk, "say", room)
	}
	s.talk[id] = talk
	m.loop.SendFrames(id, join)
}

// appendOp appends a request to a room, in a frame.
func appendOp(dst []byte, op, room string) []byte {
	return wire.Append(dst, wire.Text, 0, fmt.Appendf(nil, `{"op":%q,"room":%q,"text":"x"}`, op, room))
}

func (s *rooms) turn(m *mob) time.Duration {
	for id := range m.squad.Conns {
		if s.finished(m) || !m.up[id] || m.loop.Unsent(id) > 0 {
			continue
		}
		b, requests := s.talk[id], roomsEach
		if id%2 == 0 {
			b, requests = s.stroll(m.squad.Process), 3*roomsEach
		}
		m.loop.SendFrames(id, b)
		m.deeds.Done += int64(requests)
		m.deeds.Bytes += int64(len(b))
	}
	return time.Millisecond
}

// stroll goes through rooms that nobody has been in.
func (s *rooms) stroll(process int) (b []byte) {
	for range roomsEach {
		s.visits++
		room := fmt.Sprintf("visited-%d-%d", process, s.visits)
		for _, op := range []string{"join", "say", "leave"} {
			b = appendOp(b, op, room)
		}
	}
	return b
}

func (s *rooms) finished(m *mob) bool { return m.deeds.Skipped != "" }

// fragments sends messages in pieces of one byte: first of two sizes in turn,
// each of which comes back and is timed, then on every connection all but the
// last piece of a large one, which the server has to hold.
type fragments struct {
	plain
	pieces [2][]byte
	round  int
	sentAt int64
	best   [2]float64
	held   bool
}

// fragmentRounds is how many messages of each size are timed.
const fragmentRounds = 10

func newFragments(m *mob) script {
	s := &fragments{best: [2]float64{math.Inf(1), math.Inf(1)}}
	for i, size := range m.squad.Payloads {
		for n := range size {
			first := byte(0)
			if n == 0 {
				first = byte(wire.Text)
			}
			if n == size-1 {
				first |= 0x80
			}
			s.pieces[i] = append(s.pieces[i], first, 0x81, 0, 0, 0, 0, 'f')
		}
	}
	return s
}

func (s *fragments) turn(m *mob) time.Duration {
	switch {
	case m.ready == 0:
	case s.round < 2*fragmentRounds:
		if s.sentAt == 0 {
			s.sentAt = m.loop.Now()
			m.loop.SendFrames(0, s.pieces[s.round%2])
			m.deeds.Bytes += int64(len(s.pieces[s.round%2]))
		}
	case !s.held:
		s.held = true
		for id := range m.squad.Conns {
			all := s.pieces[1]
			m.loop.SendFrames(id, all[:len(all)-7])
			m.deeds.Figures["held"] += float64(m.squad.Payloads[1] - 1)
		}
		for i, ns := range s.best {
			m.deeds.Figures[fmt.Sprint("ns a byte ", i)] = ns
		}
	}
	return time.Millisecond
}

func (s *fragments) frame(m *mob, id int, f wire.Frame) {
	which := s.round % 2
	if id != 0 || f.Opcode != wire.Text || len(f.Payload) < m.squad.Payloads[which] {
		return
	}
	took := float64(m.loop.Now()-s.sentAt) / float64(m.squad.Payloads[which])
	s.best[which] = min(s.best[which], took)
	s.sentAt = 0
	s.round++
	m.deeds.Done++
}

// bombs sends messages that grow a thousand times when they are inflated.
type bombs struct {
	plain
	message []byte
}

// bombBytes is what one is inflated.
const bombBytes = 60 << 20

func newBombs(*mob) script {
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		panic("hostile: " + err.Error()) // the level is a constant
	}
	zeros := make([]byte, 1<<20)
	for range bombBytes / len(zeros) {
		w.Write(zeros)
	}
	w.Flush()
	// RFC 7692, 7.2.1: without the four bytes that end a flush.
	payload := packed.Bytes()[:packed.Len()-4]
	b := &bombs{message: wire.Append(nil, wire.Text, 0, payload)}
	b.message[0] |= 0x40 // RSV1: compressed
	return b
}

func (b *bombs) greet(m *mob, id int, key string) []byte {
	request := wire.AppendRequest(nil, m.squad.Host, m.path(id), key, wire.Terms{})
	return append(request[:len(request)-2], "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n\r\n"...)
}

func (b *bombs) opened(m *mob, id int) {
	if !m.agreed {
		m.deeds.Skipped = "the server does not negotiate permessage-deflate"
		return
	}
	m.deeds.Done++
	m.deeds.Bytes += int64(len(b.message))
	m.loop.SendFrames(id, b.message)
}

func (b *bombs) finished(m *mob) bool { return m.deeds.Skipped != "" }
