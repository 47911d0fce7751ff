package room_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"
	"weak"

	"throng/room"
)

// TestHistory: a joiner gets the latest messages it asks for, as far as count, bytes and age allow, and no notices.
func TestHistory(t *testing.T) {
	for _, c := range []struct {
		name   string
		adjust func(*room.Config)
		asks   int
		want   int
	}{
		{"none asked for", nil, 0, 0},
		{"one", nil, 1, 1},
		{"some", nil, 7, 7},
		{"all there are", nil, 1000, 100},
		{"count", func(c *room.Config) { c.HistoryCount = 30 }, 50, 30},
		{"none kept", func(c *room.Config) { c.HistoryCount = 0 }, 50, 0},
		{"bytes", func(c *room.Config) { c.HistoryBytes = 20 * 64 }, 50, 10},
		{"bytes, not a frame's end", func(c *room.Config) { c.HistoryBytes = 20*64 - 1 }, 50, 9},
		{"age", func(c *room.Config) { c.HistoryAge = 40 * time.Second }, 50, 40},
		{"count, with a small window", func(c *room.Config) { c.Window = 256; c.HistoryCount = 80 }, 100, 80},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 1, c.adjust)
			p := w.join("lobby", 0, 0, -1)
			for range 100 {
				w.now += time.Second
				w.say(p, 62)
				w.notify(p, 62)
				w.quiesce()
			}
			late := w.join("lobby", 0, c.asks, -1)
			if late.got != c.want {
				t.Errorf("got %d messages, not %d", late.got, c.want)
			}
			w.notify(p, 62)
			w.say(p, 62)
			w.quiesce()
			if late.got != c.want+2 {
				t.Errorf("after joining got %d entries of 2", late.got-c.want)
			}
			w.end()
		})
	}
}

// TestHistoryIsKept: whenever somebody joins, wherever the segments end, exactly the count is there.
func TestHistoryIsKept(t *testing.T) {
	const count = 5
	for size, messages := range map[int]int{60: 5000, 70_000: 30} { // the large ones have a segment each
		w := newWorld(t, 1, func(c *room.Config) { c.Window, c.HistoryCount, c.HistoryBytes = 256, count, 1<<20 })
		p := w.join("lobby", 0, 0, -1)
		for said := 1; said < messages; said++ {
			w.say(p, size)
			w.quiesce()
			w.notify(p, size) // may be what begins a segment
			w.quiesce()
			late := w.join("lobby", 0, 1000, -1)
			if want := min(said, count); late.got != want {
				t.Fatalf("after %d messages of %d bytes a joiner got %d", said, size, late.got)
			}
			w.leave(late)
		}
	}
}

// TestHistoryWrites: the notices between messages cost no writes, and a write is about a segment at most.
func TestHistoryWrites(t *testing.T) {
	for size, want := range map[int]int{64: 1, 2048: 4} {
		w := newWorld(t, 1, func(c *room.Config) { c.HistoryBytes = 1 << 20 })
		p := w.join("lobby", 0, 0, -1)
		for range 100 {
			w.say(p, size-4)
			w.notify(p, size-4)
		}
		late := &sink{}
		w.rooms.Join("lobby", &late.mem, room.Joiner{Peer: late, History: 100})
		if writes := late.mem.Flush(); writes != want || late.bytes < 100*(size-4) {
			t.Errorf("%d bytes in %d writes, not %d", late.bytes, writes, want)
		}
	}
}

// TestHistoryInParts: history for a peer that takes one frame at a time, while the room goes on.
func TestHistoryInParts(t *testing.T) {
	w := newWorld(t, 1, nil)
	p := w.join("lobby", 0, 0, -1)
	for range 50 {
		w.say(p, 62)
		w.notify(p, 62)
	}
	late := w.join("lobby", 0, 50, 1)
	for range 200 {
		if w.ids < 200 {
			w.say(p, 62)
			w.notify(p, 62)
		}
		w.turn(0, 5)
		w.writable(late, 1)
	}
	w.writable(late, -1)
	w.quiesce()
	if w.missed > 0 {
		t.Error("something was missed")
	}
	w.end()
}

// TestJoinInPass: who joins while a pass is under way gets nothing twice, and all that comes later.
func TestJoinInPass(t *testing.T) {
	for written := range 12 {
		w := newWorld(t, 1, nil)
		for range 10 {
			w.join("lobby", 0, 0, -1)
		}
		w.say(w.members[0], 62)
		w.turn(0, written+1)
		w.join("lobby", 0, written%3, -1)
		w.say(w.members[0], 62)
		w.turn(0, written+1)
		w.join("lobby", 0, written%3, 0)
		w.quiesce()
		w.end()
	}
}

// TestRetention: the log keeps the window and what is history by all three limits, and not much more.
func TestRetention(t *testing.T) {
	for _, c := range []struct {
		name                 string
		window, count, bytes int
		age                  time.Duration
		keeps                int
	}{
		{"window", 512 << 10, 1000, 1 << 30, 1000 * time.Hour, 512 << 10},
		{"count", 4 << 10, 8192, 1 << 30, 1000 * time.Hour, 512 << 10},
		{"bytes", 4 << 10, 1 << 20, 512 << 10, 1000 * time.Hour, 512 << 10},
		{"age", 4 << 10, 1 << 20, 1 << 30, 8192 * time.Second, 512 << 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := room.Config{Shards: 1, Views: 1, Window: c.window, HistoryCount: c.count, HistoryBytes: c.bytes, HistoryAge: c.age}
			now := time.Duration(0)
			config.Wall, config.Epoch = time.Now, func() uint64 { return 1 }
			config.Now = func() time.Duration { return now }
			before := heap()
			m := room.NewMap(config, []func(){func() {}})
			one := &sink{}
			m.Join("lobby", &one.mem, room.Joiner{Peer: one})
			message := same(frame(1, false, 62))
			for range 50_000 {
				now += time.Second
				one.mem.Room().Publish(message, nil)
				deliver(m.Fanout(0))
			}
			// Up to two segments more, and the marks.
			if kept := heap() - before; kept < c.keeps || kept > c.keeps*9/8+150<<10 {
				t.Errorf("keeps %d KiB, not about %d", kept>>10, c.keeps>>10)
			}
			one.mem.Leave()
		})
	}
}

// TestSweep: an empty room stays as long as its history may be asked for, and goes then, unless it has members.
func TestSweep(t *testing.T) {
	w := newWorld(t, 1, func(c *room.Config) { c.HistoryAge = time.Minute })
	w.leave(w.join("silent", 0, 0, -1))
	w.checkRooms(1) // asserts that the silent room has gone
	p := w.join("lobby", 0, 0, -1)
	w.say(p, 10)
	w.leave(p)
	w.now += 59 * time.Second
	w.sweep()
	if p = w.join("lobby", 0, 5, -1); p.got != 1 || w.rooms.Len() != 1 {
		t.Fatalf("%d messages in %d rooms were left after 59 s", p.got, w.rooms.Len())
	}
	w.now += 2 * time.Second
	w.sweep() // due, but not empty
	w.leave(p)
	w.checkRooms(1) // what it had is older than a minute
	if w.rooms.Len() != 0 {
		t.Fatal("a room without history was kept")
	}
	w.outside("lobby", 10)
	w.now += 30 * time.Second
	w.outside("lobby", 10)
	w.now += 30 * time.Second
	w.sweep() // due, but with a younger message
	if w.rooms.Len() != 1 {
		t.Fatal("a room with history was removed")
	}
	w.now += time.Minute
	w.sweep()
	if w.rooms.Len() != 0 {
		t.Fatal("an aged room was kept")
	}
}

// TestNothingKeepsARoom: when a room has gone so has its log, though nothing has happened since on the workers that wrote it.
func TestNothingKeepsARoom(t *testing.T) {
	w := newWorld(t, 2, func(c *room.Config) { c.HistoryCount = 0 })
	a, b := w.join("lobby", 0, 0, -1), w.join("lobby", 1, 0, -1)
	gone := weak.Make(a.mem.Room())
	w.say(a, 1000)
	w.quiesce()
	w.leave(a)
	w.leave(b)
	w.quiesce()
	w.checkRooms(1)
	w.model, w.waiters = nil, nil
	runtime.GC()
	if gone.Value() != nil {
		t.Error("the room is still there")
	}
	runtime.KeepAlive(w)
}

// TestEviction: with as many rooms as there may be, the one that has been empty for longest gives way to a new one, none
// that somebody is in, and none to a room that is there.
func TestEviction(t *testing.T) {
	w := newWorld(t, 1, func(c *room.Config) { c.Rooms, c.Shards = 4, 1 })
	has := func(name string) bool { return w.rooms.With(name, func(*room.Room) {}) }
	for _, name := range []string{"first", "second", "third"} {
		w.outside(name, 10)
	}
	stays := w.join("stays", 0, 0, -1)
	back := w.join("first", 0, 0, -1) // is in the list of empty rooms, and is not empty
	if !w.rooms.Admit("third") || w.rooms.Len() != 4 || w.rooms.Evicted() != 0 {
		t.Fatal("a room that is there made another go")
	}
	for i, want := range []string{"second", "third"} {
		if !w.rooms.Admit("new") || has(want) || w.rooms.Len() != 3 || w.rooms.Evicted() != uint64(i+1) {
			t.Fatalf("%s did not give way; %d rooms", want, w.rooms.Len())
		}
		if !w.rooms.Admit("new") || w.rooms.Evicted() != uint64(i+1) {
			t.Fatal("a room gave way although there is a place")
		}
		w.join(fmt.Sprint("new", i), 0, 0, -1)
	}
	if w.rooms.Admit("new") || !has("first") || !has("stays") || w.rooms.Len() != 4 {
		t.Fatal("a room with members gave way")
	}
	w.say(stays, 10)
	w.leave(stays)
	w.leave(back)
	if !w.rooms.Admit("new") || has("stays") || !has("first") {
		t.Fatal("not the room that has been empty for longest gave way")
	}
}

// TestSweepBudget: a sweep removes no more rooms at a time than it may look at, and comes to all of them.
func TestSweepBudget(t *testing.T) {
	w := newWorld(t, 1, nil)
	for i := range 1000 {
		w.outside(fmt.Sprint("room", i), 10)
	}
	w.now += w.config.HistoryAge
	for left := 1000; left > 0; left -= 10 {
		if got := w.rooms.Sweep(10); got != 10 || w.rooms.Len() != left-10 {
			t.Fatalf("a sweep of 10 removed %d, and %d of %d are left", got, w.rooms.Len(), left)
		}
	}
}

// TestRoster: pages stay right while members come and go and the roster is compacted.
func TestRoster(t *testing.T) {
	w := newWorld(t, 2, nil)
	for i := range 300 {
		w.join("lobby", i%2, 0, -1)
	}
	for i, step := range []int{3, 2, 5, 2, 2, 7} {
		for j := len(w.members) - 1; j >= 0; j-- {
			if (j+i)%step != 0 {
				w.leave(w.members[j])
			}
		}
		for range 20 {
			w.join("lobby", i%2, 0, -1)
		}
		for _, limit := range []int{1, 7, 1000} {
			w.checkRooms(limit)
		}
	}
	live := w.members[0].mem.Room()
	if live.Members(1<<40, 10, func(uint64, room.Peer) { t.Error("a member after all") }) {
		t.Error("more members after the last")
	}
	if !live.Members(0, 0, func(uint64, room.Peer) { t.Error("a member on a page of none") }) {
		t.Error("a page of none is not the last")
	}
	w.end()
}
