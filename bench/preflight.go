package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"throng/bench/load"
	"throng/bench/report"
	"throng/bench/target"
)

// spareFiles are the descriptors of a client process that are no connections.
const spareFiles = 32

// Kernel memory that an idle connection takes at both ends, and what this
// process takes for it, generously.
const bytesPerConn = 2*2400 + 300

// preflight names every limit that a run would meet, with its remedy.
func preflight(c *load.Config) error {
	var problems []error
	conns := c.Conns + c.Visitors
	perProcess := (conns+c.Processes-1)/c.Processes + spareFiles
	soft, hard := raiseFiles(uint64(perProcess))
	if uint64(perProcess) > soft {
		processes := (conns + int(hard) - spareFiles - 1) / max(int(hard)-spareFiles, 1)
		problems = append(problems, fmt.Errorf("%d connections in a process need %d open files, of which it may have %d: "+
			"use --procs %d, or raise the limit with `ulimit -n %d`", perProcess-spareFiles, perProcess, hard, processes, perProcess))
	}
	if ports := portsPerAddress(); conns > ports && !c.Sources {
		problems = append(problems, fmt.Errorf("%d connections to %s need as many local ports, of which there are %d: "+
			"widen the range with `sysctl net.ipv4.ip_local_port_range=\"1024 65535\"`, or use a 127.x.y.z server, to which "+
			"many source addresses lead", conns, c.Server, ports))
	}
	if free, ok := target.Meminfo("MemAvailable"); ok && int64(conns)*bytesPerConn > free<<10 {
		problems = append(problems, fmt.Errorf("%d connections need about %s of memory here and in the kernel, of which %s are free: "+
			"use fewer --conns", conns, report.Bytes(float64(conns)*bytesPerConn), report.Bytes(float64(free<<10))))
	}
	return errors.Join(problems...)
}

// raiseFiles raises the limit on open files, if it must and may.
func raiseFiles(need uint64) (soft, hard uint64) {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return need, need // unknown: let the run find out
	}
	if limit.Cur < need && limit.Cur < limit.Max {
		limit.Cur = limit.Max
		// If this fails the limit stays as it was, which is then reported.
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
		_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	}
	return limit.Cur, limit.Max
}

// portsPerAddress is how many connections to one server a source address allows.
func portsPerAddress() int {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	low, high := 32768, 60999 // the kernel's default
	if err == nil {
		fmt.Sscan(strings.TrimSpace(string(text)), &low, &high)
	}
	return high - low + 1
}
