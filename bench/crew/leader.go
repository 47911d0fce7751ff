package crew

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"syscall"
	"time"

	"throng/bench/clock"
	"throng/bench/load"
	"throng/bench/report"
)

// headStart is how far ahead the beginning of the load is set, so that every
// member knows of it in time.
const headStart = 50 * time.Millisecond

// farewell is how long members may take to report after they were told to end.
const farewell = 30 * time.Second

// Environ tells a copy of the program which member it is, and of what.
const Environ = "THRONG_BENCH_MEMBER"

// event is a message from a member; closed is its last.
type event struct {
	from    int
	message message
	closed  bool
	err     error
}

// leader is the state of a crew.
type leader struct {
	processes []*exec.Cmd
	to        []*sender
	events    chan event
	parts     []*load.Part
	samples   [][]report.Sample
	shown     int
	totals    map[int]int64
	ready     int
	sent      int
	onSample  func(report.Sample)
}

// Lead starts a crew of copies of this program and returns their parts.
// environ is what each of them finds in Environ.
func Lead(ctx context.Context, environ []string, onSample func(report.Sample)) ([]*load.Part, error) {
	n := len(environ)
	l := &leader{events: make(chan event), parts: make([]*load.Part, n), samples: make([][]report.Sample, n),
		totals: make(map[int]int64), onSample: onSample}
	for i := range environ {
		if err := l.hire(i, environ[i]); err != nil {
			l.dismiss()
			return nil, err
		}
	}
	err := l.follow(ctx)
	l.dismiss()
	return l.parts, err
}

// hire starts one member.
func (l *leader) hire(i int, environ string) error {
	command := exec.Command("/proc/self/exe", os.Args[1:]...)
	command.Env = append(os.Environ(), Environ+"="+environ)
	command.Stderr = os.Stderr
	// Of its own group, because Ctrl-C is for the leader to pass on.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	in, err := command.StdinPipe()
	if err != nil {
		return fmt.Errorf("client process: %w", err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return fmt.Errorf("client process: %w", err)
	}
	if err := command.Start(); err != nil {
		return fmt.Errorf("client process: %w", err)
	}
	l.processes = append(l.processes, command)
	l.to = append(l.to, &sender{w: in})
	go func() {
		err := receive(out, func(m message) { l.events <- event{from: i, message: m} })
		l.events <- event{from: i, closed: true, err: err}
	}()
	return nil
}

// follow serves the members until all have ended.
func (l *leader) follow(ctx context.Context) error {
	var problem error
	interrupted := ctx.Done()
	var limit <-chan time.Time
	for running := len(l.processes); running > 0; {
		select {
		case e := <-l.events:
			if e.closed {
				running--
				if l.parts[e.from] == nil && problem == nil {
					problem = errors.Join(errors.New("a client process ended without a report"), e.err)
					l.tell(message{Kind: isCut, Text: "another client process failed"})
				}
				continue
			}
			if e.message.Kind == isError && problem == nil {
				problem = errors.New(e.message.Text)
				l.tell(message{Kind: isCut, Text: "another client process failed"})
			}
			l.serve(e.from, e.message)
		case <-interrupted:
			interrupted = nil
			l.tell(message{Kind: isCut, Text: context.Cause(ctx).Error()})
			limit = time.After(farewell)
		case <-limit:
			return errors.New("the client processes did not end in time")
		}
	}
	return problem
}

// serve takes one message.
func (l *leader) serve(from int, m message) {
	switch m.Kind {
	case isReady:
		if l.ready++; l.ready == len(l.processes) {
			l.tell(message{Kind: isBegin, At: clock.Now() + int64(headStart)})
		}
	case isSent:
		maps.Copy(l.totals, m.Counts)
		if l.sent++; l.sent == len(l.processes) {
			l.tell(message{Kind: isTotals, Counts: l.totals})
		}
	case isSample:
		l.samples[from] = append(l.samples[from], *m.Sample)
		l.show()
	case isPart:
		l.parts[from] = m.Part
	}
}

// show passes a second on once all members have reported it.
func (l *leader) show() {
	var sum []report.Sample
	for _, samples := range l.samples {
		if len(samples) <= l.shown {
			return
		}
		sum = load.AddSamples(sum, samples[l.shown:l.shown+1])
	}
	l.shown++
	if l.onSample != nil {
		l.onSample(sum[0])
	}
}

// tell sends a message to all. A member that cannot be reached has ended, which
// its own channel says.
func (l *leader) tell(m message) {
	for _, to := range l.to {
		_ = to.send(m)
	}
}

// dismiss ends what still runs.
func (l *leader) dismiss() {
	for _, process := range l.processes {
		process.Process.Kill()
	}
	go func() {
		for range l.events {
		}
	}()
	for _, process := range l.processes {
		process.Wait()
	}
}
