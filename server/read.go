package server

import (
	"errors"
	"syscall"

	"github.com/gobwas/ws"

	"throng/frame"
)

// read takes what has arrived, within the budget. One read is enough: if it did
// not fill the buffer the socket is empty, and what comes later is an edge. When
// the peer has hung up there is one more thing to be read, the end.
func (c *Conn) read() {
	if c.flags&(paused|throttled) != 0 {
		return
	}
	if c.more != nil && len(c.more.unread) > 0 && !c.readUnread() {
		return
	}
	l := c.loop
	n, err := c.readSome(l.buf)
	switch {
	case wouldBlock(err):
		return
	case err != nil:
		c.shutBroken(err)
		return
	case n == 0:
		c.ended()
		return
	}
	c.flags |= heard
	c.flags &^= pinged
	c.feed(l.buf[:n])
	if n == len(l.buf) || c.is(hungUp) {
		c.again()
	}
}

// readSome is read(2) without its interruptions.
func (c *Conn) readSome(p []byte) (int, error) {
	for {
		n, err := c.loop.srv.kernel.Read(int(c.fd), p)
		if err == nil || !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}

// feed decodes fresh input and keeps what could not be handled now.
func (c *Conn) feed(p []byte) {
	if n := c.consume(p); n < len(p) && c.Open() {
		e, l := c.extra(), c.loop
		if e.unread == nil {
			e.unread, l.unread = l.unread, nil
		}
		e.unread = append(e.unread, p[n:]...)
	}
}

// readUnread decodes input kept earlier. It reports whether all of it is done
// and the socket may be read again in the same call.
func (c *Conn) readUnread() bool {
	e := c.more
	n := c.consume(e.unread)
	if !c.Open() {
		return false
	}
	if e.unread = e.unread[:copy(e.unread, e.unread[n:])]; len(e.unread) > 0 {
		return false
	}
	c.loop.unread, e.unread = trim(e.unread), nil
	return c.flags&(paused|throttled) == 0
}

// consume is handle with an account of what the decoder keeps.
func (c *Conn) consume(p []byte) (done int) {
	held := c.input.Held()
	done = c.handle(p)
	c.weighInput(held)
	return done
}

// handle decodes and delivers what frameBudget, frameTime and inflateBudget allow, and
// returns how much of p is done.
func (c *Conn) handle(p []byte) (done int) {
	l := c.loop
	inflated := 0
	began := l.srv.kernel.Now()
	for i := range frameBudget {
		if i%frameStep == frameStep-1 && l.srv.kernel.Now()-began > frameTime {
			break
		}
		if c.clogged() {
			c.stopReading(deaf)
			return done
		}
		if done < len(p) && !c.rate.ready(l.srv.messages, l.now) {
			c.stopReading(throttled)
			l.srv.counts.throttled.Add(1)
			return done
		}
		m, n, ok, err := c.input.Decode(p[done:], c.limits())
		done += n
		if err != nil {
			c.violated(err)
			return done
		}
		if !ok && done == len(p) {
			return done
		}
		if !ok {
			continue
		}
		if m.Packed > 0 {
			inflated += len(m.Payload)
			c.loop.srv.counts.inflate(m)
		}
		c.rate.take(l.srv.messages, l.now)
		if c.deliver(m); !c.Open() || c.is(paused) {
			return done
		}
		if inflated >= inflateBudget {
			break
		}
	}
	c.again()
	return done
}

// stopReading has c not read, for one more of the reasons: TCP slows its peer down.
// One that is throttled waits for a token for its next message; control frames count
// as messages, since they cost as much.
func (c *Conn) stopReading(why flags) {
	c.flags |= why
	if !c.is(listed) {
		c.flags |= listed
		c.loop.notRead = append(c.loop.notRead, c)
	}
}

// stuck reports whether c is not read while its peer has taken nothing for a while.
func (c *Conn) stuck() bool {
	return c.Open() && c.is(blocked) && c.flags&notRead != 0 &&
		c.more.due-c.loop.now <= int64(c.loop.srv.cfg.StallTimeout-unclogAfter)
}

// unclog takes in what has arrived at a connection that is stuck, and returns how many
// bytes that was. Once a receive buffer has overflowed, Linux (seen with 6.18) drops what
// comes until it is read, small segments and acknowledgements among it: a peer that
// reads everything would never make room to write, and c would not be read before.
//
// It takes as much as fits into two such buffers, behind what had to wait anyway.
func (c *Conn) unclog() (taken int) {
	l, e := c.loop, c.extra()
	for len(e.unread) < readBudget+4*l.srv.cfg.ReceiveBufferBytes { // a buffer is twice what was asked for
		n, err := c.readSome(l.trash)
		if wouldBlock(err) || err == nil && n == 0 {
			break
		}
		if err != nil {
			c.shutBroken(err)
			return taken
		}
		e.unread = append(e.unread, l.trash[:n]...)
		taken += n
	}
	c.weigh()
	return taken
}

// deliver hands one message to whoever it is for.
func (c *Conn) deliver(m Message) {
	switch m.Op {
	case ws.OpPing:
		c.pong(m.Payload)
	case ws.OpPong:
	case ws.OpClose:
		c.peerClosed(m.Payload)
	default:
		if !c.loop.srv.handler.Message(c, m) && c.Open() {
			c.stopReading(paused)
			c.extra().held = Message{Op: m.Op, Payload: append([]byte(nil), m.Payload...)}
		}
	}
}

// resume offers the held message again, and reads on if it is taken now.
func (c *Conn) resume() {
	if !c.Open() || !c.is(paused) {
		return
	}
	c.loop.corked = c
	if c.loop.srv.handler.Message(c, c.more.held) && c.Open() {
		c.more.held = Message{}
		c.flags &^= paused
		c.again()
	}
	c.uncork()
	c.loop.corked = nil
	c.settle()
}

// violated ends c for what its peer has sent.
func (c *Conn) violated(err error) {
	code := ws.StatusProtocolError
	var e frame.Error
	if errors.As(err, &e) {
		code = e.Code()
	}
	c.shut(err, code, err.Error())
}

// peerClosed answers a close frame with its own code: RFC 6455, section 5.5.1.
func (c *Conn) peerClosed(payload []byte) {
	code, reason, _ := frame.ParseClose(payload) // checked by the decoder
	c.uncork()
	if !c.leave(nil, code, string(reason)) {
		code = ws.StatusInternalServerError
	}
	e := c.extra()
	e.own = frame.AppendClose(e.own, code, "")
	c.finish()
}

// ended ends c after its peer has shut down its side without a close frame. It may
// still read, and gets what is waiting for it.
func (c *Conn) ended() {
	c.uncork()
	if !c.pending() {
		c.broken(ErrEOF)
		return
	}
	c.leave(ErrEOF, CodeBroken, ErrEOF.Error())
	c.finish()
}

// shutBroken ends c after a failed read or write, outside a turn.
func (c *Conn) shutBroken(err error) {
	c.loop.cork = c.loop.cork[:0]
	c.broken(err)
}
