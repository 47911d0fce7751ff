// Package report is what a run leaves behind: the Result, and the forms in
// which people and programs read it.
//
// Result is also the schema of --json. Its rules: times of the run in seconds,
// latencies in nanoseconds, memory in bytes, rates per second; a field that a
// scenario has nothing to say about is left out. Fields are added, never changed
// in meaning; Schema grows when one must be.
package report

// Schema is the version of the JSON form.
const Schema = 1

// Result is one run of one scenario.
type Result struct {
	Schema   int    `json:"schema"`
	Scenario string `json:"scenario"`
	Label    string `json:"label,omitempty"`     // whom it was run against, for comparisons
	CutShort string `json:"cut_short,omitempty"` // why the run ended before its time, if it did

	Environment Environment `json:"environment"`
	Plan        Plan        `json:"plan"`

	Connect  Connect  `json:"connect"`
	Delivery Delivery `json:"delivery"`
	Latency  Latency  `json:"latency"`
	Proof    Proof    `json:"proof"`
	Server   *Server  `json:"server,omitempty"` // only with --spawn or --pid
	Load     Load     `json:"load"`
	Floor    *Floor   `json:"floor,omitempty"`
	Limit    string   `json:"limit,omitempty"` // the first limit that a ramp met
	Storm    *Storm   `json:"storm,omitempty"`
	Churn    *Churn   `json:"churn,omitempty"`
	Slow     *Slow    `json:"slow,omitempty"`

	Samples  []Sample `json:"samples"`            // one each second, in order
	Warnings []string `json:"warnings,omitempty"` // what makes the figures worth less than they look
	Failures []string `json:"failures,omitempty"` // why the exit code is 99; empty for a passed run
}

// Environment is what is needed to reproduce a run.
type Environment struct {
	Time       string   `json:"time"` // RFC 3339, UTC
	Command    []string `json:"command"`
	Commit     string   `json:"commit,omitempty"` // of the bench tool, as the build recorded it
	Go         string   `json:"go"`
	Kernel     string   `json:"kernel"`
	Processor  string   `json:"processor"`
	Processors int      `json:"processors"` // that this process may use
	MemoryB    int64    `json:"memory_bytes"`
	OpenFiles  uint64   `json:"open_files"` // the limit per process
	PortRange  string   `json:"port_range"`
	Congestion string   `json:"congestion,omitempty"`
}

// Plan is what the run was asked to do.
type Plan struct {
	URL         string  `json:"url"`
	Spawn       string  `json:"spawn,omitempty"`
	Subprotocol string  `json:"subprotocol,omitempty"`
	Compression bool    `json:"compression,omitempty"`
	Conns       int     `json:"conns"`
	Rooms       int     `json:"rooms"`
	Senders     int     `json:"senders"`          // in each room
	Window      int     `json:"window,omitempty"` // messages in flight per sender; 0 is no bound
	Rate        float64 `json:"rate,omitempty"`   // messages a second of all senders; 0 in a closed loop
	Size        int     `json:"size"`             // bytes of a message
	DurationS   float64 `json:"duration_s"`
	WarmupS     float64 `json:"warmup_s"`
	Procs       int     `json:"procs"`
	Seed        uint64  `json:"seed"`
}

// Connect is how the connections came about.
type Connect struct {
	Opened    int64        `json:"opened"`
	AtStart   int64        `json:"at_start"` // how many of these before the load began
	Peak      int64        `json:"peak"`     // open at the same time
	Failed    int64        `json:"failed"`
	Errors    []ErrorCount `json:"errors,omitempty"`
	DurationS float64      `json:"duration_s"` // from the first dial until the load began
	Rate      float64      `json:"rate"`       // of those at the start, per second
	Handshake Percentiles  `json:"handshake"`  // from dial to the answer's head
}

// ErrorCount is one kind of error and how often it happened.
type ErrorCount struct {
	Error string `json:"error"`
	Count int64  `json:"count"`
}

// Delivery is what arrived while the run was measured.
type Delivery struct {
	Sent       int64   `json:"sent"`
	Received   int64   `json:"received"`      // by all members
	BytesIn    int64   `json:"bytes_in"`      // on the wire, of everything that arrived
	Payload    int64   `json:"payload_bytes"` // of the deliveries, inflated
	Seconds    float64 `json:"seconds"`       // how long was measured
	SendRate   float64 `json:"send_rate"`
	Rate       float64 `json:"rate"` // deliveries per second
	LateSends  int64   `json:"late_sends"`
	LatestSend int64   `json:"latest_send_ns"` // the worst delay of a message by the load generator

	// Open loop: messages that were due before the end, and that the server kept
	// from being sent until then. The corrected latency contains each of them
	// with the time for which it had been due.
	NotSent      int64 `json:"not_sent"`
	OldestUnsent int64 `json:"oldest_unsent_ns"` // how long the first of them had been due
}

// Latency is how long messages took. Corrected counts from the intended time of
// sending, raw from the real one. The others are of sampled broadcasts, from
// the intended time: when the first, the median, the 99th of a hundred and the
// last member of all processes had the message, and how far first and last were
// apart. Those that did not reach every member in order are only counted.
type Latency struct {
	Corrected Percentiles `json:"corrected"`
	Raw       Percentiles `json:"raw"`
	First     Percentiles `json:"first"`
	Median    Percentiles `json:"median"`
	P99       Percentiles `json:"p99"`
	Last      Percentiles `json:"last"`
	Spread    Percentiles `json:"spread"`

	Incomplete int64 `json:"incomplete"` // sampled broadcasts that did not reach every member
}

// Percentiles is a distribution of nanoseconds.
type Percentiles struct {
	Count int64   `json:"count"`
	Min   int64   `json:"min_ns"`
	Mean  float64 `json:"mean_ns"`
	P50   int64   `json:"p50_ns"`
	P90   int64   `json:"p90_ns"`
	P99   int64   `json:"p99_ns"`
	P999  int64   `json:"p999_ns"`
	Max   int64   `json:"max_ns"`
	// Curve has the points of a percentile plot: percentile 0 to 100, value.
	Curve []Point `json:"curve,omitempty"`
}

// Point is one of a curve.
type Point struct {
	Percentile float64 `json:"percentile"`
	Ns         int64   `json:"ns"`
}

// Proof is the account of the whole run, its warm-up included.
type Proof struct {
	Sent         int64        `json:"sent"`
	Expected     int64        `json:"expected"` // deliveries that were due
	Received     int64        `json:"received"` // deliveries, each counted once
	Missing      int64        `json:"missing"`
	Duplicated   int64        `json:"duplicated"`
	Reordered    int64        `json:"reordered"`
	Diverged     int64        `json:"diverged"`
	Corrupted    int64        `json:"corrupted"`
	Misdelivered int64        `json:"misdelivered"`
	Invented     int64        `json:"invented"`  // announced as left out, and not left out
	Announced    int64        `json:"announced"` // left out, and the server said so
	Closed       int64        `json:"closed"`    // connections that the server ended
	CloseReasons []ErrorCount `json:"close_reasons,omitempty"`
	Unlinked     int64        `json:"unlinked"`          // throng.v1: not behind the message before, by the numbers
	Notices      int64        `json:"notices"`           // other texts of the server's
	Refused      []ErrorCount `json:"refused,omitempty"` // throng.v1: errors and goodbyes

	// Traffic is what was received in throng.v1 that is no message, by kind.
	Traffic map[string]Traffic `json:"traffic,omitempty"`

	OneOrder bool      `json:"one_order"`          // all members of all client processes saw the same order
	Findings []Finding `json:"findings,omitempty"` // the first violations by name
}

// Traffic is a kind of what a server sends beside messages.
type Traffic struct {
	Count int64 `json:"count"`
	Bytes int64 `json:"bytes"` // on the wire
}

// Finding names what one member lacks, or has too much, of one sender.
type Finding struct {
	Kind   string `json:"kind"`
	Member int    `json:"member"` // among those of all client processes
	Sender int    `json:"sender"` // -1 is any
	Seq    int64  `json:"seq"`
	Count  int64  `json:"count"`
	Detail string `json:"detail,omitempty"`
}

// Server is what the server's process (with its children) needed.
type Server struct {
	PID            int     `json:"pid"`
	CPUS           float64 `json:"cpu_s"`                  // user and system, while measured
	CPUShare       float64 `json:"cpu_share"`              // of one core
	WaitedShare    float64 `json:"waited_share,omitempty"` // of the time: ready to run, but others had its core (only in peers)
	ConnectCPUS    float64 `json:"connect_cpu_s"`          // until all connections were open
	CPUPerDelivery float64 `json:"cpu_per_delivery_ns,omitempty"`
	CPUPerConnect  float64 `json:"cpu_per_connect_ns,omitempty"`
	RSSBefore      int64   `json:"rss_before_bytes"` // before the first connection
	RSSOpened      int64   `json:"rss_opened_bytes"` // when all were open
	RSSEnd         int64   `json:"rss_end_bytes"`    // when measuring ended
	RSSPeak        int64   `json:"rss_peak_bytes"`
	RSSPerConn     float64 `json:"rss_per_conn_bytes"`
	KernelPerConn  float64 `json:"kernel_per_conn_bytes,omitempty"` // both ends
	FDsPeak        int     `json:"fds_peak"`
	ThreadsPeak    int     `json:"threads_peak"`
	GoroutinesPeak int     `json:"goroutines_peak,omitempty"`
	HeapPeak       int64   `json:"heap_peak_bytes,omitempty"` // live and not yet collected objects of a Go server
	Slopes         *Slopes `json:"slopes,omitempty"`          // of soak
}

// Slopes is what grows with time, per hour.
type Slopes struct {
	RSSBytes   float64 `json:"rss_bytes_per_hour"`
	FDs        float64 `json:"fds_per_hour"`
	Goroutines float64 `json:"goroutines_per_hour"`
}

// Load is what the load generator itself needed; when it was the bottleneck,
// the figures are its own and not the server's.
type Load struct {
	CPUS          float64 `json:"cpu_s"`
	CPUShare      float64 `json:"cpu_share"` // of one core, by its busiest process
	BytesPerConn  float64 `json:"bytes_per_conn"`
	WasBottleneck bool    `json:"was_bottleneck"`
	Processes     int     `json:"processes"`
	WaitedS       float64 `json:"waited_s"`     // ready to run, but others had the processor
	WaitedShare   float64 `json:"waited_share"` // of the most unlucky process
	LongestTurnMs float64 `json:"longest_turn_ms"`
}

// Floor is what the machine itself allows.
type Floor struct {
	Conns         int     `json:"conns"`
	Bytes         int     `json:"bytes"`         // of one write
	WriteNs       float64 `json:"write_ns"`      // processor time of one write(2) of a frame to one of Conns sockets, the median
	WriteLowNs    float64 `json:"write_low_ns"`  // of a quarter of the rounds it was less
	WriteHighNs   float64 `json:"write_high_ns"` // of a quarter it was more
	WriteWallNs   float64 `json:"write_wall_ns"` // from one write to the next, the median
	EchoP50Ns     int64   `json:"echo_p50_ns"`   // round trip of a bare epoll echo
	EchoP99Ns     int64   `json:"echo_p99_ns"`
	KernelPerConn float64 `json:"kernel_per_conn_bytes"` // both ends of an idle connection
}

// Storm is how a mass reconnect went.
type Storm struct {
	Rounds   int64       `json:"rounds"`
	Recovery Percentiles `json:"recovery"` // from the loss of all connections to the last one's return
	// Unfinished is how many were not over when the run was, of all processes.
	Unfinished int64 `json:"unfinished,omitempty"`
	// Resumed is how many times a connection came back in throng.v1 and had missed
	// nothing, Anew how many times it had, as the server said.
	Resumed int64 `json:"resumed,omitempty"`
	Anew    int64 `json:"anew,omitempty"`
}

// Churn is how visitors fared.
type Churn struct {
	Visits   int64   `json:"visits"`    // that came, said something, heard it and left
	HeldBack int64   `json:"held_back"` // that did not take place because too many others were under way
	Rate     float64 `json:"rate"`      // visits a second
}

// Slow is what became of the members that stopped reading.
type Slow struct {
	Members int   `json:"members"`
	Closed  int64 `json:"closed"`
}

// Sample is one second of the load.
type Sample struct {
	T          float64 `json:"t"` // seconds since measuring began; below 0 while connecting and warming up
	Phase      string  `json:"phase"`
	Open       int64   `json:"open"` // connections
	Sent       int64   `json:"sent"` // since the last sample, as the others
	Received   int64   `json:"received"`
	P50        int64   `json:"p50_ns"` // corrected latency
	P99        int64   `json:"p99_ns"`
	Max        int64   `json:"max_ns"`
	Spread     int64   `json:"spread_ns"` // the median from first to last receiver; with several client processes within one, the largest
	RSS        int64   `json:"rss_bytes,omitempty"`
	CPUShare   float64 `json:"cpu_share,omitempty"`
	FDs        int     `json:"fds,omitempty"`
	Goroutines int     `json:"goroutines,omitempty"`
	Heap       int64   `json:"heap_bytes,omitempty"`
	LoadShare  float64 `json:"load_cpu_share"`
}
