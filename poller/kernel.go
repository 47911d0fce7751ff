package poller

import (
	"net"
	"net/netip"
	"time"
)

// Bits of an Event, numbered as in epoll(7).
const (
	Readable Event = 0x1    // EPOLLIN
	Writable Event = 0x4    // EPOLLOUT
	Error    Event = 0x8    // EPOLLERR
	Hangup   Event = 0x10   // EPOLLHUP
	PeerShut Event = 0x2000 // EPOLLRDHUP

	// edge is EPOLLET.
	edge Event = 1 << 31
	// pollClosed is what easygo sends to the callbacks left in a poll that
	// is being closed. The kernel never reports this bit.
	pollClosed Event = 0x20
)

// Kernel is everything that the server asks of the operating system, so that a
// simulator can stand in for it. Descriptors are non-blocking and
// close-on-exec. Errors of calls on sockets are plain syscall.Errno values;
// none of these calls blocks, and each is safe from any goroutine.
type Kernel interface {
	// NewPoll makes a poll. fatal is called, on the poll's goroutine, when
	// waiting has failed for good.
	NewPoll(fatal func(error)) (Poll, error)

	// Listen binds and listens on a TCP address (network "tcp") or a socket
	// path (network "unix"), with opts set on the listener and inherited by
	// what it accepts. It also returns the address that it bound.
	Listen(network, address string, opts SocketOptions) (fd int, bound net.Addr, err error)
	// Accept takes one connection, or answers EAGAIN.
	Accept(fd int) (int, error)
	// Peer is the address at the other end of a TCP connection. ENOTCONN: it has
	// gone already.
	Peer(fd int) (netip.Addr, error)
	// Read reads into p; 0 means that the peer has shut down its side.
	Read(fd int, p []byte) (int, error)
	// Write writes a part of p, perhaps all. It never raises SIGPIPE.
	Write(fd int, p []byte) (int, error)
	// Shutdown ends the writing side.
	Shutdown(fd int) error
	// Close closes the descriptor.
	Close(fd int) error
	// SetUserTimeout sets TCP_USER_TIMEOUT: unacknowledged data, or a closed
	// window, for longer than d ends the connection. On a listener it is
	// inherited, too.
	SetUserTimeout(fd int, d time.Duration) error
	// Detach turns fd into a connection of package net and closes fd; after an
	// error fd is as it was.
	Detach(fd int) (net.Conn, error)

	// NewSignal makes a descriptor on which each Signal is an edge.
	NewSignal() (fd int, err error)
	// Signal makes fd readable.
	Signal(fd int) error
	// NewTimer makes a descriptor on which each expiry is an edge.
	NewTimer() (fd int, err error)
	// SetTimer makes fd expire after first, and then each interval, but only
	// as long as each expiry is followed by a Read (of 8 bytes) or another
	// SetTimer: Linux starts an interval when the last one has been read.
	// Zeros stop it.
	SetTimer(fd int, first, interval time.Duration) error

	// Now is the monotonic time since some fixed moment.
	Now() time.Duration
	// Wall is the time of day.
	Wall() time.Time
	// Random fills p with unpredictable bytes.
	Random(p []byte)
}

// Poll has exactly the contract of easygo's netpoll.Epoll.
type Poll interface {
	// Add registers fd; callback is called with each event, on the poll's
	// goroutine.
	Add(fd int, events Event, callback func(Event)) error
	// Del removes fd.
	Del(fd int) error
	// Close ends the poll and waits for its goroutine.
	Close() error
}

// SocketOptions are set on a listener and inherited by accepted connections.
// TCP_NODELAY and SO_KEEPALIVE are always set on TCP. 0 leaves a size to the
// kernel, which then may let it grow to megabytes.
type SocketOptions struct {
	SendBufferBytes, ReceiveBufferBytes int
}
