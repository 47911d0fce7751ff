package server

import (
	"errors"
	"slices"
	"syscall"

	"github.com/gobwas/ws"

	"throng/frame"
)

// Send queues one frame of the connection's own, compressed if that was negotiated
// and makes it smaller. false: c is closed, or 16 KiB are waiting already, while c
// is served 1 KiB more; Handler.Writable is called when they have gone out.
func (c *Conn) Send(op ws.OpCode, payload []byte) bool {
	l := c.loop
	limit := maxOwn
	if l.corked == c {
		limit += maxAnswer
	}
	if !c.Open() || c.waiting() >= limit {
		return false
	}
	if l.corked == c {
		l.cork = c.appendFrame(l.cork, op, payload)
		if len(l.cork) >= maxOwn {
			c.uncork()
		}
		return true
	}
	l.scratch = c.appendFrame(l.scratch[:0], op, payload)
	c.push(l.scratch)
	l.scratch = trim(l.scratch)
	return true
}

// appendFrame encodes a message as c takes it. A message that is no larger than the
// window cannot refer to what is outside of it; a larger one goes out uncompressed
// when the peer has asked for a small window, which hardly one does.
func (c *Conn) appendFrame(dst []byte, op ws.OpCode, payload []byte) []byte {
	if c.Deflates() || c.window > 0 && len(payload) <= 1<<c.window {
		if b, ok := c.loop.deflater.Append(dst, op, payload); ok {
			return b
		}
	}
	return frame.Append(dst, op, payload)
}

// WriteFrames offers whole frames of a room and returns how many of their bytes
// were taken, always a frame's end. Compressed ones are only for a connection that
// Deflates. Less than all: the connection is blocked,
// and Handler.Writable will be called. A connection that is no longer open
// takes everything and sends nothing.
func (c *Conn) WriteFrames(frames []byte) int {
	if !c.Open() {
		return len(frames)
	}
	if c.loop.corked == c {
		c.uncork()
	}
	if c.is(blocked) || c.pending() {
		return 0
	}
	n, err := c.writeSome(frames)
	if err != nil {
		c.doom(err, CodeBroken, "")
		return len(frames)
	}
	if n == len(frames) {
		return n
	}
	c.block()
	end := frame.Boundary(frames, n)
	if end > n {
		// A copy: a slice would keep the whole segment alive.
		c.extra().rest = append([]byte(nil), frames[n:end]...)
	}
	c.weigh()
	return end
}

// pong answers a ping; while c is blocked the latest wins.
func (c *Conn) pong(payload []byte) {
	if c.is(blocked) {
		e := c.extra()
		e.pong = frame.Append(e.pong[:0], ws.OpPong, payload)
		return
	}
	c.loop.cork = frame.Append(c.loop.cork, ws.OpPong, payload)
}

// uncork sends what was gathered while c was being served.
func (c *Conn) uncork() {
	l := c.loop
	if l.corked != c || len(l.cork) == 0 {
		return
	}
	b := l.cork
	l.cork = l.cork[:0]
	if c.state != closed {
		c.push(b)
	}
	l.cork = trim(l.cork)
}

// push sends b now, or keeps what cannot be sent. A failure dooms c.
func (c *Conn) push(b []byte) {
	if c.is(doomed) {
		return
	}
	if !c.is(blocked) && !c.pending() {
		n, err := c.writeSome(b)
		if err != nil {
			c.fail(err)
			return
		}
		if b = b[n:]; len(b) == 0 {
			return
		}
		c.block()
	}
	e := c.extra()
	e.own = append(e.own, b...)
	c.weigh()
}

// fail ends c after a failed system call, at the end of the turn.
func (c *Conn) fail(err error) {
	if c.state == open {
		c.doom(err, CodeBroken, "")
		return
	}
	c.destroy()
}

// pending reports whether anything is waiting to be sent.
func (c *Conn) pending() bool {
	e := c.more
	return e != nil && len(e.rest)+len(e.own)+len(e.pong) > 0
}

// clogged reports whether so much is waiting that c is not to be read.
func (c *Conn) clogged() bool { return c.waiting() >= maxOwn }

// waiting is how many bytes of its own c has to send before its peer has read; 0 when it
// is not blocked.
func (c *Conn) waiting() int {
	if c.more == nil || !c.is(blocked) {
		return 0
	}
	waiting := len(c.more.own)
	if c.loop.corked == c {
		waiting += len(c.loop.cork)
	}
	return waiting
}

// block notes that an edge will follow, and when the peer will have stalled.
func (c *Conn) block() {
	c.flags |= blocked
	if c.state == open {
		l := c.loop
		l.stalled.push(c.extra(), l.now+int64(l.srv.cfg.StallTimeout))
	}
}

// writable goes on sending after an edge: the remainder, the connection's own
// frames, then what the handler has.
func (c *Conn) writable() {
	if err := c.flush(); err != nil {
		c.shutBroken(err)
		return
	}
	if c.is(blocked) {
		return
	}
	// A ping that waited with the rest is only now on its way.
	c.flags = c.flags&^pinged | heard
	l := c.loop
	l.inTurn = true
	l.srv.handler.Writable(c)
	l.inTurn = false
	if c.is(deaf) && !c.clogged() {
		c.flags &^= deaf
		c.again()
	}
}

// flush writes what is waiting. c is no longer blocked when all has gone out.
func (c *Conn) flush() error {
	e := c.more
	if e == nil {
		c.flags &^= blocked
		return nil
	}
	c.flags &^= blocked
	progress := false
	for c.pending() {
		b := &e.rest
		if len(*b) == 0 {
			b = &e.own
		}
		if len(*b) == 0 {
			// From here on it is a frame like the others: once a part of it is
			// out, a later pong must not take its place.
			e.own, e.pong = e.pong, nil
		}
		n, err := c.writeSome(*b)
		if err != nil {
			return err
		}
		progress = progress || n > 0
		if n < len(*b) {
			e.keep(b, n)
			c.flags |= blocked
			if progress {
				c.block() // the peer has not stalled
			}
			return nil
		}
		*b, e.cut = nil, 0
	}
	if e.list == &c.loop.stalled {
		e.list.remove(e)
	}
	return nil
}

// keep keeps what is left of the first buffer when n bytes of it are out; those are held until they are as many.
func (e *extra) keep(b *[]byte, n int) {
	*b = (*b)[n:]
	if e.cut += n; e.cut >= len(*b) {
		*b, e.cut = slices.Clone(*b), 0
	}
}

// writeSome writes until all is out or the socket is full. A full socket is not
// an error.
func (c *Conn) writeSome(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := c.loop.srv.kernel.Write(int(c.fd), p[done:])
		switch {
		case err == nil:
			done += n
			c.loop.sent += uint64(n)
			if done < len(p) {
				return done, nil // a short write means that an edge will follow
			}
		case wouldBlock(err):
			return done, nil
		case !errors.Is(err, syscall.EINTR):
			return done, err
		}
	}
	return done, nil
}

// wouldBlock tells EAGAIN from other errors without an allocation.
func wouldBlock(err error) bool { return err == syscall.EAGAIN }

// trim drops a buffer that a large message has made large.
func trim(b []byte) []byte {
	if cap(b) > 4*maxOwn {
		return nil
	}
	return b[:0]
}
