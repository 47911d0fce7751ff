package hostile

import (
	"fmt"
	"slices"
	"time"

	"throng/bench/report"
)

// Finding is what a rule found.
type Finding struct {
	Text string
	OK   bool
	// Unclear is a limit that was not kept, perhaps because of the machine.
	Unclear bool
}

// String is the finding with its verdict in front, if that is not the best.
func (f Finding) String() string {
	switch {
	case f.OK:
		return f.Text
	case f.Unclear:
		return "UNCLEAR: " + f.Text
	}
	return "FAIL: " + f.Text
}

// rule judges an outcome; d is what all attackers did together.
type rule func(o *Outcome, d *Deeds) Finding

// The limits of latency: the larger of these.
const (
	slowdownLimit = 5
	latencyLimit  = 50 * time.Millisecond
)

// disturbedShare is the share of time that others may have had the server's core
// without a doubt about latencies.
const disturbedShare = 0.1

// What the server may keep once all have gone. Rooms in which something was said
// keep it as their history, up to their window.
const (
	heapSlack = 1 << 20
	roomSlack = 4 << 20
)

// spareGoroutines are those of the operator's requests, by which all this is
// measured.
const spareGoroutines = 4

// connBytes is what a connection may cost the process besides what is judged.
const connBytes = 1 << 10

// socketLimit is what the kernel may hold for a member that does not read.
const socketLimit = 64 << 10

// Findings are those of all rules.
func (o *Outcome) Findings() []Finding {
	d := o.total()
	found := []Finding{proofOf("pairs", o.Pairs), proofOf("pairs before", o.Calm), latencyKept(o)}
	for _, r := range o.Attack.rules {
		found = append(found, r(o, d))
	}
	if o.Stray != nil {
		found = append(found, Finding{Text: o.Stray.Error()})
	}
	return found
}

// skipped is why the attack could not be made, if that is so.
func (o *Outcome) skipped() string {
	if !o.Attack.alone() {
		return ""
	}
	return o.total().Skipped
}

// alone reports whether there is one kind of attackers.
func (a *Attack) alone() bool { return len(a.Squads) == 1 }

// faults counts everything that a proof can find.
func faults(r *report.Result) int64 {
	p := &r.Proof
	return p.Missing + p.Duplicated + p.Reordered + p.Diverged + p.Corrupted + p.Misdelivered + p.Announced + p.Closed + r.Connect.Failed
}

// proofOf demands every message, once, in order.
func proofOf(who string, r *report.Result) Finding {
	p := &r.Proof
	f := Finding{Text: fmt.Sprintf("%s: %s of %s deliveries, each once and in order", who, report.Number(float64(p.Received)),
		report.Number(float64(p.Expected))), OK: faults(r) == 0 && p.Received == p.Expected && p.Received > 0}
	if !f.OK {
		f.Text += fmt.Sprintf(" (missing %d, twice %d, out of order %d, altered %d, astray %d, announced as missed %d, closed %d, not opened %d)",
			p.Missing, p.Duplicated, p.Reordered+p.Diverged, p.Corrupted, p.Misdelivered, p.Announced, p.Closed, r.Connect.Failed)
	}
	return f
}

// latencyKept compares the pairs' latency with what it was before.
func latencyKept(o *Outcome) Finding {
	before, during := o.Calm.Latency.Corrected.P99, o.Pairs.Latency.Corrected.P99
	limit := max(slowdownLimit*before, int64(latencyLimit))
	f := Finding{Text: fmt.Sprintf("pairs: p99 %s, at most %s", report.Duration(during), report.Duration(limit)), OK: during <= limit}
	if why := o.limit(); !f.OK && why != "" {
		f.Unclear, f.Text = true, f.Text+", but "+why
	}
	return f
}

// limit says how the machine was the limit, if it was.
func (o *Outcome) limit() string {
	switch l := &o.Pairs.Load; {
	case o.Waited > disturbedShare:
		return fmt.Sprintf("others had the server's core for %.0f %% of the time", 100*o.Waited)
	case o.Pairs.Load.WasBottleneck && o.Ordinary:
		return "the pairs' process could not go in front of others, and was held up"
	case o.Pairs.Load.WasBottleneck:
		return fmt.Sprintf("the pairs' process was held up (waited %.0f %% of the time, %d sends were late)", 100*l.WaitedShare, o.Pairs.Delivery.LateSends)
	}
	return ""
}

// there demands that the attack was as large as it should be.
func there(conns int) rule {
	return func(_ *Outcome, d *Deeds) Finding {
		return Finding{Text: fmt.Sprintf("%s connections at a time", report.Number(float64(d.Most))), OK: d.Most >= conns}
	}
}

// didSomething demands that there was an attack.
func didSomething(_ *Outcome, d *Deeds) Finding {
	return Finding{Text: fmt.Sprintf("%s sent, %s in all", report.Number(float64(d.Done)), report.Bytes(float64(d.Bytes))), OK: d.Done > 0}
}

// The server cuts a handshake after 5 s, counted from one of its ticks to another.
const (
	cutFrom  = 4700 * time.Millisecond
	cutUntil = 6 * time.Second
)

func cutInTime(o *Outcome, d *Deeds) Finding {
	f := Finding{Text: fmt.Sprintf("%s cut, after %s to %s", report.Number(float64(ended(d))), report.Duration(d.Shortest), report.Duration(d.Longest)),
		OK: ended(d) > 0 && d.Opened == 0 && d.Shortest >= int64(cutFrom) && d.Longest <= int64(cutUntil)}
	f.Unclear = !f.OK && d.Longest > int64(cutUntil) && o.limit() != ""
	return f
}

// ended is how many connections the server has ended.
func ended(d *Deeds) (sum int64) {
	for _, e := range d.Ends {
		sum += e.Count
	}
	return sum
}

// endsOnly demands that there were ends, and of these kinds only.
func endsOnly(allowed ...string) rule {
	return func(_ *Outcome, d *Deeds) Finding {
		f := Finding{Text: "ended with " + endList(d), OK: len(d.Ends) > 0}
		for _, e := range d.Ends {
			f.OK = f.OK && slices.Contains(allowed, e.Error)
		}
		return f
	}
}

// endList names the ends, and how often each was.
func endList(d *Deeds) string {
	counts := map[string]int64{}
	var names []string
	for _, e := range d.Ends {
		if counts[e.Error] == 0 {
			names = append(names, e.Error)
		}
		counts[e.Error] += e.Count
	}
	slices.Sort(names)
	text := ""
	for i, name := range names {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%s × %s", report.Number(float64(counts[name])), name)
	}
	return text
}

func noGoroutines(o *Outcome, _ *Deeds) Finding {
	return Finding{Text: fmt.Sprintf("goroutines %d, at most %d", o.Peak.Goroutines, o.Before.Goroutines),
		OK: o.Peak.Goroutines > 0 && o.Peak.Goroutines <= o.Before.Goroutines+spareGoroutines}
}

// memoryEach bounds the process's memory by connection.
func memoryEach(conns, limit int) rule {
	return func(o *Outcome, _ *Deeds) Finding {
		each := float64(o.Peak.RSS-o.Before.RSS) / float64(conns)
		return Finding{Text: fmt.Sprintf("process memory %s each, at most %s", report.Bytes(max(each, 0)), report.Bytes(float64(limit))),
			OK: each <= float64(limit)}
	}
}

// memoryAtMost bounds the growth of the process's memory.
func memoryAtMost(limit int) rule {
	return func(o *Outcome, _ *Deeds) Finding {
		grown := float64(o.Peak.RSS - o.Before.RSS)
		return Finding{Text: fmt.Sprintf("process memory %s more, at most %s", report.Bytes(max(grown, 0)), report.Bytes(float64(limit))),
			OK: grown <= float64(limit)}
	}
}

// heapEach allows each stalled member one frame more than it cost when it was
// idle.
func heapEach(conns int) rule {
	return func(o *Outcome, _ *Deeds) Finding {
		each := float64(o.During.HeapLive-o.Ready.HeapLive-roomSlack) / float64(conns)
		limit := float64(roomSize + connBytes)
		return Finding{Text: fmt.Sprintf("live heap %s more for each, at most %s (a frame and its bookkeeping)", report.Bytes(max(each, 0)), report.Bytes(limit)),
			OK: each <= limit}
	}
}

func socketEach(o *Outcome, _ *Deeds) Finding {
	s := &o.During.Sockets
	if o.During.NoSockets != "" {
		return Finding{Text: "kernel memory not measured: " + o.During.NoSockets, OK: true}
	}
	return Finding{Text: fmt.Sprintf("kernel memory of a socket %s at most, may be %s", report.Bytes(float64(s.Largest)), report.Bytes(socketLimit)),
		OK: s.Count > 0 && s.Largest <= socketLimit}
}

// roomGotAll demands that those who read got everything.
func roomGotAll(o *Outcome, _ *Deeds) Finding { return proofOf("those who read", o.Room) }

// stalledTold demands that those who read on were told of a gap, and the others
// closed.
func stalledTold(o *Outcome, d *Deeds) Finding {
	told, left := d.Figures["told of a gap"], o.left()
	return Finding{Text: fmt.Sprintf("of %d that read on %s were told of a gap and %s closed; of the others %d were left at the end",
		resumed, report.Number(told), report.Number(d.Figures["closed after reading on"]), left-resumed),
		OK: told == resumed && d.Figures["closed after reading on"] == 0 && left == resumed}
}

// resumed is how many of those that did not read do so after a while.
const resumed = stalledConns / resumeEvery

// stalledClosed demands that all of them were closed.
func stalledClosed(o *Outcome, d *Deeds) Finding {
	return Finding{Text: fmt.Sprintf("%d were left at the end; those who read on saw %s, after %s to %s", o.left(), endList(d),
		report.Duration(d.Shortest), report.Duration(d.Longest)),
		OK: o.left() == 0 && d.Figures["told of a gap"] == 0}
}

// left is how many of the attackers' connections the server still has at the
// end.
func (o *Outcome) left() int { return o.End.FDs - o.Before.FDs - pairConns - roomMembers }

// linearLimit is how much more a byte of a message sixteen times as long may
// cost.
const linearLimit = 2

func linearTime(o *Outcome, d *Deeds) Finding {
	small, large := d.Figures["ns a byte 0"], d.Figures["ns a byte 1"]
	return Finding{Text: fmt.Sprintf("%.0f ns a fragment in a message of %s, %.0f ns in one of %s", small, report.Bytes(float64(o.Attack.Payloads[0])),
		large, report.Bytes(float64(o.Attack.Payloads[1]))), OK: large > 0 && large <= linearLimit*small}
}

func twiceThePayload(o *Outcome, d *Deeds) Finding {
	grown, held := float64(o.During.HeapLive-o.Ready.HeapLive), d.Figures["held"]
	return Finding{Text: fmt.Sprintf("%s of unfinished messages held, live heap %s more, at most twice that", report.Bytes(held), report.Bytes(max(grown, 0))),
		OK: held > 0 && grown <= 2*held+heapSlack}
}

func allCycles(_ *Outcome, d *Deeds) Finding {
	return Finding{Text: fmt.Sprintf("%s cycles", report.Number(float64(d.Done))), OK: d.Done >= churnCycles}
}

// backAgain demands that nothing is left of the attack. A descriptor with a goroutine is an operator's connection.
func backAgain(slack int64) rule {
	return func(o *Outcome, _ *Deeds) Finding {
		heap := o.After.HeapLive - o.Before.HeapLive
		goroutines := max(o.After.Goroutines-o.Before.Goroutines, 0)
		return Finding{Text: fmt.Sprintf("left over: %d descriptors, %d sockets, %d goroutines, %s of live heap (at most %s)", o.After.FDs-o.Before.FDs,
			o.After.Sockets.Count-o.Before.Sockets.Count, goroutines, report.Bytes(float64(max(heap, 0))), report.Bytes(float64(slack))),
			OK: o.After.FDs <= o.Before.FDs+goroutines && o.After.Sockets.Count <= o.Before.Sockets.Count &&
				goroutines <= spareGoroutines && heap <= slack}
	}
}
