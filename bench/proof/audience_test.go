package proof_test

import (
	"testing"

	"throng/bench/proof"
)

// heard is how many broadcasts reached their whole audience, and how many did not.
type heard struct{ complete, incomplete int64 }

func (r *room) heard() heard { return heard{r.latency.Last.TotalCount(), r.latency.Incomplete} }

// The rows of first and last receivers go on after a member was lost, has left,
// or missed something: only what it was to hear is not in them.
func TestBroadcastsGoOnWithoutOneMember(t *testing.T) {
	for _, test := range []struct {
		name string
		lose func(r *room)
		want heard
	}{
		{"the server closed it", func(r *room) {
			r.Leave(&r.members[2], false)
			r.Leave(&r.members[2], false)
			r.give(2, run(0, 5, 7)...) // what was read together with the close
		}, heard{9, 1}},
		{"it left", func(r *room) { r.Leave(&r.members[2], true) }, heard{10, 0}},
		{"it was sent on its way", func(r *room) {
			r.Leave(&r.members[2], true)
			r.Finish(&r.members[2], 2, func(int) int64 { return 6 }, true)
		}, heard{10, 0}},
		{"it missed one", func(r *room) { r.give(2, run(0, 6, 10)...) }, heard{9, 1}},
		{"it hears no more until the end", func(r *room) {
			r.Finish(&r.members[2], 2, func(int) int64 { return 6 }, false)
		}, heard{9, 1}},
		{"the run was cut short", func(r *room) {
			r.Finish(&r.members[2], 2, func(int) int64 { return 6 }, true)
		}, heard{9, 0}},
	} {
		r := newRoom(3, 1)
		r.give(0, run(0, 0, 6)...)
		r.give(1, run(0, 0, 6)...)
		r.give(2, run(0, 0, 5)...)
		if got := r.heard(); got != (heard{5, 0}) {
			t.Fatalf("%s: before it %+v", test.name, got)
		}
		if test.name == "it missed one" {
			r.give(0, run(0, 6, 10)...)
			test.lose(r)
		} else {
			test.lose(r)
			r.give(0, run(0, 6, 10)...)
		}
		if got := r.heard().complete; got != test.want.complete-4 {
			t.Errorf("%s: %d complete before all have the last four, want %d", test.name, got, test.want.complete-4)
		}
		r.give(1, run(0, 6, 10)...)
		if got := r.heard(); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

// A newcomer belongs to the audience of what begins after its own first message.
func TestANewcomerJoinsTheAudience(t *testing.T) {
	r := newRoom(2, 1)
	r.members = append(r.members, proof.Member{})
	r.give(0, run(0, 0, 2)...)
	r.JoinLate(&r.members[2], proof.NotSender)
	r.give(0, run(0, 2, 3)...) // nobody knows yet whether it is in the room
	r.give(2, run(0, 1, 3)...)
	if got := r.heard(); got != (heard{}) {
		t.Errorf("what began before the newcomer came does not wait for the others: %+v", got)
	}
	r.give(0, run(0, 3, 5)...)
	r.give(1, run(0, 0, 5)...)
	if got := r.heard(); got != (heard{3, 0}) {
		t.Errorf("without the newcomer's part of the last two %+v, want three complete", got)
	}
	r.give(2, run(0, 3, 5)...)
	if got := r.heard(); got != (heard{5, 0}) {
		t.Errorf("in the end %+v, want five complete", got)
	}
	// One that goes before it has heard anything was in nobody's way.
	r.members = append(r.members, proof.Member{})
	r.give(0, run(0, 5, 6)...)
	r.JoinLate(&r.members[3], proof.NotSender)
	r.Leave(&r.members[3], false)
	for id := 1; id < 3; id++ {
		r.give(id, run(0, 5, 6)...)
	}
	if got := r.heard(); got != (heard{6, 0}) {
		t.Errorf("after a short visit %+v, want six complete", got)
	}
}

// give feeds messages to one member.
func (r *room) give(id int, messages ...message) {
	r.Feed(&r.members[id], id, stream(messages...), 5_000)
}
