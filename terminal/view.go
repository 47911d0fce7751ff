package terminal

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gdamore/tcell/v2"

	"throng/client"
)

// Limits of what is kept and shown.
const (
	maxEntries = 5000 // of a room; the oldest go
	maxNames   = 8    // in one line about who has come and gone
)

// kind is what an entry is.
type kind int

const (
	said kind = iota
	notice
	trouble // a notice about something that went wrong
	coming  // who has come and gone
	lost    // messages that are missing
)

// entry is one thing in a room's transcript.
type entry struct {
	kind  kind
	msg   client.Message
	text  string
	moves moves
	gap   client.Gap

	lines []line // as it was wrapped last
	width int    // for this width
}

// view is what there is to see of a room.
type view struct {
	name    string
	entries []*entry
	life    int // where the present numbering of messages begins in entries
	unread  int
	scroll  int  // rows below the last one that is shown
	up      bool // somebody has just scrolled up
	here    bool // we are a member
	members int
	oldest  uint64 // message that history has, as far as we know
	asking  bool   // history is on its way
	pending []pending
	typing  map[string]typist // by id
}

// pending is a message of ours that is not confirmed.
type pending struct{ id, text string }

// typist is somebody who writes.
type typist struct {
	nick  string
	until time.Time
}

// add appends an entry. What a person looks at stays where it is.
func (v *view) add(e *entry) { v.insert(len(v.entries), e) }

// insert puts entries at a place.
func (v *view) insert(i int, some ...*entry) {
	v.entries = slices.Insert(v.entries, i, some...)
	if extra := len(v.entries) - maxEntries; extra > 0 && v.scroll == 0 {
		clear(v.entries[:extra])
		v.entries = v.entries[extra:]
		v.life = max(0, v.life-extra)
		v.oldest = min(v.oldest, 1)
	}
}

// note adds a line of ours.
func (v *view) note(k kind, format string, args ...any) *entry {
	e := &entry{kind: k, text: fmt.Sprintf(format, args...)}
	v.add(e)
	return e
}

// hear puts a message in its place: at the end, or between others if it is an earlier one. It returns the
// entry, and whether it is the latest; nil if it is there already.
func (v *view) hear(m client.Message) (e *entry, latest bool) {
	place := len(v.entries)
	for i := place - 1; i >= v.life; i-- {
		seq := v.entries[i].msg.Seq
		switch v.entries[i].kind {
		case lost:
			seq = v.entries[i].gap.From
		case said:
		default:
			continue
		}
		if seq == m.Seq && v.entries[i].kind == said {
			return nil, false
		}
		if seq < m.Seq {
			break
		}
		place = i
	}
	e = &entry{kind: said, msg: m}
	latest = place == len(v.entries)
	v.insert(place, e)
	return e, latest
}

// first is the number of the earliest message of this numbering, 0 for none.
func (v *view) first() uint64 {
	for _, e := range v.entries[v.life:] {
		if e.kind == said {
			return e.msg.Seq
		}
	}
	return 0
}

// earlier says whether there is something to ask history for, and before which message.
func (v *view) earlier() (before uint64, ok bool) {
	before = v.first()
	return before, before > 0 && v.oldest < before && !v.asking && v.here
}

// missing notes a gap.
func (v *view) missing(g client.Gap) *entry {
	e := &entry{kind: lost, gap: g}
	v.add(e)
	return e
}

// fill puts messages of history into a gap. They come without holes: what stands before the first of
// them is what is still missing. A gap of an earlier numbering stays: history is of the present one.
func (v *view) fill(gap *entry, messages []client.Message) {
	i := slices.Index(v.entries[v.life:], gap)
	if i < 0 {
		return
	}
	i += v.life
	from, left := gap.gap.From, gap.gap.To
	var found []*entry
	for _, m := range messages {
		if m.Seq < from || m.Seq > gap.gap.To {
			continue
		}
		if left == gap.gap.To {
			left = m.Prev
		}
		found = append(found, &entry{kind: said, msg: m})
	}
	gap.lines = nil
	if left < from {
		v.entries = slices.Delete(v.entries, i, i+1)
		i--
	} else if left < gap.gap.To {
		gap.gap.To, gap.gap.Missed = left, 0
	}
	v.insert(i+1, found...)
}

// moved folds who came and went into the line before, if that is about the same.
func (v *view) moved(p client.Presence) {
	v.members = p.Members
	if len(p.Joined)+len(p.Left)+len(p.Renamed) == 0 {
		return
	}
	var last *entry
	if n := len(v.entries); n > 0 && v.entries[n-1].kind == coming {
		last = v.entries[n-1]
	} else {
		last = &entry{kind: coming}
		v.add(last)
	}
	last.moves.add(p)
	last.lines = nil
}

// moves is who has come and gone between two messages.
type moves struct {
	joined, left []client.Person
	renamed      []client.Renamed
}

func (m *moves) add(p client.Presence) {
	m.joined = append(m.joined, p.Joined...)
	for _, who := range p.Left {
		is := func(q client.Person) bool { return q.ID == who.ID }
		if i := slices.IndexFunc(m.joined, is); i >= 0 {
			m.joined = slices.Delete(m.joined, i, i+1) // came and went: nobody has to know
		} else {
			m.left = append(m.left, who)
		}
	}
	m.renamed = append(m.renamed, p.Renamed...)
}

func (m *moves) String() string {
	var parts []string
	for _, group := range []struct {
		who  []client.Person
		what string
	}{{m.joined, "joined"}, {m.left, "left"}} {
		if len(group.who) > 0 {
			parts = append(parts, names(group.who)+" "+group.what)
		}
	}
	for i, r := range m.renamed {
		if i == maxNames {
			parts = append(parts, fmt.Sprintf("%d more have new names", len(m.renamed)-i))
			break
		}
		parts = append(parts, r.Old+" is now "+r.Nick)
	}
	if len(parts) == 0 {
		return "somebody came and went"
	}
	return strings.Join(parts, " · ")
}

// names lists some people and counts the rest.
func names(people []client.Person) string {
	var list []string
	for i, p := range people {
		if i == maxNames && len(people) > maxNames+1 {
			return fmt.Sprintf("%s and %d others", strings.Join(list, ", "), len(people)-i)
		}
		list = append(list, p.Nick)
	}
	return strings.Join(list, ", ")
}

// layout is an entry in rows.
func (e *entry) layout(columns int, look *look) []line {
	if e.lines != nil && e.width == columns {
		return e.lines
	}
	e.width = columns
	switch e.kind {
	case said:
		e.lines = wrap([]span{
			{e.msg.Time().Format("15:04") + " ", look.dim},
			{e.msg.From.Nick, look.nick(e.msg.From.Nick)},
			{": " + e.msg.Text, tcell.StyleDefault},
		}, columns, len("15:04 "))
	case lost:
		e.lines = wrap([]span{{missed(e.gap), look.alarm}}, columns, 2)
	case coming:
		e.lines = wrap([]span{{"· " + e.moves.String(), look.dim}}, columns, 2)
	case trouble:
		e.lines = wrap([]span{{"! " + e.text, look.alarm}}, columns, 2)
	default:
		e.lines = wrap([]span{{"· " + e.text, look.dim}}, columns, 2)
	}
	return e.lines
}

// missed says what a gap is. Numbers are not subtracted: they need not be contiguous.
func missed(g client.Gap) string {
	switch {
	case g.Missed == 1:
		return "-- one message is missing here --"
	case g.Missed > 1:
		return "-- " + strconv.Itoa(g.Missed) + " messages are missing here --"
	}
	return "-- messages are missing here --"
}
