package proof_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"throng/bench/latency"
	"throng/bench/proof"
	"throng/bench/v1"
	"throng/bench/wire"
)

const size = 64

// message is one of the load, as a test names it.
type message struct {
	sender int
	seq    int64
}

// frame is how a server sends a message on.
func frame(m message) []byte {
	text := fmt.Appendf(nil, "user-%d: ", m.sender)
	text = proof.AppendMessage(text, proof.Stamp{Sender: m.sender, Seq: m.seq, Intended: 1, Sampled: true}, size)
	return wire.AppendServerFrame(nil, wire.Text, text)
}

// text is any other text frame.
func text(s string) []byte { return wire.AppendServerFrame(nil, wire.Text, []byte(s)) }

// stream is a server's frames for one member.
func stream(messages ...message) (b []byte) {
	for _, m := range messages {
		b = append(b, frame(m)...)
	}
	return b
}

// run is the messages of a sender from one number to before another.
func run(sender int, from, to int64) (list []message) {
	for seq := from; seq < to; seq++ {
		list = append(list, message{sender, seq})
	}
	return list
}

// room is a reference with what it reported.
type room struct {
	*proof.Reference
	proof.Account
	latency *latency.Recorder
	members []proof.Member
	own     []int64
	control []string
	said    []string
	broken  []error
}

func (r *room) Own(_ int, seq int64) { r.own = append(r.own, seq) }
func (r *room) Control(_ int, op byte, payload []byte) {
	r.control = append(r.control, fmt.Sprint(op, string(payload)))
}
func (r *room) Said(_ int, o *v1.Object) { r.said = append(r.said, o.T) }
func (r *room) Broken(_ int, err error)  { r.broken = append(r.broken, err) }

// newRoom has members of which the first ones are senders.
func newRoom(members, senders int) *room {
	r := &room{latency: latency.NewRecorder(), members: make([]proof.Member, members)}
	r.FindingsLimit = 100
	r.Reference = proof.NewReference(proof.Config{Senders: senders, Size: size, Events: r, Latency: r.latency, Account: &r.Account})
	for i := range r.members {
		sender := proof.NotSender
		if i < senders {
			sender = i
		}
		r.Join(&r.members[i], sender)
	}
	return r
}

// feed gives members their streams, each in pieces of random size, the members
// taking turns at random.
func (r *room) feed(random *rand.Rand, streams ...[]byte) {
	for left := len(streams); left > 0; {
		i := random.IntN(len(streams))
		if len(streams[i]) == 0 {
			continue
		}
		n := 1 + random.IntN(min(len(streams[i]), 1+random.IntN(700)))
		r.Feed(&r.members[i], i, slices.Clone(streams[i][:n]), 5_000)
		if streams[i] = streams[i][n:]; len(streams[i]) == 0 {
			left--
		}
	}
}

// finish closes the accounts of a run in which every sender sent as many.
func (r *room) finish(sent int64) proof.Counts {
	for i := range r.members {
		r.Finish(&r.members[i], i, func(int) int64 { return sent }, false)
	}
	return r.Counts
}

func TestEqualStreamsAreInOrder(t *testing.T) {
	for seed := range uint64(20) {
		r := newRoom(5, 2)
		var order []message
		for seq := range int64(500) {
			order = append(order, message{0, seq}, message{1, seq})
		}
		b := stream(order...)
		r.feed(rand.New(rand.NewPCG(seed, 1)), b, b, b, b, b)
		if counts := r.finish(500); counts != (proof.Counts{}) || r.Account.Received != 5000 || r.Account.Expected != 5000 {
			t.Fatalf("seed %d: %v, %d of %d received", seed, counts, r.Account.Received, r.Account.Expected)
		}
		if len(r.own) != 1000 {
			t.Errorf("senders heard %d of their own messages, want 1000", len(r.own))
		}
		if n := r.latency.Last.TotalCount(); n != 1000 {
			t.Errorf("%d broadcasts were complete, want 1000", n)
		}
	}
}

// Each lie is told to one member, which is not and which is the first receiver.
func TestLies(t *testing.T) {
	honest := run(0, 0, 300)
	corrupt := stream(honest...)
	corrupt[len(frame(honest[0]))*100+40] ^= 1
	nickname := stream(honest...)
	nickname[len(frame(honest[0]))*100+3] ^= 1
	for _, test := range []struct {
		name string
		lie  []byte
		want proof.Counts
	}{
		{"one dropped", stream(slices.Delete(slices.Clone(honest), 100, 101)...), proof.Counts{proof.Missing: 1}},
		{"first dropped", stream(honest[1:]...), proof.Counts{proof.Missing: 1}},
		{"last dropped", stream(honest[:299]...), proof.Counts{proof.Missing: 1}},
		{"fifty dropped", stream(slices.Delete(slices.Clone(honest), 100, 150)...), proof.Counts{proof.Missing: 50}},
		{"each tenth dropped", stream(slices.DeleteFunc(slices.Clone(honest), func(m message) bool { return m.seq%10 == 0 })...), proof.Counts{proof.Missing: 30}},
		{"all dropped", nil, proof.Counts{proof.Missing: 300}},
		{"one twice", stream(slices.Insert(slices.Clone(honest), 100, honest[99])...), proof.Counts{proof.Duplicated: 1}},
		{"one again later", stream(append(slices.Clone(honest), honest[99])...), proof.Counts{proof.Duplicated: 1}},
		{"two swapped", stream(slices.Concat(honest[:100], []message{honest[101], honest[100]}, honest[102:])...), proof.Counts{proof.Reordered: 1}},
		{"one late", stream(slices.Concat(honest[:100], honest[101:200], honest[100:101], honest[200:])...), proof.Counts{proof.Reordered: 1}},
		{"one early", stream(slices.Concat(honest[:100], honest[200:201], honest[100:200], honest[201:])...), proof.Counts{proof.Reordered: 100}},
		{"a byte changed", corrupt, proof.Counts{proof.Corrupted: 1}},
		{"a nickname changed", nickname, proof.Counts{proof.Corrupted: 1}},
		{"another room's", slices.Concat(stream(honest[:9]...), frame(message{7, 0}), stream(honest[9:]...)), proof.Counts{proof.Misdelivered: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			true0 := stream(honest...)
			for _, liar := range []int{0, 2} {
				r := newRoom(3, 1)
				streams := [][]byte{true0, true0, true0}
				streams[liar] = test.lie
				// The liar first: its stream is what the others are compared with.
				for _, i := range []int{liar, (liar + 1) % 3, (liar + 2) % 3} {
					r.Feed(&r.members[i], i, slices.Clone(streams[i]), 5_000)
				}
				check(t, fmt.Sprintf("member %d, first", liar), r.finish(300), test.want)
				for seed := range uint64(50) {
					r := newRoom(3, 1)
					random := rand.New(rand.NewPCG(seed, 2))
					for i := range streams {
						if len(streams[i]) == 0 {
							streams[i] = text("hello")
						}
					}
					r.feed(random, slices.Clone(streams)...)
					check(t, fmt.Sprintf("member %d, seed %d", liar, seed), r.finish(300), test.want)
				}
			}
		})
	}
}

// check compares all counts but that of members which disagree with a liar who
// was first.
func check(t *testing.T, name string, got, want proof.Counts) {
	t.Helper()
	got[proof.Diverged] = 0
	if got != want {
		t.Fatalf("%s: %v, want %v", name, got, want)
	}
}

// A server that lies to all in the same way is no better.
func TestALieToEverybodyIsFoundInEach(t *testing.T) {
	honest := run(0, 0, 300)
	swapped := stream(slices.Concat(honest[:100], []message{honest[101], honest[100]}, honest[102:])...)
	twice := stream(slices.Insert(slices.Clone(honest), 100, honest[99])...)
	dropped := stream(slices.Delete(slices.Clone(honest), 100, 101)...)
	for seed := range uint64(20) {
		for _, test := range []struct {
			lie  []byte
			want proof.Counts
		}{{swapped, proof.Counts{proof.Reordered: 3}}, {twice, proof.Counts{proof.Duplicated: 3}}, {dropped, proof.Counts{proof.Missing: 3}}} {
			r := newRoom(3, 1)
			r.feed(rand.New(rand.NewPCG(seed, 3)), test.lie, test.lie, test.lie)
			check(t, fmt.Sprint("seed ", seed), r.finish(300), test.want)
		}
	}
}

// Two senders' messages may come in different orders to different members: that
// is no fault of either sender's stream, but the room has not one order.
func TestSendersInterleavedDifferentlyDiverge(t *testing.T) {
	r := newRoom(2, 2)
	r.feed(rand.New(rand.NewPCG(1, 1)),
		stream(message{0, 0}, message{1, 0}, message{0, 1}, message{1, 1}),
		stream(message{1, 0}, message{0, 0}, message{0, 1}, message{1, 1}))
	if counts := r.finish(2); counts != (proof.Counts{proof.Diverged: 1}) {
		t.Errorf("got %v", counts)
	}
}

// What a server owns up to is no loss, but it excuses no more than what was left
// out just there.
func TestAnAnnouncedGap(t *testing.T) {
	honest := run(0, 0, 300)
	const plain, json = " .... you missed %d messages.", `{"t":"gap","room":"lobby","from":101,"to":150,"missed":%d}`
	gap := func(form string, announced uint64, rest ...[]message) []byte {
		return slices.Concat(stream(honest[:100]...), text(fmt.Sprintf(form, announced)), stream(slices.Concat(rest...)...))
	}
	for _, test := range []struct {
		name      string
		stream    []byte
		announced int64
		want      proof.Counts
	}{
		{"as it is", gap(plain, 50, honest[150:]), 50, proof.Counts{}},
		{"in JSON", gap(json, 50, honest[150:]), 50, proof.Counts{}},
		{"at the end", gap(plain, 200), 200, proof.Counts{}},
		{"one more is missing", gap(plain, 50, honest[151:]), 50, proof.Counts{proof.Missing: 1}},
		{"one later is missing", gap(plain, 50, honest[150:200], honest[201:]), 50, proof.Counts{proof.Missing: 1}},
		{"a larger notice excuses nothing later", gap(plain, 60, honest[150:200], honest[205:]), 50, proof.Counts{proof.Missing: 5, proof.Invented: 10}},
		{"a notice without a gap", gap(plain, 9, honest[100:]), 0, proof.Counts{proof.Invented: 9}},
		{"more than there is", gap(plain, 1<<63, honest[150:200], honest[201:]), 50, proof.Counts{proof.Missing: 1, proof.Invented: 1<<40 - 50}},
		{"twice more than there is", slices.Concat(gap(plain, 1<<63), text(" .... you missed 9223372036854775807 messages."),
			stream(honest[150:]...)), 50, proof.Counts{proof.Invented: 1<<40 - 50}},
		{"a late one first", slices.Concat(stream(honest[:98]...), frame(honest[99]), text(fmt.Sprintf(plain, 50)), frame(honest[98]),
			stream(honest[150:]...)), 50, proof.Counts{proof.Reordered: 1}},
		{"an old one first", gap(plain, 50, honest[99:100], honest[150:]), 50, proof.Counts{proof.Duplicated: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for seed := range uint64(50) {
				r := newRoom(2, 1)
				r.feed(rand.New(rand.NewPCG(seed, 1)), stream(honest...), slices.Clone(test.stream))
				check(t, fmt.Sprint("seed ", seed), r.finish(300), test.want)
				if r.Announced != test.announced || r.Account.Expected != 600 {
					t.Errorf("seed %d: %d announced, want %d; %d expected", seed, r.Announced, test.announced, r.Account.Expected)
				}
			}
		})
	}
}

// The notice may come before the others have what was left out.
func TestAGapOfTheFirstReceiver(t *testing.T) {
	honest := run(0, 0, 300)
	r := newRoom(2, 1)
	r.Feed(&r.members[0], 0, slices.Concat(stream(honest[:100]...), text(" .... you missed 50 messages."), stream(honest[150:]...)), 1)
	r.Feed(&r.members[1], 1, stream(honest...), 1)
	check(t, "one gap", r.finish(300), proof.Counts{})
	if r.Announced != 50 || r.Account.Expected != 600 {
		t.Errorf("%d announced, %d expected", r.Announced, r.Account.Expected)
	}
}

// Frames that only some members receive do not disturb the comparison.
func TestOtherFramesPass(t *testing.T) {
	honest := run(0, 0, 300)
	ping := wire.AppendServerFrame(nil, wire.Ping, []byte("p"))
	for seed := range uint64(20) {
		r := newRoom(2, 1)
		r.feed(rand.New(rand.NewPCG(seed, 1)), stream(honest...),
			slices.Concat(text(" .... user-5 has left."), stream(honest[:50]...), ping, stream(honest[50:]...)))
		if counts := r.finish(300); counts != (proof.Counts{}) || r.Notices != 1 || len(r.control) != 1 {
			t.Fatalf("seed %d: %v, %d notices, control %v", seed, counts, r.Notices, r.control)
		}
	}
}

// A message in fragments, with a ping between them, is the same message.
func TestFragmentsAreJoined(t *testing.T) {
	whole := frame(message{0, 1})[2:]
	pieces := slices.Concat([]byte{0x01, 10}, whole[:10], []byte{0x89, 0}, []byte{0x80, byte(len(whole) - 10)}, whole[10:])
	for seed := range uint64(20) {
		r := newRoom(2, 1)
		r.feed(rand.New(rand.NewPCG(seed, 1)), stream(run(0, 0, 3)...),
			slices.Concat(frame(message{0, 0}), pieces, frame(message{0, 2})))
		if counts := r.finish(3); counts != (proof.Counts{}) || r.Account.Received != 6 {
			t.Fatalf("seed %d: %v, %d received", seed, counts, r.Account.Received)
		}
	}
}

// Messages of an earlier run, which a server may still have in its history, are
// not of this one.
func TestEarlierRunsAreIgnored(t *testing.T) {
	r := newRoom(1, 1)
	old := proof.AppendMessage([]byte("user-0: "), proof.Stamp{Run: 9, Seq: 77}, size)
	r.Feed(&r.members[0], 0, slices.Concat(wire.AppendServerFrame(nil, wire.Text, old), stream(run(0, 0, 5)...)), 1)
	if counts := r.finish(5); counts != (proof.Counts{}) || r.Notices != 1 {
		t.Errorf("got %v, %d notices", counts, r.Notices)
	}
}

func TestFindingsNameMemberAndSender(t *testing.T) {
	r := newRoom(3, 1)
	honest := run(0, 0, 10)
	r.feed(rand.New(rand.NewPCG(1, 1)), stream(honest...), stream(honest[:5]...), stream(honest...))
	r.finish(10)
	want := proof.Finding{Kind: "missing", Member: 1, Sender: 0, Seq: 5, Count: 5}
	if len(r.Findings) != 1 || r.Findings[0] != want {
		t.Errorf("got %v, want %v", r.Findings, want)
	}
}

func TestNonsenseIsReported(t *testing.T) {
	r := newRoom(1, 1)
	r.Feed(&r.members[0], 0, []byte("\xFFnonsense"), 1)
	if len(r.broken) != 1 || !strings.Contains(r.broken[0].Error(), "reserved") {
		t.Errorf("got %v", r.broken)
	}
}
