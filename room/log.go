package room

import (
	"slices"
	"sort"
	"sync/atomic"
	"time"
)

// A log is the entries of a room in one encoding, oldest first, each byte at an absolute position that never changes.
// Writers hold the room's lock. Readers hold none: they load the end first and then the table, so that the table has
// every segment up to that end.
type log struct {
	config *Config
	table  atomic.Pointer[[]*segment] // immutable once published; nil before the first frame
	end    atomic.Uint64              // the position after the last published byte

	first uint32 // the room's messages before the log was made, modulo 2^32

	// Owned by the room's lock.
	messages uint32 // of the room, ever, modulo 2^32
	newest   uint32 // when the last message came, in seconds
	lanes    int    // that deliver from it
	held     int    // bytes of its pages
	largest  int    // frame so far
}

// append publishes a frame. Under the room's lock; lanes are the room's.
func (l *log) append(frame []byte, notice bool, lanes []*lane) {
	end := l.end.Load()
	last := l.last()
	if last == nil || !last.fits(end-last.base, len(frame)) {
		last = l.begin(end, len(frame), lanes)
	}
	l.largest = max(l.largest, len(frame))
	seconds := l.config.seconds()
	last.put(frame, mark{end - last.base, l.messages - last.first, notice, seconds})
	if !notice {
		l.messages++
		l.newest = seconds
	}
	l.end.Store(end + uint64(len(frame)))
}

func (l *log) last() *segment {
	if table := l.table.Load(); table != nil {
		return (*table)[len(*table)-1]
	}
	return nil
}

// begin publishes a table with a new segment at its end, without those segments that nobody may read any more.
func (l *log) begin(end uint64, frame int, lanes []*lane) *segment {
	var kept []*segment
	size := 0
	if last := l.last(); last != nil {
		kept, size = l.alive(*l.table.Load(), end, lanes), len(last.page)
	}
	s := &segment{base: end, first: l.messages, page: make([]byte, pageSize(size, frame))}
	l.held += len(s.page)
	table := make([]*segment, len(kept)+1)
	copy(table, kept)
	table[len(kept)] = s
	l.table.Store(&table)
	return s
}

// alive leaves out the oldest segments that are outside the window and outside the history. Never the last one.
func (l *log) alive(table []*segment, end uint64, lanes []*lane) []*segment {
	window := l.window(end, lanes)
	now := l.config.Now()
	for len(table) > 1 {
		after := table[1]
		if end-after.base < window || l.isHistory(table[0], after, end, now) {
			break
		}
		l.held -= len(table[0].page)
		table = table[1:]
	}
	return table
}

// window is how many bytes before the end have to stay. A log that no lane delivers from needs none. What a lane is just
// coming to can be more than the configured window: a message is taken while lanes lag by less than half of it, however
// long the message is, and notices are taken always.
func (l *log) window(end uint64, lanes []*lane) uint64 {
	if l.lanes == 0 {
		return 0
	}
	window := uint64(l.config.Window)
	for _, lane := range lanes {
		if lane.log == l {
			window = max(window, min(end-lane.reached.Load(), uint64(l.config.Window+l.largest)))
		}
	}
	return window
}

// trim leaves out what members have not got though it was their turn, and unless told to keep it the history too, but for the last
// segment. What lanes are just coming to stays. Under the room's lock; lanes are the room's.
func (l *log) trim(history bool, lanes []*lane) {
	table := l.table.Load()
	if table == nil {
		return
	}
	kept, end, now := *table, l.end.Load(), l.config.Now()
	delivered := end
	for _, lane := range lanes {
		if lane.log == l {
			delivered = min(delivered, lane.reached.Load())
		}
	}
	for len(kept) > 1 && kept[1].base <= delivered && !(history && l.isHistory(kept[0], kept[1], end, now)) {
		l.held -= len(kept[0].page)
		kept = kept[1:]
	}
	if len(kept) < len(*table) {
		kept = slices.Clone(kept)
		l.table.Store(&kept)
	}
}

// isHistory says whether a segment, followed by after, may hold messages that a joiner can ask for.
func (l *log) isHistory(s, after *segment, end uint64, now time.Duration) bool {
	newest := s.mark(int(s.marks.Load()) - 1).seconds
	return l.messages-after.first < uint32(l.config.HistoryCount) &&
		end-after.base < uint64(l.config.HistoryBytes) &&
		!l.config.aged(now, newest)
}

// aged says whether no message is left that a joiner could ask for. Under the room's lock.
func (l *log) aged() bool {
	return l.config.HistoryCount == 0 || l.messages == 0 || l.config.aged(l.config.Now(), l.newest)
}

// back returns the position where the latest n messages begin, as far as they are history, and how many messages come
// before it. Under the room's lock.
func (l *log) back(n int) (position uint64, ordinal uint32) {
	v, now := l.read(), l.config.Now()
	n = min(n, l.config.HistoryCount)
	floor := v.end - min(v.end, uint64(l.config.HistoryBytes))
	return v.first(func(s *segment, m mark) bool {
		return v.ordinal-s.first-m.before <= uint32(n) && s.base+m.offset >= floor && !l.config.aged(now, m.seconds)
	})
}

// A view is a log as it stood at one moment: valid for as long as it is held, on any goroutine.
type view struct {
	end     uint64
	ordinal uint32 // messages before end, modulo 2^32
	table   []*segment
}

// read takes a view.
func (l *log) read() view {
	for {
		end := l.end.Load()
		table := l.table.Load()
		if table == nil {
			return view{end: end, ordinal: l.first}
		}
		// Whoever was interrupted between the two loads may find a table that begins after that end.
		if v := (view{end: end, table: *table}); end >= v.oldest() {
			v.ordinal = v.ordinalAt(end)
			return v
		}
	}
}

// first returns the first position whose mark is one of those sought, and how many messages come before it; the end when
// there is none. All marks after a mark that is sought are so too. Under the room's lock.
func (v *view) first(sought func(*segment, mark) bool) (position uint64, ordinal uint32) {
	position, ordinal = v.end, v.ordinal
	for i := len(v.table) - 1; i >= 0; i-- {
		s := v.table[i]
		marks := int(s.marks.Load())
		k := sort.Search(marks, func(k int) bool { return sought(s, s.mark(k)) })
		if k < marks {
			position, ordinal = s.base+s.mark(k).offset, s.ordinal(k)
		}
		if k > 0 {
			break
		}
	}
	return position, ordinal
}

// last returns where the last n messages begin, as far as they are kept, and how many messages come before that. Under the
// room's lock.
func (v *view) last(n uint32) (position uint64, ordinal uint32) {
	return v.first(func(s *segment, m mark) bool { return v.ordinal-s.first-m.before <= n })
}

// oldest is the first position that can still be read.
func (v *view) oldest() uint64 {
	if len(v.table) == 0 {
		return v.end
	}
	return v.table[0].base
}

// segment returns the segment that holds the byte at position, or that ends there as the last one, and where it ends.
// The search begins at the back, where nearly all cursors are.
func (v *view) segment(position uint64) (s *segment, end uint64) {
	end = v.end
	for i := len(v.table) - 1; i >= 0; i-- {
		s = v.table[i]
		if s.base <= position && (s.base < v.end || i == 0) {
			return s, end
		}
		end = min(end, s.base)
	}
	panic("room: a position before the oldest segment")
}

// run returns the frames from position to the end of its segment, or of the view.
func (v *view) run(position uint64) []byte {
	s, end := v.segment(position)
	return s.page[position-s.base : end-s.base]
}

// ordinalAt counts the messages before position, modulo 2^32. Only a Peer can have made a position inside a frame.
func (v *view) ordinalAt(position uint64) uint32 {
	s, end := v.segment(position)
	i := s.find(position - s.base)
	if position != end && (i == int(s.marks.Load()) || s.mark(i).offset != position-s.base) {
		panic("room: Peer.Write took part of a frame")
	}
	return s.ordinal(i)
}

// boundary returns the first frame end at position or after it.
func (v *view) boundary(position uint64) uint64 {
	position = max(position, v.oldest())
	s, end := v.segment(position)
	if i := s.find(position - s.base); i < int(s.marks.Load()) {
		return min(end, s.base+s.mark(i).offset)
	}
	return end
}

// frame returns the frame at position, which is before the end of the view.
func (v *view) frame(position uint64) (bytes []byte, notice bool) {
	s, end := v.segment(position)
	i := s.find(position - s.base)
	if i+1 < int(s.marks.Load()) {
		end = s.base + s.mark(i+1).offset
	}
	return s.page[position-s.base : end-s.base], s.mark(i).notice
}
