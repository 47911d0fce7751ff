package server

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"throng/poller"
)

// listener accepts connections on worker 0 and deals them out in turn.
type listener struct {
	srv   *Server
	fd    int
	bound net.Addr
	timer int // descriptor: tries again after a failure
	next  int // the loop that gets the next connection

	// Owned by worker 0.
	waiting bool          // for the timer, or for a connection to go
	wait    time.Duration // before the next try
	closed  bool
}

func newListener(s *Server, fd int, bound net.Addr) *listener {
	return &listener{srv: s, fd: fd, bound: bound, timer: -1}
}

// start begins accepting, on worker 0.
func (ln *listener) start() error {
	var err error
	if ln.timer, err = ln.srv.kernel.NewTimer(); err != nil {
		return err
	}
	if err = ln.Worker().Add(ln.timer, retry{ln}); err == nil {
		err = ln.Worker().Add(ln.fd, ln)
	}
	if err == nil {
		ln.srv.listeners = append(ln.srv.listeners, ln)
	}
	return err
}

// close stops accepting, on worker 0.
func (ln *listener) close() {
	if ln.closed {
		return
	}
	ln.closed = true
	for _, fd := range []int{ln.fd, ln.timer} {
		_ = ln.Worker().Del(fd) // a listener that failed to start has none
		ln.srv.kernel.Close(fd)
	}
	if u, ok := ln.bound.(*net.UnixAddr); ok {
		_ = os.Remove(u.Name)
	}
}

// Worker implements poller.Handler.
func (ln *listener) Worker() *poller.Worker { return ln.srv.loops[0].worker }

// Panicked lets the process end: a server that cannot accept is none.
func (ln *listener) Panicked(v any, _ []byte) { panic(v) }

// Ready accepts a bounded number of connections.
func (ln *listener) Ready(poller.Event) {
	if ln.closed || ln.waiting {
		return
	}
	s := ln.srv
	var failure error
	for range acceptBudget {
		if s.conns.Load() >= int64(s.cfg.MaxConns+s.cfg.RefuseConns) {
			// The kernel's queue holds the others until somebody goes.
			ln.pause()
			return
		}
		fd, err := s.kernel.Accept(ln.fd)
		failure = err
		switch {
		case err == nil:
			ln.accepted(fd)
		case wouldBlock(err):
			return
		case outOfRoom(err):
			ln.backOff(err)
			return
		default:
			// One that was reset while it waited, or an interruption:
			// accept(2) says to go on.
		}
	}
	if failure != nil {
		ln.backOff(failure) // not even this many tries have helped
		return
	}
	ln.Worker().Again(ln)
}

// accepted deals fd out, or says that it is to be refused.
func (ln *listener) accepted(fd int) {
	s := ln.srv
	ln.wait = 0
	s.counts.accepted.Add(1)
	a := arrival{fd: int32(fd)}
	if ln.bound.Network() == "tcp" {
		if err := s.kernel.SetUserTimeout(fd, s.cfg.StallTimeout); err != nil {
			s.log.Debug("cannot set TCP_USER_TIMEOUT", "error", err) // the peer has gone already
		}
		from, err := s.kernel.Peer(fd)
		if err != nil {
			s.log.Debug("cannot tell a peer's address", "error", err) // it has gone as well
		}
		var over int
		if a.place, over = s.addresses.enter(from); over > 0 {
			a.status = 429
			s.counts.addressRefused.Add(1)
		}
		if over > refusePerAddress {
			s.counts.addressCut.Add(1)
			s.addresses.leave(a.place)
			s.kernel.Close(fd)
			return
		}
	}
	if s.conns.Add(1) > int64(s.cfg.MaxConns) && a.status == 0 {
		a.status = 503
		s.counts.full.Add(1)
	}
	s.loops[ln.next].enqueue(a)
	ln.next = (ln.next + 1) % len(s.loops)
}

// outOfRoom tells errors that pass when others give something back. No edge
// announces that.
func outOfRoom(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// pause waits for a connection to go. Checking again afterwards makes sure that
// one that went in between is not missed.
func (ln *listener) pause() {
	ln.srv.crowded.Store(true)
	if ln.srv.conns.Load() < int64(ln.srv.cfg.MaxConns+ln.srv.cfg.RefuseConns) {
		ln.Worker().Again(ln)
	}
}

// backOff tries again after a while, and after each connection that goes.
func (ln *listener) backOff(err error) {
	s := ln.srv
	ln.wait = min(max(2*ln.wait, acceptRetryMin), acceptRetryMax)
	ln.waiting = true
	s.crowded.Store(true)
	s.counts.acceptFailures.Add(1)
	s.noRoom("cannot accept connections; those that exist go on", err)
	if err := s.kernel.SetTimer(ln.timer, ln.wait, 0); err != nil {
		s.log.Error("cannot set the accept timer", "error", err)
	}
}

// noRoom warns once a minute that descriptors or memory are used up. Any
// goroutine.
func (s *Server) noRoom(what string, err error) {
	now, last := int64(s.kernel.Now()), s.warned.Load()
	if now-last >= int64(time.Minute) && s.warned.CompareAndSwap(last, now) {
		s.log.Warn(what, "error", err,
			"remedy", "raise the open-file limit (ulimit -n, LimitNOFILE) or lower --max-conns")
	}
}

// retry is the handler behind a listener's timer.
type retry struct{ ln *listener }

func (r retry) Worker() *poller.Worker       { return r.ln.Worker() }
func (r retry) Panicked(v any, stack []byte) { panic(v) }

// Ready tries to accept again.
func (r retry) Ready(poller.Event) { r.ln.tryAgain() }

// tryAgain goes on accepting; the next failure waits twice as long.
func (ln *listener) tryAgain() {
	ln.waiting = false
	ln.Ready(poller.Readable)
}

// gone counts a connection out, and has the listeners look again if they were
// waiting for that. Any goroutine.
func (s *Server) gone(p place) {
	s.addresses.leave(p)
	left := s.conns.Add(-1)
	if s.crowded.Swap(false) {
		s.loops[0].worker.Post(func() {
			for _, ln := range s.listeners {
				ln.tryAgain()
			}
		})
	}
	if left == 0 && s.draining.Load() {
		s.emptied.Do(func() { close(s.empty) })
	}
}
