package sim

import (
	"slices"
	"sort"
	"syscall"

	"github.com/mailru/easygo/netpoll"

	"throng/poller"
)

// Bits that package poller does not name.
const (
	edge       poller.Event = 1 << 31
	pollClosed poller.Event = 0x20
)

// Batch sizes of easygo: a full batch doubles the next one.
const (
	firstBatch = 1024
	lastBatch  = 32768
)

// poll is what easygo's Epoll is: an epoll set with a callback for each number.
type poll struct {
	k  *Kernel
	id int

	// Guarded by the kernel's lock.
	callbacks map[int]func(poller.Event)
	ready     []*file // with an edge that was not reported yet
	batch     []call  // reported and not called yet
	size      int
	busy      bool // in a callback
	closed    bool
	done      chan struct{} // closed when the last callback has returned
	finished  bool
}

// call is a callback that is due, as it was when its batch was taken.
type call struct {
	fd       int
	callback func(poller.Event)
	event    poller.Event
}

// NewPoll implements poller.Kernel. Waiting never fails.
func (k *Kernel) NewPoll(func(error)) (poller.Poll, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := &poll{k: k, id: len(k.polls), callbacks: map[int]func(poller.Event){}, size: firstBatch, done: make(chan struct{})}
	k.polls = append(k.polls, p)
	return p, nil
}

// Add implements poller.Poll. The callback of an Add that fails stays.
func (p *poll) Add(fd int, events poller.Event, callback func(poller.Event)) error {
	k := p.k
	k.mu.Lock()
	defer k.mu.Unlock()
	if p.closed {
		return netpoll.ErrClosed
	}
	if _, has := p.callbacks[fd]; has {
		return netpoll.ErrRegistered
	}
	p.callbacks[fd] = callback
	f, err := k.file(fd)
	switch {
	case err != nil:
	case events&edge == 0:
		panic("sim: only edge-triggered descriptors are simulated")
	case f.poll == p:
		err = syscall.EEXIST
	case f.poll != nil:
		panic("sim: a descriptor in two polls is not simulated")
	case f.faulty() && k.chance(k.config.Faults.Add):
		err = []error{syscall.ENOSPC, syscall.ENOMEM}[k.rng.IntN(2)]
	}
	k.trace("poll %d: add %d: %v", p.id, fd, err)
	if err != nil {
		return err
	}
	f.poll, f.interest = p, events
	if event := f.state(); event != 0 {
		f.notify(event)
	}
	return nil
}

// Del implements poller.Poll.
func (p *poll) Del(fd int) error {
	k := p.k
	k.mu.Lock()
	defer k.mu.Unlock()
	if p.closed {
		return netpoll.ErrClosed
	}
	if _, has := p.callbacks[fd]; !has {
		return netpoll.ErrNotRegistered
	}
	delete(p.callbacks, fd)
	f, err := k.file(fd)
	if err == nil && f.poll != p {
		err = syscall.ENOENT
	}
	k.trace("poll %d: del %d: %v", p.id, fd, err)
	if err == nil {
		p.detach(f)
	}
	return err
}

// detach takes f out of the set. Callbacks that are due stay due. Under the lock.
func (p *poll) detach(f *file) {
	if f.linked {
		p.ready = slices.DeleteFunc(p.ready, func(other *file) bool { return other == f })
	}
	f.poll, f.linked = nil, false
}

// Close implements poller.Poll. Step has to be called meanwhile, by somebody else.
func (p *poll) Close() error {
	p.k.mu.Lock()
	if p.closed {
		p.k.mu.Unlock()
		return netpoll.ErrClosed
	}
	p.closed = true
	p.k.mu.Unlock()
	<-p.done

	p.k.mu.Lock()
	left := p.callbacks
	p.callbacks = nil
	for _, f := range p.k.files {
		if f != nil && f.poll == p {
			p.detach(f)
		}
	}
	p.k.mu.Unlock()
	var fds []int
	for fd := range left {
		fds = append(fds, fd)
	}
	sort.Ints(fds)
	for _, fd := range fds {
		left[fd](pollClosed)
	}
	return nil
}

// runnable says whether a step would do something. Under the lock.
func (p *poll) runnable() bool {
	return !p.finished && !p.busy && (p.closed || len(p.batch) > 0 || len(p.ready) > 0)
}

// take makes a batch of what is ready. Under the lock.
func (p *poll) take() {
	n := min(len(p.ready), p.size)
	if p.k.chance(p.k.config.Faults.Reorder) {
		p.k.rng.Shuffle(len(p.ready), func(i, j int) { p.ready[i], p.ready[j] = p.ready[j], p.ready[i] })
		n = min(n, 1+p.k.rng.IntN(n)) // the others were a little later
	}
	p.batch = p.batch[:0]
	for _, f := range p.ready[:n] {
		f.linked = false
		// What is reported is the state now, as the kernel does.
		if event := f.state() & (f.interest | poller.Error | poller.Hangup); event != 0 {
			if callback := p.callbacks[f.fd]; callback != nil {
				p.batch = append(p.batch, call{f.fd, callback, event})
			}
		}
	}
	p.ready = slices.Delete(p.ready, 0, n)
	if n == p.size && 2*n <= lastBatch {
		p.size = 2 * n
	}
}

// Step runs one callback of a poll that is drawn among those that have any. It reports whether there was one.
func (k *Kernel) Step() bool {
	k.mu.Lock()
	k.settle()
	k.mu.Unlock()
	return k.callback()
}

// callback is Step without the signals that wait for it.
func (k *Kernel) callback() bool {
	k.mu.Lock()
	k.step++
	runnable := make([]*poll, 0, 8)
	for _, p := range k.polls {
		if p.runnable() {
			runnable = append(runnable, p)
		}
	}
	if len(runnable) == 0 {
		k.mu.Unlock()
		return false
	}
	p := runnable[0]
	if len(runnable) > 1 {
		p = runnable[k.rng.IntN(len(runnable))]
	}
	if p.closed && len(p.batch) == 0 {
		p.finished = true
		k.mu.Unlock()
		close(p.done)
		return true
	}
	if len(p.batch) == 0 {
		p.take()
	}
	if len(p.batch) == 0 {
		k.mu.Unlock()
		return true // edges that were gone when they were looked at
	}
	c := p.batch[0]
	p.batch = p.batch[1:]
	k.trace("poll %d: event %v of %d", p.id, c.event, c.fd)
	p.busy = true
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		p.busy = false
		k.mu.Unlock()
	}()
	c.callback(c.event)
	return true
}

// meanwhile lets another poll go on while one is in a system call. A caller that holds a lock which both want never returns.
func (k *Kernel) meanwhile() {
	k.mu.Lock()
	overlap := k.chance(k.config.Faults.Overlap)
	k.mu.Unlock()
	if overlap {
		k.callback()
	}
}

// Idle says whether neither Step nor Deliver would do anything.
func (k *Kernel) Idle() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.settle()
	for _, p := range k.polls {
		if p.runnable() {
			return false
		}
	}
	return len(k.flight) == 0
}

// notify is the kernel's wake-up of an epoll entry: it is put into the ready list unless it stands there. Under the lock.
func (f *file) notify(event poller.Event) {
	if f.poll == nil || f.linked || event&(f.interest|poller.Error|poller.Hangup) == 0 {
		return
	}
	f.linked = true
	f.poll.ready = append(f.poll.ready, f)
}

// state is what the descriptor is ready for. Under the lock.
func (f *file) state() poller.Event {
	ready := false
	switch f.kind {
	case listener:
		ready = len(f.backlog) > 0
	case signal:
		ready = f.signalled
	case timer:
		ready = f.expired
	case socket:
		return f.remote.state()
	}
	if ready {
		return poller.Readable
	}
	return 0
}

// faulty tells descriptors that faults are for.
func (f *file) faulty() bool { return f.kind == socket && !f.remote.Steady }
