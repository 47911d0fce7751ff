// Package room fans messages out. It knows no socket and no epoll: what it writes to is a Peer.
//
// A room is a log and a member is a cursor in it. A message is appended to its room's log once, already encoded; to
// deliver is to write the bytes between a cursor and the log's end, and to move the cursor. A fan-out that runs while
// messages arrive therefore writes many of them at a time, a member that is behind costs nobody anything, and history is
// a cursor that begins further back.
//
//	        oldest                                                  end
//	log     [ 256 ][ 512  ][   1 KiB    ] . . . [       64 KiB      |    ]    segments
//	                    ^                                   ^       ^
//	                    cursor of a member                  another the rest
//
//	Map ── shards ── Room ──┬── lane of worker 0 ── members      Fanout 0: its lanes that have something to write
//	                        └── lane of worker 1 ── members      Fanout 1
//
// A pass takes a lane once around its members; a turn of a Fanout takes a few members of each lane that has something to
// write, in rounds. Rules of a pass:
//
//   - A member is done when its cursor is at the end, or when its peer took less than it was offered: then it is
//     blocked, and passed over until Member.Unblock, which has the Fanout's turns go on with it.
//   - A member that leaves from the visited part of a lane is replaced by the last visited one, so that no other is
//     skipped. One that joins counts as visited.
//   - A lane stays marked as dirty while its pass runs. At the end of the pass it clears the mark, and then loads the end:
//     whoever appended before that is seen, whoever appends later marks the lane again.
//
// A cursor older than the oldest segment has missed messages: it goes on from the middle of the window, and the peer is
// told how many. That happens to slow members only: when a lane lags by half the window, Room.Publish refuses.
//
// Ownership. A Member and its lane belong to one worker: Join, Leave, Flush, Unblock and Turn run on it, and so do the
// Peer's methods. Publish, Notice and the questions about a room may come from any goroutine. Locks are taken in the order
// shard, room, Fanout; no call out of the package is made under one, except the visits of Room.Members.
package room

import (
	"slices"
	"sync"
	"sync/atomic"
)

// A Peer is what a room sees of a connection. Its methods are called on its member's worker only. They may publish,
// but must not panic nor call Join, Leave, Flush or Turn: a connection that fails is to be marked, and closed after the
// turn. The bytes given to them are valid until they return.
type Peer interface {
	// Write offers whole frames and returns how many bytes of them it has taken: always a frame end, since the
	// connection keeps what the kernel left of a frame. Less than all means that it would block, and that somebody calls
	// Member.Unblock when it does not any more. A connection that has failed or is closing takes everything.
	Write(frames []byte) (n int)
	// Missed tells that n messages are gone that the member has not got. What is written next comes after them.
	Missed(n uint64)
}

// A Waiter is a publisher that was refused.
type Waiter interface {
	// Resume says that it is worth trying again. It is called once for each refusal, on any goroutine, under no lock, also
	// when the publisher has gone in the meantime.
	Resume()
}

// A Room is a log and the members that stand in it.
type Room struct {
	name  string
	shard *shard

	// Owned by the shard's lock.
	users    int  // members, and publishers from outside at this moment
	awaiting bool // stands in the shard's list of what is due

	// Owned by the room's lock.
	mu      sync.Mutex
	lanes   []*lane // one per worker with members; replaced, never changed
	roster  roster
	waiters []Waiter

	log     log          // appended to under the lock, read without
	waiting atomic.Int32 // len(waiters)
}

// Name is the name that the room was joined by.
func (r *Room) Name() string { return r.name }

// Len counts the members.
func (r *Room) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.roster.len()
}

// Members visits the peers of at most limit members in the order of joining, beginning after the join number given (0:
// from the first one), and says whether there are more. The visits happen under the room's lock: they must be short, call nothing
// of this package, and may find peers of other workers.
func (r *Room) Members(after uint64, limit int, visit func(join uint64, peer Peer)) (more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.roster.page(after, limit, visit)
}

// Publish appends a message, one whole frame, and has it delivered to every member. It copies the frame. When it answers
// false a lane lags by half the window: nothing was appended, and w (unless nil) is resumed once all of them are below a
// quarter.
func (r *Room) Publish(frame []byte, w Waiter) bool {
	r.mu.Lock()
	if !r.admits(w) {
		r.mu.Unlock()
		return false
	}
	r.log.append(frame, false)
	lanes := r.lanes
	r.mu.Unlock()
	markAll(lanes)
	return true
}

// Admits says whether Publish would append a message now; if not, w is resumed as it would be by Publish. It is for lines
// that a member causes and that are no messages: asked first, they cannot drown a room that is behind.
func (r *Room) Admits(w Waiter) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.admits(w)
}

// Notice appends a line that the server itself makes: never refused, not counted as a message, not part of history.
func (r *Room) Notice(frame []byte) {
	r.mu.Lock()
	r.log.append(frame, true)
	lanes := r.lanes
	r.mu.Unlock()
	markAll(lanes)
}

// admits says whether a message may be appended, or registers the waiter. Under the lock.
func (r *Room) admits(w Waiter) bool {
	half := uint64(r.log.config.Window / 2)
	if r.lag() < half {
		return true
	}
	if w == nil {
		return false
	}
	r.waiters = append(r.waiters, w)
	r.waiting.Store(int32(len(r.waiters)))
	// A pass that was completed before that store has seen nobody waiting.
	if r.lag() >= half/2 {
		return false
	}
	r.waiters = r.waiters[:len(r.waiters)-1]
	r.waiting.Store(int32(len(r.waiters)))
	return true
}

// lag is how far the slowest lane is behind. Under the lock.
func (r *Room) lag() uint64 {
	end, lag := r.log.end.Load(), uint64(0)
	for _, lane := range r.lanes {
		lag = max(lag, end-lane.reached.Load())
	}
	return lag
}

// resume lets those go on that wait, when all lanes are below a quarter of the window. Called after a lane has come
// nearer or has gone.
func (r *Room) resume() {
	if r.waiting.Load() == 0 {
		return
	}
	r.mu.Lock()
	if r.lag() >= uint64(r.log.config.Window/4) {
		r.mu.Unlock()
		return
	}
	waiters := r.waiters
	r.waiters = nil
	r.waiting.Store(0)
	r.mu.Unlock()
	for _, w := range waiters {
		w.Resume()
	}
}

// lane returns the room's lane on a worker, made when it is the first member there. Under the lock.
func (r *Room) lane(f *Fanout) *lane {
	for _, l := range r.lanes {
		if l.fanout == f {
			return l
		}
	}
	l := &lane{room: r, log: &r.log, fanout: f}
	l.reached.Store(r.log.end.Load())
	r.lanes = append(slices.Clip(r.lanes), l)
	return l
}

// dropLane forgets a lane without members. Under the lock.
func (r *Room) dropLane(l *lane) {
	r.lanes = slices.DeleteFunc(slices.Clone(r.lanes), func(other *lane) bool { return other == l })
}
