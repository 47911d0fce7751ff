package room

// A Member is a connection's place in a room. The zero value is in no room. It is meant to stand inside the connection's
// own struct; there are millions of them, hence 48 bytes. It must not be copied or moved while it is in a room.
type Member struct {
	peer Peer
	lane *lane // nil: in no room

	cursor uint64 // the position of the next byte to write
	seen   uint32 // messages before the cursor, modulo 2^32: tells how many a gap has

	place  uint32 // in the lane's members; the two highest bits are flags
	listed uint32 // the place in the roster. Owned by the room's lock.
	join   uint32 // the low half of the join number. Owned by the room's lock.
}

const (
	blocked   = 1 << 31 // the peer took less than it was offered; Flush ends it
	replaying = 1 << 30 // the cursor is in the history, before the position where it joined, which the lane knows
	unblocked = 1 << 29 // stands in the Fanout's list of those that can take more
	placeMask = unblocked - 1
)

func (mem *Member) is(flag uint32) bool { return mem.place&flag != 0 }
func (mem *Member) set(flag uint32)     { mem.place |= flag }
func (mem *Member) clear(flag uint32)   { mem.place &^= flag }
func (mem *Member) moveTo(place int)    { mem.place = mem.place&^placeMask | uint32(place) }
func (mem *Member) placed() int         { return int(mem.place & placeMask) }

// Room is the room that the member is in, nil when in none.
func (mem *Member) Room() *Room {
	if mem.lane == nil {
		return nil
	}
	return mem.lane.room
}

// Unblock has the worker's next turns go on with a member whose peer has become writable. There, and not at once, since
// a thousand peers can become writable together. On the member's worker.
func (mem *Member) Unblock() {
	if mem.lane != nil && !mem.is(unblocked) {
		mem.set(unblocked)
		mem.lane.fanout.resume(mem)
	}
}

// Flush writes what the member has not got yet, and returns how many writes that took. It is for a member that has just
// joined with history, or is about to be answered. On the member's worker.
func (mem *Member) Flush() (writes int) {
	l := mem.lane
	if l == nil {
		return 0
	}
	l.fanout.mustNotWrite("Flush")
	mem.clear(blocked)
	v := l.log.read()
	return l.visit(mem, &v)
}

// Leave takes the member out of its room; in none it does nothing. A room without members and without history is gone
// with its last one. On the member's worker.
func (mem *Member) Leave() {
	l := mem.lane
	if l == nil {
		return
	}
	l.fanout.mustNotWrite("Leave")
	if mem.is(replaying) {
		l.endReplay(mem)
	}
	l.remove(mem)
	r := l.room
	r.mu.Lock()
	r.roster.remove(mem)
	if len(l.members) == 0 {
		r.dropLane(l)
		r.account()
	}
	r.mu.Unlock()
	*mem = Member{}
	r.resume() // the lane that has gone may be the one that lagged
	r.shard.exit(r)
}

// enter puts the member into a room that counts it already.
func (mem *Member) enter(r *Room, j Joiner, f *Fanout) Joined {
	r.mu.Lock()
	l, past := r.lane(f, j.View), r.history()
	re := replay{until: past.end.Load(), start: l.log.end.Load(), ordinal: past.messages}
	*mem = Member{peer: j.Peer, lane: l, cursor: re.start, seen: re.ordinal}
	from, ordinal, resumed := r.place(j)
	_, oldest := past.back(past.config.HistoryCount)
	r.roster.add(mem)
	joined := Joined{
		Epoch:   r.epoch,
		Newest:  r.seq,
		Oldest:  r.seq + 1 - uint64(re.ordinal-oldest),
		Members: r.roster.len(),
		Next:    r.seq + 1 - uint64(re.ordinal-ordinal),
		Resumed: resumed,
	}
	r.mu.Unlock()
	l.add(mem)
	if from < re.until {
		mem.cursor, mem.seen = from, ordinal
		l.beginReplay(mem, re)
	}
	return joined
}

// write offers frames to the peer; a member whose peer does not take them all is blocked.
func (mem *Member) write(frames []byte) int {
	n := mem.peer.Write(frames)
	if n < 0 || n > len(frames) {
		panic("room: Peer.Write took more than it was offered")
	}
	if n < len(frames) {
		mem.set(blocked)
	}
	return n
}
