// Package clock gives all processes of a run one monotonic time, in nanoseconds.
//
// Go's own monotonic reading starts anew in each process. Here it is tied once,
// at start, to CLOCK_MONOTONIC, which the whole machine shares, so that one
// client process can judge the send time that another wrote into a message.
// Reading it costs no system call.
package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

var (
	start  = time.Now()
	offset = sinceBoot()
)

// sinceBoot reads CLOCK_MONOTONIC.
func sinceBoot() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic("clock: CLOCK_MONOTONIC cannot be read: " + err.Error())
	}
	return t.Nano()
}

// Now is the machine's monotonic time in nanoseconds.
func Now() int64 { return offset + int64(time.Since(start)) }
