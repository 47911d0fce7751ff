package server

import (
	"runtime/debug"
	"slices"

	"github.com/gobwas/ws"

	"throng/poller"
)

// ticker is the handler behind a loop's timer.
type ticker struct{ loop *loop }

func (t ticker) Worker() *poller.Worker { return t.loop.worker }

// Ready implements poller.Handler. A timer that is not read does not expire
// again. One that has been closed since is another's descriptor by now.
func (t ticker) Ready(poller.Event) {
	if t.loop.timer < 0 {
		return
	}
	var count [8]byte
	if _, err := t.loop.srv.kernel.Read(t.loop.timer, count[:]); err == nil {
		t.loop.tick()
	}
}

// Panicked lets the process end: the clock is nobody's connection.
func (t ticker) Panicked(v any, stack []byte) { panic(v) }

// tick moves the loop's clock and does what is due. The clock stands still
// while the process is stopped, so that a SIGSTOP closes nobody.
func (l *loop) tick() {
	now := l.srv.kernel.Now()
	l.now += int64(min(now-l.ticked, maxTick))
	l.ticked = now
	l.expire()
	l.lookAtNotRead()
	l.sweep()
	if l.drainBy > 0 {
		l.drainSome()
	}
	if l.worker.ID() == 0 {
		l.srv.settle.tick(l.srv.counts.opened.Load())
	}
	if t := l.srv.turner; t != nil {
		t.Tick(l.worker.ID())
	}
	if l.relief.spent > 0 {
		l.relief = newRelief()
		l.worker.Wake()
	}
}

// settle returns memory when a crowd has come and things are quiet again: a
// handshake leaves garbage that the idle connections after it never do, and
// which would otherwise stay until the next collection, some minutes later.
type settle struct {
	opened uint64 // connections at the last tick
	freed  uint64 // connections when memory was last returned
	quiet  int    // ticks without a new one
}

// Bounds of settle: a collection for so many newcomers, after so many ticks
// without one.
const (
	settleCrowd = 1024
	settleTicks = 4
)

// tick is called on worker 0. The collection runs beside the workers.
func (s *settle) tick(opened uint64) {
	if opened != s.opened {
		s.opened, s.quiet = opened, 0
		return
	}
	if s.quiet++; s.quiet == settleTicks && opened-s.freed >= settleCrowd {
		s.freed = opened
		go debug.FreeOSMemory()
	}
}

// expire ends what has waited too long. Only the heads can be due.
func (l *loop) expire() {
	for e := l.handshakes.head; e != nil && e.due <= l.now; e = l.handshakes.head {
		l.srv.counts.slowHandshakes.Add(1)
		e.conn.destroy()
	}
	for e := l.closing.head; e != nil && e.due <= l.now; e = l.closing.head {
		e.conn.destroy()
	}
	for e := l.stalled.head; e != nil && e.due <= l.now; e = l.stalled.head {
		l.contain(e.conn, e.conn.lastTry)
	}
}

// lookAtNotRead unclogs those that are stuck, within a budget, and has those read again
// for whom there is a token. The loop's clock is the buckets', so that a tick is when
// tokens come.
func (l *loop) lookAtNotRead() {
	left, budget, next := l.notRead[:0], unclogBudget, 0
	for _, c := range l.notRead {
		if budget > 0 && c.stuck() {
			l.contain(c, func() { budget -= unclogLook + c.unclog() })
			if budget <= 0 {
				next = len(left) // is the first at the next tick
			}
		}
		if c.is(throttled) && c.rate.ready(l.srv.messages, l.now) {
			c.flags = c.flags&^(throttled|pinged) | heard // it could not be
			c.again()
		}
		if c.flags&notRead == 0 { // or it is closed by now
			c.flags &^= listed
			continue
		}
		left = append(left, c)
	}
	clear(l.notRead[len(left):])
	switch l.notRead = left; {
	case len(left) == 0:
		l.notRead = nil
	case next > 0:
		l.notRead = slices.Concat(left[next:], left[:next])
	}
}

// lastTry ends a connection that takes nothing. One that reads a little at a
// time is no such one, though it gets no edge until a third of its socket's buffer
// is free: so it is tried once more.
func (c *Conn) lastTry() {
	sent := c.loop.sent
	if !c.pending() {
		c.more.own = append(c.more.own, pingFrame...) // for want of anything else
	}
	c.writable()
	if c.state == open && c.loop.sent == sent { // also when it is to be closed at the end of the turn: it would be due again at once
		c.broken(ErrStalled)
	}
	c.weigh()
}

// sweep looks at each open connection once per ping period, some at each tick.
// It walks upwards, and what closes meanwhile makes it look at nobody twice in a
// period, and miss nobody.
func (l *loop) sweep() {
	period := int64(l.srv.cfg.PingPeriod)
	phase := min(l.now-l.round, period)
	upto := int(int64(len(l.open)) * phase / period)
	for l.look < upto && l.look < len(l.open) {
		c := l.open[l.look]
		l.look++
		l.contain(c, c.lookAt)
	}
	if phase == period {
		l.round, l.look = l.now, 0
	}
}

// lookAt pings a silent connection and ends one that does not answer. One that
// is not read, or blocked, is the business of the stall limit.
func (c *Conn) lookAt() {
	switch {
	case !c.Open(), c.flags&(notRead|blocked) != 0:
	case c.is(heard):
		c.flags &^= heard | pinged
	case c.is(pinged):
		c.end(ErrSilent, CodeIdle, ErrSilent.Error())
	default:
		c.flags |= pinged
		c.push(pingFrame)
	}
}

// pingFrame is an empty ping.
var pingFrame = ws.MustCompileFrame(ws.NewPingFrame(nil))
