package chat_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// heard is a message as somebody got it.
type heard struct {
	Seq, Prev uint64
	Text, ID  string
	From      struct{ ID, Nick string }
}

// stage is a room in which somebody talks, and those who hear it through connections that are cut.
type stage struct {
	*world
	mu    sync.Mutex
	moved *sync.Cond
	at    []uint64 // the last message that each has
	over  []bool   // who is cut no more
}

// reached notes how far somebody is.
func (s *stage) reached(i int, seq uint64, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at[i], s.over[i] = seq, over
	s.moved.Broadcast()
}

// wait waits until nobody is further behind than what the room keeps, and says whether somebody is still cut.
func (s *stage) wait(seq uint64) (more bool) {
	const kept = 300
	s.mu.Lock()
	defer s.mu.Unlock()
	for slices.Min(s.at)+kept < seq {
		s.moved.Wait()
	}
	return slices.Contains(s.over, false)
}

// unlucky is somebody whose connections are cut.
type unlucky struct {
	*stage
	number  int
	rnd     *rand.Rand
	query   bool // resumes through the address, not by a join
	deflate bool
	own     string // the room of the address of those who do not

	token, epoch string
	id           string
	all          []heard
	last         uint64
	says         int // how many of the own messages are acknowledged
	early        map[uint64]heard
	over         bool // cut no more
}

// connect opens a connection that breaks after so many bytes in either direction.
func (u *unlucky) connect(in, out int64) (conn *net.TCPConn, r *bufio.Reader, w io.Writer) {
	c, err := net.Dial("tcp", u.addr)
	if err != nil {
		u.Error(err)
		return nil, nil, nil
	}
	conn = c.(*net.TCPConn)
	_ = conn.SetDeadline(time.Now().Add(patience))
	path := "/chat/" + u.own + "?history=0"
	if u.query {
		path = "/chat/r?history=0"
		if u.epoch != "" {
			path += fmt.Sprintf("&epoch=%s&after=%d", u.epoch, u.last)
		}
	}
	if u.token != "" {
		path += "&token=" + u.token
	}
	head := "GET " + path + " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: throng.v1\r\n"
	if u.deflate {
		head += "Sec-WebSocket-Extensions: permessage-deflate\r\n"
	}
	w = &cutting{conn, out}
	_, _ = io.WriteString(w, head+"\r\n")
	return conn, bufio.NewReader(io.LimitReader(conn, in)), w
}

// cutting is a connection that takes so many bytes.
type cutting struct {
	net.Conn
	left int64
}

func (c *cutting) Write(p []byte) (int, error) {
	whole := int64(len(p))
	n, err := c.Conn.Write(p[:min(whole, c.left)])
	if c.left -= whole; c.left < 0 {
		c.Close()
	}
	return n, err
}

// live is one connection, from its beginning to its cut. It ends early when the room says "end".
func (u *unlucky) live(in, out int64) (end bool) {
	conn, r, w := u.connect(in, out)
	if conn == nil {
		return true
	}
	defer conn.Close()
	if u.rnd.IntN(2) == 0 {
		_ = conn.SetLinger(0) // a reset
	}
	if _, err := http.ReadResponse(r, nil); err != nil {
		return false
	}
	send := func(o any) {
		b, _ := json.Marshal(o)
		_, _ = w.Write(ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewTextFrame(b))))
	}
	for {
		f, err := readFrame(r)
		if err != nil {
			return false
		}
		if f.Header.OpCode != ws.OpText {
			u.Errorf("%d: a frame %v, %q", u.number, f.Header, f.Payload)
			return true
		}
		line, err := inflated(f)
		if err == nil {
			end, err = u.object(line, send)
		}
		if err != nil {
			u.Errorf("%d: %v", u.number, err)
		}
		if end || err != nil {
			return true
		}
	}
}

// object takes an object in.
func (u *unlucky) object(line string, send func(any)) (end bool, err error) {
	o, err := readObject(line)
	if err != nil {
		return false, err
	}
	switch o["t"] {
	case "hello":
		me := o["me"].(fields)
		if u.id != "" && me["id"] != u.id {
			return false, fmt.Errorf("%s is %s now", u.id, me["id"])
		}
		u.id, u.token = me["id"].(string), o["token"].(string)
		if !u.query {
			join := fields{"op": "join", "room": "r", "history": 0}
			if u.epoch != "" {
				join = fields{"op": "join", "room": "r", "epoch": u.epoch, "after": u.last}
			}
			send(join)
		}
	case "joined":
		if o["room"] == "r" {
			if u.epoch != "" && (o["resumed"] != true || o["epoch"] != u.epoch) {
				return false, fmt.Errorf("after %d: %v", u.last, o)
			}
			if u.epoch == "" {
				u.epoch, u.last = o["epoch"].(string), uint64(o["seq"].(float64))
				return true, nil
			}
			send(u.outbox())
		}
	case "msg":
		var m heard
		if err = json.Unmarshal([]byte(line), &m); err == nil {
			err = u.message(m)
		}
		return m.Text == "end", err
	case "error":
		if o["code"] != "unavailable" { // the server has not noticed yet that the connection before is gone
			return false, fmt.Errorf("%s", line)
		}
		send(u.outbox())
	default:
		return false, fmt.Errorf("%s", line)
	}
	return false, nil
}

func (u *unlucky) outbox() any {
	return fields{"op": "say", "room": "r", "text": u.text(), "id": u.text()}
}

func (u *unlucky) text() string { return fmt.Sprintf("%d of %d", u.says, u.number) }

// message takes a message in: the next one, or the answer to one that was said again.
func (u *unlucky) message(m heard) error {
	if m.From.ID == u.id && m.ID == u.text() {
		u.says++
	}
	switch {
	case m.Seq <= u.last:
		if m.From.ID != u.id || u.all[m.Seq-u.all[0].Seq] != m {
			return fmt.Errorf("%v comes again, after %d", m, u.last)
		}
		return nil
	case m.Prev != u.last && m.From.ID == u.id:
		u.early[m.Seq] = m
		return nil
	case m.Prev != u.last || m.Seq != u.last+1:
		return fmt.Errorf("%v comes after %d", m, u.last)
	}
	if before, ok := u.early[m.Seq]; ok && before != m {
		return fmt.Errorf("%v was %v", m, before)
	}
	delete(u.early, m.Seq)
	u.all = append(u.all, m)
	u.last = m.Seq
	u.reached(u.number, u.last, u.over)
	return nil
}

// cut is somebody's life: cut so many times, and then no more.
func (u *unlucky) cut(times int) {
	for range times {
		in, out := u.rnd.Int64N(4000), int64(1<<40)
		if u.rnd.IntN(2) == 0 {
			out = u.rnd.Int64N(700)
		}
		u.live(in, out)
	}
	u.over = true
	u.reached(u.number, u.last, true)
	if !u.live(1<<40, 1<<40) {
		u.Errorf("%d was cut at the end", u.number)
	}
}

// talk has somebody talk as long as the others are cut, and returns what the room has heard.
func (s *stage) talk(p *person) (all []heard) {
	for n := 0; len(all) == 0 || all[len(all)-1].Text != "end"; n++ {
		text := fmt.Sprint("number ", n)
		if n > 0 && !s.wait(all[len(all)-1].Seq) {
			text = "end"
		}
		p.say(said("r", text, ""))
		for mine := false; !mine; mine = all[len(all)-1].Text == text {
			var m heard
			line, _ := p.hearPacked()
			must(p.T, json.Unmarshal([]byte(line), &m))
			all = append(all, m)
		}
	}
	return all
}

// Connections break at any byte in either direction, thousands of times, while the room talks: what each hears is what the
// room has heard, and what each says is heard once.
func TestCutConnectionsLoseNothing(t *testing.T) {
	const people, cuts = 8, 300
	w := start(t, freeze)
	s := &stage{world: w, at: make([]uint64, people), over: make([]bool, people)}
	s.moved = sync.NewCond(&s.mu)
	talker, _, _ := w.seated("talker", "r")
	us := make([]*unlucky, people)
	for i := range us {
		us[i] = &unlucky{
			stage: s, number: i, rnd: rand.New(rand.NewPCG(uint64(i), 1)), query: i%2 == 0, deflate: i/2%2 == 0,
			own: fmt.Sprint("own-", i), early: make(map[uint64]heard),
		}
		if !us[i].live(1<<40, 1<<40) {
			t.Fatal(i, " did not begin")
		}
	}
	var wg sync.WaitGroup
	for _, u := range us {
		wg.Go(func() { u.cut(cuts) })
	}
	room := s.talk(talker)
	wg.Wait()
	next := make([]int, people)
	for i, m := range room {
		if m.Seq != uint64(i+1) || m.Prev != uint64(i) {
			t.Fatalf("the talker got %v after %d", m, i)
		}
		var n, who int
		if _, err := fmt.Sscanf(m.Text, "%d of %d", &n, &who); err == nil {
			if n != next[who] || m.ID != m.Text {
				t.Fatalf("%v, after %d", m, next[who]-1)
			}
			next[who]++
		}
	}
	acknowledged := 0
	for i, u := range us {
		acknowledged += u.says
		if !slices.Equal(u.all, room) {
			t.Errorf("%d heard %d messages, the room %d", i, len(u.all), len(room))
		}
		if next[i] < u.says {
			t.Errorf("%d messages of %d acknowledged, %d heard", u.says, i, next[i])
		}
	}
	if acknowledged < people*cuts/10 {
		t.Errorf("%d were acknowledged only: the test proves little", acknowledged)
	}
}

// inflated is the payload of a frame.
func inflated(f ws.Frame) (string, error) {
	if !f.Header.Rsv1() {
		return string(f.Payload), nil
	}
	end := strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff")
	b, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(f.Payload), end)))
	return string(b), err
}
