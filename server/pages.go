package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// pageTimeout is for each step of a plain HTTP exchange.
const pageTimeout = 5 * time.Second

// pages serves plain HTTP requests with net/http, which has a goroutine for
// each: they are few, short and bounded. It is a net.Listener whose connections
// come from the event loops, the bytes that were read already included.
type pages struct {
	srv    *Server
	http   *http.Server
	conns  chan net.Conn
	active atomic.Int64
	done   chan struct{}
	once   sync.Once
}

func newPages(s *Server, h http.Handler) *pages {
	if h == nil {
		h = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Sec-WebSocket-Version", "13")
			http.Error(w, refusalTexts[426], http.StatusUpgradeRequired)
		})
	}
	p := &pages{srv: s, conns: make(chan net.Conn, s.cfg.MaxPlain), done: make(chan struct{})}
	p.http = &http.Server{
		Handler:           h,
		ReadHeaderTimeout: pageTimeout, ReadTimeout: pageTimeout, WriteTimeout: pageTimeout, IdleTimeout: pageTimeout,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	p.http.SetKeepAlivesEnabled(false) // answers with Connection: close
	go p.http.Serve(p)
	return p
}

// admit reports whether one more request fits, and counts it in.
func (p *pages) admit() bool {
	if p.active.Add(1) > int64(p.srv.cfg.MaxPlain) {
		p.active.Add(-1)
		return false
	}
	return true
}

// serve takes over a connection that admit has counted in. It never blocks.
func (p *pages) serve(c net.Conn, read []byte, from place) {
	p.conns <- &pageConn{Conn: c, pages: p, read: read, from: from}
}

// Accept implements net.Listener.
func (p *pages) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pages) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

// Addr implements net.Listener.
func (p *pages) Addr() net.Addr { return &net.TCPAddr{} }

// shutdown lets the requests that run finish.
func (p *pages) shutdown(ctx context.Context) {
	if err := p.http.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		p.srv.log.Warn("cannot shut down plain HTTP", "error", err)
	}
}

// close cuts them, and those that were never accepted.
func (p *pages) close() {
	p.http.Close()
	for {
		select {
		case c := <-p.conns:
			c.Close()
		default:
			return
		}
	}
}

// pageConn is a connection whose first bytes were read by the event loop.
type pageConn struct {
	net.Conn
	pages  *pages
	read   []byte
	from   place
	closed sync.Once
}

// Read gives what was read already, then reads on.
func (c *pageConn) Read(p []byte) (int, error) {
	if len(c.read) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.read)
	c.read = c.read[n:]
	return n, nil
}

// Close counts the request out.
func (c *pageConn) Close() error {
	c.closed.Do(func() {
		c.pages.active.Add(-1)
		c.pages.srv.gone(c.from)
	})
	return c.Conn.Close()
}

// CloseWrite lets net/http wait for the peer's end before it closes, so that no
// reset destroys the answer.
func (c *pageConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}
