// Package floor measures what the machine itself allows, without any server: the
// price of one write(2) to one of many loopback sockets, the round trip of a bare
// epoll echo, and the kernel memory of an idle connection. What a server does
// is best read as a multiple of these.
package floor

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"throng/bench/clock"
	"throng/bench/report"
	"throng/bench/target"
)

// Config says how long to measure, and with how much.
type Config struct {
	Conns    int           // sockets that are written to in turn
	Bytes    int           // of one write
	Duration time.Duration // of each of the two measurements
	Server   int           // a process on whose processors the echo is answered; 0 for any
}

// Measure measures all three.
func Measure(c Config) (report.Floor, error) {
	floor := report.Floor{Conns: c.Conns, Bytes: c.Bytes}
	before := target.KernelMemory()
	p, err := connect(c.Conns)
	if err != nil {
		return floor, err
	}
	floor.KernelPerConn = float64(target.KernelMemory()-before) / float64(c.Conns)
	floor.WriteNs, err = p.writes(c)
	p.close()
	if err != nil {
		return floor, err
	}
	floor.EchoP50Ns, floor.EchoP99Ns, err = echo(c)
	return floor, err
}

// pairs are both ends of loopback connections.
type pairs struct{ near, far []int }

// connect makes n connections.
func connect(n int) (*pairs, error) {
	listener, address, err := listen()
	if err != nil {
		return nil, err
	}
	defer unix.Close(listener)
	p := &pairs{}
	for range n {
		near, far, err := pair(listener, address)
		if err != nil {
			p.close()
			return nil, err
		}
		p.near, p.far = append(p.near, near), append(p.far, far)
	}
	return p, nil
}

// listen opens a socket on a loopback port of the kernel's choice.
func listen() (fd int, address unix.Sockaddr, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, nil, fmt.Errorf("socket: %w", err)
	}
	err = errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 128))
	if err == nil {
		address, err = unix.Getsockname(fd)
	}
	if err != nil {
		unix.Close(fd)
		return -1, nil, fmt.Errorf("listen: %w", err)
	}
	return fd, address, nil
}

// pair makes one connection. Connecting over loopback ends at once, as long as
// the listener's queue has room.
func pair(listener int, address unix.Sockaddr) (near, far int, err error) {
	if near, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, -1, fmt.Errorf("socket: %w", err)
	}
	if err = unix.Connect(near, address); err == nil {
		far, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
	}
	if err != nil {
		unix.Close(near)
		return -1, -1, fmt.Errorf("connect: %w", err)
	}
	for _, fd := range []int{near, far} {
		unix.SetNonblock(fd, true)
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	return near, far, nil
}

func (p *pairs) close() {
	for _, fd := range append(p.near, p.far...) {
		unix.Close(fd)
	}
}

// writes is the median time of a write, over rounds that write to each socket
// once. The reading in between is not measured, though the receiver's part of
// TCP is: the kernel does it within the write.
func (p *pairs) writes(c Config) (ns float64, err error) {
	message, buffer := make([]byte, c.Bytes), make([]byte, 64<<10)
	var rounds []float64
	for end := clock.Now() + int64(c.Duration); clock.Now() < end || len(rounds) < 3; {
		start := clock.Now()
		for _, fd := range p.near {
			if _, err := unix.Write(fd, message); err != nil {
				return 0, fmt.Errorf("write: %w", err)
			}
		}
		rounds = append(rounds, float64(clock.Now()-start)/float64(len(p.near)))
		for _, fd := range p.far {
			if _, err := unix.Read(fd, buffer); err != nil && err != unix.EAGAIN {
				return 0, fmt.Errorf("read: %w", err)
			}
		}
	}
	slices.Sort(rounds)
	return rounds[len(rounds)/2], nil
}
