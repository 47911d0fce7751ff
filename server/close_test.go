package server_test

import (
	"bytes"
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/gobwas/ws"

	"throng/frame"
	"throng/poller"
	"throng/server"
)

// ended waits for Handler.Close and checks what it and Error were told.
func (x *fixture) ended(c *client, code ws.StatusCode, reason string, cause error) {
	x.Helper()
	e := await(x, x.app.closed)
	if c.at != nil && e.conn != c.at || e.code != code || e.reason != reason {
		x.Errorf("Close(%p, %d, %q), want %p, %d, %q", e.conn, e.code, e.reason, c.at, code, reason)
	}
	select {
	case err := <-x.app.errors:
		if !errors.Is(err, cause) || cause == nil {
			x.Errorf("Error(%v), want %v", err, cause)
		}
	default:
		if cause != nil {
			x.Errorf("no Error, want %v", cause)
		}
	}
}

func TestPeerCloses(t *testing.T) {
	x := start(t, setup{})
	long := strings.Repeat("x", 123)
	for _, test := range []struct {
		payload string
		code    ws.StatusCode
		reason  string
		answer  string
	}{
		{"", server.CodeNone, "", ""},
		{"\x03\xe8", 1000, "", "\x03\xe8"},
		{"\x03\xe9bye", 1001, "bye", "\x03\xe9"},
		{"\x0f\xa7" + long, 4007, long, "\x0f\xa7"},
	} {
		c := x.connect()
		c.say("before")
		c.send(ws.OpClose, test.payload)
		c.expect(ws.OpClose, test.answer)
		c.expectEnd()
		x.ended(c, test.code, test.reason, nil)
		c.Close()
	}
	if stats := x.srv.Stats(); stats.Normal != 3 || stats.Other != 1 || stats.Opened != 4 {
		t.Errorf("%+v", stats)
	}
}

// What comes behind a close frame is nobody's.
func TestNothingAfterClose(t *testing.T) {
	x := start(t, setup{})
	c := x.connect()
	c.write(bytes.Join([][]byte{masked(ws.OpText, "a"), masked(ws.OpClose, "\x03\xe8"), masked(ws.OpText, "b"), {0xff, 0xff}}, nil))
	c.expect(ws.OpText, "a")
	c.expectClose(1000, "")
	x.ended(c, 1000, "", nil)
}

func TestViolations(t *testing.T) {
	x := start(t, setup{config: server.Config{MaxMessageBytes: 100, MaxFragments: 2}})
	for _, test := range []struct {
		bytes string
		cause frame.Error
		code  ws.StatusCode
	}{
		{"\x81\x00", frame.ErrUnmasked, 1002},
		{"\xc1\x80\x00\x00\x00\x00", frame.ErrReservedBits, 1002},
		{"\x83\x80\x00\x00\x00\x00", frame.ErrReservedOpCode, 1002},
		{"\x81\x82\x00\x00\x00\x00\xff\xff", frame.ErrUTF8, 1007},
		{"\x82\xfe\x00\x00\x00\x00\x00\x00", frame.ErrLengthNotMinimal, 1002},
		{"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", frame.ErrLengthSign, 1002},
		{"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", frame.ErrTooBig, 1009},
		{"\x82\xe5\x00\x00\x00\x00", frame.ErrTooBig, 1009},
		{"\x02\x80\x00\x00\x00\x00\x00\x80\x00\x00\x00\x00\x80\x80\x00\x00\x00\x00", frame.ErrFragments, 1009},
		{"\x88\x82\x00\x00\x00\x00\x03\xed", frame.ErrCloseCode, 1002},
	} {
		c := x.connect()
		c.write(append(masked(ws.OpText, "before"), test.bytes...))
		c.expect(ws.OpText, "before")
		c.expectClose(test.code, test.cause.Error())
		x.ended(c, test.code, test.cause.Error(), test.cause)
		c.Close()
	}
	if stats := x.srv.Stats(); stats.Violations != 10 {
		t.Errorf("%+v", stats)
	}
}

// The server closes: its frames come in order, the close frame is the last, and
// then it waits for the peer.
func TestServerCloses(t *testing.T) {
	x := start(t, setup{})
	c := x.connect()
	on(t, c.at, func(c *server.Conn) {
		c.Send(ws.OpText, []byte("one"))
		c.Send(ws.OpBinary, []byte("two"))
		c.Close(4007, "reason")
		c.Close(4008, "too late")
		if c.Open() || c.Send(ws.OpText, []byte("late")) || c.WriteFrames([]byte("\x81\x00")) != 2 {
			t.Error("a closed connection sends")
		}
		c.Resume()
	})
	c.expect(ws.OpText, "one")
	c.expect(ws.OpBinary, "two")
	c.expectClose(4007, "reason")
	x.ended(c, 4007, "reason", nil)
	x.barrier()
	if x.srv.Conns() != 1 {
		t.Error("the server has not waited for the peer")
	}
	c.send(ws.OpClose, "\x0f\xa7")
	c.Close()
	x.until("the connection to end", func() bool { return x.srv.Conns() == 0 })
	// Nothing that comes now does harm.
	on(t, c.at, func(c *server.Conn) {
		c.Close(1000, "")
		c.Send(ws.OpText, []byte("late"))
	})
	c.at.Resume()
	x.barrier()
}

// Both close at once: the peer's close frame is waiting when the server sends its
// own.
func TestBothClose(t *testing.T) {
	x := start(t, setup{})
	c := x.connect()
	release := x.hold(func() { c.at.Close(1001, "") })
	c.send(ws.OpClose, "\x03\xe8")
	x.arrived(c, 8)
	release()
	c.expectClose(1001, "")
	x.ended(c, 1001, "", nil)
}

// A close code or reason that no frame can carry is still an orderly end.
func TestCloseCodes(t *testing.T) {
	x := start(t, setup{})
	for _, test := range []struct {
		code           ws.StatusCode
		reason, answer string
	}{
		{server.CodeNone, "x", ""}, {server.CodeBroken, "x", ""}, {0, "", ""},
		{4000, strings.Repeat("ä", 100), "\x0f\xa0" + strings.Repeat("ä", 61)},
	} {
		c := x.connect()
		on(t, c.at, func(c *server.Conn) { c.Close(test.code, test.reason) })
		c.expect(ws.OpClose, test.answer)
		c.expectEnd()
		c.Close()
	}
}

// A peer that has shut down its side reads the answers to all that it said.
func TestHalfClose(t *testing.T) {
	for _, questions := range []int{1, 10, 500} { // below and above the budget of frames
		x := start(t, setup{})
		c := x.connect()
		release := x.hold(func() {})
		c.write(bytes.Repeat(masked(ws.OpText, "question"), questions))
		c.shut()
		x.hungUp(c) // one edge tells of both, the messages and the end
		release()
		for range questions {
			c.expect(ws.OpText, "question")
		}
		c.expectEnd()
		x.ended(c, server.CodeBroken, server.ErrEOF.Error(), server.ErrEOF)
	}
}

// The same while the server cannot send: what waits goes out when it can.
func TestHalfCloseBlocked(t *testing.T) {
	for _, closing := range []bool{false, true} {
		x := start(t, setup{})
		c := x.connect()
		x.kernel.allow(c.fd, 3)
		c.send(ws.OpText, "question")
		if closing {
			c.send(ws.OpClose, "\x03\xe8")
		}
		c.shut()
		e := await(t, x.app.closed)
		if want := map[bool]ws.StatusCode{false: server.CodeBroken, true: 1000}[closing]; e.code != want {
			t.Errorf("code %d, want %d", e.code, want)
		}
		x.barrier()
		x.kernel.free(c.fd)
		x.fire(c.fd, poller.Writable)
		c.expect(ws.OpText, "question")
		if closing {
			c.expect(ws.OpClose, "\x03\xe8")
		}
		c.expectEnd()
	}
}

func TestReset(t *testing.T) {
	x := start(t, setup{})
	c := x.connect()
	c.write(masked(ws.OpText, "half of a message")[:10])
	x.barrier()
	c.reset()
	x.ended(c, server.CodeBroken, syscall.ECONNRESET.Error(), syscall.ECONNRESET)
	if stats := x.srv.Stats(); stats.Broken != 1 {
		t.Errorf("%+v", stats)
	}
}

// Errors of read and write end the connection, interruptions do not.
func TestSystemErrors(t *testing.T) {
	x := start(t, setup{})
	c := x.connect()
	x.kernel.failReads(c.fd, syscall.EINTR, syscall.EINTR)
	c.say("after interruptions")
	x.kernel.failReads(c.fd, syscall.EAGAIN)
	c.send(ws.OpText, "after an edge for nothing")
	x.barrier()
	x.fire(c.fd, poller.Readable)
	c.expect(ws.OpText, "after an edge for nothing")
	x.kernel.failWrites(c.fd, syscall.EPIPE)
	c.send(ws.OpText, "a")
	x.ended(c, server.CodeBroken, syscall.EPIPE.Error(), syscall.EPIPE)

	c = x.connect()
	x.kernel.failReads(c.fd, syscall.ETIMEDOUT)
	c.send(ws.OpText, "a")
	x.ended(c, server.CodeBroken, syscall.ETIMEDOUT.Error(), syscall.ETIMEDOUT)

	c = x.connect() // out of a turn, the failure waits for its end
	x.kernel.failWrites(c.fd, syscall.ECONNRESET)
	on(t, c.at, func(c *server.Conn) {
		if n := c.WriteFrames([]byte("\x81\x01a")); n != 3 || c.Open() {
			t.Errorf("WriteFrames: %d, open: %v", n, c.Open())
		}
	})
	x.ended(c, server.CodeBroken, syscall.ECONNRESET.Error(), syscall.ECONNRESET)
}

// After a close frame, what still comes is read, but no more than LingerBytes.
func TestLingerBytes(t *testing.T) {
	x := start(t, setup{config: server.Config{LingerBytes: 1000}})
	c := x.connect()
	on(t, c.at, func(c *server.Conn) { c.Close(1000, "") })
	c.expectClose(1000, "")
	c.write(make([]byte, 1000))
	x.barrier()
	if x.srv.Conns() != 1 {
		t.Fatal("closed before the limit")
	}
	c.write(make([]byte, 1))
	x.until("the connection to end", func() bool { return x.srv.Conns() == 0 })
}

// The close frame is not destroyed by what the peer sends without reading.
func TestCloseFrameSurvivesInput(t *testing.T) {
	x := start(t, setup{})
	c := x.connect()
	release := x.hold(func() { c.at.Close(1008, "policy") })
	c.write(bytes.Repeat(masked(ws.OpText, strings.Repeat("x", 1000)), 20))
	x.arrived(c, 20_000)
	release()
	c.expectClose(1008, "policy")
}
