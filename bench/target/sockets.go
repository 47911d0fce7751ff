package target

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

// ErrNoTool is a measurement for which the machine lacks the program.
var ErrNoTool = errors.New("ss (iproute2) is not installed")

// Sockets is what the kernel holds for a server's TCP sockets.
type Sockets struct {
	Count   int
	Sum     int64 // bytes: received and not read, to be sent, and set aside
	Largest int64 // of one socket
}

// skmem is what ss prints of SO_MEMINFO: received, queued for sending, and
// allocated ahead. t, what is on its way, is a part of w.
var skmem = regexp.MustCompile(`skmem:\(r(\d+),rb\d+,t\d+,tb\d+,f(\d+),w(\d+),`)

// MeasureSockets asks the kernel for the memory of all sockets of a local port,
// those included whose process has closed them.
func MeasureSockets(ctx context.Context, port uint16) (s Sockets, err error) {
	ss, err := exec.LookPath("ss")
	if err != nil {
		return s, ErrNoTool
	}
	out, err := exec.CommandContext(ctx, ss, "-Htanmn", "exclude", "listening", "exclude", "time-wait",
		fmt.Sprintf("sport = :%d", port)).Output()
	if err != nil {
		return s, fmt.Errorf("ss: %w", err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		m := skmem.FindSubmatch(lines.Bytes())
		if m == nil {
			continue
		}
		var bytes int64
		for _, field := range m[1:] {
			n, _ := strconv.ParseInt(string(field), 10, 64)
			bytes += n
		}
		s.Count++
		s.Sum += bytes
		s.Largest = max(s.Largest, bytes)
	}
	return s, nil
}
