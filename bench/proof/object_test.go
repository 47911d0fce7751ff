package proof_test

import (
	"bytes"
	"compress/flate"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"throng/bench/proof"
	"throng/bench/v1"
	"throng/bench/wire"
)

// newRoomV1 is a room in which throng.v1 is spoken.
func newRoomV1(members int, inflater *wire.Inflater) *room {
	r := newRoom(members, 1)
	r.Reference = proof.NewReference(proof.Config{Senders: 1, Size: size, Events: r, Latency: r.latency, Account: &r.Account,
		JSON: true, Room: "lobby", Inflater: inflater})
	for i := range r.members {
		r.Join(&r.members[i], i-max(2*i, 0)) // the first is the sender
	}
	return r
}

// object is a message as throng.v1 has it. Numbers begin at 11.
func object(seq int64) string {
	text := proof.AppendMessage(nil, proof.Stamp{Seq: seq, Intended: 1, Sampled: true}, size)
	return fmt.Sprintf(`{"t":"msg","seq":%d,"prev":%d,"ts":1,"room":"lobby","from":{"id":"7","nick":"user-7"},"text":"%s","id":"%s"}`,
		seq+11, seq+10, text, v1.MessageID(seq))
}

// objects is a stream of messages, where some are replaced.
func objects(from, to int64, instead map[int64][]byte) (b []byte) {
	for seq := from; seq < to; seq++ {
		if other, ok := instead[seq]; ok {
			b = append(b, other...)
		} else {
			b = append(b, text(object(seq))...)
		}
	}
	return b
}

// altered is a message's frame with something else in it.
func altered(seq int64, old, new string) []byte {
	return text(string(bytes.Replace([]byte(object(seq)), []byte(old), []byte(new), 1)))
}

func TestLiesInJSON(t *testing.T) {
	const gap = `{"t":"gap","room":"lobby","from":%d,"to":%d,"missed":%d}`
	// Messages 100 to 149, which have the numbers 111 to 160, are replaced by a gap.
	without := func(gap string) []byte {
		return slices.Concat(objects(0, 100, nil), text(gap), objects(150, 300, nil))
	}
	other := `{"t":"msg","seq":5,"prev":4,"room":"lobby","from":{"id":"9","nick":"x"},"text":"hello"}`
	for _, test := range []struct {
		name      string
		stream    []byte
		announced int64
		want      proof.Counts
	}{
		{"none", objects(0, 300, nil), 0, proof.Counts{}},
		{"one dropped", objects(0, 300, map[int64][]byte{100: nil}), 0, proof.Counts{proof.Missing: 1, proof.Unlinked: 1}},
		{"last dropped", objects(0, 299, nil), 0, proof.Counts{proof.Missing: 1}},
		{"one twice", slices.Concat(objects(0, 100, nil), objects(99, 300, nil)), 0, proof.Counts{proof.Duplicated: 1}},
		{"its text", objects(0, 300, map[int64][]byte{100: altered(100, "abcde", "abcdX")}), 0, proof.Counts{proof.Corrupted: 1}},
		{"text behind it", objects(0, 300, map[int64][]byte{100: altered(100, `","id"`, `x","id"`)}), 0, proof.Counts{proof.Corrupted: 1}},
		{"its author", objects(0, 300, map[int64][]byte{100: altered(100, "user-7", "user-8")}), 0, proof.Counts{proof.Corrupted: 1}},
		{"its id", objects(0, 300, map[int64][]byte{100: altered(100, `"id":"2s"`, `"id":"2t"`)}), 0, proof.Counts{proof.Corrupted: 1}},
		{"its time", objects(0, 300, map[int64][]byte{100: altered(100, `"ts":1`, `"ts":2`)}), 0, proof.Counts{proof.Corrupted: 1}},
		{"no JSON", objects(0, 300, map[int64][]byte{100: altered(100, `{"t"`, `{"t`)}), 0, proof.Counts{proof.Corrupted: 1}},
		{"another room", objects(0, 300, map[int64][]byte{100: slices.Concat(altered(100, "lobby", "attic"), text(object(100)))}), 0,
			proof.Counts{proof.Misdelivered: 1}},
		{"an announced gap", without(fmt.Sprintf(gap, 111, 160, 50)), 50, proof.Counts{}},
		{"a gap with room for more", without(fmt.Sprintf(gap, 111, 165, 50)), 50, proof.Counts{proof.Unlinked: 1}},
		{"a gap that ends too early", without(fmt.Sprintf(gap, 111, 159, 49)), 49, proof.Counts{proof.Missing: 1, proof.Unlinked: 1}},
		{"a gap of more than is missing", without(fmt.Sprintf(gap, 101, 160, 60)), 50, proof.Counts{proof.Invented: 10}},
		{"a gap without sense", without(fmt.Sprintf(gap, 160, 111, 50)), 0, proof.Counts{proof.Missing: 49, proof.Corrupted: 1, proof.Unlinked: 1}},
		{"a gap twice", slices.Concat(objects(0, 100, nil), text(fmt.Sprintf(gap, 111, 120, 10)), objects(110, 200, nil),
			text(fmt.Sprintf(gap, 211, 220, 10)), objects(210, 300, nil)), 20, proof.Counts{}},
		{"what others say", slices.Concat(objects(0, 100, nil), text(other), objects(100, 300, nil)), 0, proof.Counts{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for seed := range uint64(15) {
				r := newRoomV1(2, nil)
				honest := objects(0, 300, nil)
				// The liar comes second, because a first one's lies are what the other is compared with.
				r.Feed(&r.members[0], 0, slices.Clone(honest), 1)
				r.feed(rand.New(rand.NewPCG(seed, 1)), nil2(honest), test.stream)
				check(t, fmt.Sprint("seed ", seed), r.finish(300), test.want)
				if r.Announced != test.announced {
					t.Fatalf("seed %d: %d announced, want %d", seed, r.Announced, test.announced)
				}
			}
		})
	}
}

// nil2 stands for a stream that was fed already.
func nil2([]byte) []byte { return text(`{"t":"pong"}`) }

// A server that lies to everybody in the same words is found out where they are
// decoded: for the first receiver, or for each where they are no message at all.
func TestTheSameLieToEverybody(t *testing.T) {
	for _, test := range []struct {
		name, old, new string
		want           proof.Counts
	}{
		{"a predecessor left out", `"prev":110`, `"prev":109`, proof.Counts{proof.Unlinked: 1}},
		{"its own predecessor", `"prev":110`, `"prev":111`, proof.Counts{proof.Unlinked: 1}},
		{"its id", `"id":"2s"`, `"id":"2t"`, proof.Counts{proof.Corrupted: 3}},
	} {
		r := newRoomV1(3, nil)
		b := objects(0, 300, map[int64][]byte{100: altered(100, test.old, test.new)})
		r.feed(rand.New(rand.NewPCG(1, 1)), b, b, b)
		if counts := r.finish(300); counts != test.want {
			t.Errorf("%s: %v, want %v", test.name, counts, test.want)
		}
	}
}

// What everybody is told beside the messages is read once and counted for all.
func TestOtherObjectsPass(t *testing.T) {
	presence := text(`{"t":"presence","room":"lobby","joined":[],"left":[],"renamed":[],"members":3}`)
	for seed := range uint64(20) {
		r := newRoomV1(3, nil)
		b := slices.Concat(objects(0, 150, nil), presence, objects(150, 300, nil))
		r.feed(rand.New(rand.NewPCG(seed, 1)), slices.Concat(text(`{"t":"hello","me":{"id":"7"}}`), b), b,
			slices.Concat(b, text(`{"t":"error","code":"too_long"}`), text(`{"t":"news"}`)))
		if counts := r.finish(300); counts != (proof.Counts{}) || r.Account.Received != 900 {
			t.Fatalf("seed %d: %v, %d received", seed, counts, r.Account.Received)
		}
		want := proof.Traffic{Count: 3, Bytes: int64(3 * len(presence))}
		if got := r.Account.Traffic[v1.Presence]; got != want || r.Account.Traffic["news"].Count != 1 {
			t.Fatalf("seed %d: %v, want %v of presence", seed, r.Account.Traffic, want)
		}
		slices.Sort(r.said)
		if !slices.Equal(r.said, []string{"error", "hello", "news", "presence"}) {
			t.Fatalf("seed %d: told of %v", seed, r.said)
		}
	}
}

// A member whose connection is cut, anywhere in a frame, goes on behind its last
// message: what comes then must be the next one.
func TestAnInterruptedMemberGoesOn(t *testing.T) {
	honest := objects(0, 300, nil)
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 1))
		for _, test := range []struct {
			shift int64 // of the first message that comes back
			want  proof.Counts
		}{{0, proof.Counts{}}, {1, proof.Counts{proof.Missing: 1, proof.Unlinked: 1}}, {-1, proof.Counts{proof.Duplicated: 1}}} {
			for first := range 2 {
				r := newRoomV1(2, nil)
				cut := len(honest)/10 + random.IntN(len(honest)/2)
				if first == 1 {
					r.Feed(&r.members[0], 0, slices.Clone(honest), 1)
				}
				for at := 0; at < cut; {
					n := min(1+random.IntN(900), cut-at)
					r.Feed(&r.members[1], 1, slices.Clone(honest[at:at+n]), 1)
					at += n
				}
				after := int64(r.Interrupt(&r.members[1])) - 10 // the number of the next message
				r.Feed(&r.members[1], 1, slices.Concat(text(`{"t":"joined","seq":1000}`), objects(after+test.shift, 300, nil)), 1)
				if first == 0 {
					r.Feed(&r.members[0], 0, slices.Clone(honest), 1)
				}
				check(t, fmt.Sprintf("seed %d, shift %d, %d first", seed, test.shift, first), r.finish(300), test.want)
			}
		}
	}
}

// Who was told of a gap has nothing to wait for in it.
func TestAGapIsBehindAMember(t *testing.T) {
	r := newRoomV1(1, nil)
	r.Feed(&r.members[0], 0, slices.Concat(objects(0, 100, nil), text(`{"t":"gap","room":"lobby","from":111,"to":160,"missed":50}`)), 1)
	if last := r.Last(&r.members[0]); last != 160 {
		t.Errorf("its last number is %d, want 160", last)
	}
}

// A message that was said again comes back once more, to its sender alone.
func TestWhatIsSaidAgain(t *testing.T) {
	for _, test := range []struct {
		name   string
		stream []byte
		want   proof.Counts
	}{
		{"behind the room's copy", slices.Concat(objects(0, 102, nil), text(object(100)), text(object(101)), objects(102, 300, nil)), proof.Counts{}},
		{"before the room's copy", slices.Concat(objects(0, 100, nil), text(object(101)), objects(100, 300, nil)), proof.Counts{}},
		{"only once", objects(0, 300, nil), proof.Counts{}},
		{"twice", slices.Concat(objects(0, 102, nil), text(object(101)), text(object(101)), objects(102, 300, nil)), proof.Counts{proof.Duplicated: 1}},
		{"one that was not", slices.Concat(objects(0, 102, nil), text(object(99)), objects(102, 300, nil)), proof.Counts{proof.Duplicated: 1}},
		{"too late", slices.Concat(objects(0, 103, nil), text(object(101)), objects(103, 300, nil)), proof.Counts{proof.Duplicated: 1}},
	} {
		for seed := range uint64(30) {
			r := newRoomV1(2, nil)
			r.Again(&r.members[0], 100, 102)
			r.feed(rand.New(rand.NewPCG(seed, 1)), slices.Clone(test.stream), objects(0, 300, nil))
			check(t, fmt.Sprint(test.name, ", seed ", seed), r.finish(300), test.want)
			heard := slices.Clone(r.own)
			slices.Sort(heard)
			if len(slices.Compact(heard)) != 300 {
				t.Fatalf("%s: %d of its messages came back", test.name, len(heard))
			}
		}
	}
}

// A newcomer's first message follows what the server said was the newest.
func TestANewcomersFirstMessageIsLinked(t *testing.T) {
	for number, want := range map[int]proof.Counts{160: {}, 159: {proof.Unlinked: 1}} {
		r := newRoomV1(1, nil)
		r.members = append(r.members, proof.Member{})
		r.Feed(&r.members[0], 0, objects(0, 150, nil), 1)
		r.JoinLate(&r.members[1], proof.NotSender)
		r.Feed(&r.members[1], 1, text(fmt.Sprintf(`{"t":"joined","room":"lobby","seq":%d}`, number)), 1)
		for i := range r.members {
			r.Feed(&r.members[i], i, objects(150, 300, nil), 1)
		}
		if counts := r.finish(300); counts != want {
			t.Errorf("joined at %d: %v, want %v", number, counts, want)
		}
	}
}

// packed is a compressed frame.
func packed(t *testing.T, payload string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte(payload))
	w.Flush()
	frame := wire.AppendServerFrame(nil, wire.Text, bytes.TrimSuffix(b.Bytes(), []byte("\x00\x00\xff\xff")))
	frame[0] |= 0x40
	return frame
}

// Compressed messages are compared as they are, and with those that are not by
// what they say.
func TestCompressedMessages(t *testing.T) {
	small := make(map[int64][]byte)
	payload := 0
	for seq := range int64(300) {
		small[seq] = packed(t, object(seq))
		payload += len(object(seq))
	}
	deflated := objects(0, 300, small)
	flipped := slices.Clone(small[100])
	flipped[len(flipped)-9] ^= 4
	lie := objects(0, 100, small)
	lie = slices.Concat(lie, flipped, objects(101, 300, small))
	early, _, err := wire.Next(packed(t, object(9)), true)
	if err != nil {
		t.Fatal(err)
	}
	pieces := slices.Concat([]byte{0x41, 20}, early.Payload[:20],
		wire.AppendServerFrame(nil, wire.Continuation, early.Payload[20:]))
	for _, test := range []struct {
		name   string
		stream []byte
		want   proof.Counts
	}{
		{"all", deflated, proof.Counts{}},
		{"none", objects(0, 300, nil), proof.Counts{}},
		{"some", slices.Concat(objects(0, 100, nil), objects(100, 200, small), objects(200, 300, nil)), proof.Counts{}},
		{"in fragments", slices.Concat(objects(0, 9, small), pieces, objects(10, 300, small)), proof.Counts{}},
		{"another text", slices.Concat(objects(0, 100, small), packed(t, string(altered(100, `"ts":1`, `"ts":3`)[4:])), objects(101, 300, small)),
			proof.Counts{proof.Corrupted: 1}},
		{"a bit", lie, proof.Counts{proof.Corrupted: 1}},
	} {
		for seed := range uint64(20) {
			r := newRoomV1(3, new(wire.Inflater))
			r.Feed(&r.members[0], 0, slices.Clone(deflated), 1)
			r.feed(rand.New(rand.NewPCG(seed, 1)), text(`{"t":"pong"}`), test.stream, slices.Clone(deflated))
			check(t, fmt.Sprint(test.name, ", seed ", seed), r.finish(300), test.want)
			if lost := int64(len(object(100))) * test.want[proof.Corrupted]; r.Payload != 3*int64(payload)-lost {
				t.Errorf("%s: %d bytes of payload, want %d", test.name, r.Payload, 3*int64(payload)-lost)
			}
		}
	}
}
