package room_test

import (
	"slices"
	"time"

	"throng/room"
)

// join makes a member, with the history that the model says it has to get; credit as in person.
func (w *world) join(name string, worker, history, credit int) *person {
	return w.resume(name, worker, history, credit, room.Resume{})
}

// resume is join with something to resume.
func (w *world) resume(name string, worker, history, credit int, from room.Resume) *person {
	r := w.modelOf(name)
	r.joins++
	p := &person{w: w, worker: worker, view: w.view, room: r, number: r.joins, joined: len(r.entries), credit: credit}
	p.next = w.back(r, history)
	r.roster = append(r.roster, p)
	w.members = append(w.members, p)
	joined := w.rooms.Join(name, &p.mem, room.Joiner{Peer: p, Worker: worker, View: p.view, Resume: from, History: history})
	w.checkJoined(p, joined, from)
	if history > 0 || joined.Resumed {
		p.mem.Flush()
	}
	return p
}

// checkJoined compares what a joiner is told with the model, and has it get what it resumes from on.
func (w *world) checkJoined(p *person, joined room.Joined, from room.Resume) {
	r, oldest := p.room, w.back(p.room, len(p.room.entries))
	if r.epoch == 0 {
		r.epoch = joined.Epoch
	}
	resumes := from.Epoch == r.epoch && from.After <= r.seq
	if resumes && joined.Resumed {
		p.next = r.behind(from.After)
	}
	if resumes && r.behind(from.After) >= oldest && !joined.Resumed || !resumes && joined.Resumed {
		w.t.Fatalf("%v resumed %+v: %v", p, from, joined.Resumed)
	}
	want := room.Joined{
		Epoch: r.epoch, Newest: r.seq, Oldest: r.seq + 1 - r.messages(oldest), Members: len(r.roster),
		Next: r.seq + 1 - r.messages(p.next), Resumed: joined.Resumed,
	}
	if joined != want || w.epochs < joined.Epoch {
		w.t.Fatalf("%v was told %+v, not %+v", p, joined, want)
	}
}

// behind returns the entry after a message.
func (r *modelRoom) behind(seq uint64) int {
	for i, e := range r.entries {
		if seq == 0 {
			return i
		}
		if !e.notice {
			seq--
		}
	}
	return len(r.entries)
}

// messages counts those from an entry on.
func (r *modelRoom) messages(first int) (n uint64) {
	for _, e := range r.entries[first:] {
		if !e.notice {
			n++
		}
	}
	return n
}

// modelOf returns the room of that name, made when there is none.
func (w *world) modelOf(name string) *modelRoom {
	if w.model[name] == nil {
		w.model[name] = &modelRoom{name: name}
	}
	return w.model[name]
}

// back returns the entry where the latest n messages begin that are not too many, too far or too old.
func (w *world) back(r *modelRoom, n int) int {
	first, n := len(r.entries), min(n, w.config.HistoryCount)
	for i := len(r.entries) - 1; i >= 0 && n > 0; i-- {
		e := r.entries[i]
		if e.position[0]+uint64(w.config.HistoryBytes) < r.end[0] || w.now-e.at >= w.config.HistoryAge {
			break
		}
		if !e.notice {
			first, n = i, n-1
		}
	}
	return first
}

func (w *world) leave(p *person) {
	p.mem.Leave()
	r := p.room
	r.roster = slices.DeleteFunc(r.roster, func(other *person) bool { return other == p })
	w.members = slices.DeleteFunc(w.members, func(other *person) bool { return other == p })
	if len(r.roster) == 0 && !r.listed {
		w.vacate(r)
	}
}

// aged says whether the room has nothing to offer to a newcomer.
func (w *world) aged(r *modelRoom) bool {
	return w.config.HistoryCount == 0 || !slices.ContainsFunc(r.entries, func(e entry) bool {
		return !e.notice && w.now-e.at < w.config.HistoryAge
	})
}

func (w *world) vacate(r *modelRoom) {
	r.listed = !w.aged(r)
	r.due = w.now + w.config.HistoryAge
	if !r.listed {
		delete(w.model, r.name)
	}
}

// say publishes a message of about that size as a member, and answers whether it was taken.
func (w *world) say(p *person, size int) bool {
	return w.publish(p.room, size, p.mem.Room().Publish)
}

// outside publishes a message as nobody's member.
func (w *world) outside(name string, size int) bool {
	r := w.modelOf(name)
	taken := w.publish(r, size, func(e room.Entry, wait room.Waiter) bool { return w.rooms.Publish(name, e, wait) })
	if len(r.roster) == 0 && !r.listed {
		w.vacate(r)
	}
	return taken
}

func (w *world) publish(r *modelRoom, size int, send func(room.Entry, room.Waiter) bool) bool {
	w.ids++
	e, wait := entryOf{w.ids, false, size, -1, r.seq + 1}, &waiter{}
	// The model comes first: a peer may see the message before Publish returns.
	end := r.end
	r.add(w, e)
	if !send(e, wait) {
		r.entries = r.entries[:len(r.entries)-1]
		r.end, r.seq = end, r.seq-1
		w.waiters = append(w.waiters, wait)
		w.busy++
		return false
	}
	return true
}

// notify publishes a notice in a member's room.
func (w *world) notify(p *person, size int) {
	w.ids++
	e := entryOf{w.ids, true, size, -1, p.room.seq}
	if w.views > 1 {
		e.not = int(w.ids)%4 - 2 // every other one is nothing in one of both
	}
	p.room.add(w, e)
	p.mem.Room().Notice(e)
}

func (r *modelRoom) add(w *world, e entryOf) {
	r.entries = append(r.entries, entry{e, r.end, w.now})
	if !e.notice {
		r.seq++
	}
	e.seq = 0
	for view := range r.end {
		r.end[view] += uint64(len(e.Frame(view, room.Stamp{})))
	}
}

// writable gives a member credit, and the edge that follows when it was blocked.
func (w *world) writable(p *person, credit int) {
	p.credit = credit
	if p.blocked {
		p.freed = true
		p.mem.Unblock()
	}
}

// turn lets a worker go on if it has a reason to.
func (w *world) turn(worker, writes int) {
	if w.runs[worker] {
		w.runs[worker] = false
		w.turns = true
		if w.rooms.Fanout(worker).Turn(writes, nil) {
			w.runs[worker] = true
		}
		w.turns = false
	}
}

// quiesce runs turns until nobody has a reason for one; then everybody who is not blocked has everything, and
// nobody waits.
func (w *world) quiesce() {
	for i := 0; slices.Contains(w.runs, true); i++ {
		if i > 1<<20 {
			w.t.Fatal("the workers never come to rest")
		}
		w.turn(i%len(w.runs), 64)
	}
	for _, p := range w.members {
		if p.freed {
			p.blocked, p.freed = false, false
		}
		p.passNotices()
		if !p.blocked {
			p.passGap(0)
			p.passNotices()
		}
		if left := len(p.room.entries) - p.next; left > 0 && !p.blocked {
			w.t.Fatalf("%v has not got %d entries, and nothing will bring them", p, left)
		}
	}
	for _, wait := range w.waiters {
		if wait.resumed != 1 {
			w.t.Fatalf("a waiter was resumed %d times", wait.resumed)
		}
	}
	w.waiters = w.waiters[:0]
}

// sweep removes what is due, in both worlds.
func (w *world) sweep() {
	w.rooms.Sweep(1 << 20)
	for _, r := range w.model {
		if r.listed && r.due <= w.now {
			r.listed = false
			if len(r.roster) == 0 {
				w.vacate(r)
			}
		}
	}
}

// checkRooms compares the map and each roster, read in pages, with the model.
func (w *world) checkRooms(limit int) {
	if got := w.rooms.Len(); got != len(w.model) {
		w.t.Fatalf("there are %d rooms, and %d were to be", got, len(w.model))
	}
	for _, p := range w.members {
		r, live := p.room, p.mem.Room()
		if live.Name() != r.name || live.Len() != len(r.roster) {
			w.t.Fatalf("%v is in %s with %d members, and %d were to be", p, live.Name(), live.Len(), len(r.roster))
		}
		if p != r.roster[0] {
			continue
		}
		w.checkPage(r, live, uint64(limit)*7%(r.seq+3), limit, 40<<limit)
		var got []*person
		for after, more := uint64(0), true; more; {
			n := 0
			more = live.Members(after, limit, func(join uint64, peer room.Peer) {
				q := peer.(*person)
				if join <= after || join != q.number {
					w.t.Fatalf("%v is listed with join number %d after %d", q, join, after)
				}
				after, got, n = join, append(got, q), n+1
			})
			if n > limit || more && n < limit {
				w.t.Fatalf("a page of %d has %d members, more: %v", limit, n, more)
			}
		}
		if !slices.Equal(got, r.roster) {
			w.t.Fatalf("%s lists %d members, not the %d who are in it in their order", r.name, len(got), len(r.roster))
		}
	}
}

// checkPage compares a page of earlier messages with the model.
func (w *world) checkPage(r *modelRoom, live *room.Room, before uint64, limit, size int) {
	var there, want []uint32
	for i, e := range r.entries[:r.behind(max(before, 1)-1)] {
		if !e.notice && i >= w.back(r, len(r.entries)) {
			there = append(there, e.id)
			want = append(want, e.id)
		}
	}
	want = want[max(0, len(want)-limit):]
	w.checkMessage(r, live, before)
	frames, more := live.Page(before, limit, size)
	var got []uint32
	bytes := 0
	for _, f := range frames {
		id, _, n := parse(w.t, f)
		got = append(got, id)
		bytes += n
	}
	tooMany := bytes > size && len(got) > 1 || len(got) > len(want) || len(got) == 0 && len(want) > 0
	if tooMany || !slices.Equal(got, want[len(want)-len(got):]) || more != (len(got) < len(there)) {
		w.t.Fatalf("the page before %d is %d, more: %v, and was to be %d of %d", before, got, more, want, there)
	}
	if len(got) < len(want) && bytes+r.sizeOf(want[len(want)-len(got)-1]) <= size {
		w.t.Fatalf("a page has %d of %d bytes, and one more message would fit", bytes, size)
	}
}

// checkMessage asks for one message: those that are history are there, and none is another one.
func (w *world) checkMessage(r *modelRoom, live *room.Room, seq uint64) {
	f := live.Message(seq)
	if seq == 0 || seq > r.seq {
		if f != nil {
			w.t.Fatalf("there is a message %d of %d", seq, r.seq)
		}
		return
	}
	i := r.behind(seq)
	for i--; r.entries[i].notice; i-- {
	}
	if f == nil {
		if i >= w.back(r, len(r.entries)) {
			w.t.Fatalf("message %d is history, and not there", seq)
		}
		return
	}
	if id, _, _ := parse(w.t, f); id != r.entries[i].id {
		w.t.Fatalf("message %d is %d, not %d", seq, id, r.entries[i].id)
	}
}

// sizeOf is the size of an entry's frame in history.
func (r *modelRoom) sizeOf(id uint32) int {
	i := slices.IndexFunc(r.entries, func(e entry) bool { return e.id == id })
	e := r.entries[i].entryOf
	e.seq = 0
	return len(e.Frame(0, room.Stamp{}))
}

// end lets everybody leave and everything age, and asserts that nothing is left.
func (w *world) end() {
	for len(w.members) > 0 {
		w.leave(w.members[len(w.members)-1])
	}
	w.quiesce()
	for range 2 {
		w.now += w.config.HistoryAge + time.Second
		w.sweep()
	}
	if w.rooms.Len() != 0 || len(w.model) != 0 || w.rooms.Bytes() != 0 {
		w.t.Fatalf("%d rooms and %d bytes are left, %d rooms in the model", w.rooms.Len(), w.rooms.Bytes(), len(w.model))
	}
}
