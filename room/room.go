// Package room fans messages out. It knows no socket and no epoll: what it writes to is a Peer.
//
// A room is a log and a member is a cursor in it. A message is appended to its room's log once, already encoded; to
// deliver is to write the bytes between a cursor and the log's end, and to move the cursor. A fan-out that runs while
// messages arrive therefore writes many of them at a time, a member that is behind costs nobody anything, and history is
// a cursor that begins further back.
//
// Members that want the same message in other encodings stand in other views: a room has a log for each view that
// somebody is in, and for view 0, which is the history, always. A message is encoded once for each of these.
//
//	        oldest                                                  end
//	log     [  ][  256 ][   512    ] . . . [       64 KiB      |    ]    segments
//	                    ^                                   ^       ^
//	                    cursor of a member                  another the rest
//
//	Map ── shards ── Room ──┬── lane of worker 0, view 0 ── members      Fanout 0: its lanes that have something to write
//	                        └── lane of worker 1, view 0 ── members      Fanout 1
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
// shard, room, then Fanout or ledger; no call out of the package is made under one, except the visits of Room.Members and
// the encoding of an Entry.
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
	// Missed tells that n messages are gone that the member has not got. The next one that is written has that sequence
	// number.
	Missed(n, next uint64)
}

// A Waiter is a publisher that was refused.
type Waiter interface {
	// Resume says that it is worth trying again. It is called once for each refusal, on any goroutine, under no lock, also
	// when the publisher has gone in the meantime.
	Resume()
}

// An Entry is what is published, to be had in every encoding.
type Entry interface {
	// Frame returns the entry as one whole frame in the encoding of a view; a notice may be nothing in some of them. It
	// is called under the room's lock, for each view that exists, so what takes time is to be done before, for the views
	// that Room.Has tells. The bytes are copied before the next call.
	Frame(view int, at Stamp) []byte
}

// A Stamp is what a message gets from its room. A notice has no number: Seq is that of the latest message.
type Stamp struct {
	Seq  uint64 // the message's sequence number in the room, from 1
	Prev uint64 // that of the message before it, 0 for none
	Time int64  // Config.Wall when it was published, in milliseconds since 1970
}

const (
	historyView = 0 // exists as long as the room does
	maxViews    = 4
)

// A Room is a log for each view, and the members that stand in them.
type Room struct {
	name  string
	shard *shard
	epoch uint64

	// Owned by the shard's lock.
	users    int  // members, and publishers from outside at this moment
	awaiting bool // stands in the shard's list of what is due

	// Owned by the room's lock.
	mu      sync.Mutex
	logs    [maxViews]*log // by view; nil when nobody is in it. The first, which never changes, is read without the lock.
	lanes   []*lane        // one per worker and view with members; replaced, never changed
	roster  roster
	waiters []Waiter
	held    int    // bytes of the logs' pages, as the ledger knows them
	seq     uint64 // of the latest message

	shelving

	views   atomic.Uint32 // a bit for each log
	waiting atomic.Int32  // len(waiters)
}

// Name is the name that the room was joined by.
func (r *Room) Name() string { return r.name }

// Epoch names this life of the room's sequence numbers: one that was empty, and has gone for its age or for another's sake, begins anew.
func (r *Room) Epoch() uint64 { return r.epoch }

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

// Has says whether somebody is in a view. That may have changed when the answer arrives.
func (r *Room) Has(view int) bool { return r.views.Load()&(1<<view) != 0 }

// Publish appends a message and has it delivered to every member. When it answers false a lane lags by half the window:
// nothing was appended, and w (unless nil) is resumed once all of them are below a quarter.
func (r *Room) Publish(e Entry, w Waiter) bool {
	r.mu.Lock()
	if !r.admits(w) {
		r.mu.Unlock()
		return false
	}
	r.append(e, false)
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
func (r *Room) Notice(e Entry) {
	r.mu.Lock()
	r.append(e, true)
	lanes := r.lanes
	r.mu.Unlock()
	markAll(lanes)
}

// append puts an entry into every log. Under the lock.
func (r *Room) append(e Entry, notice bool) {
	at := Stamp{r.seq, r.seq, r.shard.config.Wall().UnixMilli()}
	if !notice {
		r.seq++
		at.Seq = r.seq
	}
	for view, l := range r.logs {
		if l == nil {
			continue
		}
		frame := e.Frame(view, at)
		if len(frame) > 0 {
			l.append(frame, notice, r.lanes)
		} else if !notice {
			panic("room: an empty frame")
		}
	}
	r.account()
}

// history is the log that history is read from. Any goroutine.
func (r *Room) history() *log { return r.logs[historyView] }

// admits says whether a message may be appended, or registers the waiter. Under the lock.
func (r *Room) admits(w Waiter) bool {
	half := uint64(r.shard.config.Window / 2)
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
	lag := uint64(0)
	for _, l := range r.lanes {
		lag = max(lag, l.log.end.Load()-l.reached.Load())
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
	if r.lag() >= uint64(r.shard.config.Window/4) {
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

// lane returns the room's lane on a worker in a view, and its log, made when it is the first member there. Under the lock.
func (r *Room) lane(f *Fanout, view int) *lane {
	past := r.history()
	if r.logs[view] == nil {
		r.logs[view] = &log{config: past.config, first: past.messages, messages: past.messages}
	}
	for _, l := range r.lanes {
		if l.fanout == f && l.view == view {
			return l
		}
	}
	l := &lane{room: r, log: r.logs[view], view: view, fanout: f}
	l.log.lanes++
	l.reached.Store(l.log.end.Load())
	r.lanes = append(slices.Clip(r.lanes), l)
	r.noteViews()
	return l
}

// dropLane forgets a lane without members, and the log of a view that nobody is in any more. Under the lock.
func (r *Room) dropLane(l *lane) {
	r.lanes = slices.DeleteFunc(slices.Clone(r.lanes), func(other *lane) bool { return other == l })
	l.log.lanes--
	if l.log.lanes == 0 {
		r.desert(l.log)
	}
	r.noteViews()
}

// desert takes back what a log without lanes needs no more: all, or what is not history. Under the lock.
func (r *Room) desert(l *log) {
	if l == r.history() {
		l.trim(true, r.lanes)
		return
	}
	r.logs[slices.Index(r.logs[:], l)] = nil
}

// noteViews notes which views somebody is in. Under the lock.
func (r *Room) noteViews() {
	var views uint32
	for view, l := range r.logs {
		if l != nil && l.lanes > 0 {
			views |= 1 << view
		}
	}
	r.views.Store(views)
}

// account tells the ledger what the logs hold. Under the lock.
func (r *Room) account() {
	held, spare := 0, 0
	for _, l := range r.logs {
		if l == nil {
			continue
		}
		held += l.held
		if last := l.last(); last != nil {
			spare += l.held - len(last.page)
		}
	}
	if held != r.held || shelfOf(spare) != r.shelf {
		r.shard.pages.note(r, held-r.held, spare)
		r.held = held
	}
}
