package room_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"throng/room"
)

// A sink takes everything and counts it.
type sink struct {
	mem   room.Member
	bytes int
}

func (s *sink) Write(frames []byte) int { s.bytes += len(frames); return len(frames) }
func (s *sink) Missed(_, _ uint64)      {}

// never is a clock that stands still.
func never() time.Duration { return 0 }

// sinks makes a room with that many members on one worker, which lie in memory as they joined.
func sinks(members int) (*room.Map, []sink) {
	return join(make([]sink, members), func(i int) int { return i })
}

// join makes a room with members on one worker, who join in an order.
func join(all []sink, order func(i int) int) (*room.Map, []sink) {
	config := room.Defaults()
	config.Now = never
	m := room.NewMap(config, []func(){func() {}})
	for i := range all {
		s := &all[order(i)]
		m.Join("lobby", &s.mem, room.Joiner{Peer: s})
	}
	return m, all
}

func deliver(f *room.Fanout) {
	for f.Turn(128, nil) {
	}
}

func TestMemberSize(t *testing.T) {
	if size := unsafe.Sizeof(room.Member{}); size > 48 {
		t.Errorf("a Member has %d bytes, more than 48", size)
	}
}

// TestSteadyState: a message allocates nothing but its share of a segment, its table included.
func TestSteadyState(t *testing.T) {
	m, all := sinks(10)
	r, fanout := all[0].mem.Room(), m.Fanout(0)
	message := same(frame(1, false, 64))
	publish := func() {
		if !r.Publish(message, nil) {
			t.Fatal("busy")
		}
		deliver(fanout)
	}
	const runs = 200_000
	for range runs / 4 {
		publish() // past the small segments, and until some go
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	allocs := testing.AllocsPerRun(runs, publish)
	runtime.ReadMemStats(&after)
	perMessage := float64(after.TotalAlloc-before.TotalAlloc) / (runs + 1)
	perSegment := float64(after.Mallocs-before.Mallocs) / ((runs + 1) * float64(len(message.frame)+8) / (64 << 10))
	t.Logf("%.1f bytes per message of %d, %.2f allocations per segment", perMessage, len(message.frame), perSegment)
	if allocs != 0 || perMessage > float64(len(message.frame)+10) || perSegment > 5 {
		t.Errorf("%v allocations and %.1f bytes per message, %.2f allocations per segment", allocs, perMessage, perSegment)
	}
}

// TestQuietRooms: a room with one member, who is not in the view that history is kept in, costs at most 1 KiB, everything of
// it included, also after its first message.
func TestQuietRooms(t *testing.T) {
	const rooms = 100_000
	config := room.Defaults()
	config.Views = views
	names := make([]string, rooms)
	for i := range names {
		names[i] = fmt.Sprint("room-", i)
	}
	all := make([]sink, rooms)
	before := heap()
	m := room.NewMap(config, []func(){func() {}})
	for i := range all {
		m.Join(names[i], &all[i].mem, room.Joiner{Peer: &all[i], View: 1})
	}
	history, line := frame(1, false, 170), frame(1, false, 64)
	silent := (heap()-before)/rooms + int(unsafe.Sizeof(room.Member{}))
	for i := range all {
		all[i].mem.Room().Publish(quiet{history, line}, nil)
	}
	deliver(m.Fanout(0))
	spoken := (heap()-before)/rooms + int(unsafe.Sizeof(room.Member{}))
	t.Logf("a room with one member: %d bytes, %d after a message", silent, spoken)
	if silent > 800 || spoken > 1<<10 {
		t.Errorf("a room with one member costs %d bytes, %d after a message", silent, spoken)
	}
	runtime.KeepAlive(m)
	runtime.KeepAlive(all)
}

// quiet is a message as large as in JSON in the history, and as in plain text elsewhere.
type quiet [2][]byte

func (q quiet) Frame(view int, _ room.Stamp) []byte { return q[view] }

func heap() int {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

// BenchmarkDelivery publishes one message and delivers it to everybody: the cost of one delivery, peer excluded.
func BenchmarkDelivery(b *testing.B) {
	for _, members := range []int{1, 100, 10_000, 100_000} {
		b.Run(fmt.Sprint(members), func(b *testing.B) {
			m, all := sinks(members)
			r, fanout := all[0].mem.Room(), m.Fanout(0)
			message := same(frame(1, false, 64))
			b.ReportAllocs()
			for b.Loop() {
				r.Publish(message, nil)
				deliver(fanout)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(members), "ns/delivery")
		})
	}
}

// BenchmarkPublish appends messages to a room where nobody is to be written to.
func BenchmarkPublish(b *testing.B) {
	m, all := sinks(1)
	r := all[0].mem.Room()
	message := same(frame(1, false, 64))
	for i := 0; b.Loop(); i++ {
		r.Publish(message, nil)
		if i%1024 == 0 {
			deliver(m.Fanout(0))
		}
	}
}

// BenchmarkJoin has a member come and go in a room of 10,000.
func BenchmarkJoin(b *testing.B) {
	m, _ := sinks(10_000)
	one := &sink{}
	b.ReportAllocs()
	for b.Loop() {
		m.Join("lobby", &one.mem, room.Joiner{Peer: one})
		one.mem.Leave()
	}
}

// BenchmarkMembers reads a page of 200 of a room of 15,000, of whom as many as leave no compacted roster have just gone, all of them
// the ones who came first: what has to be passed over is at its most.
func BenchmarkMembers(b *testing.B) {
	const members, page = 15_000, 200
	for _, gone := range []int{0, members/2 - 1} {
		for _, after := range []uint64{0, members - page} {
			b.Run(fmt.Sprintf("%d-gone/after-%d", gone, after), func(b *testing.B) {
				_, all := sinks(members)
				r := all[members-1].mem.Room()
				for i := range gone {
					all[i].mem.Leave()
				}
				for b.Loop() {
					listed := 0
					r.Members(after, page, func(uint64, room.Peer) { listed++ })
					if listed != page {
						b.Fatal(listed)
					}
				}
			})
		}
	}
}
