package loop

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"throng/bench/clock"
	"throng/bench/wire"
)

// readBytes is the size of the one buffer that all connections are read into.
// A server that batches hands over hundreds of frames in one read.
const readBytes = 256 << 10

// longestSleep bounds a turn without events, so that an interrupt and the
// Handler's own deadlines are noticed without any means of waking the loop.
const longestSleep = 20 * time.Millisecond

// bodyLimit is how long the body of a refusal may take to follow its head.
const bodyLimit = 250 * time.Millisecond

// ErrTimeout is how a connection fails whose server does not answer in time.
var ErrTimeout = errors.New("no answer to the upgrade request in time")

// Handler is what a Loop reports to. Nothing that it is given may be kept.
type Handler interface {
	// Turn runs once per turn, at the time now. The loop sleeps until
	// something arrives, but no longer than wait; done ends Run.
	Turn(now int64) (wait time.Duration, done bool)
	// Opened says that the server has agreed to the upgrade, and how long
	// that took from Dial on.
	Opened(id int, took time.Duration)
	// Received hands over bytes that the server sent after its handshake.
	Received(id int, b []byte)
	// Failed ends a connection that never opened.
	Failed(id int, err error)
	// Closed ends an open connection that this side did not Close.
	Closed(id int, err error)
}

// Config says where a Loop connects to.
type Config struct {
	Server           netip.AddrPort
	Host             string                  // the Host header
	Path             func(id int) string     // the path and query for a connection
	Source           func(id int) netip.Addr // the address to dial from; the zero Addr leaves it to the kernel
	Terms            wire.Terms              // of the upgrade
	ReceiveBuffer    func(id int) int        // bytes of SO_RCVBUF; 0 leaves it to the kernel
	HandshakeTimeout time.Duration           // for connect, request and answer together
	Random           func() uint64           // keys and masks
	Capacity         int                     // connection numbers are below it

	// For those who do not keep to the protocol. Request is what a connection
	// sends first instead of an upgrade request with that key: perhaps nothing.
	// Answer judges the head of what comes back, as wire.ParseResponse does.
	Request func(id int, key string) []byte
	Answer  func(id int, head []byte, key string) (size int, err error)
}

// Loop is the event loop. Make it with New.
type Loop struct {
	config  Config
	handler Handler
	poll    int
	conns   []conn
	pending fifo // handshakes in the order of their deadlines
	refused fifo // those of which the answer's body may still come, likewise
	events  []unix.EpollEvent
	buffer  []byte
	scratch []byte // one outgoing frame
	now     int64
}

// New makes a loop with room for config.Capacity connections.
func New(config Config, handler Handler) (*Loop, error) {
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create: %w", err)
	}
	if config.Request == nil {
		config.Request = func(id int, key string) []byte {
			return wire.AppendRequest(nil, config.Host, config.Path(id), key, config.Terms)
		}
	}
	if config.Answer == nil {
		config.Answer = func(_ int, head []byte, key string) (int, error) {
			return wire.ParseResponse(head, key, config.Terms)
		}
	}
	l := &Loop{config: config, handler: handler, poll: poll,
		conns:  make([]conn, config.Capacity),
		events: make([]unix.EpollEvent, 1024),
		buffer: make([]byte, readBytes),
		now:    clock.Now(),
	}
	for i := range l.conns {
		l.conns[i].fd = -1
	}
	return l, nil
}

// Now is the time at which the present batch of events was received.
func (l *Loop) Now() int64 { return l.now }

// Run turns the loop until the handler is done, then closes everything.
func (l *Loop) Run() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer l.shutdown()
	for {
		l.now = clock.Now()
		l.expire()
		wait, done := l.handler.Turn(l.now)
		if done {
			return nil
		}
		n, err := l.wait(min(wait, longestSleep))
		if err != nil {
			return err
		}
		l.now = clock.Now()
		for i := range l.events[:n] {
			l.dispatch(&l.events[i])
		}
	}
}

// wait first asks without leaving the Go scheduler's books: under load there is
// always something, and a raw call is cheaper. Only an idle loop blocks properly.
func (l *Loop) wait(longest time.Duration) (int, error) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.poll),
		uintptr(unsafe.Pointer(&l.events[0])), uintptr(len(l.events)), 0, 0, 0)
	if errno == 0 && n == 0 && longest > 0 {
		// epoll_pwait2, because an open loop's sends fall between milliseconds.
		limit := unix.NsecToTimespec(int64(longest))
		n, _, errno = syscall.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(l.poll),
			uintptr(unsafe.Pointer(&l.events[0])), uintptr(len(l.events)), uintptr(unsafe.Pointer(&limit)), 0, 0)
	}
	switch errno {
	case 0:
		return int(n), nil
	case unix.EINTR:
		return 0, nil
	}
	return 0, fmt.Errorf("epoll_wait: %w", errno)
}

// dispatch serves one readiness event. The mask is only a hint: reads and
// writes tell what really happened.
func (l *Loop) dispatch(event *unix.EpollEvent) {
	id := int(event.Fd)
	c := &l.conns[id]
	if c.generation != event.Pad || c.state == closed {
		return // of a connection that an earlier event of this batch closed
	}
	if event.Events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		if !l.writable(id, c) {
			return
		}
	}
	if event.Events&^unix.EPOLLOUT != 0 && c.state != connecting {
		l.readable(id, c)
	}
}

// readable does the one read of a turn.
func (l *Loop) readable(id int, c *conn) {
	n, err := read(int(c.fd), l.buffer)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
	case err != nil:
		l.fail(id, fmt.Errorf("read: %w", err))
	case n == 0:
		l.fail(id, errEnd)
	case c.state == open:
		l.handler.Received(id, l.buffer[:n])
	default:
		l.answered(id, c, l.buffer[:n])
	}
}

// expire fails the handshakes whose time is over.
func (l *Loop) expire() {
	l.expireOf(&l.pending)
	l.expireOf(&l.refused)
}

func (l *Loop) expireOf(q *fifo) {
	for {
		next, ok := q.head()
		c := &l.conns[next.id]
		stale := ok && (c.generation != next.generation || c.state == open || c.state == closed)
		switch {
		case !ok || !stale && next.deadline > l.now:
			return
		case !stale:
			l.fail(next.id, ErrTimeout)
		}
		q.drop()
	}
}

// shutdown closes every descriptor of the loop without further reports.
func (l *Loop) shutdown() {
	for id := range l.conns {
		l.release(&l.conns[id])
	}
	unix.Close(l.poll)
}

// read is read(2) as a raw system call: on a non-blocking descriptor it returns
// at once, so the scheduler need not be told, which would cost more than the
// parsing of what was read.
func read(fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// write is write(2), for the same reason; on a closed connection it must not
// raise SIGPIPE, which Go already ignores for descriptors above 2.
func write(fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
