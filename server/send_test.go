package server_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/gobwas/ws"

	"throng/frame"
	"throng/poller"
	"throng/server"
)

// maxOwn is what a connection's own frames may fill: a part of the design.
const maxOwn = 16 << 10

// drip lets a few bytes out at a time, an edge each, until nothing waits.
func (x *fixture) drip(c *client, bytes int) {
	x.Helper()
	for {
		x.kernel.allow(c.fd, bytes)
		x.fire(c.fd, poller.Writable)
		left := make(chan int, 1)
		on(x, c.at, func(c *server.Conn) { _, all := c.Waiting(); left <- all })
		if <-left == 0 {
			x.kernel.free(c.fd)
			x.fire(c.fd, poller.Writable)
			return
		}
	}
}

// Frames leave in the order in which they were sent, whoever sent them and
// however few bytes the kernel takes.
func TestSendOrder(t *testing.T) {
	for _, step := range []int{1, 2, 3, 7, 100} {
		x := start(t, setup{})
		c := x.connect()
		x.kernel.allow(c.fd, 0)
		on(t, c.at, func(c *server.Conn) {
			c.Send(ws.OpText, []byte("first"))
			c.Send(ws.OpBinary, []byte("second"))
			if n := c.WriteFrames([]byte("\x81\x01a")); n != 0 {
				t.Errorf("WriteFrames before what waits: %d", n)
			}
			c.Send(ws.OpText, nil)
		})
		c.send(ws.OpText, "third")
		x.barrier()
		x.drip(c, step)
		c.expect(ws.OpText, "first")
		c.expect(ws.OpBinary, "second")
		c.expect(ws.OpText, "")
		c.expect(ws.OpText, "third")
	}
}

// While the connection is blocked the latest pong wins, but not over one of
// which a part is out already: no frame ends up inside another.
func TestPongs(t *testing.T) {
	for step := 1; step < 12; step++ {
		x := start(t, setup{})
		c := x.connect()
		x.kernel.allow(c.fd, 2)
		c.send(ws.OpText, "text")
		x.until("the echo to wait", func() bool { return x.waiting(c) > 0 })
		var pings []byte
		for i := range 5 {
			pings = append(pings, masked(ws.OpPing, fmt.Sprint("ping ", i))...)
		}
		x.feed(c, pings)
		x.kernel.allow(c.fd, 6-2+step) // the rest of the text, and a part of the pong
		x.fire(c.fd, poller.Writable)
		c.write(append(masked(ws.OpPing, "later"), masked(ws.OpText, "more")...))
		x.until("the text to be read", func() bool { return x.app.messages.Load() == 2 })
		x.drip(c, 5)
		c.expect(ws.OpText, "text")
		c.expect(ws.OpPong, "ping 4")
		if step < 8 {
			c.expect(ws.OpText, "more")
			c.expect(ws.OpPong, "later")
		} else { // the first pong was out: nothing waited, and the order is kept
			c.expect(ws.OpPong, "later")
			c.expect(ws.OpText, "more")
		}
	}
}

// A pong that still waits is dropped by a close: nothing follows the close frame.
func TestNoPongAfterClose(t *testing.T) {
	x := start(t, setup{})
	c := x.connect()
	x.kernel.allow(c.fd, 1)
	c.send(ws.OpText, "text")
	x.until("the echo to wait", func() bool { return x.waiting(c) > 0 })
	x.feed(c, masked(ws.OpPing, "ping"))
	on(t, c.at, func(c *server.Conn) { c.Close(1000, "") })
	x.kernel.free(c.fd)
	x.fire(c.fd, poller.Writable)
	c.expect(ws.OpText, "text")
	c.expectClose(1000, "")
}

// The rest of a room's frame goes first, and its end is where WriteFrames says.
func TestWriteFrames(t *testing.T) {
	room := frame.Append(frame.Append(frame.Append(nil, ws.OpText, []byte("one")), ws.OpText, []byte("two")), ws.OpText, []byte("three"))
	for allowed := range len(room) + 1 {
		writable := make(chan bool, 100)
		x := start(t, setup{app: &app{writable: func(*server.Conn) { writable <- true }}})
		c := x.connect()
		x.kernel.allow(c.fd, allowed)
		want := frame.Boundary(room, allowed)
		on(t, c.at, func(c *server.Conn) {
			if n := c.WriteFrames(room); n != want {
				t.Errorf("%d bytes allowed: took %d, want %d", allowed, n, want)
			}
			if n := c.WriteFrames(room); want < len(room) && n != 0 {
				t.Errorf("a blocked connection took %d", n)
			}
			c.Send(ws.OpText, []byte("own"))
		})
		x.drip(c, 1)
		await(t, writable)
		for _, text := range []string{"one", "two", "three"}[:strings.Count(string(room[:want]), "\x81")] {
			c.expect(ws.OpText, text)
		}
		c.expect(ws.OpText, "own")
	}
}

// What a message makes the server say is taken even when something else has come before it and filled what may wait: the
// message was read when there was room.
func TestAnswerBesideNotice(t *testing.T) {
	var taken []bool
	done := make(chan bool)
	x := start(t, setup{app: &app{message: func(c *server.Conn, _ server.Message) bool {
		for len(taken) == 0 || taken[len(taken)-1] {
			taken = append(taken, c.Send(ws.OpText, make([]byte, 100)))
		}
		done <- true
		return true
	}}})
	c := x.connect()
	x.kernel.allow(c.fd, 1)
	on(t, c.at, func(c *server.Conn) {
		c.Send(ws.OpText, make([]byte, maxOwn-50)) // a message fits, and is read
	})
	c.send(ws.OpText, "question")
	await(t, done)
	// One would fit anyway; then 1 KiB more, the last of them beyond it.
	if n := len(taken) - 1; n != 11 {
		t.Errorf("%d answers were taken, not 11", n)
	}
	x.kernel.free(c.fd)
	x.fire(c.fd, poller.Writable)
	c.expect(ws.OpText, string(make([]byte, maxOwn-50)))
	for range len(taken) - 1 {
		c.expect(ws.OpText, string(make([]byte, 100)))
	}
}

// A client that sends and never reads: what waits for it is bounded, and then it
// is not read. When it reads, nothing is lost.
func TestBackPressure(t *testing.T) {
	for _, messages := range []int{20, 300} { // some are left in the server only, or in the kernel, too
		backPressure(t, messages)
	}
}

func backPressure(t *testing.T, messages int) {
	x := start(t, setup{})
	c := x.connect()
	x.kernel.allow(c.fd, 0)
	go func() {
		for i := range messages {
			_, _ = c.Conn.Write(masked(ws.OpText, fmt.Sprint(i, strings.Repeat("x", 1000))))
		}
	}()
	x.until("the server to stop reading", func() bool { return x.waiting(c) >= maxOwn })
	before := x.kernel.count(&x.kernel.reads)
	for range 20 {
		x.fire(c.fd, poller.Readable)
		if own := x.waiting(c); own >= maxOwn+1100 {
			t.Fatalf("%d bytes wait", own)
		}
	}
	// One more read may have been due, and is kept undecoded.
	if reads := x.kernel.count(&x.kernel.reads) - before; reads > 1 {
		t.Errorf("%d reads of a connection that takes nothing", reads)
	}
	on(t, c.at, func(c *server.Conn) {
		if c.Send(ws.OpText, nil) {
			t.Error("Send beyond the bound")
		}
	})
	x.kernel.free(c.fd)
	x.fire(c.fd, poller.Writable)
	for i := range messages {
		c.expect(ws.OpText, fmt.Sprint(i, strings.Repeat("x", 1000)))
	}
	x.idle(c)
}

func (x *fixture) waiting(c *client) int {
	x.Helper()
	bytes := make(chan int, 1)
	on(x, c.at, func(c *server.Conn) { own, _ := c.Waiting(); bytes <- own })
	return <-bytes
}

// idle waits until the connection holds nothing.
func (x *fixture) idle(c *client) {
	x.Helper()
	x.until("the connection to hold nothing", func() bool {
		idle := make(chan bool, 1)
		on(x, c.at, func(c *server.Conn) { idle <- c.Idle() })
		return <-idle
	})
}

// One message may go beyond the bound and the kilobyte for answers, also while it is gathered in a turn.
func TestBoundHoldsWithinOneEvent(t *testing.T) {
	taken := make(chan int, 1)
	x := start(t, setup{app: &app{message: func(c *server.Conn, m server.Message) bool {
		n := 0
		for c.Send(ws.OpText, make([]byte, 1000)) {
			n++
		}
		taken <- n
		return true
	}}})
	c := x.connect()
	x.kernel.allow(c.fd, 0)
	on(t, c.at, func(c *server.Conn) { c.Send(ws.OpText, make([]byte, 15_000)) })
	c.send(ws.OpText, "go")
	if n := await(t, taken); n != 3 {
		t.Errorf("%d messages of 1,000 bytes after 15,000", n)
	}
	x.kernel.free(c.fd)
	x.fire(c.fd, poller.Writable)
}

// A message that is not taken is kept and offered again before anything else.
func TestNotTaken(t *testing.T) {
	var busy atomic.Bool
	busy.Store(true)
	offers := make(chan string, 1000)
	x := start(t, setup{app: &app{message: func(c *server.Conn, m server.Message) bool {
		if busy.Load() {
			offers <- string(m.Payload)
			return false
		}
		return c.Send(m.Op, m.Payload)
	}}})
	c := x.connect()
	c.say1(&busy)
	var all []byte
	for i := range 200 { // behind the message in the same read, and in later ones
		all = append(all, masked(ws.OpText, fmt.Sprint("message ", i))...)
	}
	split := append([]byte(nil), all[:100]...)
	c.write(split)
	if got := await(t, offers); got != "message 0" {
		t.Fatalf("offered %q", got)
	}
	other := x.connect() // its input comes through the same buffer
	other.send(ws.OpPing, strings.Repeat("y", 100))
	other.expect(ws.OpPong, strings.Repeat("y", 100))
	before := x.kernel.count(&x.kernel.reads)
	c.write(all[100:])
	c.at.Resume() // still busy: it stays, and is kept whole
	if got := await(t, offers); got != "message 0" {
		t.Fatalf("offered %q", got)
	}
	x.barrier()
	x.fire(c.fd, poller.Readable)
	if x.kernel.count(&x.kernel.reads) != before {
		t.Error("a paused connection is read")
	}
	if len(offers) > 0 {
		t.Errorf("offered without Resume: %q", <-offers)
	}
	busy.Store(false)
	go c.at.Resume() // from any goroutine
	for i := range 200 {
		c.expect(ws.OpText, fmt.Sprint("message ", i))
	}
	x.idle(c)
}

// say1 makes sure that the handler takes messages when it is not busy.
func (c *client) say1(busy *atomic.Bool) {
	c.Helper()
	busy.Store(false)
	c.say("hello")
	busy.Store(true)
}

// A message in fragments that is not taken is kept as well, and its buffer given
// back.
func TestFragmentedNotTaken(t *testing.T) {
	offers := make(chan bool, 10)
	var busy atomic.Bool
	busy.Store(true)
	x := start(t, setup{app: &app{message: func(c *server.Conn, m server.Message) bool {
		if busy.Load() {
			offers <- true
			return false
		}
		return c.Send(m.Op, m.Payload)
	}}})
	c := x.connect()
	first := ws.NewFrame(ws.OpText, false, bytes.Repeat([]byte("a"), 5000))
	c.write(ws.MustCompileFrame(ws.MaskFrame(first)))
	last := ws.NewFrame(ws.OpContinuation, true, []byte("b"))
	c.write(ws.MustCompileFrame(ws.MaskFrame(last)))
	await(t, offers)
	busy.Store(false)
	c.at.Resume()
	c.expect(ws.OpText, strings.Repeat("a", 5000)+"b")
	x.idle(c)
}

// A message that came in parts is valid until Message returns, whatever is closed
// meanwhile: its buffer is not given to another connection.
func TestPayloadOutlivesClose(t *testing.T) {
	payload := make(chan string, 1)
	x := start(t, setup{app: &app{message: func(c *server.Conn, m server.Message) bool {
		c.Close(1000, "")
		var other frame.Decoder
		_, _, _, _ = other.Decode(masked(ws.OpText, strings.Repeat("z", 100))[:50], &frame.Limits{Frame: 100, Message: 100})
		payload <- string(m.Payload)
		other.Reset()
		return true
	}}})
	c := x.connect()
	whole := masked(ws.OpText, "mine alone")
	x.feed(c, whole[:10])
	c.write(whole[10:])
	if got := await(t, payload); got != "mine alone" {
		t.Errorf("the payload became %q", got)
	}
	c.expectClose(1000, "")
}

// What is sent before a Close comes before the close frame, in every place from
// which Close can be called.
func TestCloseFromAnywhere(t *testing.T) {
	t.Run("Open", func(t *testing.T) {
		x := start(t, setup{app: &app{open: func(c *server.Conn, _ *server.Request) { bye(t, c) }}})
		c := x.dial()
		c.write(append([]byte(upgrade()), masked(ws.OpText, "unheard")...))
		c.accepted()
		c.expect(ws.OpText, "bye")
		c.expectClose(4001, "kicked")
		x.ended(c, 4001, "kicked", nil)
	})
	t.Run("Message", func(t *testing.T) {
		payload := make(chan string, 10)
		x := start(t, setup{app: &app{message: func(c *server.Conn, m server.Message) bool {
			bye(t, c)
			payload <- string(m.Payload) // still valid
			return false
		}}})
		c := x.connect()
		two := append(masked(ws.OpText, "one"), masked(ws.OpText, "two")...)
		c.write(two)
		c.expect(ws.OpText, "bye")
		c.expectClose(4001, "kicked")
		x.ended(c, 4001, "kicked", nil)
		if got := <-payload; got != "one" || len(payload) > 0 {
			t.Errorf("message %q, and %d more", got, len(payload))
		}
	})
	t.Run("Writable", func(t *testing.T) {
		x := start(t, setup{app: &app{writable: func(c *server.Conn) { bye(t, c) }}})
		c := x.connect()
		x.kernel.allow(c.fd, 1)
		c.send(ws.OpText, "a")
		x.until("the echo to wait", func() bool { return x.waiting(c) > 0 })
		x.kernel.free(c.fd)
		x.fire(c.fd, poller.Writable)
		c.expect(ws.OpText, "a")
		c.expect(ws.OpText, "bye")
		c.expectClose(4001, "kicked")
		x.ended(c, 4001, "kicked", nil)
	})
}

// bye says something, then closes.
func bye(t *testing.T, c *server.Conn) {
	if !c.Send(ws.OpText, []byte("bye")) {
		t.Error("Send before Close")
	}
	c.Close(4001, "kicked")
}

// The same for the connections that others' work is about.
func TestCloseOfAnother(t *testing.T) {
	t.Run("Turn", func(t *testing.T) {
		var victim atomic.Pointer[server.Conn]
		x := start(t, setup{turner: &turner{turn: func(int) bool {
			if c := victim.Swap(nil); c != nil {
				bye(t, c)
				if c.Open() || c.WriteFrames([]byte("\x81\x00")) != 2 {
					t.Error("open after Close in a turn")
				}
			}
			return false
		}}})
		c := x.connect()
		victim.Store(c.at)
		x.srv.Workers()[0].Wake()
		c.expect(ws.OpText, "bye")
		c.expectClose(4001, "kicked")
		x.ended(c, 4001, "kicked", nil)
	})
	t.Run("another's Message", func(t *testing.T) {
		var victim atomic.Pointer[server.Conn]
		x := start(t, setup{app: &app{message: func(c *server.Conn, m server.Message) bool {
			bye(t, victim.Load())
			return c.Send(m.Op, m.Payload)
		}}})
		c, other := x.connect(), x.connect()
		victim.Store(c.at)
		other.say("hello")
		c.expect(ws.OpText, "bye")
		c.expectClose(4001, "kicked")
		x.ended(c, 4001, "kicked", nil)
	})
}

// A write that fails while a close waits for the turn's end.
func TestCloseWhenWriteFails(t *testing.T) {
	x := start(t, setup{app: &app{writable: func(c *server.Conn) {
		c.Send(ws.OpText, []byte("bye"))
		c.Close(4001, "kicked")
	}}})
	c := x.connect()
	x.kernel.allow(c.fd, 1)
	c.send(ws.OpText, "a")
	x.until("the echo to wait", func() bool { return x.waiting(c) > 0 })
	x.kernel.failWrites(c.fd, syscall.EPIPE)
	x.fire(c.fd, poller.Writable)
	x.ended(c, server.CodeBroken, syscall.EPIPE.Error(), syscall.EPIPE)
}

// TestWeightOfWhatIsLeft: what is out of a frame or of an answer, and still held, counts until it is given back.
func TestWeightOfWhatIsLeft(t *testing.T) {
	const large, most = 60 << 10, 60<<10 + 1<<10
	x := start(t, setup{})
	for _, send := range []func(*server.Conn){
		func(c *server.Conn) { c.WriteFrames(frame.Append(nil, ws.OpText, make([]byte, large))) },
		func(c *server.Conn) { c.Send(ws.OpText, make([]byte, large)) },
	} {
		c := x.connect()
		x.kernel.allow(c.fd, 10)
		on(t, c.at, send)
		whole := x.weight(c)
		for out, step := 0, 4<<10; out+step < large; out += step {
			x.kernel.allow(c.fd, step)
			x.fire(c.fd, poller.Writable)
			left := 0
			on(t, c.at, func(c *server.Conn) { _, left = c.Waiting() })
			if n := x.weight(c); left > large/2+step && n < whole || left < large/2 && n > 2*left+most-large {
				t.Errorf("weighs %d, %d bytes are left of %d", n, left, whole)
			}
		}
		c.reset()
		await(t, x.app.closed)
	}
}
