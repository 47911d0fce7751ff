package server_test

import (
	"errors"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"throng/poller"
)

// kernel is the real kernel with a clock and timers that the test moves, and with
// faults that it orders. Nothing happens in it unless it is asked for.
type kernel struct {
	poller.Kernel
	accepted chan int // the descriptors that Accept gave out, in order

	mu        sync.Mutex
	now       time.Duration
	look      time.Duration // what a look at the clock takes
	timers    map[int]*timer
	polls     []*poll
	budgets   map[int]int     // bytes that Write still takes, by descriptor
	readFails map[int][]error // what the next Reads answer, by descriptor
	accepts   []error         // what the next Accepts answer
	blocked   error           // what every Accept answers
	tries     int             // calls of Accept
	reads     int             // calls of Read that gave bytes
	shut      map[int]bool    // descriptors that were shut down
	timeouts  map[int]time.Duration
	from      netip.Addr // what Peer answers, if it is valid
	fatal     func(error)
	fail      map[string]int // calls left until one of that name fails
}

// timer stands for a timer descriptor: an eventfd that the test writes.
type timer struct {
	due, interval time.Duration
	armed         bool
}

func newKernel(t testing.TB) *kernel {
	t.Helper()
	system, err := poller.System()
	must(t, err)
	return &kernel{
		Kernel: system, accepted: make(chan int, 1<<14), now: time.Hour, timers: map[int]*timer{}, budgets: map[int]int{},
		readFails: map[int][]error{}, shut: map[int]bool{}, timeouts: map[int]time.Duration{}, fail: map[string]int{},
	}
}

var errOrdered = errors.New("ordered by the test")

// failing counts a call down; the last one fails.
func (k *kernel) failing(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail[name] > 0 {
		k.fail[name]--
		return k.fail[name] == 0
	}
	return false
}

func (k *kernel) Now() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now += k.look
	return k.now
}

func (k *kernel) NewTimer() (int, error) {
	if k.failing("NewTimer") {
		return -1, errOrdered
	}
	fd, err := k.NewSignal()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.timers[fd] = &timer{}
	return fd, err
}

func (k *kernel) SetTimer(fd int, first, interval time.Duration) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	*k.timers[fd] = timer{due: k.now + first, interval: interval, armed: first > 0}
	return nil
}

// advance moves the clock and signals the timers that are due. The caller waits
// until the workers have heard it.
func (k *kernel) advance(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now += d
	for fd, t := range k.timers {
		if t.armed && t.due <= k.now {
			t.armed, t.due = t.interval > 0, k.now+t.interval
			_ = k.Signal(fd)
		}
	}
}

func (k *kernel) Accept(fd int) (int, error) {
	k.mu.Lock()
	k.tries++
	err := k.blocked
	if len(k.accepts) > 0 {
		err, k.accepts = k.accepts[0], k.accepts[1:]
	}
	k.mu.Unlock()
	if err != nil {
		return -1, err
	}
	n, err := k.Kernel.Accept(fd)
	if err == nil {
		k.accepted <- n
	}
	return n, err
}

func (k *kernel) Peer(fd int) (netip.Addr, error) {
	if k.failing("Peer") {
		return netip.Addr{}, errOrdered
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.from.IsValid() {
		return k.from, nil
	}
	return k.Kernel.Peer(fd)
}

func (k *kernel) Read(fd int, p []byte) (int, error) {
	k.mu.Lock()
	if fails := k.readFails[fd]; len(fails) > 0 {
		err := fails[0]
		k.readFails[fd] = fails[1:]
		k.mu.Unlock()
		return -1, err
	}
	k.mu.Unlock()
	n, err := k.Kernel.Read(fd, p)
	if n > 0 {
		k.mu.Lock()
		k.reads++
		k.mu.Unlock()
	}
	return n, err
}

// Write takes no more than the test allows: a short write, then EAGAIN.
func (k *kernel) Write(fd int, p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	budget, limited := k.budgets[fd]
	switch {
	case !limited:
		return k.Kernel.Write(fd, p)
	case budget == 0:
		return -1, syscall.EAGAIN
	case budget < 0:
		return -1, syscall.Errno(-budget)
	}
	n, err := k.Kernel.Write(fd, p[:min(len(p), budget)])
	if err == nil {
		k.budgets[fd] -= n
	}
	return n, err
}

func (k *kernel) Shutdown(fd int) error {
	k.mu.Lock()
	k.shut[fd] = true
	k.mu.Unlock()
	return k.Kernel.Shutdown(fd)
}

func (k *kernel) Close(fd int) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.budgets, fd)
	delete(k.readFails, fd)
	delete(k.shut, fd)
	delete(k.timers, fd)
	return k.Kernel.Close(fd)
}

func (k *kernel) SetUserTimeout(fd int, d time.Duration) error {
	k.mu.Lock()
	k.timeouts[fd] = d
	k.mu.Unlock()
	return k.Kernel.SetUserTimeout(fd, d)
}

// allow lets n more bytes out of fd; any number without it.
func (k *kernel) slow(look time.Duration) { k.mu.Lock(); k.look = look; k.mu.Unlock() }
func (k *kernel) allow(fd, n int)         { k.mu.Lock(); k.budgets[fd] = n; k.mu.Unlock() }

// come has everybody come from that address; empty for where they really do.
func (k *kernel) come(from string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.from = (netip.Addr{}); from != "" {
		k.from = netip.MustParseAddr(from)
	}
}

// failWrites has every Write to fd fail.
func (k *kernel) failWrites(fd int, err syscall.Errno) { k.allow(fd, -int(err)) }

func (k *kernel) free(fd int) { k.mu.Lock(); delete(k.budgets, fd); k.mu.Unlock() }

// failReads has the next Reads of fd answer errs, one each.
func (k *kernel) failReads(fd int, errs ...error) {
	k.mu.Lock()
	k.readFails[fd] = errs
	k.mu.Unlock()
}

// failAccepts has the next Accepts answer errs, one each, and then always after.
func (k *kernel) failAccepts(always error, errs ...error) {
	k.mu.Lock()
	k.blocked, k.accepts = always, errs
	k.mu.Unlock()
}

func (k *kernel) failCall(name string, number int) { k.mu.Lock(); k.fail[name] = number; k.mu.Unlock() }

// count reads one of the counters.
func (k *kernel) count(p *int) int { k.mu.Lock(); defer k.mu.Unlock(); return *p }

// NewPoll makes a real poll whose callbacks the test can call, too.
func (k *kernel) NewPoll(fatal func(error)) (poller.Poll, error) {
	if k.failing("NewPoll") {
		return nil, errOrdered
	}
	real, err := k.Kernel.NewPoll(fatal)
	if err != nil {
		return nil, err
	}
	p := &poll{Poll: real, kernel: k, callbacks: map[int]func(poller.Event){}}
	k.mu.Lock()
	k.polls, k.fatal = append(k.polls, p), fatal
	k.mu.Unlock()
	return p, nil
}

// poll remembers each callback, even of descriptors that were removed.
type poll struct {
	poller.Poll
	kernel    *kernel
	mu        sync.Mutex
	callbacks map[int]func(poller.Event)
}

func (p *poll) Add(fd int, events poller.Event, callback func(poller.Event)) error {
	if p.kernel.failing("Add") {
		return errOrdered
	}
	p.mu.Lock()
	p.callbacks[fd] = callback
	p.mu.Unlock()
	return p.Poll.Add(fd, events, callback)
}

func (p *poll) callback(fd int) func(poller.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.callbacks[fd]
}
