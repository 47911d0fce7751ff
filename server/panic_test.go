package server_test

import (
	"testing"

	"github.com/gobwas/ws"

	"throng/poller"
	"throng/server"
)

// A panic in a method of the handler costs its connection only, which is closed
// with 1011. What the method had sent before reaches nobody else.
func TestPanic(t *testing.T) {
	armed := func(p *bool) {
		if *p {
			*p = false
			panic("ordered by the test")
		}
	}
	for _, test := range []struct {
		name string
		app  func(on *bool) *app
		act  func(x *fixture, c *client)
		text string // comes before the close frame
		sent ws.StatusCode
		told ws.StatusCode
	}{
		{"Message", func(on *bool) *app {
			return &app{message: func(c *server.Conn, m server.Message) bool {
				c.Send(m.Op, m.Payload)
				armed(on)
				return true
			}}
		}, func(x *fixture, c *client) { c.send(ws.OpText, "text") }, "text", 1011, 1011},
		{"Message from Resume", func(on *bool) *app {
			first := true
			return &app{message: func(c *server.Conn, m server.Message) bool {
				if !first {
					armed(on)
				}
				first = !*on
				return !*on && c.Send(m.Op, m.Payload)
			}}
		}, func(x *fixture, c *client) { x.feed(c, masked(ws.OpText, "text")); x.barrier(); c.at.Resume() }, "", 1011, 1011},
		{"Close", func(on *bool) *app {
			return &app{close: func(*server.Conn, ws.StatusCode, string) { armed(on) }}
		}, func(x *fixture, c *client) { c.send(ws.OpClose, "\x03\xe8") }, "", 1011, 1000},
		{"Error", func(on *bool) *app {
			return &app{error: func(*server.Conn, error) { armed(on) }}
		}, func(x *fixture, c *client) { c.write([]byte("\xff\xff")) }, "", 1011, 1002},
		{"Post", func(on *bool) *app { return &app{} }, func(x *fixture, c *client) {
			c.at.Post(func(c *server.Conn) { c.Send(ws.OpText, []byte("posted")); panic("ordered by the test") })
		}, "posted", 1011, 1011},
	} {
		t.Run(test.name, func(t *testing.T) {
			on := false
			x := start(t, setup{app: test.app(&on)})
			other, c := x.connect(), x.connect()
			x.run(0, func() { on = true })
			test.act(x, c)
			if test.text != "" {
				c.expect(ws.OpText, test.text)
			}
			reason := ""
			if test.sent == 1011 && test.told != 1000 {
				reason = server.ErrPanic.Error()
			}
			c.expectClose(test.sent, reason)
			if e := await(t, x.app.closed); e.code != test.told || e.conn != c.at {
				t.Errorf("Close was told %+v", e)
			}
			other.say("hello")
			x.connect().say("hello")
			if x.log.count("panic in a handler") != 1 || len(x.app.closed) > 0 {
				t.Errorf("%d panics logged, %d more closed", x.log.count("panic"), len(x.app.closed))
			}
		})
	}
}

func TestPanicInUpgrade(t *testing.T) {
	x := start(t, setup{app: &app{upgrade: func(r *server.Request) int {
		if r.Path == "/panic" {
			panic("ordered by the test")
		}
		return 101
	}}})
	c := x.dial()
	c.write([]byte(upgradeTo("/panic", "Cookie: "+canary)))
	c.refused(500)
	x.connect().say("hello")
}

// The client sees the answer 101 before the close frame.
func TestPanicInOpen(t *testing.T) {
	x := start(t, setup{app: &app{open: func(c *server.Conn, r *server.Request) {
		if r.Path == "/panic" {
			c.Send(ws.OpText, []byte("welcome"))
			panic("ordered by the test")
		}
	}}})
	c := x.dial()
	c.write(append([]byte(upgradeTo("/panic")), masked(ws.OpText, "unheard")...))
	c.accepted()
	c.expect(ws.OpText, "welcome")
	c.expectClose(1011, server.ErrPanic.Error())
	if e := await(t, x.app.closed); e.code != 1011 {
		t.Errorf("Close was told %+v", e)
	}
	x.connect()
	x.connect().say("hello")
}

// A panic in Writable leaves nothing behind that would make later closes wait for
// a turn.
func TestPanicInWritable(t *testing.T) {
	x := start(t, setup{app: &app{writable: func(c *server.Conn) {
		c.Send(ws.OpText, []byte("more"))
		panic("ordered by the test")
	}}})
	c, other := x.connect(), x.connect()
	x.kernel.allow(c.fd, 1)
	c.send(ws.OpText, "text")
	x.until("the echo to wait", func() bool { return x.waiting(c) > 0 })
	x.kernel.free(c.fd)
	x.fire(c.fd, poller.Writable)
	c.expect(ws.OpText, "text")
	c.expect(ws.OpText, "more")
	c.expectClose(1011, server.ErrPanic.Error())
	on(t, other.at, func(c *server.Conn) {
		if c.Close(1000, ""); len(x.app.closed) != 2 {
			t.Error("Close waits for a turn that does not come")
		}
	})
}

// A panic in Close, called out of another connection's Message, costs neither that
// one nor the rest of the first one's end.
func TestPanicInAnothersClose(t *testing.T) {
	var victim *server.Conn
	x := start(t, setup{app: &app{
		message: func(c *server.Conn, m server.Message) bool {
			victim.Close(4001, "kicked")
			return c.Send(m.Op, m.Payload)
		},
		close: func(c *server.Conn, _ ws.StatusCode, _ string) {
			if c == victim {
				panic("ordered by the test")
			}
		},
	}})
	c, other := x.connect(), x.connect()
	x.run(0, func() { victim = c.at })
	other.say("hello")
	c.expectClose(1011, server.ErrPanic.Error())
	other.say("hello")
}

// Close is told exactly once even if Error panics.
func TestPanicInErrorAndClose(t *testing.T) {
	x := start(t, setup{app: &app{
		error: func(*server.Conn, error) { panic("ordered by the test") },
		close: func(*server.Conn, ws.StatusCode, string) { panic("ordered by the test") },
	}})
	for range 5 {
		c := x.connect()
		c.write([]byte("\xff\xff"))
		c.expectClose(1011, server.ErrPanic.Error())
		c.Close()
	}
	x.until("all to go", func() bool { return x.srv.Conns() == 0 })
	if n := len(x.app.closed); n != 5 {
		t.Errorf("Close was called %d times for 5 connections", n)
	}
}
