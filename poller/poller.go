// Package poller runs connections on a few workers, fed by epoll.
//
// Its one idea: the goroutine that waits for readiness is the worker. There is
// no queue between the kernel's event and the code that reads the socket.
//
//	       epoll (easygo)          epoll (easygo)
//	            |                       |
//	Post --> Worker 0               Worker 1   <-- Wake
//	            |                       |
//	       Ready, Ready, …         Ready, Ready, …     at most 64, then a short turn: posted, hook
//	            |                       |
//	          turn                    turn             once for a batch: posted, again, hook
//
// A [Pool] has a fixed number of [Worker]s. Each is fed by its own [Poll] and
// owns the descriptors that were added to it: Add, Del and Again are for its
// own goroutine; Post and Wake are for anybody.
//
// A descriptor is added once, edge-triggered, for reading and for writing, and
// never modified. What an [Event] says is a hint: only read and write decide.
// An edge comes once, so a [Handler] that stops before EAGAIN asks for another
// call with Again.
//
// All system calls go through a [Kernel]. [System] is the real one; tests put
// a simulated one in its place.
package poller

import "fmt"

// Limits of one turn. They bound how long a worker can stay away from epoll.
const (
	// maxCallbacks is the number of callbacks after which a short turn runs even
	// though easygo's batch, which may hold 32,768 of them, is not over.
	maxCallbacks = 64
	// maxAgain is the number of queued handlers called in one turn.
	maxAgain = 64
)

// Config says how a Pool runs.
type Config struct {
	// Kernel is the operating system, real or simulated.
	Kernel Kernel
	// Workers is the number of workers, at least 1.
	Workers int
	// Hook runs on each worker in its turn, after the posted functions. It
	// does a bounded amount of work and reports whether some is left. Optional.
	Hook func(w *Worker) (more bool)
	// Fatal is called on the worker when its poll has failed for good. The
	// worker will never run again: the process should end. Default: panic.
	Fatal func(err error)
}

// Pool is a fixed set of workers.
type Pool struct {
	workers []*Worker
}

// New starts cfg.Workers workers. The error, if any, is the operating
// system's: no descriptor left, most often.
func New(cfg Config) (*Pool, error) {
	if cfg.Kernel == nil || cfg.Workers < 1 {
		panic("poller: New needs a kernel and at least one worker")
	}
	if cfg.Hook == nil {
		cfg.Hook = func(*Worker) bool { return false }
	}
	if cfg.Fatal == nil {
		cfg.Fatal = func(err error) { panic(err) }
	}
	p := &Pool{}
	for i := range cfg.Workers {
		w, err := newWorker(cfg, i)
		if err != nil {
			p.Close()
			return nil, fmt.Errorf("start worker %d: %w", i, err)
		}
		p.workers = append(p.workers, w)
	}
	return p, nil
}

// Workers returns the workers; the slice is not to be changed.
func (p *Pool) Workers() []*Worker { return p.workers }

// Close ends all workers and waits for them. Handlers that were not removed
// before hear nothing. It must not be called on a worker: easygo would wait
// for itself.
func (p *Pool) Close() error {
	var first error
	for _, w := range p.workers {
		if err := w.close(); err != nil && first == nil {
			first = fmt.Errorf("close worker %d: %w", w.id, err)
		}
	}
	p.workers = nil
	return first
}
