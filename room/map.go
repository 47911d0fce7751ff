package room

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Map is the rooms by name. Rooms appear when somebody joins or publishes and go when they are empty and their
// history has aged out.
type Map struct {
	config  Config
	shards  []shard
	pages   ledger
	fanouts []*Fanout
	swept   int // the shard where the next sweep begins
	count   atomic.Int64
	evictor atomic.Uint32 // counts the shards that had to give a room
	evicted atomic.Uint64
}

// A shard is a part of the map with a lock of its own. The lock also guards who uses a room, so that a room never goes
// while somebody is about to join it.
type shard struct {
	config *Config
	pages  *ledger
	count  *atomic.Int64 // rooms of all shards

	mu    sync.Mutex
	rooms map[string]*Room
	due   []due // empty rooms with history, in the order in which they are to be looked at
}

// All rooms stay for the same time after they are empty, hence the order.
type due struct {
	at   time.Duration
	room *Room
}

// NewMap makes an empty map. wake[i] wakes worker i: it is called on any goroutine, under no lock, when Fanout(i) has got
// something to do.
func NewMap(config Config, wake []func()) *Map {
	config.check()
	m := &Map{config: config, shards: make([]shard, config.Shards)}
	for i := range m.shards {
		m.shards[i] = shard{config: &m.config, pages: &m.pages, count: &m.count, rooms: make(map[string]*Room)}
	}
	for _, w := range wake {
		m.fanouts = append(m.fanouts, &Fanout{wake: w})
	}
	return m
}

// Fanout is what a worker has to write.
func (m *Map) Fanout(worker int) *Fanout { return m.fanouts[worker] }

// A Joiner says how somebody joins a room.
type Joiner struct {
	Peer    Peer
	Worker  int // the member's
	View    int // the encoding in which it gets the room's entries
	Resume  Resume
	History int // how many earlier messages it asks for, if there is nothing to resume
}

// Join puts a member into the room of that name, which it makes when there is none. The member gets what is published
// from now on, and before that the history it asks for: Flush sends it, so that the connection can first send
// something of its own. On the member's worker.
func (m *Map) Join(name string, mem *Member, j Joiner) Joined {
	f := m.fanouts[j.Worker]
	f.mustNotWrite("Join")
	if mem.lane != nil {
		panic("room: Join of a member that is in a room")
	}
	return mem.enter(m.shard(name).enter(name), j, f)
}

// Publish is Room.Publish for somebody who is no member, on any goroutine. Without history it does nothing in a room
// that nobody is in.
func (m *Map) Publish(name string, e Entry, w Waiter) bool {
	s := m.shard(name)
	r := s.enter(name)
	defer s.exit(r)
	return r.Publish(e, w)
}

// With calls use with the room of that name, if there is one, and says whether there is. The room does not go meanwhile.
// Any goroutine, under no lock.
func (m *Map) With(name string, use func(*Room)) bool {
	s := m.shard(name)
	s.mu.Lock()
	r := s.rooms[name]
	if r != nil {
		r.users++
	}
	s.mu.Unlock()
	if r != nil {
		defer s.exit(r)
		use(r)
	}
	return r != nil
}

// Len counts the rooms.
func (m *Map) Len() int { return int(m.count.Load()) }

// Admit reports whether one may join a room of that name: there is one, or there may be one more. If there are too many,
// the one of those kept for their history that has been empty for longest, or nearly so, gives way: else whoever talked once
// in as many rooms as there may be would keep everybody from new ones until those are aged. Joins that are asked about at the
// same time can each make the last room: there are never more of them than goroutines that ask. Any goroutine.
func (m *Map) Admit(name string) bool {
	if m.config.Rooms == 0 || m.Len() < m.config.Rooms {
		return true
	}
	s := m.shard(name)
	s.mu.Lock()
	known := s.rooms[name] != nil
	s.mu.Unlock()
	if known {
		return true
	}
	_, ok := m.evict()
	return ok
}

// evict removes an empty room, and returns the bytes that it held, and whether there was one. The shards take turns, so that what goes is old although
// each of them knows the age of its own rooms only.
func (m *Map) evict() (bytes int64, ok bool) {
	for range m.shards {
		s := &m.shards[m.evictor.Add(1)%uint32(len(m.shards))]
		if bytes, ok = s.evict(); ok {
			m.evicted.Add(1)
			break
		}
	}
	return bytes, ok
}

// Evicted is how many rooms have given way to others. Any goroutine.
func (m *Map) Evicted() uint64 { return m.evicted.Load() }

// Sweep removes empty rooms whose history has aged out, and returns how many. It looks at no more than budget rooms, and
// at none that is not due. One goroutine at a time.
func (m *Map) Sweep(budget int) (removed int) {
	for range m.shards {
		if budget <= 0 {
			break
		}
		m.swept = (m.swept + 1) % len(m.shards)
		looked, gone := m.shards[m.swept].sweep(budget)
		budget -= looked
		removed += gone
	}
	return removed
}

// shard returns the shard of a name: FNV-1a, which is the same in every run.
func (m *Map) shard(name string) *shard {
	hash := uint32(2166136261)
	for i := range len(name) {
		hash = (hash ^ uint32(name[i])) * 16777619
	}
	return &m.shards[(hash^hash>>16)&uint32(len(m.shards)-1)]
}

// enter finds or makes a room and counts the caller in.
func (s *shard) enter(name string) *Room {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[name]
	if r == nil {
		name = strings.Clone(name) // it may be a piece of a request
		r = &Room{name: name, shard: s, epoch: max(1, s.config.Epoch())}
		r.logs[historyView] = &log{config: s.config}
		s.rooms[name] = r
		s.count.Add(1)
	}
	r.users++
	return r
}

// exit counts the caller out. The last one takes the room away, or leaves it to a sweep when it has history.
func (s *shard) exit(r *Room) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.users--
	if r.users == 0 && !r.awaiting {
		s.vacate(r)
	}
}

// vacate removes an empty room, or lists it as due. Under the shard's lock.
func (s *shard) vacate(r *Room) (removed bool) {
	r.mu.Lock()
	aged := r.history().aged()
	if !aged {
		r.history().trim(true, r.lanes)
		r.account()
	}
	r.mu.Unlock()
	if aged {
		s.remove(r)
	} else {
		s.due = append(s.due, due{s.config.Now() + s.config.HistoryAge, r})
	}
	r.awaiting = !aged
	return aged
}

// remove takes away an empty room, and returns the bytes that it held. Under the shard's lock.
func (s *shard) remove(r *Room) (bytes int64) {
	r.mu.Lock()
	bytes = int64(r.held) + roomBytes
	r.logs = [maxViews]*log{}
	r.account()
	r.mu.Unlock()
	delete(s.rooms, r.name)
	s.count.Add(-1)
	return bytes
}

// evict removes the room that has been empty for longest, and returns the bytes that it held, and whether there was one.
func (s *shard) evict() (bytes int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.due) > 0 {
		// One that has members again is listed anew when the last of them leaves.
		if r := s.next(); r.users == 0 {
			return s.remove(r), true
		}
	}
	return 0, false
}

// next takes the first room from the list of those that are due. Under the shard's lock.
func (s *shard) next() *Room {
	r := s.due[0].room
	s.due[0] = due{}
	s.due = s.due[1:]
	r.awaiting = false
	return r
}

// sweep looks at the rooms that are due.
func (s *shard) sweep(budget int) (looked, removed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.config.Now()
	for ; looked < budget && len(s.due) > 0 && s.due[0].at <= now; looked++ {
		// One that has members again is listed anew when the last of them leaves.
		if r := s.next(); r.users == 0 && s.vacate(r) {
			removed++
		}
	}
	return looked, removed
}
