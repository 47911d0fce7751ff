package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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
	pid     int // of the server: of the shell, or of what the shell has started
	handle  int // a pidfd of it, or -1
}

// Spawn starts a command line and waits until something accepts connections at
// the address. The caller must Stop it.
func Spawn(ctx context.Context, commandLine, address string) (*Process, error) {
	if connection, err := net.DialTimeout("tcp", address, time.Second); err == nil {
		connection.Close()
		return nil, fmt.Errorf("something already listens at %s; it would be measured instead of %q", address, commandLine)
	}
	p := &Process{command: exec.Command("sh", "-c", withoutShell(commandLine)), exited: make(chan struct{}), handle: -1}
	p.command.Stdout, p.command.Stderr = &p.output, &p.output
	p.command.WaitDelay = stopLimit // for what has left the group and still holds the output
	// Of its own process group: Ctrl-C is for the bench, which then stops it;
	// and if the bench is killed, the server goes with it.
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start %q: %w", commandLine, err)
	}
	p.pid = p.command.Process.Pid
	go func() {
		p.command.Wait()
		close(p.exited)
	}()
	err := p.awaitListener(ctx, address)
	if err != nil {
		p.Stop()
		return nil, fmt.Errorf("%q: %w%s", commandLine, err, p.output.String())
	}
	p.pid = behindShell(p.pid)
	if p.handle, err = unix.PidfdOpen(p.pid, 0); err != nil {
		p.handle = -1
	}
	return p, nil
}

// withoutShell lets a simple command take the place of the shell, so that its
// signals and its exit status come without a mediator.
func withoutShell(commandLine string) string {
	name, _, _ := strings.Cut(strings.TrimSpace(commandLine), " ")
	if strings.ContainsAny(commandLine, ";&|(){}\n") || strings.Contains(name, "=") || name == "exec" {
		return commandLine
	}
	return "exec " + commandLine
}

// behindShell is what a shell has been started for. It may have become the last
// command of its line itself, or wait for it.
func behindShell(pid int) int {
	shell, err := exec.LookPath("sh")
	if err != nil {
		return pid
	}
	shell, _ = filepath.EvalSymlinks(shell)
	program, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if started := children(pid); program == shell && len(started) == 1 {
		return started[0]
	}
	return pid // the server, or the shell of several, which are measured together
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
func (p *Process) PID() int { return p.pid }

// Exited is closed once the server has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// endLimit is how long the end of a server may take to be known after its
// connections have ended.
const endLimit = 200 * time.Millisecond

// Ended says how the server has ended by itself, if it has: an error with its
// exit status and its last output. Its connections may be lost a moment earlier,
// so where that looks likely there is a short wait.
func (p *Process) Ended(likely bool) error {
	if likely {
		select {
		case <-p.exited:
		case <-time.After(endLimit):
		}
	}
	select {
	case <-p.exited:
		return &EndError{Status: p.command.ProcessState.String(), Output: p.output.String()}
	default:
		return nil
	}
}

// EndError is the end of a server in the middle of a run.
type EndError struct {
	Status string // "exit status 2"
	Output string // the last lines that it has printed, each on a line of its own
}

func (e *EndError) Error() string { return "the server ended by itself: " + e.Status + e.Output }

// Output is the end of what the server has printed, on lines of its own.
func (p *Process) Output() string { return p.output.String() }

// Stop ends the server: politely, then not.
func (p *Process) Stop() {
	group := -p.command.Process.Pid
	syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(stopLimit):
		syscall.Kill(group, syscall.SIGKILL)
		<-p.exited
	}
	if p.handle >= 0 { // a shell ends before what it has started
		unix.Poll([]unix.PollFd{{Fd: int32(p.handle), Events: unix.POLLIN}}, int(stopLimit/time.Millisecond))
		unix.Close(p.handle)
		p.handle = -1
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
