package frame_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"throng/frame"
)

// TestAppend has the unmasked examples of RFC 6455 5.7 and the edges of the
// three lengths.
func TestAppend(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		name    string
		op      ws.OpCode
		payload string
		header  string
	}{
		{"text", ws.OpText, "Hello", "\x81\x05"},
		{"ping", ws.OpPing, "Hello", "\x89\x05"},
		{"256 bytes", ws.OpBinary, x(256), "\x82\x7e\x01\x00"},
		{"64 KiB", ws.OpBinary, x(65536), "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"},
		{"empty", ws.OpPong, "", "\x8a\x00"},
		{"125", ws.OpText, x(125), "\x81\x7d"},
		{"126", ws.OpText, x(126), "\x81\x7e\x00\x7e"},
		{"65535", ws.OpText, x(65535), "\x81\x7e\xff\xff"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := frame.Append([]byte("before"), c.op, []byte(c.payload))
			if string(got) != "before"+c.header+c.payload {
				t.Errorf("got %.20x, want %x and the payload", got, c.header)
			}
		})
	}
}

func TestAppendAllocates(t *testing.T) {
	for _, size := range []int{0, 64, 126, 70_000} {
		payload := make([]byte, size)
		// Exactly as much room as it takes: nothing more may be asked for.
		dst := make([]byte, 0, len(frame.Append(nil, ws.OpText, payload)))
		if n := testing.AllocsPerRun(1000, func() { frame.Append(dst, ws.OpText, payload) }); n != 0 {
			t.Errorf("%v allocations for %d bytes", n, size)
		}
	}
	dst := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(1000, func() { frame.AppendClose(dst, 1001, "going away") }); n != 0 {
		t.Errorf("%v allocations for a close frame", n)
	}
}

// serverFrames are frames of the given payload sizes, and all their ends, 0 included.
func serverFrames(sizes []int) (frames []byte, ends []int) {
	ends = []int{0}
	for _, size := range sizes {
		frames = frame.Append(frames, ws.OpText, make([]byte, size))
		ends = append(ends, len(frames))
	}
	return frames, ends
}

func TestBoundary(t *testing.T) {
	sizes := []int{0, 5, 125, 126, 300, 0, 65535, 65536, 1}
	frames, ends := serverFrames(sizes)
	for i := 1; i < len(ends); i++ {
		for n := ends[i-1] + 1; n <= ends[i]; n++ {
			if got := frame.Boundary(frames, n); got != ends[i] {
				t.Fatalf("Boundary(%d) is %d, want %d", n, got, ends[i])
			}
		}
	}
	if got := frame.Boundary(frames, 0); got != 0 {
		t.Errorf("Boundary(0) is %d", got)
	}
	if got := frame.Boundary(nil, 0); got != 0 {
		t.Errorf("Boundary of nothing is %d", got)
	}
}

func TestPanics(t *testing.T) {
	two := join(frame.Append(nil, ws.OpText, []byte("one")), frame.Append(nil, ws.OpText, make([]byte, 300)))
	for _, c := range []struct {
		name string
		call func()
	}{
		{"Boundary behind the end", func() { frame.Boundary(two, len(two)+1) }},
		{"Boundary of nothing", func() { frame.Boundary(nil, 1) }},
		{"Boundary of a cut payload", func() { frame.Boundary(two[:20], 9) }},
		{"Boundary of a cut length", func() { frame.Boundary(two[:7], 6) }},
		{"Boundary of a cut header", func() { frame.Boundary(two[:6], 6) }},
		{"Boundary of a length that wraps", func() { frame.Boundary([]byte("\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff"), 1) }},
		{"Append of a long ping", func() { frame.Append(nil, ws.OpPing, make([]byte, 126)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer func() {
				if s, ok := recover().(string); !ok || !strings.HasPrefix(s, "frame: ") {
					t.Errorf("panic with %q", s)
				}
			}()
			c.call()
		})
	}
}

// TestCipher compares the library's unmasking, which is assembly, with a naive
// loop. Run it once with -tags purego too.
func TestCipher(t *testing.T) {
	const longest = 4160
	rnd := rand.New(rand.NewPCG(6, 455))
	data, got, want := make([]byte, longest), make([]byte, longest), make([]byte, longest)
	for i := range data {
		data[i] = byte(rnd.Uint32())
	}
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	for offset := range 4 {
		for i := range data {
			want[i] = data[i] ^ mask[(i+offset)%4]
		}
		for size := range longest + 1 {
			copy(got, data)
			ws.Cipher(got[:size], mask, offset)
			if !bytes.Equal(got[:size], want[:size]) || !bytes.Equal(got[size:], data[size:]) {
				t.Fatalf("%d bytes at offset %d differ from the naive loop", size, offset)
			}
		}
	}
}
