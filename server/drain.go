package server

import (
	"context"
	"errors"

	"github.com/gobwas/ws"
)

// errStopped ends what is left when the server is closed without a drain.
var errStopped = errors.New("the server was stopped")

// Shutdown drains: it stops accepting at once, closes all connections with 1001
// in slices spread over Config.DrainTime, and waits until the last one is gone
// or ctx is done, when what is left is cut and ErrDeadline returned. The
// server is closed then.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopAccepting(func() { s.draining.Store(true) }) // whoever sees it finds the listeners closed
	for _, l := range s.loops {
		_ = on(l, func() error { l.drain(); return nil })
	}
	if s.conns.Load() == 0 {
		s.emptied.Do(func() { close(s.empty) })
	}
	var err error
	select {
	case <-s.empty:
	case <-ctx.Done():
		err = ErrDeadline
	}
	s.pages.shutdown(ctx)
	return errors.Join(err, s.Close())
}

// Close ends everything now. Also for a server that New could not finish. Only
// the first call does something.
func (s *Server) Close() (err error) {
	s.closed.Do(func() { err = s.close() })
	return err
}

func (s *Server) close() error {
	s.stopAccepting(func() {})
	for _, l := range s.loops {
		if l != nil && l.timer >= 0 {
			_ = on(l, l.stop)
		}
	}
	s.pages.close()
	err := s.pool.Close()
	s.died.Do(func() { close(s.dead) }) // nobody may wait for a worker from here on
	return err
}

// stopAccepting closes the listeners and calls then, both on worker 0, so that no connection comes in between; on the caller's
// goroutine if that worker is dead or was never there.
func (s *Server) stopAccepting(then func()) {
	if l := s.loops[0]; l != nil {
		err := on(l, func() error {
			for _, ln := range s.listeners {
				ln.close()
			}
			then()
			return nil
		})
		if err == nil {
			return
		}
	}
	then()
}

// drain begins to close the loop's connections, so many at each tick.
func (l *loop) drain() {
	slices := max(1, int(l.srv.cfg.DrainTime/tickInterval))
	l.drainBy = max(16, (len(l.open)+slices-1)/slices)
	for l.handshakes.head != nil {
		l.handshakes.head.conn.refuse(503)
	}
	l.drainSome()
}

// drainSome closes one slice.
func (l *loop) drainSome() {
	for range l.drainBy {
		if len(l.open) == 0 {
			return
		}
		c := l.open[len(l.open)-1]
		l.contain(c, func() { c.end(nil, ws.StatusGoingAway, "server going away") })
	}
}
