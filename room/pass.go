package room

import "slices"

// A pass is one way around a lane's members. Each begins at another member, so that none is always served first:
//
//	at first                       [ unvisited ][ visited ][ unvisited ]
//	                                0            start      at          n
//	over, behind the last member   [ visited ][ unvisited ][ visited ]
//	                                0          at           start    n
type pass struct {
	end       uint64 // of the log when it began
	start, at int
	over      bool
	running   bool // begun and not completed
	count     uint32
}

// goldenSection of 2^32: its multiples modulo 2^32 lie as evenly as can be, however many there are.
const goldenSection = 0x9e3779b9

func (p *pass) begin(end uint64, n int) {
	p.count++
	p.start = int(uint64(p.count*goldenSection) * uint64(n) >> 32)
	p.end, p.at, p.over, p.running = end, p.start, false, true
	p.turnOver(n)
}

// done says whether every member has been visited.
func (p *pass) done() bool { return p.over && p.at == p.start }

func (p *pass) advance(n int) {
	p.at++
	p.turnOver(n)
}

func (p *pass) turnOver(n int) {
	if !p.over && p.at == n {
		p.at, p.over = 0, true
	}
}

// add takes a member in. A pass that is running visits it or not: it has nothing to get before the end of the log
// moves, and then another pass follows.
func (l *lane) add(mem *Member) {
	mem.moveTo(len(l.members))
	l.members = append(l.members, mem)
}

// remove takes a member out, and moves the last one to its place. So that no unvisited member becomes a visited one by
// that, the hole first moves to the edge of the visited part.
func (l *lane) remove(mem *Member) {
	hole, p := mem.placed(), &l.pass
	if p.running {
		if hole < p.at && (p.over || hole >= p.start) {
			p.at--
			hole = l.fill(hole, p.at)
		}
		if p.over && hole < p.start {
			p.start--
			hole = l.fill(hole, p.start)
		}
	}
	n := len(l.members) - 1
	l.fill(hole, n)
	l.members[n] = nil
	l.members = l.members[:n]
	if cap(l.members) >= 64 && n < cap(l.members)/4 {
		l.members = slices.Clone(l.members)
	}
	if p.running {
		p.turnOver(n)
	}
}

// fill moves the member at from to the hole, and returns the hole that this makes.
func (l *lane) fill(hole, from int) int {
	if hole != from {
		l.members[hole] = l.members[from]
		l.members[hole].moveTo(hole)
	}
	return from
}
