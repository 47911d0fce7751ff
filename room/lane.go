package room

import "sync/atomic"

// A lane is the members of one room that one worker has, and how far it has come with them. Its worker alone touches
// it, but for the two atomic fields.
type lane struct {
	room   *Room
	log    *log
	fanout *Fanout
	next   *lane // in a queue of the Fanout. Owned by who owns the queue.

	members []*Member
	pass    pass
	until   map[*Member]uint64 // of replaying members: the position where they joined

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
		if !mem.is(blocked) && mem.cursor != v.end {
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
	if mem.cursor < v.oldest() {
		l.skip(mem, v)
	}
	if mem.is(replaying) {
		writes = l.replay(mem, v)
	}
	for mem.cursor != v.end && !mem.is(blocked) {
		run := v.run(mem.cursor)
		n := mem.write(run)
		writes++
		mem.cursor += uint64(n)
		if n < len(run) {
			mem.seen = v.ordinalAt(mem.cursor)
		}
	}
	if mem.cursor == v.end {
		mem.seen = v.ordinal
	}
	l.fanout.writing = false
	return writes
}

// skip moves a member that has fallen behind everything that is kept to the middle of the window: at the oldest frame
// it would soon miss some again.
func (l *lane) skip(mem *Member, v *view) {
	mem.cursor = v.boundary(v.end - uint64(l.log.config.Window/2))
	ordinal := v.ordinalAt(mem.cursor)
	missed := ordinal - mem.seen
	mem.seen = ordinal
	if missed > 0 {
		mem.peer.Missed(uint64(missed))
	}
}

// replay writes to a member what came before it joined: the messages, without the notices between them.
func (l *lane) replay(mem *Member, v *view) (writes int) {
	until := l.until[mem]
	for mem.cursor < until {
		messages, next := l.fanout.gather(v, mem.cursor, until)
		if len(messages) > 0 {
			n := mem.write(messages)
			writes++
			if n < len(messages) {
				mem.cursor = v.after(mem.cursor, n)
				mem.seen = v.ordinalAt(mem.cursor)
				return writes
			}
		}
		mem.cursor = next
	}
	l.endReplay(mem)
	return writes
}

// beginReplay keeps the position where a member joined until it has got what came before.
func (l *lane) beginReplay(mem *Member, until uint64) {
	if l.until == nil {
		l.until = make(map[*Member]uint64)
	}
	l.until[mem] = until
	mem.set(replaying)
}

func (l *lane) endReplay(mem *Member) {
	mem.clear(replaying)
	delete(l.until, mem)
	if len(l.until) == 0 {
		l.until = nil
	}
}
