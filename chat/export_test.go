package chat

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"throng/frame"
	"throng/room"
	"throng/server"
)

// Share is what fan-out may take.
var Share = share

// Sweep removes all rooms that are over. While no worker runs.
func (ch *Chat) Sweep() { ch.rooms.Sweep(1 << 30) }

// Expire lets all go who are away for longer than the grace time, and tells nobody. While no worker runs.
func (ch *Chat) Expire() {
	for more := true; more; more = len(ch.people.absences) > 0 && ch.people.absences[0].since <= ch.cfg.Rooms.Now()-grace {
		ch.expire()
	}
	for ch.halls.waiting() > 0 {
		ch.halls.take()
	}
}

// Chosen counts the nicknames in the tables: by key, and by number.
func (ch *Chat) Chosen() (owners, texts int) { return ch.names.count() }

// Leftovers count what people leave in the tables.
type Leftovers struct {
	Nicknames, Texts, Returned int
	Persons, Absences, Halls   int
	Rooms                      int
	Bytes                      int64 // of the rooms' logs
}

// Left counts. Any goroutine.
func (ch *Chat) Left() (l Leftovers) {
	l.Nicknames, l.Texts = ch.names.count()
	ch.names.returned.mu.Lock()
	l.Returned = len(ch.names.returned.m)
	ch.names.returned.mu.Unlock()
	ch.people.mu.Lock()
	l.Persons, l.Absences = len(ch.people.byNumber), len(ch.people.absences)
	ch.people.mu.Unlock()
	ch.halls.mu.Lock()
	l.Halls = len(ch.halls.byName)
	ch.halls.mu.Unlock()
	l.Rooms, l.Bytes = ch.Rooms(), ch.Bytes()
	return l
}

// Scratch is the largest buffer that workers keep for what they compose. When they have ended.
func (ch *Chat) Scratch() (largest int) {
	for i := range ch.desks {
		m := &ch.desks[i].message
		for _, b := range [][]byte{m.plain, m.body, m.plainPacked.data, m.bodyPacked.data, m.payload, m.frame, ch.desks[i].object} {
			largest = max(largest, cap(b))
		}
	}
	return largest
}

func (n *names) count() (owners, texts int) {
	for i := range n.owners {
		n.owners[i].mu.Lock()
		owners += len(n.owners[i].m)
		n.owners[i].mu.Unlock()
		n.chosen[i].mu.RLock()
		texts += len(n.chosen[i].m)
		n.chosen[i].mu.RUnlock()
	}
	return owners, texts
}

// ghost is a peer that is nobody.
type ghost struct{}

func (ghost) Write(frames []byte) int { return len(frames) }
func (ghost) Missed(_, _ uint64)      {}

// Post runs f with the connection of whoever has that nickname in a room, on
// the connection's worker. It answers once f is queued, or says that there is
// nobody of that name.
func (ch *Chat) Post(in, nick string, f func(*server.Conn)) (found bool) {
	done := make(chan *member, 1)
	ch.srv.Workers()[0].Post(func() {
		var who *member
		var m room.Member
		ch.rooms.Join(in, &m, room.Joiner{Peer: ghost{}})
		m.Room().Members(0, 1<<30, func(_ uint64, p room.Peer) {
			if p, ok := p.(*member); ok && ch.names.of(&p.id) == nick {
				who = p
			}
		})
		m.Leave()
		done <- who
	})
	m := <-done
	if m != nil {
		m.conn.Post(f)
	}
	return m != nil
}

// SayAllocs counts the allocations of a thousand messages of that text, from
// Message to the room's log. On the connection's worker.
func SayAllocs(c *server.Conn, text string) float64 {
	ch, msg := c.Handler().(*Chat), server.Message{Op: ws.OpText, Payload: []byte(text)}
	return testing.AllocsPerRun(10, func() {
		for range 1000 {
			if !ch.Message(c, msg) {
				panic("the room is busy")
			}
		}
	})
}

// Names are the nicknames of a process without a chat around them.
type Names struct{ n *names }

// NewNames makes them.
func NewNames(seed uint64) Names { return Names{newNames(seed)} }

// Person is somebody with a nickname.
type Person struct {
	names *names
	m     member
}

// Draw gives a nickname to somebody new.
func (n Names) Draw() *Person {
	p := &Person{names: n.n}
	p.m.id.Store(n.n.draw())
	return p
}

// Skip passes over numbers.
func (n Names) Skip(numbers uint64) { n.n.drawn.Add(numbers) }

// Count counts what stands in the tables.
func (n Names) Count() (owners, texts int) { return n.n.count() }

// Nick is the person's nickname.
func (p *Person) Nick() string { return string(p.names.appendTo(nil, &p.m.id)) }

// Choose takes another one.
func (p *Person) Choose(nick string) error { return p.names.choose(&p.m.id, nick) }

// Release gives it back.
func (p *Person) Release() { p.names.release(&p.m.id) }

// Key is what nicknames that look alike have in common.
func Key(nick string) string { return key(nick) }

// AppendString, CutString and Unescape are the JSON strings of the messages.
func AppendString(dst []byte, s string) []byte           { return appendString(dst, s) }
func CutString(b []byte) (s, rest []byte, ok bool)       { return cutString(b) }
func Unescape(dst, s []byte) []byte                      { return unescape(dst, s) }
func Recode(dst, history []byte, view int) []byte        { return recode(dst, history, view) }
func Spoken(payload []byte) (nick, text []byte, ok bool) { return spoken(payload) }

// The views of a room.
const (
	JSONView, PlainView         = jsonView, plainView
	JSONDeflated, PlainDeflated = jsonDeflated, plainDeflated
)

// Said encodes what somebody says, for a room with members of the views in it, and returns the frame of each view.
func Said(name string, id, nick, text, said string, seq uint64, in []int) (frames [views][]byte) {
	m := room.NewMap(room.Config{
		Shards: 1, Views: views, Window: 1 << 20, Now: func() time.Duration { return 0 }, Wall: time.Now,
		Epoch: func() uint64 { return 1 },
	}, []func(){func() {}})
	var host room.Member
	m.Join(name, &host, room.Joiner{Peer: ghost{}, View: jsonView})
	others := make([]room.Member, len(in))
	for i, view := range in {
		m.Join(name, &others[i], room.Joiner{Peer: ghost{}, View: view})
	}
	var msg message
	d := frame.NewDeflater(frame.DeflateLevel)
	msg.encode(host.Room(), d, []byte(id), append(msg.begin(), nick...), []byte(text), said)
	for view := range frames {
		frames[view] = append([]byte(nil), msg.Frame(view, room.Stamp{Seq: seq, Prev: seq / 2, Time: int64(seq % 1e15)})...)
	}
	return frames
}

// A Change is somebody's coming, going or having another nickname.
type Change struct{ Kind, ID, Old, Nick string }

// Presence makes a presence line of changes; asked: the member list was read meanwhile.
func Presence(in string, members int, many, asked bool, changes ...Change) string {
	kinds := map[string]changeKind{"left": hasLeft, "joined": hasJoined, "renamed": isRenamed}
	var all []change
	for _, c := range changes {
		all = append(all, change{kind: kinds[c.Kind], id: c.ID, old: c.Old, nick: c.Nick})
	}
	n := news{in, many, net(all, asked)}
	return string(n.append(nil, members))
}

// DoTick has worker 0 tick, and returns when it has.
func (ch *Chat) DoTick() {
	done := make(chan struct{})
	ch.srv.Workers()[0].Post(func() { ch.Tick(0); close(done) })
	<-done
}

// Remembers says which of a person's messages are known after some were said and others refused, in one life of a room:
// each step is an id, with a "!" before it if the room is busy.
func Remembers(steps ...string) (known []string) {
	p := &person{}
	ids := map[string]uint64{}
	for i, id := range steps {
		id, busy := strings.CutPrefix(id, "!")
		if _, ok := p.recall(1, id); ok {
			continue
		}
		ids[id] = uint64(i + 1)
		if busy {
			p.settle(1, id, 0)
		} else {
			p.settle(1, id, ids[id])
		}
	}
	for _, s := range p.said {
		if s.id != "" && s.seq == ids[s.id] {
			known = append(known, s.id)
		}
	}
	slices.Sort(known)
	return known
}

// ComeAndGo makes a room of so many members, and returns what somebody's coming to it and leaving it allocates, in bytes.
func ComeAndGo(members int) int64 {
	ch := New(Config{Rooms: room.Defaults(), PresenceLimit: 1000}, 1)
	ch.rooms = room.NewMap(ch.cfg.Rooms, []func(){func() {}})
	crowd := make([]room.Member, members+1)
	join := func(i int) {
		ch.rooms.Join("r", &crowd[i], room.Joiner{Peer: ghost{}, View: jsonView})
		ch.arrived(crowd[i].Room(), nil, "id", "nick")
	}
	for i := range crowd {
		join(i)
	}
	next := 0
	return testing.Benchmark(func(b *testing.B) {
		for range b.N {
			r := crowd[next].Room()
			crowd[next].Leave()
			ch.halls.note("r", r.Len(), change{kind: hasLeft, id: "id", nick: "nick"})
			join(next)
			next = (next + 1) % len(crowd)
		}
	}).AllocedBytesPerOp()
}

// Workers is how many workers the connections are on of whoever has that nickname in a room.
func (ch *Chat) Workers(in, nick string) int {
	done := make(chan int, 1)
	ch.srv.Workers()[0].Post(func() {
		on := map[int]bool{}
		ch.rooms.With(in, func(r *room.Room) {
			r.Members(0, 1<<30, func(_ uint64, p room.Peer) {
				if p, ok := p.(*place); ok && ch.names.of(&p.seat.who.nick) == nick {
					on[p.seat.conn.WorkerID()] = true
				}
			})
		})
		done <- len(on)
	})
	return <-done
}

// Lose has so many people be away from a room at this moment, as after a cut of all their connections.
func (ch *Chat) Lose(in string, people int) {
	done := make(chan struct{})
	ch.srv.Workers()[0].Post(func() {
		defer close(done)
		now := ch.cfg.Rooms.Now()
		for range people {
			p := ch.people.arrive(nil)
			p.enter(in)
			ch.people.ties.Add(1)
			p.leave(in, true, now)
			ch.halls.count(in, 0, 1, func() {})
			ch.people.away(absence{now, p, in})
			ch.people.depart(p, now)
		}
	})
	<-done
}

// TypeWhileBehind has a room fall behind with what its members are to get, and says whether it is then told that somebody writes. With
// one worker.
func (ch *Chat) TypeWhileBehind(in, nick string) (told bool) {
	done := make(chan bool)
	ch.srv.Workers()[0].Post(func() {
		var who *place
		ch.rooms.With(in, func(r *room.Room) {
			r.Members(0, 1<<30, func(_ uint64, p room.Peer) {
				if p, ok := p.(*place); ok && ch.names.of(&p.seat.who.nick) == nick {
					who = p
				}
			})
			for r.Admits(nil) {
				r.Notice(ch.desks[0].line("something to be written"))
			}
		})
		who.seat.typing(who)
		done <- who.typed != 0
	})
	return <-done
}

// Overdue has so many people go in each tick, and returns how many of their absences are left in the end that should be over.
func Overdue(perTick, ticks int) (n int) {
	const tick = 250 * time.Millisecond
	pp, now := newPeople(newNames(1), 1), time.Duration(0)
	for range ticks {
		now += tick
		for range perTick {
			pp.away(absence{since: now})
		}
		pp.due(now-grace, expireAtOnce)
	}
	for _, a := range pp.absences {
		if a.since <= now-grace {
			n++
		}
	}
	return n
}
