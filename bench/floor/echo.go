package floor

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"

	"throng/bench/clock"
	"throng/bench/latency"
)

// echo measures round trips between two threads, each with an epoll set of its
// own, over one connection.
func echo(ctx context.Context, c Config) (p50, p99 int64, err error) {
	near, far, err := pair()
	if err != nil {
		return 0, 0, err
	}
	defer unix.Close(near)
	defer unix.Close(far)
	answered := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		back, err := moveTo(c.Server)
		answered <- errors.Join(err, answer(far), back())
	}()
	h := latency.NewHistogram()
	message, buffer := make([]byte, c.Bytes), make([]byte, 64<<10)
	poll, err := watch(near)
	if err != nil {
		return 0, 0, err
	}
	defer unix.Close(poll)
	for end := clock.Now() + int64(c.Duration); (clock.Now() < end || h.TotalCount() == 0) && ctx.Err() == nil; {
		start := clock.Now()
		if _, err := unix.Write(near, message); err != nil {
			return 0, 0, fmt.Errorf("write: %w", err)
		}
		for n := 0; n < len(message); {
			got, err := next(poll, near, buffer)
			if err != nil {
				return 0, 0, err
			}
			n += got
		}
		latency.Record(h, clock.Now()-start)
	}
	unix.Shutdown(near, unix.SHUT_WR)
	return h.ValueAtQuantile(50), h.ValueAtQuantile(99), errors.Join(<-answered, context.Cause(ctx))
}

// pair makes one connection. Connecting over loopback ends at once, as long as
// the listener's queue has room.
func pair() (near, far int, err error) {
	listener, address, err := listen()
	if err != nil {
		return -1, -1, err
	}
	defer unix.Close(listener)
	if near, err = socket(); err != nil {
		return -1, -1, err
	}
	if err = unix.Connect(near, address); err == nil {
		far, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
	}
	if err != nil {
		unix.Close(near)
		return -1, -1, fmt.Errorf("connect: %w", err)
	}
	return near, far, errors.Join(unix.SetNonblock(near, true), unix.SetNonblock(far, true))
}

// moveTo gives the calling thread the processors of a process, until back is
// called: the Go runtime will use the thread for other things.
func moveTo(process int) (back func() error, err error) {
	var before, processors unix.CPUSet
	if process == 0 {
		return func() error { return nil }, nil
	}
	err = errors.Join(unix.SchedGetaffinity(0, &before), unix.SchedGetaffinity(process, &processors), unix.SchedSetaffinity(0, &processors))
	if err != nil {
		err = fmt.Errorf("move to the server's processors: %w", err)
	}
	return func() error { return unix.SchedSetaffinity(0, &before) }, err
}

// answer sends back what comes, until the other side ends.
func answer(fd int) error {
	poll, err := watch(fd)
	if err != nil {
		return err
	}
	defer unix.Close(poll)
	buffer := make([]byte, 64<<10)
	for {
		n, err := next(poll, fd, buffer)
		if err != nil || n == 0 {
			return err
		}
		if _, err := unix.Write(fd, buffer[:n]); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
}

// watch makes an epoll set of one descriptor.
func watch(fd int) (poll int, err error) {
	if poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return -1, fmt.Errorf("epoll_create: %w", err)
	}
	if err = unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
		unix.Close(poll)
		return -1, fmt.Errorf("epoll_ctl: %w", err)
	}
	return poll, nil
}

// waitMs bounds a wait for the other thread.
const waitMs = 5000

// next waits for input and reads it; 0 bytes are the end.
func next(poll, fd int, buffer []byte) (int, error) {
	events := make([]unix.EpollEvent, 1)
	for {
		n, err := unix.EpollWait(poll, events, waitMs)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, fmt.Errorf("epoll_wait: %w", err)
		case n == 0:
			return 0, fmt.Errorf("no answer within %d ms", waitMs)
		}
		if n, err = unix.Read(fd, buffer); err == nil {
			return n, nil
		}
		if err != unix.EAGAIN && err != unix.EINTR {
			return 0, fmt.Errorf("read: %w", err)
		}
	}
}
