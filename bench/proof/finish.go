package proof

import "math"

// Sent is how many messages each sender has sent, or Unknown.
type Sent func(sender int) int64

// Unknown is the number of messages of a sender of whom nothing is known.
const Unknown = math.MaxInt64

// Due is how many messages are still awaited for a member: those that it should
// have received and has not, without those that are accounted for otherwise.
func (r *Reference) Due(m *Member, sent Sent) int64 {
	due := r.lacks(m, sent)
	if e := m.except; e != nil {
		due -= min(e.announced, e.leftOut(r, sent)) + e.counts[Corrupted]
	}
	return max(due, 0)
}

// lacks is how many messages a member should have received and has not. One that
// heard the whole run, or everything since a pause, should have all that was
// sent; one that came late what others have received since its own first message.
func (r *Reference) lacks(m *Member, sent Sent) (n int64) {
	unplaced := m.except != nil && m.except.unplaced
	if r.paused {
		return m.skipped // nobody is to send to it before the pause ends
	}
	if !m.late && !r.partial {
		for i := range r.tracks {
			n += sent(r.config.FirstSender+i) - r.baseOf(i)
		}
		return max(n-m.received, 0)
	}
	if m.late && !unplaced && len(m.except.extrasOf()) == 0 {
		n = m.skipped - int64(m.whole)
		for seg := m.segment; seg != nil; seg = seg.next {
			n += int64(len(seg.entries))
		}
		return n
	}
	return m.skipped + r.unseen(m, sent)
}

// baseOf is the first message of a sender that counts.
func (r *Reference) baseOf(i int) int64 {
	if r.base == nil {
		return 0
	}
	return r.base[i]
}

// extrasOf are the messages that a member has received ahead of its position.
func (e *Exceptions) extrasOf() map[key]struct{} {
	if e == nil {
		return nil
	}
	return e.extras
}

// unseen counts what a member has neither received nor passed.
func (r *Reference) unseen(m *Member, sent Sent) (n int64) {
	r.eachUnseen(m, sent, func(key) bool { n++; return true })
	return n
}

// Awaits reports whether a member is yet to receive something of what was sent
// up to those numbers.
func (r *Reference) Awaits(m *Member, sent Sent) bool {
	return !r.eachUnseen(m, sent, func(key) bool { return false })
}

// Finish closes a member's account: what it lacks is missing. One that has left
// owes only what lies between its first and its last message.
func (r *Reference) Finish(m *Member, id int, sent Sent, left bool) {
	if left {
		r.exit(m) // what was under way is neither its loss nor the server's
		r.close(m, id, m.skipped, nil)
		return
	}
	r.Leave(m, false)
	lacks := r.lacks(m, sent)
	if e := m.except; e != nil {
		e.gaps, e.open = e.leftOut(r, sent), nil
		if invented := e.announced - e.gaps; invented > 0 && !m.late {
			r.config.Account.Counts[Invented] += invented
			r.config.Account.add(Finding{Kind: Invented.String(), Member: id, Sender: NotSender, Count: invented, Detail: "announced as missed, of any sender"})
		}
	}
	r.close(m, id, lacks, sent)
}

// Cut closes the account of a member whose connection this side has cut: it owes
// what was sent up to those numbers, and may have received more.
func (r *Reference) Cut(m *Member, id int, sent Sent) {
	r.Leave(m, false)
	r.close(m, id, m.skipped+r.unseen(m, sent), sent)
}

// close counts what a member lacks; sent is nil for one that has left.
func (r *Reference) close(m *Member, id int, lacks int64, sent Sent) {
	r.members--
	account := r.config.Account
	account.Expected += m.received + lacks
	missing := lacks
	if e := m.except; e != nil {
		excused := min(e.announced, e.gaps, missing)
		account.Announced += excused
		// A corrupted frame stood for a message that would else be missing too.
		missing = max(missing-excused-e.counts[Corrupted], 0)
	}
	if missing > 0 {
		account.Counts[Missing] += missing
		r.nameMissing(m, id, sent)
	}
}

// nameMissing finds out which senders' messages a member lacks.
func (r *Reference) nameMissing(m *Member, id int, sent Sent) {
	lacks := make(map[uint32]Finding)
	lack := func(k key) bool {
		f, known := lacks[k.sender]
		if !known {
			f = Finding{Kind: Missing.String(), Member: id, Sender: int(k.sender), Seq: k.seq}
		}
		f.Seq = min(f.Seq, k.seq)
		f.Count++
		lacks[k.sender] = f
		return true
	}
	for k := range r.exceptions(m).skipped {
		lack(k)
	}
	if sent != nil {
		r.eachUnseen(m, sent, lack)
	}
	for i := range r.tracks {
		if f, ok := lacks[uint32(r.config.FirstSender+i)]; ok {
			r.config.Account.add(f)
		}
	}
}

// eachUnseen goes over what stands in the reference behind a member, and over
// what was sent and does not stand in the reference at all, but for what the
// member has received ahead of its position. It ends, and reports false, where
// visit does.
func (r *Reference) eachUnseen(m *Member, sent Sent, visit func(key) bool) bool {
	extras := m.except.extrasOf()
	lacking := func(k key) bool {
		if _, extra := extras[k]; extra {
			return true
		}
		return visit(k)
	}
	if m.except != nil && m.except.unplaced {
		return r.eachOwed(m.except.owed, sent, lacking)
	}
	n := m.whole
	for seg := m.segment; seg != nil; seg, n = seg.next, 0 {
		for _, e := range seg.entries[n:] {
			if e.seq < sent(int(e.sender)) && !lacking(key{e.sender, e.seq}) {
				return false
			}
		}
	}
	return m.late || r.eachAbsent(sent, lacking)
}

// eachOwed goes over what was sent since a newcomer should have heard everything.
func (r *Reference) eachOwed(owed []int64, sent Sent, visit func(key) bool) bool {
	for i, from := range owed {
		sender := r.config.FirstSender + i
		for seq, until := from, sent(sender); seq < until; seq++ {
			if !visit(key{uint32(sender), seq}) {
				return false
			}
		}
	}
	return true
}

// eachAbsent goes over what was sent and does not stand in the reference. After a
// pause nothing can be said of senders that were not known at its end.
func (r *Reference) eachAbsent(sent Sent, visit func(key) bool) bool {
	for i := range r.tracks {
		if r.baseOf(i) == Unknown {
			continue
		}
		t, sender := &r.tracks[i], r.config.FirstSender+i
		until := sent(sender)
		for seq := range t.holes {
			if seq < until && !visit(key{uint32(sender), seq}) {
				return false
			}
		}
		for seq := t.next; seq < until; seq++ {
			if !visit(key{uint32(sender), seq}) {
				return false
			}
		}
	}
	return true
}
