// Package floor measures what the machine itself allows, without any server: the
// price of one write(2) to one of many loopback sockets, the round trip of a bare
// epoll echo, and the kernel memory of an idle connection. What a server does
// is best read as a multiple of these.
//
// The writer is a thread of this process, alone on a core; the reader is a
// process of its own on another one (this program once more), as the members of a
// room are to a server. Both make raw system calls and nothing else:
//
//	writer, core a                          reader, core b
//	send to each socket in turn  ──TCP──►   epoll_wait, read whatever is there
//	wait for the end of the round ◄─pipe─   all bytes of the round are here
package floor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"throng/bench/report"
	"throng/bench/target"
)

// Config says how long to measure, and with how much.
type Config struct {
	Conns    int           // sockets that are written to in turn
	Bytes    int           // of one write
	Duration time.Duration // of each of the two measurements
	Server   int           // a process on whose processors to write and to answer the echo; 0 for any
}

// Measure measures all three, until ctx is done.
func Measure(ctx context.Context, c Config) (f report.Floor, err error) {
	f = report.Floor{Conns: c.Conns, Bytes: c.Bytes}
	writer, reader, err := cores(c.Server)
	if err != nil {
		return f, err
	}
	before := target.KernelMemory()
	p, err := connect(ctx, c, reader)
	if err != nil {
		return f, because(ctx, err)
	}
	f.KernelPerConn = float64(target.KernelMemory()-before) / float64(c.Conns)
	rounds, err := p.writes(c, writer)
	p.close()
	if err != nil {
		return f, because(ctx, err)
	}
	f.WriteLowNs, f.WriteNs, f.WriteHighNs = quartiles(rounds, func(r round) float64 { return r.processor })
	_, f.WriteWallNs, _ = quartiles(rounds, func(r round) float64 { return r.wall })
	f.EchoP50Ns, f.EchoP99Ns, err = echo(ctx, c)
	return f, because(ctx, err)
}

// because puts the reason for which ctx is done in the place of what followed
// from it.
func because(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// cores chooses where to write, which is where the server runs, and where to
// read, which is elsewhere if there is another core.
func cores(server int) (writer, reader int, err error) {
	own, err := target.Cores()
	if err != nil {
		return 0, 0, err
	}
	writing := own
	if server != 0 {
		var set unix.CPUSet
		if err := unix.SchedGetaffinity(server, &set); err != nil {
			return 0, 0, fmt.Errorf("the server's processors: %w", err)
		}
		writing = target.CoresOf(&set)
	}
	writer, reader = writing[0], own[len(own)-1]
	if i := slices.IndexFunc(own, func(core int) bool { return core != writer }); reader == writer && i >= 0 {
		reader = own[i]
	}
	return writer, reader, nil
}

// quartiles are the value that a quarter of the rounds is below, the median, and
// the one that a quarter is above.
func quartiles(rounds []round, value func(round) float64) (low, median, high float64) {
	var values []float64
	for _, r := range rounds {
		values = append(values, value(r))
	}
	slices.Sort(values)
	n := len(values)
	return values[n/4], values[n/2], values[n-1-n/4]
}
