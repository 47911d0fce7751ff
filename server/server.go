// Package server holds WebSocket connections on a few workers and turns what
// arrives into events.
//
// Its one idea: a connection is a descriptor and a 64-byte struct, [Conn],
// owned by one worker. It has no goroutine, no timer and no buffer while it is
// idle, not even while its handshake is incomplete or its peer is stalled.
//
//	accept (worker 0) --> handshaking --> open --> closing --> closed
//	                          |             |
//	                          |             +--> Handler: Message, Writable, Close
//	                          +--> net/http, for what is no WebSocket upgrade
//
// A program gives [New] a [Handler], as a tutorial's server is given four
// callbacks: open, message, close, error. The methods of a Handler, and those
// of a Conn but for Post and Resume, run on the connection's worker: no locks
// are needed for what belongs to one connection, and nothing there may block.
//
// Each worker has a loop: its connections, one read buffer, one write buffer,
// and the lists of those that a deadline waits for. All limits stand in [Config].
package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"throng/frame"
	"throng/poller"
)

// Server is a running server. Its methods may be called from any goroutine.
type Server struct {
	cfg       Config
	handler   Handler
	turner    Turner // handler, if it is one; else nil
	log       *slog.Logger
	kernel    poller.Kernel
	pool      *poller.Pool
	loops     []*loop
	listeners []*listener // owned by worker 0 once New has returned, then unchanged
	limits    frame.Limits
	deflating frame.Limits   // of connections with permessage-deflate
	pages     *pages         // plain HTTP
	refusals  map[int][]byte // whole answers by status

	messages  rate // of one connection
	upgrades  rate // of strangers, all together
	upgraded  sharedBucket
	addresses addresses
	memory    memory

	conns    atomic.Int64 // descriptors of connections: accepted less closed
	crowded  atomic.Bool  // a listener waits for a connection to go
	public   atomic.Bool  // other machines can connect, perhaps through a proxy
	draining atomic.Bool
	fatal    chan error
	dead     chan struct{} // closed when a worker has failed
	died     sync.Once
	settle   settle        // owned by worker 0
	warned   atomic.Int64  // kernel time of the last warning of noRoom, ns
	empty    chan struct{} // closed when draining and the last connection is gone
	emptied  sync.Once
	closed   sync.Once
	counts   counts
}

// New starts the workers and listens on cfg.Listen. plain serves the requests
// that are no WebSocket upgrade; nil answers them 426. The error says which
// address or limit was at fault.
func New(cfg Config, h Handler, plain http.Handler) (*Server, error) {
	cfg = cfg.withDefaults()
	if cfg.Compression < CompressionOff || cfg.Compression > 9 {
		return nil, fmt.Errorf("compression level %d: it is 1, the fastest, to 9, or %d for none", cfg.Compression, CompressionOff)
	}
	s := &Server{
		cfg: cfg, handler: h, log: cfg.Log, kernel: cfg.Kernel,
		limits:   frame.Limits{Frame: cfg.MaxMessageBytes, Message: cfg.MaxMessageBytes, Fragments: cfg.MaxFragments, Begin: beginBudget},
		refusals: refusals(cfg),
		messages: newRate(cfg.MessageRate, cfg.MessageBurst),
		upgrades: newRate(cfg.UpgradeRate, cfg.UpgradeBurst),
		fatal:    make(chan error, cfg.Workers),
		dead:     make(chan struct{}),
		empty:    make(chan struct{}),
	}
	s.deflating = s.limits
	s.deflating.Deflate = true
	s.addresses.max = cfg.MaxPerAddress
	s.memory.limit, s.memory.near = cfg.MaxHeldBytes, cfg.MaxHeldBytes-cfg.MaxHeldBytes/10
	s.memory.keeper, _ = h.(Keeper)
	s.turner, _ = h.(Turner)
	s.warned.Store(-int64(time.Minute))
	s.loops = make([]*loop, cfg.Workers)
	var err error
	s.pool, err = poller.New(poller.Config{
		Kernel:  cfg.Kernel,
		Workers: cfg.Workers,
		Hook:    func(w *poller.Worker) bool { return s.turn(w) },
		Fatal: func(err error) {
			s.fatal <- err
			s.died.Do(func() { close(s.dead) })
		},
	})
	if err != nil {
		return nil, err
	}
	s.pages = newPages(s, plain)
	for i, w := range s.pool.Workers() {
		s.loops[i] = newLoop(s, w)
	}
	if s.turner != nil {
		s.turner.Start(s)
	}
	for _, l := range s.loops {
		if err := l.start(); err != nil {
			s.Close()
			return nil, err
		}
	}
	for _, address := range cfg.Listen {
		if err := s.listen(address); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// turn is the pool's hook: one bounded turn of the worker's loop.
func (s *Server) turn(w *poller.Worker) bool {
	l := s.loops[w.ID()]
	return l != nil && l.turn()
}

// listen opens one address: host:port, :port for IPv4 and IPv6, or unix:PATH.
func (s *Server) listen(address string) error {
	network, where := "tcp", address
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, where = "unix", path
	}
	fd, bound, err := s.kernel.Listen(network, where, poller.SocketOptions{
		SendBufferBytes: s.cfg.SendBufferBytes, ReceiveBufferBytes: s.cfg.ReceiveBufferBytes,
	})
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", address, err)
	}
	if tcp, ok := bound.(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		s.public.Store(true) // a unix socket is for a proxy
	}
	ln := newListener(s, fd, bound)
	if err := on(s.loops[0], ln.start); err != nil {
		_ = on(s.loops[0], func() error { ln.close(); return nil })
		return fmt.Errorf("cannot listen on %s: %w", address, err)
	}
	return nil
}

// errDead is the answer of a worker that will never run again.
var errDead = errors.New("a worker has failed")

// on runs f on the loop's worker and waits for it, but not once a worker has
// failed: the process is about to end then.
func on(l *loop, f func() error) error {
	done := make(chan error, 1)
	l.worker.Post(func() { done <- f() })
	select {
	case err := <-done:
		return err
	case <-l.srv.dead:
		return errDead
	}
}

// Addrs are the addresses that the server listens on.
func (s *Server) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(s.listeners))
	for i, ln := range s.listeners {
		addrs[i] = ln.bound
	}
	return addrs
}

// Workers are the event loops, for a Turner that has to wake them.
func (s *Server) Workers() []*poller.Worker { return s.pool.Workers() }

// Conns is the number of connections, in whatever state.
func (s *Server) Conns() int { return int(s.conns.Load()) }

// MaxConns is the number of connections that are served at a time.
func (s *Server) MaxConns() int { return s.cfg.MaxConns }

// Draining reports whether the server is shutting down.
func (s *Server) Draining() bool { return s.draining.Load() }

// Fatal delivers an error after which a worker cannot go on. The process
// should end.
func (s *Server) Fatal() <-chan error { return s.fatal }

// ErrDeadline is Shutdown's answer when connections were left at its deadline.
var ErrDeadline = errors.New("the drain's deadline has passed")
