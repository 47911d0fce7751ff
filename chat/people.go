package chat

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// grace is how long somebody whose connection is gone is still there for the others.
const grace = 30 * time.Second

// remembered is how many of a person's messages are known by the id that it gave them.
const remembered = 16

// A person is somebody who speaks throng.v1, through any number of connections.
type person struct {
	number uint64 // unlike any other's, also after a restart
	id     string // the same, as the protocol has it
	nick   id     // any goroutine; choosing under mu

	mu    sync.Mutex
	seats int              // connections
	gone  time.Duration    // when the last of them went, if there is none
	stays map[string]*stay // by room
	said  [remembered]said // a ring
	next  int
}

// A stay is somebody's being in a room, for which a connection is not needed all the time.
type stay struct {
	places int           // connections that are in the room
	since  time.Duration // when the last of them went, if there is none
}

// said is a message by the id that its sender gave it. seq is 0 until it is published.
type said struct {
	id, room string
	seq      uint64
}

// An arrival is what a join means for the others.
type arrival int

const (
	first arrival = iota // somebody has come
	back                 // who was thought to be there all the time
	again                // through one more connection
)

// enter notes a connection's joining a room.
func (p *person) enter(room string) arrival {
	p.mu.Lock()
	defer p.mu.Unlock()
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
// still expected back: since is then when it went.
func (p *person) leave(room string, away bool, since time.Duration) (last bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
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

// rooms lists where the person is.
func (p *person) rooms() (names []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name := range p.stays {
		names = append(names, name)
	}
	return names
}

// recall finds a message by its id, or notes that it is about to be said.
func (p *person) recall(room, id string) (seq uint64, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.said {
		if s.id == id && s.room == room {
			return s.seq, true
		}
	}
	p.said[p.next] = said{id: id, room: room}
	p.next = (p.next + 1) % remembered
	return 0, false
}

// settle notes the number of a message that recall has noted, or forgets it: 0.
func (p *person) settle(room, id string, seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.said {
		if s := &p.said[i]; s.id == id && s.room == room {
			if s.seq = seq; seq == 0 {
				*s = said{}
			}
			return
		}
	}
}

// people are all persons that are there, or were a moment ago.
type people struct {
	names *names

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

// expire takes at most limit absences that began before a time off the list, and returns those that are final: the
// person has not come back.
func (pp *people) expire(before time.Duration, limit int) (final []absence) {
	pp.mu.Lock()
	defer pp.mu.Unlock()
	n := 0
	for n < len(pp.absences) && n < limit && pp.absences[n].since <= before {
		if a := pp.absences[n]; a.final() {
			final = append(final, a)
			if a.room == "" {
				delete(pp.byNumber, a.who.number)
			}
		}
		n++
	}
	clear(pp.absences[:n])
	if pp.absences = pp.absences[n:]; len(pp.absences) == 0 {
		pp.absences = nil
	}
	return final
}

// final ends the stay if the person has not come back since.
func (a *absence) final() bool {
	p := a.who
	p.mu.Lock()
	defer p.mu.Unlock()
	if a.room == "" {
		return p.seats == 0 && p.gone == a.since
	}
	st := p.stays[a.room]
	if st == nil || st.places > 0 || st.since != a.since {
		return false
	}
	delete(p.stays, a.room)
	return true
}
