package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"throng/bench/picture"
	"throng/bench/report"
)

// judge decides whether the server kept its promises, and whether the figures
// are worth what they seem.
func judge(r *report.Result, flags *common) {
	p := &r.Proof
	fail := func(count int64, what string) {
		if count > 0 {
			r.Failures = append(r.Failures, fmt.Sprintf("%s %s", report.Number(float64(count)), what))
		}
	}
	fail(p.Missing, "deliveries missing")
	fail(p.Duplicated, "duplicated")
	fail(p.Reordered, "reordered")
	fail(p.Corrupted, "corrupted")
	fail(p.Misdelivered, "delivered to the wrong room")
	fail(p.Invented, "announced as left out, and not left out")
	fail(p.Unlinked, "not behind the message before, by their numbers")
	fail(p.Closed, "connections closed by the server")
	if flags.Order == "total" {
		fail(p.Diverged, "in another order than the room's first receiver saw")
		if !p.OneOrder && p.Missing+p.Diverged+p.Announced == 0 && r.CutShort == "" && r.Storm == nil {
			r.Failures = append(r.Failures, "the client processes saw different orders")
		}
	}
	if r.Limit == "" { // a ramp goes on until connections fail
		fail(r.Connect.Failed, "connections failed to open")
	}
	judgeUnsent(r)
	judgeActs(r)
	for _, condition := range flags.FailIf {
		if met := condition.Check(r); met != "" {
			r.Failures = append(r.Failures, met)
		}
	}
	warn(r)
}

// From these shares of what was due on, messages that could not be sent are
// worth a warning, and make another run of it than the one asked for.
const (
	unsentWarns = 0.01
	unsentFails = 0.05
)

// judgeUnsent judges messages that an open loop owes. They were kept back by a
// server that did not answer or did not read, and make the run fail, for a rate
// that a server does not keep up with is not passed; unless something else says
// already why: the load generator, an end before its time, the limit that a ramp
// looked for, storms, or connections that were lost.
func judgeUnsent(r *report.Result) {
	d := &r.Delivery
	share := float64(d.NotSent) / float64(max(d.Sent+d.NotSent, 1))
	if share < unsentWarns {
		return
	}
	text := fmt.Sprintf("%s messages were due and could not be sent, the oldest for %s: %s a second were sent, --rate is %s",
		report.Number(float64(d.NotSent)), report.Duration(d.OldestUnsent), report.Number(d.SendRate), report.Number(r.Plan.Rate))
	explained := r.Load.WasBottleneck || r.CutShort != "" || r.Limit != "" || r.Storm != nil || r.Proof.Closed+r.Connect.Failed > 0
	if explained || share < unsentFails {
		r.Warnings = append(r.Warnings, text)
	} else {
		r.Failures = append(r.Failures, text)
	}
}

// judgeActs fails a run in which what its scenario is about did not take place.
func judgeActs(r *report.Result) {
	if r.CutShort != "" {
		return
	}
	fail := func(what string) { r.Failures = append(r.Failures, what) }
	if s := r.Storm; s != nil {
		switch {
		case s.Unfinished > 0:
			fail("a storm was not over at the end: not all connections had come back")
		case s.Rounds == 0:
			fail("there was no storm in the time: raise --duration, or lower --calm")
		}
	}
	if r.Churn != nil && r.Churn.Visits == 0 {
		fail("not one visit was completed in the time")
	}
}

// warn says why figures may be those of the load generator.
func warn(r *report.Result) {
	l := &r.Load
	if !l.WasBottleneck {
		return
	}
	why := fmt.Sprintf("its busiest process used %.0f %% of a core", 100*l.CPUShare)
	switch {
	case l.WaitedShare > 0.1:
		why = fmt.Sprintf("other processes kept it from a core for %.0f %% of the time", 100*l.WaitedShare)
	case r.Delivery.LateSends > 0:
		why = fmt.Sprintf("%d messages were sent late, one by %s", r.Delivery.LateSends, report.Duration(r.Delivery.LatestSend))
	}
	r.Warnings = append(r.Warnings, "the load generator was a bottleneck ("+why+"): the server may be better than these figures")
}

// publish writes the reports, and says how the run went.
func publish(ctx context.Context, r *report.Result, flags *common) error {
	err := report.Summary(os.Stdout, r)
	for _, file := range []struct {
		name  string
		write func(*report.Result) ([]byte, error)
	}{
		{flags.JSON, report.JSON},
		{flags.CSV, func(r *report.Result) ([]byte, error) { return report.CSV(r.Samples), nil }},
		{flags.HTML, picture.HTML},
		{flags.PNG, func(r *report.Result) ([]byte, error) { return picture.PNG(r) }},
	} {
		if file.name == "" {
			continue
		}
		content, problem := file.write(r)
		if problem == nil {
			problem = keep(file.name, content)
		}
		err = errors.Join(err, problem)
	}
	switch {
	case err != nil:
		return err
	case r.CutShort != "" && ctx.Err() != nil:
		return context.Cause(ctx) // whatever failed, the run was not made to its end
	case len(r.Failures) > 0:
		return errFailed
	}
	return nil
}
