package server_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"throng/poller"
	"throng/server"
)

// Without descriptors those that are connected go on, the log says so once a
// minute, and new ones are accepted when a connection goes or the timer expires.
func TestOutOfDescriptors(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		t.Run(errno.Error(), func(t *testing.T) {
			x := start(t, setup{config: server.Config{PingPeriod: time.Hour}})
			in, leaving := x.connect(), x.connect()
			x.kernel.failAccepts(errno)
			tries := x.kernel.count(&x.kernel.tries)
			waiting := x.dial()
			waiting.write([]byte(upgrade()))
			x.fails(1)
			if n := x.kernel.count(&x.kernel.tries) - tries; n != 1 {
				t.Errorf("%d tries for one failure", n)
			}
			in.say("existing connections go on")
			for wait := 10 * time.Millisecond; wait < 2*time.Second; wait *= 2 { // doubled each time, to a second
				failures := x.srv.Stats().AcceptFailures
				x.kernel.advance(min(wait, time.Second) - time.Millisecond)
				x.barrier()
				if x.srv.Stats().AcceptFailures != failures {
					t.Fatalf("tried before %v", wait)
				}
				x.kernel.advance(time.Millisecond)
				x.fails(failures + 1)
			}
			if n := x.log.count("cannot accept connections"); n != 1 {
				t.Errorf("%d warnings", n)
			}
			x.pass(time.Minute)
			x.pass(30 * time.Second)
			if n := x.log.count("cannot accept connections"); n != 2 {
				t.Errorf("%d warnings after a minute and a half", n)
			}
			x.kernel.failAccepts(nil)
			leaving.send(ws.OpClose, "\x03\xe8")
			leaving.Close()
			waiting.accepted() // since one has gone
			failures := x.srv.Stats().AcceptFailures
			x.kernel.failAccepts(nil, errno)
			second := x.dial()
			second.write([]byte(upgrade()))
			x.fails(failures + 1)
			x.pass(time.Second)
			second.accepted() // since the timer has expired
			second.say("hello")
		})
	}
}

// fails waits until accepting has failed so often, and its timer is set.
func (x *fixture) fails(times uint64) {
	x.Helper()
	x.until("accept to fail", func() bool { return x.srv.Stats().AcceptFailures == times })
	x.barrier()
}

// Connections that were reset while they waited, and interruptions, are passed
// over; an error that stays does not keep the worker busy.
func TestAcceptErrors(t *testing.T) {
	x := start(t, setup{})
	x.kernel.failAccepts(nil, syscall.ECONNABORTED, syscall.EINTR, syscall.EPROTO, syscall.ECONNABORTED)
	x.connect().say("hello")
	x.kernel.failAccepts(syscall.EPERM)
	tries := x.kernel.count(&x.kernel.tries)
	c := x.dial()
	c.write([]byte(upgrade()))
	x.fails(1)
	if n := x.kernel.count(&x.kernel.tries) - tries; n != 64 {
		t.Errorf("%d tries of an error that stays", n)
	}
	x.kernel.failAccepts(nil)
	x.pass(time.Second)
	c.accepted()
}

// Above MaxConns connections are answered 503, above MaxConns+RefuseConns they
// wait in the kernel; when some go, others come.
func TestMaxConns(t *testing.T) {
	x := start(t, setup{config: server.Config{MaxConns: 3, RefuseConns: 2}})
	var in []*client
	for range 3 {
		in = append(in, x.connect())
	}
	if x.srv.MaxConns() != 3 {
		t.Errorf("MaxConns %d", x.srv.MaxConns())
	}
	var refused []*client
	for range 2 {
		c := x.enter()
		c.write([]byte(upgrade()))
		if h := c.refused(503); h.Get("Retry-After") != "5" {
			t.Errorf("503 with %v", h)
		}
		refused = append(refused, c) // its place is taken until it goes
	}
	waiting := x.dial()
	waiting.write([]byte(upgrade()))
	x.barrier()
	if n := x.srv.Conns(); n != 5 {
		t.Errorf("%d connections, the limit is 5", n)
	}
	for _, c := range in {
		c.say("existing connections go on")
	}
	in[0].Close() // now it is the fifth, and so refused
	waiting.refused(503)
	for _, c := range append(refused, waiting) {
		c.Close()
	}
	x.until("room", func() bool { return x.srv.Conns() == 2 })
	for len(x.kernel.accepted) > 0 {
		<-x.kernel.accepted
	}
	x.connect().say("hello")
}

// Connections are dealt out to the workers in turn.
func TestWorkersInTurn(t *testing.T) {
	x := start(t, setup{config: server.Config{Workers: 3}})
	byWorker := map[int]int{}
	for range 30 {
		c := x.connect()
		byWorker[c.at.WorkerID()]++
		c.say("hello")
		if c.at.Handler() != server.Handler(x.app) || c.at.Worker() != x.srv.Workers()[c.at.WorkerID()] {
			t.Error("Handler or Worker of another")
		}
	}
	if byWorker[0] != 10 || byWorker[1] != 10 || byWorker[2] != 10 {
		t.Errorf("connections by worker: %v", byWorker)
	}
}

// An event for a connection that is gone comes late, when its descriptor is
// another one's: that one notices nothing.
func TestLateEvent(t *testing.T) {
	x := start(t, setup{})
	first := x.connect()
	fd := first.fd
	late := x.kernel.polls[0].callback(fd)
	first.send(ws.OpClose, "\x03\xe8")
	first.expectClose(1000, "")
	first.Close()
	x.until("the first to go", func() bool { return x.srv.Conns() == 0 })
	var second *client
	for range 100 { // until the number comes again
		if second = x.connect(); second.fd == fd {
			break
		}
	}
	if second.fd != fd {
		t.Fatal("the descriptor's number has not come again")
	}
	release := x.hold(func() { // what the second has sent is there to be read
		for _, e := range []poller.Event{poller.Readable, poller.Writable, poller.Error | poller.Hangup, 0x20} {
			late(e)
		}
	})
	second.write(masked(ws.OpText, "mine"))
	x.arrived(second, 10)
	release()
	second.expect(ws.OpText, "mine")
	on(t, first.at, func(c *server.Conn) {
		if c.Send(ws.OpText, []byte("not yours")) || c.WriteFrames([]byte("\x81\x00")) != 2 {
			t.Error("a connection that is gone sends")
		}
		c.Close(1000, "")
	})
	second.say("hello")
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "throng.sock")
	l, err := net.Listen("unix", path)
	must(t, err)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	must(t, l.Close()) // a process that was killed leaves the file
	t.Run("stale", func(t *testing.T) {
		x := start(t, setup{config: server.Config{Listen: []string{"unix:" + path}}})
		c := x.connect()
		c.say("hello")
		_, err := server.New(server.Config{Listen: []string{"unix:" + path}, Kernel: x.kernel}, x.app, nil)
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("a second server on the path: %v", err)
		}
		x.connect().say("hello")
		c.send(ws.OpClose, "\x03\xe8")
		c.expectClose(1000, "")
	})
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is left: %v", err)
	}
}

func TestSeveralAddresses(t *testing.T) {
	x := start(t, setup{config: server.Config{Listen: []string{"127.0.0.1:0", "127.0.0.1:0"}}})
	if addrs := x.srv.Addrs(); len(addrs) != 2 || addrs[0].String() == addrs[1].String() {
		t.Fatalf("addresses %v", addrs)
	}
	for _, addr := range x.srv.Addrs() {
		conn, err := net.Dial("tcp", addr.String())
		must(t, err)
		must(t, conn.Close())
	}
}

// A start that fails at any point leaves nothing behind.
func TestStartFails(t *testing.T) {
	for _, call := range []string{"NewPoll", "NewTimer", "Add"} {
		for number := 1; ; number++ {
			ok := false
			t.Run(fmt.Sprint(call, number), func(t *testing.T) {
				restored(t)
				k := newKernel(t)
				k.failCall(call, number)
				s, err := server.New(server.Config{Listen: []string{"127.0.0.1:0"}, Workers: 2, Kernel: k}, &app{}, nil)
				if err == nil {
					ok = true
					must(t, s.Close())
				} else if !errors.Is(err, errOrdered) {
					t.Error(err)
				}
			})
			if ok {
				if number < 3 {
					t.Errorf("%s fails at %d only", call, number)
				}
				break
			}
		}
	}
	restored(t)
	if _, err := server.New(server.Config{Listen: []string{"no address"}, Kernel: newKernel(t)}, &app{}, nil); err == nil {
		t.Error("listens on no address")
	}
}

// When a poll fails for good the program hears of it, and Close still returns.
func TestFatal(t *testing.T) {
	k := newKernel(t)
	s, err := server.New(server.Config{Listen: []string{"127.0.0.1:0"}, Workers: 1, Kernel: k}, &app{}, nil)
	must(t, err)
	var fds []int
	for fd := range k.timers {
		fds = append(fds, fd)
	}
	k.fatal(errOrdered)
	if err := await(t, s.Fatal()); !errors.Is(err, errOrdered) {
		t.Error(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Close() }()
	_ = await(t, done)
	for _, fd := range fds { // what the dead worker owned
		_ = k.Close(fd)
	}
}
