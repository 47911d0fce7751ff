package server

import (
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"throng/frame"
	"throng/poller"
)

// loop is one worker's connections and buffers.
type loop struct {
	srv    *Server
	worker *poller.Worker

	// Buffers, shared by all connections of the worker. Owned by the worker.
	buf      []byte // input
	trash    []byte // input that nobody wants; buf may hold a message meanwhile
	cork     []byte // own frames of corked
	scratch  []byte // one own frame of any other
	corked   *Conn  // the connection that is being served
	unread   []byte // for the next input that has to wait for another call; nil while one has it
	spare    []*extra
	upgrader upgrader
	deflater *frame.Deflater // nil when compression is off

	// Connections. Owned by the worker.
	open       []*Conn // dense, in no order
	look       int     // where the sweep looks next in open
	round      int64   // when the sweep's round began
	handshakes list    // incomplete handshakes, oldest first
	stalled    list    // blocked open connections
	closing    list
	doomed     []*Conn // to be closed when the turn ends
	inTurn     bool    // closes wait for the turn's end
	drainBy    int     // connections to close at each tick; 0: none
	sent       uint64  // bytes that the kernel has taken
	notRead    []*Conn // those that were not read at some time since the last tick
	relief     relief

	// Clock. Owned by the worker.
	timer  int           // descriptor
	now    int64         // ns; stands still while the process is stopped
	ticked time.Duration // kernel time of the last tick

	held atomic.Int64 // bytes that its connections hold. Changed by the worker alone.

	mu       sync.Mutex
	incoming []arrival // guarded by mu

	admitting []arrival // the other half of incoming's double buffer. Owned by the worker.
}

// arrival is an accepted descriptor. One too many is only refused.
type arrival struct {
	fd     int32
	place  place
	status int // of the refusal; 0: welcome
}

func newLoop(s *Server, w *poller.Worker) *loop {
	l := &loop{srv: s, worker: w, buf: make([]byte, readBudget), trash: make([]byte, readBudget), timer: -1, relief: newRelief()}
	l.upgrader.init()
	if s.cfg.Compression != CompressionOff {
		l.deflater = frame.NewDeflater(s.cfg.Compression)
	}
	return l
}

// start begins the ticks.
func (l *loop) start() error {
	var err error
	if l.timer, err = l.srv.kernel.NewTimer(); err != nil {
		return fmt.Errorf("make a timer: %w", err)
	}
	l.ticked = l.srv.kernel.Now()
	if err := on(l, func() error { return l.worker.Add(l.timer, ticker{l}) }); err != nil {
		return err
	}
	if err := l.srv.kernel.SetTimer(l.timer, tickInterval, tickInterval); err != nil {
		return fmt.Errorf("start a timer: %w", err)
	}
	return nil
}

// stop closes everything that is left, on the worker.
func (l *loop) stop() error {
	l.admit()
	for len(l.open) > 0 {
		c := l.open[len(l.open)-1]
		l.contain(c, func() { c.broken(errStopped) })
	}
	for _, ls := range []*list{&l.handshakes, &l.closing} {
		for ls.head != nil {
			ls.head.conn.destroy()
		}
	}
	err := l.worker.Del(l.timer)
	l.srv.kernel.Close(l.timer)
	l.timer = -1 // an expiry may be due in the same batch of events
	return err
}

// turn takes in new connections, gives the handler its turn and then closes
// what failed in it, and who holds too much. It reports whether work is left.
func (l *loop) turn() bool {
	l.admit()
	more := false
	if t := l.srv.turner; t != nil {
		l.inTurn = true
		more = t.Turn(l.worker.ID())
		l.inTurn = false
	}
	l.reap()
	return l.relieve() || more
}

// reap closes the doomed. Handlers may doom others meanwhile.
func (l *loop) reap() {
	for len(l.doomed) > 0 {
		n := len(l.doomed) - 1
		c := l.doomed[n]
		l.doomed[n] = nil
		l.doomed = l.doomed[:n]
		if c.state != open || !c.is(doomed) {
			continue
		}
		l.contain(c, func() {
			if e := c.more; e.code == CodeBroken {
				c.broken(e.cause)
			} else {
				c.end(e.cause, e.code, e.reason)
			}
		})
	}
}

// contain runs f; a panic in it costs c only.
func (l *loop) contain(c *Conn, f func()) {
	defer func() {
		if v := recover(); v != nil {
			c.Panicked(v, debug.Stack())
		}
	}()
	f()
}

// survives runs f and reports whether it returned. What ends a connection may run
// within another one's event: a panic there must cost neither that one nor the
// rest of the end.
func (l *loop) survives(f func()) (ok bool) {
	defer func() {
		if v := recover(); v != nil {
			l.srv.log.Error("panic in a handler", "panic", v, "stack", string(debug.Stack()))
		}
	}()
	f()
	return true
}

// enqueue hands an accepted descriptor to the loop. Any goroutine.
func (l *loop) enqueue(a arrival) {
	l.mu.Lock()
	l.incoming = append(l.incoming, a)
	l.mu.Unlock()
	l.worker.Wake()
}

// admit makes connections of the descriptors that were handed over.
func (l *loop) admit() {
	l.mu.Lock()
	l.incoming, l.admitting = l.admitting[:0], l.incoming
	l.mu.Unlock()
	for _, a := range l.admitting {
		l.begin(a)
	}
}

// begin starts a connection's life. Its first edge comes at once if the head
// has arrived already.
func (l *loop) begin(a arrival) {
	s := l.srv
	c := &Conn{loop: l, fd: a.fd, seat: -1, place: a.place}
	if err := l.worker.Add(int(a.fd), c); err != nil {
		s.log.Error("cannot watch a connection", "error", err)
		s.kernel.Close(int(a.fd))
		s.gone(a.place)
		return
	}
	if a.status == 0 && s.draining.Load() {
		a.status = 503
	} else if a.status == 0 && s.held() >= s.memory.near {
		a.status = 503
		s.counts.memoryRefused.Add(1)
	}
	if a.status != 0 {
		c.refuse(a.status)
		return
	}
	if l.handshakes.len >= max(1, s.cfg.MaxHandshakes/len(s.loops)) {
		s.counts.handshakesDropped.Add(1)
		l.handshakes.head.conn.destroy() // the oldest, never the newcomer
	}
	l.handshakes.push(c.extra(), l.now+int64(s.cfg.HandshakeTimeout))
	c.weigh()
}

// seatNow makes c one of the open connections.
func (l *loop) seatNow(c *Conn) {
	c.seat = int32(len(l.open))
	l.open = append(l.open, c)
}

// unseat takes c out of the open connections; the last one gets its place. If the
// sweep has passed there, the one that it saw last moves there first: otherwise
// it would miss the last one.
func (l *loop) unseat(c *Conn) {
	hole := int(c.seat)
	if hole < l.look {
		l.look--
		hole = l.fill(hole, l.look)
	}
	last := len(l.open) - 1
	l.fill(hole, last)
	l.open[last] = nil
	l.open = l.open[:last]
	c.seat = -1
}

// fill moves the connection at from to the hole, and returns the hole that this
// makes.
func (l *loop) fill(hole, from int) int {
	if hole != from {
		l.open[hole] = l.open[from]
		l.open[hole].seat = int32(hole)
	}
	return from
}

// forget releases everything that c holds.
func (l *loop) forget(c *Conn) {
	c.resetInput()
	if e := c.more; e != nil {
		if e.list != nil {
			e.list.remove(e)
		}
		c.more = nil
		l.putExtra(e)
	}
}

// maxSpare is the number of idle extras that a loop keeps.
const maxSpare = 256

func (l *loop) takeExtra() *extra {
	if n := len(l.spare); n > 0 {
		e := l.spare[n-1]
		l.spare = l.spare[:n-1]
		return e
	}
	return new(extra)
}

func (l *loop) putExtra(e *extra) {
	l.held.Add(-int64(e.weight))
	*e = extra{}
	if len(l.spare) < maxSpare {
		l.spare = append(l.spare, e)
	}
}

// list is a queue of connections with one deadline each, all deadlines being
// equally far away when they are pushed: only the head needs to be looked at.
type list struct {
	head, tail *extra
	len        int
}

// push puts e at the end of ls, out of whatever list it was in.
func (ls *list) push(e *extra, due int64) {
	if e.list != nil {
		e.list.remove(e)
	}
	e.list, e.due, e.prev = ls, due, ls.tail
	if ls.tail != nil {
		ls.tail.next = e
	} else {
		ls.head = e
	}
	ls.tail = e
	ls.len++
}

func (ls *list) remove(e *extra) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		ls.head = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		ls.tail = e.prev
	}
	e.list, e.prev, e.next = nil, nil, nil
	ls.len--
}
