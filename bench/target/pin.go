package target

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Cores lists the cores that this process may run on.
func Cores() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("sched_getaffinity: %w", err)
	}
	return CoresOf(&set), nil
}

// CoresOf lists the cores of a set.
func CoresOf(set *unix.CPUSet) (cores []int) {
	for core := range len(set) * strconv.IntSize {
		if set.IsSet(core) {
			cores = append(cores, core)
		}
	}
	return cores
}

// PinSelf confines this process to one core, for good: the threads that it has,
// and those to come, which inherit it.
func PinSelf(core int) error {
	// A thread that is being started while the first pass goes over them may
	// inherit from one that the pass has not reached; the second one finds it.
	for range 2 {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("pin to core %d: %w", core, err)
		}
		for _, thread := range threads {
			id, err := strconv.Atoi(thread.Name())
			if err == nil {
				err = pin(id, core)
			}
			if err != nil && !errors.Is(err, unix.ESRCH) { // it has ended meanwhile
				return err
			}
		}
	}
	runtime.GOMAXPROCS(1)
	return nil
}

// OnCore calls f on one core. A process that f starts stays on it.
func OnCore(core int, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("sched_getaffinity: %w", err)
	}
	if err := pin(0, core); err != nil {
		return err
	}
	err := f()
	if back := unix.SchedSetaffinity(0, &before); back != nil {
		err = errors.Join(err, fmt.Errorf("sched_setaffinity: %w", back))
	}
	return err
}

// InFront calls f with the least of the priorities that go before all ordinary
// ones; its threads take turns there. A process that f starts keeps it: what it measures does not depend on
// who else wants its core, as long as it leaves enough of it. It reports whether
// the kernel allows that, which takes CAP_SYS_NICE.
func InFront(f func() error) (allowed bool, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return false, f()
	}
	first := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}
	allowed = unix.SchedSetAttr(0, &first, 0) == nil
	err = f()
	if allowed {
		if back := unix.SchedSetAttr(0, before, 0); back != nil {
			err = errors.Join(err, fmt.Errorf("sched_setattr: %w", back))
		}
	}
	return allowed, err
}

// pin confines a thread, 0 being the calling one.
func pin(thread, core int) error {
	var set unix.CPUSet
	set.Set(core)
	if err := unix.SchedSetaffinity(thread, &set); err != nil {
		return fmt.Errorf("pin to core %d: %w", core, err)
	}
	return nil
}

// WaitedOf is how long the threads of a process were ready to run while others
// had the processor.
func WaitedOf(pid int) (sum time.Duration) {
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, thread := range threads {
		sum += waited(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, thread.Name()))
	}
	return sum
}

// waited reads the second number of a schedstat.
func waited(file string) time.Duration {
	fields := strings.Fields(line(file))
	if len(fields) < 2 {
		return 0 // a kernel without CONFIG_SCHED_INFO
	}
	ns, _ := strconv.ParseInt(fields[1], 10, 64)
	return time.Duration(ns)
}
