package chat

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// grace is how long somebody whose connection is gone is still there for the others.
const grace = 30 * time.Second

// absenceTicks is in how many ticks all absences can end: fewer than there are in the grace time.
const absenceTicks = 100

// remembered is how many of a person's messages are known by the id that it gave them.
const remembered = 16

// A person is somebody who speaks throng.v1, through any number of connections.
type person struct {
	number uint64 // unlike any other's, also after a restart
	id     string // the same, as the protocol has it
	nick   id     // any goroutine; choosing under mu

	// Held while the person comes to a room, leaves it or is renamed, until the others are told: they are told in the order
	// in which it happens, whichever workers the connections are on.
	mu    sync.Mutex
	seats int              // connections
	gone  time.Duration    // when the last of them went, if there is none
	stays map[string]*stay // by room
	said  []said           // a ring, made when the first message comes: most only listen
	next  int
	calm  time.Duration // when all changes of the nickname are forgotten
}

const (
	// personBytes is what a person weighs, tables and the ring of ids included.
	personBytes = 1 << 10
	// tieBytes is what a person's being in a room weighs, and again each connection's.
	tieBytes = 128
)

// A stay is somebody's being in a room, for which a connection is not needed all the time.
type stay struct {
	places int           // connections that are in the room
	since  time.Duration // when the last of them went, if there is none
}

// said is a message by the id that its sender gave it, in one life of a room. seq is 0 until it is published.
type said struct {
	id    string
	epoch uint64
	seq   uint64
}

// An arrival is what a join means for the others.
type arrival int

const (
	first arrival = iota // somebody has come
	back                 // who was thought to be there all the time
	again                // through one more connection
)

// enter notes a connection's joining a room. Under the lock.
func (p *person) enter(room string) arrival {
	st := p.stays[room]
	if st == nil {
		p.stays[room] = &stay{places: 1}
		return first
	}
	st.places++
	if st.places == 1 {
		return back
	}
	return again
}

// leave notes that a connection has left a room, and says whether it was the last one there. With away the person is
// still expected back: since is then when it went. Under the lock.
func (p *person) leave(room string, away bool, since time.Duration) (last bool) {
	st := p.stays[room]
	st.places--
	if st.places > 0 {
		return false
	}
	if away {
		st.since = since
	} else {
		delete(p.stays, room)
	}
	return true
}

// restless is how long the person has to wait before the nickname may change once more. Under the lock.
func (p *person) restless(now time.Duration) (wait time.Duration) {
	return max(0, p.calm-now-(renameBurst-1)*renameEvery)
}

// renamed notes that the nickname has changed. Under the lock.
func (p *person) renamed(now time.Duration) { p.calm = max(p.calm, now) + renameEvery }

// recall finds a message by its id, or notes that it is about to be said.
func (p *person) recall(epoch uint64, id string) (seq uint64, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.said {
		if s.id == id && s.epoch == epoch {
			return s.seq, true
		}
	}
	if p.said == nil {
		p.said = make([]said, remembered)
	}
	p.said[p.next] = said{id: id, epoch: epoch}
	p.next = (p.next + 1) % remembered
	return 0, false
}

// settle notes the number of a message that recall has noted, or forgets it: 0. One that a busy room refuses is noted
// and forgotten each time that it is offered, in the same place: it must not push the others out.
func (p *person) settle(epoch uint64, id string, seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.said {
		if s := &p.said[i]; s.id == id && s.epoch == epoch {
			if s.seq = seq; seq == 0 {
				*s = said{}
				if i == (p.next+remembered-1)%remembered {
					p.next = i
				}
			}
			return
		}
	}
}

// people are all persons that are there, or were a moment ago.
type people struct {
	names *names
	count atomic.Int64
	ties  atomic.Int64 // stays, and connections' places

	mu       sync.Mutex
	random   *rand.Rand
	byNumber map[uint64]*person
	absences []absence // in the order in which they end
}

// An absence is a person's being away from a room, or altogether: room "".
type absence struct {
	since time.Duration
	who   *person
	room  string
}

func newPeople(n *names, seed uint64) *people {
	return &people{names: n, random: rand.New(rand.NewPCG(seed, 0)), byNumber: make(map[uint64]*person)}
}

// arrive returns who a connection belongs to: who a claim says, or somebody new. It counts the connection. A nickname that
// somebody has taken since is not given back.
func (pp *people) arrive(c *claim) *person {
	pp.mu.Lock()
	defer pp.mu.Unlock()
	number := pp.random.Uint64()
	if c != nil {
		number = c.number
		if p := pp.byNumber[number]; p != nil {
			p.mu.Lock()
			p.seats++
			p.mu.Unlock()
			return p
		}
	}
	p := &person{number: number, id: fmt.Sprintf("%016x", number), seats: 1, stays: make(map[string]*stay)}
	pp.byNumber[number] = p
	pp.count.Add(1)
	switch {
	case c == nil:
		p.nick.Store(pp.names.draw())
	case c.nick&chosen != 0:
		p.nick.Store(pp.names.draw())
		_ = pp.names.choose(&p.nick, c.text)
	default:
		p.nick.Store(pp.names.drawAgain(c.nick))
	}
	return p
}

// bytes is what people hold. Any goroutine.
func (pp *people) bytes() int64 { return pp.count.Load()*personBytes + pp.ties.Load()*tieBytes }

// depart counts a connection out.
func (pp *people) depart(p *person, now time.Duration) {
	p.mu.Lock()
	p.seats--
	last := p.seats == 0
	p.gone = now
	p.mu.Unlock()
	if last {
		pp.away(absence{now, p, ""})
	}
}

// away notes an absence, which ends after the grace time.
func (pp *people) away(a absence) {
	pp.mu.Lock()
	pp.absences = append(pp.absences, a)
	pp.mu.Unlock()
}

// due takes at most limit absences that began before a time off the list, or more if there are so many that the list would grow:
// each person who goes is away from up to as many rooms as a connection may be in.
func (pp *people) due(before time.Duration, limit int) []absence {
	pp.mu.Lock()
	defer pp.mu.Unlock()
	n := 0
	limit = max(limit, len(pp.absences)/absenceTicks)
	for n < len(pp.absences) && n < limit && pp.absences[n].since <= before {
		n++
	}
	over := pp.absences[:n:n]
	if pp.absences = pp.absences[n:]; len(pp.absences) == 0 {
		pp.absences = nil
	}
	return over
}

// forget forgets somebody who has not come back since, with the nickname: whoever comes with the token after that finds
// it free, and is somebody else in the table. Who has still to be taken leave of somewhere, having come back and gone within one tick of the clock, is forgotten with the
// absence behind that.
func (pp *people) forget(a absence) {
	p := a.who
	pp.mu.Lock()
	defer pp.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seats == 0 && p.gone == a.since && len(p.stays) == 0 && pp.byNumber[p.number] == p {
		delete(pp.byNumber, p.number)
		pp.count.Add(-1)
		pp.names.release(&p.nick)
	}
}

// final ends the stay in a room if the person has not come back since. Under the person's lock.
func (a *absence) final() bool {
	st := a.who.stays[a.room]
	if st == nil || st.places > 0 || st.since != a.since {
		return false
	}
	delete(a.who.stays, a.room)
	return true
}
