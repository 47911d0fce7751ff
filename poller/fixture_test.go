//go:build linux

package poller_test

import (
	"net"
	"os"
	"runtime"
	"slices"
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
