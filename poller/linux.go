//go:build linux

package poller

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"reflect"
	"syscall"
	"time"
	"unsafe"

	"github.com/mailru/easygo/netpoll"
	"golang.org/x/sys/unix"
)

// Event is a set of the bits that epoll reports.
type Event = netpoll.EpollEvent

// System returns the Linux kernel.
func System() (Kernel, error) { return linux{start: time.Now()}, nil }

// linux makes its calls on sockets as raw system calls. They cannot block, so
// the scheduler need not hear of them; with GOMAXPROCS=1 it would otherwise
// take the processor away after 20 µs.
type linux struct{ start time.Time }

// NewPoll makes an easygo epoll. Its two descriptors are not close-on-exec, and
// private: reflection reads their numbers, so that no child inherits them.
func (linux) NewPoll(fatal func(error)) (Poll, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	ep, err := netpoll.EpollCreate(&netpoll.EpollConfig{OnWaitError: fatal})
	if err != nil {
		return nil, err
	}
	v := reflect.ValueOf(ep).Elem()
	for _, name := range []string{"fd", "eventFd"} {
		unix.CloseOnExec(int(v.FieldByName(name).Int()))
	}
	return ep, nil
}

// Listen lets package net resolve and bind, then keeps a duplicate of the
// descriptor, which no runtime poller knows.
func (linux) Listen(network, address string, opts SocketOptions) (int, net.Addr, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = setOptions(int(fd), network, opts) }); e != nil {
			return e
		}
		return err
	}}
	// Accepted connections are to be plain TCP sockets, which inherit options.
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), network, address)
	if network == "unix" && errors.Is(err, unix.EADDRINUSE) && isStale(address) {
		if err = os.Remove(address); err == nil {
			l, err = lc.Listen(context.Background(), network, address)
		}
	}
	if err != nil {
		return -1, nil, err
	}
	defer l.Close()
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	raw, err := l.(syscall.Conn).SyscallConn()
	if err != nil {
		return -1, nil, err
	}
	fd := -1
	if e := raw.Control(func(p uintptr) { fd, err = unix.FcntlInt(p, unix.F_DUPFD_CLOEXEC, 0) }); e != nil {
		return -1, nil, e
	}
	if err != nil {
		return -1, nil, fmt.Errorf("duplicate the listener: %w", err)
	}
	return fd, l.Addr(), nil
}

// segment is the largest TCP segment for a send buffer: a quarter of it, within
// what the kernel takes; 0 for the kernel's own choice.
func segment(sendBufferBytes int) int {
	if sendBufferBytes == 0 {
		return 0
	}
	return min(max(sendBufferBytes/4, 536), 32767)
}

// isStale reports whether path is a socket that nobody listens on any more.
func isStale(path string) bool {
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != os.ModeSocket {
		return false // connecting to a plain file is refused as well
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, unix.ECONNREFUSED)
}

// setOptions sets what accepted sockets inherit.
func setOptions(fd int, network string, opts SocketOptions) error {
	type option struct{ level, name, value int }
	options := []option{
		{unix.SOL_SOCKET, unix.SO_SNDBUF, opts.SendBufferBytes},
		{unix.SOL_SOCKET, unix.SO_RCVBUF, opts.ReceiveBufferBytes},
	}
	if network != "unix" {
		options = append(options,
			option{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			option{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
			// On loopback one segment would fill the whole buffer, and its
			// acknowledgement be delayed by 40 ms: a 1 MiB echo took 640 ms
			// instead of 16.
			option{unix.IPPROTO_TCP, unix.TCP_MAXSEG, segment(opts.SendBufferBytes)})
	}
	for _, o := range options {
		if o.value == 0 {
			continue
		}
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return fmt.Errorf("set socket option %d: %w", o.name, err)
		}
	}
	return nil
}

func (linux) Accept(fd int) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	return result(n, errno)
}

// Peer is getpeername(2), without unix.Getpeername's allocations.
func (linux) Peer(fd int) (netip.Addr, error) {
	var raw unix.RawSockaddrAny
	size := uint32(unsafe.Sizeof(raw))
	_, _, errno := unix.RawSyscall(unix.SYS_GETPEERNAME, uintptr(fd), uintptr(unsafe.Pointer(&raw)), uintptr(unsafe.Pointer(&size)))
	if _, err := result(0, errno); err != nil {
		return netip.Addr{}, err
	}
	switch raw.Addr.Family {
	case unix.AF_INET:
		return netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&raw)).Addr), nil
	case unix.AF_INET6:
		return netip.AddrFrom16((*unix.RawSockaddrInet6)(unsafe.Pointer(&raw)).Addr), nil
	}
	return netip.Addr{}, unix.EAFNOSUPPORT
}

func (linux) Read(fd int, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return result(n, errno)
}

// Write is send(2), which unlike write(2) can be told to raise no SIGPIPE.
func (linux) Write(fd int, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
		unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, 0, 0)
	return result(n, errno)
}

func (linux) Shutdown(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) }

func (linux) Close(fd int) error {
	_, _, errno := unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
	_, err := result(0, errno)
	return err
}

func (linux) SetUserTimeout(fd int, d time.Duration) error {
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
}

func (l linux) Detach(fd int) (net.Conn, error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate a connection: %w", err)
	}
	f := os.NewFile(uintptr(dup), "connection")
	defer f.Close() // FileConn makes a duplicate of its own
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return c, l.Close(fd)
}

func (linux) NewSignal() (int, error) {
	return unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
}

func (linux) Signal(fd int) error {
	one := uint64(1)
	_, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&one)), unsafe.Sizeof(one))
	_, err := result(0, errno)
	return err
}

func (linux) NewTimer() (int, error) {
	return unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
}

func (linux) SetTimer(fd int, first, interval time.Duration) error {
	return unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{
		Value:    unix.NsecToTimespec(int64(first)),
		Interval: unix.NsecToTimespec(int64(interval)),
	}, nil)
}

func (k linux) Now() time.Duration { return time.Since(k.start) }

func (linux) Wall() time.Time { return time.Now() }

func (linux) Random(p []byte) { _, _ = rand.Read(p) } // it never fails, by its contract

// result turns what a raw system call returns into Go's form. Converting an
// Errno to an error allocates nothing: it is a small number.
func result(n uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}
