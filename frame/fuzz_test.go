package frame_test

import (
	"bytes"
	"compress/flate"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"throng/frame"
)

// tight are limits that a fuzzer reaches.
var tight = frame.Limits{Frame: 300, Message: 500, Fragments: 8}

// cutUp cuts b into chunks, each one byte longer than cuts says, again and again.
func cutUp(b, cuts []byte) (chunks [][]byte) {
	for i := 0; len(b) > 0; i++ {
		n := 1
		if len(cuts) > 0 {
			n = min(1+int(cuts[i%len(cuts)]), len(b))
		}
		chunks, b = append(chunks, b[:n]), b[n:]
	}
	return chunks
}

// FuzzDecodeSplit: the same bytes split anywhere give the same messages and the
// same error.
func FuzzDecodeSplit(f *testing.F) {
	f.Add([]byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), []byte{1})
	f.Add(join(client(text, "H\xe2"), client(fin|ping, "p"), client(fin|cont, "\x82\xac")), []byte{3, 1})
	f.Add(join(client(fin|text, "ok"), client(fin|text, "\xf4\x90\x80\x80")), []byte{9, 2})
	f.Add(clientHeader(fin|binData, 301), []byte{200})
	f.Add(join(client(binData, string(make([]byte, 256))), clientHeader(cont, 245)), []byte{5, 0, 7})
	f.Add(bytes.Repeat(client(text, ""), 2), []byte{})
	f.Add(join(client(fin|closing, "\x03\xe8bye"), client(fin|closing, "\x03\xec")), []byte{4})
	f.Add([]byte{fin | ping, maskBit | 126, 0, 5, 0, 0, 0, 0}, []byte{2})
	f.Add([]byte{fin | text, maskBit | 127, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, []byte{1})
	f.Fuzz(func(t *testing.T, b, cuts []byte) {
		whole := decode(t, tight, b)
		for _, chunks := range [][][]byte{inBytes(b), cutUp(b, cuts)} {
			if split := decode(t, tight, chunks...); !split.equal(whole) {
				t.Fatalf("split gives %+v, whole gives %+v", split, whole)
			}
		}
	})
}

// FuzzUTF8: a text, whole and in two fragments, is taken if it is UTF-8, and
// refused at its first bad byte otherwise.
func FuzzUTF8(f *testing.F) {
	for _, s := range []string{"", "κόσμε", "\xf4\x90", "\xed\xa0\x80", "ab\xe2\x82", "\xf0\x9f\x98\x80\xff"} {
		f.Add(s, uint(3))
	}
	f.Fuzz(func(t *testing.T, p string, cut uint) {
		bad, whole := firstBad(p)
		if valid := utf8.ValidString(p); valid != (bad < 0 && whole) {
			t.Fatalf("the oracle differs from package utf8 on %q", p)
		}
		if got := refusedAt(t, p); got != bad {
			t.Fatalf("%q is refused at %d, want %d", p, got, bad)
		}
		at := int(cut % uint(len(p)+1))
		for _, b := range [][]byte{client(fin|text, p), join(client(text, p[:at]), client(fin|cont, p[at:]))} {
			for _, chunks := range [][][]byte{{b}, inBytes(b)} {
				r := decode(t, roomy, chunks...)
				if utf8.ValidString(p) && (r.err != nil || !slices.Equal(r.messages, []message{{text, p}})) {
					t.Fatalf("%q gives %+v", p, r)
				}
				if !utf8.ValidString(p) && r.err != frame.ErrUTF8 {
					t.Fatalf("%q gives %v", p, r.err)
				}
			}
		}
	})
}

// conversation turns any bytes into legal messages and the masked frames that
// carry them: two bytes of plan choose the form and the size of each.
func conversation(plan, content []byte) (stream []byte, want []message) {
	taken := 0
	take := func(n int) string {
		p := make([]byte, n)
		for i := 0; i < n && len(content) > 0; i++ {
			p[i] = content[taken%len(content)]
			taken++
		}
		return string(p)
	}
	for ; len(plan) >= 2; plan = plan[2:] {
		form, size := plan[0], int(plan[1])
		switch form % 4 {
		case 0:
			p := take(size)
			stream = append(stream, client(fin|binData, p)...)
			want = append(want, message{binData, p})
		case 1:
			p := take(size % 126)
			stream = append(stream, client(fin|ping, p)...)
			want = append(want, message{ping, p})
		default:
			a, p, b := take(size/2), take(size%126), take(size*3)
			stream = append(stream, client(binData, a)...)
			stream = append(stream, join(client(fin|pong, p), client(cont, b), client(fin|cont, ""))...)
			want = append(want, message{pong, p}, message{binData, a + b})
		}
	}
	return stream, want
}

// FuzzRoundTrip: what a client encodes is what Decode yields, and what Append
// encodes is what the library's own reader yields.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte{0, 5, 1, 4, 2, 9}, []byte("Hello"), []byte{1, 2, 3})
	f.Add([]byte{2, 255, 3, 130, 0, 255}, []byte{0, 255, 7}, []byte{64})
	f.Fuzz(func(t *testing.T, plan, content, cuts []byte) {
		plan = plan[:min(len(plan), 64)]
		stream, want := conversation(plan, content)
		for _, chunks := range [][][]byte{{stream}, cutUp(stream, cuts)} {
			r := decode(t, roomy, chunks...)
			if r.err != nil || r.pending || !slices.Equal(r.messages, want) {
				t.Fatalf("got %+v, want %v", r, want)
			}
		}
		var sent []byte
		for _, m := range want {
			sent = frame.Append(sent, ws.OpCode(m.op), []byte(m.payload))
		}
		for r := bytes.NewReader(sent); len(want) > 0; want = want[1:] {
			if op, payload := readServerFrame(t, r); op != want[0].op || payload != want[0].payload {
				t.Fatalf("got %x:%q, want %v", op, payload, want[0])
			}
		}
	})
}

// readServerFrame reads a frame with the library's header reader.
func readServerFrame(t *testing.T, r *bytes.Reader) (op byte, payload string) {
	h, err := ws.ReadHeader(r)
	if err != nil || ws.CheckHeader(h, ws.StateClientSide) != nil || !h.Fin {
		t.Fatalf("header %+v: %v", h, err)
	}
	p := make([]byte, h.Length)
	if _, err := r.Read(p); err != nil && len(p) > 0 {
		t.Fatal(err)
	}
	return byte(h.OpCode), string(p)
}

// FuzzBoundary: the boundary of n is the first of the ends that is not before n.
func FuzzBoundary(f *testing.F) {
	f.Add([]byte{0, 5, 125, 126, 255}, uint(130))
	f.Add([]byte{}, uint(0))
	f.Fuzz(func(t *testing.T, sizes []byte, n uint) {
		var squares []int // from 0 to 65,025: two of the three length forms
		for _, size := range sizes {
			squares = append(squares, int(size)*int(size))
		}
		frames, ends := serverFrames(squares[:min(len(squares), 32)])
		at := int(n % uint(len(frames)+1))
		i, _ := slices.BinarySearch(ends, at)
		if got := frame.Boundary(frames, at); got != ends[i] {
			t.Fatalf("Boundary(%d) is %d, want %d", at, got, ends[i])
		}
	})
}

// reference inflates a message with the standard library: block after block, of
// which each final one begins another stream with the window of the last.
func reference(packed []byte) (out []byte, ok bool) {
	const end = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"
	src := bytes.NewReader(append(bytes.Clone(packed), end...))
	for {
		more, err := io.ReadAll(flate.NewReaderDict(src, out[max(0, len(out)-32<<10):]))
		if out = append(out, more...); err != nil {
			return nil, false
		}
		if src.Len() == 0 || src.Len() == len(end) {
			return out, true
		}
	}
}

// FuzzInflate: a compressed message, whole and in fragments, is what the standard
// library inflates it to, or refused where that refuses it or it is too large.
func FuzzInflate(f *testing.F) {
	long := strings.Repeat("All human beings are born free. ", 40)
	for _, s := range []string{
		"", "\x00", "\x03\x00", "\xf2\x48\xcd\xc9\xc9\x07\x00", "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
		stored(1, "Hello") + "\x02\x13\x00\x00", stored(0, long) + "\x00", deflated(9, long), deflated(flate.HuffmanOnly, long, long), finished(long) + finished("two"),
	} {
		f.Add([]byte(s), uint(len(s)/2))
	}
	lim := frame.Limits{Frame: 1 << 20, Message: 64 << 10, Deflate: true}
	f.Fuzz(func(t *testing.T, packed []byte, cut uint) {
		packed = packed[:min(len(packed), 4<<10)]
		want, ok := reference(packed)
		at := int(cut % uint(len(packed)+1))
		for _, b := range [][]byte{
			client(fin|rsv1|binData, string(packed)),
			join(client(rsv1|binData, string(packed[:at])), client(fin|cont, string(packed[at:]))),
		} {
			switch r := decode(t, lim, b); {
			case r.err == frame.ErrTooBig && (!ok || len(want) > 64<<10):
			case r.err == frame.ErrDeflate && !ok:
			case r.err == nil && ok && slices.Equal(r.messages, []message{{binData, string(want)}}):
			default:
				t.Fatalf("%x gives %+v, want %d bytes %v", packed, r, len(want), ok)
			}
		}
	})
}

// FuzzDeflate: what Append compresses is what the standard library inflates to the
// payload, and smaller; and nothing that was before it in the buffer changes.
func FuzzDeflate(f *testing.F) {
	f.Add([]byte("All human beings are born free. "), uint(100), byte(1))
	f.Add([]byte("x"), uint(70_000), byte(9))
	f.Add([]byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"), uint(127), byte(4))
	f.Fuzz(func(t *testing.T, seed []byte, size uint, level byte) {
		payload := make([]byte, size%(80<<10))
		for i := 0; i < len(payload) && len(seed) > 0; i += len(seed) {
			copy(payload[i:], seed)
		}
		d := frame.NewDeflater(1 + int(level)%9)
		for range 2 { // and again, with the writer that is there
			checkDeflated(t, d, payload)
		}
	})
}
