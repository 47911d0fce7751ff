//go:build linux

// Package main_test holds the poller to its contract from outside, on real
// sockets. poller/worker_test.go has the order of its turns, poller/linux_test.go
// what only concerns the Linux kernel.
//
// No test sleeps or measures time. "Nothing comes" is shown with a barrier: a
// descriptor that is ready before a function is posted is reported by epoll no
// later than the wake-up that runs the function (in batches of less than 64).
package main_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"throng/poller"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what must come. It is never used up,
// except by a fault.
const patience = 30 * time.Second

// fixture is a pool of one worker.
type fixture struct {
	*testing.T
	kernel poller.Kernel
	pool   *poller.Pool
	worker *poller.Worker
}

// start starts a pool, and at the test's end closes it and asserts that
// goroutines and descriptors are back where they were.
func start(t *testing.T, hook func(*poller.Worker) bool) *fixture {
	t.Helper()
	restored(t)
	kernel, err := poller.System()
	must(t, err)
	pool, err := poller.New(poller.Config{Kernel: kernel, Workers: 1, Hook: hook})
	must(t, err)
	t.Cleanup(func() { must(t, pool.Close()) })
	return &fixture{t, kernel, pool, pool.Workers()[0]}
}

// run runs f on the worker and waits for it. f must not end the test.
func (x *fixture) run(f func()) {
	x.Helper()
	done := make(chan struct{})
	x.worker.Post(func() { defer close(done); f() })
	await(x.T, done)
}

// barrier returns when every event that was due has been heard.
func (x *fixture) barrier() { x.Helper(); x.run(func() {}); x.run(func() {}) }

// add adds fd on the worker, which must be where it is called.
func (x *fixture) add(fd int, h *handler) *handler {
	h.worker = x.worker
	x.check(x.worker.Add(fd, h))
	return h
}

// check reports err; unlike must it may be called on the worker.
func (x *fixture) check(err error) {
	if err != nil {
		x.Error(err)
	}
}

// accept returns both ends of a connection that the worker accepted.
func (x *fixture) accept(network string) (int, net.Conn) {
	x.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(x.TempDir(), "socket")
	}
	listener, bound, err := x.kernel.Listen(network, address, poller.SocketOptions{SendBufferBytes: 64 << 10, ReceiveBufferBytes: 64 << 10})
	must(x.T, err)
	accepted := make(chan int, 1)
	x.run(func() {
		x.add(listener, &handler{ready: func(poller.Event) {
			if fd, err := x.kernel.Accept(listener); err != syscall.EAGAIN {
				x.check(err)
				accepted <- fd
			}
		}})
	})
	peer, err := net.Dial(network, bound.String())
	must(x.T, err)
	fd := await(x.T, accepted)
	x.run(func() { x.check(x.worker.Del(listener)); x.check(x.kernel.Close(listener)) })
	x.Cleanup(func() {
		peer.Close()
		x.run(func() { _ = x.worker.Del(fd); x.check(x.kernel.Close(fd)) })
	})
	return fd, peer
}

// pair returns two connected unix sockets: what one writes is there for the
// other at once, so that tests can say which events are due together.
func (x *fixture) pair() (fd, peer int) {
	x.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	must(x.T, err)
	x.Cleanup(func() { x.kernel.Close(fds[0]); x.kernel.Close(fds[1]) })
	return fds[0], fds[1]
}

// handler is a poller.Handler made of functions.
type handler struct {
	worker   *poller.Worker
	ready    func(poller.Event)
	panicked func(v any, stack []byte)
}

func (h *handler) Worker() *poller.Worker       { return h.worker }
func (h *handler) Ready(e poller.Event)         { h.ready(e) }
func (h *handler) Panicked(v any, stack []byte) { h.panicked(v, stack) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func await[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("what should have come has not come")
		panic("unreachable")
	}
}

// restored asserts, after everything else of the test, that goroutines and
// descriptors are back.
func restored(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // the runtime makes its own poll at the first use
	must(t, err)
	l.Close()
	before, goroutines := descriptors(t), runtime.NumGoroutine()
	t.Cleanup(func() {
		for deadline := time.Now().Add(patience); runtime.NumGoroutine() > goroutines; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), goroutines)
			}
		}
		if after := descriptors(t); !slices.Equal(before, after) {
			t.Errorf("descriptors %v, before %v", after, before)
		}
	})
}

// descriptors lists the open ones, but not the one that lists them.
func descriptors(t *testing.T) (open []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			open = append(open, e.Name()+" "+to)
		}
	}
	return open
}

func TestReadinessIsReported(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			x := start(t, nil)
			fd, peer := x.accept(network)
			events := make(chan poller.Event, 64)
			until := func(want poller.Event) {
				t.Helper()
				for await(t, events)&want == 0 {
				}
			}
			read := func(want string, wantErr error) {
				t.Helper()
				p := make([]byte, 8)
				n, err := x.kernel.Read(fd, p)
				if err != wantErr || string(p[:max(n, 0)]) != want {
					t.Fatalf("read %d %q, %v; want %q, %v", n, p, err, want, wantErr)
				}
			}
			x.run(func() { x.add(fd, &handler{ready: func(e poller.Event) { events <- e }}) })
			if e := await(t, events); e&poller.Writable == 0 {
				t.Errorf("the first event of a new connection is %v, not writable", e)
			}
			read("", syscall.EAGAIN)
			for _, text := range []string{"one", "two"} {
				_, err := io.WriteString(peer, text)
				must(t, err)
				until(poller.Readable)
				read(text, nil)
				read("", syscall.EAGAIN)
			}
			must(t, peer.(interface{ CloseWrite() error }).CloseWrite())
			until(poller.PeerShut)
			read("", nil)
			_, err := x.kernel.Write(fd, []byte("late"))
			must(t, err)
			must(t, x.kernel.Shutdown(fd))
			until(poller.Hangup) // both sides are shut
			if got, err := io.ReadAll(peer); string(got) != "late" || err != nil {
				t.Errorf("the peer that had shut its side read %q, %v", got, err)
			}
		})
	}
}

// An echo that stops at every short write and after every 16 KiB read, as the
// server does, comes to the end only if no edge is lost in either direction.
func TestEchoLosesNoEdge(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			x := start(t, nil)
			fd, peer := x.accept(network)
			short, echoed := make(chan struct{}), make(chan []byte, 1)
			var h *handler
			x.run(func() { h = x.add(fd, echo(x, fd, sync.OnceFunc(func() { close(short) }))) })
			sent := make([]byte, 8<<20)
			rand.NewChaCha8([32]byte{}).Read(sent)
			go func() {
				for rest := sent; len(rest) > 0; {
					n, err := peer.Write(rest[:min(len(rest), 1+rand.IntN(100_000))])
					if x.check(err); err != nil {
						return
					}
					rest = rest[n:]
				}
			}()
			await(t, short) // the peer reads nothing until the echo is stuck
			go func() {
				got := make([]byte, len(sent))
				_, err := io.ReadFull(peer, got)
				x.check(err)
				echoed <- got
			}()
			if !bytes.Equal(await(t, echoed), sent) {
				t.Error("the echo is not what was sent")
			}
			x.run(func() { h.ready = func(poller.Event) {} }) // a last Again may come after the close
		})
	}
}

// echo writes back what it reads from fd, calls short at each short write, and
// waits then for the next edge.
func echo(x *fixture, fd int, short func()) *handler {
	h := &handler{}
	buffer := make([]byte, 16<<10)
	var rest []byte
	h.ready = func(poller.Event) {
		if len(rest) == 0 {
			n, err := x.kernel.Read(fd, buffer)
			if n <= 0 {
				if err != syscall.EAGAIN {
					x.check(err)
				}
				return
			}
			rest = buffer[:n]
		}
		n, err := x.kernel.Write(fd, rest)
		if err != syscall.EAGAIN {
			x.check(err)
			rest = rest[max(n, 0):]
		}
		if len(rest) > 0 {
			short()
			return
		}
		x.worker.Again(h) // no edge comes for input that is already there
	}
	return h
}

// Two handlers are due in one batch. The first closes the other, whose number
// is used again at once.
func TestReusedNumberHearsNothingStale(t *testing.T) {
	x := start(t, nil)
	type end struct {
		fd, peer int
		closed   bool
		late     []poller.Event
	}
	var ends [2]end
	for i := range ends {
		ends[i].fd, ends[i].peer = x.pair()
		_, err := x.kernel.Write(ends[i].peer, []byte("due"))
		must(t, err)
	}
	spare, sparePeer := x.pair()
	var fresh []poller.Event
	replace := func(old *end) {
		old.closed = true
		x.check(x.worker.Del(old.fd))
		x.check(unix.Dup3(spare, old.fd, unix.O_CLOEXEC)) // closes, and uses the number again
		x.add(old.fd, &handler{ready: func(e poller.Event) { fresh = append(fresh, e) }})
	}
	x.run(func() {
		for i := range ends {
			x.add(ends[i].fd, &handler{ready: func(e poller.Event) {
				if me, other := &ends[i], &ends[1-i]; me.closed {
					me.late = append(me.late, e)
				} else if !other.closed {
					replace(other)
				}
			}})
		}
	})
	x.barrier()
	x.run(func() {
		if late := append(ends[0].late, ends[1].late...); len(late) != 1 || late[0]&poller.Readable == 0 {
			t.Errorf("the closed handler heard %v, not its one late event", late)
		}
		if !slices.Equal(fresh, []poller.Event{poller.Writable}) {
			t.Errorf("the new handler heard %v, not only that it is writable", fresh)
		}
		_, err := x.kernel.Write(sparePeer, []byte("new"))
		x.check(err)
	})
	x.barrier()
	x.run(func() {
		if len(fresh) != 2 || fresh[1]&poller.Readable == 0 {
			t.Errorf("the new handler heard %v; its last event should be readable", fresh)
		}
	})
}

// signals counts what is written to the wake-up descriptors.
type signals struct {
	poller.Kernel
	n atomic.Int64
}

func (k *signals) Signal(fd int) error { k.n.Add(1); return k.Kernel.Signal(fd) }

func TestWakeUpsAreCoalesced(t *testing.T) {
	restored(t)
	system, err := poller.System()
	must(t, err)
	kernel, turns := &signals{Kernel: system}, 0
	pool, err := poller.New(poller.Config{Kernel: kernel, Workers: 1, Hook: func(*poller.Worker) bool { turns++; return false }})
	must(t, err)
	defer pool.Close()
	x := &fixture{t, kernel, pool, pool.Workers()[0]}
	x.barrier()
	x.run(func() { // the worker is busy while everybody wakes it
		turns = 0
		kernel.n.Store(0)
		var producers sync.WaitGroup
		for range 8 {
			producers.Go(func() {
				for range 1000 {
					x.worker.Wake()
				}
			})
		}
		producers.Wait()
		if n := kernel.n.Load(); n != 1 {
			t.Errorf("8,000 wake-ups made %d system calls, not 1", n)
		}
	})
	x.barrier()
	// The turn that was under way, the one for all wake-ups, and at most one for
	// each of the barrier's two posts.
	x.run(func() {
		if turns < 2 || turns > 4 {
			t.Errorf("8,000 wake-ups made %d turns", turns)
		}
	})
}

// Each producer waits for its item before it brings the next, so that nearly
// every wake-up is the last one, and a lost one stops the test.
func TestWakeUpsAreNeverLost(t *testing.T) {
	const producers, rounds = 4, 3000
	var pending [producers]atomic.Bool
	var taken [producers]chan struct{}
	for i := range taken {
		taken[i] = make(chan struct{}, 1)
	}
	x := start(t, func(*poller.Worker) bool {
		for i := range pending {
			if pending[i].Swap(false) {
				taken[i] <- struct{}{}
			}
		}
		runtime.Gosched() // here, producers bring their next items
		return false
	})
	var all sync.WaitGroup
	for i := range producers {
		all.Go(func() {
			for range rounds {
				pending[i].Store(true)
				x.worker.Wake()
				select {
				case <-taken[i]:
				case <-time.After(patience):
					t.Error("a wake-up was lost")
					return
				}
			}
		})
	}
	all.Wait()
}

func TestPanicIsContained(t *testing.T) {
	x := start(t, nil)
	bad, badPeer := x.pair()
	good, goodPeer := x.pair()
	panics, heard := make(chan any, 8), make(chan poller.Event, 8)
	h := &handler{}
	h.ready = func(e poller.Event) { panic(e) }
	h.panicked = func(v any, stack []byte) {
		if !bytes.Contains(stack, []byte("TestPanicIsContained")) {
			t.Errorf("the stack does not name the culprit:\n%s", stack)
		}
		panics <- v
	}
	x.run(func() {
		x.add(bad, h)
		x.add(good, &handler{ready: func(e poller.Event) { heard <- e }})
	})
	await(t, panics)
	await(t, heard)
	for _, peer := range []int{badPeer, goodPeer} {
		_, err := x.kernel.Write(peer, []byte("x"))
		must(t, err)
	}
	if v, ok := await(t, panics).(poller.Event); !ok || v&poller.Readable == 0 {
		t.Errorf("Panicked was given %v", v)
	}
	await(t, heard)
	x.run(func() { x.worker.Again(h) })
	if v := await(t, panics); v != poller.Readable {
		t.Errorf("after Again, Panicked was given %v", v)
	}
	x.barrier()
}

func TestCloseIsSilentAndComplete(t *testing.T) {
	heard, turns := 0, 0
	x := start(t, func(*poller.Worker) bool { turns++; return false })
	fd, _ := x.pair()
	x.run(func() { x.add(fd, &handler{ready: func(poller.Event) { heard++ }}) })
	x.barrier()
	var heardBefore, turnsBefore int
	x.run(func() { heardBefore, turnsBefore = heard, turns+1 }) // this turn's hook is still to come
	must(t, x.pool.Close())
	must(t, x.pool.Close())
	if heard != heardBefore || turns != turnsBefore {
		t.Errorf("Close itself called handlers %d and the hook %d times", heard-heardBefore, turns-turnsBefore)
	}
	again := start(t, nil)
	events := make(chan poller.Event, 8)
	again.run(func() { again.add(fd, &handler{ready: func(e poller.Event) { events <- e }}) })
	await(t, events)
}
