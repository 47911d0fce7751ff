// Package conformance asks a server everything that RFC 6455 and RFC 7692 say about
// one. The tests of the chat and of examples/echo run it against themselves.
//
// Its one idea: an exchange is bytes that a client sends, the messages that come
// back, and the close code with which it ends. Whoever writes one says nothing
// of how the bytes arrive: each is played whole, behind the request in one
// write; a byte at a time (of large tables each tenth); and cut anywhere (each third).
// What is whole goes through a Unix socket if the server has one, since most of the
// time that this takes is TCP's; the rest over TCP.
//
//	table -- exchange --> play -- request, bytes, in pieces --> server
//	                        |  <-- messages, close code, end --
//	                        +-- all as the exchange says? no reset?
//
// It knows a server by its address alone and shares no code with package frame: an
// error in one cannot hide in the other. What is judged is worked out here again,
// from the RFC's text. Nothing sleeps: a piece is sent when a [Watched] kernel
// has seen the server read the last one.
package conformance

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Target is a server, and how it differs from an echo.
type Target struct {
	Addr   string
	Unix   string   // a Unix socket of the same server; "": none
	Kernel *Watched // the one that the server runs on

	// Connect gives the path of the n-th connection, and what stands before each
	// text that comes back on it.
	Connect func(n int64) (path, prefix string)
	// TextOnly: a binary message is answered with 1003.
	TextOnly bool
	// Apart: pongs and messages go different ways in the server. Each kind keeps its
	// order; a close may overtake messages.
	Apart bool
	// SmallWindows: a message that fits in the window comes back compressed, however
	// small that is. Else only with the window that every inflater has.
	SmallWindows bool

	MaxMessage, MaxFragments int // limits of the server: bytes, frames
	MaxHead, MaxHeaders      int // of a request: bytes, lines

	// Sample asks for some of what is alike: for a server of which most was asked
	// elsewhere. Under the race detector, where everything takes several times as
	// long, there is no more than that.
	Sample bool

	conns atomic.Int64
}

// Run asks everything.
func Run(t *testing.T, target *Target) {
	target.Sample = target.Sample || race
	target.handshakes(t)
	for _, chapter := range []struct {
		name string
		make func(*Target) []exchange
	}{
		{"Framing", framing}, {"Lengths", lengths}, {"Masks", masks}, {"Fragments", fragments}, {"Control", control},
		{"Closing", closings}, {"ValidText", validText}, {"InvalidText", invalidText}, {"Limits", limits},
		{"Agreed", agreements}, {"Packed", packed}, {"PackedFragments", packedFragments}, {"ReservedBits", reservedBits},
		{"PackedText", packedText}, {"PackedLimits", packedLimits}, {"Corrupt", corrupt},
	} {
		t.Run(chapter.name, func(t *testing.T) {
			exchanges := chapter.make(target)
			target.playAll(t, exchanges, whole)
			target.playAll(t, few(exchanges, target.sparse(10)), byteByByte)
			target.playAll(t, few(exchanges, target.sparse(3)), anyCut)
		})
	}
	t.Run("CloseCodes", func(t *testing.T) { target.playAll(t, closeCodes(target), whole) })
	t.Run("Pipelined", func(t *testing.T) { target.pipelined(t) })
	t.Run("HalfClose", func(t *testing.T) { target.halfClose(t) })
}

// few is all cases, but of the large tables, whose cases differ little, each step-th.
func few[T any](all []T, step int) (some []T) {
	if len(all) <= 250 {
		return all
	}
	for i := 0; i < len(all); i += step {
		some = append(some, all[i])
	}
	return some
}

// sparse is the step between the cases of a large table that are cut.
func (target *Target) sparse(step int) int {
	if target.Sample {
		return 3 * step
	}
	return step
}

// exchange is what a client sends after its request, and what the server does.
type exchange struct {
	name  string
	offer string // of extensions, in the request; "": none
	// window is what the answer agrees to: messages compressed with no more than so
	// many bits of window. 0: no extension. It repeats a number that was offered.
	window   int
	repeated bool

	send []byte
	want []message // what comes back, in order
	code int       // with which the server ends it; noCode: without one; 0: it goes on
	// early: the server judges what was sent, though a frame in it is not complete.
	early bool
	// lingers: the server still reads what comes behind the end. It closes nothing
	// that has unread input, which would be a reset.
	lingers bool
}

// message is a message or a pong.
type message struct {
	op      byte
	payload string
	packed  bool // it came compressed; in want: worked out for each server
}

// noCode stands for a close frame without a code (RFC 6455 7.1.5).
const noCode = 1005

// delivery says where the bytes are cut: the ends of the pieces, of which the
// last is head+size. head is the size of the request.
type delivery func(name string, head, size int) []int

// whole is one write, the request included.
func whole(_ string, head, size int) []int { return []int{head + size} }

// byteByByte is a byte at a time, as far as that is worth its while.
func byteByByte(_ string, head, size int) (ends []int) {
	for i := range min(size, 300) {
		ends = append(ends, head+i)
	}
	return append(ends, head+size)
}

// anyCut is up to eight pieces, the same ones each time.
func anyCut(name string, head, size int) (ends []int) {
	seed := fnv.New64a()
	seed.Write([]byte(name))
	random := rand.New(rand.NewPCG(seed.Sum64(), uint64(size)))
	for range random.IntN(8) {
		ends = append(ends, 1+random.IntN(head+size))
	}
	slices.Sort(ends)
	return append(slices.Compact(ends), head+size)
}

// playAll plays exchanges, some at a time.
func (target *Target) playAll(t *testing.T, exchanges []exchange, how delivery) {
	t.Helper()
	parallel(t, len(exchanges), func(i int) error {
		if err := target.play(exchanges[i], how); err != nil {
			return fmt.Errorf("%s: %w", exchanges[i].name, err)
		}
		return nil
	})
}

// parallel calls f with 0 to n-1 and reports the errors, the first few of them.
func parallel(t *testing.T, n int, f func(i int) error) {
	t.Helper()
	if n == 0 {
		t.Fatal("no cases")
	}
	var next, failed atomic.Int64
	var wg sync.WaitGroup
	for range 4 * runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := next.Add(1) - 1; int(i) < n && failed.Load() < 10; i = next.Add(1) - 1 {
				if err := f(int(i)); err != nil {
					failed.Add(1)
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d cases", n)
}

// play has one exchange.
func (target *Target) play(x exchange, how delivery) error {
	path, prefix := target.Connect(target.conns.Add(1))
	x = target.own(x, prefix)
	head := request(path, x.offer)
	send := slices.Concat([]byte(head), x.send)
	ends := how(x.name, len(head), len(x.send))
	c, err := target.dial(len(ends) == 1 && !x.lingers)
	if err != nil {
		return err
	}
	defer c.Close()
	if x.code != 0 && !x.early && len(ends) == 1 {
		// What follows the end is not read any more, and destroys nothing.
		send = slices.Concat(send, noise)
		ends[0] = len(send)
	}
	c.deliver(send, ends)
	if err := c.accepted(x); err != nil {
		return err
	}
	if x.code == 0 {
		return target.goOn(c, x)
	}
	got, code, err := c.untilClose()
	if err != nil {
		return fmt.Errorf("%w, after %s", err, brief(got))
	}
	if code != x.code {
		return fmt.Errorf("closed with %d, want %d", code, x.code)
	}
	if err := target.same(got, x.want, false); err != nil {
		return err
	}
	if err := c.end(); err != nil || !x.lingers {
		return err
	}
	return c.readOn(len(send))
}

// noise is what a client may have sent before it knew of the end.
var noise = slices.Concat(masked(fin|text, "too late"), masked(fin|ping, "too late"), masked(fin|closing, "\x03\xe8"))

// own is the exchange as this server has it.
func (target *Target) own(x exchange, prefix string) exchange {
	x.want = slices.Clone(x.want)
	for i, m := range x.want {
		switch {
		case m.op == binary && target.TextOnly:
			x.want, x.code, x.early = x.want[:i], 1003, false
			return x
		case m.op == text:
			x.want[i].payload = prefix + m.payload
			fallthrough
		case m.op == binary:
			x.want[i].packed = target.packs(x.window, x.want[i].payload)
		}
	}
	return x
}

// goOn reads what is to come, then closes: the server answers the close with its
// own code, and ends the connection first.
func (target *Target) goOn(c *client, x exchange) error {
	var got []message
	for len(got) < len(x.want) {
		f, err := c.frame()
		if err == nil && f.op == closing {
			err = fmt.Errorf("closed with %x", f.payload)
		}
		if err != nil {
			return fmt.Errorf("%w, after %s", err, brief(got))
		}
		got = append(got, f)
	}
	if err := target.same(got, x.want, true); err != nil {
		return err
	}
	c.deliver(masked(fin|closing, "\x0f\xa0"), nil)
	rest, code, err := c.untilClose()
	if err != nil || code != 4000 || len(rest) > 0 {
		return fmt.Errorf("a close with 4000 was answered %s, %d, %v", brief(rest), code, err)
	}
	return c.end()
}

// same compares what came with what was to come; all: nothing may be missing.
func (target *Target) same(got, want []message, all bool) error {
	isPong := func(m message) bool { return m.op == pong }
	isData := func(m message) bool { return m.op != pong }
	ok := slices.Equal(got, want)
	if target.Apart {
		data, wanted := only(got, isData), only(want, isData)
		ok = slices.Equal(only(got, isPong), only(want, isPong)) &&
			(all && slices.Equal(data, wanted) || !all && len(data) <= len(wanted) && slices.Equal(data, wanted[:len(data)]))
	}
	if !ok {
		return fmt.Errorf("got %s, want %s", brief(got), brief(want))
	}
	return nil
}

func only(all []message, keep func(message) bool) (some []message) {
	for _, m := range all {
		if keep(m) {
			some = append(some, m)
		}
	}
	return some
}

// brief shows messages in few words.
func brief(all []message) string {
	var b bytes.Buffer
	for _, m := range all[:min(len(all), 8)] {
		packed := ""
		if m.packed {
			packed = ", compressed"
		}
		fmt.Fprintf(&b, " %x:%.60q(%d%s)", m.op, m.payload, len(m.payload), packed)
	}
	return fmt.Sprintf("%d:%s", len(all), b.String())
}

// pattern is n bytes of text, no two stretches of which are alike.
func pattern(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%x.", i)
	}
	return b.String()[:n]
}
