package room

import "sync/atomic"

// A lane is the members of one room and view that one worker has, and how far it has come with them. Its worker alone
// touches it, but for the two atomic fields.
type lane struct {
	room   *Room
	log    *log
	view   int
	fanout *Fanout
	next   *lane // in a queue of the Fanout. Owned by who owns the queue.

	members []*Member
	pass    pass
	replays map[*Member]replay // of those that get history

	dirty   atomic.Bool   // stands in a queue, or is just being worked on
	reached atomic.Uint64 // the log's end when the last complete pass began
}

// What one lane may do before the next one has its turn.
const (
	biteWrites = 32
	biteVisits = 512
)

// mark puts the lane into its worker's queue unless it is there. After an append, on any goroutine.
func (l *lane) mark() {
	// The load spares lanes that are busy anyway the write to their cache line.
	if !l.dirty.Load() && !l.dirty.Swap(true) {
		l.fanout.push(l)
	}
}

func markAll(lanes []*lane) {
	for _, l := range lanes {
		l.mark()
	}
}

// bite goes on with the lane's pass, within limit writes, and says whether the lane has to come back.
func (l *lane) bite(limit int) (writes int, again bool) {
	if !l.pass.running {
		l.pass.begin(l.log.end.Load(), len(l.members))
	}
	v := l.log.read()
	for visits := 0; visits < biteVisits && writes < limit && !l.pass.done(); visits++ {
		mem := l.members[l.pass.at]
		l.pass.advance(len(l.members))
		if !mem.is(blocked) && (mem.cursor != v.end || mem.is(replaying)) {
			writes += l.visit(mem, &v)
		}
	}
	if !l.pass.done() {
		return writes, true
	}
	return writes, l.complete()
}

// complete ends a pass, and says whether another one has to follow.
func (l *lane) complete() (again bool) {
	l.pass.running = false
	l.reached.Store(l.pass.end)
	l.room.resume()
	// In this order: who appends before the load is seen by it, who appends after it finds the lane not dirty.
	l.dirty.Store(false)
	return l.log.end.Load() != l.pass.end && !l.dirty.Swap(true)
}

// visit writes to a member what is between its cursor and the end of the view.
func (l *lane) visit(mem *Member, v *view) (writes int) {
	l.fanout.writing = true
	if mem.is(replaying) {
		writes = l.replay(mem, v)
	}
	if !mem.is(replaying) && mem.cursor < v.oldest() {
		l.skip(mem, v)
	}
	for mem.cursor != v.end && !mem.is(blocked) {
		run := v.run(mem.cursor)
		n := mem.write(run)
		writes += cost(n)
		mem.cursor += uint64(n)
		if n < len(run) {
			mem.seen = v.ordinalAt(mem.cursor)
		}
	}
	if mem.cursor == v.end && !mem.is(replaying) {
		mem.seen = v.ordinal
	}
	l.fanout.writing = false
	return writes
}

// cost is what a write of n bytes counts, against the limits of bites and turns: one for each page, since most runs are no
// longer, and a frame of a megabyte takes as long as a hundred small ones.
func cost(n int) int { return max(1, n/maxSegment) }

// skip moves a member that has fallen behind everything that is kept to the middle of the window: at the oldest frame
// it would soon miss some again.
func (l *lane) skip(mem *Member, v *view) {
	mem.cursor = v.boundary(v.end - min(v.end, uint64(l.log.config.Window/2)))
	l.goOn(mem, v.ordinalAt(mem.cursor))
}

// goOn tells a member what it has missed when it goes on from a message.
func (l *lane) goOn(mem *Member, ordinal uint32) {
	missed := ordinal - mem.seen
	mem.seen = ordinal
	if missed > 0 {
		mem.peer.Missed(uint64(missed), l.room.number(ordinal))
	}
}
