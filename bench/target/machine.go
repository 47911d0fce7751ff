package target

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Waited is how long the calling thread was ready to run while others had the
// processor (the second number of schedstat).
func Waited() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/schedstat", syscall.Gettid()))
	if err != nil {
		return 0 // a kernel without CONFIG_SCHED_INFO
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	ns, _ := strconv.ParseInt(fields[1], 10, 64)
	return time.Duration(ns)
}

// KernelMemory is what the kernel has allocated for its own objects, sockets
// among them: the slab caches, of the whole machine.
func KernelMemory() int64 {
	kilobytes, _ := Meminfo("Slab")
	return kilobytes << 10
}

// Meminfo reads one line of /proc/meminfo, in kilobytes.
func Meminfo(name string) (kilobytes int64, ok bool) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, false
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if rest, found := strings.CutPrefix(lines.Text(), name+":"); found {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
