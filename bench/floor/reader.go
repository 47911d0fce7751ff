package floor

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Environ tells a copy of the program that it is the reader, and of what: a
// port, a number of connections and the bytes that each receives in a round.
const Environ = "THRONG_BENCH_FLOOR"

// Read is what the reader does, until the writer ends it. It returns an exit code.
func Read() int {
	var port, conns, bytes int
	_, err := fmt.Sscanf(os.Getenv(Environ), "%d %d %d", &port, &conns, &bytes)
	if err == nil {
		runtime.LockOSThread()
		debug.SetGCPercent(-1)
		err = read(port, conns, bytes)
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// read connects and receives one round after the other.
func read(port, conns, bytes int) error {
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("epoll_create: %w", err)
	}
	for range conns {
		if err := join(poll, port); err != nil {
			return err
		}
	}
	events, buffer := make([]unix.EpollEvent, 1024), make([]byte, 64<<10)
	for {
		for left := conns * bytes; left > 0; {
			n, err := await(poll, events)
			if err != nil {
				return err
			}
			for _, event := range events[:n] {
				left -= receive(int(event.Fd), buffer)
			}
		}
		if _, err := os.Stdout.Write([]byte{0}); err != nil {
			return fmt.Errorf("report a round: %w", err)
		}
	}
}

// join makes one connection. Edges are enough: each is for one round, and a
// read takes all of it.
func join(poll, port int) error {
	fd, err := socket()
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, loopback(port)); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	unix.SetNonblock(fd, true)
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET&0xFFFFFFFF, Fd: int32(fd)}
	if err := unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// await is epoll_wait(2) as a raw system call. This thread has the process to
// itself: the scheduler has nothing else to run while it waits.
func await(poll int, events []unix.EpollEvent) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(poll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), waitMs, 0, 0)
		switch {
		case errno == unix.EINTR:
		case errno != 0:
			return 0, fmt.Errorf("epoll_wait: %w", errno)
		case n == 0:
			return 0, errors.New("nothing is written any more")
		default:
			return int(n), nil
		}
	}
}

// receive is what one read(2) finds; the end of the connection is nothing, and
// shows when nothing more comes.
func receive(fd int, buffer []byte) int {
	n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&buffer[0])), uintptr(len(buffer)))
	if errno != 0 {
		return 0
	}
	return int(n)
}
