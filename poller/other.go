//go:build !linux

package poller

import (
	"errors"
	"runtime"
)

// Event is a set of the bits that epoll reports.
type Event uint32

// System refuses: the event loop stands on Linux's epoll.
func System() (Kernel, error) {
	return nil, errors.New("throng runs on Linux only, since its event loop stands on epoll; this is " + runtime.GOOS)
}
