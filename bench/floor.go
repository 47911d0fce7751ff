package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"throng/bench/floor"
	"throng/bench/report"
)

// floorTime is how long each of the two measurements of the floor takes when it
// goes before a run.
const floorTime = time.Second

type floorCommand struct {
	Conns    count         `help:"Sockets that are written to in turn." default:"2000" short:"n"`
	Bytes    count         `help:"Bytes of one write." default:"74"`
	Duration time.Duration `help:"How long to measure each." default:"3s" short:"d"`
}

// Help shows an example.
func (*floorCommand) Help() string { return "bench floor --conns 10k" }

func (c *floorCommand) Run(ctx context.Context) error {
	if c.Conns < 1 || c.Bytes < 1 || c.Bytes > 16<<10 {
		return errors.New("--conns must be at least 1, --bytes between 1 and 16k")
	}
	need := int(c.Conns) + spareFiles
	if soft, hard := raiseFiles(uint64(need)); uint64(need) > soft {
		return fmt.Errorf("%d connections need %d open files at either end, of which there may be %d: use fewer --conns", c.Conns, need, hard)
	}
	f, err := floor.Measure(ctx, floor.Config{Conns: int(c.Conns), Bytes: int(c.Bytes), Duration: c.Duration})
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "write(2) of %d B to one of %s sockets\t%s of processor time\thalf of the rounds: %s to %s\n", f.Bytes,
		report.Number(float64(f.Conns)), report.Duration(int64(f.WriteNs)), report.Duration(int64(f.WriteLowNs)), report.Duration(int64(f.WriteHighNs)))
	fmt.Fprintf(t, "from one write to the next\t%s\t%s a second\n", report.Duration(int64(f.WriteWallNs)), report.Number(1e9/f.WriteWallNs))
	fmt.Fprintf(t, "round trip of a bare epoll echo\tp50 %s\tp99 %s\n", report.Duration(f.EchoP50Ns), report.Duration(f.EchoP99Ns))
	fmt.Fprintf(t, "kernel memory of an idle connection\t%s\tboth ends\n", report.Bytes(f.KernelPerConn))
	return t.Flush()
}

// floorOf measures the floor for a run against a server, which is idle yet.
func floorOf(ctx context.Context, conns, size, server int) (*report.Floor, error) {
	const overhead = 10 // of a frame and a nickname, about
	f, err := floor.Measure(ctx, floor.Config{Conns: min(conns, idleLimit()), Bytes: size + overhead, Duration: floorTime, Server: server})
	return &f, err
}
