package report

// What figures need. Each says what a run lacks, and how to have it.

func nothing(*Result) string { return "" }

// unless is the reason where something was not measured.
func unless(measured bool, why string) string {
	if measured {
		return ""
	}
	return why
}

// either is the first reason that there is.
func either(reasons ...string) string {
	for _, why := range reasons {
		if why != "" {
			return why
		}
	}
	return ""
}

func messages(r *Result) string { return unless(r.Proof.Sent > 0, "no message was sent") }

func connections(r *Result) string {
	return unless(r.Connect.AtStart > 0 && r.Connect.DurationS > 0, "the connections were not all opened")
}

func measuring(r *Result) string {
	return either(messages(r), unless(r.Delivery.Seconds > 0, "the run ended before measuring began"))
}

func timetable(r *Result) string {
	return either(measuring(r), unless(r.Plan.Rate > 0, "only an open loop (--rate) has times to send at"))
}

func process(r *Result) string {
	return unless(r.Server != nil && r.Server.RSSPeak > 0, "the server's process is not known (--spawn or --pid)")
}

func deliveries(r *Result) string {
	return either(process(r), measuring(r), unless(r.Delivery.Received > 0, "nothing was delivered"))
}

func received(r *Result) string {
	return either(measuring(r), unless(r.Delivery.Received > 0, "nothing was delivered"))
}

func serverConnections(r *Result) string { return either(process(r), connections(r)) }

func goroutines(r *Result) string {
	return either(process(r), unless(r.Server != nil && r.Server.GoroutinesPeak > 0,
		"the server answers neither /debug/pprof nor /metrics with its goroutines (--pprof or --metrics says where)"))
}

func heap(r *Result) string {
	return either(process(r), unless(r.Server != nil && r.Server.HeapPeak > 0,
		"the server answers neither /debug/pprof nor /metrics with its heap (--pprof or --metrics says where)"))
}

func minutes(r *Result) string {
	return either(process(r), unless(r.Server != nil && r.Server.Slopes != nil, "a slope needs a minute at least (--duration)"))
}

func goroutineMinutes(r *Result) string { return either(goroutines(r), minutes(r)) }
