package room

import (
	"slices"
	"sync"
)

// A Fanout is what one worker has to write: the lanes whose logs have grown. Turn runs on the worker.
type Fanout struct {
	wake    func()
	queue   queue     // in rounds: a lane that is not finished goes to the end
	members []*Member // those that can take more; one without its flag has been served, or has left
	writing bool      // a Peer is being called
	scratch []byte

	mu       sync.Mutex
	incoming queue // lanes that were marked since the last turn
}

// push hands a marked lane to the worker, and wakes it unless an earlier one has done so. On any goroutine.
func (f *Fanout) push(l *lane) {
	f.mu.Lock()
	first := f.incoming.empty()
	f.incoming.push(l)
	f.mu.Unlock()
	if first {
		f.wake()
	}
}

// Turn writes to the members of dirty lanes, and stops after about that many writes (at most the last member's segments
// more), or soon after stop (unless nil) says so. It says whether there is more to do: then the worker has to come back;
// for lanes that are marked later it is woken.
func (f *Fanout) Turn(writes int, stop func() bool) (more bool) {
	f.mustNotWrite("Turn")
	f.mu.Lock()
	f.queue.join(&f.incoming)
	f.mu.Unlock()
	served := 0
	for writes > 0 && (served < len(f.members) || !f.queue.empty()) {
		share := biteWrites
		if !f.queue.empty() {
			share = f.bite(min(writes, biteWrites))
			writes -= share
		}
		// As many writes for those that can take more: many of either must not keep the others waiting.
		for ; share > 0 && served < len(f.members); served++ {
			n := f.serve(f.members[served])
			share -= n
			writes -= n
		}
		if stop != nil && stop() {
			break
		}
	}
	f.members = slices.Delete(f.members, 0, served)
	return !f.queue.empty() || len(f.members) > 0
}

// bite goes on with the first lane, and returns what that cost. One that finds nothing to write costs about as much as a
// write; one that everybody has left, nothing.
func (f *Fanout) bite(limit int) (writes int) {
	l := f.queue.pop()
	writes, again := l.bite(limit)
	if again {
		f.queue.push(l)
	}
	return max(writes, min(len(l.members), 1))
}

// resume lists a member that can take more.
func (f *Fanout) resume(mem *Member) {
	f.members = append(f.members, mem)
	if len(f.members) == 1 {
		f.wake()
	}
}

// serve goes on with a member that can take more, unless it has been served, or has left.
func (f *Fanout) serve(mem *Member) (writes int) {
	if !mem.is(unblocked) {
		return 0
	}
	mem.clear(unblocked)
	return max(1, mem.Flush())
}

// mustNotWrite panics when a Peer calls what would change lanes under the feet of the pass that called it.
func (f *Fanout) mustNotWrite(name string) {
	if f.writing {
		panic("room: " + name + " called by a Peer's method")
	}
}

// gather collects the messages of a history from position up to about a segment's size, as a view has them, and returns
// where it stopped. The bytes are valid until the next call.
func (f *Fanout) gather(l *lane, v *view, position, until uint64) (messages []byte, next uint64) {
	messages = f.scratch[:0]
	for position < until && len(messages) < maxSegment {
		frame, notice := v.frame(position)
		if !notice {
			messages = l.recode(messages, frame)
		}
		position += uint64(len(frame))
	}
	f.scratch = messages
	return messages, position
}

// taken returns the position behind those messages after position that make up n bytes of what was gathered.
func (f *Fanout) taken(l *lane, v *view, position uint64, n int) uint64 {
	for n > 0 {
		frame, notice := v.frame(position)
		if !notice {
			f.scratch = l.recode(f.scratch[:0], frame)
			n -= len(f.scratch)
		}
		position += uint64(len(frame))
	}
	if n < 0 {
		panic("room: Peer.Write took part of a frame")
	}
	return position
}

// A queue is lanes, first in, first out, linked through themselves so that it never allocates.
type queue struct{ head, tail *lane }

func (q *queue) empty() bool { return q.head == nil }

func (q *queue) push(l *lane) {
	if q.head == nil {
		q.head = l
	} else {
		q.tail.next = l
	}
	q.tail = l
}

func (q *queue) pop() *lane {
	l := q.head
	q.head, l.next = l.next, nil
	if q.head == nil {
		q.tail = nil // or it would keep the room's log when the room has gone
	}
	return l
}

// join appends another queue and leaves that one empty.
func (q *queue) join(other *queue) {
	if other.head == nil {
		return
	}
	if q.head == nil {
		q.head = other.head
	} else {
		q.tail.next = other.head
	}
	q.tail = other.tail
	*other = queue{}
}
