package room_test

import (
	"slices"
	"testing"

	"throng/room"
)

// small is a window that is soon full.
func small(c *room.Config) { c.Window, c.HistoryCount = 4096, 0 }

// TestBusy: a room whose worker does not come round refuses at half the window, whoever publishes, and lets them go on
// below a quarter, once.
func TestBusy(t *testing.T) {
	w := newWorld(t, 2, small)
	a, b := w.join("lobby", 0, 0, -1), w.join("lobby", 1, 0, -1)
	const size = 64 // of a frame
	for said := 0; w.say(a, size-2); said += size {
		if said > 2048 {
			t.Fatal("more than half the window was taken")
		}
	}
	if want := uint64(2048); a.room.end[0] != want {
		t.Fatalf("refused at %d bytes, not at %d", a.room.end[0], want)
	}
	if w.say(b, size-2) || w.outside("lobby", size-2) {
		t.Fatal("another publisher was not refused")
	}
	if a.mem.Room().Publish(same(frame(1, false, size)), nil) {
		t.Fatal("one that does not wait was not refused")
	}
	w.notify(a, size-2)
	w.turn(0, 10)
	for i, wait := range w.waiters {
		if wait.resumed != 0 {
			t.Fatalf("waiter %d was resumed while the second lane lags", i)
		}
	}
	w.turn(1, 10)
	w.quiesce() // asserts that all were resumed, once
	if a.got != 33 || b.got != 33 {
		t.Errorf("32 messages and a notice were taken, %d and %d delivered", a.got, b.got)
	}
}

// TestLargerThanTheWindow: a message may be larger than the window, and what is before it still comes to those whose lane
// lags as far as a lane may.
func TestLargerThanTheWindow(t *testing.T) {
	w := newWorld(t, 2, small)
	a, b := w.join("lobby", 0, 0, -1), w.join("lobby", 1, 0, -1)
	const before = 2000 / 50
	for range before {
		if !w.say(a, 48) {
			t.Fatal("refused below half the window")
		}
	}
	if !w.say(a, 70_000) { // of a page of its own, so that the next notice begins one
		t.Fatal("a large message was refused below half the window")
	}
	if w.say(b, 48) {
		t.Fatal("a message was taken that far behind")
	}
	const notices = 2000 / 50
	for range notices {
		w.notify(a, 48)
	}
	w.quiesce()
	if want := before + 1 + notices; a.got != want || b.got != want {
		t.Errorf("%d and %d of %d were delivered", a.got, b.got, want)
	}
}

// TestBusyEnds: the resume comes below a quarter of the window, not before.
func TestBusyEnds(t *testing.T) {
	w := newWorld(t, 1, small)
	a, b := w.join("lobby", 0, 0, -1), w.join("lobby", 0, 0, -1)
	for w.say(a, 62) {
	}
	wait := w.waiters[0]
	// While the first pass runs, notices put more than a quarter behind it.
	b.onWrite = func() {
		for range 20 {
			w.notify(a, 62)
		}
		b.onWrite = nil
	}
	w.turn(0, 1)
	w.turn(0, 1)
	if wait.resumed != 0 {
		t.Fatal("resumed with more than a quarter of the window to write")
	}
	w.quiesce()
}

// TestBlockedMembersDoNotCount: a member that reads nothing makes nobody wait, and misses what goes by.
func TestBlockedMembersDoNotCount(t *testing.T) {
	w := newWorld(t, 1, small)
	reads, stalls := w.join("lobby", 0, 0, -1), w.join("lobby", 0, 0, 0)
	for range 10_000 {
		if !w.say(reads, 62) {
			t.Fatal("busy")
		}
		w.quiesce()
	}
	if stalls.got != 0 || reads.got != 10_000 {
		t.Fatalf("%d and %d were delivered", stalls.got, reads.got)
	}
	w.writable(stalls, -1)
	w.quiesce()
	if w.missed != 1 || stalls.got != 2048/64 {
		t.Errorf("after the stall %d gaps and %d messages, not 1 and half a window", w.missed, stalls.got)
	}
	w.quiesce()
}

// TestLaggingLaneLeaves: publishers that wait for a lane go on when it has gone.
func TestLaggingLaneLeaves(t *testing.T) {
	w := newWorld(t, 2, small)
	a, b := w.join("lobby", 0, 0, -1), w.join("lobby", 1, 0, -1)
	for w.say(a, 62) {
	}
	w.turn(0, 100)
	wait := w.waiters[0]
	if wait.resumed != 0 {
		t.Fatal("resumed too early")
	}
	w.leave(b)
	if wait.resumed != 1 {
		t.Fatal("nobody will resume the waiter")
	}
	if !w.say(a, 62) {
		t.Error("busy for a lane that has gone")
	}
	w.quiesce()

	for w.say(a, 62) {
	}
	wait = w.waiters[0]
	w.leave(a)
	if wait.resumed != 1 {
		t.Error("a waiter outlived its room")
	}
	w.end()
}

// TestResumePublishes: a waiter may publish from within Resume.
func TestResumePublishes(t *testing.T) {
	w := newWorld(t, 1, small)
	p := w.join("lobby", 0, 0, -1)
	for w.say(p, 62) {
	}
	w.waiters = nil
	taken := false
	again := resumer(func() { taken = w.say(p, 62) })
	if p.mem.Room().Publish(same(frame(0, false, 62)), again) {
		t.Fatal("not busy")
	}
	w.quiesce()
	if !taken {
		t.Error("a publisher that was resumed was refused")
	}
}

type resumer func()

func (r resumer) Resume() { r() }

// TestWakes: a worker is woken by the first lane that has something for it, and not again until it has taken a turn.
func TestWakes(t *testing.T) {
	var wakes [2]int
	config := room.Defaults()
	m := room.NewMap(config, []func(){func() { wakes[0]++ }, func() { wakes[1]++ }})
	all := make([]sink, 4)
	for i, name := range []string{"x", "x", "y", "x"} {
		m.Join(name, &all[i].mem, room.Joiner{Peer: &all[i], Worker: i / 3})
	}
	x, y := all[0].mem.Room(), all[2].mem.Room()
	want := func(a, b int) {
		t.Helper()
		if wakes != [2]int{a, b} {
			t.Errorf("%v wakes, not %d and %d", wakes, a, b)
		}
	}
	want(0, 0)
	y.Publish(same(frame(1, false, 10)), nil)
	want(1, 0)
	x.Publish(same(frame(2, false, 10)), nil)
	x.Notice(same(frame(3, true, 10)))
	want(1, 1)
	if m.Fanout(0).Turn(100, nil) || m.Fanout(1).Turn(100, nil) {
		t.Error("there is more to do")
	}
	if got := []int{all[0].bytes, all[1].bytes, all[2].bytes, all[3].bytes}; !slices.Equal(got, []int{24, 24, 12, 24}) {
		t.Errorf("%v bytes were delivered", got)
	}
	x.Publish(same(frame(4, false, 10)), nil)
	want(2, 2)
}
