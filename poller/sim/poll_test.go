package sim_test

import (
	"errors"
	"io"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/mailru/easygo/netpoll"

	"throng/poller"
	"throng/poller/sim"
)

const (
	edge = poller.Event(1) << 31
	all  = poller.Readable | poller.Writable | poller.PeerShut | edge
	gone = poller.Event(0x20)
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func nothing(poller.Event) {}

// TestSameErrors asks easygo on the real kernel and the simulated one the same: what a poll answers is part of its contract.
func TestSameErrors(t *testing.T) {
	real, err := poller.System()
	must(t, err)
	kernels := map[string]poller.Kernel{"easygo": real, "sim": sim.New(sim.Config{})}
	for name, k := range kernels {
		p, err := k.NewPoll(func(err error) { t.Error(err) })
		must(t, err)
		one, err := k.NewSignal()
		must(t, err)
		two, err := k.NewSignal()
		must(t, err)
		const none = 9999
		steps := []struct {
			what string
			do   func() error
			want error
		}{
			{"Add", func() error { return p.Add(one, all, nothing) }, nil},
			{"Add again", func() error { return p.Add(one, all, nothing) }, netpoll.ErrRegistered},
			{"Del", func() error { return p.Del(one) }, nil},
			{"Del again", func() error { return p.Del(one) }, netpoll.ErrNotRegistered},
			{"Add what is not open", func() error { return p.Add(none, all, nothing) }, syscall.EBADF},
			{"Add after an Add that failed", func() error { return p.Add(none, all, nothing) }, netpoll.ErrRegistered},
			{"Del after an Add that failed", func() error { return p.Del(none) }, syscall.EBADF},
			{"Add after that Del", func() error { return p.Add(none, all, nothing) }, syscall.EBADF},
			{"Del of that", func() error { return p.Del(none) }, syscall.EBADF},
			{"Add of what is closed too early", func() error { return p.Add(two, all, nothing) }, nil},
			{"Close", func() error { return k.Close(two) }, nil},
			{"the same number", func() error {
				fd, err := k.NewSignal()
				if err == nil && fd != two {
					t.Skipf("%s: %d was not the lowest free number", name, two)
				}
				return err
			}, nil},
			{"Add of that number", func() error { return p.Add(two, all, nothing) }, netpoll.ErrRegistered},
			{"Del of that number", func() error { return p.Del(two) }, syscall.ENOENT},
			{"Add of that number again", func() error { return p.Add(two, all, nothing) }, nil},
		}
		for _, s := range steps {
			if err := s.do(); !errors.Is(err, s.want) {
				t.Errorf("%s: %s answers %v, not %v", name, s.what, err, s.want)
			}
		}
		must(t, p.Del(two))
		must(t, k.Close(one))
		must(t, k.Close(two))
		if k, ok := k.(*sim.Kernel); ok {
			done := make(chan error)
			go func() { done <- p.Close() }()
			for err = errBusy; err == errBusy; {
				k.Step()
				select {
				case err = <-done:
				default:
				}
			}
		} else {
			err = p.Close()
		}
		must(t, err)
		if err := p.Add(one, all, nothing); !errors.Is(err, netpoll.ErrClosed) {
			t.Errorf("%s: Add after Close answers %v", name, err)
		}
	}
}

var errBusy = errors.New("busy")

// bench is a kernel with a listener and a poll, in which nothing is left to chance.
type bench struct {
	*testing.T
	k      *sim.Kernel
	p      poller.Poll
	listen int
	heard  []poller.Event
}

func newBench(t *testing.T, c sim.Config) *bench {
	k := sim.New(c)
	listen, _, err := k.Listen("tcp", "here", poller.SocketOptions{})
	must(t, err)
	p, err := k.NewPoll(nil)
	must(t, err)
	return &bench{T: t, k: k, p: p, listen: listen}
}

// connect makes a connection and adds it.
func (b *bench) connect() (fd int, r *sim.Remote) {
	b.Helper()
	r, err := b.k.Dial("here")
	must(b.T, err)
	fd, err = b.k.Accept(b.listen)
	must(b.T, err)
	must(b.T, b.p.Add(fd, all, func(e poller.Event) { b.heard = append(b.heard, e) }))
	b.settle()
	return fd, r
}

// settle lets everything happen, and forgets what was heard.
func (b *bench) settle() {
	for b.k.Deliver() || b.k.Step() {
	}
	b.heard = nil
}

// hears asserts which events come.
func (b *bench) hears(want ...poller.Event) {
	b.Helper()
	for b.k.Deliver() || b.k.Step() {
	}
	if !slices.Equal(b.heard, want) {
		b.Errorf("heard %v, not %v", b.heard, want)
	}
	b.heard = nil
}

// Callbacks are those of the moment at which the batch was taken: a later one is called although an earlier one has
// closed its descriptor and given the number to another connection.
func TestBatchIsASnapshot(t *testing.T) {
	b := newBench(t, sim.Config{})
	var heard []string
	first, r1 := b.connect()
	second, r2 := b.connect()
	must(t, b.p.Del(first))
	must(t, b.p.Del(second))
	third, err := b.k.Dial("here")
	must(t, err)
	must(t, b.p.Add(first, all, func(poller.Event) {
		heard = append(heard, "first")
		if len(heard) > 1 {
			return
		}
		must(t, b.p.Del(second))
		must(t, b.k.Close(second))
		fd, err := b.k.Accept(b.listen)
		must(t, err)
		if fd != second {
			t.Errorf("the number %d was not used again, but %d", second, fd)
		}
		must(t, b.p.Add(fd, all, func(poller.Event) { heard = append(heard, "third") }))
	}))
	must(t, b.p.Add(second, all, func(poller.Event) { heard = append(heard, "second") }))
	for range 3 {
		b.k.Step()
	}
	if want := []string{"first", "second", "third"}; !slices.Equal(heard, want) {
		t.Errorf("heard %v, not %v", heard, want)
	}
	_, _, _ = r1, r2, third
}

// What epoll(7) says of edges: one for what comes, none for what is still there, and one for room only after there was none.
func TestEdges(t *testing.T) {
	b := newBench(t, sim.Config{SendBufferBytes: 300})
	fd, r := b.connect()
	buf := make([]byte, 1000)

	_, err := r.Write([]byte("abc"))
	must(t, err)
	b.hears(poller.Readable | poller.Writable)
	n, err := b.k.Read(fd, buf[:2])
	if n != 2 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
	b.hears() // the third byte is no edge

	if n, err := b.k.Write(fd, buf[:200]); n != 200 || err != nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	_, _ = r.Read(buf[:200])
	b.hears() // there was room all the time
	if n, err := b.k.Write(fd, buf[:301]); n != 300 || err != nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	if _, err := b.k.Write(fd, buf[:1]); err != syscall.EAGAIN {
		t.Errorf("a full socket answers %v", err)
	}
	_, _ = r.Read(buf[:99])
	b.hears() // less than a third is free
	_, _ = r.Read(buf[:1])
	b.hears(poller.Readable | poller.Writable)
	_, _ = r.Read(buf)

	r.CloseWrite()
	b.hears(poller.Readable | poller.Writable | poller.PeerShut)
	must(t, b.k.Shutdown(fd))
	b.hears(poller.Readable | poller.Writable | poller.PeerShut | poller.Hangup)
	if _, err := r.Read(buf); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
}

// An end that has overflowed hears nothing until it is read: what its peer reads meanwhile makes no room.
func TestOverflow(t *testing.T) {
	b := newBench(t, sim.Config{SendBufferBytes: 100, ReceiveBufferBytes: 100, Faults: sim.Faults{Overflow: 1024}})
	fd, r := b.connect()
	buf := make([]byte, 200)
	if n, err := b.k.Write(fd, buf); n != 100 || err != nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	for _, taken := range []int{100, 0} {
		if n, err := r.Write(buf); n != taken || err != nil {
			t.Errorf("the peer wrote %d, %v", n, err)
		}
		b.settle()
	}
	if n, err := r.Read(buf); n != 100 || err != nil {
		t.Errorf("the peer read %d, %v", n, err)
	}
	b.hears()
	if _, err := b.k.Write(fd, buf); err != syscall.EAGAIN {
		t.Errorf("a flooded socket answers %v", err)
	}
	if n, err := b.k.Read(fd, buf); n != 100 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
	b.hears(poller.Writable)
	if n, err := r.Write(buf); n != 100 || err != nil {
		t.Errorf("the peer wrote %d, %v", n, err)
	}
}

// TestOverlap: during a system call another poll goes on, and the one that makes it does not.
func TestOverlap(t *testing.T) {
	b := newBench(t, sim.Config{Faults: sim.Faults{Overlap: 1024}})
	fd, _ := b.connect()
	other, err := b.k.NewPoll(nil)
	must(t, err)
	var signals [3]int
	for i := range signals {
		signals[i], err = b.k.NewSignal()
		must(t, err)
	}
	var order []string
	must(t, b.p.Add(signals[0], all, func(poller.Event) {
		order = append(order, "begins")
		must(t, b.k.Signal(signals[2]))
		_, err := b.k.Write(fd, []byte("x"))
		must(t, err)
		order = append(order, "ends")
	}))
	must(t, b.p.Add(signals[1], all, func(poller.Event) { order = append(order, "the next") }))
	must(t, other.Add(signals[2], all, func(poller.Event) { order = append(order, "another") }))
	must(t, b.k.Signal(signals[0]))
	must(t, b.k.Signal(signals[1]))
	for b.k.Step() {
	}
	if want := []string{"begins", "another", "ends", "the next"}; !slices.Equal(order, want) {
		t.Errorf("%q, want %q", order, want)
	}
}

// A reset is told once, as an error; then the connection is at its end.
func TestReset(t *testing.T) {
	b := newBench(t, sim.Config{})
	fd, r := b.connect()
	r.Reset()
	b.hears(poller.Readable | poller.Writable | poller.PeerShut | poller.Hangup | poller.Error)
	if _, err := b.k.Read(fd, make([]byte, 9)); err != syscall.ECONNRESET {
		t.Errorf("read: %v", err)
	}
	if n, err := b.k.Read(fd, make([]byte, 9)); n != 0 || err != nil {
		t.Errorf("read again: %d, %v", n, err)
	}
	if _, err := b.k.Write(fd, make([]byte, 9)); err != syscall.EPIPE {
		t.Errorf("write: %v", err)
	}
}

// What the server waited for when it gave a connection up is known afterwards: since when it has got nothing out, and
// since when it has read nothing.
func TestPatience(t *testing.T) {
	b := newBench(t, sim.Config{SendBufferBytes: 100})
	fd, r := b.connect()
	write := func(size, taken int) {
		t.Helper()
		if n, _ := b.k.Write(fd, make([]byte, size)); n != taken {
			t.Errorf("%d bytes were taken of %d, not %d", n, size, taken)
		}
		b.k.Advance(time.Second)
	}
	write(60, 60)
	write(60, 40)
	write(60, -1)
	write(60, -1)
	_, err := r.Write(make([]byte, 9))
	must(t, err)
	b.settle()
	_, err = b.k.Read(fd, make([]byte, 9))
	must(t, err)
	b.k.Advance(time.Second)
	must(t, b.p.Del(fd))
	must(t, b.k.Close(fd))
	b.k.Advance(time.Second)
	if blocked, silent := r.Patience(); blocked != 4*time.Second || silent != time.Second {
		t.Errorf("blocked for %v, silent for %v", blocked, silent)
	}

	fd, r = b.connect()
	write(200, 100)
	_, err = r.Read(make([]byte, 100))
	must(t, err)
	write(60, 60)
	must(t, b.k.Close(fd))
	if blocked, silent := r.Patience(); blocked != 0 || silent != 2*time.Second {
		t.Errorf("blocked for %v, silent for %v", blocked, silent)
	}
}

// A timer expires again only when it was read, as the interface says.
func TestTimer(t *testing.T) {
	b := newBench(t, sim.Config{})
	fd, err := b.k.NewTimer()
	must(t, err)
	expired := 0
	must(t, b.p.Add(fd, poller.Readable|edge, func(poller.Event) { expired++ }))
	must(t, b.k.SetTimer(fd, time.Second, time.Second))
	expect := func(advance time.Duration, want int) {
		t.Helper()
		b.k.Advance(advance)
		for b.k.Step() {
		}
		if expired != want {
			t.Errorf("expired %d times, not %d", expired, want)
		}
	}
	expect(999*time.Millisecond, 0)
	expect(time.Millisecond, 1)
	expect(time.Hour, 1) // it was not read
	_, err = b.k.Read(fd, make([]byte, 8))
	must(t, err)
	expect(999*time.Millisecond, 1)
	expect(time.Millisecond, 2)
}

// Whatever faults come, what was written arrives, as long as each short call waits for the next edge.
func TestFaultsKeepTheContract(t *testing.T) {
	for seed := range uint64(50) {
		often := sim.Faults{Interrupt: 200, ShortRead: 500, ReadAgain: 300, ShortWrite: 500, WriteAgain: 300, Reorder: 500}
		k := sim.New(sim.Config{Seed: seed, Faults: often, SendBufferBytes: 100, ReceiveBufferBytes: 100})
		listen, _, err := k.Listen("unix", "here", poller.SocketOptions{})
		must(t, err)
		p, err := k.NewPoll(nil)
		must(t, err)
		r, err := k.Dial("here")
		must(t, err)
		fd := -1
		for fd < 0 {
			fd, _ = k.Accept(listen)
		}
		// The server's end sends back what it reads.
		var waiting []byte
		must(t, p.Add(fd, all, func(poller.Event) {
			buf := make([]byte, 64)
			for err := error(nil); err != syscall.EAGAIN; {
				var n int
				if n, err = k.Read(fd, buf); err == nil {
					waiting = append(waiting, buf[:n]...)
				}
			}
			for err := error(nil); len(waiting) > 0 && err != syscall.EAGAIN; {
				var n int
				if n, err = k.Write(fd, waiting); err == nil {
					waiting = waiting[n:]
				}
			}
		}))
		sent, got, buf := 0, 0, make([]byte, 64)
		for moved := true; moved; {
			moved = k.Deliver()
			moved = k.Step() || moved
			if n, err := r.Write(make([]byte, min(50, 5000-sent))); err == nil && n > 0 {
				sent, moved = sent+n, true
			}
			if n, err := r.Read(buf); err == nil {
				got, moved = got+n, true
			}
		}
		if got != 5000 {
			t.Errorf("seed %d: %d bytes came back of %d", seed, got, sent)
		}
	}
}
