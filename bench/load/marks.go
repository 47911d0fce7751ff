package load

import (
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"throng/bench/report"
	"throng/bench/target"
)

// mark is the state of all counters at one moment.
type mark struct {
	at       int64
	sent     int64
	received int64
	bytesIn  int64
	payload  int64 // of the messages in it
	server   target.Usage
	own      time.Duration // processor time of this process
	waited   time.Duration // for which its loop was ready, but had no processor
	kernel   int64         // bytes that the kernel has for sockets and descriptors
}

// marks are the moments that figures are differences of.
type marks struct {
	before, opened, start, end mark
	saved                      mark // of the last sample
	idle                       int64
	heap                       int64 // of this process, before it made anything
	rssPeak                    int64
	fdsPeak, threadsPeak       int
	goroutinesPeak             int
	heapPeak                   int64
	known                      target.Usage // of the server, as of the last mark
}

// mark notes the counters of this moment.
func (r *Run) mark() mark {
	m := mark{at: r.now, received: r.account.Received, bytesIn: r.bytesIn, payload: r.account.Payload, own: ownCPU(), waited: target.Waited(), sent: r.sent}
	if r.config.PID != 0 {
		// Of a server that has ended the last that was known stands.
		if usage, err := target.Measure(r.config.PID); err == nil {
			r.marks.known = usage
		}
		m.server = r.marks.known
		m.kernel = target.KernelMemory()
		r.marks.rssPeak = max(r.marks.rssPeak, m.server.RSS)
		r.marks.fdsPeak = max(r.marks.fdsPeak, m.server.FDs)
		r.marks.threadsPeak = max(r.marks.threadsPeak, m.server.Threads)
	}
	return m
}

// ownCPU is the processor time that this process has used.
func ownCPU() time.Duration {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// heapBytes is what this process's live objects take.
func heapBytes() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// beforeMeasuring is how many seconds there were from the first dial until
// measuring began, or ought to have; in a run that was cut short while it opened
// its connections, until its end.
func (r *Run) beforeMeasuring() float64 {
	at := r.marks.end.at
	if r.start != 0 {
		at = r.start + int64(r.config.Warmup)
	}
	return float64(at-r.began) / 1e9
}

// series is the time series, in which measuring begins at 0.
func (r *Run) series() []report.Sample {
	samples := slices.Clone(r.samples)
	for i := range samples {
		samples[i].T -= r.beforeMeasuring()
	}
	return samples
}

// save adds a sample to the time series. Its time counts from the first dial,
// because only later it is known when measuring begins; who looks on while the
// connections open is told the same.
func (r *Run) save() {
	r.nextSave += int64(time.Second)
	m, last := r.mark(), r.marks.saved
	if last.at == 0 {
		last = r.marks.before
	}
	seconds := float64(m.at-last.at) / 1e9
	recent, inside := r.latency.Roll(), r.inside.Last()
	sample := report.Sample{
		T: float64(m.at-r.began) / 1e9, Phase: phaseNames[r.phase], Open: int64(r.present),
		Sent: m.sent - last.sent, Received: m.received - last.received,
		P50: recent.P50, P99: recent.P99, Max: recent.Max, Spread: recent.Spread,
		RSS: m.server.RSS, FDs: m.server.FDs, Goroutines: inside.Goroutines, Heap: inside.Heap,
	}
	if seconds > 0 {
		sample.CPUShare = (m.server.CPU - last.server.CPU).Seconds() / seconds
		sample.LoadShare = (m.own - last.own).Seconds() / seconds
	}
	r.marks.saved = m
	r.marks.goroutinesPeak, r.marks.heapPeak = max(r.marks.goroutinesPeak, sample.Goroutines), max(r.marks.heapPeak, sample.Heap)
	r.samples = append(r.samples, sample)
	if r.phase > opening {
		sample.T -= r.beforeMeasuring()
	}
	if r.phase > opening {
		r.act.sampled(r, &sample)
	}
	if r.OnSample != nil {
		r.OnSample(sample)
	}
}
