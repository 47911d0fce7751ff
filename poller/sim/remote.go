package sim

import (
	"io"
	"syscall"
	"time"

	"throng/poller"
)

// Remote is the other end of one of the server's connections.
type Remote struct {
	// Steady spares the connection all faults.
	Steady bool
	// Buffer is what the server's direction holds, if it is not the kernel's default.
	Buffer int

	k    *Kernel
	file *file // the server's end; nil before accept and after close
	unix bool

	// To the server.
	wire  []byte // on its way
	queue []byte // can be read by the server
	fin   bool   // this end has shut down
	ended bool   // the server's end knows that

	// From the server.
	input []byte // can be read by this end
	eof   bool   // comes behind input
	room  bool   // the server waits for an edge: it has found no room
	tight bool   // there is no room, whatever input says

	// The end.
	gone     bool          // this end is closed: what comes is answered by a reset
	dead     bool          // was reset
	rst      bool          // a reset is on its way to the server
	err      syscall.Errno // what the server's next call answers
	unsettle int           // bytes until a reset that was drawn; -1: none

	overflows int  // so many times the server's end overflows when it is full
	flooded   bool // it has: until it is read to its end it takes nothing, not even what acknowledges
	unheard   int  // bytes that this end has read meanwhile: they still take room

	inFlight bool
	timeout  time.Duration // TCP_USER_TIMEOUT
	since    time.Duration // when input began to wait, or was last read

	// Of the server's end, which patience is about.
	stuck  bool          // its last write found too little room
	wrote  time.Duration // when it last wrote something, or began to be stuck
	heard  time.Duration // when it last read something
	closed time.Duration // when it was closed
}

// Patience is for how long the server had got nothing out although it had something, and for how long it had read
// nothing, when it closed its end.
func (r *Remote) Patience() (blocked, silent time.Duration) {
	r.k.mu.Lock()
	defer r.k.mu.Unlock()
	if r.stuck {
		blocked = r.closed - r.wrote
	}
	return blocked, r.closed - r.heard
}

// backlogMax is how many connections wait for accept.
const backlogMax = 4096

// Dial connects to an address that the server listens on; ECONNREFUSED if there is none.
func (k *Kernel) Dial(address string) (*Remote, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := k.listeners[address]
	if f == nil || len(f.backlog) >= backlogMax {
		return nil, syscall.ECONNREFUSED
	}
	r := &Remote{k: k, unix: f.unix, unsettle: -1}
	if k.chance(k.config.Faults.Reset) {
		r.unsettle = k.rng.IntN(8 << 10)
	}
	if !r.unix && k.chance(k.config.Faults.Overflow) {
		r.overflows = 1 + k.rng.IntN(2)
	}
	f.backlog = append(f.backlog, r)
	f.notify(poller.Readable)
	return r, nil
}

// Write sends to the server what there is room for, and says how much that was. It fails when the connection is over.
func (r *Remote) Write(p []byte) (int, error) {
	r.k.mu.Lock()
	defer r.k.mu.Unlock()
	if r.dead || r.fin || r.gone {
		return 0, syscall.EPIPE
	}
	if r.file == nil && r.eof {
		// The server's end is closed, and answers with a reset.
		r.dead = true
		return 0, syscall.ECONNRESET
	}
	n := min(len(p), r.k.config.ReceiveBufferBytes-len(r.wire)-len(r.queue))
	if n < len(p) && len(r.queue) > 0 && r.overflows > 0 && !r.flooded && !r.Steady && !r.k.off {
		r.k.trace("%d overflows", r.fd())
		r.overflows, r.flooded = r.overflows-1, true
	}
	if r.flooded {
		return 0, nil
	}
	if n > 0 {
		r.wire = append(r.wire, p[:n]...)
		r.fly()
	}
	return max(n, 0), nil
}

// Read takes what the server has sent. EAGAIN: nothing yet; io.EOF: nothing any more; ECONNRESET: the same, and some may
// be lost.
func (r *Remote) Read(p []byte) (int, error) {
	r.k.mu.Lock()
	defer r.k.mu.Unlock()
	n := copy(p, r.input)
	switch {
	case n > 0:
	case r.dead:
		return 0, syscall.ECONNRESET
	case r.eof:
		return 0, io.EOF
	default:
		return 0, syscall.EAGAIN
	}
	r.input = r.input[n:]
	r.k.trace("peer of %d reads %d, %d are left", r.fd(), n, len(r.input))
	if r.flooded {
		r.unheard += n
		return n, nil
	}
	r.since = r.k.now
	r.makeRoom()
	return n, nil
}

// dry has the server's end hear again what it did not while it was flooded. Under the lock.
func (r *Remote) dry() {
	r.k.trace("%d is read to its end", r.fd())
	r.flooded, r.unheard, r.since, r.tight = false, 0, r.k.now, true
	r.fly()
}

// taken is how much of the server's direction is in use.
func (r *Remote) taken() int { return len(r.input) + r.unheard }

// makeRoom gives the edge that follows a short write. Under the lock.
func (r *Remote) makeRoom() {
	if r.file != nil && r.writable() && (r.room || r.unix) {
		r.room = false
		r.file.notify(poller.Writable)
	}
}

// CloseWrite shuts down this end's side.
func (r *Remote) CloseWrite() {
	r.k.mu.Lock()
	defer r.k.mu.Unlock()
	if !r.fin && !r.dead {
		r.fin = true
		r.fly()
	}
}

// Close closes this end; with unread input that resets the connection.
func (r *Remote) Close() {
	r.k.mu.Lock()
	defer r.k.mu.Unlock()
	r.gone = true
	if r.dead {
		return
	}
	r.k.trace("peer of %d closes", r.fd())
	r.fin = true
	r.rst = r.rst || len(r.input) > 0
	r.input = nil
	r.fly()
}

// Reset ends the connection at once.
func (r *Remote) Reset() {
	r.k.mu.Lock()
	defer r.k.mu.Unlock()
	r.gone = true
	if !r.dead {
		r.rst = true
		r.fly()
	}
}

// Over says whether the connection was reset.
func (r *Remote) Over() bool {
	r.k.mu.Lock()
	defer r.k.mu.Unlock()
	return r.dead
}

// fly lists r among those with something on its way. Under the lock.
func (r *Remote) fly() {
	if !r.inFlight {
		r.inFlight = true
		r.k.flight = append(r.k.flight, r)
	}
}

// Deliver lets one thing arrive at the server, drawn among all that is on its way, and reports whether there was
// any: some bytes, an end, a reset, or room.
func (k *Kernel) Deliver() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.step++
	k.settle()
	if len(k.flight) == 0 {
		return false
	}
	i := k.rng.IntN(len(k.flight))
	r := k.flight[i]
	r.arrive()
	if !r.dead && (len(r.wire) > 0 || r.fin && !r.ended || r.rst || r.tight) {
		return true
	}
	r.inFlight = false
	last := len(k.flight) - 1
	k.flight[i] = k.flight[last]
	k.flight[last] = nil
	k.flight = k.flight[:last]
	return true
}

// arrive lets something of r arrive. Under the lock.
func (r *Remote) arrive() {
	k := r.k
	if r.dead {
		return
	}
	if r.tight && k.rng.IntN(2) == 0 {
		k.trace("room for %d", r.fd())
		r.tight = false
		r.makeRoom()
		return
	}
	switch {
	case r.file == nil && r.eof: // the server's end is closed
		if len(r.wire) > 0 {
			r.dead = true
		}
		r.wire, r.ended, r.rst, r.tight = nil, true, false, false
	case r.rst && (len(r.wire) == 0 || k.rng.IntN(2) == 0):
		r.reset(syscall.ECONNRESET)
	case len(r.wire) > 0:
		n := len(r.wire)
		if k.rng.IntN(4) == 0 {
			n = 1 + k.rng.IntN(n)
		}
		r.queue = append(r.queue, r.wire[:n]...)
		r.wire = r.wire[n:]
		k.trace("%d bytes for %d", n, r.fd())
		if r.file != nil {
			r.file.notify(poller.Readable)
		}
	case r.fin && !r.ended:
		r.ended = true
		k.trace("end for %d", r.fd())
		if r.file != nil {
			r.file.notify(poller.Readable | poller.PeerShut)
		}
	}
}
