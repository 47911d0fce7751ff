package chat

import (
	"strconv"
	"sync"
	"time"

	"throng/room"
)

// presenceEvery is how often at most a room is told who came and went.
const presenceEvery = 500 * time.Millisecond

// halls are the rooms of which there is something to tell, or whose number of members is not that of their
// connections. A room in which nothing happens is not among them.
type halls struct {
	limit int // members of a room above which only their number is told

	mu     sync.Mutex
	byName map[string]*hall
	dirty  []string // those with something to tell, in the order in which it happened
}

// hall is what is to be told of a room.
type hall struct {
	extra   int // connections of members who have another one there
	absent  int // members who have none, for a moment
	dirty   bool
	changes []change
}

// A change is somebody's coming, going or having another nickname.
type change struct {
	kind changeKind
	id   string // of the person
	nick string
	old  string // the nickname before
}

type changeKind int

const (
	hasJoined changeKind = iota
	hasLeft
	isRenamed
)

// note has a room told of a change, unless it is large: then it is told how many there are.
func (h *halls) note(name string, members int, c change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.of(name)
	if !x.dirty {
		x.dirty = true
		h.dirty = append(h.dirty, name)
	}
	if members <= h.limit && len(x.changes) <= h.limit {
		x.changes = append(x.changes, c)
	}
}

// count corrects how many members a room has.
func (h *halls) count(name string, extra, absent int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.of(name)
	x.extra += extra
	x.absent += absent
	h.drop(name, x)
}

// members is how many there are in a room of that many connections.
func (h *halls) members(name string, conns int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if x := h.byName[name]; x != nil {
		conns += x.absent - x.extra
	}
	return conns
}

// of finds or makes a hall. Under the lock.
func (h *halls) of(name string) *hall {
	x := h.byName[name]
	if x == nil {
		x = &hall{}
		h.byName[name] = x
	}
	return x
}

// drop forgets a hall that says nothing. Under the lock.
func (h *halls) drop(name string, x *hall) {
	if x.extra == 0 && x.absent == 0 && !x.dirty {
		delete(h.byName, name)
	}
}

// take takes what there is to tell of one room, false when there is nothing more.
func (h *halls) take() (name string, changes []change, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.dirty) == 0 {
		h.dirty = nil
		return "", nil, false
	}
	name, h.dirty = h.dirty[0], h.dirty[1:]
	x := h.byName[name]
	changes, x.changes, x.dirty = x.changes, nil, false
	h.drop(name, x)
	return name, changes, true
}

// tell tells every room what has changed in it. One goroutine at a time.
func (ch *Chat) tell() {
	var n notice
	for {
		name, changes, ok := ch.halls.take()
		if !ok {
			return
		}
		ch.rooms.With(name, func(r *room.Room) {
			if hasJSON(r) {
				n.payload = appendPresence(n.payload[:0], name, ch.members(r), changes)
				r.Notice(n.encode(true))
			}
		})
	}
}

// members is how many are in a room.
func (ch *Chat) members(r *room.Room) int { return ch.halls.members(r.Name(), r.Len()) }

// appendPresence appends a presence line. Who came and went meanwhile is not in it.
func appendPresence(b []byte, name string, members int, changes []change) []byte {
	changes = net(changes)
	b = append(append(append(b, `{"t":"presence","room":"`...), name...), '"')
	for kind, key := range []string{`,"joined":[`, `,"left":[`, `,"renamed":[`} {
		b = append(b, key...)
		some := false
		for _, c := range changes {
			if int(c.kind) != kind {
				continue
			}
			if some {
				b = append(b, ',')
			}
			some = true
			b = append(append(append(b, `{"id":"`...), c.id...), '"')
			if c.kind == isRenamed {
				b = appendString(append(b, `,"old":`...), c.old)
			}
			b = append(appendString(append(b, `,"nick":`...), c.nick), '}')
		}
		b = append(b, ']')
	}
	return append(strconv.AppendInt(append(b, `,"members":`...), int64(members), 10), '}')
}

// net leaves one change of each kind and person, and none of those who came and went.
func net(changes []change) []change {
	type key struct {
		kind changeKind
		id   string
	}
	at := make(map[key]int)
	var all []change
	for _, c := range changes {
		i, joined := at[key{hasJoined, c.id}]
		switch {
		case joined && c.kind == hasLeft:
			all[i].id = ""
			delete(at, key{hasJoined, c.id})
			continue
		case joined && c.kind == isRenamed:
			all[i].nick = c.nick
			continue
		}
		if i, twice := at[key{isRenamed, c.id}]; twice && c.kind == isRenamed {
			all[i].nick = c.nick
			continue
		}
		at[key{c.kind, c.id}] = len(all)
		all = append(all, c)
	}
	kept := all[:0]
	for _, c := range all {
		if c.id != "" && c.nick != c.old {
			kept = append(kept, c)
		}
	}
	return kept
}
