package room

// A roster is the members in the order of joining. Who leaves is a hole until half of it is holes, so that joining and
// leaving cost nothing that grows with the room. All of it is owned by the room's lock.
//
// A member keeps its place here and the low half of its join number: the number is exact as long as fewer than 2^32
// others have joined after it.
type roster struct {
	places []*Member // nil: a hole
	holes  int
	joins  uint64 // ever, so also the join number of the latest
}

func (r *roster) len() int { return len(r.places) - r.holes }

func (r *roster) add(m *Member) {
	r.joins++
	m.join = uint32(r.joins)
	m.listed = uint32(len(r.places))
	r.places = append(r.places, m)
}

func (r *roster) remove(m *Member) {
	r.places[m.listed] = nil
	r.holes++
	if 2*r.holes >= len(r.places) {
		r.compact()
	}
}

// compact moves everybody to a slice without holes, and of the right size.
func (r *roster) compact() {
	var places []*Member
	if n := r.len(); n > 0 {
		places = make([]*Member, 0, n)
	}
	for _, m := range r.places {
		if m != nil {
			m.listed = uint32(len(places))
			places = append(places, m)
		}
	}
	r.places, r.holes = places, 0
}

func (r *roster) joinOf(m *Member) uint64 { return r.joins - uint64(uint32(r.joins)-m.join) }

// page visits at most limit members after a join number.
func (r *roster) page(after uint64, limit int, visit func(join uint64, peer Peer)) (more bool) {
	for _, m := range r.places[r.find(after):] {
		switch {
		case m == nil:
		case limit <= 0:
			return true
		default:
			visit(r.joinOf(m), m.peer)
			limit--
		}
	}
	return false
}

// find returns the place of the first member after a join number, or of a hole right before it. It looks at no hole twice: all
// of them may lie together.
func (r *roster) find(after uint64) int {
	from, to := 0, len(r.places)
	for from < to {
		middle := int(uint(from+to) / 2)
		i := middle
		for i < to && r.places[i] == nil {
			i++
		}
		if i < to && r.joinOf(r.places[i]) <= after {
			from = i + 1
		} else {
			to = middle
		}
	}
	return from
}
