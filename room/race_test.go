package room_test

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"testing"

	"throng/room"
)

const (
	raceWorkers    = 3
	racePublishers = 4
	raceMessages   = 4000 // of each publisher
	raceStayers    = 5    // members of each worker that must get everything
)

// A listener is a member that checks the order of each publisher's messages, and sums up the order of all.
type listener struct {
	t     *testing.T
	mem   room.Member
	next  [racePublishers]uint32 // 0: none yet
	count int
	order maphash.Hash
	slow  *rand.Rand // takes only some frames, unless nil
}

func (l *listener) Write(frames []byte) (n int) {
	for n < len(frames) {
		id, _, size := parse(l.t, frames[n:])
		publisher, number := id>>24, id&0xffffff
		// A slow one may have gaps, but nothing twice and nothing out of order.
		if next := l.next[publisher]; number < next || l.slow == nil && next != 0 && number != next {
			l.t.Errorf("got %d of publisher %d, not %d", number, publisher, next)
		}
		l.next[publisher] = number + 1
		l.order.Write(binary.BigEndian.AppendUint32(nil, id))
		l.count++
		n += size
		if l.slow != nil && l.slow.IntN(50) == 0 {
			return n
		}
	}
	return n
}

func (l *listener) Missed(n, _ uint64) {
	if l.slow == nil {
		l.t.Errorf("missed %d messages", n)
	}
}

// A signal wakes without ever blocking, once for any number of calls.
type signal chan struct{}

func (s signal) Resume() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// TestRace has workers, publishers and people who come and go run at the same time. Whoever stays gets every message, in
// the same order as all others. A lost wake makes it hang.
func TestRace(t *testing.T) {
	config := room.Defaults()
	config.Views = views
	config.Window = 16 << 10 // busy often
	config.Now = never
	wakes := make([]signal, raceWorkers)
	wake := make([]func(), raceWorkers)
	for i := range wakes {
		wakes[i] = make(signal, 1)
		wake[i] = wakes[i].Resume
	}
	m := room.NewMap(config, wake)
	seed := maphash.MakeSeed()
	stayers := make([][]*listener, raceWorkers)
	for worker := range stayers {
		for i := range raceStayers {
			l := &listener{t: t}
			l.order.SetSeed(seed)
			m.Join("lobby", &l.mem, room.Joiner{Peer: l, Worker: worker, View: i % views})
			stayers[worker] = append(stayers[worker], l)
		}
	}
	var all sync.WaitGroup
	for worker := range stayers {
		all.Go(func() { work(t, m, worker, wakes[worker], stayers[worker]) })
	}
	for publisher := range racePublishers {
		all.Go(func() { talk(m, uint32(publisher)) })
	}
	all.Wait()
	for _, group := range stayers {
		for _, l := range group {
			if l.order.Sum64() != stayers[0][0].order.Sum64() {
				t.Error("two members saw different orders")
			}
			l.mem.Leave()
		}
	}
	if m.Sweep(100); m.Len() > 2 { // the other rooms have history, and the clock stands still
		t.Errorf("%d rooms are left", m.Len())
	}
}

// TestBusyRace has one publisher that is refused nearly every time and one worker that has nothing else to do. A resume
// that is lost between the two makes it hang.
func TestBusyRace(t *testing.T) {
	const messages = 100_000
	config := room.Defaults()
	config.Window, config.HistoryCount = 256, 0
	woken, resumed, last := make(signal, 1), make(signal, 1), &sink{}
	m := room.NewMap(config, []func(){woken.Resume})
	m.Join("lobby", &last.mem, room.Joiner{Peer: last})
	r, message := last.mem.Room(), same(frame(1, false, 130))
	var publisher sync.WaitGroup
	publisher.Go(func() {
		for range messages {
			for !r.Publish(message, resumed) {
				<-resumed
			}
		}
	})
	for last.bytes < messages*len(message.frame) {
		<-woken
		deliver(m.Fanout(0))
	}
	publisher.Wait()
	last.mem.Leave()
}

// work is one worker: turns when it is woken, and in between somebody joins, is flushed or leaves.
func work(t *testing.T, m *room.Map, worker int, wake signal, stayers []*listener) {
	random := rand.New(rand.NewPCG(uint64(worker), 0))
	guests := make([]*listener, 8)
	for i := range guests {
		guests[i] = &listener{t: t, slow: random}
	}
	for more := true; !complete(stayers); {
		if !more {
			<-wake
		}
		more = m.Fanout(worker).Turn(1+random.IntN(20), nil)
		guest := guests[random.IntN(len(guests))]
		switch r := guest.mem.Room(); {
		case r == nil:
			guest.next = [racePublishers]uint32{}
			m.Join(fmt.Sprint("lobby", "2"[:random.IntN(2)]), &guest.mem, room.Joiner{Peer: guest, Worker: worker, View: random.IntN(views), History: random.IntN(50)})
			guest.mem.Flush()
		case random.IntN(3) == 0:
			guest.mem.Leave()
		default:
			guest.mem.Flush()
			r.Members(uint64(random.IntN(100)), 5, func(uint64, room.Peer) {})
		}
	}
	for _, guest := range guests {
		guest.mem.Leave()
	}
}

func complete(stayers []*listener) bool {
	for _, l := range stayers {
		if l.count < racePublishers*raceMessages {
			return false
		}
	}
	return true
}

// talk publishes from outside, and waits when the room is busy.
func talk(m *room.Map, publisher uint32) {
	resumed := make(signal, 1)
	for i := range uint32(raceMessages) {
		f := entryOf{publisher<<24 | (i + 1), false, 20, -1, 0}
		for !m.Publish("lobby", f, resumed) {
			<-resumed
		}
		m.Publish("lobby2", f, nil)
	}
}
