package target

import (
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"throng/bench/report"
)

// Environment describes the machine and this program, for reproduction.
func Environment() report.Environment {
	e := report.Environment{
		Time: time.Now().UTC().Format(time.RFC3339), Command: os.Args, Go: runtime.Version(),
		Kernel:     line("/proc/sys/kernel/osrelease"),
		PortRange:  strings.Join(strings.Fields(line("/proc/sys/net/ipv4/ip_local_port_range")), " "),
		Congestion: line("/proc/sys/net/ipv4/tcp_congestion_control"),
		Processors: runtime.NumCPU(), Processor: processor(),
	}
	if kilobytes, ok := Meminfo("MemTotal"); ok {
		e.MemoryB = kilobytes << 10
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		e.OpenFiles = limit.Max
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				e.Commit = setting.Value
			}
		}
	}
	return e
}

// line reads a file of one line.
func line(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// processor is the model's name.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for l := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
