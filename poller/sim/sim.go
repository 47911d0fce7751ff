// Package sim is a kernel without a machine: a poller.Kernel on which the whole server runs in one goroutine, and
// everything that can happen is drawn from a seed.
//
// Its one idea: nothing happens by itself. Each call of [Kernel.Step] runs one callback of one poll, each call of
// [Kernel.Deliver] lets one thing arrive that is on its way, and [Kernel.Advance] moves the clock. Whoever calls them
// decides what comes next; what is left to chance is drawn from the seed. So a run is a function of its seed.
//
//	Remote.Write -- wire -- Deliver --> queue -- edge --> poll -- Step --> callback -- Read
//	Remote.Read <----------------------- queue <-------------------------- callback -- Write
//
// A poll has easygo's contract, its traps included: callbacks are copied when a batch is taken and called one by one, so
// that one is called although its descriptor was removed, or its number used again, by another of its batch; the number of
// an Add that failed, or that was closed before Del, stays registered; Close calls what is left on its caller's
// goroutine, and never returns on a callback. Between two callbacks of a batch everything else can happen. While one
// of them is in a system call another poll can go on.
//
// Descriptors are numbered lowest first, as POSIX asks, so that a number that was closed is soon another one's. Edges are
// those of epoll(7) with EPOLLET: a socket reports room for output only after it had none and when a third of its buffer is
// free; one of a unix socket does so whenever its peer reads.
//
// Faults come at the rates of [Faults]. What Linux promises holds in spite of them: a write that is short, or answers
// EAGAIN, is followed by an edge, and so is a read that does not fill its buffer as soon as there is more.
//
// The methods of a Kernel may be called on any goroutine; a run is deterministic as long as one of them acts at a time.
// Those of a [Remote] belong to the goroutine that steps.
package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"throng/poller"
)

// Config is how a Kernel behaves.
type Config struct {
	Seed   uint64
	Faults Faults
	// Files is the number of descriptors that may be open; 0 does not limit them.
	Files int
	// SendBufferBytes and ReceiveBufferBytes are what a connection's two directions hold. Defaults: 4 KiB.
	SendBufferBytes, ReceiveBufferBytes int
	// Trace takes a line for each event and each call on a socket. Optional.
	Trace io.Writer
}

// Faults are rates: so many of 1,024 calls.
type Faults struct {
	Interrupt  int // EINTR, on Read, Write and Accept
	ShortRead  int // what was not given arrives again later
	ReadAgain  int // EAGAIN although there is input, which arrives again later
	ShortWrite int // room comes back later
	WriteAgain int // EAGAIN although there is room, which comes back later
	Reset      int // ECONNRESET, drawn for each connection, at any byte of either direction
	Accept     int // EMFILE, ENFILE, ENOBUFS, ENOMEM or ECONNABORTED
	Add        int // ENOSPC or ENOMEM, from EPOLL_CTL_ADD
	Shutdown   int // ENOTCONN
	Option     int // EINVAL
	Reorder    int // a batch that is not in the order of its edges, or misses some until the next one
	Overlap    int // a Read or Write during which another poll goes on, as on another processor
	Slow       int // a look at the clock that takes up to three milliseconds
	Overflow   int // a receive buffer that overflows, once or twice, drawn for each connection: until it is read, the peer is not heard
}

// Kernel is a simulated poller.Kernel.
type Kernel struct {
	config Config

	mu        sync.Mutex // guards everything
	rng       *rand.Rand
	off       bool    // no faults
	files     []*file // by descriptor; nil: free
	lowest    int     // no number below it is free
	open      Open
	polls     []*poll
	flight    []*Remote // those with something on its way
	apart     bool      // signals wait for the next step
	signals   []*file   // those that wait
	listeners map[string]*file
	now       time.Duration
	wall      time.Time
	step      uint64
	misused   error
}

// Open counts the open descriptors by what they are.
type Open struct{ Listeners, Conns, Signals, Timers int }

// firstFd is the first number that is given out; 0 to 2 are the process's.
const firstFd = 3

// New makes a kernel.
func New(c Config) *Kernel {
	if c.SendBufferBytes == 0 {
		c.SendBufferBytes = 4 << 10
	}
	if c.ReceiveBufferBytes == 0 {
		c.ReceiveBufferBytes = 4 << 10
	}
	return &Kernel{
		config: c, rng: rand.New(rand.NewPCG(c.Seed, 0x7468726f6e67)), files: make([]*file, firstFd), lowest: firstFd,
		listeners: map[string]*file{}, now: time.Hour, wall: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

// Quiet switches all faults off, or on again.
func (k *Kernel) Quiet(off bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.off = off
}

// Open counts the open descriptors.
func (k *Kernel) Open() Open {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.open
}

// Misused is the first call with a number behind which there was nothing: with a little less luck it would have been
// another connection.
func (k *Kernel) Misused() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.misused
}

// Full says whether no descriptor is free.
func (k *Kernel) Full() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := k.open.Listeners + k.open.Conns + k.open.Signals + k.open.Timers
	return k.config.Files > 0 && n >= k.config.Files-firstFd
}

// chance draws whether a fault happens. Under the lock.
func (k *Kernel) chance(rate int) bool { return rate > 0 && !k.off && k.rng.IntN(1024) < rate }

// Note writes a line to the trace.
func (k *Kernel) Note(format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.trace(format, args...)
}

// trace notes what happens. Under the lock.
func (k *Kernel) trace(format string, args ...any) {
	if k.config.Trace != nil {
		fmt.Fprintf(k.config.Trace, "%6d %v "+format+"\n", append([]any{k.step, k.now}, args...)...)
	}
}

// kind is what a descriptor is.
type kind uint8

const (
	listener kind = iota
	socket
	signal
	timer
)

// file is what a descriptor stands for.
type file struct {
	fd       int
	kind     kind
	poll     *poll // that it was added to
	interest poller.Event
	linked   bool // stands in poll's ready list

	remote *Remote // the other end of a socket

	// A listener.
	unix    bool
	address string
	backlog []*Remote

	signalled bool // a signal

	// A timer.
	armed, expired bool
	due, interval  time.Duration
}

// counter is the count that f is in. Under the lock.
func (k *Kernel) counter(f *file) *int {
	return [...]*int{listener: &k.open.Listeners, socket: &k.open.Conns, signal: &k.open.Signals, timer: &k.open.Timers}[f.kind]
}

// install gives f the lowest free number. Under the lock.
func (k *Kernel) install(f *file) (int, error) {
	for k.lowest < len(k.files) && k.files[k.lowest] != nil {
		k.lowest++
	}
	if k.config.Files > 0 && k.lowest >= k.config.Files {
		return -1, syscall.EMFILE
	}
	if k.lowest == len(k.files) {
		k.files = append(k.files, nil)
	}
	f.fd = k.lowest
	k.files[f.fd] = f
	*k.counter(f)++
	return f.fd, nil
}

// file is what stands behind a number. Under the lock.
func (k *Kernel) file(fd int, kinds ...kind) (*file, error) {
	if fd < 0 || fd >= len(k.files) || k.files[fd] == nil {
		if k.misused == nil {
			k.misused = fmt.Errorf("a call with the descriptor %d, which is not open", fd)
		}
		return nil, syscall.EBADF
	}
	f := k.files[fd]
	for _, want := range kinds {
		if f.kind == want {
			return f, nil
		}
	}
	if len(kinds) > 0 {
		return nil, syscall.EINVAL
	}
	return f, nil
}

// Close implements poller.Kernel. The poll keeps the callback, as easygo does.
func (k *Kernel) Close(fd int) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, err := k.file(fd)
	if err != nil {
		return err
	}
	if f.kind == socket {
		k.trace("close %d", fd)
	}
	if f.poll != nil {
		f.poll.detach(f)
	}
	*k.counter(f)--
	k.files[fd] = nil
	k.lowest = min(k.lowest, fd)
	switch f.kind {
	case listener:
		delete(k.listeners, f.address)
		for _, r := range f.backlog {
			r.reset(syscall.ECONNRESET)
		}
	case socket:
		f.remote.serverClosed()
	}
	return nil
}

// Listen implements poller.Kernel. It takes any address, and does not look at opts.
func (k *Kernel) Listen(network, address string, _ poller.SocketOptions) (int, net.Addr, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.listeners[address] != nil {
		return -1, nil, syscall.EADDRINUSE
	}
	f := &file{kind: listener, unix: network == "unix", address: address}
	fd, err := k.install(f)
	if err != nil {
		return -1, nil, err
	}
	k.listeners[address] = f
	if f.unix {
		return fd, &net.UnixAddr{Name: address, Net: network}, nil
	}
	return fd, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}, nil
}

// NewSignal implements poller.Kernel.
func (k *Kernel) NewSignal() (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.install(&file{kind: signal})
}

// Apart has the edges of signals wait for the next step, or no longer. It is for the time in which another goroutine calls the
// server: then it does not matter when during a step that one has signalled.
func (k *Kernel) Apart(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.apart = on
	k.settle()
}

// Signal implements poller.Kernel. It calls nobody, since its caller may hold locks.
func (k *Kernel) Signal(fd int) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, err := k.file(fd, signal)
	if err != nil {
		return err
	}
	f.signalled = true
	if k.apart {
		k.signals = append(k.signals, f)
	} else {
		f.notify(poller.Readable)
	}
	return nil
}

// settle gives the edges of signals that wait. At the beginning of all that moves the kernel, under the lock.
func (k *Kernel) settle() {
	slices.SortFunc(k.signals, func(a, b *file) int { return a.fd - b.fd })
	for _, f := range k.signals {
		f.notify(poller.Readable)
	}
	k.signals = k.signals[:0]
}

// Peer implements poller.Kernel: everybody comes from loopback.
func (k *Kernel) Peer(fd int) (netip.Addr, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, err := k.file(fd, socket)
	if err != nil {
		return netip.Addr{}, err
	}
	if f.remote != nil && f.remote.unix {
		return netip.Addr{}, syscall.EAFNOSUPPORT
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
}

// Random implements poller.Kernel: it is as random as the seed.
func (k *Kernel) Random(p []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range p {
		p[i] = byte(k.rng.Uint32())
	}
}

var _ poller.Kernel = (*Kernel)(nil)
