package load

import (
	"slices"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"

	"throng/bench/latency"
	"throng/bench/proof"
	"throng/bench/report"
)

// Part is what one client process found out. It can be sent to the process
// that adds the parts up.
type Part struct {
	CutShort string

	Opened         int64
	AtStart, Peak  int64 // opened before the load began; open at the same time
	Failed, Closed []report.ErrorCount
	ConnectSeconds float64
	Handshake      latency.Histogram

	Sent, Received, BytesIn int64 // while measured
	Payload                 int64 // of the messages in BytesIn
	Seconds                 float64
	LateSends, LatestSend   int64
	NotSent, OldestUnsent   int64
	Latencies               []latency.Histogram // in the order of Recorder.All
	Incomplete              int64               // broadcasts within this process that did not reach everybody
	Shares                  latency.Shares      // its parts of the others

	SentInAll int64
	Account   proof.Account
	Digests   map[int]uint64 // by room: of the order
	Overdue   string         // what was not waited for any longer

	Server  *report.Server
	Load    report.Load
	Samples []report.Sample

	Limit    string
	Churn    *report.Churn
	Slow     *report.Slow
	Recovery *latency.Histogram

	Unfinished    int64 // storms
	Resumed, Anew int64 // connections that came back in them
	Refused       []report.ErrorCount
}

// Part says what this process found out; the run must be over.
func (r *Run) Part() *Part {
	from, to := &r.marks.start, &r.marks.end
	part := &Part{
		Opened: r.opened, AtStart: r.atStart, Peak: r.peak, Failed: r.failed.list(), Closed: r.closed.list(),
		ConnectSeconds: seconds(r.ready - r.began), Handshake: latency.Histogram{Histogram: r.handshake},
		Sent: to.sent - from.sent, Received: to.received - from.received, BytesIn: to.bytesIn - from.bytesIn, Payload: to.payload - from.payload,
		Seconds:   seconds(to.at - from.at),
		LateSends: r.pacing.lateOnes, LatestSend: r.pacing.latest,
		NotSent: r.unsent.count, OldestUnsent: r.unsent.oldest,
		SentInAll: r.sent, Account: r.account, Samples: r.series(),
	}
	part.Incomplete, part.Shares = r.latency.Incomplete, r.latency.Shares
	if why := r.cut.Load(); why != nil {
		part.CutShort = *why
	}
	part.Overdue, part.Digests = r.overdue, make(map[int]uint64)
	for number, room := range r.rooms {
		if room != nil {
			part.Digests[number] = room.Digest
		}
	}
	part.Account.Findings = slices.Clone(r.account.Findings)
	for i := range part.Account.Findings {
		f := &part.Account.Findings[i]
		f.Member = r.config.global(f.Member)
	}
	for _, h := range r.latency.All() {
		part.Latencies = append(part.Latencies, latency.Histogram{Histogram: *h})
	}
	part.Resumed, part.Anew, part.Refused = r.talk.resumed, r.talk.anew, r.talk.errors.list()
	part.Server = r.serverPart(part)
	part.Load = report.Load{CPUS: (to.own - from.own).Seconds(), WaitedS: (to.waited - from.waited).Seconds(),
		LongestTurnMs: float64(r.longest) / 1e6, BytesPerConn: r.bytesPerConn}
	r.act.tell(part)
	return part
}

// seconds turns nanoseconds into seconds; a run that was cut short may have
// none of something.
func seconds(ns int64) float64 { return max(float64(ns)/1e9, 0) }

// serverPart is what the server's process needed.
func (r *Run) serverPart(part *Part) *report.Server {
	if r.config.PID == 0 {
		return nil
	}
	m := &r.marks
	s := &report.Server{
		PID: r.config.PID, CPUS: (m.end.server.CPU - m.start.server.CPU).Seconds(),
		ConnectCPUS: (m.opened.server.CPU - m.before.server.CPU).Seconds(),
		RSSBefore:   m.before.server.RSS, RSSOpened: m.opened.server.RSS, RSSEnd: m.end.server.RSS, RSSPeak: m.rssPeak,
		FDsPeak: m.fdsPeak, ThreadsPeak: m.threadsPeak, GoroutinesPeak: m.goroutinesPeak, HeapPeak: m.heapPeak,
		KernelPerConn: float64(m.opened.kernel - m.before.kernel), // divided by all connections later
	}
	if part.Seconds > 0 {
		s.CPUShare = s.CPUS / part.Seconds
	}
	return s
}

// Combine adds up the parts of all processes.
func Combine(parts []*Part) *report.Result {
	result := &report.Result{Schema: report.Schema}
	handshake := latency.NewHistogram()
	latencies := latency.NewRecorder()
	recovery := latency.NewHistogram()
	result.Proof.OneOrder = true
	var counts proof.Counts
	var shares []*latency.Shares
	digests := make(map[int]uint64)
	for _, part := range parts {
		addConnect(&result.Connect, part)
		addDelivery(&result.Delivery, part)
		addProof(&result.Proof, part)
		addLoad(&result.Load, part)
		handshake.Merge(part.Handshake.Histogram)
		for k, h := range latencies.All() {
			(*h).Merge(part.Latencies[k].Histogram)
		}
		latencies.Incomplete += part.Incomplete
		shares = append(shares, &part.Shares)
		counts.Add(part.Account.Counts)
		result.Samples = AddSamples(result.Samples, part.Samples)
		for room, digest := range part.Digests {
			known, ok := digests[room]
			result.Proof.OneOrder = result.Proof.OneOrder && (!ok || known == digest)
			digests[room] = digest
		}
		addActs(result, part, recovery)
	}
	latencies.MergeShares(shares)
	setCounts(&result.Proof, &counts)
	result.Connect.Handshake = percentiles(handshake)
	result.Latency = report.Latency{
		Corrected: percentiles(latencies.Corrected), Raw: percentiles(latencies.Raw),
		First: percentiles(latencies.First), Median: percentiles(latencies.Median), P99: percentiles(latencies.P99),
		Last: percentiles(latencies.Last), Spread: percentiles(latencies.Spread),
		Incomplete: latencies.Incomplete,
	}
	if s := result.Storm; s != nil {
		s.Rounds, s.Recovery = recovery.TotalCount(), percentiles(recovery)
	}
	finishRates(result, len(parts))
	return result
}

func addConnect(c *report.Connect, part *Part) {
	c.Opened += part.Opened
	c.AtStart += part.AtStart
	c.Peak += part.Peak
	c.Errors = addErrors(c.Errors, part.Failed)
	for _, e := range part.Failed {
		c.Failed += e.Count
	}
	c.DurationS = max(c.DurationS, part.ConnectSeconds)
}

func addDelivery(d *report.Delivery, part *Part) {
	d.Sent += part.Sent
	d.Received += part.Received
	d.BytesIn += part.BytesIn
	d.Payload += part.Payload
	d.Seconds = max(d.Seconds, part.Seconds)
	d.LateSends += part.LateSends
	d.LatestSend = max(d.LatestSend, part.LatestSend)
	d.NotSent += part.NotSent
	d.OldestUnsent = max(d.OldestUnsent, part.OldestUnsent)
}

func addProof(p *report.Proof, part *Part) {
	p.Sent += part.SentInAll
	p.Expected += part.Account.Expected
	p.Received += part.Account.Received
	p.Announced += part.Account.Announced
	p.Notices += part.Account.Notices
	p.Refused = addErrors(p.Refused, part.Refused)
	for kind, t := range part.Account.Traffic {
		if p.Traffic == nil {
			p.Traffic = make(map[string]report.Traffic)
		}
		sum := p.Traffic[kind]
		sum.Count += t.Count
		sum.Bytes += t.Bytes
		p.Traffic[kind] = sum
	}
	p.CloseReasons = addErrors(p.CloseReasons, part.Closed)
	for _, e := range part.Closed {
		p.Closed += e.Count
	}
	for _, f := range part.Account.Findings {
		p.Findings = append(p.Findings, report.Finding(f))
	}
}

// setCounts spreads the kinds over their fields.
func setCounts(p *report.Proof, counts *proof.Counts) {
	p.Missing, p.Duplicated, p.Reordered = counts[proof.Missing], counts[proof.Duplicated], counts[proof.Reordered]
	p.Diverged, p.Corrupted, p.Misdelivered = counts[proof.Diverged], counts[proof.Corrupted], counts[proof.Misdelivered]
	p.Invented, p.Unlinked = counts[proof.Invented], counts[proof.Unlinked]
	p.OneOrder = p.OneOrder && p.Diverged == 0
}

func addLoad(l *report.Load, part *Part) {
	l.CPUS += part.Load.CPUS
	l.WaitedS = max(l.WaitedS, part.Load.WaitedS)
	l.LongestTurnMs = max(l.LongestTurnMs, part.Load.LongestTurnMs)
	l.BytesPerConn = max(l.BytesPerConn, part.Load.BytesPerConn)
	if part.Seconds > 0 {
		l.CPUShare = max(l.CPUShare, part.Load.CPUS/part.Seconds)
		l.WaitedShare = max(l.WaitedShare, part.Load.WaitedS/part.Seconds)
	}
}

// AddSamples adds up samples of the same second. Percentiles cannot be added:
// those of the slowest process stand.
func AddSamples(sum, more []report.Sample) []report.Sample {
	for i, s := range more {
		if i == len(sum) {
			sum = append(sum, s)
			continue
		}
		t := &sum[i]
		t.Open += s.Open
		t.Sent += s.Sent
		t.Received += s.Received
		t.P50, t.P99, t.Max, t.Spread = max(t.P50, s.P50), max(t.P99, s.P99), max(t.Max, s.Max), max(t.Spread, s.Spread)
		t.RSS, t.CPUShare, t.FDs = max(t.RSS, s.RSS), max(t.CPUShare, s.CPUShare), max(t.FDs, s.FDs)
		t.Goroutines, t.Heap, t.LoadShare = max(t.Goroutines, s.Goroutines), max(t.Heap, s.Heap), max(t.LoadShare, s.LoadShare)
	}
	return sum
}

func addErrors(sum, more []report.ErrorCount) []report.ErrorCount {
	for _, e := range more {
		found := false
		for i := range sum {
			if sum[i].Error == e.Error {
				sum[i].Count += e.Count
				found = true
			}
		}
		if !found {
			sum = append(sum, e)
		}
	}
	return sum
}

// addActs takes over what only some scenarios have.
func addActs(result *report.Result, part *Part, recovery *hdrhistogram.Histogram) {
	if part.Server != nil {
		result.Server = part.Server
	}
	if result.CutShort == "" {
		result.CutShort = part.CutShort
	}
	if part.Overdue != "" {
		result.Warnings = append(result.Warnings, part.Overdue)
	}
	if part.Limit != "" && (result.Limit == "" || strings.HasPrefix(result.Limit, noLimit)) {
		result.Limit = part.Limit
	}
	if part.Churn != nil {
		if result.Churn == nil {
			result.Churn = &report.Churn{}
		}
		result.Churn.Visits += part.Churn.Visits
		result.Churn.HeldBack += part.Churn.HeldBack
	}
	if part.Slow != nil {
		if result.Slow == nil {
			result.Slow = &report.Slow{}
		}
		result.Slow.Members += part.Slow.Members
		result.Slow.Closed += part.Slow.Closed
	}
	if part.Recovery != nil {
		if result.Storm == nil {
			result.Storm = &report.Storm{}
		}
		result.Storm.Unfinished += part.Unfinished
		result.Storm.Resumed += part.Resumed
		result.Storm.Anew += part.Anew
		recovery.Merge(part.Recovery.Histogram)
	}
}
