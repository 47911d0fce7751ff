package load_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"throng/bench/liar"
	"throng/bench/load"
	"throng/bench/report"
)

// runUntil ends a run once a condition holds, which is looked at each second.
func runUntil(t *testing.T, config load.Config, enough func() bool) *report.Result {
	t.Helper()
	config.Messages, config.Duration = 0, time.Hour
	r, err := load.New(config)
	if err != nil {
		t.Fatal(err)
	}
	r.OnSample = func(report.Sample) {
		if enough() {
			r.Cut("enough")
		}
	}
	if err := r.Go(); err != nil {
		t.Fatal(err)
	}
	return load.Combine([]*load.Part{r.Part()})
}

// clean fails the test if anything is wrong with what was delivered.
func clean(t *testing.T, p *report.Proof) {
	t.Helper()
	if n := p.Missing + p.Duplicated + p.Reordered + p.Diverged + p.Corrupted + p.Misdelivered + p.Invented + p.Unlinked + p.Closed; n != 0 || p.Received == 0 {
		t.Errorf("%d received; accusations: missing %d, duplicated %d, reordered %d, diverged %d, corrupted %d, misdelivered %d, invented %d, unlinked %d, closed %v: %v",
			p.Received, p.Missing, p.Duplicated, p.Reordered, p.Diverged, p.Corrupted, p.Misdelivered, p.Invented, p.Unlinked,
			p.CloseReasons, p.Findings)
	}
}

func TestChurnAccusesNoHonestServer(t *testing.T) {
	t.Parallel()
	server := &liar.Server{}
	config := start(t, server)
	config.Visitors, config.Rate, config.Window, config.Act = 10, 100, 0, &load.Churn{Rate: 100}
	result := runUntil(t, config, func() bool { return server.Joined() > members+50 })
	clean(t, &result.Proof)
	if result.Churn.Visits == 0 || result.Connect.AtStart != members || result.Connect.Opened <= members {
		t.Errorf("%d visits, %d opened, %d of them at the start", result.Churn.Visits, result.Connect.Opened, result.Connect.AtStart)
	}
}

func TestStormsAccuseNoHonestServer(t *testing.T) {
	t.Parallel()
	server := &liar.Server{}
	config := start(t, server)
	config.Act = &load.Storm{Calm: 20 * time.Millisecond}
	result := runUntil(t, config, func() bool { return server.Joined() > 5*members })
	clean(t, &result.Proof)
	if result.Storm == nil || result.Storm.Rounds < 4 {
		t.Errorf("storms: %+v, want at least 4", result.Storm)
	}
}

func TestSlowMembersMissNothingFromAPatientServer(t *testing.T) {
	t.Parallel()
	config := start(t, &liar.Server{})
	config.Act = &load.Slow{Share: 0.5}
	result := run(t, config)
	clean(t, &result.Proof)
	if result.Slow.Members != members/2 || result.Slow.Closed != 0 || result.Proof.Received != due {
		t.Errorf("%d slow members, %d closed, %d received", result.Slow.Members, result.Slow.Closed, result.Proof.Received)
	}
}

func TestARampNamesItsFirstLimit(t *testing.T) {
	t.Parallel()
	server := &liar.Server{AnswerAfter: 15, Answer: func(w io.Writer, _ *http.Request) {
		io.WriteString(w, "HTTP/1.1 503 Service Unavailable\r\n\r\nfull")
	}}
	config := start(t, server)
	config.Messages, config.Opening, config.Act = 0, 1, &load.Ramp{From: 5, Limit: time.Hour}
	result := run(t, config)
	clean(t, &result.Proof)
	if want := "at 15 connections: a connection failed: upgrade refused: 503 Service Unavailable: full"; result.Limit != want {
		t.Errorf("limit %q, want %q", result.Limit, want)
	}
}

// A sender that is yet to be opened would owe messages since the load's begin.
func TestARampBeginsWithItsSenders(t *testing.T) {
	t.Parallel()
	for from, want := range map[int]int64{1: senders, 5: 5} {
		config := start(t, &liar.Server{AnswerAfter: 6, Answer: func(w io.Writer, _ *http.Request) {
			io.WriteString(w, "HTTP/1.1 503 Service Unavailable\r\n\r\nfull")
		}})
		config.Messages, config.Opening, config.Act = 0, 1, &load.Ramp{From: from, Limit: time.Hour}
		if got := run(t, config).Connect.AtStart; got != want {
			t.Errorf("from %d: %d connections at the start, want %d", from, got, want)
		}
	}
}

func TestRoomsAreApart(t *testing.T) {
	t.Parallel()
	// A server with one room delivers everything to everybody: to members of
	// the other rooms that is none of theirs.
	config := start(t, &liar.Server{})
	config.Rooms, config.Senders, config.Messages = 4, 1, 10
	p := run(t, config).Proof
	// The run ends when everybody has what is due, whatever else is under way.
	if most := int64(4 * 10 * members * 3 / 4); p.Misdelivered == 0 || p.Misdelivered > most || p.Missing != 0 {
		t.Errorf("%d misdelivered, and there are %d to be; %d missing", p.Misdelivered, most, p.Missing)
	}
}

func TestASilentServerIsNoHang(t *testing.T) {
	t.Parallel()
	config := start(t, &liar.Server{Lie: func(liar.Delivery) [][]byte { return nil }})
	config.Messages, config.Patience = 5, 100*time.Millisecond
	p := run(t, config).Proof
	if p.Received != 0 || p.Missing != senders*5*members {
		t.Errorf("%d received, %d missing", p.Received, p.Missing)
	}
}

func TestTheAnswerNamesTheErrorOfAFailedRun(t *testing.T) {
	t.Parallel()
	config := start(t, &liar.Server{Answer: func(w io.Writer, _ *http.Request) { io.WriteString(w, "SSH-2.0-x\r\n") }})
	r, err := load.New(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Go(); err == nil || !strings.Contains(err.Error(), "not HTTP") {
		t.Errorf("got %v", err)
	}
}

// Members that a server drops come back all together, and owe nothing for what was
// under way.
func TestComebackAccusesNoHonestServer(t *testing.T) {
	t.Parallel()
	server := &liar.Server{Hang: func(member int) int {
		if member == 3 { // of the first lot
			return 40
		}
		return 0
	}}
	config := start(t, server)
	config.Act = &load.Comeback{}
	config.Messages, config.Duration = 0, time.Hour
	r, err := load.New(config)
	if err != nil {
		t.Fatal(err)
	}
	r.OnSample = func(s report.Sample) {
		if server.Joined() == 2*members && s.Open == members && s.Received > 0 {
			r.Stop()
		}
	}
	if err := r.Go(); err != nil {
		t.Fatal(err)
	}
	result := load.Combine([]*load.Part{r.Part()})
	clean(t, &result.Proof)
	if result.Storm == nil || result.Storm.Rounds != 1 || result.Connect.Opened != 2*members || result.CutShort != "" {
		t.Errorf("recovered %+v, %d opened, cut short %q", result.Storm, result.Connect.Opened, result.CutShort)
	}
}

// A run that is stopped owes what it has sent: it is not a run that was cut.
func TestStopWaitsForWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	for _, lossy := range []bool{false, true} {
		server := &liar.Server{}
		if lossy {
			server.Lie = func(d liar.Delivery) [][]byte {
				if d.Member == 3 {
					return nil // nothing at all, until the end
				}
				return [][]byte{d.Frame}
			}
		}
		config := start(t, server)
		config.Messages, config.Duration, config.Patience = 0, time.Hour, 300*time.Millisecond
		config.Window, config.Rate = 0, 1000
		r, err := load.New(config)
		if err != nil {
			t.Fatal(err)
		}
		r.OnSample = func(report.Sample) { r.Stop() }
		if err := r.Go(); err != nil {
			t.Fatal(err)
		}
		result := load.Combine([]*load.Part{r.Part()})
		p := &result.Proof
		if lossy != (p.Missing > 0) || lossy && p.Missing != p.Sent || p.Received == 0 || result.CutShort != "" {
			t.Errorf("lossy %v: sent %d, received %d, missing %d, cut short %q", lossy, p.Sent, p.Received, p.Missing, result.CutShort)
		}
		if n := result.Delivery.LateSends; n > 1e6 { // an hour has 3.6 million
			t.Errorf("%d messages that were due after the end were late", n)
		}
	}
}
