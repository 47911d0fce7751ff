package load

import (
	"slices"

	"github.com/HdrHistogram/hdrhistogram-go"

	"throng/bench/report"
)

// When the load generator was too slow, or was kept from working, the figures
// are its own: from these shares on.
const (
	lateShare   = 0.01 // of the messages were late
	busyShare   = 0.95 // of a core was used by a client process
	waitedShare = 0.10 // of the time it waited for a core that others used
)

// finishRates computes what can only be computed from sums.
func finishRates(result *report.Result, processes int) {
	c, d, l := &result.Connect, &result.Delivery, &result.Load
	if c.DurationS > 0 {
		c.Rate = float64(c.AtStart) / c.DurationS
	}
	if d.Seconds > 0 {
		d.SendRate = float64(d.Sent) / d.Seconds
		d.Rate = float64(d.Received) / d.Seconds
		if result.Churn != nil {
			result.Churn.Rate = float64(result.Churn.Visits) / d.Seconds
		}
	}
	if s := result.Server; s != nil {
		if d.Received > 0 {
			s.CPUPerDelivery = s.CPUS * 1e9 / float64(d.Received)
		}
		if c.AtStart > 0 {
			s.CPUPerConnect = s.ConnectCPUS * 1e9 / float64(c.AtStart)
			s.KernelPerConn /= float64(c.AtStart)
			s.RSSPerConn = float64(s.RSSEnd-s.RSSBefore) / float64(c.Peak)
		}
		s.Slopes = slopes(result.Samples)
	}
	serverBusy := result.Server != nil && result.Server.CPUShare > busyShare
	// A message counts as late when its turn came late, whether or not its
	// sender's window was open: a stalled server does not make the load late.
	late := d.LateSends > 0 && float64(d.LateSends) > lateShare*float64(d.Sent+d.NotSent)
	l.WasBottleneck = late || l.WaitedShare > waitedShare || l.CPUShare > busyShare && !serverBusy
	l.Processes = processes
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

// slopes fits a line to what may leak while measuring, after a first tenth in
// which a server still grows to its size. Less than a minute says nothing, and
// how it grew with its connections would drown what it leaks.
func slopes(samples []report.Sample) *report.Slopes {
	samples = slices.DeleteFunc(slices.Clone(samples), func(s report.Sample) bool { return s.Phase != phaseNames[measuring] })
	if len(samples) < 60 {
		return nil
	}
	samples = samples[len(samples)/10:]
	slope := func(value func(*report.Sample) float64) float64 {
		var n, t, v, tt, tv float64
		for i := range samples {
			x, y := samples[i].T, value(&samples[i])
			n, t, v, tt, tv = n+1, t+x, v+y, tt+x*x, tv+x*y
		}
		return (n*tv - t*v) / (n*tt - t*t) * 3600
	}
	return &report.Slopes{
		RSSBytes:   slope(func(s *report.Sample) float64 { return float64(s.RSS) }),
		FDs:        slope(func(s *report.Sample) float64 { return float64(s.FDs) }),
		Goroutines: slope(func(s *report.Sample) float64 { return float64(s.Goroutines) }),
	}
}
