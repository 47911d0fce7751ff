package server_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"throng/server"
)

// shutdown runs Shutdown and gives its answer.
func (x *fixture) shutdown(ctx context.Context) <-chan error {
	done := make(chan error, 1)
	go func() { done <- x.srv.Shutdown(ctx) }()
	return done
}

// Shutdown closes everybody with 1001, so many at each tick, and new ones are not
// accepted from its first moment.
func TestDrain(t *testing.T) {
	x := start(t, setup{config: server.Config{DrainTime: time.Second}})
	var clients []*client
	for range 100 {
		clients = append(clients, x.connect())
	}
	shaking := x.enter()
	shaking.write([]byte("GET / HT"))
	done := x.shutdown(context.Background())
	shaking.refused(503)
	for slice := 1; slice <= 4; slice++ { // 4 ticks in the second
		for range 25 {
			if e := await(t, x.app.closed); e.code != ws.StatusGoingAway {
				t.Errorf("Close was told %+v", e)
			}
		}
		x.barrier()
		if len(x.app.closed) > 0 {
			t.Fatalf("%d more in slice %d", len(x.app.closed), slice)
		}
		if slice == 1 {
			addr := x.srv.Addrs()[0]
			if c, err := net.Dial(addr.Network(), addr.String()); err == nil {
				c.Close()
				t.Error("accepted while draining")
			}
			if !x.srv.Draining() {
				t.Error("not draining")
			}
		}
		x.pass(250 * time.Millisecond)
	}
	shaking.Close()
	for _, c := range clients {
		c.expectClose(ws.StatusGoingAway, "server going away")
		c.Close()
	}
	must(t, await(t, done))
	if stats := x.srv.Stats(); stats.Conns != 0 || stats.Normal != 100 {
		t.Errorf("%+v", stats)
	}
}

// What was sent before is read before the 1001.
func TestDrainKeepsOrder(t *testing.T) {
	x := start(t, setup{})
	c := x.connect()
	on(t, c.at, func(c *server.Conn) { c.Send(ws.OpText, []byte("before")) })
	done := x.shutdown(context.Background())
	c.expect(ws.OpText, "before")
	c.expectClose(ws.StatusGoingAway, "server going away")
	c.Close()
	must(t, await(t, done))
}

// The handler has a last word to those whom the server ends, behind what was sent before; not to those who go by
// themselves, and a panic in it costs nobody more than the word.
func TestFarewell(t *testing.T) {
	k := &keeper{}
	x := start(t, setup{keeper: k, app: &app{farewell: func(c *server.Conn, code ws.StatusCode) string {
		if c.Data == "clumsy" {
			panic("clumsy")
		}
		return fmt.Sprint("bye ", code)
	}}})
	c, clumsy, leaves, slow, half := x.connect(), x.connect(), x.connect(), x.connect(), x.connect()
	leaves.send(ws.OpClose, string(ws.NewCloseFrameBody(ws.StatusGoingAway, "")))
	leaves.expectClose(ws.StatusGoingAway, "")
	leaves.Close()
	on(t, slow.at, func(c *server.Conn) { c.CloseLater(server.CodeSlow, "slow") })
	slow.expect(ws.OpText, "bye 4000")
	slow.expectClose(server.CodeSlow, "slow")
	slow.Close()
	half.write(masked(ws.OpText, strings.Repeat("x", 1000))[:500])
	x.until("half a message to arrive", func() bool { return x.weight(half) >= 500 })
	x.keep(k, 1<<30, 1<<30)
	half.expect(ws.OpText, "bye 1013")
	half.expectClose(server.CodeOverload, server.ErrMemory.Error())
	half.Close()
	x.keep(k, 0, 0)
	on(t, clumsy.at, func(c *server.Conn) { c.Data = "clumsy" })
	on(t, c.at, func(c *server.Conn) { c.Send(ws.OpText, []byte("before")) })
	done := x.shutdown(context.Background())
	c.expect(ws.OpText, "before")
	c.expect(ws.OpText, "bye 1001")
	c.expectClose(ws.StatusGoingAway, "server going away")
	clumsy.expectClose(ws.StatusGoingAway, "server going away")
	c.Close()
	clumsy.Close()
	must(t, await(t, done))
}

// At the deadline what is left is cut.
func TestDrainDeadline(t *testing.T) {
	x := start(t, setup{})
	c := x.connect()
	ctx, cancel := context.WithCancel(context.Background())
	done := x.shutdown(ctx)
	c.expectClose(ws.StatusGoingAway, "server going away") // and stays
	cancel()
	if err := await(t, done); !errors.Is(err, server.ErrDeadline) {
		t.Errorf("Shutdown: %v", err)
	}
	if x.srv.Conns() != 0 {
		t.Errorf("%d connections", x.srv.Conns())
	}
	must(t, x.srv.Close()) // again, and again
	_ = x.srv.Shutdown(expired())
}

// A connection that was accepted just before is refused with 503.
func TestHandshakeWhileDraining(t *testing.T) {
	x := start(t, setup{})
	c := x.enter()
	done := x.shutdown(context.Background())
	c.refused(503)
	c.Close()
	must(t, await(t, done))
}

// Close without Shutdown ends everything, and tells the handler.
func TestClose(t *testing.T) {
	x := start(t, setup{config: server.Config{Workers: 2}})
	for range 10 {
		x.connect()
		x.enter()
	}
	closing := x.connect()
	on(t, closing.at, func(c *server.Conn) { c.Close(1000, "") })
	await(t, x.app.closed)
	must(t, x.srv.Close())
	if n := len(x.app.closed); n != 10 || x.srv.Conns() != 0 {
		t.Errorf("%d closed, %d connections", n, x.srv.Conns())
	}
	closing.at.Resume() // harmless
	closing.at.Post(func(*server.Conn) { t.Error("run after Close") })
}
