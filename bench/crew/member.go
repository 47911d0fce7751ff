package crew

import (
	"io"
	"sync/atomic"

	"throng/bench/load"
	"throng/bench/report"
)

// member is the gate of a run in a process of its own.
type member struct {
	leader *sender
	begin  atomic.Int64
	totals atomic.Pointer[map[int]int64]
	halted atomic.Bool
}

// Work runs a part and reports it to the leader at the other end of in and out.
func Work(config load.Config, in io.Reader, out io.Writer) error {
	m := &member{leader: &sender{w: out}}
	config.Gate = m
	run, err := load.New(config)
	if err != nil {
		return m.leader.send(message{Kind: isError, Text: err.Error()})
	}
	run.OnSample = func(s report.Sample) { m.leader.send(message{Kind: isSample, Sample: &s}) }
	go func() {
		receive(in, func(got message) {
			switch got.Kind {
			case isBegin:
				m.begin.Store(got.At)
			case isTotals:
				m.totals.Store(&got.Counts)
			case isLimit:
				m.halted.Store(true)
			case isStop:
				run.Stop()
			case isCut:
				run.Cut(got.Text)
			}
		})
		run.Cut("the leading process has ended")
	}()
	if err := run.Go(); err != nil {
		return m.leader.send(message{Kind: isError, Text: err.Error()})
	}
	return m.leader.send(message{Kind: isPart, Part: run.Part()})
}

// Ready says that this process's connections are open.
func (m *member) Ready() { m.leader.send(message{Kind: isReady}) }

// Begin is when the load begins, once that is known.
func (m *member) Begin() (at int64, known bool) {
	at = m.begin.Load()
	return at, at != 0
}

// Sent says how many messages each sender of this process has sent.
func (m *member) Sent(counts map[int]int64) { m.leader.send(message{Kind: isSent, Counts: counts}) }

// Totals is how many each sender of all processes has sent, once that is known.
func (m *member) Totals() (counts map[int]int64, known bool) {
	if p := m.totals.Load(); p != nil {
		return *p, true
	}
	return nil, false
}

// Limit says that this process has met the limit that is looked for.
func (m *member) Limit() { m.leader.send(message{Kind: isLimit}) }

// Limited reports whether any process has.
func (m *member) Limited() bool { return m.halted.Load() }
