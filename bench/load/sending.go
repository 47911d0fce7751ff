package load

import (
	"math"
	"time"

	"throng/bench/proof"
	"throng/bench/v1"
	"throng/bench/wire"
)

// maxUnsentBytes is what may wait in a sender's own queue. A server that does
// not read makes the load late, not the load generator large.
const maxUnsentBytes = 1 << 20

// latencySamples is how many deliveries a second are measured. Counting and
// comparing is done for all; a histogram entry for each would cost as much as both.
const latencySamples = 500_000

// maxDue bounds the messages of an open loop's timetable that one turn sends:
// what arrives must be read in between, and what is late is counted as such.
const maxDue = 1024

// sender is a connection that sends messages.
type sender struct {
	id           int
	number       int
	room         string // as throng.v1 names it
	next         int64  // the number of the next message
	acknowledged int64  // messages below have come back, or are given up
	heard        int64  // when one came back, or something was last given up
	due          int64  // open loop: messages below ought to have been sent
	turn         int    // its place in the open loop's round
}

// pacing is the timetable of an open loop: message n of the process is due at
// start + n*interval, and is the business of sender n modulo their number.
type pacing struct {
	interval float64 // nanoseconds; 0 in a closed loop
	given    int64   // messages below n were given to their senders
	chance   float64 // that a message's latency is measured
	lateOnes int64   // sent over a millisecond late because of this process
	latest   int64
	measured int64 // sent while measuring
	sampled  int64 // how many of these have their latency measured
	seen     int64 // deliveries when chance was last set
	seenAt   int64
	frames   []byte
	message  []byte
}

// interval is the time between two messages of this process.
func (c *Config) interval(senders int) float64 {
	if c.Rate == 0 || senders == 0 {
		return 0
	}
	return 1e9 / (c.Rate * float64(senders) / float64(c.Rooms*c.Senders))
}

// startSending begins the timetable, or fills the windows of a closed loop.
func (r *Run) startSending() {
	for turn, s := range r.order {
		s.turn, s.heard = turn, r.now
		if r.config.Rate == 0 {
			r.fill(s)
		}
	}
}

// sendDue sends what an open loop's timetable has for now, and returns how long
// it is until the next message. Nothing is due once measuring is over.
func (r *Run) sendDue() time.Duration {
	p := &r.pacing
	if p.interval == 0 {
		return tickEvery
	}
	for range maxDue {
		intended := r.start + int64(float64(p.given)*p.interval)
		if intended > r.now || r.phase == measuring && intended >= r.ends {
			return time.Duration(intended - r.now)
		}
		if late := r.now - intended; late > int64(time.Millisecond) && r.phase == measuring {
			p.lateOnes++
			p.latest = max(p.latest, late)
		}
		s := r.order[p.given%int64(len(r.order))]
		p.given++
		s.due++
		r.fill(s)
	}
	return 0
}

// ownSent is how many messages a sender of this process has sent.
func (r *Run) ownSent(number int) int64 {
	if s := r.senders[number]; s != nil {
		return s.next
	}
	return proof.Unknown
}

// countUnsent counts the messages that were due before the end and that this
// process did not come to.
func (r *Run) countUnsent() {
	p := &r.pacing
	if p.interval == 0 || r.config.Messages > 0 {
		return
	}
	first := r.start + int64(float64(p.given)*p.interval)
	if late := r.ends - first; late > int64(time.Millisecond) {
		p.lateOnes += int64(float64(late) / p.interval)
		p.latest = max(p.latest, late)
	}
}

// fill sends as many messages of a sender as its window, its timetable and the
// server's willingness to read allow.
func (r *Run) fill(s *sender) {
	if r.held || r.phase != warmup && r.phase != measuring || s.id >= r.config.local() || r.standings[s.id] != present {
		return
	}
	until := int64(math.MaxInt64)
	if r.config.Window > 0 {
		until = s.acknowledged + int64(r.config.Window)
	}
	if r.pacing.interval > 0 {
		until = min(until, s.due)
	}
	if r.config.Messages > 0 {
		until = min(until, int64(r.config.Messages))
	}
	if s.next >= until || r.loop.Unsent(s.id) > maxUnsentBytes {
		return
	}
	frames := r.pacing.frames[:0]
	for s.next < until && len(frames) < maxUnsentBytes {
		frames = r.appendMessage(frames, s)
	}
	r.pacing.frames = frames
	r.loop.SendFrames(s.id, frames)
}

// appendMessage writes a sender's next message as a frame.
func (r *Run) appendMessage(frames []byte, s *sender) []byte {
	p := &r.pacing
	stamp := proof.Stamp{Run: r.config.Run, Sender: s.number, Seq: s.next, Intended: r.now}
	// What was sent while measuring counts whenever it arrives: the slowest
	// messages are those that come after the end.
	stamp.Sampled = r.phase == measuring && (p.chance >= 1 || r.random.Float64() < p.chance)
	if r.phase == measuring {
		p.measured++
	}
	if stamp.Sampled {
		p.sampled++
	}
	if p.interval > 0 && s.id < r.config.local() {
		stamp.Intended = r.intended(s, s.next)
		stamp.Late = r.now - stamp.Intended
	}
	s.next++
	r.sent++
	return r.appendStamped(frames, s, stamp)
}

// appendAgain writes a message once more that a sender has sent. What its first
// receiver has of it counts.
func (r *Run) appendAgain(frames []byte, s *sender, seq int64) []byte {
	stamp := proof.Stamp{Run: r.config.Run, Sender: s.number, Seq: seq, Intended: r.now}
	if r.pacing.interval > 0 {
		stamp.Intended = r.intended(s, seq)
		stamp.Late = r.now - stamp.Intended
	}
	return r.appendStamped(frames, s, stamp)
}

// appendStamped writes a message the way its protocol wants it.
func (r *Run) appendStamped(frames []byte, s *sender, stamp proof.Stamp) []byte {
	p := &r.pacing
	p.message = p.message[:0]
	if r.config.json() {
		p.message = v1.AppendSay(p.message, stamp.Seq, s.room)
	}
	p.message = proof.AppendMessage(p.message, stamp, r.config.Size)
	if r.config.json() {
		p.message = append(p.message, v1.SayEnd...)
	}
	return wire.Append(frames, wire.Text, uint32(r.random.Uint64()), p.message)
}

// hold keeps the senders from sending and makes the proof ignore what is
// under way, unless it will be heard after all.
func (r *Run) hold() {
	r.held = true
	if r.config.resumes() {
		return
	}
	for _, room := range r.rooms {
		room.Pause()
	}
}

// resume lets the senders go on after they were held.
func (r *Run) resume() {
	r.held = false
	if !r.config.resumes() {
		for _, room := range r.rooms {
			room.Resume(r.now, r.ownSent)
		}
	}
	for _, s := range r.order {
		s.heard = r.now
		if r.config.resumes() {
			r.sayAgain(s)
		}
		r.fill(s)
	}
}

// unstick gives up messages that did not come back to a sender whose window is
// full of them, so that a lossy server is measured on instead of waited for.
func (r *Run) unstick() {
	r.setChance()
	if r.config.Window == 0 || r.held || r.config.resumes() { // there it is said again after the next storm
		return
	}
	for _, s := range r.order {
		if s.next > s.acknowledged && r.now-s.heard > int64(r.config.Patience) {
			s.acknowledged, s.heard = s.next, r.now
			r.fill(s)
		}
	}
}

// said reports whether every sender has sent as many messages as it should, where
// there is such a number.
func (r *Run) said() bool {
	for _, s := range r.order {
		if st := r.standings[s.id]; (st == present || st == dropped) && s.next < int64(r.config.Messages) {
			return false
		}
	}
	return r.config.Messages > 0
}

// setChance keeps the number of measured deliveries where it costs little.
func (r *Run) setChance() {
	p := &r.pacing
	elapsed := r.now - p.seenAt
	if elapsed < int64(100*time.Millisecond) {
		return
	}
	rate := float64(r.account.Received-p.seen) / (float64(elapsed) / 1e9)
	p.chance = 1
	if rate > latencySamples {
		p.chance = latencySamples / rate
	}
	p.seen, p.seenAt = r.account.Received, r.now
}
