package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"throng/bench/clock"
	"throng/bench/latency"
	"throng/bench/loop"
	"throng/bench/proof"
	"throng/bench/report"
	"throng/bench/target"
	"throng/bench/wire"
)

// phase is where a run stands.
type phase int

const (
	opening phase = iota
	warmup
	measuring
	draining
	done
)

var phaseNames = [...]string{"opening", "warm-up", "measuring", "draining", "done"}

// standing is what became of a connection.
type standing uint8

const (
	unborn standing = iota // never opened, or failed
	present
	gone // was open, and ended
)

// Run is one client process's part of a scenario.
type Run struct {
	config Config
	loop   *loop.Loop
	random *rand.Rand
	now    int64

	// Connections, by number.
	members   []proof.Member
	standings []standing
	queue     []int // to be dialled
	rampFrom  int64 // since when a ramp rate counts
	ramped    int   // how many were dialled since
	pending   int   // handshakes under way
	opened    int64
	atStart   int64 // how many of them before the load began
	present   int
	peak      int64 // of present
	failed    tally
	closed    tally
	handshake *hdrhistogram.Histogram

	// Rooms and senders.
	rooms   []*proof.Reference
	senders map[int]*sender // those of this process, by number
	order   []*sender       // those that send by timetable or window, in the order of their turns
	sent    int64
	totals  map[int]int64 // what the senders of all processes have sent, in the end
	held    bool          // nobody sends, for the time being
	account proof.Account
	latency *latency.Recorder
	pacing  pacing

	// Time.
	act       Act
	phase     phase
	began     int64 // first dial
	ready     int64 // last answer to a handshake
	start     int64 // of the load
	ends      int64 // of the present phase
	nextTick  int64
	nextSave  int64
	idleSince int64 // when the last delivery came, while draining
	turned    int64
	longest   int64

	marks        marks
	bytesPerConn float64 // of this process's own memory
	goroutines   target.Goroutines
	samples      []report.Sample
	bytesIn      int64
	errs         error
	cut          atomic.Pointer[string]

	// OnSample is called each second with what happened in it.
	OnSample func(report.Sample)
}

// New prepares a run.
func New(config Config) (*Run, error) {
	n := config.local() + config.visitors()
	if config.Act == nil {
		config.Act = plain{}
	}
	r := &Run{
		config:    config,
		act:       config.Act,
		random:    rand.New(rand.NewPCG(config.Seed, uint64(config.Process))),
		senders:   make(map[int]*sender),
		latency:   latency.NewRecorder(),
		handshake: latency.NewHistogram(),
		account:   proof.Account{FindingsLimit: 100},
	}
	r.marks.heap = heapBytes()
	r.members, r.standings = make([]proof.Member, n), make([]standing, n)
	r.makeRooms()
	l, err := loop.New(loop.Config{
		Server: config.Server, Host: config.Host, Subprotocol: config.Subprotocol,
		Path:             func(id int) string { return config.path(config.room(id)) },
		Source:           config.source,
		ReceiveBuffer:    config.receiveBuffer,
		HandshakeTimeout: config.Handshake,
		Random:           r.random.Uint64,
		Capacity:         n,
	}, r)
	r.loop = l
	return r, err
}

// makeRooms prepares the rooms and the senders that this process has part in.
func (r *Run) makeRooms() {
	c := &r.config
	r.rooms = make([]*proof.Reference, c.Rooms)
	for id := range r.members {
		room := c.room(id)
		if r.rooms[room] == nil {
			r.rooms[room] = proof.NewReference(proof.Config{
				Run: c.Run, FirstSender: room * c.Senders, Senders: c.Senders + c.Visitors, Size: c.Size,
				Loose: c.Subprotocol != "", Renamed: c.Act != nil, Events: r, Latency: r.latency, Account: &r.account,
			})
		}
		if number := c.sender(id); number >= 0 && !c.Silent {
			s := &sender{id: id, number: number, wrap: c.say(room)}
			r.senders[number] = s
			if id < c.local() {
				r.order = append(r.order, s)
			}
		}
	}
	r.pacing = pacing{interval: c.interval(len(r.order)), chance: 1}
}

// Go runs until the end, or until Cut.
func (r *Run) Go() error {
	r.began = clock.Now()
	r.rampFrom = r.began
	if r.config.Pprof != "" && r.config.Process == 0 {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go r.goroutines.Follow(ctx, r.config.Pprof)
	}
	for id := range r.initial() {
		r.queue = append(r.queue, id)
	}
	r.nextTick, r.nextSave = r.began, r.began+int64(time.Second)
	r.marks.before = r.mark()
	if err := r.loop.Run(); err != nil {
		return err
	}
	return r.errs
}

// Cut ends the run before its time; it may be called from any goroutine.
func (r *Run) Cut(why string) { r.cut.CompareAndSwap(nil, &why) }

// Turn does what is due.
func (r *Run) Turn(now int64) (wait time.Duration, end bool) {
	if r.turned != 0 {
		r.longest = max(r.longest, now-r.turned)
	}
	r.now = now
	if now >= r.nextTick {
		r.tick()
	}
	if r.cut.Load() != nil && r.phase != done {
		r.finish()
	}
	wait = tickEvery
	if r.phase == warmup || r.phase == measuring {
		wait = min(wait, r.act.turn(r), r.sendDue(), time.Duration(r.ends-now))
	}
	if len(r.queue) > 0 {
		wait = min(wait, r.openMore())
	}
	return max(wait, 0), r.phase == done
}

// tickEvery is how often the slower things are looked at.
const tickEvery = 10 * time.Millisecond

// tick moves the phases on and keeps the time series.
func (r *Run) tick() {
	r.nextTick = r.now + int64(tickEvery)
	switch r.phase {
	case opening:
		r.openingTick()
	case warmup:
		if r.now >= r.ends {
			r.measure()
		}
	case measuring:
		if r.now >= r.ends || r.said() {
			r.drain()
		}
	case draining:
		r.drainTick()
	}
	r.unstick()
	if r.now >= r.nextSave {
		r.save()
	}
}

// openingTick goes on to the load once every connection has an answer.
func (r *Run) openingTick() {
	if len(r.queue) > 0 || r.pending > 0 {
		return
	}
	if r.opened == 0 {
		r.errs = fmt.Errorf("no connection could be opened: %s", r.failed.first())
		r.phase = done
		return
	}
	if r.ready == 0 {
		r.isReady()
	}
	begin := r.now
	if gate := r.config.Gate; gate != nil {
		at, known := gate.Begin()
		if !known || at > r.now {
			return
		}
		begin = at
	}
	r.begin(begin)
}

// isReady notes that every connection has an answer.
func (r *Run) isReady() {
	r.ready, r.atStart = r.now, r.opened
	if r.config.Gate != nil {
		r.config.Gate.Ready()
	}
	r.marks.opened = r.mark()
	r.bytesPerConn = float64(heapBytes()-r.marks.heap) / float64(len(r.members))
}

// begin begins the load.
func (r *Run) begin(at int64) {
	r.start, r.ends = at, at+int64(r.config.Warmup)
	r.phase = warmup
	if r.config.Warmup == 0 {
		r.measure()
	}
	r.act.begin(r)
	r.startSending()
}

// measure begins the part of the run that the figures are of.
func (r *Run) measure() {
	r.marks.start = r.mark()
	r.phase, r.ends = measuring, r.start+int64(r.config.Warmup+r.config.Duration)
	r.longest = 0
}

// drain ends the part that is measured; what is under way may still arrive.
func (r *Run) drain() {
	r.marks.end = r.mark()
	r.phase, r.idleSince = draining, r.now
	r.marks.idle = r.account.Received
	r.act.stop(r)
	if r.config.Gate != nil {
		sent := make(map[int]int64, len(r.senders))
		for number, s := range r.senders {
			sent[number] = s.next
		}
		r.config.Gate.Sent(sent)
	}
}

// drainTick waits until everything has arrived, or nothing more does.
func (r *Run) drainTick() {
	if r.account.Received > r.marks.idle {
		r.marks.idle, r.idleSince = r.account.Received, r.now
	}
	if r.act.settled(r) && r.complete() || r.now-r.idleSince > int64(r.config.Patience) {
		r.finish()
	}
}

// complete reports whether every member that is still there has everything.
func (r *Run) complete() bool {
	if gate := r.config.Gate; gate != nil && r.totals == nil {
		totals, known := gate.Totals()
		if !known {
			return false
		}
		r.totals = totals
	}
	due := -r.account.Announced - r.account.Counts[proof.Corrupted]
	for id := range r.members {
		if r.standings[id] == present {
			room := r.config.room(id)
			due += r.rooms[room].Due(&r.members[id], r.sentBy)
		}
	}
	return due <= 0
}

// sentBy is how many messages a sender has sent.
func (r *Run) sentBy(number int) int64 {
	if s := r.senders[number]; s != nil {
		return s.next
	}
	return r.totals[number]
}

// finish closes all accounts.
func (r *Run) finish() {
	if r.phase < draining {
		r.marks.end = r.mark()
		if r.marks.start.at == 0 {
			r.marks.start = r.marks.end
		}
	}
	for id := range r.members {
		r.settle(id, r.standings[id] == gone || r.cut.Load() != nil)
	}
	r.save()
	r.phase = done
}

// Received feeds what a connection received to the proof.
func (r *Run) Received(id int, b []byte) {
	r.now = r.loop.Now()
	r.bytesIn += int64(len(b))
	m := &r.members[id]
	r.rooms[r.config.room(id)].Feed(m, id, b, r.now)
	if s := r.senders[r.config.sender(id)]; s != nil {
		r.fill(s)
	}
}

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
	}
}

// dismiss ends a membership for good; the connection may be dialled again.
func (r *Run) dismiss(id int) {
	if r.standings[id] == present {
		r.present--
	}
	r.settle(id, true)
	r.standings[id] = unborn
}

// settle closes the account of a member that was there.
func (r *Run) settle(id int, left bool) {
	if r.standings[id] != unborn {
		r.rooms[r.config.room(id)].Finish(&r.members[id], id, r.sentBy, left)
	}
}
