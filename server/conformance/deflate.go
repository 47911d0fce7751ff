package conformance

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
)

// The compressor and the inflater of this suite are the standard library's, not the
// server's.

// syncTail ends what was flushed. A sender removes it, a receiver puts it back:
// RFC 7692 7.2.1 and 7.2.2.
const syncTail = "\x00\x00\xff\xff"

// inflate is what a server's message was, which has no final block: RFC 7692 7.2.2.
func inflate(packed string) (string, error) {
	in := strings.NewReader(packed + syncTail + "\x01\x00\x00\xff\xff")
	b, err := io.ReadAll(flate.NewReader(in))
	if err == nil && in.Len() > 0 {
		err = errors.New("a final block within")
	}
	return string(b), err
}

// compressors are one of each level, since to make one costs more than most messages.
var compressors = struct {
	sync.Mutex
	of map[int]*flate.Writer
}{of: make(map[int]*flate.Writer)}

// compress has f write with a compressor and returns what came out.
func compress(level int, f func(w *flate.Writer)) string {
	compressors.Lock()
	defer compressors.Unlock()
	w := compressors.of[level]
	if w == nil {
		var err error
		if w, err = flate.NewWriter(nil, level); err != nil {
			panic("conformance: " + err.Error())
		}
		compressors.of[level] = w
	}
	var b bytes.Buffer
	w.Reset(&b)
	f(w)
	return b.String()
}

// packs says that a server sends a message compressed: from 128 bytes on, when it
// gets smaller. In this suite's texts the rest is like the beginning.
func (target *Target) packs(window int, payload string) bool {
	switch {
	case window == 0 || len(payload) < 128,
		window < 15 && !(target.SmallWindows && len(payload) <= 1<<window):
		return false
	}
	payload = payload[:min(len(payload), 1000)]
	return len(usual.pack(payload)) < len(payload)
}

// flush is a way of compressing: how much is written between two flushes (0: all),
// and how the message ends.
type flush struct {
	name  string
	level int
	every int
	final string // "": a flush; "final": a final block and the octet that is to follow it; "bare": without that
}

// pack compresses a payload.
func (f flush) pack(payload string) string {
	packed := compress(f.level, func(w *flate.Writer) {
		for n := f.every; n > 0 && len(payload) > n; payload = payload[n:] {
			_, _ = w.Write([]byte(payload[:n]))
			_ = w.Flush()
		}
		if _, _ = w.Write([]byte(payload)); f.final == "" {
			_ = w.Flush()
		} else {
			_ = w.Close()
		}
	})
	switch f.final {
	case "final":
		return packed + "\x00"
	case "bare":
		return packed
	}
	return strings.TrimSuffix(packed, syncTail)
}

// usual is how most peers compress.
var usual = flush{name: "usual", level: 6}

// after compresses what refers to what was before.
func (f flush) after(before, payload string) string {
	var b bytes.Buffer
	w, err := flate.NewWriterDict(&b, f.level, []byte(before))
	if err != nil {
		panic("conformance: " + err.Error())
	}
	_, _ = w.Write([]byte(payload))
	_ = w.Flush()
	return strings.TrimSuffix(b.String(), syncTail)
}

// flushes are the ways of compressing that all have to be understood.
func flushes() (all []flush) {
	for _, level := range []int{flate.HuffmanOnly, flate.NoCompression, 1, 6, 9} {
		for _, every := range []int{0, 1, 100, 7000} {
			if every == 1 && level != 1 {
				continue // a flush per byte is the same on every level
			}
			for _, final := range []string{"", "final", "bare"} {
				all = append(all, flush{fmt.Sprintf("level %d, flushed every %d, %s", level, every, final), level, every, final})
			}
		}
	}
	return all
}

// stored is a payload in stored blocks of a size, without compression: RFC 1951 3.2.4.
func stored(payload string, size int) string {
	var b bytes.Buffer
	for ; payload != ""; payload = payload[min(size, len(payload)):] {
		n := min(size, len(payload))
		b.Write([]byte{0, byte(n), byte(n >> 8), ^byte(n), ^byte(n >> 8)})
		b.WriteString(payload[:n])
	}
	return b.String() + "\x00" // the beginning of the empty block that a flush is
}

// prose is n bytes that get smaller; the number makes it unlike others.
func prose(n, number int) string {
	line := fmt.Sprintf("%d: All human beings are born free and equal in dignity and rights. ", number)
	return strings.Repeat(line, n/len(line)+1)[:n]
}

// random is n bytes, the same ones each time.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return string(b)
}

// noisy is a text of 140 bytes that no compressor makes smaller: ASCII, in no order.
var noisy = func() string {
	b := []byte(random(140))
	for i := range b {
		b[i] &= 0x7f
	}
	return string(b)
}()

// agreed is an exchange with permessage-deflate.
func agreed(name string) exchange {
	return exchange{name: name, offer: "permessage-deflate", window: 15}
}

// say adds a text and its echo. It is sent as it is packed.
func (x *exchange) say(packed, payload string) {
	x.send = append(x.send, masked(fin|rsv1|text, packed)...)
	x.want = append(x.want, message{op: text, payload: payload})
}

// packed is messages of all sizes, compressed in all ways. What comes back is
// compressed from 128 bytes on.
func packed(target *Target) (all []exchange) {
	all = append(all, rfcExamples(), plainBetween())
	for _, f := range flushes() {
		small, large := agreed("small messages, "+f.name), agreed("large messages, "+f.name)
		for n := range 300 {
			if n < 8 || n%7 == f.level&3 && !target.Sample || n > 120 && n < 135 {
				small.say(f.pack(prose(n, n)), prose(n, n))
			}
		}
		for _, n := range []int{1000, 4095, 4096, 4097, 32767, 32768, 32769, 65535, 65536, 65537, 131071, 131072} {
			if n <= target.MaxMessage && (n < 5000 || f.every != 1 && f.every != 100) { // flushing is slow
				large.say(f.pack(prose(n, n)), prose(n, n))
			}
		}
		large.say(f.pack(noisy), noisy)
		if all = append(all, small); !target.Sample || f.level == 6 {
			all = append(all, large)
		}
	}
	for _, size := range []int{1, 2, 100, 65535} {
		x := agreed(fmt.Sprintf("stored blocks of %d bytes", size))
		for _, payload := range []string{"a", prose(127, 0), prose(128, 0), prose(2000, 0), noisy} {
			if len(payload) < 8 || size > 2 {
				x.say(stored(payload, size), payload)
			}
		}
		all = append(all, x)
	}
	x := agreed("binary")
	for _, payload := range []string{"\xff", strings.Repeat("\xc0\x80", 500), random(127), random(128), random(10000)} {
		x.send = append(x.send, masked(fin|rsv1|binary, usual.pack(payload))...)
		x.want = append(x.want, message{op: binary, payload: payload})
	}
	return append(all, x)
}

// rfcExamples is those of RFC 7692 7.2.3, and blocks with nothing in them.
func rfcExamples() exchange {
	x := agreed("the RFC's examples")
	for _, p := range []string{
		"\xf2\x48\xcd\xc9\xc9\x07\x00",                                        // 7.2.3.1
		"\x00\x05\x00\xfa\xffHello\x00",                                       // 7.2.3.3
		"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",                                    // 7.2.3.4
		"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",                // 7.2.3.5
		strings.Repeat("\x00"+syncTail, 50) + "\x00\x05\x00\xfa\xffHello\x00", // empty blocks
		"\x01\x05\x00\xfa\xffHello\x00",                                       // a final stored block
		"\x01\x02\x00\xfd\xffHe\xca\xc9\xc9\x07\x00",                          // something behind it
	} {
		x.say(p, "Hello")
	}
	x.say("\xf3\x48\xcd\xc9\xc9\x07\x00"+usual.after("Hello", "Hello"), "HelloHello") // refers to what is before a final block
	x.say("\x00", "")                                                                 // 7.2.3.6
	x.say("\x02\x00", "")
	x.say("\x03\x00\x00", "")
	return x
}

// plainBetween is compressed messages and others in turn: each may be or not.
func plainBetween() exchange {
	x := agreed("compressed and not in turn")
	for n := range 40 {
		payload := prose(n*11, n)
		x.say(usual.pack(payload), payload)
		x.send = append(x.send, masked(fin|text, payload)...)
		x.want = append(x.want, message{op: text, payload: payload})
	}
	return x
}

// packedFragments is compressed messages cut anywhere. Only the first frame has RSV1
// (RFC 7692 6.1); control frames stand in between, and are never compressed.
func packedFragments(*Target) (all []exchange) {
	for _, payload := range []string{"Hello", prose(200, 1), "\u20ac\U0001f40e", ""} {
		p := usual.pack(payload)
		x := agreed(fmt.Sprintf("%d bytes cut in two", len(payload)))
		y := agreed(fmt.Sprintf("%d bytes cut in three", len(payload)))
		for i := range len(p) + 1 {
			x.send = slices.Concat(x.send, masked(rsv1|text, p[:i]), masked(fin|ping, "?"), masked(fin|cont, p[i:]))
			x.want = append(x.want, message{op: pong, payload: "?"}, message{op: text, payload: payload})
			for j := i; j <= len(p) && len(p) < 30; j++ {
				y.send = slices.Concat(y.send, masked(rsv1|text, p[:i]), masked(cont, p[i:j]), masked(fin|pong, ""), masked(cont, ""), masked(fin|cont, p[j:]))
				y.want = append(y.want, message{op: text, payload: payload})
			}
		}
		if all = append(all, x); len(y.want) > 0 {
			all = append(all, y)
		}
	}
	for _, size := range []int{1, 2, 3, 7, 125, 126, 1000} {
		x := inFragments(text, usual.pack(prose(30000, size)), size)
		x.name, x.offer, x.window = "compressed, "+x.name, "permessage-deflate", 15
		x.send[0] |= rsv1
		x.want[len(x.want)-1].payload = prose(30000, size)
		all = append(all, x)
	}
	return all
}

// reservedBits is every first byte that has one, with permessage-deflate and
// without: RSV1 stands on the first frame of a data message and nowhere else. The
// others mean nothing. Two bytes are enough to see it.
func reservedBits(*Target) (all []exchange) {
	before := map[string][]byte{"alone": nil, "inside a message": masked(text, "a"), "inside a compressed one": masked(rsv1|text, usual.pack("abc")[:2])}
	for where, frames := range before {
		for first := range 256 {
			b := byte(first)
			op := b & 0x0f
			if b&0x70 == 0 || b&0x70 == rsv1 && (op == text || op == binary) && frames == nil {
				continue
			}
			x := agreed(fmt.Sprintf("first byte %08b, %s", first, where))
			x.send, x.code = slices.Concat(frames, masked(b, "")), 1002
			if first%3 == 0 {
				x.send, x.early = slices.Concat(frames, masked(b, "")[:2]), true
			}
			all = append(all, x)
		}
	}
	for _, offer := range []string{"", "permessage-deflate; unknown", "x-webkit-deflate-frame"} {
		for _, first := range []byte{rsv1 | text, fin | rsv1 | text, rsv1 | binary, fin | rsv1 | binary} {
			all = append(all, exchange{name: fmt.Sprintf("first byte %08b, not negotiated, %q", first, offer), offer: offer,
				send: masked(first, usual.pack("Hello")), code: 1002})
		}
	}
	return all
}

// packedText is text that is, and is not, UTF-8 once it is inflated. What is
// compressed is judged when it is complete.
func packedText(target *Target) (all []exchange) {
	good := agreed("valid text")
	for _, s := range validTexts {
		good.say(usual.pack(s), s)
		good.say(flush{level: 1, every: 1}.pack(s), s)
	}
	all = append(all, good)
	bad := badSequences()
	for i, s := range bad {
		if i%7 != 0 && i != len(bad)-1 || target.Sample && i%35 != 0 {
			continue
		}
		x := agreed(fmt.Sprintf("%q", s))
		x.say(usual.pack("κό"), "κό")
		p := usual.pack("κό" + s + "a")
		x.send = slices.Concat(x.send, masked(rsv1|text, p[:3]), masked(fin|cont, p[3:]))
		x.code = 1007
		all = append(all, x)
	}
	for _, s := range []string{"\u20ac", "\U0001f40e"} {
		for cut := 1; cut < len(s); cut++ {
			half := prose(500, cut) + s[:cut]
			all = append(all, exchange{name: fmt.Sprintf("ends inside a rune, %q", s[:cut]), offer: "permessage-deflate", window: 15,
				send: masked(fin|rsv1|text, usual.pack(half)), code: 1007})
		}
	}
	return all
}

// packedLimits is messages of the largest size once they are inflated, and of more:
// 1009, however small they came (RFC 6455 7.4.1).
func packedLimits(target *Target) (all []exchange) {
	most := target.MaxMessage
	for _, payload := range []string{prose(most, 0), strings.Repeat("\x00", most)} {
		for _, f := range []flush{usual, {"stored", 0, 0, ""}, {"final", 6, 0, "final"}, {"in parts", 1, most / 3, ""}} {
			fits := agreed("the largest message, " + f.name)
			fits.say(f.pack(payload), payload)
			over := agreed("a byte more, " + f.name)
			over.send, over.code = masked(fin|rsv1|text, f.pack(payload+"x")), 1009
			all = append(all, fits, over)
		}
	}
	for _, times := range []int{2, 100} {
		bomb := agreed(fmt.Sprintf("a bomb of %d messages", times))
		bomb.send, bomb.code = masked(fin|rsv1|text, usual.pack(strings.Repeat("\x00", times*most))), 1009
		all = append(all, bomb)
	}
	huge := agreed("a header of twice the size")
	huge.send, huge.code, huge.early = header(fin|rsv1|text, true, 64, uint64(2*most), key), 1009, true
	return append(all, huge)
}

// corrupt is what cannot be inflated: 1007. Messages before it are served.
func corrupt(*Target) (all []exchange) {
	bad := func(name, p string) {
		x := agreed(name)
		x.say(usual.pack("Hello"), "Hello")
		x.send, x.code = append(x.send, masked(fin|rsv1|text, p)...), 1007
		all = append(all, x)
	}
	bad("a reserved block type", "\x06")
	bad("a reserved block type, final", "\x07")
	bad("a reserved block type behind a text", "\xf2\x48\x05\x00\x00\x00\xff\xff\x06")
	bad("a length that is not its complement", "\x00\x05\x00\xfa\xfeHello\x00")
	bad("a stored block that is too short", "\x00\x06\x00\xf9\xffHello")
	bad("no bytes at all", "")
	bad("a distance before the beginning", "\x4a\x04\x02\x00")
	bad("only an end of a block that is dynamic", "\x04")
	bad("too many codes for lengths", "\xfc\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
	// Neither side keeps what earlier messages said: RFC 7692 7.1.1.
	bad("a reference to the message before", usual.after("Hello", "Hello"))
	whole := usual.pack(prose(300, 1) + noisy)
	for n := 1; n < len(whole); n += 5 {
		if _, err := inflate(whole[:n]); err != nil {
			bad(fmt.Sprintf("cut off after %d bytes", n), whole[:n])
		}
	}
	return all
}
