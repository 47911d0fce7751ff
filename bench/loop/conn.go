package loop

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"throng/bench/wire"
)

// errEnd is a connection that the server ended without a close frame.
var errEnd = errors.New("the server ended the connection")

// state is where a connection stands.
type state uint8

const (
	closed state = iota
	connecting
	upgrading
	open
)

// conn is one connection: 24 bytes, and nothing else while it only listens.
type conn struct {
	fd         int32
	generation int32 // tells the lives of a connection number apart in stale events
	state      state
	mask       uint8  // what epoll watches, of EPOLLIN and EPOLLOUT
	extra      *extra // only during the handshake and while output is stuck
}

// extra is what few connections need at any one time.
type extra struct {
	began int64  // when it was dialled
	key   string // of the handshake
	in    []byte // the head of the answer so far
	out   []byte // what the kernel did not take

	refused *wire.Refused // the upgrade is, and more of the reason may come
}

// Dial starts to connect. An error means that not even that was possible: no
// descriptor or no port was left; it is not reported to the handler again.
func (l *Loop) Dial(id int) error {
	c := &l.conns[id]
	fd, err := l.socket(id)
	if err != nil {
		return err
	}
	err = unix.Connect(fd, sockaddr(l.config.Server))
	if err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return fmt.Errorf("connect: %w", err)
	}
	c.fd, c.state, c.extra = int32(fd), connecting, &extra{began: l.now}
	c.generation++
	c.mask = unix.EPOLLOUT
	event := unix.EpollEvent{Events: unix.EPOLLOUT, Fd: int32(id), Pad: c.generation}
	if err := unix.EpollCtl(l.poll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		l.release(c)
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	l.pending.push(deadline{id: id, generation: c.generation, deadline: l.now + int64(l.config.HandshakeTimeout)})
	return nil
}

// socket makes the descriptor and binds it to its source address.
func (l *Loop) socket(id int) (int, error) {
	family := unix.AF_INET
	if l.config.Server.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if bytes := l.config.ReceiveBuffer(id); bytes > 0 {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bytes)
	}
	source := l.config.Source(id)
	if !source.IsValid() {
		return fd, nil
	}
	// The port is chosen at connect, when the kernel knows the whole address
	// pair; chosen at bind, it would be taken for all destinations at once.
	unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	if err := unix.Bind(fd, sockaddr(netip.AddrPortFrom(source, 0))); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("bind to %s: %w", source, err)
	}
	return fd, nil
}

// sockaddr turns an address into the form that the kernel wants.
func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// writable finishes a connect, or sends on what was stuck. It reports whether
// the connection still lives.
func (l *Loop) writable(id int, c *conn) bool {
	if c.state == connecting {
		if code, err := unix.GetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_ERROR); err != nil || code != 0 {
			l.fail(id, fmt.Errorf("connect: %w", unix.Errno(code)))
			return false
		}
		key := wire.Key(l.config.Random(), l.config.Random())
		c.state, c.extra.key, c.extra.out = upgrading, key, l.config.Request(id, key)
		l.watch(id, c, unix.EPOLLIN)
	}
	if c.extra == nil || len(c.extra.out) == 0 {
		return true
	}
	n, err := write(int(c.fd), c.extra.out)
	if err != nil && err != unix.EAGAIN {
		l.fail(id, fmt.Errorf("write: %w", err))
		return false
	}
	if c.extra.out = c.extra.out[n:]; len(c.extra.out) > 0 {
		l.watch(id, c, c.mask|unix.EPOLLOUT)
		return true
	}
	c.extra.out = nil
	l.watch(id, c, c.mask&^unix.EPOLLOUT)
	return true
}

// answered gathers the head of the answer and judges it once it is complete.
func (l *Loop) answered(id int, c *conn, b []byte) {
	c.extra.in = append(c.extra.in, b...)
	size, err := l.config.Answer(id, c.extra.in, c.extra.key)
	var refused *wire.Refused
	if errors.As(err, &refused) && refused.More && len(c.extra.in) <= wire.MaxHeadBytes {
		if c.extra.refused == nil {
			l.refused.push(deadline{id: id, generation: c.generation, deadline: l.now + int64(bodyLimit)})
		}
		c.extra.refused = refused
		return
	}
	if err != nil {
		l.fail(id, err)
		return
	}
	if size == 0 {
		return
	}
	rest, took := c.extra.in[size:], time.Duration(l.now-c.extra.began)
	c.state = open
	if c.extra.in = nil; len(c.extra.out) == 0 {
		c.extra = nil
	}
	generation := c.generation
	l.handler.Opened(id, took)
	if len(rest) > 0 && c.state == open && c.generation == generation {
		l.handler.Received(id, rest)
	}
}

// Send sends one frame. What the kernel does not take at once is kept and goes
// out when there is room again.
func (l *Loop) Send(id int, op wire.Opcode, payload []byte) {
	l.scratch = wire.Append(l.scratch[:0], op, uint32(l.config.Random()), payload)
	l.SendFrames(id, l.scratch)
}

// SendFrames sends frames that the caller has encoded.
func (l *Loop) SendFrames(id int, frames []byte) {
	if c := &l.conns[id]; c.state == open {
		l.send(id, c, frames)
	}
}

// SendRaw sends bytes on a connection that may still be upgrading: parts of a
// request, or of anything else.
func (l *Loop) SendRaw(id int, b []byte) {
	if c := &l.conns[id]; c.state == upgrading || c.state == open {
		l.send(id, c, b)
	}
}

// send writes b behind what is already stuck, and keeps what is left.
func (l *Loop) send(id int, c *conn, b []byte) bool {
	if c.extra == nil || len(c.extra.out) == 0 {
		n, err := write(int(c.fd), b)
		if err != nil && err != unix.EAGAIN {
			l.fail(id, fmt.Errorf("write: %w", err))
			return false
		}
		b = b[n:]
	}
	if len(b) == 0 {
		l.watch(id, c, c.mask&^unix.EPOLLOUT)
		return true
	}
	if c.extra == nil {
		c.extra = new(extra)
	}
	c.extra.out = append(c.extra.out, b...)
	l.watch(id, c, c.mask|unix.EPOLLOUT)
	return true
}

// Unsent is how many bytes the kernel has not taken yet.
func (l *Loop) Unsent(id int) int {
	if extra := l.conns[id].extra; extra != nil {
		return len(extra.out)
	}
	return 0
}

// Pause stops or resumes reading from a connection: a slow member.
func (l *Loop) Pause(id int, pause bool) {
	c := &l.conns[id]
	if c.state != open {
		return
	}
	mask := c.mask | unix.EPOLLIN
	if pause {
		mask = c.mask &^ unix.EPOLLIN
	}
	l.watch(id, c, mask)
}

// watch tells epoll what the connection waits for, if that has changed.
func (l *Loop) watch(id int, c *conn, mask uint8) {
	if c.mask == mask {
		return
	}
	c.mask = mask
	event := unix.EpollEvent{Events: uint32(mask), Fd: int32(id), Pad: c.generation}
	unix.EpollCtl(l.poll, unix.EPOLL_CTL_MOD, int(c.fd), &event)
}

// Close ends a connection from this side; the handler hears nothing of it. An
// abrupt end resets the connection, as a crash or a lost network would.
func (l *Loop) Close(id int, abrupt bool) {
	c := &l.conns[id]
	if abrupt && c.state != closed {
		unix.SetsockoptLinger(int(c.fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	l.release(c)
}

// fail ends a connection and reports why. When the server has refused the upgrade,
// that is why, however the connection ends afterwards.
func (l *Loop) fail(id int, err error) {
	c := &l.conns[id]
	was := c.state
	if c.extra != nil && c.extra.refused != nil && was == upgrading {
		var last *wire.Refused // with the body up to its end
		if !errors.As(err, &last) {
			err = c.extra.refused
		}
	}
	l.release(c)
	if was == open {
		l.handler.Closed(id, err)
	} else {
		l.handler.Failed(id, err)
	}
}

// release closes the descriptor, which also takes it out of the epoll set: no
// other descriptor refers to the socket.
func (l *Loop) release(c *conn) {
	if c.state == closed {
		return
	}
	unix.Close(int(c.fd))
	c.fd, c.state, c.extra = -1, closed, nil
}
