package load

import (
	"context"
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
	"throng/bench/v1"
	"throng/bench/wire"
)

// standing is what became of a connection.
type standing uint8

const (
	unborn standing = iota // never opened, or failed
	present
	gone    // was open, and ended
	dropped // was cut by this side, and is to come back behind its last message
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
	newcomers []newcomer
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
	unsent  unsent
	talk    talk

	// Time.
	act       Act
	phase     phase
	began     int64 // first dial
	ready     int64 // last answer to a handshake
	start     int64 // of the load
	ends      int64 // of the present phase
	nextTick  int64
	nextSave  int64
	idleSince int64 // when the last delivery came or connection opened, while draining
	waitUntil int64 // when draining ends in any case
	turned    int64
	longest   int64

	marks        marks
	bytesPerConn float64 // of this process's own memory
	inside       target.Follower
	samples      []report.Sample
	bytesIn      int64
	errs         error
	overdue      string // what was not waited for any longer
	cut          atomic.Pointer[string]
	enough       atomic.Bool

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
	if config.resumes() {
		r.talk.seats = make([]seat, n)
	}
	r.makeRooms()
	l, err := loop.New(loop.Config{
		Server: config.Server, Host: config.Host,
		Terms:            wire.Terms{Subprotocol: config.Subprotocol, Deflate: config.Deflate},
		Path:             r.path,
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
	var inflater *wire.Inflater
	if c.Deflate {
		inflater = new(wire.Inflater)
	}
	r.rooms = make([]*proof.Reference, c.Rooms)
	for id := range r.members {
		room := c.room(id)
		if r.rooms[room] == nil {
			r.rooms[room] = proof.NewReference(proof.Config{
				Run: c.Run, FirstSender: room * c.Senders, Senders: c.Senders + c.Visitors, Size: c.Size,
				Loose: c.Subprotocol != "" && !c.json(), JSON: c.json(), Room: v1.Room(c.path(room)), Inflater: inflater,
				Renamed: c.returning(), Processes: c.sharing(room), Events: r, Latency: r.latency, Account: &r.account,
			})
		}
		if number := c.sender(id); number >= 0 && !c.Silent {
			s := &sender{id: id, number: number, room: v1.Room(c.path(room))}
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
	if r.config.Inside.URL != "" && r.config.Process == 0 {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go r.inside.Follow(ctx, r.config.Inside)
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

// Stop ends the sending as if its time were over; what is under way is still
// waited for, and its absence counts. It may be called from any goroutine.
func (r *Run) Stop() { r.enough.Store(true) }

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
