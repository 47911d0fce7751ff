package room_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"weak"

	"throng/room"
)

// TestLeaveInPass: whoever leaves while a pass is under way, wherever the pass began and however far it has come, nobody
// else is skipped. All cases up to five members and two that leave, or one that leaves and one that joins.
func TestLeaveInPass(t *testing.T) {
	for n := 1; n <= 5; n++ {
		for passes := range 8 {
			for written := range n + 1 {
				for first := range n {
					for second := range n + 1 {
						leaveInPass(t, n, passes, written, first, second)
					}
				}
			}
		}
	}
}

func leaveInPass(t *testing.T, n, passes, written, first, second int) {
	w := newWorld(t, 1, nil)
	people := make([]*person, n)
	for i := range people {
		people[i] = w.join("lobby", 0, 0, -1)
	}
	stays := w.join("lobby", 0, 0, -1) // keeps the lane
	for range passes {                 // each begins elsewhere
		w.say(stays, 10)
		w.quiesce()
	}
	w.say(stays, 10)
	if written > 0 {
		w.turn(0, written)
	}
	w.leave(people[first])
	if second == n {
		w.join("lobby", 0, 0, -1)
	} else if second != first {
		w.leave(people[second])
	}
	w.quiesce()
	if t.Failed() {
		t.Fatalf("%d members, pass %d, %d written, then %d and %d leave", n, passes, written, first, second)
	}
}

// TestManyLeaveInPass: a crowd that leaves while a pass is under way, faster than the pass comes round, takes nobody's
// message away. Those who joined first go first in half of the runs: they are at the front of the lane.
func TestManyLeaveInPass(t *testing.T) {
	for seed := range uint64(400) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		w := newWorld(t, 1, nil)
		stays := w.join("lobby", 0, 0, -1)
		people := make([]*person, 2+rnd.IntN(80))
		for i := range people {
			people[i] = w.join("lobby", 0, 0, -1)
		}
		for len(people) > 0 {
			w.say(stays, 10)
			w.turn(0, 1+rnd.IntN(4))
			for range min(rnd.IntN(6), len(people)) {
				i := rnd.IntN(len(people))
				if seed%2 == 0 {
					i = 0
				}
				w.leave(people[i])
				people = slices.Delete(people, i, i+1)
			}
		}
		w.quiesce()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// TestLeaveForgets: nothing of the room holds on to a member that has left, not even in the middle of its history.
func TestLeaveForgets(t *testing.T) {
	w := newWorld(t, 1, nil)
	stays := w.join("lobby", 0, 0, -1)
	w.say(stays, 10)
	gone := func() weak.Pointer[person] {
		p := w.join("lobby", 0, 1, 0)
		w.leave(p)
		return weak.Make(p)
	}()
	runtime.GC()
	if gone.Value() != nil {
		t.Error("a member that has left is still referred to")
	}
	runtime.KeepAlive(stays)
	w.end()
}

// TestLastLeavesInPass: a lane that loses everybody while it is listed is no trouble, and neither is the next one.
func TestLastLeavesInPass(t *testing.T) {
	w := newWorld(t, 1, nil)
	a, b := w.join("lobby", 0, 0, -1), w.join("lobby", 0, 0, -1)
	w.say(a, 10)
	w.turn(0, 1)
	w.leave(a)
	w.leave(b)
	c := w.join("lobby", 0, 0, -1)
	w.say(c, 10)
	w.quiesce()
	if c.got != 1 {
		t.Errorf("the member of the new lane got %d of 1", c.got)
	}
	w.end()
}

// TestPublishFromWrite: what is published at the very last moment of a pass is not lost.
func TestPublishFromWrite(t *testing.T) {
	for n := 1; n <= 40; n++ { // more than a bite, too
		w := newWorld(t, 1, nil)
		for range n {
			w.join("lobby", 0, 0, -1)
		}
		writes := 0
		for _, p := range w.members {
			p.onWrite = func() {
				if writes++; writes <= 2*n {
					w.say(p, 10)
				}
			}
		}
		w.say(w.members[0], 10)
		w.quiesce() // asserts that everybody has everything
	}
}

// TestRotation: over many lone messages every member is served first about equally often.
func TestRotation(t *testing.T) {
	for _, n := range []int{2, 3, 4, 7, 8} {
		w := newWorld(t, 1, nil)
		firsts, rounds := map[*person]int{}, 100*n
		fresh := false
		for range n {
			p := w.join("lobby", 0, 0, -1)
			p.onWrite = func() {
				if fresh {
					firsts[p]++
				}
				fresh = false
			}
		}
		for range rounds {
			fresh = true
			w.say(w.members[0], 10)
			w.quiesce()
		}
		for i, p := range w.members {
			if got := firsts[p]; got < 95 || got > 105 {
				t.Errorf("of %d members, number %d was first %d times in %d", n, i, got, rounds)
			}
		}
	}
}

// TestRounds: a room with very many members does not keep the lane of another one waiting for more than a bite.
func TestRounds(t *testing.T) {
	w := newWorld(t, 1, nil)
	for range 2000 {
		w.join("giant", 0, 0, -1)
	}
	lone := w.join("small", 0, 0, -1)
	w.say(w.members[0], 10)
	w.turn(0, 10)
	w.say(lone, 10)
	w.turn(0, 64)
	w.turn(0, 64)
	if lone.got != 1 {
		t.Error("the small room waited for the giant one")
	}
	w.quiesce()
}

// TestBudget: a turn ends after the writes it is given, after a bounded number of members that want nothing, and when
// it is told to.
func TestBudget(t *testing.T) {
	w := newWorld(t, 1, nil)
	for range 5000 {
		w.join("lobby", 0, 0, -1)
	}
	w.say(w.members[0], 10)
	fanout := w.rooms.Fanout(0)
	for turns := 1; fanout.Turn(100, nil); turns++ {
		if got := total(w); got != 100*turns {
			t.Fatalf("%d writes after %d turns of 100", got, turns)
		}
	}
	w.say(w.members[0], 10)
	stops := 0
	fanout.Turn(1<<20, func() bool { stops++; return stops == 3 })
	if got := total(w) - 5000; stops != 3 || got > 100 {
		t.Errorf("a turn made %d writes until it was stopped, and asked %d times", got, stops)
	}
	w.quiesce()
	// Nobody takes anything any more: passes with nothing to write end their turns too.
	for _, p := range w.members {
		p.credit = 0
	}
	w.say(w.members[0], 10)
	w.quiesce()
	w.say(w.members[0], 10)
	turns := 1
	for ; fanout.Turn(2, nil); turns++ {
	}
	if turns < 4 {
		t.Errorf("5,000 blocked members were looked at in %d turns", turns)
	}
}

// TestDeadLanes: who goes through many rooms and talks in each keeps nobody waiting.
func TestDeadLanes(t *testing.T) {
	w := newWorld(t, 1, nil)
	for i := range 500 {
		p := w.join(fmt.Sprint("room", i), 0, 0, -1)
		w.say(p, 10)
		w.leave(p)
	}
	p := w.join("lobby", 0, 0, -1)
	w.say(p, 10)
	w.turn(0, 1)
	if p.got != 1 {
		t.Error("the member waits for rooms that nobody is in")
	}
	w.end()
}

// TestShares: rooms that have something to write, and members that can take more, wait for each other no longer than they have to.
func TestShares(t *testing.T) {
	w := newWorld(t, 1, nil)
	var blocked, others []*person
	for i := range 200 {
		blocked = append(blocked, w.join(fmt.Sprint("blocked", i), 0, 0, 0))
		w.say(blocked[i], 10)
	}
	w.quiesce()
	for i, p := range blocked {
		w.writable(p, -1)
		others = append(others, w.join(fmt.Sprint("other", i), 0, 0, -1))
		w.say(others[i], 10)
	}
	stops := 0
	w.rooms.Fanout(0).Turn(1<<20, func() bool { stops++; return stops == 20 })
	served := func(people []*person) (n int) {
		for _, p := range people {
			n += p.got
		}
		return n
	}
	if served(blocked) != 20 || served(others) != 20 {
		t.Errorf("%d members that can take more were served, and %d rooms", served(blocked), served(others))
	}
	w.quiesce()
	w.end()
}

func total(w *world) (got int) {
	for _, p := range w.members {
		got += p.got
	}
	return got
}

// TestBatch: what arrives while a fan-out runs is written together.
func TestBatch(t *testing.T) {
	w := newWorld(t, 1, nil)
	p := w.join("lobby", 0, 0, -1)
	w.say(p, 40) // has the first segment for itself
	w.quiesce()
	writes := 0
	p.onWrite = func() { writes++ }
	for range 3 { // together they fit the next one
		w.say(p, 40)
	}
	w.quiesce()
	if writes != 1 || p.got != 4 {
		t.Errorf("%d frames took %d writes", p.got, writes)
	}
}

// TestMisuse: what a Peer must not do panics, and says what it was.
func TestMisuse(t *testing.T) {
	var other room.Member
	for name, misuse := range map[string]func(*world, *person){
		"room: Join called by a Peer's method":  func(w *world, p *person) { w.rooms.Join("x", &other, room.Joiner{Peer: p}) },
		"room: Leave called by a Peer's method": func(w *world, p *person) { p.mem.Leave() },
		"room: Flush called by a Peer's method": func(w *world, p *person) { p.mem.Flush() },
		"room: Turn called by a Peer's method":  func(w *world, p *person) { w.rooms.Fanout(0).Turn(1, nil) },
	} {
		w := newWorld(t, 1, nil)
		p := w.join("lobby", 0, 0, -1)
		p.onWrite = func() { misuse(w, p) }
		w.say(p, 10)
		mustPanic(t, name, w.quiesce)
	}
	w := newWorld(t, 1, nil)
	p := w.join("lobby", 0, 0, -1)
	mustPanic(t, "room: Join of a member that is in a room", func() { w.rooms.Join("x", &p.mem, room.Joiner{Peer: p}) })
	mustPanic(t, "room: an empty frame", func() { p.mem.Room().Publish(same(nil), nil) })
}

func mustPanic(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		if got := fmt.Sprint(recover()); got != want {
			t.Errorf("panicked with %q, not %q", got, want)
		}
	}()
	f()
}

// A cutter takes a number of bytes of the first write, wherever that is.
type cutter struct {
	mem  room.Member
	take int
}

func (c *cutter) Write(frames []byte) int { return c.take }
func (c *cutter) Missed(_, _ uint64)      {}

// TestPartOfFrame: a peer that takes a part of a frame, or more than there is, would put every later byte in the wrong place.
func TestPartOfFrame(t *testing.T) {
	const size = 12
	for _, history := range []int{0, 3} {
		for _, take := range []int{-1, 1, size - 1, size + 1, 3*size - 1, 3*size + 1} {
			w := newWorld(t, 1, nil)
			p := w.join("lobby", 0, 0, -1)
			w.say(p, size-2) // has the first segment for itself
			w.quiesce()
			c := &cutter{take: take}
			if history == 0 {
				w.rooms.Join("lobby", &c.mem, room.Joiner{Peer: c})
			}
			for range 3 {
				w.say(p, size-2)
			}
			want := "room: Peer.Write took part of a frame"
			if take < 0 || take > 3*size {
				want = "room: Peer.Write took more than it was offered"
			}
			mustPanic(t, want, func() {
				if history > 0 {
					w.rooms.Join("lobby", &c.mem, room.Joiner{Peer: c, History: history})
				}
				c.mem.Flush()
			})
		}
	}
}
