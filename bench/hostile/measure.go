package hostile

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"throng/bench/target"
)

// Server is a server that was started to be attacked.
type Server struct {
	Process *target.Process
	Address netip.AddrPort
	Admin   string // the base of its /debug/pprof/
}

// State is what a server needs at one moment.
type State struct {
	RSS        int64
	HeapLive   int64
	FDs        int
	Goroutines int
	Sockets    target.Sockets
	NoSockets  string // why they could not be measured
}

// state measures one.
func (s *Server) state(ctx context.Context) (State, error) {
	runtime, err := target.ReadRuntime(ctx, s.Admin)
	if err != nil {
		return State{}, err
	}
	usage, err := target.Measure(s.Process.PID())
	if err != nil {
		return State{}, err
	}
	now := State{RSS: usage.RSS, FDs: usage.FDs, HeapLive: runtime.HeapLive, Goroutines: runtime.Goroutines}
	now.Sockets, err = target.MeasureSockets(ctx, s.Address.Port())
	if errors.Is(err, target.ErrNoTool) {
		now.NoSockets, err = err.Error(), nil
	}
	return now, err
}

// How often the watch looks, and how often it asks the server itself.
const (
	watchEvery = 50 * time.Millisecond
	askEvery   = 20 // looks
)

// watch follows the peaks while an attack goes on.
type watch struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	// To be read after stop.
	rss        int64
	fds        int
	goroutines int
}

// watch begins to look.
func (s *Server) watch(ctx context.Context) *watch {
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{cancel: cancel}
	w.done.Go(func() {
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for n := 0; ; n++ {
			if usage, err := target.Measure(s.Process.PID()); err == nil {
				w.rss, w.fds = max(w.rss, usage.RSS), max(w.fds, usage.FDs)
			}
			if n%askEvery == 0 {
				// A server that does not answer in time shows in the figures
				// of the honest pairs.
				if n, err := target.CountGoroutines(ctx, s.Admin); err == nil {
					w.goroutines = max(w.goroutines, int(n))
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return w
}

// stop ends the looking.
func (w *watch) stop() {
	w.cancel()
	w.done.Wait()
}

// How long the server has to be as it was before, once everybody has gone: its
// deadlines for closing connections are within.
const settleLimit = 45 * time.Second

// back says whether nothing is left of what came after an earlier state.
func (s *State) back(before State) bool {
	return s.FDs <= before.FDs && s.Sockets.Count <= before.Sockets.Count && s.HeapLive <= before.HeapLive+heapSlack
}

// settled waits until the server holds no more descriptors, sockets and memory
// than before, and returns its state then, or at the end of the patience. Who
// speaks throng.v1 may come back within half a minute.
func (s *Server) settled(ctx context.Context, before State) (State, error) {
	for until := time.Now().Add(settleLimit); ; {
		now, err := s.state(ctx)
		if err != nil || now.back(before) || time.Now().After(until) {
			return now, err
		}
		select {
		case <-ctx.Done():
			return now, context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}
