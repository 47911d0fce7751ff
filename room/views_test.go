package room_test

import (
	"fmt"
	"slices"
	"testing"

	"throng/room"
)

// A counter is an entry that counts how often it is asked for each view.
type counter struct {
	asked [views]int
}

func (c *counter) Frame(view int, _ room.Stamp) []byte {
	c.asked[view]++
	return entryOf{1, false, 30, -1, 0}.Frame(view, room.Stamp{})
}

// TestEncodedOnce: an entry is encoded once for each view that somebody is in and for the history, however many members
// there are, and not for a view that everybody has left.
func TestEncodedOnce(t *testing.T) {
	w := newWorld(t, 2, nil)
	var people []*person
	for i := range 20 {
		w.view = i / 10
		people = append(people, w.join("lobby", i%2, 0, -1))
	}
	r := people[0].mem.Room()
	ask := func(want ...int) {
		t.Helper()
		c := &counter{}
		if !r.Publish(c, nil) || !slices.Equal(c.asked[:], want) {
			t.Errorf("asked %v times, not %v", c.asked, want)
		}
	}
	has := func(want ...bool) {
		t.Helper()
		if !slices.Equal([]bool{r.Has(0), r.Has(1)}, want) {
			t.Errorf("has views %v %v, not %v", r.Has(0), r.Has(1), want)
		}
	}
	has(true, true)
	ask(1, 1)
	for _, p := range people[:10] {
		w.leave(p)
	}
	has(false, true)
	ask(1, 1)
	last := &sink{}
	w.rooms.Join("lobby", &last.mem, room.Joiner{Peer: last})
	for _, p := range people[10:] {
		w.leave(p)
	}
	has(true, false)
	ask(1, 0)
	last.mem.Leave()
}

// TestHistoryOfAnotherView: who joins in a view gets history as it is kept, then the room in that view, also when the
// peer takes one frame at a time and the room goes on meanwhile.
func TestHistoryOfAnotherView(t *testing.T) {
	for credit := range 3 {
		w := newWorld(t, 1, nil)
		p := w.join("lobby", 0, 0, -1)
		for range 50 {
			w.say(p, 62)
		}
		w.view = 1
		late := w.join("lobby", 0, 40, credit-1)
		for range 200 {
			if w.ids < 100 {
				w.say(p, 62)
			}
			w.turn(0, 5)
			w.writable(late, 1)
		}
		w.writable(late, -1)
		w.quiesce()
		if late.got != 90 || w.missed > 0 {
			t.Errorf("got %d of 90 messages, %d gaps", late.got, w.missed)
		}
		w.end()
	}
}

// TestHistoryWithoutFlush: history comes before the next entry at the latest, even if its position in one log is that of
// the end in the other.
func TestHistoryWithoutFlush(t *testing.T) {
	w := newWorld(t, 1, nil)
	p := w.join("lobby", 0, 0, -1)
	w.say(p, 80)
	w.say(p, 80)
	w.quiesce()
	late := &person{w: w, view: 1, room: p.room, joined: 2, next: 1, credit: -1}
	w.rooms.Join("lobby", &late.mem, room.Joiner{Peer: late, View: 1, History: 1})
	w.say(p, 60)
	w.quiesce()
	if late.got != 2 {
		t.Errorf("got %d of 2 messages", late.got)
	}
}

// A napper is a peer that takes nothing while it sleeps, and counts.
type napper struct {
	mem         room.Member
	asleep      bool
	got, missed int
}

func (n *napper) Write(frames []byte) int {
	if n.asleep {
		return 0
	}
	n.got += len(frames) / napSize
	return len(frames)
}

func (n *napper) Missed(messages, _ uint64) { n.missed += int(messages) }

// napSize is the size of a frame that a napper counts.
const napSize = 1004

// TestShedLeavesWhatIsOnItsWay: who reads loses nothing when memory is short.
func TestShedLeavesWhatIsOnItsWay(t *testing.T) {
	config := room.Defaults()
	config.Now, config.HistoryCount = never, 100
	m := room.NewMap(config, []func(){func() {}})
	people := make([]napper, 2)
	publish := func(i int) {
		for range 300 {
			people[i].mem.Room().Publish(same(frame(1, false, napSize-4)), nil)
		}
	}
	for i := range people {
		m.Join(fmt.Sprint("room", i), &people[i].mem, room.Joiner{Peer: &people[i]})
	}
	people[0].asleep = true
	publish(0)
	deliver(m.Fanout(0))
	publish(1)
	if taken := m.Shed(0, 1000); taken < 200<<10 || taken > 300<<10 {
		t.Errorf("%d bytes were taken", taken)
	}
	deliver(m.Fanout(0))
	if r := &people[1]; r.got != 300 || r.missed > 0 {
		t.Errorf("who reads got %d and missed %d", r.got, r.missed)
	}
	publish(1)
	for m.Shed(0, 1000) > 0 {
	}
	deliver(m.Fanout(0))
	if r := &people[1]; r.got != 600 || r.missed > 0 {
		t.Errorf("with nothing else to give, who reads got %d of 600 and missed %d", r.got, r.missed)
	}
	if m.Shed(0, 1000) < 200<<10 {
		t.Error("what was delivered stays")
	}
}

// TestShed: the rooms that hold most give first, what lagging members have not got before the history, and whoever
// misses something by that is told how much.
func TestShed(t *testing.T) {
	config := room.Defaults()
	config.Now, config.HistoryCount = never, 1000
	m := room.NewMap(config, []func(){func() {}})
	people := make([]napper, 4)
	said := func(i int) int { return 100 << i }
	for i := range people {
		people[i].asleep = true
		m.Join(fmt.Sprint("room", i), &people[i].mem, room.Joiner{Peer: &people[i]})
		for range said(i) {
			people[i].mem.Room().Publish(same(frame(1, false, napSize-4)), nil)
			deliver(m.Fanout(0))
		}
	}
	if m.Shed(m.Bytes(), 1000) != 0 {
		t.Error("something was taken, and nothing had to go")
	}
	held := m.Bytes()
	taken := m.Shed(held-1, 1000)
	if taken < 400<<10 || m.Bytes() != held-taken {
		t.Errorf("took %d of %d, and %d are left", taken, held, m.Bytes())
	}
	wake := func(i int) (missed int) {
		t.Helper()
		n := &people[i]
		n.asleep = false
		n.mem.Unblock()
		deliver(m.Fanout(0))
		if n.got+n.missed != said(i) {
			t.Errorf("of %d messages got %d and missed %d", said(i), n.got, n.missed)
		}
		return n.missed
	}
	if missed := wake(3); missed < 450 || missed > 540 { // what is history stays: about 256 KiB
		t.Errorf("the one in the largest room missed %d messages", missed)
	}
	if missed := wake(2); missed != 0 {
		t.Errorf("the one in the second largest room missed %d messages", missed)
	}
	held = m.Bytes()
	if m.Shed(0, 1) == 0 {
		t.Error("a room of those that are looked at had something to give")
	}
	if m.Shed(0, 1000) == 0 || m.Bytes() > 4*(64<<10+1<<10) || m.Shed(0, 1000) != 0 {
		t.Errorf("%d bytes are left of %d", m.Bytes(), held)
	}
	if missed := wake(0); missed < 30 || missed > 99 { // the last segment stays
		t.Errorf("the one in the smallest room missed %d messages", missed)
	}
	// Last go those that are empty, one after the other, and no more of them than have to.
	people[1].mem.Leave()
	people[2].mem.Leave()
	held = m.Bytes()
	if taken := m.Shed(held-1, 1000); taken < 1000 || taken != held-m.Bytes() || m.Len() != 3 || m.Evicted() != 1 {
		t.Errorf("took %d of %d for one byte, and %d rooms are left", taken, held, m.Len())
	}
	if m.Shed(0, 1) == 0 || m.Shed(0, 1000) != 0 || m.Len() != 2 {
		t.Errorf("%d rooms are left, and two have members", m.Len())
	}
	people[0].mem.Leave()
	people[3].mem.Leave()
}

// TestShedPassesOverWhatCannotGive: rooms that hold much in one segment, which stays, do not keep those behind them from giving.
func TestShedPassesOverWhatCannotGive(t *testing.T) {
	config := room.Defaults()
	config.Now = never
	m := room.NewMap(config, []func(){func() {}})
	people := make([]napper, 5)
	for i := range people {
		n := &people[i]
		n.asleep = true
		m.Join(fmt.Sprint("room", i), &n.mem, room.Joiner{Peer: n})
		if i < 3 {
			n.mem.Room().Publish(same(frame(1, false, 1<<20)), nil)
			deliver(m.Fanout(0))
			continue
		}
		for range 100 {
			n.mem.Room().Publish(same(frame(1, false, napSize-4)), nil)
			deliver(m.Fanout(0))
		}
	}
	held, taken := m.Bytes(), int64(0)
	for {
		n := m.Shed(0, 2)
		if n == 0 {
			break
		}
		taken += n
	}
	if taken < 100<<10 {
		t.Errorf("%d bytes were taken of %d", taken, held)
	}
	for i := range people {
		people[i].mem.Leave()
	}
}
