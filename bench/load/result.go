package load

import (
	"github.com/HdrHistogram/hdrhistogram-go"

	"throng/bench/proof"
	"throng/bench/report"
)

// lateShare is the share of late sends from which on a run says more about the
// load generator than about the server.
const lateShare = 0.01

// Result makes a report of a run that is over.
func (r *Run) Result() *report.Result {
	result := &report.Result{Schema: report.Schema, Samples: r.samples}
	if why := r.cut.Load(); why != nil {
		result.CutShort = *why
	}
	result.Connect = r.connectResult()
	result.Delivery = r.deliveryResult()
	result.Latency = report.Latency{
		Corrected: percentiles(r.latency.Corrected), Raw: percentiles(r.latency.Raw),
		First: percentiles(r.latency.First), Median: percentiles(r.latency.Median), P99: percentiles(r.latency.P99),
		Last: percentiles(r.latency.Last), Spread: percentiles(r.latency.Spread),
	}
	result.Proof = r.proofResult()
	result.Server = r.serverResult(&result.Delivery)
	result.Load = r.loadResult(result)
	return result
}

// connectResult is how the connections came about.
func (r *Run) connectResult() report.Connect {
	c := report.Connect{Opened: r.opened, Failed: r.failed.total, Errors: r.failed.list(), Handshake: percentiles(r.handshake)}
	if until := max(r.ready, r.marks.opened.at); until > r.began {
		c.DurationS = float64(until-r.began) / 1e9
		c.Rate = float64(r.opened) / c.DurationS
	}
	return c
}

// deliveryResult is what arrived while the run was measured.
func (r *Run) deliveryResult() report.Delivery {
	from, to := &r.marks.start, &r.marks.end
	d := report.Delivery{
		Sent: to.sent - from.sent, Received: to.received - from.received, BytesIn: to.bytesIn - from.bytesIn,
		Seconds: float64(to.at-from.at) / 1e9, LateSends: r.pacing.lateOnes, LatestSend: r.pacing.latest,
	}
	if d.Seconds > 0 {
		d.SendRate = float64(d.Sent) / d.Seconds
		d.Rate = float64(d.Received) / d.Seconds
	}
	return d
}

// proofResult is the account of the whole run.
func (r *Run) proofResult() report.Proof {
	a := &r.account
	p := report.Proof{
		Received: a.Received, Announced: a.Announced, Notices: a.Notices,
		Missing: a.Counts[proof.Missing], Duplicated: a.Counts[proof.Duplicated], Reordered: a.Counts[proof.Reordered],
		Diverged: a.Counts[proof.Diverged], Corrupted: a.Counts[proof.Corrupted], Misdelivered: a.Counts[proof.Misdelivered],
		Closed: r.closed.total, CloseReasons: r.closed.list(), OneOrder: a.Counts[proof.Diverged] == 0,
	}
	for _, s := range r.order {
		p.Sent += s.next
	}
	p.Expected = p.Received + p.Missing + p.Announced + p.Corrupted
	for _, f := range a.Findings {
		p.Findings = append(p.Findings, report.Finding(f))
	}
	return p
}

// serverResult is what the server's process needed.
func (r *Run) serverResult(d *report.Delivery) *report.Server {
	if r.config.PID == 0 {
		return nil
	}
	m := &r.marks
	s := &report.Server{
		PID: r.config.PID, CPUS: (m.end.server.CPU - m.start.server.CPU).Seconds(),
		RSSBefore: m.before.server.RSS, RSSOpened: m.opened.server.RSS, RSSPeak: m.rssPeak,
		FDsPeak: m.fdsPeak, ThreadsPeak: m.threadsPeak,
	}
	if d.Seconds > 0 {
		s.CPUShare = s.CPUS / d.Seconds
	}
	if d.Received > 0 {
		s.CPUPerDelivery = s.CPUS * 1e9 / float64(d.Received)
	}
	if r.opened > 0 {
		s.CPUPerConnect = float64(m.opened.server.CPU-m.before.server.CPU) / float64(r.opened)
		s.RSSPerConn = float64(m.end.server.RSS-m.before.server.RSS) / float64(r.opened)
	}
	return s
}

// loadResult is what the load generator needed, and whether it was too slow.
func (r *Run) loadResult(result *report.Result) report.Load {
	d := &result.Delivery
	l := report.Load{CPUS: (r.marks.end.own - r.marks.start.own).Seconds(), LongestTurnMs: float64(r.longest) / 1e6}
	if d.Seconds > 0 {
		l.CPUShare = l.CPUS / d.Seconds
	}
	late := d.Sent > 0 && float64(d.LateSends) > lateShare*float64(d.Sent)
	busy := l.CPUShare > 0.95 && (result.Server == nil || result.Server.CPUShare < 0.95)
	l.WasBottleneck = late || busy
	return l
}

// curvePoints are the percentiles of a plot, which shows more the nearer it
// comes to a hundred.
var curvePoints = []float64{0, 10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 92.5, 95, 97, 98, 99, 99.5, 99.8, 99.9,
	99.95, 99.98, 99.99, 99.995, 99.999, 100}

// percentiles describes a histogram.
func percentiles(h *hdrhistogram.Histogram) report.Percentiles {
	p := report.Percentiles{Count: h.TotalCount()}
	if p.Count == 0 {
		return p
	}
	p.Min, p.Max, p.Mean = h.Min(), h.Max(), h.Mean()
	p.P50, p.P90, p.P99, p.P999 = h.ValueAtQuantile(50), h.ValueAtQuantile(90), h.ValueAtQuantile(99), h.ValueAtQuantile(99.9)
	for _, at := range curvePoints {
		p.Curve = append(p.Curve, report.Point{Percentile: at, Ns: h.ValueAtQuantile(at)})
	}
	return p
}
