package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// How long a spawned server may take to answer, and to end.
const (
	startLimit = 20 * time.Second
	stopLimit  = 10 * time.Second
)

// Process is a server that Spawn has started.
type Process struct {
	command *exec.Cmd
	output  tail
	exited  chan struct{}
}

// Spawn starts a command line and waits until something accepts connections at
// the address. The caller must Stop it.
func Spawn(ctx context.Context, commandLine, address string) (*Process, error) {
	if connection, err := net.DialTimeout("tcp", address, time.Second); err == nil {
		connection.Close()
		return nil, fmt.Errorf("something already listens at %s; it would be measured instead of %q", address, commandLine)
	}
	// exec keeps the shell from standing between this process and the server.
	p := &Process{command: exec.Command("sh", "-c", "exec "+commandLine), exited: make(chan struct{})}
	p.command.Stdout, p.command.Stderr = &p.output, &p.output
	// Of its own process group: Ctrl-C is for the bench, which then stops it;
	// and if the bench is killed, the server goes with it.
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start %q: %w", commandLine, err)
	}
	go func() {
		p.command.Wait()
		close(p.exited)
	}()
	if err := p.awaitListener(ctx, address); err != nil {
		p.Stop()
		return nil, fmt.Errorf("%q: %w%s", commandLine, err, p.output.String())
	}
	return p, nil
}

// awaitListener tries to connect until it works.
func (p *Process) awaitListener(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("does not listen at %s within %s", address, startLimit))
	defer cancel()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		if connection, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			return connection.Close()
		}
		select {
		case <-p.exited:
			return errors.New("ended before it listened at " + address)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-retry.C:
		}
	}
}

// PID is the process to measure.
func (p *Process) PID() int { return p.command.Process.Pid }

// Exited reports whether the server has ended by itself.
func (p *Process) Exited() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// Output is the end of what the server has printed, on lines of its own.
func (p *Process) Output() string { return p.output.String() }

// Stop ends the server: politely, then not.
func (p *Process) Stop() {
	group := -p.PID()
	syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(stopLimit):
		syscall.Kill(group, syscall.SIGKILL)
		<-p.exited
	}
}

// tail keeps the last lines that a process prints.
type tail struct {
	mu   sync.Mutex
	last []byte
}

const tailBytes = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, b...)
	t.last = t.last[max(0, len(t.last)-tailBytes):]
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.last) == 0 {
		return ""
	}
	return "\n  " + strings.ReplaceAll(string(bytes.TrimSpace(t.last)), "\n", "\n  ")
}
