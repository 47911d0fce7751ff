package proof

// enter puts a member into the audience of the broadcasts that begin from now on.
func (r *Reference) enter(m *Member) {
	m.from = r.begun
	r.audience++
}

// exit takes a member out of the audience, and reports whether it was in it.
func (r *Reference) exit(m *Member) bool {
	if m.ended {
		return false
	}
	m.ended = true
	if m.except != nil && m.except.unplaced {
		return false // it came late, and has heard nothing yet
	}
	r.audience--
	return true
}

// Leave says that a member hears nothing more. The broadcasts under way reach
// all but this one; if it did not go by itself they are incomplete.
func (r *Reference) Leave(m *Member, byItself bool) {
	if !r.exit(m) {
		return
	}
	n := m.whole
	for seg := m.segment; seg != nil; seg, n = seg.next, 0 {
		for _, s := range seg.sampled(n, uint32(len(seg.entries))) {
			switch {
			case s.number < m.from:
			case byItself:
				r.config.Latency.Excuse(s.ticket)
			default:
				r.config.Latency.Fail(s.ticket)
			}
		}
	}
}

// measure notes that a member received those entries from ≤ n < to that are
// sampled. What began before it came was for others.
func (r *Reference) measure(m *Member, seg *segment, from, to uint32, now int64) {
	if m.ended {
		return
	}
	for _, s := range seg.sampled(from, to) {
		if s.number >= m.from {
			r.config.Latency.Receive(s.ticket, now)
		}
	}
}

// miss notes that a member passed those entries from ≤ n < to without
// receiving them. One that it receives later was not in its place.
func (r *Reference) miss(m *Member, seg *segment, from, to uint32) {
	for _, s := range seg.sampled(from, to) {
		if s.number >= m.from {
			r.config.Latency.Fail(s.ticket)
		}
	}
}
