package proof

// Finish closes a member's account: what it should have received and did not is
// missing. A member that heard the whole run owes an account of everything that
// was sent; one that came late or left early only of what lies between its
// first and its last message.
func (r *Reference) Finish(m *Member, id int, sent func(sender int) int64, left bool) {
	r.members--
	due := m.skipped
	if !m.late && !left {
		due = -m.received
		for i := range r.tracks {
			due += sent(r.config.FirstSender + i)
		}
	}
	var excused int64
	if m.except != nil {
		// A corrupted frame stood for a message that would else be missing too.
		excused = m.except.announced + m.except.counts[Corrupted]
	}
	if due <= excused {
		return
	}
	r.config.Account.Counts[Missing] += due - excused
	r.nameMissing(m, id, sent, left || m.late)
}

// nameMissing finds out which senders' messages a member lacks.
func (r *Reference) nameMissing(m *Member, id int, sent func(sender int) int64, left bool) {
	e := r.exceptions(m)
	lacks := make(map[uint32]Finding)
	lack := func(k key) {
		f, known := lacks[k.sender]
		if !known {
			f = Finding{Kind: Missing.String(), Member: id, Sender: int(k.sender), Seq: k.seq}
		}
		f.Seq = min(f.Seq, k.seq)
		f.Count++
		lacks[k.sender] = f
	}
	for k := range e.pending {
		lack(k)
	}
	for k := range e.lost {
		lack(k)
	}
	if !left {
		r.eachUnseen(m, sent, func(k key) {
			if !e.has(k) {
				lack(k)
			}
		})
	}
	for i := range r.tracks {
		if f, ok := lacks[uint32(r.config.FirstSender+i)]; ok {
			r.config.Account.add(f)
		}
	}
}

// eachUnseen goes over what stands in the reference behind a member, and over
// what was sent and does not stand in the reference at all.
func (r *Reference) eachUnseen(m *Member, sent func(sender int) int64, visit func(key)) {
	n := m.whole
	for seg := m.segment; seg != nil; seg, n = seg.next, 0 {
		for _, e := range seg.entries[n:] {
			visit(key{e.sender, e.seq})
		}
	}
	for i := range r.tracks {
		t, sender := &r.tracks[i], r.config.FirstSender+i
		for seq := range t.holes {
			visit(key{uint32(sender), seq})
		}
		for seq := t.next; seq < sent(sender); seq++ {
			visit(key{uint32(sender), seq})
		}
	}
}

// Received is how many messages a member has received, each counted once.
func (m *Member) Received() int64 { return m.received }

// Moved reports whether a member has received anything of the load.
func (m *Member) Moved() bool { return m.received > 0 }
