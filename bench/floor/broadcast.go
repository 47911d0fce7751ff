package floor

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"throng/bench/clock"
)

// Broadcast is the median time of a write(2) to one of many sockets while another
// thread reads what arrives, as the members of a room do. That makes a write
// cheaper than one to a receiver that reads later: the reader acknowledges on its own
// core what the writer's would otherwise have to acknowledge.
func Broadcast(c Config) (ns float64, err error) {
	// Both threads must run at the same time, also where the rest of the
	// process is content with one.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), 3)))
	p, err := connect(c.Conns)
	if err != nil {
		return 0, err
	}
	received, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		ended <- p.drain(c.Bytes, received)
	}()
	ns, err = p.broadcasts(c, received, ended)
	for _, fd := range p.near {
		unix.Shutdown(fd, unix.SHUT_WR) // which ends the reader
	}
	if err == nil {
		err = <-ended
	}
	p.close()
	return ns, err
}

// broadcasts writes to each socket in turn, again and again. The next round
// begins when everybody has received the last.
func (p *pairs) broadcasts(c Config, received <-chan struct{}, ended chan error) (ns float64, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	back, err := moveTo(c.Server)
	defer func() { err = errors.Join(err, back()) }()
	if err != nil {
		return 0, err
	}
	message := make([]byte, c.Bytes)
	var rounds []float64
	for end := clock.Now() + int64(c.Duration); clock.Now() < end || len(rounds) < 3; {
		start := clock.Now()
		for _, fd := range p.near {
			if _, err := unix.Write(fd, message); err != nil {
				return 0, fmt.Errorf("write: %w", err)
			}
		}
		rounds = append(rounds, float64(clock.Now()-start)/float64(len(p.near)))
		select {
		case <-received:
		case err := <-ended:
			return 0, fmt.Errorf("the reader has ended: %w", err)
		case <-time.After(waitMs * time.Millisecond):
			return 0, fmt.Errorf("not received within %d ms", waitMs)
		}
	}
	slices.Sort(rounds)
	return rounds[len(rounds)/2], nil
}

// drain reads what arrives, and says so whenever all have received a message.
// It ends with the connections.
func (p *pairs) drain(bytes int, received chan<- struct{}) error {
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("epoll_create: %w", err)
	}
	defer unix.Close(poll)
	for _, fd := range p.far {
		if err := unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			return fmt.Errorf("epoll_ctl: %w", err)
		}
	}
	events, buffer := make([]unix.EpollEvent, 1024), make([]byte, 64<<10)
	for due := bytes * len(p.far); ; {
		n, err := unix.EpollWait(poll, events, waitMs)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		for _, event := range events[:max(n, 0)] {
			got, err := unix.Read(int(event.Fd), buffer)
			switch {
			case err == unix.EAGAIN || err == unix.EINTR:
			case err != nil:
				return fmt.Errorf("read: %w", err)
			case got == 0:
				return nil
			}
			if due -= max(got, 0); due == 0 {
				due = bytes * len(p.far)
				received <- struct{}{}
			}
		}
	}
}
