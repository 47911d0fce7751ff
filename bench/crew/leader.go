package crew

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// Limits of waiting for members; tests have less patience.
var (
	// silence is how long a member may say nothing, which reports each second.
	silence = time.Minute
	// farewell is how long members may take to report after they were told to end.
	farewell = 30 * time.Second
)

// unheard is how many messages to a member may wait for it to read: more than
// there are in a run.
const unheard = 16

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
	to        []chan message
	heard     []time.Time // when each member said something; zero once it has ended
	events    chan event
	parts     []*load.Part
	samples   [][]report.Sample
	shown     int
	totals    map[int]int64
	ready     int
	sent      int
	limited   bool
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
	command, in, out, err := start(environ)
	if err != nil {
		return err
	}
	l.processes = append(l.processes, command)
	to := make(chan message, unheard)
	l.to, l.heard = append(l.to, to), append(l.heard, time.Now())
	go func() {
		// On its own, because a member that is stuck does not read. What cannot
		// be written has no reader any more, which its output says as well.
		s := sender{w: in}
		for m := range to {
			_ = s.send(m)
		}
	}()
	go func() {
		err := receive(out, func(m message) { l.events <- event{from: i, message: m} })
		l.events <- event{from: i, closed: true, err: err}
	}()
	return nil
}

// start makes a copy of this program that finds environ in Environ.
func start(environ string) (command *exec.Cmd, in io.Writer, out io.Reader, err error) {
	command = exec.Command("/proc/self/exe", os.Args[1:]...)
	command.Env = append(os.Environ(), Environ+"="+environ)
	command.Stderr = os.Stderr
	// Of its own group, because Ctrl-C is for the leader to pass on.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	in, err = command.StdinPipe()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("client process: %w", err)
	}
	out, err = command.StdoutPipe()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("client process: %w", err)
	}
	if err := command.Start(); err != nil {
		return nil, nil, nil, fmt.Errorf("client process: %w", err)
	}
	return command, in, out, nil
}

// follow serves the members until all have ended, or the first problem's
// farewell is over.
func (l *leader) follow(ctx context.Context) error {
	var problem error
	interrupted := ctx.Done()
	var limit <-chan time.Time
	fail := func(err error) {
		if problem == nil {
			problem = err
			l.tell(message{Kind: isCut, Text: "another client process failed"})
			limit = time.After(farewell)
		}
	}
	watch := time.NewTicker(silence / 8)
	defer watch.Stop()
	for running := len(l.processes); running > 0; {
		select {
		case e := <-l.events:
			if e.closed {
				running--
				l.heard[e.from] = time.Time{}
				if l.parts[e.from] == nil {
					fail(errors.Join(fmt.Errorf("client process %d ended without a report", e.from), e.err))
				}
				continue
			}
			l.heard[e.from] = time.Now()
			if err := l.serve(e.from, e.message); err != nil {
				fail(err)
			}
		case now := <-watch.C:
			for i, heard := range l.heard {
				if !heard.IsZero() && now.Sub(heard) > silence {
					l.heard[i] = time.Time{}
					fail(fmt.Errorf("client process %d is stuck: it has said nothing for %s", i, silence))
					l.processes[i].Process.Kill()
				}
			}
		case <-interrupted:
			interrupted = nil
			l.tell(message{Kind: isCut, Text: context.Cause(ctx).Error()})
			limit = time.After(farewell)
		case <-limit:
			return errors.Join(problem, fmt.Errorf("the client processes did not end within %s", farewell))
		}
	}
	return problem
}

// serve takes one message; an error is the end of the crew.
func (l *leader) serve(from int, m message) error {
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
	case isLimit:
		if !l.limited {
			l.limited = true
			l.tell(message{Kind: isLimit})
		}
	case isError:
		return errors.New(m.Text)
	case isSample:
		if m.Sample == nil {
			return fmt.Errorf("client process %d sent an empty sample", from)
		}
		l.samples[from] = append(l.samples[from], *m.Sample)
		l.show()
	case isPart:
		l.parts[from] = m.Part
	default:
		return fmt.Errorf("client process %d sent a message of the unknown kind %q", from, m.Kind)
	}
	return nil
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

// tell sends a message to all. It does not wait for them.
func (l *leader) tell(m message) {
	for _, to := range l.to {
		select {
		case to <- m:
		default: // it has not read for long, and is about to be found stuck
		}
	}
}

// dismiss ends what still runs.
func (l *leader) dismiss() {
	for i, process := range l.processes {
		process.Process.Kill()
		close(l.to[i])
	}
	go func() {
		for range l.events {
		}
	}()
	for _, process := range l.processes {
		process.Wait()
	}
}
