package hostile

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"throng/bench/wire"
)

// scripts are all of them, by name.
var scripts = map[string]func(*mob) script{
	"slow":      newSlow,
	"heads":     newHeads,
	"churn":     newChurn,
	"half":      newHalf,
	"stalled":   newStalled,
	"flood":     newFlood,
	"rooms":     newRooms,
	"fragments": newFragments,
	"bombs":     newBombs,
	// Members that do nothing but read: in rooms of their own, and in the one
	// that is talked in.
	"idle":      func(*mob) script { return plain{} },
	"listening": func(*mob) script { return plain{} },
}

// stalledPath is the room in which some members do not read.
const stalledPath = "/chat/stalled"

// slow sends a request at a byte a second.
type slow struct {
	plain
	request string
	sent    []int
	due     []int64
}

func newSlow(m *mob) script {
	m.hasty = true // nobody is going to answer
	return &slow{sent: make([]int, m.squad.Conns), due: make([]int64, m.squad.Conns),
		request: string(wire.AppendRequest(nil, m.squad.Host, "/chat", wire.Key(1, 2), wire.Terms{}))}
}

func (s *slow) greet(m *mob, id int, _ string) []byte {
	s.sent[id], s.due[id] = 0, m.loop.Now()+int64(time.Second)
	return nil
}

func (s *slow) turn(m *mob) time.Duration {
	for id := range s.due {
		if s.due[id] == 0 || s.due[id] > m.now || s.sent[id] == len(s.request) {
			continue
		}
		s.due[id] += int64(time.Second)
		s.sent[id]++
		m.deeds.Done++
		m.deeds.Bytes++
		m.loop.SendRaw(id, []byte(s.request[s.sent[id]-1:s.sent[id]]))
	}
	return 10 * time.Millisecond
}

func (s *slow) ended(_ *mob, id int) bool {
	s.due[id] = 0
	return true
}

// heads sends requests that are too much in one way or another, again and again.
type heads struct {
	plain
	target string    // what is put in front of an ordinary one
	extra  [5]string // what stands behind an ordinary head's last header
}

func newHeads(*mob) script {
	h := &heads{target: strings.Repeat("a", 64<<10)}
	var many strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&many, "X-%d: y\r\n", i)
	}
	h.extra = [...]string{
		"X-Long: " + strings.Repeat("x", 256<<10), // one header without an end
		many.String() + "\r\n",
		// Many offers, within the limit of bytes: a server that looks at each answers.
		"Sec-WebSocket-Extensions: " + strings.Repeat("constructor;a=1,", 220) + "x\r\n\r\n",
		strings.Repeat("a:b\r\n", 500) + "\r\n", // many headers, within that limit, too
		"\r\n",                                  // and a long target
	}
	return h
}

func (h *heads) greet(m *mob, id int, key string) []byte {
	path, kind := m.path(id), id%len(h.extra)
	if kind == 4 {
		path = "/" + h.target
	}
	head := wire.AppendRequest(nil, m.squad.Host, path, key, wire.Terms{})
	head = append(head[:len(head)-len("\r\n")], h.extra[kind]...)
	m.deeds.Done++
	m.deeds.Bytes += int64(len(head))
	return head
}

func (*heads) opened(m *mob, id int) {
	m.ends["status 101"]++
	m.abort(id)
	m.queue = append(m.queue, id)
}

// churnCycles is how often connections come and go, of all processes.
const churnCycles = 100_000

// churn connects, comes so or so far, and resets.
type churn struct {
	plain
	cycles int
	stage  []int // how far a connection goes this time
	abort  []int // those that go no further
}

func newChurn(m *mob) script { return &churn{stage: make([]int, m.squad.Conns)} }

func (c *churn) greet(m *mob, id int, key string) []byte {
	c.cycles++
	c.stage[id] = c.cycles % 5
	// Each time another room: what is left of one would be left 100,000 times.
	path := fmt.Sprintf("/chat/churn-%d-%d", m.squad.Process, c.cycles)
	request := wire.AppendRequest(nil, m.squad.Host, path, key, wire.Terms{})
	switch c.stage[id] {
	case 0:
		c.abort = append(c.abort, id)
		return nil
	case 1:
		c.abort = append(c.abort, id)
		return request[:1+c.cycles%(len(request)-1)]
	case 2:
		c.abort = append(c.abort, id)
	}
	return request
}

func (c *churn) opened(m *mob, id int) {
	switch c.stage[id] {
	case 3:
		c.abort = append(c.abort, id)
	case 4:
		frame := wire.Append(nil, wire.Ping, uint32(c.cycles), []byte("half a frame"))
		m.loop.SendFrames(id, frame[:1+c.cycles%len(frame)])
		c.abort = append(c.abort, id)
	}
}

func (c *churn) turn(m *mob) time.Duration {
	for _, id := range c.abort {
		m.abort(id)
		m.deeds.Done++
		if !c.finished(m) {
			m.queue = append(m.queue, id)
		}
	}
	c.abort = c.abort[:0]
	return time.Millisecond
}

func (c *churn) finished(m *mob) bool { return m.deeds.Done >= int64(churnCycles/m.squad.Processes) }

// half holds half frames; every tenth connection declares a length that cannot
// be, again and again.
type half struct{ plain }

func newHalf(*mob) script { return half{} }

// halfFrame is the length that the held ones declare; they send up to
// halfBytes of it.
const (
	halfFrame = 60_000
	halfBytes = 4 << 10
	liarEvery = 10 // one of so many declares what cannot be
)

func (half) opened(m *mob, id int) {
	m.deeds.Done++
	switch {
	case id%liarEvery != 0:
		frame := wire.Append(nil, wire.Text, uint32(id), make([]byte, halfFrame))
		n := 1 + id*7%halfBytes
		m.deeds.Bytes += int64(n)
		m.loop.SendFrames(id, frame[:n])
	case id%(2*liarEvery) == 0:
		m.loop.SendFrames(id, declare(1<<63-1))
	default:
		m.loop.SendFrames(id, declare(1<<63|uint64(id)))
	}
}

// declare is the head of a text frame of so many bytes, and nothing else.
func declare(length uint64) []byte {
	b := binary.BigEndian.AppendUint64([]byte{0x81, 0xFF}, length)
	return append(b, 1, 2, 3, 4)
}
