package room

// Page returns the frames of earlier messages as history has them (view 0), oldest first: the latest ones before a
// sequence number, at most limit, and at most size bytes in all, but one at least, so that whoever turns the pages gets on.
// It says whether history has others before them. The frames never change. Any goroutine.
func (r *Room) Page(before uint64, limit, size int) (frames [][]byte, more bool) {
	r.mu.Lock()
	before = min(max(before, 1), r.seq+1)
	v := r.history().read()
	_, oldest := r.history().back(r.shard.config.HistoryCount)
	there := max(0, int(int32(uint32(before-1)-oldest)))
	count := min(max(limit, 0), there)
	position, _ := v.last(uint32(r.seq-(before-1)) + uint32(count))
	r.mu.Unlock()
	bytes := 0
	for len(frames) < count {
		frame, notice := v.frame(position)
		if !notice {
			frames = append(frames, frame)
			bytes += len(frame)
		}
		position += uint64(len(frame))
	}
	dropped := 0
	for bytes > size && dropped < len(frames)-1 {
		bytes -= len(frames[dropped])
		dropped++
	}
	return frames[dropped:], count < there || dropped > 0
}

// Message returns the frame of one message as history has it (view 0), nil when it is not kept any more. Any goroutine.
func (r *Room) Message(seq uint64) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if seq < 1 || seq > r.seq || r.seq-seq >= 1<<32-1 {
		return nil
	}
	v := r.history().read()
	position, ordinal := v.last(uint32(r.seq - seq + 1))
	if ordinal != uint32(seq-1) {
		return nil
	}
	for {
		frame, notice := v.frame(position)
		if !notice {
			return frame
		}
		position += uint64(len(frame))
	}
}

// number is the sequence number of the message that comes after that many, of which the low half is known. It is one of the latest
// 2^32. Any goroutine.
func (r *Room) number(ordinal uint32) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seq - uint64(uint32(r.seq)-ordinal) + 1
}

// A Joined says what a room was like when a member joined, and from where on it gets the room's messages.
type Joined struct {
	Epoch   uint64
	Newest  uint64 // the sequence number of the latest message, 0 for none
	Oldest  uint64 // of the oldest message that history has; one more than Newest for none
	Members int    // with the one who has joined
	Next    uint64 // of the first message that the member gets
	Resumed bool   // a Resume was asked for, and the member misses nothing
}

// A Resume asks for everything after a message.
type Resume struct {
	Epoch uint64 // of the room when that message came; 0 is no epoch: nothing is to be resumed
	After uint64 // the message's sequence number
}

// place finds out from where in the history a member begins. Under the lock.
func (r *Room) place(j Joiner) (position uint64, ordinal uint32, resumed bool) {
	past := r.history()
	v := past.read()
	if j.Resume.Epoch == r.epoch && j.Resume.After <= r.seq && r.seq-j.Resume.After < 1<<32 {
		position, ordinal = v.last(uint32(r.seq - j.Resume.After))
		if ordinal == uint32(j.Resume.After) {
			return position, ordinal, true
		}
	}
	if j.History > 0 {
		position, ordinal = past.back(j.History)
		return position, ordinal, false
	}
	return v.end, v.ordinal, false
}
