package chat

import (
	"strconv"
	"sync"
	"time"

	"throng/room"
)

const (
	// presenceEvery is how often at most a room is told who came and went.
	presenceEvery = 500 * time.Millisecond
	// tellAtOnce is how many rooms are told in one tick.
	tellAtOnce = 1024
)

// halls are the rooms of which there is something to tell, or whose number of members is not that of their
// connections. A room in which nothing happens is not among them.
type halls struct {
	limit int // members of a room above which only their number is told

	mu     sync.Mutex
	byName map[string]*hall
	due    []*hall // those to be looked at, in the order in which they became so; some are forgotten by now
}

// hall is what is to be told of a room.
type hall struct {
	name    string
	extra   int  // connections of members who have another one there
	absent  int  // members who have none, for a moment
	due     bool // stands in the list
	changed bool
	many    bool // more changes than are told one by one
	asked   bool // the member list was read since the room was last told: somebody who has come and gone may be in it
	missing bool // it was read while somebody was absent, who was not in it
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

// In the order in which a client has to read them: who left and came back is there.
const (
	hasLeft changeKind = iota
	hasJoined
	isRenamed
)

// note has a room told of a change, unless it is large: then it is told how many there are.
func (h *halls) note(name string, connections int, c change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.of(name)
	h.list(x)
	x.changed = true
	members := connections + x.absent - x.extra
	if x.many = x.many || members > h.limit || len(x.changes) > h.limit; x.many {
		x.changes = nil
	} else {
		x.changes = append(x.changes, c)
	}
}

// ask reads the member list of a room, and notes that whoever reads it is to be told of what is no news to the others.
func (h *halls) ask(name string, read func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.of(name)
	h.list(x)
	x.asked, x.missing = true, x.absent > 0
	read()
}

// count corrects how many members a room has, and has move put a connection in or take one out at the same time: whoever
// counts meanwhile sees both or neither. It says whether the member list was read while somebody was absent.
func (h *halls) count(name string, extra, absent int, move func()) (missing bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.of(name)
	missing = x.missing
	x.extra += extra
	x.absent += absent
	move()
	x.missing = x.missing && x.absent > 0
	h.drop(x)
	return missing
}

// members is how many there are in a room.
func (h *halls) members(r *room.Room) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := r.Len()
	if x := h.byName[r.Name()]; x != nil {
		n += x.absent - x.extra
	}
	return n
}

// list has a hall looked at. Under the lock.
func (h *halls) list(x *hall) {
	if !x.due {
		x.due = true
		h.due = append(h.due, x)
	}
}

// of finds or makes a hall. Under the lock.
func (h *halls) of(name string) *hall {
	x := h.byName[name]
	if x == nil {
		x = &hall{name: name}
		h.byName[name] = x
	}
	return x
}

// drop forgets a hall that says nothing. Under the lock.
func (h *halls) drop(x *hall) {
	if x.extra == 0 && x.absent == 0 && !x.due {
		delete(h.byName, x.name)
	}
}

// desert forgets what there was to tell of a room when nobody is left to hear it, nor to come back: else whoever goes through
// rooms leaves more of them than are told.
func (h *halls) desert(r *room.Room) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if x := h.byName[r.Name()]; x != nil && x.extra == 0 && x.absent == 0 && !hasJSON(r) {
		delete(h.byName, x.name)
	}
}

// news is what there is to tell of a room.
type news struct {
	room    string
	many    bool // too much for a list: how many there are now
	changes []change
}

// take takes what there is to tell of the first hall that is due, nil if that is nothing. forgotten is one of a deserted room.
func (h *halls) take() (n *news, forgotten bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.due[0]
	h.due[0], h.due = nil, h.due[1:]
	if h.byName[x.name] != x {
		return nil, true
	}
	if x.changed {
		n = &news{x.name, x.many, net(x.changes, x.asked)}
	}
	x.changes, x.due, x.changed, x.many, x.asked = nil, false, false, false, false
	h.drop(x)
	return n, false
}

// waiting is how many halls are due.
func (h *halls) waiting() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.due) == 0 {
		h.due = nil
	}
	return len(h.due)
}

// A round tells those rooms that were due when it began, over some ticks if they are many. The next one begins
// presenceEvery after it has ended, so that no room is told more often.
type round struct {
	left  int
	ended time.Duration
}

// tell goes on with a round, or begins one. On worker 0.
func (ch *Chat) tell() {
	now := ch.cfg.Rooms.Now()
	if ch.round.left == 0 {
		if now-ch.round.ended < presenceEvery {
			return
		}
		ch.round.left = ch.halls.waiting()
	}
	ch.round.ended = now
	var line notice
	for looked := 0; looked < tellAtOnce && ch.round.left > 0; ch.round.left-- {
		n, forgotten := ch.halls.take()
		if !forgotten {
			looked++
		}
		if n == nil {
			continue
		}
		ch.rooms.With(n.room, func(r *room.Room) {
			if hasJSON(r) {
				line.payload = n.append(line.payload[:0], ch.halls.members(r))
				r.Notice(line.encode(true))
			}
		})
	}
}

// append appends a presence line.
func (n *news) append(b []byte, members int) []byte {
	b = append(append(append(b, `{"t":"presence","room":"`...), n.room...), '"')
	if !n.many {
		b = appendChanges(b, n.changes)
	}
	return append(strconv.AppendInt(append(b, `,"members":`...), int64(members), 10), '}')
}

// appendChanges appends the three lists of a presence line.
func appendChanges(b []byte, changes []change) []byte {
	for kind, key := range []string{`,"left":[`, `,"joined":[`, `,"renamed":[`} {
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
	return b
}

// net makes of a person's changes what they come to: at most one of each kind, to be read in the order of the kinds. Who
// came and went is not in it, or with all only as one who has left.
func net(changes []change, all bool) []change {
	type story struct {
		left, joined, renamed *change
	}
	stories := make(map[string]*story)
	for i := range changes {
		c := &changes[i]
		s := stories[c.id]
		if s == nil {
			s = &story{}
			stories[c.id] = s
		}
		switch c.kind {
		case hasJoined:
			s.joined = c
		case hasLeft:
			if s.left == nil && (s.joined == nil || all) {
				s.left = c
			}
			s.joined, s.renamed = nil, nil
		case isRenamed:
			switch {
			case s.joined != nil:
				s.joined.nick = c.nick
			case s.renamed != nil:
				s.renamed.nick = c.nick
			default:
				s.renamed = c
			}
		}
	}
	var kept []change
	for i := range changes {
		c := &changes[i]
		s := stories[c.id]
		if (c == s.left || c == s.joined || c == s.renamed) && c.nick != c.old {
			kept = append(kept, *c)
		}
	}
	return kept
}
