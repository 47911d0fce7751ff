package load_test

import (
	"bytes"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"throng/bench/liar"
	"throng/bench/load"
	"throng/bench/report"
	"throng/bench/v1"
	"throng/bench/wire"
)

func TestThrongV1(t *testing.T) {
	for _, deflate := range []bool{false, true} {
		config := start(t, &liar.Server{Deflate: deflate})
		config.Subprotocol, config.Deflate, config.Size = v1.Name, deflate, 300
		result := run(t, config)
		clean(t, &result.Proof)
		if p := &result.Proof; p.Received != due || p.Traffic[v1.Hello].Count != members || p.Traffic[v1.Joined].Count != members || len(p.Refused) != 0 {
			t.Errorf("compression %v: %d received, beside it %v, refused %v", deflate, p.Received, p.Traffic, p.Refused)
		}
		if d := &result.Delivery; d.Payload <= d.Received*300 || d.BytesIn < d.Payload != deflate {
			t.Errorf("compression %v: %d bytes of payload and %d on the wire for %d deliveries", deflate, d.Payload, d.BytesIn, d.Received)
		}
	}
}

// What the server does not take for the moment is said again.
func TestARefusedMessageIsSaidAgain(t *testing.T) {
	t.Parallel()
	refused := false
	config := start(t, &liar.Server{Refuse: func(id string) bool {
		first := !refused && id == v1.MessageID(messages-1)
		refused = refused || first
		return first
	}})
	config.Subprotocol = v1.Name
	p := run(t, config).Proof
	clean(t, &p)
	if want := []report.ErrorCount{{Error: "error rate_limited: slower", Count: 1}}; p.Received != due || !slices.Equal(p.Refused, want) {
		t.Errorf("%d received, refused %v", p.Received, p.Refused)
	}
}

// A member that is told nothing until its connection is cut by a storm has enough
// to be told of when it is back.
func TestStormsResume(t *testing.T) {
	const missed = 12 // more than can be in flight when the storm strikes
	change := func(old, new string) func([][]byte) [][]byte {
		return func(frames [][]byte) [][]byte {
			for i := range 2 {
				text := bytes.Replace(frames[i][2:], []byte(old), []byte(new), 1)
				frames[i] = wire.AppendServerFrame(nil, wire.Text, text)
			}
			return frames
		}
	}
	for _, test := range []struct {
		name string
		back func(frames [][]byte) [][]byte // of those who have missed so many
		want report.Proof
		anew int64
	}{
		{"all of it", func(f [][]byte) [][]byte { return f }, report.Proof{}, 0},
		{"one is lost", func(f [][]byte) [][]byte { return slices.Delete(f, 7, 8) }, report.Proof{Missing: 1, Unlinked: 1}, 0},
		{"one twice", func(f [][]byte) [][]byte { return slices.Insert(f, 7, f[7]) }, report.Proof{Duplicated: 1}, 0},
		{"somebody else", change(`"id":"who`, `"id":"not`), report.Proof{Refused: []report.ErrorCount{
			{Error: "a member that came back with its token was somebody else", Count: 2}}}, 0}, // and who it was again after the next storm
		{"by its own account", change(`"resumed":true`, `"resumed":false`), report.Proof{}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := &liar.Server{}
			var lied atomic.Int64 // when: so many had joined
			joined := int64(0)
			server.Lie = func(d liar.Delivery) [][]byte {
				// Once all are back from a storm: then it is one member, and what it is not told before the next storm comes with its return.
				if joined%members == 0 && d.Member%members == 7 && lied.Load() == 0 {
					return nil
				}
				return [][]byte{d.Frame}
			}
			server.Return = func(frames [][]byte) [][]byte {
				joined++
				if len(frames) < 2+missed || lied.Load() > 0 {
					return frames
				}
				lied.Store(joined)
				return test.back(slices.Clone(frames))
			}
			config := start(t, server)
			config.Subprotocol, config.Patience = v1.Name, 300*time.Millisecond
			config.Act = &load.Storm{Calm: 20 * time.Millisecond}
			result := runUntil(t, config, func() bool {
				return lied.Load() > 0 && int64(server.Joined()) > lied.Load()+3*members
			})
			got := result.Proof
			if got.Missing != test.want.Missing || got.Duplicated != test.want.Duplicated || got.Unlinked != test.want.Unlinked ||
				got.Corrupted+got.Reordered+got.Diverged+got.Misdelivered+got.Closed != 0 || !slices.Equal(got.Refused, test.want.Refused) {
				t.Errorf("missing %d, duplicated %d, unlinked %d, refused %v: %v", got.Missing, got.Duplicated, got.Unlinked, got.Refused, got.Findings)
			}
			if s := result.Storm; s.Anew != test.anew || s.Resumed < 2*members {
				t.Errorf("%d resumed, %d anew, want %d", s.Resumed, s.Anew, test.anew)
			}
		})
	}
}

// What the server has not heard when the connection is cut is said again.
func TestWhatWasLostInAStormIsSaidAgain(t *testing.T) {
	t.Parallel()
	lost := false
	config := start(t, &liar.Server{Lose: func(string) bool {
		first := !lost
		lost = true
		return first
	}})
	config.Subprotocol, config.Patience = v1.Name, 300*time.Millisecond
	config.Window, config.Act = 1, &load.Storm{Calm: 20 * time.Millisecond}
	p := run(t, config).Proof
	clean(t, &p)
	if p.Received != due {
		t.Errorf("%d received, want %d", p.Received, due)
	}
}
