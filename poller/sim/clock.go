package sim

import (
	"syscall"
	"time"

	"throng/poller"
)

// slowest is how long a slow look at the clock takes at most.
const slowest = 3 * time.Millisecond

// Now implements poller.Kernel.
func (k *Kernel) Now() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.chance(k.config.Faults.Slow) {
		k.advance(time.Duration(k.rng.Int64N(int64(slowest))))
	}
	return k.now
}

// Wall implements poller.Kernel.
func (k *Kernel) Wall() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.wall
}

// StepWall sets the time of day forward or back; the clock of Now goes on as it does.
func (k *Kernel) StepWall(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wall = k.wall.Add(d)
}

// Advance lets time pass. No callback runs meanwhile: a large d is a process that was stopped.
func (k *Kernel) Advance(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.settle()
	k.trace("time +%v", d)
	k.advance(d)
}

// advance is Advance. Under the lock.
func (k *Kernel) advance(d time.Duration) {
	k.now += d
	k.wall = k.wall.Add(d)
	for _, f := range k.files {
		switch {
		case f == nil:
		case f.kind == timer && f.armed && !f.expired && f.due <= k.now:
			f.expired = true
			f.notify(poller.Readable)
		case f.kind == socket && f.remote.overdue(k.now):
			f.remote.reset(syscall.ETIMEDOUT)
		}
	}
}

// NewTimer implements poller.Kernel.
func (k *Kernel) NewTimer() (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.install(&file{kind: timer})
}

// SetTimer implements poller.Kernel.
func (k *Kernel) SetTimer(fd int, first, interval time.Duration) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, err := k.file(fd, timer)
	if err != nil {
		return err
	}
	f.armed, f.expired, f.due, f.interval = first > 0, false, k.now+first, interval
	return nil
}

// readTimer is read(2) of a timerfd, whose next interval begins now. Under the lock.
func (k *Kernel) readTimer(f *file, p []byte) (int, error) {
	switch {
	case len(p) < 8:
		return -1, syscall.EINVAL
	case !f.expired:
		return -1, syscall.EAGAIN
	}
	f.expired, f.armed = false, f.interval > 0
	for f.armed && f.due <= k.now {
		f.due += f.interval
	}
	clear(p[:8])
	p[0] = 1 // nobody looks at how often it expired
	return 8, nil
}
