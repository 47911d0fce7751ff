package proof_test

import (
	"fmt"
	"slices"
	"testing"

	"throng/bench/proof"
	"throng/bench/wire"
)

// all is what a sender sent in all.
func all(n int64) proof.Sent { return func(int) int64 { return n } }

func TestANewcomerOwesOnlyWhatFollowsItsFirst(t *testing.T) {
	honest := run(0, 0, 3000)
	r := newRoom(1, 1)
	r.Feed(&r.members[0], 0, stream(honest[:2000]...), 1)
	var late proof.Member
	r.JoinLate(&late, proof.NotSender)
	r.Feed(&r.members[0], 0, stream(honest[2000:]...), 1)
	r.Feed(&late, 1, stream(honest[0]), 1) // a history that is long past
	r.Feed(&late, 1, stream(honest[1990:2500]...), 1)
	r.Feed(&late, 1, stream(honest[2501:]...), 1)
	r.Finish(&late, 1, all(3000), true)
	if counts := r.Counts; counts != (proof.Counts{proof.Missing: 1}) {
		t.Errorf("got %v, want the one message within its time", counts)
	}
}

// A newcomer has a while for its first message, during which the others receive
// 0 to 599; from 600 on it must receive everything.
func TestANewcomerMustHearSomethingInTime(t *testing.T) {
	honest := run(0, 0, 1000)
	swapped := slices.Concat(honest[:702], []message{honest[703], honest[702]}, honest[704:])
	for _, test := range []struct {
		name     string
		order    []message // of the one that was there
		expected bool
		soon     []message // received before the others have 600
		first    []message // received before the others have it
		then     []message // received after
		want     proof.Counts
		due      int64
	}{
		{"nothing", honest, true, nil, nil, nil, proof.Counts{proof.Missing: 400}, 400},
		{"nothing, and there was no time", honest, false, nil, nil, nil, proof.Counts{}, 0},
		{"a history only", honest, true, nil, honest[:100], nil, proof.Counts{proof.Missing: 400}, 400},
		{"in time", honest, true, honest[550:600], nil, honest[600:], proof.Counts{}, 450},
		{"in the end", honest, true, nil, nil, honest[600:], proof.Counts{}, 400},
		{"too late", honest, true, nil, nil, honest[700:], proof.Counts{proof.Missing: 100}, 400},
		{"not the last", honest, true, honest[550:600], nil, honest[600:900], proof.Counts{proof.Missing: 100}, 450},
		{"before all others", honest, true, nil, honest[600:], nil, proof.Counts{}, 400},
		{"before all others, not all", honest, true, nil, slices.Concat(honest[600:800], honest[850:]), nil, proof.Counts{proof.Missing: 50}, 400},
		{"before all others, twice", honest, true, nil, slices.Concat(honest[600:800], honest[799:]), nil, proof.Counts{proof.Duplicated: 1}, 400},
		{"before all others, then with them", honest, true, nil, honest[600:700], honest[700:], proof.Counts{}, 400},
		{"and again", honest, true, nil, honest[600:700], honest[699:], proof.Counts{proof.Duplicated: 1}, 400},
		{"in another order", swapped, true, nil, honest[600:703], honest[703:], proof.Counts{}, 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRoom(1, 1)
			r.Feed(&r.members[0], 0, stream(honest[:500]...), 1)
			var late proof.Member
			r.JoinLate(&late, proof.NotSender)
			r.Feed(&r.members[0], 0, stream(honest[500:600]...), 1)
			r.Feed(&late, 1, stream(test.soon...), 1)
			if test.expected {
				r.Expect(&late)
			}
			r.Feed(&late, 1, stream(test.first...), 1)
			r.Feed(&r.members[0], 0, stream(test.order[600:]...), 1)
			r.Feed(&late, 1, stream(test.then...), 1)
			before := r.Counts[proof.Reordered] // of the first member
			r.Finish(&late, 1, all(1000), false)
			got := r.Counts
			got[proof.Reordered] -= before
			check(t, test.name, got, test.want)
			if r.Account.Expected != test.due {
				t.Errorf("%d were due, want %d", r.Account.Expected, test.due)
			}
			if missing := test.want[proof.Missing]; missing > 0 && (len(r.Findings) == 0 || r.Findings[len(r.Findings)-1].Count != missing) {
				t.Errorf("findings %v, want one of %d", r.Findings, missing)
			}
		})
	}
}

// paused is a room of two senders whose one member has come back after a pause
// that began after 100 messages of each; those from 50 on were never delivered.
func paused(second int64) *room {
	r := newRoom(1, 2)
	r.Feed(&r.members[0], 0, stream(slices.Concat(run(0, 0, 50), run(1, 0, 50))...), 1)
	r.Finish(&r.members[0], 0, all(50), true)
	r.Pause()
	r.JoinPaused(&r.members[0], proof.NotSender)
	r.Feed(&r.members[0], 0, stream(run(0, 50, 100)...), 1)
	r.Resume(2, func(sender int) int64 { return []int64{100, second}[sender] })
	r.Account.Expected, r.Account.Received = 0, 0
	return r
}

func TestAfterAPauseEverythingIsDue(t *testing.T) {
	for _, test := range []struct {
		name   string
		stream []byte
		want   proof.Counts
		due    int64
	}{
		{"all", stream(slices.Concat(run(0, 100, 150), run(1, 100, 150))...), proof.Counts{}, 100},
		{"all, after what is late", stream(slices.Concat(run(1, 60, 70), run(0, 100, 150), run(1, 70, 150))...), proof.Counts{}, 100},
		{"nothing", nil, proof.Counts{proof.Missing: 100}, 100},
		{"what is late only", stream(run(1, 60, 70)...), proof.Counts{proof.Missing: 100}, 100},
		{"one sender", stream(run(0, 100, 150)...), proof.Counts{proof.Missing: 50}, 100},
		{"not the first", stream(slices.Concat(run(0, 101, 150), run(1, 100, 150))...), proof.Counts{proof.Missing: 1}, 100},
		{"a gap", slices.Concat(text(" .... you missed 20 messages."), stream(slices.Concat(run(0, 110, 150), run(1, 110, 150))...)), proof.Counts{}, 100},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := paused(100)
			r.Feed(&r.members[0], 0, test.stream, 3)
			due := r.Due(&r.members[0], all(150))
			check(t, test.name, r.finish(150), test.want)
			if due != test.want[proof.Missing] || r.Account.Expected != test.due {
				t.Errorf("%d awaited, want %d; %d due in all, want %d", due, test.want[proof.Missing], r.Account.Expected, test.due)
			}
		})
	}
}

// Another process's sender cannot be asked at the end of a pause: what is heard
// of it is compared, and what nobody heard may be older.
func TestAfterAPauseStrangersAreBelievedTheirTime(t *testing.T) {
	late := func(m message) []byte {
		text := fmt.Appendf(nil, "user-%d: ", m.sender)
		return wire.AppendServerFrame(nil, wire.Text, proof.AppendMessage(text, proof.Stamp{Sender: m.sender, Seq: m.seq, Intended: 9}, size))
	}
	r := paused(proof.Unknown)
	var other proof.Member
	r.JoinPaused(&other, proof.NotSender)
	mine := stream(run(0, 100, 110)...)
	r.Feed(&r.members[0], 0, slices.Concat(mine, frame(message{1, 99}), late(message{1, 120}), late(message{1, 121})), 3)
	r.Feed(&other, 1, slices.Concat(mine, late(message{1, 121})), 3)
	sent := func(sender int) int64 { return []int64{110, 122}[sender] }
	if a, b := r.Due(&r.members[0], sent), r.Due(&other, sent); a != 0 || b != 1 {
		t.Errorf("%d and %d awaited, want 0 and 1", a, b)
	}
	r.Finish(&r.members[0], 0, sent, false)
	r.Finish(&other, 1, sent, false)
	check(t, "strangers", r.Counts, proof.Counts{proof.Missing: 1})
}

// A connection that this side cuts owes what was sent a while ago.
func TestACutMemberOwesWhatWasSentUntilThen(t *testing.T) {
	for _, test := range []struct {
		name    string
		heard   []message
		awaits  bool
		missing int64
	}{
		{"all of it", run(0, 0, 100), false, 0},
		{"more", run(0, 0, 150), false, 0},
		{"not the last", run(0, 0, 99), true, 1},
		{"not the first", run(0, 1, 150), false, 1},
		{"nothing", nil, true, 100},
	} {
		r := newRoom(2, 1)
		r.Feed(&r.members[0], 0, stream(run(0, 0, 120)...), 1)
		r.Feed(&r.members[1], 1, stream(test.heard...), 1)
		if awaits := r.Awaits(&r.members[1], all(100)); awaits != test.awaits {
			t.Errorf("%s: awaits %v", test.name, awaits)
		}
		r.Cut(&r.members[1], 1, all(100))
		check(t, test.name, r.Counts, proof.Counts{proof.Missing: test.missing})
	}
}
