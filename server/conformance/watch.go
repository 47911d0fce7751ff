package conformance

import (
	"net"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"

	"throng/poller"
)

// Watched is a kernel that counts what the server has read, so that a client can
// send its next byte exactly then.
type Watched struct {
	poller.Kernel

	mu      sync.Mutex
	counts  map[int]*count            // by descriptor; nil: no TCP connection
	clients map[netip.AddrPort]*count // by the client's address
}

// count is what was read of one connection. Guarded by the mutex of Watched.
type count struct {
	kernel  *Watched
	client  netip.AddrPort
	changed sync.Cond
	bytes   int
	over    bool // the server has closed it, or patience has run out
}

// Watch makes one.
func Watch(k poller.Kernel) *Watched {
	return &Watched{Kernel: k, counts: make(map[int]*count), clients: make(map[netip.AddrPort]*count)}
}

// Read implements poller.Kernel.
func (w *Watched) Read(fd int, p []byte) (int, error) {
	n, err := w.Kernel.Read(fd, p)
	if n > 0 {
		w.mu.Lock()
		if c := w.of(fd); c != nil {
			c.bytes += n
			c.changed.Signal()
		}
		w.mu.Unlock()
	}
	return n, err
}

// Close implements poller.Kernel.
func (w *Watched) Close(fd int) error {
	w.forget(fd)
	return w.Kernel.Close(fd)
}

// Detach implements poller.Kernel.
func (w *Watched) Detach(fd int) (net.Conn, error) {
	w.forget(fd)
	return w.Kernel.Detach(fd)
}

// of is the count of a descriptor. Locked.
func (w *Watched) of(fd int) *count {
	c, known := w.counts[fd]
	if known {
		return c
	}
	if peer, err := unix.Getpeername(fd); err == nil {
		if in, ok := peer.(*unix.SockaddrInet4); ok {
			c = w.clients[netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port))]
		}
	}
	w.counts[fd] = c
	return c
}

// forget ends the count of a descriptor that is being closed.
func (w *Watched) forget(fd int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.of(fd); c != nil {
		c.over = true
		c.changed.Signal()
	}
	delete(w.counts, fd)
}

// watch begins to count for a client that has not sent anything. An older client
// may have had the same port.
func (w *Watched) watch(conn net.Conn) *count {
	c := &count{kernel: w}
	c.changed.L = &w.mu
	tcp, ok := conn.LocalAddr().(*net.TCPAddr)
	if !ok {
		return c // nobody waits for it
	}
	c.client = tcp.AddrPort()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clients[c.client] = c
	return c
}

// stop ends it: what waits, waits no longer.
func (c *count) stop() {
	c.kernel.mu.Lock()
	defer c.kernel.mu.Unlock()
	c.over = true
	c.changed.Signal()
	if c.kernel.clients[c.client] == c {
		delete(c.kernel.clients, c.client)
	}
}

// wait returns when the server has read that many bytes. false: it will not.
func (c *count) wait(bytes int) bool {
	c.kernel.mu.Lock()
	defer c.kernel.mu.Unlock()
	for c.bytes < bytes && !c.over {
		c.changed.Wait()
	}
	return c.bytes >= bytes
}
