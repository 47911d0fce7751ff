package crew

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync/atomic"
	"time"

	"throng/bench/clock"
	"throng/bench/load"
)

// Hand is one copy of this program that is led alone: it runs a load (Work) or a
// task (Toil) beside others that do something else.
type Hand struct {
	process *exec.Cmd
	to      *sender
	ready   chan struct{}
	done    chan struct{}

	// What it has reported; to be read when it is done.
	part   *load.Part
	report json.RawMessage
	err    error
}

// Hire starts a hand, which finds environ in Environ.
func Hire(environ string) (*Hand, error) {
	process, in, out, err := start(environ)
	if err != nil {
		return nil, err
	}
	h := &Hand{process: process, to: &sender{w: in}, ready: make(chan struct{}), done: make(chan struct{})}
	go h.follow(out)
	return h, nil
}

// follow takes what the hand says until it has ended.
func (h *Hand) follow(out io.Reader) {
	defer close(h.done)
	isReadyNow := false
	err := receive(out, func(m message) {
		switch m.Kind {
		case isReady:
			if !isReadyNow {
				isReadyNow = true
				close(h.ready)
			}
		case isSent:
			_ = h.to.send(message{Kind: isTotals, Counts: m.Counts}) // it is alone: these are all
		case isPart:
			h.part = m.Part
		case isReport:
			h.report = m.Report
		case isError:
			h.err = errors.New(m.Text)
		}
	})
	h.process.Wait()
	if h.err == nil && h.part == nil && h.report == nil {
		h.err = errors.Join(errors.New("a client process ended without a report"), err)
	}
}

// PID is the hand's process.
func (h *Hand) PID() int { return h.process.Process.Pid }

// Ready waits until the hand's connections are open.
func (h *Hand) Ready(ctx context.Context) error {
	select {
	case <-h.ready:
		return nil
	case <-h.done:
		return h.err
	case <-ctx.Done():
		return fmt.Errorf("wait for a client process to be ready: %w", context.Cause(ctx))
	}
}

// Begin lets a load begin; a task begins by itself.
func (h *Hand) Begin() { _ = h.to.send(message{Kind: isBegin, At: clock.Now()}) }

// Done is closed when the hand has reported and ended.
func (h *Hand) Done() <-chan struct{} { return h.done }

// Stop has it end what it does, and waits for its report.
func (h *Hand) Stop() error {
	_ = h.to.send(message{Kind: isStop})
	select {
	case <-h.done:
	case <-time.After(farewell):
		h.Dismiss()
		return errors.New("a client process did not end in time")
	}
	return h.err
}

// Dismiss ends it at once.
func (h *Hand) Dismiss() {
	h.process.Process.Kill()
	<-h.done
}

// Part is what a load found out, once it is done.
func (h *Hand) Part() *load.Part { return h.part }

// Report reads what a task found out, once it is done.
func (h *Hand) Report(into any) error {
	if err := json.Unmarshal(h.report, into); err != nil {
		return fmt.Errorf("the report of a client process: %w", err)
	}
	return nil
}

// Orders are what a task is told by its leader. Any goroutine may ask.
type Orders struct {
	leader  *sender
	stopped atomic.Bool
}

// Ready tells the leader that the task is prepared.
func (o *Orders) Ready() { _ = o.leader.send(message{Kind: isReady}) }

// Stopped reports whether it is time to end.
func (o *Orders) Stopped() bool { return o.stopped.Load() }

// Toil does a task for the leader at the other end of in and out, and reports
// what it returns. A leader that is gone has stopped it.
func Toil(in io.Reader, out io.Writer, task func(*Orders) (any, error)) error {
	o := &Orders{leader: &sender{w: out}}
	go func() {
		_ = receive(in, func(m message) {
			if m.Kind == isStop {
				o.stopped.Store(true)
			}
		})
		o.stopped.Store(true)
	}()
	report, err := task(o)
	if err != nil {
		return o.leader.send(message{Kind: isError, Text: err.Error()})
	}
	text, err := json.Marshal(report)
	if err != nil {
		return fmt.Errorf("encode a report: %w", err)
	}
	return o.leader.send(message{Kind: isReport, Report: text})
}
