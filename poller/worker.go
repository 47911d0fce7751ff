package poller

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mailru/easygo/netpoll"
)

// Handler is what stands behind a descriptor: a connection, a listener, a
// timer. Its methods are called on its worker only. It must know by itself
// whether it is still open: a callback that was due when another one closed
// it still comes, even if the descriptor's number has been used again since.
type Handler interface {
	// Worker returns the worker that the handler was added to.
	Worker() *Worker
	// Ready is called with each edge, and after Again with Readable.
	Ready(e Event)
	// Panicked is called when Ready has panicked with v. The worker goes on.
	Panicked(v any, stack []byte)
}

// Worker is one event loop. A turn has this order:
//
//  1. clear the wake-up flag, so that whatever is queued from here on wakes again;
//  2. run the posted functions;
//  3. call the handlers that asked for it with Again;
//  4. run the hook;
//  5. wake itself when 2, 3 or 4 left work.
//
// It runs when the worker is woken, which is once for a batch of events. After every 64 callbacks of a long batch runs a short
// one: 2 and 4. If those who ask again were called in it, too, they would have a part of each 64 callbacks, and everybody
// else one callback in a batch of a thousand: with ten attacks at once that made a message take 45 ms instead of 15.
type Worker struct {
	id     int
	kernel Kernel
	poll   Poll
	hook   func(*Worker) bool
	wakeFd int

	// Turn state. Owned by the worker.
	callbacks int           // since the last turn
	began     time.Duration // when the first of them came, or the turn without any
	again     []Handler     // to be called in the next turn
	spare     []Handler     // the other half of again's double buffer
	running   []func()      // the other half of posted's double buffer

	// Producers' state. Any goroutine.
	woken  atomic.Bool // the eventfd was written, and no turn has begun since
	dead   atomic.Bool // the poll has failed, or is closed
	mu     sync.Mutex  // guards posted, and wakeFd against its closing
	posted []func()
}

// newWorker starts a worker; its goroutine is the one that the poll waits on.
func newWorker(cfg Config, id int) (*Worker, error) {
	w := &Worker{id: id, kernel: cfg.Kernel, hook: cfg.Hook}
	var err error
	if w.wakeFd, err = w.kernel.NewSignal(); err != nil {
		return nil, fmt.Errorf("make the wake-up descriptor: %w", err)
	}
	w.poll, err = w.kernel.NewPoll(func(err error) {
		// The poll's number may be somebody else's by now: never use it again.
		if w.dead.Swap(true) {
			return // easygo reports a second error when it cannot close either
		}
		cfg.Fatal(fmt.Errorf("wait for events on worker %d: %w", id, err))
	})
	if err != nil {
		w.kernel.Close(w.wakeFd)
		return nil, fmt.Errorf("make the poll: %w", err)
	}
	// The eventfd is never read: edge-triggered, each write is an edge.
	if err := w.poll.Add(w.wakeFd, Readable|edge, w.wakened); err != nil {
		w.poll.Close()
		w.kernel.Close(w.wakeFd)
		return nil, fmt.Errorf("add the wake-up descriptor: %w", err)
	}
	return w, nil
}

// ID is the worker's number, from 0.
func (w *Worker) ID() int { return w.id }

// Kernel is the kernel that the worker runs on.
func (w *Worker) Kernel() Kernel { return w.kernel }

// Busy is how long the worker has been at work since its last turn, for a hook that is to have
// its share of the time. It may count a wait for events as well. On its worker only.
func (w *Worker) Busy() time.Duration { return w.kernel.Now() - w.began }

// Add registers fd for reading and writing, edge-triggered. On its worker only.
// After an error the number can be used again at once.
func (w *Worker) Add(fd int, h Handler) error {
	if w.dead.Load() {
		return netpoll.ErrClosed
	}
	// The closure holds h, which is two words, and nothing else: it is paid for
	// each connection.
	err := w.poll.Add(fd, Readable|Writable|PeerShut|edge, func(e Event) { h.Worker().dispatch(h, e) })
	if err != nil {
		if !errors.Is(err, netpoll.ErrRegistered) && !errors.Is(err, netpoll.ErrClosed) {
			// easygo keeps the callback of an Add that failed, and would
			// refuse this number from now on.
			_ = w.poll.Del(fd)
		}
		return fmt.Errorf("add descriptor %d to the poll: %w", fd, err)
	}
	return nil
}

// Del removes fd. On its worker only, and before fd is closed: the other order
// leaves the number registered in easygo for good.
func (w *Worker) Del(fd int) error {
	if w.dead.Load() {
		return netpoll.ErrClosed
	}
	if err := w.poll.Del(fd); err != nil {
		return fmt.Errorf("remove descriptor %d from the poll: %w", fd, err)
	}
	return nil
}

// Again has h.Ready called with Readable in the next whole turn, since no edge will
// come for input that is already there. On its worker only, and once per turn.
func (w *Worker) Again(h Handler) {
	w.again = append(w.again, h)
	w.Wake()
}

// Post has f run on the worker in its next turn. Any goroutine. Functions run
// in the order in which they were posted; a panic in one ends the process.
func (w *Worker) Post(f func()) {
	w.mu.Lock()
	w.posted = append(w.posted, f)
	w.mu.Unlock()
	w.Wake()
}

// Wake has the worker run a turn soon. Any goroutine. What was queued before
// Wake is seen by that turn; many calls make one turn.
func (w *Worker) Wake() {
	if w.woken.Swap(true) {
		return
	}
	w.mu.Lock() // the number must not be closed, and used again, meanwhile
	defer w.mu.Unlock()
	if w.dead.Load() {
		return
	}
	if err := w.kernel.Signal(w.wakeFd); err != nil {
		panic(fmt.Sprintf("poller: wake worker %d: %v", w.id, err))
	}
}

// dispatch is the callback of every descriptor.
func (w *Worker) dispatch(h Handler, e Event) {
	if e == pollClosed {
		return // on the goroutine of whoever closes the poll
	}
	w.work()
	w.call(h, e)
	if w.callbacks++; w.callbacks >= maxCallbacks {
		w.turn(false)
	}
}

// work notes when work began.
func (w *Worker) work() {
	if w.callbacks == 0 {
		w.began = w.kernel.Now()
	}
}

// call contains a panic: it costs its handler, not the process.
func (w *Worker) call(h Handler, e Event) {
	defer func() {
		if v := recover(); v != nil {
			h.Panicked(v, debug.Stack())
		}
	}()
	h.Ready(e)
}

// wakened is the callback of the wake-up descriptor.
func (w *Worker) wakened(e Event) {
	if e != pollClosed {
		w.turn(true)
	}
}

// turn does what waits, in the order that the comment of Worker gives. A short one leaves the wake-up flag, whose edge is
// still to come.
func (w *Worker) turn(whole bool) {
	w.work()
	w.callbacks = 0
	if whole {
		w.woken.Store(false)
	}
	w.runPosted()
	if whole {
		w.runAgain()
	}
	if more := w.hook(w); more || len(w.again) > 0 {
		w.Wake()
	}
}

func (w *Worker) runPosted() {
	w.mu.Lock()
	w.running, w.posted = w.posted, w.running[:0]
	w.mu.Unlock()
	for i, f := range w.running {
		w.running[i] = nil
		f()
	}
}

func (w *Worker) runAgain() {
	// Those that must wait stand before those that ask again meanwhile:
	// otherwise the same 64 would be called for ever.
	n := min(len(w.again), maxAgain)
	w.spare, w.again = w.again, append(w.spare[:0], w.again[n:]...)
	for _, h := range w.spare[:n] {
		w.call(h, Readable)
	}
	clear(w.spare)
}

// close ends the worker from outside.
func (w *Worker) close() error {
	w.dead.Store(true)
	err := w.poll.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	if e := w.kernel.Close(w.wakeFd); err == nil {
		err = e
	}
	return err
}
