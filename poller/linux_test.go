//go:build linux

package poller_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"throng/poller"

	"github.com/mailru/easygo/netpoll"
	"golang.org/x/sys/unix"
)

// edgeTriggered is what the pool adds to the mask of every descriptor.
const edgeTriggered = poller.Event(unix.EPOLLET)

func TestEachSignalIsAnEdgeThoughNobodyReads(t *testing.T) {
	restored(t)
	kernel, poll := newPoll(t)
	fd, err := kernel.NewSignal()
	must(t, err)
	defer kernel.Close(fd)
	heard := make(chan poller.Event, 8)
	must(t, poll.Add(fd, poller.Readable|edgeTriggered, func(e poller.Event) { heard <- e }))
	for range 100 {
		must(t, kernel.Signal(fd))
		if e := await(t, heard); e != poller.Readable {
			t.Errorf("a signal was heard as %v", e)
		}
	}
	must(t, poll.Del(fd))
}

func TestEachExpiryIsAnEdge(t *testing.T) {
	restored(t)
	kernel, poll := newPoll(t)
	fd, err := kernel.NewTimer()
	must(t, err)
	defer kernel.Close(fd)
	heard := make(chan poller.Event, 8)
	must(t, poll.Add(fd, poller.Readable|edgeTriggered, func(e poller.Event) { heard <- e }))
	expire := func() {
		t.Helper()
		if e := await(t, heard); e != poller.Readable {
			t.Errorf("an expiry was heard as %v", e)
		}
	}
	for range 5 { // once each, never read
		must(t, kernel.SetTimer(fd, time.Millisecond, 0))
		expire()
	}
	must(t, kernel.SetTimer(fd, time.Hour, 0)) // replaced by the next call
	must(t, kernel.SetTimer(fd, time.Millisecond, time.Millisecond))
	for range 5 {
		expire()
		// Until this, the next interval does not begin.
		if n, err := kernel.Read(fd, make([]byte, 8)); n != 8 || err != nil {
			t.Errorf("read the timer: %d, %v", n, err)
		}
	}
	must(t, kernel.SetTimer(fd, 0, 0))
	var left unix.ItimerSpec
	must(t, unix.TimerfdGettime(fd, &left))
	if left != (unix.ItimerSpec{}) {
		t.Errorf("the stopped timer still has %v", left)
	}
	must(t, poll.Del(fd))
}

// newPoll returns a poll that the test's end closes.
func newPoll(t *testing.T) (poller.Kernel, poller.Poll) {
	t.Helper()
	kernel, err := poller.System()
	must(t, err)
	poll, err := kernel.NewPoll(func(err error) { t.Error(err) })
	must(t, err)
	t.Cleanup(func() { must(t, poll.Close()) })
	return kernel, poll
}

func TestAcceptedSocketsInheritOptions(t *testing.T) {
	restored(t)
	kernel, err := poller.System()
	must(t, err)
	opts := poller.SocketOptions{SendBufferBytes: 48 << 10, ReceiveBufferBytes: 40 << 10}
	listener, bound, err := kernel.Listen("tcp", "127.0.0.1:0", opts)
	must(t, err)
	defer kernel.Close(listener)
	if _, err := kernel.Accept(listener); err != syscall.EAGAIN {
		t.Errorf("accept with nobody there: %v", err)
	}
	must(t, kernel.SetUserTimeout(listener, 3*time.Second))
	fd, peer := dial(t, kernel, listener, bound)
	defer peer.Close()
	defer kernel.Close(fd)
	options := []struct {
		name           string
		level, option  int
		want, atListen int
	}{
		{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1, 1},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1, 1},
		// The kernel doubles sizes, for its own book-keeping.
		{"SO_SNDBUF", unix.SOL_SOCKET, unix.SO_SNDBUF, 2 * opts.SendBufferBytes, 2 * opts.SendBufferBytes},
		{"SO_RCVBUF", unix.SOL_SOCKET, unix.SO_RCVBUF, 2 * opts.ReceiveBufferBytes, 2 * opts.ReceiveBufferBytes},
		{"SO_PROTOCOL", unix.SOL_SOCKET, unix.SO_PROTOCOL, unix.IPPROTO_TCP, unix.IPPROTO_TCP},
		{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 3000, 3000},
	}
	for _, o := range options {
		atListen, err := unix.GetsockoptInt(listener, o.level, o.option)
		must(t, err)
		got, err := unix.GetsockoptInt(fd, o.level, o.option)
		must(t, err)
		if got != o.want || atListen != o.atListen {
			t.Errorf("%s: %d, on the listener %d; want %d and %d", o.name, got, atListen, o.want, o.atListen)
		}
	}
	must(t, kernel.SetUserTimeout(fd, 1500*time.Millisecond))
	if ms, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); ms != 1500 || err != nil {
		t.Errorf("TCP_USER_TIMEOUT set to 1.5 s reads %d ms, %v", ms, err)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); flags&unix.O_NONBLOCK == 0 || err != nil {
		t.Errorf("the accepted socket blocks: flags %#x, %v", flags, err)
	}
}

// dial connects to a listener that stands in no poll, and accepts.
func dial(t *testing.T, kernel poller.Kernel, listener int, bound net.Addr) (int, net.Conn) {
	t.Helper()
	peer, err := net.Dial(bound.Network(), bound.String())
	must(t, err)
	_, err = unix.Poll([]unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}, int(patience.Milliseconds()))
	must(t, err)
	fd, err := kernel.Accept(listener)
	must(t, err)
	return fd, peer
}

func TestListenRefusesWithTheReason(t *testing.T) {
	restored(t)
	kernel, err := poller.System()
	must(t, err)
	listener, bound, err := kernel.Listen("tcp", "127.0.0.1:0", poller.SocketOptions{})
	must(t, err)
	defer kernel.Close(listener)
	if fd, _, err := kernel.Listen("tcp", bound.String(), poller.SocketOptions{}); fd != -1 || !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a taken port: %d, %v", fd, err)
	}
	if fd, _, err := kernel.Listen("tcp", "nonsense", poller.SocketOptions{}); fd != -1 || err == nil {
		t.Errorf("a bad address: %d, %v", fd, err)
	}
	path := filepath.Join(t.TempDir(), "socket")
	unixListener, _, err := kernel.Listen("unix", path, poller.SocketOptions{SendBufferBytes: 1 << 16})
	must(t, err)
	defer kernel.Close(unixListener)
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the socket's path went with package net's listener: %v", err)
	}
	if fd, _, err := kernel.Listen("unix", path, poller.SocketOptions{}); fd != -1 || !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a path with somebody listening: %d, %v", fd, err)
	}
}

// A process that was killed leaves its socket's path behind.
func TestListenTakesAPathThatNobodyListensOn(t *testing.T) {
	restored(t)
	kernel, err := poller.System()
	must(t, err)
	path := filepath.Join(t.TempDir(), "socket")
	for range 2 {
		listener, _, err := kernel.Listen("unix", path, poller.SocketOptions{})
		must(t, err)
		must(t, kernel.Close(listener))
	}
}

func TestWriteToClosedPeerRaisesNoSignal(t *testing.T) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGPIPE, syscall.SIGWINCH) // starts a goroutine for good
	defer signal.Stop(signals)
	x := start(t, nil)
	fd, peer := x.pair()
	must(t, unix.Shutdown(peer, unix.SHUT_RDWR))
	if _, err := x.kernel.Write(fd, []byte("x")); err != syscall.EPIPE {
		t.Errorf("write: %v", err)
	}
	// The runtime delivers pending signals in the order of their numbers: a
	// SIGPIPE would come before this SIGWINCH.
	must(t, unix.Kill(os.Getpid(), unix.SIGWINCH))
	if s := await(t, signals); s != syscall.SIGWINCH {
		t.Errorf("the write raised %v", s)
	}
}

func TestDetachLeavesOneDescriptor(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			restored(t)
			kernel, err := poller.System()
			must(t, err)
			address := map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "socket")}[network]
			listener, bound, err := kernel.Listen(network, address, poller.SocketOptions{})
			must(t, err)
			defer kernel.Close(listener)
			fd, peer := dial(t, kernel, listener, bound)
			defer peer.Close()
			before := descriptors(t)
			conn, err := kernel.Detach(fd)
			must(t, err)
			defer conn.Close()
			if after := descriptors(t); len(after) != len(before) {
				t.Errorf("descriptors %v, before %v", after, before)
			}
			_, err = unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			if err != syscall.EBADF {
				t.Errorf("the number %d is still open: %v", fd, err)
			}
			// It is a connection of package net in every respect: a read with
			// nothing there waits in the runtime's poll, and can be interrupted.
			must(t, conn.SetReadDeadline(time.Now()))
			if _, err := conn.Read(make([]byte, 8)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("read past its deadline: %v", err)
			}
			must(t, conn.SetReadDeadline(time.Time{}))
			_, err = peer.Write([]byte("hi"))
			must(t, err)
			p := make([]byte, 8)
			if n, err := conn.Read(p); string(p[:n]) != "hi" || err != nil {
				t.Errorf("read %q, %v", p[:n], err)
			}
		})
	}
}

func TestClockAndRandomness(t *testing.T) {
	kernel, err := poller.System()
	must(t, err)
	if a, b := kernel.Now(), kernel.Now(); a < 0 || b < a {
		t.Errorf("the clock went from %v to %v", a, b)
	}
	if kernel.Wall().Before(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("the time of day is %v", kernel.Wall())
	}
	var a, b [32]byte
	kernel.Random(a[:])
	kernel.Random(b[:])
	if a == b {
		t.Error("twice the same 32 random bytes")
	}
}

func TestFailedAddLeavesTheNumberUsable(t *testing.T) {
	x := start(t, nil)
	file, err := os.Open(os.Args[0]) // epoll refuses regular files
	must(t, err)
	defer file.Close()
	fd := int(file.Fd())
	x.run(func() {
		h := &handler{worker: x.worker, ready: func(poller.Event) {}}
		if err := x.worker.Add(fd, h); !errors.Is(err, syscall.EPERM) {
			t.Errorf("adding a regular file: %v", err)
		}
	})
	socket, _ := x.pair()
	must(t, unix.Dup3(socket, fd, unix.O_CLOEXEC))
	heard := make(chan poller.Event, 8)
	x.run(func() { x.add(fd, &handler{ready: func(e poller.Event) { heard <- e }}) })
	await(t, heard)
}

// A second Add of the same number must not undo the first.
func TestAddTwiceKeepsTheFirst(t *testing.T) {
	x := start(t, nil)
	fd, peer := x.pair()
	heard := make(chan poller.Event, 8)
	x.run(func() {
		h := x.add(fd, &handler{ready: func(e poller.Event) { heard <- e }})
		if err := x.worker.Add(fd, h); !errors.Is(err, netpoll.ErrRegistered) {
			t.Errorf("second Add: %v", err)
		}
	})
	_, err := x.kernel.Write(peer, []byte("x"))
	must(t, err)
	for await(t, heard)&poller.Readable == 0 {
	}
}

// This is easygo's behaviour, which Del's comment warns of: a number that was
// closed before Del is refused. Whoever closes must keep the order.
func TestCloseBeforeDelPoisonsTheNumber(t *testing.T) {
	x := start(t, nil)
	fd, _ := x.pair()
	other, _ := x.pair()
	h := &handler{worker: x.worker, ready: func(poller.Event) {}}
	x.run(func() {
		x.add(fd, h)
		x.check(unix.Dup3(other, fd, unix.O_CLOEXEC)) // closes, and uses the number again
		if err := x.worker.Add(fd, h); !errors.Is(err, netpoll.ErrRegistered) {
			t.Errorf("Add of a number closed before Del: %v", err)
		}
	})
}

func TestFailedPollIsNeverUsedAgain(t *testing.T) {
	restored(t)
	kernel, err := poller.System()
	must(t, err)
	theirs, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC) // a poll of somebody else
	must(t, err)
	defer kernel.Close(theirs)
	x := &fixture{T: t, kernel: kernel}
	added, _ := x.pair()
	fresh, _ := x.pair()
	must(t, unix.EpollCtl(theirs, unix.EPOLL_CTL_ADD, added, &unix.EpollEvent{}))
	broken, err := kernel.NewTimer() // anything but an epoll descriptor
	must(t, err)
	defer kernel.Close(broken)

	before, number := descriptors(t), -1
	failures := make(chan error, 8)
	h := &handler{ready: func(poller.Event) {}}
	x.pool, err = poller.New(poller.Config{Kernel: kernel, Workers: 1, Fatal: func(err error) {
		failures <- err
		x.check(unix.Dup3(theirs, number, unix.O_CLOEXEC)) // the number is theirs now
		if err := x.worker.Add(fresh, h); !errors.Is(err, netpoll.ErrClosed) {
			t.Errorf("Add after the poll failed: %v", err)
		}
		if err := x.worker.Del(added); !errors.Is(err, netpoll.ErrClosed) {
			t.Errorf("Del after the poll failed: %v", err)
		}
		x.check(kernel.Close(number)) // so that easygo cannot close it, and reports that too
	}})
	must(t, err)
	x.worker = x.pool.Workers()[0]
	for _, d := range descriptors(t) {
		if name, to, _ := strings.Cut(d, " "); to == "anon_inode:[eventpoll]" && !slices.Contains(before, d) {
			number, err = strconv.Atoi(name)
			must(t, err)
		}
	}
	x.run(func() {
		x.add(added, h)
		x.check(unix.Dup3(broken, number, unix.O_CLOEXEC))
	})
	if err := await(t, failures); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("the poll failed with %v", err)
	}
	x.worker.Wake() // does nothing
	must(t, x.pool.Close())
	if len(failures) > 0 {
		t.Errorf("Fatal was called again: %v", <-failures)
	}
	if err := unix.EpollCtl(theirs, unix.EPOLL_CTL_ADD, fresh, &unix.EpollEvent{}); err != nil {
		t.Errorf("Add reached somebody else's poll: %v", err)
	}
	if err := unix.EpollCtl(theirs, unix.EPOLL_CTL_ADD, added, &unix.EpollEvent{}); err != syscall.EEXIST {
		t.Errorf("Del reached somebody else's poll: %v", err)
	}
}

func TestChildInheritsNoDescriptor(t *testing.T) {
	list := func() string {
		out, err := exec.Command("ls", "/proc/self/fd").Output()
		must(t, err)
		return string(out)
	}
	restored(t)
	alone := list()
	x := start(t, nil)
	listener, bound, err := x.kernel.Listen("tcp", "127.0.0.1:0", poller.SocketOptions{})
	must(t, err)
	defer x.kernel.Close(listener)
	timer, err := x.kernel.NewTimer()
	must(t, err)
	defer x.kernel.Close(timer)
	fd, peer := dial(t, x.kernel, listener, bound)
	defer peer.Close()
	defer x.kernel.Close(fd)
	if got := list(); got != alone {
		t.Errorf("a child has descriptors %q, without a pool %q", got, alone)
	}
}
