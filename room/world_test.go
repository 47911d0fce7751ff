package room_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"throng/room"
)

// A world is a map of rooms with its workers and its clock, and beside it what a plain list per room says should
// happen. Everything runs on the test's goroutine; workers take a turn only when they were woken or had more to do.
type world struct {
	t      testing.TB
	config room.Config
	rooms  *room.Map
	now    time.Duration
	runs   []bool // by worker: it has a reason to take a turn
	turns  bool   // one of them is taking it

	model   map[string]*modelRoom
	members []*person
	waiters []*waiter
	ids     uint32
	epochs  uint64
	view    int // of those who join next
	views   int // of a model run
	missed  int // gaps so far, and busy answers: a test that never sees one shows nothing
	unfair  int // gaps of members that were not blocked
	busy    int
}

func newWorld(t testing.TB, workers int, adjust func(*room.Config)) *world {
	w := &world{t: t, model: map[string]*modelRoom{}, runs: make([]bool, workers)}
	w.config = room.Defaults()
	w.config.Views = views
	w.config.Wall = func() time.Time { return wall }
	w.config.Epoch = func() uint64 { w.epochs++; return w.epochs }
	w.config.Now = func() time.Duration { return w.now }
	if adjust != nil {
		adjust(&w.config)
	}
	wake := make([]func(), workers)
	for i := range wake {
		wake[i] = func() { w.runs[i] = true }
	}
	w.rooms = room.NewMap(w.config, wake)
	return w
}

// A modelRoom is everything that was published in one life of a room.
type modelRoom struct {
	name    string
	entries []entry
	end     [views]uint64
	seq     uint64 // messages
	epoch   uint64 // 0: not known yet
	roster  []*person
	joins   uint64
	due     time.Duration
	listed  bool
}

type entry struct {
	entryOf
	position [views]uint64 // in each view
	at       time.Duration
}

// views is how many encodings the rooms of a world have.
const views = 2

// An entryOf is what a test publishes: each view has a size of its own, and notices may be nothing in one of them.
type entryOf struct {
	id     uint32
	notice bool
	size   int
	not    int    // the view in which it is nothing; negative: none
	seq    uint64 // what its stamp has to say; 0: anything
}

func (e entryOf) Frame(view int, at room.Stamp) []byte {
	if e.seq != 0 && (at.Seq != e.seq || !e.notice && at.Prev != e.seq-1 || at.Time != wall.UnixMilli()) {
		panic(fmt.Sprintf("a stamp of %+v, and the number was to be %d", at, e.seq))
	}
	if view == e.not {
		return nil
	}
	f := frame(e.id, e.notice, e.size+20*view)
	f[len(f)-2] = byte(view)
	return f
}

// wall is the time of day in each world.
var wall = time.UnixMilli(1_700_000_000_123)

// recode makes a frame of the first view one of the second.
func recode(dst, frame []byte, view int) []byte {
	id, notice, size := parse(nil, frame)
	head := map[bool]int{true: 2, false: 4}[size < 128]
	if size >= 1<<16 {
		head = 10
	}
	return append(dst, entryOf{id, notice, size - head, -1, 0}.Frame(view, room.Stamp{})...)
}

// A sameEntry is an entry with the same bytes in every view.
type sameEntry struct{ frame []byte }

func same(frame []byte) *sameEntry { return &sameEntry{frame} }

func (s *sameEntry) Frame(int, room.Stamp) []byte { return s.frame }

// A person is a member with a peer that takes as much as it has credit for, and checks each byte.
type person struct {
	w       *world
	mem     room.Member
	worker  int
	view    int
	room    *modelRoom
	number  uint64 // of joining
	joined  int    // entries in the room when it joined
	next    int    // the entry that it has to get next
	credit  int    // bytes; negative: any number
	blocked bool
	freed   bool // its connection is writable again; it is blocked until the next write
	got     int
	onWrite func()
}

type waiter struct{ resumed int }

func (w *waiter) Resume() { w.resumed++ }

// Write checks that what comes is exactly what the model says comes next.
func (p *person) Write(frames []byte) (n int) {
	if p.freed {
		p.blocked, p.freed = false, false
	}
	if p.blocked && p.w.turns {
		p.w.t.Fatalf("%v is blocked and was written to in a turn", p)
	}
	if len(frames) == 0 {
		p.w.t.Fatalf("%v: an empty write", p)
	}
	if p.onWrite != nil {
		p.onWrite()
	}
	for n < len(frames) {
		if p.credit == 0 {
			p.blocked = true
			return n
		}
		id, notice, size := parse(p.w.t, frames[n:])
		p.expect(id, notice, int(frames[n+size-2]))
		p.got++
		n += size
		if p.credit > 0 {
			p.credit = max(0, p.credit-size)
		}
	}
	return n
}

// expect moves on to the entry that was received.
func (p *person) expect(id uint32, notice bool, view int) {
	r := p.room
	p.passNotices()
	p.passGap(id)
	p.passNotices()
	if p.next >= len(r.entries) {
		p.w.t.Fatalf("%v got %d, and nothing was to come", p, id)
	}
	if e := r.entries[p.next]; e.id != id || e.notice != notice {
		p.w.t.Fatalf("%v got %d (notice %v), and %d (notice %v) was to come", p, id, notice, e.id, e.notice)
	}
	if want := p.stands(); view != want {
		p.w.t.Fatalf("%v got %d in view %d, not %d", p, id, view, want)
	}
	p.next++
}

// stands is the view that the next entry comes in: history is all in the first, unless it is recoded.
func (p *person) stands() int {
	if p.next < p.joined && p.w.config.Recode == nil {
		return 0
	}
	return p.view
}

// passNotices leaves out those that history leaves out, and those that are nothing in its view.
func (p *person) passNotices() {
	for p.next < len(p.room.entries) {
		e := p.room.entries[p.next]
		if !e.notice || p.next >= p.joined && e.not != p.view {
			return
		}
		p.next++
	}
}

// passGap leaves out a gap before entry id that has only notices in it, which is not told. When it came about the end
// was where it is now, or before.
func (p *person) passGap(id uint32) {
	r, window := p.room, uint64(p.w.config.Window)
	if p.next == len(r.entries) || r.entries[p.next].position[p.view]+window >= r.end[p.view] {
		return
	}
	for p.next < len(r.entries) {
		e := r.entries[p.next]
		if e.id == id || !e.notice || e.position[p.view]+window/2 >= r.end[p.view] {
			return
		}
		p.next++
	}
}

// Missed checks that the gap is real, as small as promised and counted exactly.
func (p *person) Missed(n, next uint64) {
	p.w.missed++
	if !p.blocked {
		p.w.unfair++
	}
	if p.freed { // it was its turn, even if nothing is left to write
		p.blocked, p.freed = false, false
	}
	if n == 0 {
		p.w.t.Fatalf("%v missed nothing, and was told so", p)
	}
	p.jump(n)
	if want := p.room.seq + 1 - p.room.messages(p.next); next != want {
		p.w.t.Fatalf("%v was told that message %d comes next, not %d", p, next, want)
	}
}

func (p *person) jump(n uint64) {
	if p.next < p.joined && p.gaveUp(n) {
		return
	}
	r := p.room
	first := p.next
	for first > 0 && first <= p.joined && r.entries[first-1].notice {
		first-- // a member that gets history may still stand before notices that it will not get
	}
	cursor, end := r.entries[first].position[p.view], r.end[p.view]
	if cursor+uint64(p.w.config.Window) > end {
		p.w.t.Fatalf("%v has a gap %d bytes before the end", p, end-cursor)
	}
	middle, messages := end-uint64(p.w.config.Window/2), uint64(0)
	for ; p.next < len(r.entries) && r.entries[p.next].position[p.view] < middle; p.next++ {
		if !r.entries[p.next].notice {
			messages++
		}
	}
	if messages != n {
		p.w.t.Fatalf("%v was told that it missed %d, and missed %d", p, n, messages)
	}
}

// gaveUp says whether the gap is the rest of the history, which has aged while the member did not take it.
func (p *person) gaveUp(n uint64) bool {
	r, rest := p.room, uint64(0)
	for _, e := range r.entries[p.next:p.joined] {
		if !e.notice {
			rest++
		}
	}
	if rest != n || p.w.back(r, len(r.entries)) <= p.next {
		return false
	}
	p.next = p.joined
	return true
}

func (p *person) String() string {
	return fmt.Sprintf("member %d of %s on worker %d", p.number, p.room.name, p.worker)
}

// frame makes a server's text frame of about that size: an id and a kind, then padding.
func frame(id uint32, notice bool, size int) []byte {
	payload := max(size, 8)
	var f []byte
	switch {
	case payload < 126:
		f = append(f, 0x81, byte(payload))
	case payload < 1<<16:
		f = binary.BigEndian.AppendUint16(append(f, 0x81, 126), uint16(payload))
	default:
		f = binary.BigEndian.AppendUint64(append(f, 0x81, 127), uint64(payload))
	}
	head := len(f)
	f = append(f, make([]byte, payload)...)
	binary.BigEndian.PutUint32(f[head:], id)
	if notice {
		f[head+4] = 1
	}
	f[len(f)-1] = byte(id)
	return f
}

func parse(t testing.TB, b []byte) (id uint32, notice bool, size int) {
	if len(b) < 10 || b[0] != 0x81 {
		t.Fatalf("not at the beginning of a frame: % x", b[:min(len(b), 16)])
	}
	head, payload := 2, int(b[1])
	switch payload {
	case 126:
		head, payload = 4, int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		head, payload = 10, int(binary.BigEndian.Uint64(b[2:]))
	}
	size = head + payload
	if size > len(b) {
		t.Fatalf("a frame of %d bytes was cut at %d", size, len(b))
	}
	id = binary.BigEndian.Uint32(b[head:])
	if b[size-1] != byte(id) {
		t.Fatalf("the last byte of frame %d is wrong", id)
	}
	return id, b[head+4] == 1, size
}
