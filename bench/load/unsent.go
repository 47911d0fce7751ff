package load

// unsentRecords bounds how many entries the unsent messages of one sender make
// in a histogram; above it each stands for several neighbours.
const unsentRecords = 10_000

// unsent are the messages of an open loop that were due and never sent.
type unsent struct {
	count  int64
	oldest int64 // how long the first of them had been due at the end
}

// endMeasuring notes the end of the part of the run that the figures are of.
// What came due since the last turn is still sent; what the senders' windows or
// the server's unwillingness to read kept back beyond the end is accounted for.
func (r *Run) endMeasuring() {
	if r.phase == measuring {
		r.sendDue()
	}
	r.marks.end = r.mark()
	if r.phase == measuring && r.pacing.interval > 0 {
		end := min(r.now, r.ends)
		for _, s := range r.order {
			r.omit(s, end)
		}
	}
}

// omit accounts for what a sender did not send until the end. Each such message
// would have taken at least from the time at which it was due until now, at each
// member of its room: without it the stall of a server that lasts until the end
// were in no figure at all (coordinated omission). A sender that never had a
// connection is a failed connection instead; in a storm nobody has one.
func (r *Run) omit(s *sender, end int64) {
	due := s.due
	if r.config.Messages > 0 {
		due = min(due, int64(r.config.Messages))
	}
	n := due - s.next
	if n <= 0 || r.standings[s.id] == unborn && !r.held {
		return
	}
	r.unsent.count += n
	r.unsent.oldest = max(r.unsent.oldest, end-r.intended(s, s.next))
	// Of those that were sent only a share may have been measured.
	records := min(n, unsentRecords)
	weight := float64(n) / float64(records) * float64(r.config.population(r.config.room(s.id))) * r.pacing.share()
	owed := 0.0
	for i := range records {
		owed += weight
		whole := int64(owed + 0.5)
		owed -= float64(whole)
		r.latency.Omit(end-r.intended(s, s.next+i*n/records), whole)
	}
}

// share is how many of the messages sent while measuring had their latency measured.
func (p *pacing) share() float64 {
	if p.measured == 0 {
		return 1
	}
	return float64(p.sampled) / float64(p.measured)
}

// population is how many members a room has in all processes.
func (c *Config) population(room int) int { return (c.Conns - room + c.Rooms - 1) / c.Rooms }

// intended is when message n of a sender is due.
func (r *Run) intended(s *sender, n int64) int64 {
	turn := n*int64(len(r.order)) + int64(s.turn)
	return r.start + int64(float64(turn)*r.pacing.interval)
}
