package server

import (
	"context"
	"log/slog"

	"github.com/gobwas/ws"

	"throng/frame"
	"throng/poller"
)

// state is where a connection is in its life. It only moves forward.
type state uint8

const (
	handshaking state = iota // the head of the request is not complete
	open                     // messages flow
	closing                  // the close frame or the refusal is on its way, input is discarded
	closed                   // the descriptor is gone
)

// flags of a connection.
type flags uint16

const (
	blocked   flags = 1 << iota // the last write was short: an edge will follow
	paused                      // a message waits to be offered again
	deaf                        // reading stopped since too much is waiting to be sent
	hungUp                      // the peer has shut down its side: read until the end
	heard                       // something came since the sweep's last look
	pinged                      // a ping is unanswered
	doomed                      // to be closed when the turn ends
	queued                      // the worker will call Ready once more
	throttled                   // not read until there is a token for a message
	listed                      // stands in loop.notRead
)

// notRead are the reasons for which a connection is not read.
const notRead = paused | deaf | throttled

// Conn is a WebSocket connection. Its methods are for the Handler, on the
// connection's worker, unless they say otherwise.
//
// A million of them are held at a time: an idle one is this struct and nothing
// else. Everything that only a busy one needs is in extra.
type Conn struct {
	// Data belongs to the Handler.
	Data any

	// Owned by the worker.
	loop   *loop
	more   *extra        // nil while idle
	input  frame.Decoder // one pointer, nil between messages
	rate   bucket        // of messages
	fd     int32
	seat   int32 // index in loop.open
	place  place // of its address
	flags  flags
	state  state
	window uint8 // see extension
}

// extra is what a connection needs while it is not idle.
type extra struct {
	// Place in one of the loop's lists: handshaking, stalled or closing.
	conn       *Conn
	list       *list
	prev, next *extra
	due        int64 // on the loop's clock, ns

	weight int // bytes that the loop's account has for this extra

	// Input.
	head   []byte  // an incomplete request
	held   Message // the message to be offered again; its payload is a copy
	unread []byte  // input behind it, or behind the frame budget
	drop   int     // bytes discarded while closing
	cause  error   // why the connection is doomed or closing
	code   ws.StatusCode
	reason string

	// Output, in the order in which it is sent.
	rest []byte // the remainder of a room's frame
	own  []byte // the connection's own frames
	cut  int    // bytes of these that are out, and still held: at most as many as are left
	pong []byte // the latest pong: RFC 6455, section 5.5.3
	last bool   // nothing follows own: shut down when it is out
}

func (c *Conn) is(f flags) bool { return c.flags&f != 0 }

// extra returns c's extra, making it if there is none.
func (c *Conn) extra() *extra {
	if c.more == nil {
		c.more = c.loop.takeExtra()
		c.more.conn = c
	}
	return c.more
}

// slim gives the extra back when it holds nothing.
func (c *Conn) slim() {
	e := c.more
	if e == nil || e.list != nil || c.flags&(paused|doomed) != 0 ||
		len(e.unread)+len(e.rest)+len(e.own)+len(e.pong)+len(e.head) > 0 {
		return
	}
	c.more = nil
	c.loop.putExtra(e)
}

// Worker returns the worker that owns c. Any goroutine.
func (c *Conn) Worker() *poller.Worker { return c.loop.worker }

// WorkerID is the number of that worker. Any goroutine.
func (c *Conn) WorkerID() int { return c.loop.worker.ID() }

// Handler is the application that the server was given. Any goroutine.
func (c *Conn) Handler() Handler { return c.loop.srv.handler }

// Post has f run on c's worker. A panic in f closes c. Any goroutine.
func (c *Conn) Post(f func(c *Conn)) {
	c.loop.worker.Post(func() { c.loop.contain(c, func() { f(c) }) })
}

// Resume has the message that was not taken offered again. Any goroutine;
// harmless when there is none.
func (c *Conn) Resume() {
	c.loop.worker.Post(func() { c.loop.contain(c, c.resume) })
}

// Deflates reports whether permessage-deflate was negotiated with the window that a
// Deflater uses: whether c takes compressed frames of any size in WriteFrames. Send
// compresses by itself.
func (c *Conn) Deflates() bool { return c.window == maxWindow }

// Deflater compresses frames for connections that Deflates, on the worker of c: one for
// all of the worker's connections. It is nil, which compresses nothing, when compression
// is off. What it does is counted in Stats.
func (c *Conn) Deflater() *frame.Deflater { return c.loop.deflater }

// Open reports whether messages can be sent and received.
func (c *Conn) Open() bool { return c.state == open && !c.is(doomed) }

// Close leaves the open state: Handler.Close is called, then the close frame is
// sent, in order after what was sent before. Called out of a Turn, or in
// Writable, it takes effect when that is over. A connection that is no longer
// open stays as it is.
func (c *Conn) Close(code ws.StatusCode, reason string) {
	if !c.Open() {
		return
	}
	if c.loop.inTurn {
		c.CloseLater(code, reason)
		return
	}
	c.shut(nil, code, reason)
}

// CloseLater is Close at the end of the worker's turn, for callers that are in
// the middle of something. Until then c is as good as closed: it sends nothing
// more, and takes nothing.
func (c *Conn) CloseLater(code ws.StatusCode, reason string) {
	if c.Open() {
		c.uncork() // what was sent before goes out before; it may doom c
		c.doom(nil, code, reason)
	}
}

// doom marks c to be closed at the end of the turn.
func (c *Conn) doom(cause error, code ws.StatusCode, reason string) {
	if c.is(doomed) {
		return
	}
	e := c.extra()
	e.cause, e.code, e.reason = cause, code, reason
	c.flags |= doomed
	c.loop.doomed = append(c.loop.doomed, c)
	c.loop.worker.Wake()
}

// Ready implements poller.Handler.
func (c *Conn) Ready(e poller.Event) {
	if e&(poller.PeerShut|poller.Hangup|poller.Error) != 0 {
		c.flags |= hungUp
	}
	c.loop.corked = c
	switch {
	case c.state == handshaking:
		c.readHead()
	case c.state == open && !c.is(doomed):
		c.ready(e)
	case c.state == closing:
		c.linger()
	}
	c.uncork()
	c.loop.corked = nil
	c.settle()
}

// settle gives back what was needed only while c was served: the decoder's
// buffer, in which the last message may have lain, and the extra.
func (c *Conn) settle() {
	held := c.input.Held()
	if c.Open() {
		_, _, _, _ = c.input.Decode(nil, c.limits()) // no bytes, no message
	} else {
		c.input.Reset()
	}
	c.weighInput(held)
	c.weigh()
	c.slim()
}

// limits are those of what c may receive.
func (c *Conn) limits() *frame.Limits {
	if c.window > 0 {
		return &c.loop.srv.deflating
	}
	return &c.loop.srv.limits
}

// resetInput gives the decoder's buffer back, unless the handler may be looking
// at a message in it: then settle does it afterwards.
func (c *Conn) resetInput() {
	if c.loop.corked != c {
		held := c.input.Held()
		c.input.Reset()
		c.weighInput(held)
	}
}

// ready is an edge of an open connection: first out, then in.
func (c *Conn) ready(e poller.Event) {
	if e&(poller.Writable|poller.Error) != 0 && c.is(blocked) {
		c.writable()
	}
	if c.Open() && (e&poller.Readable != 0 || c.is(hungUp)) {
		c.read()
	}
}

// again has Ready called once more in the next turn.
func (c *Conn) again() {
	if !c.is(queued) {
		c.flags |= queued
		c.loop.worker.Again(rerun{c})
	}
}

// rerun is what stands in the worker's queue for c. It tells the queued call
// from an edge that comes before it: a connection stands there once, and so
// gets no more of a turn than the others.
type rerun struct{ *Conn }

// Ready implements poller.Handler.
func (r rerun) Ready(e poller.Event) {
	r.flags &^= queued
	r.Conn.Ready(e)
}

// Panicked implements poller.Handler: the connection is closed with 1011, or its
// handshake answered 500; the others hear nothing.
func (c *Conn) Panicked(v any, stack []byte) {
	l := c.loop
	l.inTurn = false
	l.srv.log.Error("panic in a handler", "panic", v, "stack", string(stack))
	switch c.state {
	case handshaking:
		c.refuse(500)
	case open:
		// What was gathered for c, perhaps the answer 101, goes out before.
		c.shut(ErrPanic, ws.StatusInternalServerError, ErrPanic.Error())
	case closing:
		c.destroy()
	}
	if l.corked == c {
		// Nothing of it must reach the next one.
		l.cork, l.corked = l.cork[:0], nil
	}
	c.settle()
}

// end is shut for a reason of the server's own.
func (c *Conn) end(cause error, code ws.StatusCode, reason string) {
	if f, ok := c.loop.srv.handler.(Farewell); ok {
		var text []byte
		if c.loop.survives(func() { text = f.Farewell(c, code, reason) }) && len(text) > 0 {
			c.uncork()
			e := c.extra()
			e.own = frame.Append(e.own, ws.OpText, text)
		}
	}
	c.shut(cause, code, reason)
}

// shut is the way out of the open state: one owner, one reason. cause is nil
// when the end is a normal one.
func (c *Conn) shut(cause error, code ws.StatusCode, reason string) {
	c.uncork()
	if !c.leave(cause, code, reason) {
		code, reason = ws.StatusInternalServerError, ErrPanic.Error()
	}
	e := c.extra()
	e.own = frame.AppendClose(e.own, code, reason)
	c.finish()
}

// leave tells the handler that c is no longer open. It reports false when the
// handler panicked.
func (c *Conn) leave(cause error, code ws.StatusCode, reason string) (ok bool) {
	c.state = closing
	c.flags &^= notRead | doomed
	l := c.loop
	l.unseat(c)
	e := c.extra()
	e.unread, e.held, e.pong = nil, Message{}, nil
	c.resetInput()
	l.srv.counts.close(code, cause)
	if l.srv.log.Enabled(context.Background(), slog.LevelDebug) {
		l.srv.log.Debug("connection closed", "fd", c.fd, "code", code, "reason", reason, "cause", cause)
	}
	ok = cause == nil || l.survives(func() { l.srv.handler.Error(c, cause) })
	return l.survives(func() { l.srv.handler.Close(c, code, reason) }) && ok
}

// broken ends a connection that can no longer carry a close frame.
func (c *Conn) broken(cause error) {
	if c.state == open {
		c.leave(cause, CodeBroken, cause.Error())
	}
	c.destroy()
}

// finish sends what is left, then shuts down writing and waits for the peer to
// do the same: closing a socket with unread input would send a reset, which
// can overtake the close frame.
func (c *Conn) finish() {
	e := c.extra()
	e.last = true
	c.loop.closing.push(e, c.loop.now+int64(c.loop.srv.cfg.LingerTimeout))
	c.linger()
	c.weigh()
}

// linger goes on closing: writes what is left, discards what arrives.
func (c *Conn) linger() {
	e := c.more
	if e.last {
		if err := c.flush(); err != nil {
			c.destroy()
			return
		}
		if !c.pending() {
			e.last = false
			if err := c.loop.srv.kernel.Shutdown(int(c.fd)); err != nil {
				c.destroy()
				return
			}
		}
	}
	c.discard()
}

// discard reads until the peer's end, or until it has sent too much.
func (c *Conn) discard() {
	e := c.more
	for e.drop <= c.loop.srv.cfg.LingerBytes {
		n, err := c.readSome(c.loop.trash)
		if wouldBlock(err) || err == nil && n == 0 && e.last {
			return // one that has only stopped sending still gets what is left
		}
		if err != nil || n == 0 {
			break
		}
		e.drop += n
	}
	c.destroy()
}

// destroy closes the descriptor, whatever the state. The order matters: out of
// the poll first, since easygo never forgets a number that was closed before.
func (c *Conn) destroy() {
	if c.state == closed {
		return
	}
	l := c.loop
	if c.state == open {
		l.unseat(c)
	}
	c.state = closed
	l.forget(c)
	if err := l.worker.Del(int(c.fd)); err != nil {
		l.srv.log.Error("cannot remove a connection from the poll", "error", err)
	}
	if err := l.srv.kernel.Close(int(c.fd)); err != nil {
		l.srv.log.Error("cannot close a connection", "error", err)
	}
	l.srv.gone(c.place)
}
