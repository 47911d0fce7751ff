package floor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"throng/bench/clock"
	"throng/bench/target"
)

// bufferBytes is the size of each socket's buffers: those of a server that keeps
// stalled members from pinning the kernel's memory.
const bufferBytes = 32 << 10

// quickAcks is how many segments Linux acknowledges at once at the beginning of
// a connection (TCP_MAX_QUICKACKS in net/ipv4/tcp_input.c). Each of these costs the
// writer an incoming segment more, and nearly twice the time of a later write.
const quickAcks = 16

// leastRounds are measured even if they take longer than they should.
const leastRounds = 8

// pairs are connections to a reader in a process of its own.
type pairs struct {
	fds    []int
	reader *exec.Cmd
	rounds io.ReadCloser    // a byte for each round that has arrived
	errors *strings.Builder // what the reader says when it fails
}

// round is the time for one write, on average over all sockets.
type round struct{ processor, wall float64 } // nanoseconds

// connect starts the reader and accepts its connections.
func connect(ctx context.Context, c Config, core int) (*pairs, error) {
	listener, address, err := listen()
	if err != nil {
		return nil, err
	}
	defer unix.Close(listener)
	p := &pairs{errors: &strings.Builder{}}
	p.reader = exec.CommandContext(ctx, "/proc/self/exe")
	p.reader.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %d", Environ, address.Port, c.Conns, c.Bytes),
		"GODEBUG=asyncpreemptoff=1") // the signals would end its waits
	p.reader.Stderr = p.errors
	// Of its own group, because Ctrl-C is for this process to pass on.
	p.reader.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if p.rounds, err = p.reader.StdoutPipe(); err == nil {
		err = target.OnCore(core, p.reader.Start)
	}
	if err != nil {
		return nil, fmt.Errorf("start the reader: %w", err)
	}
	for len(p.fds) < c.Conns && err == nil {
		var fd int
		if fd, err = accept(ctx, listener); err == nil {
			p.fds = append(p.fds, fd)
		}
	}
	if err != nil {
		return nil, p.failed(err)
	}
	return p, nil
}

// listen opens a socket on a loopback port of the kernel's choice. What it
// accepts inherits its options.
func listen() (fd int, address *unix.SockaddrInet4, err error) {
	if fd, err = socket(); err != nil {
		return -1, nil, err
	}
	err = errors.Join(unix.Bind(fd, loopback(0)), unix.Listen(fd, 1024))
	if err == nil {
		var name unix.Sockaddr
		name, err = unix.Getsockname(fd)
		address, _ = name.(*unix.SockaddrInet4)
	}
	if err != nil {
		unix.Close(fd)
		return -1, nil, fmt.Errorf("listen: %w", err)
	}
	return fd, address, nil
}

// socket makes one with the options that both ends have.
func socket() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, bufferBytes)
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bufferBytes)
	return fd, nil
}

func loopback(port int) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
}

// accept waits for a connection in small steps, so that it can be given up.
func accept(ctx context.Context, listener int) (int, error) {
	const step, steps = 50, waitMs / 50
	for range steps {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}, step)
		switch {
		case ctx.Err() != nil:
			return -1, context.Cause(ctx)
		case err != nil && err != unix.EINTR:
			return -1, fmt.Errorf("poll: %w", err)
		case n > 0:
			fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
			if err != nil {
				return -1, fmt.Errorf("accept: %w", err)
			}
			return fd, nil
		}
	}
	return -1, errors.New("the reader does not connect")
}

// writes measures rounds of one write to each socket, behind those that the
// kernel treats otherwise.
func (p *pairs) writes(c Config, core int) (rounds []round, err error) {
	err = target.OnCore(core, func() error {
		defer debug.SetGCPercent(debug.SetGCPercent(-1))
		for range quickAcks + 1 {
			if _, err := p.round(c.Bytes); err != nil {
				return err
			}
		}
		for end := clock.Now() + int64(c.Duration); clock.Now() < end || len(rounds) < leastRounds; {
			r, err := p.round(c.Bytes)
			if err != nil {
				return err
			}
			rounds = append(rounds, r)
		}
		return nil
	})
	if err != nil {
		return nil, p.failed(err)
	}
	return rounds, nil
}

// round writes to each socket once, and waits until the reader has it all.
func (p *pairs) round(bytes int) (r round, err error) {
	message := make([]byte, bytes)
	processor, wall := threadTime(), clock.Now()
	for _, fd := range p.fds {
		if n, errno := send(fd, message); n != bytes {
			return r, fmt.Errorf("send: %w", errno)
		}
	}
	n := float64(len(p.fds))
	r = round{processor: float64(threadTime()-processor) / n, wall: float64(clock.Now()-wall) / n}
	if _, err := io.ReadFull(p.rounds, message[:1]); err != nil {
		return r, fmt.Errorf("wait for the reader: %w", err)
	}
	return r, nil
}

// send is send(2) as a raw system call: on a non-blocking descriptor it returns
// at once, so the scheduler need not be told.
func send(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

// threadTime is the processor time of the calling thread, in nanoseconds.
func threadTime() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic("floor: CLOCK_THREAD_CPUTIME_ID cannot be read: " + err.Error())
	}
	return t.Nano()
}

// failed ends everything, and adds what the reader has said to an error.
func (p *pairs) failed(err error) error {
	p.close()
	if said := strings.TrimSpace(p.errors.String()); said != "" {
		return fmt.Errorf("%w (the reader: %s)", err, said)
	}
	return err
}

// close ends the connections and the reader.
func (p *pairs) close() {
	for _, fd := range p.fds {
		unix.Close(fd)
	}
	p.fds = nil
	p.reader.Process.Kill()
	p.reader.Wait()
}
