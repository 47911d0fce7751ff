package proof

// Due is how many messages a member should have received and has not. One that
// heard the whole run should have everything that was sent; one that came late
// what others have received since its own first message.
func (r *Reference) Due(m *Member, sent func(sender int) int64) (due int64) {
	if !m.late {
		for i := range r.tracks {
			due += sent(r.config.FirstSender + i)
		}
		return due - m.received
	}
	if m.except != nil && m.except.unplaced {
		return 0
	}
	due = m.skipped - int64(m.whole)
	for seg := m.segment; seg != nil; seg = seg.next {
		due += int64(len(seg.entries))
	}
	return due
}

// Finish closes a member's account: what is due is missing. One that has left
// owes only what lies between its first and its last message.
func (r *Reference) Finish(m *Member, id int, sent func(sender int) int64, left bool) {
	if left {
		r.exit(m) // what was under way is neither its loss nor the server's
	} else {
		r.Leave(m, false)
	}
	r.members--
	due := m.skipped
	if !left {
		due = r.Due(m, sent)
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
	r.nameMissing(m, id, sent, left)
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
	for k := range e.skipped {
		lack(k)
	}
	if !left {
		r.eachUnseen(m, sent, func(k key) {
			if _, extra := e.extras[k]; !extra {
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
	if m.late {
		return
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
