package sim

import (
	"errors"
	"net"
	"slices"
	"syscall"
	"time"

	"throng/poller"
)

// Accept implements poller.Kernel.
func (k *Kernel) Accept(fd int) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, err := k.file(fd, listener)
	if err != nil {
		return -1, err
	}
	if len(f.backlog) == 0 {
		return -1, syscall.EAGAIN
	}
	r := f.backlog[0]
	if !r.Steady {
		if k.chance(k.config.Faults.Interrupt) {
			return -1, syscall.EINTR
		}
		if k.chance(k.config.Faults.Accept) {
			errs := []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED}
			err := errs[k.rng.IntN(len(errs))]
			if err == syscall.ECONNABORTED {
				f.backlog = f.backlog[1:]
				r.reset(syscall.ECONNRESET)
			}
			k.trace("accept: %v", err)
			return -1, err
		}
	}
	server := &file{kind: socket, remote: r}
	n, err := k.install(server)
	k.trace("accept: %d, %v", n, err)
	if err != nil {
		return -1, err
	}
	f.backlog = f.backlog[1:]
	r.file, r.heard = server, k.now
	return n, nil
}

// state is what the server's end is ready for. Under the lock.
func (r *Remote) state() (event poller.Event) {
	if r.dead {
		event = poller.Readable | poller.Writable | poller.PeerShut | poller.Hangup
		if r.err != 0 {
			event |= poller.Error
		}
		return event
	}
	if len(r.queue) > 0 || r.ended {
		event |= poller.Readable
	}
	if r.ended {
		event |= poller.PeerShut
		if r.eof {
			event |= poller.Hangup
		}
	}
	if r.writable() {
		event |= poller.Writable
	}
	return event
}

// writable says whether epoll would say so: a third of the buffer has to be free.
func (r *Remote) writable() bool {
	return !r.tight && 3*(r.buffer()-r.taken()) >= r.buffer()
}

func (r *Remote) buffer() int {
	if r.Buffer > 0 {
		return r.Buffer
	}
	return r.k.config.SendBufferBytes
}

// faults says whether r gets any.
func (r *Remote) faults() *Faults {
	if r.Steady {
		return &Faults{}
	}
	return &r.k.config.Faults
}

// Read implements poller.Kernel, for sockets and timers.
func (k *Kernel) Read(fd int, p []byte) (n int, err error) {
	defer k.meanwhile()
	k.mu.Lock()
	defer k.mu.Unlock()
	f, err := k.file(fd, socket, timer)
	switch {
	case err != nil:
		return -1, err
	case f.kind == timer:
		return k.readTimer(f, p)
	}
	n, err = f.remote.serverReads(p)
	k.trace("read %d: %d, %v", fd, n, err)
	return n, err
}

func (r *Remote) serverReads(p []byte) (int, error) {
	k := r.k
	switch {
	case r.err != 0:
		return r.fail()
	case len(r.queue) == 0 && (r.ended || r.dead):
		return 0, nil
	case len(r.queue) == 0:
		return -1, syscall.EAGAIN
	case k.chance(r.faults().Interrupt):
		return -1, syscall.EINTR
	}
	n := min(len(p), len(r.queue))
	if n = r.survives(n); n == 0 {
		r.reset(syscall.ECONNRESET)
		return r.fail()
	}
	if !r.ended {
		switch {
		case k.chance(r.faults().ReadAgain):
			r.retract(0)
			return -1, syscall.EAGAIN
		case k.chance(r.faults().ShortRead):
			n = 1 + k.rng.IntN(n)
			r.retract(n)
		}
	}
	copy(p, r.queue[:n])
	if r.queue = r.queue[n:]; len(r.queue) == 0 && r.flooded {
		r.dry()
	}
	r.heard = k.now
	r.spend(n)
	return n, nil
}

// retract puts what is behind the first n bytes back on its way.
func (r *Remote) retract(n int) {
	if n < len(r.queue) {
		r.wire = append(slices.Clone(r.queue[n:]), r.wire...)
		r.queue = r.queue[:n]
		r.fly()
	}
}

// survives is how many of n bytes go through before the reset that was drawn. That comes soon, also if nobody asks for it.
func (r *Remote) survives(n int) int {
	if r.unsettle < 0 || r.unsettle >= n || r.Steady || r.k.off {
		return n
	}
	r.rst = true
	r.fly()
	return r.unsettle
}

func (r *Remote) spend(n int) {
	if r.unsettle >= 0 {
		r.unsettle = max(0, r.unsettle-n)
	}
}

// fail answers the pending error, once.
func (r *Remote) fail() (int, error) {
	err := r.err
	r.err = 0
	return -1, err
}

// Write implements poller.Kernel.
func (k *Kernel) Write(fd int, p []byte) (n int, err error) {
	defer k.meanwhile()
	k.mu.Lock()
	defer k.mu.Unlock()
	f, err := k.file(fd, socket)
	if err != nil {
		return -1, err
	}
	n, err = f.remote.serverWrites(p)
	k.trace("write %d, %d bytes: %d, %v", fd, len(p), n, err)
	return n, err
}

func (r *Remote) serverWrites(p []byte) (int, error) {
	k := r.k
	free := r.buffer() - r.taken()
	switch {
	case r.err != 0:
		return r.fail()
	case r.dead || r.eof:
		return -1, syscall.EPIPE
	case k.chance(r.faults().Interrupt):
		return -1, syscall.EINTR
	case r.gone:
		r.rst = true // there is nobody any more, as the answer will say
		r.fly()
		return len(p), nil
	case r.tight || free <= 0:
		r.room = true
		r.stick()
		return -1, syscall.EAGAIN
	case k.chance(r.faults().WriteAgain):
		r.squeeze()
		r.stick()
		return -1, syscall.EAGAIN
	}
	n := min(len(p), free)
	if k.chance(r.faults().ShortWrite) && len(p) > 1 {
		n = min(n, 1+k.rng.IntN(len(p)-1))
		r.squeeze()
	}
	if n < len(p) {
		r.room = true
	}
	if n = r.survives(n); n == 0 {
		r.reset(syscall.ECONNRESET)
		return r.fail()
	}
	if r.taken() == 0 {
		r.since = k.now
	}
	r.input = append(r.input, p[:n]...)
	r.stuck, r.wrote = n < len(p), k.now
	r.spend(n)
	return n, nil
}

// stick notes that a write found no room, if the one before it found some.
func (r *Remote) stick() {
	if !r.stuck {
		r.stuck, r.wrote = true, r.k.now
	}
}

// squeeze takes the room away for a while.
func (r *Remote) squeeze() {
	r.tight, r.room = true, true
	r.fly()
}

// Shutdown implements poller.Kernel.
func (k *Kernel) Shutdown(fd int) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, err := k.file(fd, socket)
	if err != nil {
		return err
	}
	r := f.remote
	if r.dead || k.chance(r.faults().Shutdown) {
		return syscall.ENOTCONN
	}
	k.trace("shutdown %d", fd)
	r.eof = true
	if r.ended {
		f.notify(poller.Hangup)
	}
	return nil
}

// SetUserTimeout implements poller.Kernel.
func (k *Kernel) SetUserTimeout(fd int, d time.Duration) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, err := k.file(fd, socket)
	if err != nil {
		return err
	}
	if f.faulty() && k.chance(k.config.Faults.Option) {
		return syscall.EINVAL
	}
	f.remote.timeout = d
	return nil
}

// overdue says whether TCP_USER_TIMEOUT ends the connection.
func (r *Remote) overdue(now time.Duration) bool {
	return r.timeout > 0 && !r.dead && r.taken() > 0 && now-r.since > r.timeout
}

// errDetach is what every Detach answers: goroutines of net/http would not be deterministic.
var errDetach = errors.New("sim: no descriptor for net/http")

// Detach implements poller.Kernel. It always fails.
func (k *Kernel) Detach(fd int) (net.Conn, error) { return nil, errDetach }

// serverClosed is close(2) of the server's end. Under the lock.
func (r *Remote) serverClosed() {
	r.file = nil
	r.closed = r.k.now
	r.timeout = 0
	if len(r.queue)+len(r.wire) > 0 && !r.dead {
		// Unread input: a reset overtakes some of what was sent.
		r.input = r.input[:r.k.rng.IntN(len(r.input)+1)]
		r.dead = true
	}
	r.eof = true
}

// reset ends the connection, for both ends. Under the lock.
func (r *Remote) reset(err syscall.Errno) {
	r.k.trace("reset %d: %v", r.fd(), err)
	r.wire, r.queue = nil, nil
	r.input = r.input[:r.k.rng.IntN(len(r.input)+1)]
	r.dead, r.err, r.room, r.tight, r.rst = true, err, false, false, false
	if r.file != nil {
		r.file.notify(poller.Readable | poller.Error | poller.Hangup)
	}
}

// fd is the number of the server's end, -1 if it has none.
func (r *Remote) fd() int {
	if r.file == nil {
		return -1
	}
	return r.file.fd
}
