package target

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// ticksPerSecond is USER_HZ, the unit of processor times in /proc; it is 100 on
// every architecture that Go runs Linux on.
const ticksPerSecond = 100

// Usage is what a process and its descendants use.
type Usage struct {
	CPU     time.Duration // user and system, since they started
	RSS     int64         // bytes
	FDs     int
	Threads int
}

// Measure reads the usage of a process and its descendants, because a command
// that was spawned may be a wrapper around the server.
func Measure(pid int) (Usage, error) {
	var sum Usage
	for _, p := range family(pid) {
		u, err := measure(p)
		if err != nil {
			if p == pid {
				return Usage{}, err
			}
			continue // a child that has ended meanwhile
		}
		sum.CPU += u.CPU
		sum.RSS += u.RSS
		sum.FDs += u.FDs
		sum.Threads += u.Threads
	}
	return sum, nil
}

// family is a process and its descendants.
func family(pid int) []int {
	all := []int{pid}
	for _, child := range children(pid) {
		all = append(all, family(child)...)
	}
	return all
}

// children are the processes that a process has started.
func children(pid int) (all []int) {
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		for _, field := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				all = append(all, child)
			}
		}
	}
	return all
}

// measure reads the usage of one process.
func measure(pid int) (u Usage, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, fmt.Errorf("process %d: %w", pid, err)
	}
	// The second field is the program's name in parentheses, which may itself
	// contain spaces and parentheses: count the fields after the last one.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 22 {
		return u, fmt.Errorf("process %d: /proc/%d/stat is not understood", pid, pid)
	}
	number := func(field int) int64 { n, _ := strconv.ParseInt(fields[field-3], 10, 64); return n }
	u.CPU = time.Duration(number(14)+number(15)) * time.Second / ticksPerSecond
	u.Threads = int(number(20))
	u.RSS = number(24) * int64(os.Getpagesize())
	u.FDs = entries(fmt.Sprintf("/proc/%d/fd", pid))
	return u, nil
}

// entries counts a directory's entries. Since Linux 6.2 the size of
// /proc/PID/fd is that number, so that 20,000 names need not be read.
func entries(dir string) int {
	if info, err := os.Stat(dir); err == nil && info.Size() > 0 {
		return int(info.Size())
	}
	names, _ := os.ReadDir(dir)
	return len(names)
}
