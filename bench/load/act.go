package load

import (
	"time"

	"throng/bench/report"
)

// Act is what a scenario does with its connections besides listening and
// sending. Its methods run on the loop; one act serves one Run.
type Act interface {
	// begin is called when the load begins.
	begin(r *Run)
	// turn is called each turn while the load runs; the loop sleeps no longer
	// than what it returns.
	turn(r *Run) time.Duration
	// opened is called for connections that opened while the load runs.
	opened(r *Run, id int)
	// failed is called for those that did not.
	failed(r *Run, id int)
	// own is called when a connection has received its own message.
	own(r *Run, id int)
	// ended reports whether the end of a connection is what the act intended,
	// and no fault of the server's.
	ended(r *Run, id int) bool
	// sampled is called each second.
	sampled(r *Run, s *report.Sample)
	// stop is called when measuring is over.
	stop(r *Run)
	// settled reports whether, after stop, nothing is under way any more.
	settled(r *Run) bool
	// end is called when the run is over, unless it was cut short: what is
	// still under way then has failed.
	end(r *Run)
	// tell adds what the act found out to the result.
	tell(part *Part)
}

// plain is the act of scenarios that only listen and send.
type plain struct{}

func (plain) begin(*Run)                   {}
func (plain) turn(*Run) time.Duration      { return tickEvery }
func (plain) opened(*Run, int)             {}
func (plain) failed(*Run, int)             {}
func (plain) own(*Run, int)                {}
func (plain) ended(*Run, int) bool         { return false }
func (plain) sampled(*Run, *report.Sample) {}
func (plain) stop(*Run)                    {}
func (plain) settled(*Run) bool            { return true }
func (plain) end(*Run)                     {}
func (plain) tell(*Part)                   {}
