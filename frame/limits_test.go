package frame_test

import (
	"bytes"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"throng/frame"
)

// TestLimits gives headers without their payload: whatever is refused is refused
// on the header alone.
func TestLimits(t *testing.T) {
	small := frame.Limits{Frame: 10, Message: 16}
	huge := frame.Limits{Frame: math.MaxInt64, Message: math.MaxInt64}
	one, two, three := client(binData, "12345678"), client(cont, "12345678"), client(fin|cont, "")
	cases := []struct {
		name  string
		lim   frame.Limits
		bytes []byte
		want  error
	}{
		{"frame at its limit", small, clientHeader(fin|binData, 10), nil},
		{"frame over it", small, clientHeader(fin|binData, 11), frame.ErrTooBig},
		{"frame far over it", small, clientHeader(fin|binData, math.MaxInt64), frame.ErrTooBig},
		{"frame over the message's limit", frame.Limits{Frame: 20, Message: 16},
			clientHeader(text, 17), frame.ErrTooBig},
		{"message at its limit", small, join(one, two, three), nil},
		{"fragments over it", small, join(one, clientHeader(cont, 9)), frame.ErrTooBig},
		{"one byte over it", small, join(one, two, clientHeader(fin|cont, 1)), frame.ErrTooBig},
		{"control frames do not count", small, join(one, client(fin|ping, "123456789012"), two, three), nil},
		{"sum at 63 bits", huge, join(one, clientHeader(cont, math.MaxInt64-8)), nil},
		{"sum over 63 bits", huge, join(one, clientHeader(cont, math.MaxInt64-7)), frame.ErrTooBig},
		{"sum wraps", huge, join(one, clientHeader(cont, math.MaxInt64)), frame.ErrTooBig},
		{"three fragments of three", frame.Limits{Frame: 10, Message: 16, Fragments: 3}, join(one, two, three), nil},
		{"three fragments of two", frame.Limits{Frame: 10, Message: 16, Fragments: 2},
			join(one, two, clientHeader(fin|cont, 0)), frame.ErrFragments},
		{"pings are no fragments", frame.Limits{Frame: 10, Message: 16, Fragments: 2},
			join(one, client(fin|ping, "ab"), client(fin|pong, "cd"), three), nil},
		{"the count begins anew", frame.Limits{Frame: 10, Message: 16, Fragments: 2},
			join(one, three, one, three, client(fin|text, "")), nil},
		{"nothing allowed", frame.Limits{}, clientHeader(fin|binData, 1), frame.ErrTooBig},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if r := decodeEverySplit(t, c.lim, c.bytes); r.err != c.want || r.taken != len(c.bytes) {
				t.Errorf("got %+v, want %v at %d", r, c.want, len(c.bytes))
			}
		})
	}
}

// TestIdleIsEightBytes is what an open connection pays for its decoder.
func TestIdleIsEightBytes(t *testing.T) {
	if size := unsafe.Sizeof(frame.Decoder{}); size != 8 {
		t.Errorf("a Decoder has %d bytes", size)
	}
}

// TestDeclaredLengthAllocatesNothing declares 2^63-1 bytes and sends three.
func TestDeclaredLengthAllocatesNothing(t *testing.T) {
	lim := frame.Limits{Frame: math.MaxInt64, Message: math.MaxInt64}
	src := append(clientHeader(fin|binData, math.MaxInt64), 1, 2, 3)
	var d frame.Decoder
	defer d.Reset()
	allocated := allocatedBytes(func() {
		if _, n, ok, err := d.Decode(src, &lim); ok || err != nil || n != len(src) {
			t.Fatalf("took %d, %v, %v", n, ok, err)
		}
	})
	if allocated > 4<<10 || d.Held() > 2<<10 {
		t.Errorf("allocated %d bytes, held %d", allocated, d.Held())
	}
}

// TestBegin decodes a message of many frames, a few at a call.
func TestBegin(t *testing.T) {
	src := append(client(text, "a"), bytes.Repeat(client(cont, "b"), 6)...)
	src = append(append(src, client(fin|ping, "p")...), client(fin|cont, "c")...)
	lim := roomy
	lim.Begin = 3
	var d frame.Decoder
	defer d.Reset()
	var calls []string
	for len(src) > 0 {
		m, n, ok, err := d.Decode(src, &lim)
		if err != nil {
			t.Fatal(err)
		}
		src = src[n:]
		calls = append(calls, fmt.Sprintf("%d %v %s", n/7, ok, m.Payload))
	}
	if want := []string{"3 false ", "3 false ", "2 true p", "1 true abbbbbbc"}; !slices.Equal(calls, want) {
		t.Errorf("%q, want %q", calls, want)
	}
}

// TestSmallPieces counts what the smallest pieces cost: the bytes allocated in
// all are linear, the bytes held are bound by what arrived, and no byte of text is
// looked at again once three others stand behind it.
func TestSmallPieces(t *testing.T) {
	const size = 1 << 17
	fragments := bytes.Repeat(client(cont, "x"), size)
	fragments[0] = text
	for _, c := range []struct {
		name  string
		bytes []byte
		chunk int
	}{
		{"fragments of one byte", fragments, 7},
		{"fragments of one byte in one read", fragments, len(fragments)},
		{"fragments of one byte in single bytes", fragments, 1},
		{"a frame in single bytes", client(fin|text, strings.Repeat("x", size)), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d frame.Decoder
			defer d.Reset()
			perByte := len(c.bytes) / size // wire bytes for each of payload
			allocated := allocatedBytes(func() { feedPieces(t, &d, c.bytes, c.chunk, perByte) })
			if allocated > 8*size {
				t.Errorf("%d bytes allocated for %d", allocated, size)
			}
		})
	}
}

// feedPieces decodes b in chunks and checks after each what is held.
func feedPieces(t *testing.T, d *frame.Decoder, b []byte, chunk, perByte int) {
	for i := 0; i < len(b); i += chunk {
		_, n, _, err := d.Decode(b[i:i+chunk], &roomy)
		if err != nil || n != chunk {
			t.Fatalf("at %d: took %d, %v", i, n, err)
		}
		if arrived := (i + chunk) / perByte; d.Held() > 2*arrived+2<<10 {
			t.Fatalf("%d bytes held for %d", d.Held(), arrived)
		}
		if d.Unchecked() > 3 {
			t.Fatalf("%d bytes of text are to be looked at again", d.Unchecked())
		}
	}
}

// TestHeld follows what a decoder holds through the life of a message.
func TestHeld(t *testing.T) {
	var d frame.Decoder
	b := client(fin|binData, string(make([]byte, 64<<10)))
	for _, step := range []struct {
		feed     int
		min, max int
	}{
		{0, 0, 0},
		{1, 1, 2 << 10},
		{13, 1, 2 << 10},
		{32 << 10, 32 << 10, 66 << 10},
		{32 << 10, 64 << 10, 130 << 10}, // the message is valid until the next call
		{0, 0, 0},
	} {
		_, n, _, err := d.Decode(b[:step.feed], &roomy)
		if err != nil || n != step.feed {
			t.Fatalf("took %d of %d, %v", n, step.feed, err)
		}
		if held := d.Held(); held < step.min || held > step.max {
			t.Errorf("%d bytes held, want %d to %d", held, step.min, step.max)
		}
		b = b[n:]
	}
}

// TestReset makes a decoder in the middle of a message as new.
func TestReset(t *testing.T) {
	for _, begun := range [][]byte{{0x81}, client(text, "Hel"), client(fin|ping, "abc")[:7]} {
		var d frame.Decoder
		d.Decode(begun, &roomy)
		if d.Held() == 0 {
			t.Errorf("nothing held after %x", begun)
		}
		d.Reset()
		if d.Held() != 0 {
			t.Errorf("%d bytes held after Reset", d.Held())
		}
		m, _, ok, err := d.Decode(client(fin|text, "new"), &roomy)
		if !ok || err != nil || string(m.Payload) != "new" {
			t.Errorf("got %q, %v, %v", m.Payload, ok, err)
		}
	}
}

// TestPoolKeepsNoLargeBuffer begins a message after a large one has ended.
func TestPoolKeepsNoLargeBuffer(t *testing.T) {
	for range 100 {
		var d frame.Decoder
		d.Decode(client(binData, string(make([]byte, 64<<10))), &roomy)
		d.Reset()
		d.Decode([]byte{0x81}, &roomy)
		if d.Held() > 2<<10 {
			t.Fatalf("%d bytes held for one", d.Held())
		}
		d.Reset()
	}
}

// TestWholeFrameStaysInPlace yields the bytes of src themselves and holds nothing.
func TestWholeFrameStaysInPlace(t *testing.T) {
	var d frame.Decoder
	for _, src := range [][]byte{client(fin|text, "a"), client(fin|ping, "bc"), client(fin|binData, "d")} {
		m, _, ok, err := d.Decode(src, &roomy)
		if !ok || err != nil || &m.Payload[0] != &src[6] || d.Held() != 0 {
			t.Errorf("%x: %v, %v, %d bytes held", src, ok, err, d.Held())
		}
	}
}

// TestDecodeAllocates nothing for frames that arrive whole.
func TestDecodeAllocates(t *testing.T) {
	zeros := string(make([]byte, 300))
	whole := join(client(fin|text, "Hello, 世界"), client(fin|ping, ""), client(fin|binData, zeros))
	for _, c := range []struct {
		name          string
		before, bytes []byte
	}{
		{"messages", nil, whole},
		{"a ping between fragments", client(text, "Hel"), client(fin|ping, "abc")},
	} {
		var d frame.Decoder
		d.Decode(c.before, &roomy)
		buf := make([]byte, len(c.bytes))
		allocs := testing.AllocsPerRun(10_000, func() {
			src := buf[:copy(buf, c.bytes)]
			for {
				_, n, ok, err := d.Decode(src, &roomy)
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					return
				}
				src = src[n:]
			}
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations", c.name, allocs)
		}
		d.Reset()
	}
}

// allocatedBytes is what f allocates, freed or not.
func allocatedBytes(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
