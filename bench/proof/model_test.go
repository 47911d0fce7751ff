package proof_test

import (
	"math/rand/v2"
	"testing"

	"throng/bench/proof"
)

// distort is what a bad server makes of a room's messages for one member.
func distort(random *rand.Rand, honest []message) (list []message) {
	for i := 0; i < len(honest); i++ {
		switch dice := random.IntN(100); {
		case dice == 0: // dropped
		case dice == 1: // twice
			list = append(list, honest[i], honest[i])
		case dice == 2 && i > 0: // an old one again
			list = append(list, honest[i], honest[random.IntN(i)])
		case dice == 3 && i+1 < len(honest): // swapped
			list = append(list, honest[i+1], honest[i])
			i++
		default:
			list = append(list, honest[i])
		}
	}
	return list
}

// account is what a member received, counted with a map: the model.
func account(list []message, sent, senders int) (want proof.Counts) {
	seen := make(map[message]bool)
	highest := make(map[int]int64)
	for _, m := range list {
		if seen[m] {
			want[proof.Duplicated]++
			continue
		}
		seen[m] = true
		if m.seq+1 < highest[m.sender] {
			want[proof.Reordered]++
		}
		highest[m.sender] = max(highest[m.sender], m.seq+1)
	}
	want[proof.Missing] = int64(sent*senders - len(seen))
	return want
}

// Every member is lied to at random, the first receivers included. What was
// dropped, sent twice or sent late must be counted as the model counts it.
//
// What is dropped for one member and comes again later as "an old one" makes it
// late and not twice; that, too, the model knows.
func TestRandomLiesAgainstAModel(t *testing.T) {
	const sent, senders, members = 400, 3, 6
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 4))
		var honest []message
		next := make([]int64, senders)
		for len(honest) < sent*senders {
			if s := random.IntN(senders); next[s] < sent {
				honest = append(honest, message{s, next[s]})
				next[s]++
			}
		}
		r := newRoom(members, senders)
		var want proof.Counts
		var streams [][]byte
		for range members {
			list := distort(random, honest)
			want.Add(account(list, sent, senders))
			streams = append(streams, stream(list...))
		}
		r.feed(random, streams...)
		got := r.finish(sent)
		if a := &r.Account; a.Expected != sent*senders*members || a.Expected != a.Received+got[proof.Missing] {
			t.Errorf("seed %d: %d were expected, %d received", seed, a.Expected, a.Received)
		}
		for _, kind := range []proof.Kind{proof.Missing, proof.Duplicated, proof.Reordered} {
			if got[kind] != want[kind] {
				t.Errorf("seed %d: %s %d, want %d", seed, kind, got[kind], want[kind])
			}
		}
	}
}
