//go:build linux

package poller_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"throng/poller"

	"golang.org/x/sys/unix"
)

func TestUnreadInputNeedsAgain(t *testing.T) {
	x := start(t, nil)
	fd, peer := x.pair()
	var got []byte
	again, h := false, &handler{}
	h.ready = func(e poller.Event) {
		var p [1]byte
		if n, _ := x.kernel.Read(fd, p[:]); n == 1 && e&poller.Readable != 0 {
			got = append(got, p[0])
			if again {
				x.worker.Again(h)
			}
		}
	}
	_, err := x.kernel.Write(peer, []byte("abcdef"))
	must(t, err)
	x.run(func() { x.add(fd, h) })
	x.barrier()
	x.run(func() {
		if string(got) != "a" {
			t.Errorf("one edge came for %q", got)
		}
		again = true
		x.worker.Again(h)
	})
	for range "bcdef" {
		x.barrier()
	}
	x.run(func() {
		if string(got) != "abcdef" {
			t.Errorf("read %q with Again", got)
		}
	})
}

func TestPostedFunctionsRunInOrder(t *testing.T) {
	const producers, posts = 8, 1000
	x := start(t, nil)
	var next [producers]int // the worker's alone, says the race detector
	var all sync.WaitGroup
	for i := range producers {
		all.Go(func() {
			for n := range posts {
				x.worker.Post(func() {
					if next[i] != n {
						t.Errorf("producer %d: function %d ran in place of %d", i, n, next[i])
					}
					next[i] = n + 1
				})
			}
		})
	}
	all.Wait()
	x.run(func() {
		for i, n := range next {
			if n != posts {
				t.Errorf("producer %d: %d functions ran", i, n)
			}
		}
	})
}

func TestOrderOfATurn(t *testing.T) {
	var order []string
	note := func(what string) { order = append(order, what) }
	x := start(t, func(*poller.Worker) bool { note("hook"); return false })
	h := &handler{worker: x.worker, ready: func(poller.Event) { note("again") }}
	x.run(func() {
		order = nil
		x.worker.Again(h)
		x.worker.Post(func() { note("posted in the next turn") })
		note("posted")
	})
	x.run(func() {
		if want := "posted again hook posted in the next turn"; strings.Join(order[:4], " ") != want {
			t.Errorf("%q, not %s", order, want)
		}
	})
}

func TestLongBatchIsCutByTurns(t *testing.T) {
	const handlers = 200
	calls, most, total := 0, 0, 0
	done := make(chan struct{})
	x := start(t, func(*poller.Worker) bool { calls = 0; return false })
	var fds [handlers]int
	for i := range fds {
		fds[i], _ = x.pair()
	}
	x.run(func() {
		for _, fd := range fds { // all are writable at once, in one batch
			x.add(fd, &handler{ready: func(poller.Event) {
				calls++
				most = max(most, calls)
				if total++; total == handlers {
					close(done)
				}
			}})
		}
	})
	await(t, done) // no barrier: its functions run in the turns between
	x.run(func() {
		if most != 64 {
			t.Errorf("%d callbacks without a turn, not 64", most)
		}
	})
}

// Whoever asks again is called once in a batch, like everybody else, and not after each 64 callbacks of others.
func TestAgainWaitsForTheBatch(t *testing.T) {
	const handlers = 200
	total, greedy := 0, -1
	done := make(chan struct{})
	x := start(t, nil)
	var fds [handlers]int
	for i := range fds {
		fds[i], _ = x.pair()
	}
	x.run(func() {
		again := 0
		asks := &handler{worker: x.worker}
		asks.ready = func(poller.Event) {
			if again++; greedy < 0 {
				x.worker.Again(asks)
			}
		}
		x.worker.Again(asks)
		for _, fd := range fds { // all are writable at once, in one batch
			x.add(fd, &handler{ready: func(poller.Event) {
				if total++; total == 1 {
					again = 0
				}
				if total == handlers {
					greedy = again
					close(done)
				}
			}})
		}
	})
	await(t, done)
	x.run(func() {
		if greedy > 1 {
			t.Errorf("called %d times while the others were called once", greedy)
		}
	})
}

// slowed is the kernel with another clock.
type slowed struct {
	poller.Kernel
	now time.Duration
}

func (k *slowed) Now() time.Duration { return k.now }

// A hook can tell how long everything before it took: callbacks, posted functions and handlers that were called again.
func TestBusy(t *testing.T) {
	restored(t)
	system, err := poller.System()
	must(t, err)
	kernel := &slowed{Kernel: system}
	var busy []time.Duration
	pool, err := poller.New(poller.Config{Kernel: kernel, Workers: 1, Hook: func(w *poller.Worker) bool {
		busy = append(busy, w.Busy())
		return false
	}})
	must(t, err)
	defer pool.Close()
	x := &fixture{t, kernel, pool, pool.Workers()[0]}
	fd, _ := x.pair()
	called, again := make(chan struct{}), make(chan struct{})
	x.run(func() {
		h := &handler{}
		h.ready = func(poller.Event) {
			kernel.now += time.Millisecond
			h.ready = func(poller.Event) {
				kernel.now += 20 * time.Millisecond
				close(again)
			}
			x.worker.Again(h)
			x.worker.Post(func() { kernel.now += 300 * time.Millisecond })
			close(called)
		}
		x.add(fd, h)
	})
	await(t, called)
	await(t, again)
	x.run(func() {
		if want := 321 * time.Millisecond; !slices.Contains(busy, want) {
			t.Errorf("busy for %v; once it was %v", busy, want)
		}
	})
}

func TestHookWithWorkLeftRunsAgain(t *testing.T) {
	left, done := 10, make(chan struct{})
	x := start(t, func(*poller.Worker) bool {
		if left--; left == 0 {
			close(done)
		}
		return left > 0
	})
	x.worker.Wake()
	await(t, done)
}

// 200 handlers ask for one turn after the other. Nobody starves: not they, nor
// descriptors with an edge, nor posted functions.
func TestAgainIsFair(t *testing.T) {
	const handlers, rounds = 200, 20
	inTurn, most, total, spread := 0, 0, 0, 0
	x := start(t, func(*poller.Worker) bool { inTurn = 0; return false })
	var calls [handlers]int
	done := make(chan struct{})
	call := func(i int, h *handler) {
		calls[i]++
		spread = max(spread, calls[i]-slices.Min(calls[:]))
		inTurn++
		most = max(most, inTurn)
		if total++; total == handlers*rounds {
			close(done)
		}
		if calls[i] < rounds {
			x.worker.Again(h)
		}
	}
	x.run(func() {
		for i := range handlers {
			h := &handler{worker: x.worker}
			h.ready = func(poller.Event) { call(i, h) }
			x.worker.Again(h)
		}
	})
	fd, peer := x.pair()
	heard := make(chan poller.Event, 8)
	x.run(func() { x.add(fd, &handler{ready: func(e poller.Event) { heard <- e }}) })
	_, err := x.kernel.Write(peer, []byte("edge"))
	must(t, err)
	for await(t, heard)&poller.Readable == 0 {
	}
	await(t, done)
	x.run(func() {
		if most > 64 || spread > 1 {
			t.Errorf("%d handlers called in one turn, one of them %d times more than another", most, spread)
		}
	})
}

// Other goroutines may still post when the pool has been closed. Its numbers
// belong to others by then.
func TestWakeAfterCloseTouchesNoReusedNumber(t *testing.T) {
	restored(t)
	before := descriptors(t)
	x := start(t, nil)
	during := descriptors(t)
	x.barrier()
	must(t, x.pool.Close())
	event, err := x.kernel.NewSignal()
	must(t, err)
	defer x.kernel.Close(event)
	for _, d := range during {
		if !slices.Contains(before, d) {
			var fd int
			_, err := fmt.Sscan(d, &fd)
			must(t, err)
			if fd != event {
				must(t, unix.Dup3(event, fd, unix.O_CLOEXEC))
				defer x.kernel.Close(fd)
			}
		}
	}
	x.worker.Wake()
	x.worker.Post(func() { t.Error("a function ran after Close") })
	if n, err := x.kernel.Read(event, make([]byte, 8)); err != syscall.EAGAIN {
		t.Errorf("a wake-up was written to somebody else's descriptor: %d, %v", n, err)
	}
}

func TestNewThatFailsLeavesNothing(t *testing.T) {
	restored(t)
	system, err := poller.System()
	must(t, err)
	pool, err := poller.New(poller.Config{Kernel: &stingy{system, 2}, Workers: 3})
	if pool != nil || !errors.Is(err, syscall.EMFILE) {
		t.Errorf("New: %v, %v", pool, err)
	}
}

// stingy refuses polls once it has given out left of them.
type stingy struct {
	poller.Kernel
	left int
}

func (k *stingy) NewPoll(fatal func(error)) (poller.Poll, error) {
	if k.left--; k.left < 0 {
		return nil, syscall.EMFILE
	}
	return k.Kernel.NewPoll(fatal)
}
