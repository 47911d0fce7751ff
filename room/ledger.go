package room

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// A ledger knows how many bytes the logs of all rooms hold, and which rooms could give much of that. What counts is what they
// hold besides the last segments of their logs, which stay: a room with nothing else must not stand in the way of others. Those
// with 4 KiB or more stand on shelves, each for up to twice as much as the one before it, the one that came there first in front.
type ledger struct {
	held atomic.Int64

	mu      sync.Mutex
	shelves [16]shelf // the first stays empty
}

type shelf struct{ head, tail *Room }

// A shelving is a room's place on a shelf.
type shelving struct {
	shelf      int   // owned by the room's lock
	prev, next *Room // owned by the ledger's lock
}

// shelfOf returns the number of the shelf for a room that could give that much.
func shelfOf(spare int) int { return min(bits.Len(uint(spare>>12)), len(ledger{}.shelves)-1) }

// note takes down that a room holds delta bytes more, and could give spare bytes. Under the room's lock.
func (l *ledger) note(r *Room, delta, spare int) {
	l.held.Add(int64(delta))
	now := shelfOf(spare)
	if now == r.shelf {
		return
	}
	l.mu.Lock()
	if r.shelf > 0 {
		l.shelves[r.shelf].remove(r)
	}
	if now > 0 {
		l.shelves[now].push(r)
	}
	l.mu.Unlock()
	r.shelf = now
}

// front lists the first rooms of a shelf, at most limit.
func (l *ledger) front(shelf, limit int) (rooms []*Room) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for r := l.shelves[shelf].head; r != nil && len(rooms) < limit; r = r.next {
		rooms = append(rooms, r)
	}
	return rooms
}

func (s *shelf) push(r *Room) {
	r.prev, r.next = s.tail, nil
	if s.tail == nil {
		s.head = r
	} else {
		s.tail.next = r
	}
	s.tail = r
}

func (s *shelf) remove(r *Room) {
	if r.prev == nil {
		s.head = r.next
	} else {
		r.prev.next = r.next
	}
	if r.next == nil {
		s.tail = r.prev
	} else {
		r.next.prev = r.prev
	}
	r.prev, r.next = nil, nil
}

// roomBytes is what a room costs without its log's pages: the room, its first log, its place in the map, its name, and what
// the allocator adds.
const roomBytes = 512

// Bytes is what all rooms hold, without their members. Any goroutine.
func (m *Map) Bytes() int64 { return m.pages.held.Load() + m.count.Load()*roomBytes }

// Shed takes memory from the rooms until they hold at most target bytes. Those give first that could give most: what members
// that lag have not got yet, of which they are told that they missed it, then the history, but for the last segment of a log.
// What is just being delivered stays. Then rooms go that are empty, as by Admit. It looks at no more than budget rooms for each
// of the three, and returns how many bytes it took. Any goroutine.
func (m *Map) Shed(target int64, budget int) (taken int64) {
	for _, history := range []bool{true, false} {
		left := budget
		for shelf := len(m.pages.shelves) - 1; shelf > 0; shelf-- {
			for _, r := range m.pages.front(shelf, left) {
				if m.Bytes() <= target {
					return taken
				}
				left--
				taken += int64(r.shed(history))
			}
		}
	}
	for ; budget > 0 && m.Bytes() > target; budget-- {
		bytes, ok := m.evict()
		if !ok {
			break
		}
		taken += bytes
	}
	return taken
}

// shed trims the room's logs, and returns how many bytes that took from them.
func (r *Room) shed(history bool) (taken int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.held
	for _, l := range r.logs {
		if l != nil {
			l.trim(history, r.lanes)
		}
	}
	r.account()
	return before - r.held
}
