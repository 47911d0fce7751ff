package load

import (
	"fmt"

	"throng/bench/proof"
	"throng/bench/wire"
)

// Received feeds what a connection received to the proof.
func (r *Run) Received(id int, b []byte) {
	r.now = r.loop.Now()
	r.bytesIn += int64(len(b))
	m := &r.members[id]
	r.room(id).Feed(m, id, b, r.now)
	if s := r.senders[r.config.sender(id)]; s != nil {
		r.fill(s)
	}
}

// room is the one that a connection is in.
func (r *Run) room(id int) *proof.Reference { return r.rooms[r.config.room(id)] }

// Own notes that a sender's message has come back to it.
func (r *Run) Own(number int, seq int64) {
	if s := r.senders[number]; s != nil {
		s.acknowledged, s.heard = max(s.acknowledged, seq+1), r.now
		r.act.own(r, s.id)
	}
}

// Control answers pings and takes part in closing.
func (r *Run) Control(id int, op byte, payload []byte) {
	switch wire.Opcode(op) {
	case wire.Ping:
		r.loop.Send(id, wire.Pong, payload)
	case wire.Close:
		code, reason := wire.CloseInfo(payload)
		r.loop.SendFrames(id, wire.AppendClose(nil, uint32(r.random.Uint64()), code))
		r.leave(id, fmt.Errorf("close %d %s", code, reason))
	}
}

// Broken ends a connection on which the server broke the protocol.
func (r *Run) Broken(id int, err error) { r.leave(id, fmt.Errorf("protocol error: %w", err)) }

// leave ends a connection because of something that the server did.
func (r *Run) leave(id int, err error) {
	r.loop.Close(id, false)
	r.Closed(id, err)
}

// Closed notes that the server has ended a connection.
func (r *Run) Closed(id int, err error) {
	if r.standings[id] != present {
		return
	}
	intended := r.phase > opening && r.act.ended(r, id)
	if !intended {
		r.closed.add(err)
	}
	if r.standings[id] == present {
		r.standings[id] = gone
		r.present--
		r.rooms[r.config.room(id)].Leave(&r.members[id], intended)
	}
}

// dismiss ends a membership for good; the connection may be dialled again.
func (r *Run) dismiss(id int) {
	if r.standings[id] == present {
		r.present--
		// Who drops everybody at once leaves nobody for whom a broadcast goes on.
		r.rooms[r.config.room(id)].Leave(&r.members[id], !r.held)
	}
	r.settle(id, true)
	r.standings[id] = unborn
}

// settle closes the account of a member that was there.
func (r *Run) settle(id int, left bool) {
	if r.standings[id] != unborn {
		r.room(id).Finish(&r.members[id], id, r.sentBy, left)
	}
}
