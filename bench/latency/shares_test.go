package latency_test

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"throng/bench/latency"
)

// merge puts the shares of several processes together, as if they had travelled.
func merge(t *testing.T, processes []*latency.Recorder) *latency.Recorder {
	t.Helper()
	var parts []*latency.Shares
	for _, r := range processes {
		text, err := json.Marshal(r.Shares)
		if err != nil {
			t.Fatal(err)
		}
		part := new(latency.Shares)
		if err := json.Unmarshal(text, part); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part)
	}
	merged := latency.NewRecorder()
	merged.MergeShares(parts)
	return merged
}

// Merged from three processes a broadcast has the receivers that it has in one.
func TestSharesMakeTheWholeAudience(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	whole := latency.NewRecorder()
	processes := []*latency.Recorder{latency.NewRecorder(), latency.NewRecorder(), latency.NewRecorder()}
	members := []int{1, 7, 30}
	const messages = 500
	for seq := range int64(messages) {
		message := latency.Message{Sender: int(seq % 3), Seq: seq, Intended: 1000 * seq, Sent: 1000 * seq}
		ticket := whole.Begin(message, 38, 1)
		for i, r := range processes {
			part := r.Begin(message, members[i], 3)
			for range members[i] {
				at := 1000*seq + int64(i)*500_000 + random.Int64N(3_000_000)
				whole.Receive(ticket, at)
				r.Receive(part, at)
			}
		}
	}
	merged := merge(t, processes)
	for i, name := range []string{2: "first", 3: "median", 4: "99th", 5: "last", 6: "spread"} {
		if name != "" && !(*merged.All()[i]).Equals(*whole.All()[i]) {
			t.Errorf("%s: the merged histogram differs", name)
		}
		if n := (*processes[2].All()[i]).TotalCount(); name != "" && n != 0 {
			t.Errorf("%s: a process has %d broadcasts of its own", name, n)
		}
	}
	if merged.Last.TotalCount() != messages || merged.Incomplete != 0 {
		t.Errorf("%d broadcasts, %d incomplete", merged.Last.TotalCount(), merged.Incomplete)
	}
}

// A broadcast reached everybody if it did in every process.
func TestAMissingShareIsIncomplete(t *testing.T) {
	a, b := latency.NewRecorder(), latency.NewRecorder()
	for seq := range int64(3) {
		ticket := a.Begin(latency.Message{Seq: seq}, 1, 2)
		a.Receive(ticket, 5000)
		switch seq {
		case 0: // b has no share of it
		case 1:
			b.Fail(b.Begin(latency.Message{Seq: seq}, 1, 2))
		case 2:
			b.Receive(b.Begin(latency.Message{Seq: seq}, 1, 2), 9_000_000)
		}
	}
	merged := merge(t, []*latency.Recorder{a, b})
	if merged.Incomplete != 2 || merged.Last.TotalCount() != 1 || !near(merged.Spread.Max(), 9e6-5e3) {
		t.Errorf("%d incomplete, %d complete, spread %d", merged.Incomplete, merged.Last.TotalCount(), merged.Spread.Max())
	}
}

// Shares stay within their bound, and those that stay are the same everywhere.
func TestSharesAreBounded(t *testing.T) {
	const messages, limit = 150_000, 16 << 20
	processes := []*latency.Recorder{latency.NewRecorder(), latency.NewRecorder()}
	for seq := range int64(messages) {
		for i, members := range []int{1, 13} {
			ticket := processes[i].Begin(latency.Message{Seq: seq}, members, 2)
			for k := range members {
				processes[i].Receive(ticket, int64(k)*1_000_000_000)
			}
		}
	}
	for i, r := range processes {
		size := 0
		for _, share := range r.Shares.All {
			size += len(share.Arrivals)
		}
		if size > limit || len(r.Shares.All) < messages/16 {
			t.Errorf("process %d keeps %d shares with %d bytes", i, len(r.Shares.All), size)
		}
	}
	if len(processes[0].Shares.All) <= len(processes[1].Shares.All) {
		t.Errorf("%d small shares and %d large ones are kept", len(processes[0].Shares.All), len(processes[1].Shares.All))
	}
	merged := merge(t, processes)
	if n := merged.Last.TotalCount(); n != int64(len(processes[1].Shares.All)) || merged.Incomplete != 0 {
		t.Errorf("%d are complete and %d not, of %d", n, merged.Incomplete, len(processes[1].Shares.All))
	}
}
