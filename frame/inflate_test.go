package frame_test

import (
	"bytes"
	"compress/flate"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"throng/frame"
)

const rsv1 = 0x40

// deflating are roomy limits of a connection that has negotiated permessage-deflate.
var deflating = frame.Limits{Frame: 1 << 20, Message: 1 << 20, Deflate: true}

// deflated compresses as a peer would, by the standard library: each part flushed,
// the last four bytes removed.
func deflated(level int, parts ...string) string {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	for _, p := range parts {
		if err == nil {
			_, err = w.Write([]byte(p))
		}
		if err == nil {
			err = w.Flush()
		}
	}
	if err != nil {
		panic(err)
	}
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

// finished compresses to blocks of which the last has BFINAL set.
func finished(payload string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 6)
	w.Write([]byte(payload))
	w.Close()
	return b.String()
}

// stored is a block that is not compressed, with or without BFINAL.
func stored(final byte, payload string) string {
	n := len(payload)
	return string([]byte{final, byte(n), byte(n >> 8), ^byte(n), ^byte(n >> 8)}) + payload
}

// The examples of RFC 7692 7.2.3, byte by byte, masked; Hello is what they say.
func TestRFC7692Examples(t *testing.T) {
	hello := []message{{text, "Hello"}}
	for _, c := range []struct {
		name  string
		bytes []byte
		want  []message
	}{
		{"7.2.3.1 one block", client(fin|rsv1|text, "\xf2\x48\xcd\xc9\xc9\x07\x00"), hello},
		{"7.2.3.1 in fragments", join(client(rsv1|text, "\xf2\x48\xcd"), client(fin|cont, "\xc9\xc9\x07\x00")), hello},
		{"7.2.3.2 without the window of the last", join(
			client(fin|rsv1|text, "\xf2\x48\xcd\xc9\xc9\x07\x00"), client(fin|rsv1|text, "\xf2\x48\xcd\xc9\xc9\x07\x00"),
		), slices.Concat(hello, hello)},
		{"7.2.3.3 not compressed", client(fin|rsv1|text, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), hello},
		{"7.2.3.4 BFINAL", client(fin|rsv1|text, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), hello},
		{"7.2.3.5 two blocks", client(fin|rsv1|text, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), hello},
		{"7.2.3.6 nothing", client(fin|rsv1|text, "\x00"), []message{{text, ""}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if r := decodeEverySplit(t, deflating, c.bytes); r.err != nil || !slices.Equal(r.messages, c.want) {
				t.Errorf("got %+v, want %v", r, c.want)
			}
		})
	}
	// 7.2.3.2 with the window of the last message: refers to what is not kept.
	if r := decode(t, deflating, client(fin|rsv1|text, "\xf2\x00\x11\x00\x00")); r.err != frame.ErrDeflate {
		t.Errorf("a reference to the last message gives %+v", r)
	}
}

// TestInflate has every form that a compressed message may have.
func TestInflate(t *testing.T) {
	long := strings.Repeat("All human beings are born free. ", 40)
	for _, c := range []struct {
		name, packed, want string
	}{
		{"nothing, stored", stored(0, "") + "\x00", ""},
		{"nothing, as a final block", "\x03\x00\x00", ""},
		{"nothing, as a final block without the octet", "\x03\x00", ""},
		{"stored", stored(0, long) + "\x00", long},
		{"stored, final", stored(1, long) + "\x00", long},
		{"stored, final, without the octet", stored(1, long), long},
		{"several stored", stored(0, "ab") + stored(0, "") + stored(0, "cd") + "\x00", "abcd"},
		{"Huffman only", deflated(flate.HuffmanOnly, long), long},
		{"level 9", deflated(9, long), long},
		{"flushed three times", deflated(6, long, "x", long), long + "x" + long},
		{"final, without the octet", finished(long), long},
		{"final and final", finished("one") + finished("two") + "\x00", "onetwo"},
		{"final and not", finished("one") + deflated(6, "two"), "onetwo"},
		{"not and final", deflated(6, "one") + "\x00\x00\xff\xff" + finished("two"), "onetwo"},
		{"not and not", deflated(6, "one") + "\x00\x00\xff\xff" + deflated(6, "two"), "onetwo"},
		{"window behind a final block", stored(1, "Hello") + "\x02\x13\x00\x00", "HelloHello"},
		{"empty final blocks", strings.Repeat("\x03\x00", 1000) + deflated(6, "two"), "two"},
		{"a window for each of many final blocks",
			stored(1, strings.Repeat("w", 40<<10)) + strings.Repeat("\x03\x00", 1000) + deflated(6, "two"), strings.Repeat("w", 40<<10) + "two"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stream := client(fin|rsv1|binData, c.packed)
			if len(c.packed) > 2 {
				stream = join(stream, client(rsv1|binData, c.packed[:1]), client(fin|ping, "p"), client(cont, ""), client(fin|cont, c.packed[1:]))
			}
			r := decode(t, deflating, stream)
			if len(c.packed) < 300 {
				r = decodeEverySplit(t, deflating, stream)
			}
			r.messages = slices.DeleteFunc(r.messages, func(m message) bool { return m.op == ping })
			if r.err != nil || len(r.messages) == 0 {
				t.Fatalf("got %+v", r)
			}
			for _, m := range r.messages {
				if m != (message{binData, c.want}) {
					t.Errorf("got %v, want %d bytes", m, len(c.want))
				}
			}
		})
	}
}

// TestNotDeflate has what cannot be inflated, each way to be cut among it.
func TestNotDeflate(t *testing.T) {
	long := strings.Repeat("All human beings are born free. ", 4)
	type fault struct{ name, packed string }
	faults := []fault{
		{"no block at all", ""},
		{"reserved block type", "\x06"},
		{"lengths that differ", "\x00\x05\x00\xfa\xfeHello\x00"},
		{"too far back", "\x02\x13\x00\x00"},
		{"final, then a reserved type", finished("one") + "\x06"},
		{"random", "\xff\xfe\xfd\xfc\xfb\xfa"},
		{"the tail is still there", deflated(6, "one") + "\x00\x00\xff\xff"},
	}
	for _, whole := range []string{deflated(6, long), "\xf3\x48\xcd\xc9\xc9\x07\x00", deflated(flate.HuffmanOnly, long)} {
		for cut := 1; cut < len(whole); cut++ {
			faults = append(faults, fault{fmt.Sprintf("%x cut at %d", whole[:2], cut), whole[:cut]})
		}
	}
	for _, c := range faults {
		if r := decode(t, deflating, client(fin|rsv1|binData, c.packed)); r.err != frame.ErrDeflate {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
	if c := frame.ErrDeflate.Code(); c != 1007 {
		t.Errorf("code %d", c)
	}
}

// A text is judged as it is after inflating, and only then.
func TestInflatedUTF8(t *testing.T) {
	for _, c := range []struct {
		name  string
		bytes []byte
		want  error
	}{
		{"good", client(fin|rsv1|text, deflated(6, "κόσμε")), nil},
		{"good, the compressed bytes are not", client(fin|rsv1|text, deflated(6, "Hello")), nil},
		{"good, in fragments", join(client(rsv1|text, "\xf2\x48\xcd"), client(fin|cont, "\xc9\xc9\x07\x00")), nil},
		{"bad", client(fin|rsv1|text, deflated(6, "a\xffb")), frame.ErrUTF8},
		{"cut", client(fin|rsv1|text, deflated(6, "a\xe2\x82")), frame.ErrUTF8},
		{"bad, in fragments", join(client(rsv1|text, stored(0, "a\xff")), client(fin|cont, "\x00")), frame.ErrUTF8},
		{"binary", client(fin|rsv1|binData, deflated(6, "a\xffb")), nil},
		{"good, then a bad one that is not compressed", join(client(fin|rsv1|text, deflated(6, "a")), client(fin|text, "\xff")), frame.ErrUTF8},
	} {
		if r := decodeEverySplit(t, deflating, c.bytes); r.err != c.want || c.want == nil && len(r.messages) != 1 {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
}

// TestRSV1 has each frame on which the bit may not stand. It is refused on two bytes.
func TestRSV1(t *testing.T) {
	plain := roomy
	open, packed := client(text, "Hel"), client(rsv1|text, "\xf2\x48")
	for _, c := range []struct {
		name  string
		lim   frame.Limits
		bytes []byte
		want  error
	}{
		{"not negotiated", plain, client(fin|rsv1|text, "x"), frame.ErrReservedBits},
		{"not negotiated, binary", plain, client(rsv1|binData, "x"), frame.ErrReservedBits},
		{"continuation", deflating, join(open, client(fin|rsv1|cont, "x")), frame.ErrReservedBits},
		{"continuation of a compressed one", deflating, join(packed, client(fin|rsv1|cont, "x")), frame.ErrReservedBits},
		{"ping", deflating, client(fin|rsv1|ping, "x"), frame.ErrReservedBits},
		{"pong", deflating, client(fin|rsv1|pong, "x"), frame.ErrReservedBits},
		{"close", deflating, client(fin|rsv1|closing, ""), frame.ErrReservedBits},
		{"ping inside a compressed one", deflating, join(packed, client(fin|rsv1|ping, "x")), frame.ErrReservedBits},
		{"opcode 3", deflating, client(fin|rsv1|0x3, "x"), frame.ErrReservedBits},
		{"opcode 11", deflating, client(fin|rsv1|0xb, "x"), frame.ErrReservedBits},
		{"with RSV2", deflating, client(fin|rsv1|0x20|text, "x"), frame.ErrReservedBits},
		{"with RSV3", deflating, client(fin|rsv1|0x10|text, "x"), frame.ErrReservedBits},
		{"RSV2 alone", deflating, client(fin|0x20|text, "x"), frame.ErrReservedBits},
		{"RSV3 alone", deflating, client(fin|0x10|text, "x"), frame.ErrReservedBits},
		{"inside a message", deflating, join(open, client(fin|rsv1|text, "x")), frame.ErrInterleaved},
		{"inside a compressed one", deflating, join(packed, client(fin|rsv1|text, "x")), frame.ErrInterleaved},
	} {
		r := decodeEverySplit(t, c.lim, c.bytes)
		if r.err != c.want {
			t.Errorf("%s: %+v, want %v", c.name, r, c.want)
		}
		// All but the last frame's first two bytes were before it.
		if start := bytes.LastIndex(c.bytes, rfcMask[:]) - 2; r.taken != start+2 {
			t.Errorf("%s: refused at %d, want %d", c.name, r.taken, start+2)
		}
	}
	// Compressed and plain messages in turn.
	r := decodeEverySplit(t, deflating, join(client(fin|rsv1|text, deflated(6, "one")), client(fin|text, "two"),
		client(rsv1|text, deflated(6, "three")), client(fin|ping, "p"), client(fin|cont, ""), client(text, "fo"), client(fin|cont, "ur")))
	if want := []message{{text, "one"}, {text, "two"}, {ping, "p"}, {text, "three"}, {text, "four"}}; r.err != nil || !slices.Equal(r.messages, want) {
		t.Errorf("got %+v", r)
	}
}

// The limits hold for what is inflated, to the byte, and on the wire for what
// arrives of it; there with room for what cannot be compressed.
func TestInflatedLimits(t *testing.T) {
	lim := frame.Limits{Frame: 1000, Message: 1000, Deflate: true}
	noise := make([]byte, 1000)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	for _, c := range []struct {
		name  string
		bytes []byte
		want  error
	}{
		{"at the limit", client(fin|rsv1|binData, deflated(6, strings.Repeat("x", 1000))), nil},
		{"one above", client(fin|rsv1|binData, deflated(6, strings.Repeat("x", 1001))), frame.ErrTooBig},
		{"at the limit, one byte for each block", client(fin|rsv1|binData, stored(0, strings.Repeat("x", 999))+stored(0, "x")+"\x00"), nil},
		{"above, then not DEFLATE", client(fin|rsv1|binData, stored(0, strings.Repeat("x", 1001))+"\x06"), frame.ErrTooBig},
		{"above in the second final block", client(fin|rsv1|binData, finished(strings.Repeat("x", 999))+finished("xx")), frame.ErrTooBig},
		{"noise at the limit", client(fin|rsv1|binData, deflated(6, string(noise))), nil},
		{"noise at the limit, in two", join(client(rsv1|binData, deflated(6, string(noise))), client(fin|cont, "")), nil},
		{"on the wire", clientHeader(fin|rsv1|binData, 1205), frame.ErrTooBig},
		{"on the wire, in two", join(client(rsv1|binData, string(noise)), clientHeader(cont, 205)), frame.ErrTooBig},
		{"not compressed", clientHeader(fin|binData, 1001), frame.ErrTooBig},
	} {
		r := decodeEverySplit(t, lim, c.bytes)
		if r.err != c.want || c.want == nil && (len(r.messages) != 1 || len(r.messages[0].payload) != 1000) {
			t.Errorf("%s: %v, want %v", c.name, r.err, c.want)
		}
	}
}

// A thousand times a megabyte of zeros, in a kilobyte each: nothing of it is kept,
// and no more is made of it than the limit allows.
func TestBombs(t *testing.T) {
	bomb := client(fin|rsv1|binData, deflated(9, strings.Repeat("\x00", 1<<20)))
	lim := frame.Limits{Frame: 64 << 10, Message: 64 << 10, Deflate: true}
	src := make([]byte, len(bomb))
	var d frame.Decoder
	explode := func() {
		copy(src, bomb)
		if _, _, ok, err := d.Decode(src, &lim); ok || err != frame.ErrTooBig {
			t.Fatal(ok, err)
		}
		if d.Held() != 0 {
			t.Fatalf("%d bytes held", d.Held())
		}
	}
	// The pool may be empty at any time: the collector clears it, and the race detector has it
	// lose a quarter of what is put there. What one bomb with an empty pool costs, half of them together may.
	runtime.GC()
	runtime.GC()
	most := allocatedBytes(explode)
	if most > 512<<10 {
		t.Errorf("%d bytes allocated for one bomb", most)
	}
	allocated := allocatedBytes(func() {
		for range 1000 {
			explode()
		}
	})
	if allocated > 1000/2*most {
		t.Errorf("%d bytes allocated, %d for the first alone", allocated, most)
	}
}

// What a limit of 16 MiB allows is made in steps: a small message does not cost it.
func TestInflatingFollowsTheMessage(t *testing.T) {
	lim := frame.Limits{Frame: 16 << 20, Message: 16 << 20, Deflate: true}
	for _, size := range []int{10, 100_000, 1_000_000} {
		var d frame.Decoder
		b := client(fin|rsv1|binData, deflated(1, strings.Repeat("x", size)))
		allocated := allocatedBytes(func() {
			m, _, ok, err := d.Decode(b, &lim)
			if !ok || err != nil || len(m.Payload) != size || m.Packed >= size && size > 10 || m.Packed == 0 {
				t.Fatal(ok, err, len(m.Payload), m.Packed)
			}
		})
		if held := d.Held(); held < size || held > 2*size+200<<10 {
			t.Errorf("%d bytes held for %d", held, size)
		}
		if allocated > uint64(4*size+200<<10) {
			t.Errorf("%d bytes allocated for %d", allocated, size)
		}
		if _, _, ok, err := d.Decode(nil, &lim); ok || err != nil || d.Held() != 0 {
			t.Errorf("%d bytes held when idle", d.Held())
		}
	}
}

// A buffer grows to one byte above the limit at most, and a large one goes to the
// collector with its message, not to the pool. What that keeps, another test may have made.
func TestInflaterBuffers(t *testing.T) {
	const limit, kept = 300_000, 128 << 10
	lim := frame.Limits{Frame: limit, Message: limit, Deflate: true}
	var d frame.Decoder
	for _, c := range []struct{ size, held int }{
		{limit - 20_000, limit + 1 + kept},
		{10, 2 * kept},
	} {
		b := client(fin|rsv1|binData, deflated(6, strings.Repeat("x", c.size)))
		if m, _, ok, err := d.Decode(b, &lim); !ok || err != nil || len(m.Payload) != c.size {
			t.Fatal(ok, err)
		}
		if held := d.Held(); held > c.held {
			t.Errorf("%d bytes held for %d, want %d at most", held, c.size, c.held)
		}
		d.Decode(nil, &lim)
	}
}
