package room

// A replay is what a member gets from the history before it goes on in its own log. Until then its cursor is a position
// in the history's log.
type replay struct {
	until   uint64 // where the history's log ended when it joined
	start   uint64 // where its own log did
	ordinal uint32 // messages before that, modulo 2^32
}

// beginReplay has a member that has just joined get what came before first.
func (l *lane) beginReplay(mem *Member, r replay) {
	if l.replays == nil {
		l.replays = make(map[*Member]replay)
	}
	l.replays[mem] = r
	mem.set(replaying)
}

// endReplay has the member go on where it joined.
func (l *lane) endReplay(mem *Member) {
	mem.cursor = l.replays[mem].start
	mem.clear(replaying)
	delete(l.replays, mem)
	if len(l.replays) == 0 {
		l.replays = nil
	}
	if f := l.fanout; cap(f.scratch) > 4*maxSegment {
		f.scratch = nil // one large message is no reason to keep that much
	}
}

// replay writes to a member what came before it joined: the messages, without the notices between them. One that
// takes them so slowly that they, or what came after them, are gone is given up on: it had better get what comes.
func (l *lane) replay(mem *Member, own *view) (writes int) {
	r, v := l.replays[mem], l.room.history().read()
	// What has gone from before its cursor may be notices only, which it would not get anyway.
	if oldest := v.oldest(); mem.cursor < oldest && oldest < r.until && v.ordinalAt(oldest) == mem.seen {
		mem.cursor = oldest
	}
	if mem.cursor < v.oldest() || r.start < own.oldest() {
		l.endReplay(mem)
		if mem.cursor >= own.oldest() {
			l.goOn(mem, r.ordinal)
		}
		return 0
	}
	for mem.cursor < r.until {
		messages, next := l.fanout.gather(l, &v, mem.cursor, r.until)
		if len(messages) > 0 {
			n := mem.write(messages)
			writes += cost(n)
			if n < len(messages) {
				mem.cursor = l.fanout.taken(l, &v, mem.cursor, n)
				mem.seen = v.ordinalAt(mem.cursor)
				return writes
			}
		}
		mem.cursor = next
	}
	l.endReplay(mem)
	return writes
}

// recode appends a frame of the history as the lane's members want it.
func (l *lane) recode(dst, frame []byte) []byte {
	if l.view == historyView || l.room.shard.config.Recode == nil {
		return append(dst, frame...)
	}
	return l.room.shard.config.Recode(dst, frame, l.view)
}
