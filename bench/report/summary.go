package report

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"text/tabwriter"
	"time"
)

// Summary prints a result for people.
func Summary(w io.Writer, r *Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := r.Scenario
	if r.Label != "" {
		head += " · " + r.Label
	}
	fmt.Fprintf(t, "\n%s\n", head)
	if r.CutShort != "" {
		fmt.Fprintf(t, "  CUT SHORT\t%s\n", r.CutShort)
	}
	summarizeConnect(t, r)
	summarizeDelivery(t, r)
	summarizeActs(t, r)
	summarizeLatency(t, &r.Latency)
	summarizeProof(t, &r.Proof)
	summarizeProcesses(t, r)
	summarizeFloor(t, r)
	for _, warning := range r.Warnings {
		fmt.Fprintf(t, "  warning\t%s\n", warning)
	}
	for _, failure := range r.Failures {
		fmt.Fprintf(t, "  FAILED\t%s\n", failure)
	}
	return t.Flush()
}

func summarizeConnect(t io.Writer, r *Result) {
	c := &r.Connect
	fmt.Fprintf(t, "  connections\t%s open, %s failed, in %.2f s\t%s a second\thandshake p50 %s  p99 %s  max %s\n",
		Number(float64(c.Opened)), Number(float64(c.Failed)), c.DurationS, Number(c.Rate),
		Duration(c.Handshake.P50), Duration(c.Handshake.P99), Duration(c.Handshake.Max))
	for _, e := range c.Errors {
		fmt.Fprintf(t, "    failed\t%d × %s\n", e.Count, e.Error)
	}
}

func summarizeDelivery(t io.Writer, r *Result) {
	d := &r.Delivery
	if d.Sent+d.NotSent == 0 {
		return
	}
	fmt.Fprintf(t, "  sent\t%s messages of %d B in %.2f s\t%s a second\n", Number(float64(d.Sent)), r.Plan.Size, d.Seconds, Number(d.SendRate))
	fmt.Fprintf(t, "  deliveries\t%s\t%s a second\n", Number(float64(d.Received)), Number(d.Rate))
	if d.Received > 0 && d.Payload > 0 {
		fmt.Fprintf(t, "  received\t%s on the wire, %s a delivery\t%s of payload, %s a delivery\n", Bytes(float64(d.BytesIn)),
			Bytes(float64(d.BytesIn)/float64(d.Received)), Bytes(float64(d.Payload)), Bytes(float64(d.Payload)/float64(d.Received)))
	}
	if d.LateSends > 0 {
		fmt.Fprintf(t, "  late sends\t%d, the latest by %s\n", d.LateSends, Duration(d.LatestSend))
	}
	if d.NotSent > 0 {
		fmt.Fprintf(t, "  not sent\t%s that were due, the oldest for %s\n", Number(float64(d.NotSent)), Duration(d.OldestUnsent))
	}
}

// summarizeActs prints what only some scenarios have.
func summarizeActs(t io.Writer, r *Result) {
	if c := r.Churn; c != nil {
		fmt.Fprintf(t, "  visits\t%s\t%s a second\t%s held back\n", Number(float64(c.Visits)), Number(c.Rate), Number(float64(c.HeldBack)))
	}
	if s := r.Storm; s != nil {
		fmt.Fprintf(t, "  storms\t%d\tall back after %s, at worst %s\t%d unfinished\n", s.Rounds, Duration(s.Recovery.P50), Duration(s.Recovery.Max), s.Unfinished)
		if s.Resumed+s.Anew > 0 {
			fmt.Fprintf(t, "    resumed\t%s times without a loss, %s times with one that was announced\n", Number(float64(s.Resumed)), Number(float64(s.Anew)))
		}
	}
	if s := r.Slow; s != nil {
		fmt.Fprintf(t, "  slow members\t%d, of which the server closed %d\n", s.Members, s.Closed)
	}
	if r.Limit != "" {
		fmt.Fprintf(t, "  first limit\t%s\n", r.Limit)
	}
}

func summarizeLatency(t io.Writer, l *Latency) {
	if l.Corrected.Count == 0 {
		return
	}
	fmt.Fprintf(t, "  latency\tp50\tp90\tp99\tp99.9\tmax\n")
	for _, row := range []struct {
		name string
		p    *Percentiles
	}{
		{"corrected", &l.Corrected}, {"raw", &l.Raw}, {"first receiver", &l.First}, {"median receiver", &l.Median},
		{"99th of 100", &l.P99}, {"last receiver", &l.Last}, {"first to last", &l.Spread},
	} {
		if row.p.Count > 0 {
			fmt.Fprintf(t, "    %s\t%s\t%s\t%s\t%s\t%s\n", row.name, Duration(row.p.P50), Duration(row.p.P90),
				Duration(row.p.P99), Duration(row.p.P999), Duration(row.p.Max))
		}
	}
	if l.Incomplete > 0 {
		fmt.Fprintf(t, "    incomplete\t%s broadcasts did not reach every member; the receivers are those of %s that did\n",
			Number(float64(l.Incomplete)), Number(float64(l.Last.Count)))
	}
}

func summarizeProof(t io.Writer, p *Proof) {
	if p.Sent == 0 {
		return
	}
	fmt.Fprintf(t, "  proof\t%s sent, %s due, %s received\n", Number(float64(p.Sent)), Number(float64(p.Expected)), Number(float64(p.Received)))
	fmt.Fprintf(t, "    \tmissing %d, duplicated %d, reordered %d, diverged %d, corrupted %d, misdelivered %d, announced gaps %d, invented %d, unlinked %d, closed %d\n",
		p.Missing, p.Duplicated, p.Reordered, p.Diverged, p.Corrupted, p.Misdelivered, p.Announced, p.Invented, p.Unlinked, p.Closed)
	const most = 5
	for i, f := range p.Findings {
		if i == most {
			fmt.Fprintf(t, "    \t… and %d more by name in the JSON report\n", len(p.Findings)-most)
			break
		}
		fmt.Fprintf(t, "    \t%s\n", f)
	}
	for _, kind := range slices.Sorted(maps.Keys(p.Traffic)) {
		fmt.Fprintf(t, "    beside it\t%s × %s, %s\n", Number(float64(p.Traffic[kind].Count)), kind, Bytes(float64(p.Traffic[kind].Bytes)))
	}
	for _, e := range p.Refused {
		fmt.Fprintf(t, "    told\t%d × %s\n", e.Count, e.Error)
	}
	for _, c := range p.CloseReasons {
		fmt.Fprintf(t, "    closed\t%d × %s\n", c.Count, c.Error)
	}
}

func summarizeProcesses(t io.Writer, r *Result) {
	if s := r.Server; s != nil {
		line := fmt.Sprintf("  server\t%.2f s of processor time (%.0f %%)", s.CPUS, 100*s.CPUShare)
		if s.CPUPerDelivery > 0 {
			line += fmt.Sprintf("\t%s per delivery", Duration(int64(s.CPUPerDelivery)))
		}
		fmt.Fprintln(t, line)
		fmt.Fprintf(t, "    \t%s per handshake\t%s of memory, at most %s\t%s per connection\n", Duration(int64(s.CPUPerConnect)),
			Bytes(float64(s.RSSOpened)), Bytes(float64(s.RSSPeak)), Bytes(s.RSSPerConn))
		line = fmt.Sprintf("    \tat most %d descriptors, %d threads", s.FDsPeak, s.ThreadsPeak)
		if s.GoroutinesPeak > 0 {
			line += fmt.Sprintf(", %d goroutines", s.GoroutinesPeak)
		}
		if s.HeapPeak > 0 {
			line += fmt.Sprintf(", %s of heap", Bytes(float64(s.HeapPeak)))
		}
		if s.KernelPerConn > 0 {
			line += fmt.Sprintf("\tkernel: %s per connection, both ends", Bytes(s.KernelPerConn))
		}
		fmt.Fprintln(t, line)
		if s.Slopes != nil {
			fmt.Fprintf(t, "    grows\t%s of memory, %s descriptors, %s goroutines an hour\n", Bytes(s.Slopes.RSSBytes),
				Number(s.Slopes.FDs), Number(s.Slopes.Goroutines))
		}
	}
	l := &r.Load
	fmt.Fprintf(t, "  load\t%.2f s of processor time (%.0f %%)\t%s per connection\n", l.CPUS, 100*l.CPUShare, Bytes(l.BytesPerConn))
}

// summarizeFloor prints the run as multiples of what the machine allows.
func summarizeFloor(t io.Writer, r *Result) {
	f := r.Floor
	if f == nil {
		return
	}
	fmt.Fprintf(t, "  floor\ta write(2) costs %s (%s to %s) and takes %s, a bare echo %s, an idle connection %s of the kernel's memory\n",
		Duration(int64(f.WriteNs)), Duration(int64(f.WriteLowNs)), Duration(int64(f.WriteHighNs)), Duration(int64(f.WriteWallNs)),
		Duration(f.EchoP50Ns), Bytes(f.KernelPerConn))
	members := float64(r.Plan.Conns) / float64(max(r.Plan.Rooms, 1))
	if members > 1 && r.Delivery.Received > 0 {
		// One write may carry several messages: that is how a server gets below it.
		if s := r.Server; s != nil && s.CPUPerDelivery > 0 {
			fmt.Fprintf(t, "    \ta delivery costs the server %.3f × a write(2)\n", s.CPUPerDelivery/f.WriteNs)
		}
		fmt.Fprintf(t, "    \tdeliveries come at %.2f × the rate of bare writes\n", r.Delivery.Rate*f.WriteWallNs/1e9)
	}
	switch {
	case members > 1 && r.Latency.Last.Count > 0:
		fmt.Fprintf(t, "    \tthe last receiver had a message after %.2f × the time of %.0f writes\n",
			float64(r.Latency.Last.P50)/(members*f.WriteWallNs), members)
	case members <= 1 && r.Latency.Corrected.Count > 0:
		fmt.Fprintf(t, "    \tthe median round trip is %.2f × the bare echo's\n", float64(r.Latency.Corrected.P50)/float64(f.EchoP50Ns))
	}
}

func (f Finding) String() string {
	text := fmt.Sprintf("%s: member %d, sender %d, from message %d: %d", f.Kind, f.Member, f.Sender, f.Seq, f.Count)
	if f.Detail != "" {
		text += " (" + f.Detail + ")"
	}
	return text
}

// Number writes a quantity with three digits or so, and groups of thousands.
func Number(v float64) string {
	if math.Abs(v) < 0.005 {
		return "0"
	}
	if v < 100 && v != float64(int64(v)) {
		return fmt.Sprintf("%.2f", v)
	}
	digits := fmt.Sprintf("%.0f", v)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Duration writes nanoseconds with three significant digits.
func Duration(ns int64) string {
	d := time.Duration(ns)
	unit := time.Nanosecond
	for unit*1000 <= d.Abs() {
		unit *= 10
	}
	if unit == time.Nanosecond {
		return d.String()
	}
	return d.Round(unit).String()
}

// Bytes writes an amount of memory.
func Bytes(v float64) string {
	for _, unit := range []string{"B", "KB", "MB"} {
		if v < 10_000 && v > -10_000 {
			return Number(v) + " " + unit
		}
		v /= 1000
	}
	return Number(v) + " GB"
}
