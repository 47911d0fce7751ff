package frame_test

import (
	"testing"
	"unicode/utf8"

	"throng/frame"
)

// wellFormed is table 3-7 of the Unicode standard: the bytes of every UTF-8 sequence.
var wellFormed = [][][2]byte{
	{{0x00, 0x7f}},
	{{0xc2, 0xdf}, {0x80, 0xbf}},
	{{0xe0, 0xe0}, {0xa0, 0xbf}, {0x80, 0xbf}},
	{{0xe1, 0xec}, {0x80, 0xbf}, {0x80, 0xbf}},
	{{0xed, 0xed}, {0x80, 0x9f}, {0x80, 0xbf}},
	{{0xee, 0xef}, {0x80, 0xbf}, {0x80, 0xbf}},
	{{0xf0, 0xf0}, {0x90, 0xbf}, {0x80, 0xbf}, {0x80, 0xbf}},
	{{0xf1, 0xf3}, {0x80, 0xbf}, {0x80, 0xbf}, {0x80, 0xbf}},
	{{0xf4, 0xf4}, {0x80, 0x8f}, {0x80, 0xbf}, {0x80, 0xbf}},
}

// firstBad is the naive oracle: the index of the first byte that no UTF-8 text
// can have there, or -1, and whether the text ends with a whole rune.
func firstBad(p string) (bad int, whole bool) {
	for i := 0; i < len(p); {
		n, ok := sequence(p[i:])
		if !ok {
			return i + n, false
		}
		if n == 0 {
			return -1, false
		}
		i += n
	}
	return -1, true
}

// sequence is the length of the sequence at the start of p, 0 if p ends inside
// it. If there is none, n is the longest part of p that begins one.
func sequence(p string) (n int, ok bool) {
	longest := 0
	for _, row := range wellFormed {
		i := 0
		for i < len(row) && i < len(p) && row[i][0] <= p[i] && p[i] <= row[i][1] {
			i++
		}
		if i == len(row) {
			return i, true
		}
		if i == len(p) {
			return 0, true
		}
		longest = max(longest, i)
	}
	return longest, false
}

// refusedAt feeds payload byte by byte as the beginning of a longer text frame.
// It is the index of the byte at which that is refused, or -1.
func refusedAt(t testing.TB, payload string) int {
	var d frame.Decoder
	defer d.Reset()
	src := clientHeader(fin|text, uint64(len(payload))+1)
	d.Decode(src, &roomy)
	for i := range len(payload) {
		b := []byte{payload[i] ^ rfcMask[i%4]}
		_, _, ok, err := d.Decode(b, &roomy)
		if ok || err != nil && err != frame.ErrUTF8 {
			t.Fatalf("%q: %v, %v", payload, ok, err)
		}
		if err != nil {
			return i
		}
	}
	return -1
}

// TestUTF8FirstBadByte has every sequence of up to four bytes out of those at
// the edges of table 3-7, and every one of two.
func TestUTF8FirstBadByte(t *testing.T) {
	const edges = "\x00\x7f\x80\x8f\x90\x9f\xa0\xbf\xc1\xc2\xdf\xe0\xe1\xed\xef\xf0\xf4\xf5\xff"
	check := func(p string) {
		if want, _ := firstBad(p); refusedAt(t, p) != want {
			t.Fatalf("%x is refused at %d, want %d", p, refusedAt(t, p), want)
		}
	}
	var grow func(p string)
	grow = func(p string) {
		check(p)
		for i := 0; i < len(edges) && len(p) < 4; i++ {
			grow(p + edges[i:i+1])
		}
	}
	grow("")
	for i := range 1 << 16 {
		check(string([]byte{byte(i >> 8), byte(i)}))
	}
}

// TestUTF8WholeFrame is the path of a frame that arrives whole.
func TestUTF8WholeFrame(t *testing.T) {
	for _, p := range []string{
		"", "ascii", "κόσμε", "\U0010ffff",
		"a\xe2\x82", "\xf4\x90\x80\x80", "\xed\xa0\x80", "\xc0\xaf", "\x80", "ok\xff",
	} {
		r := decode(t, roomy, client(fin|text, p))
		if bad := r.err == frame.ErrUTF8; bad == utf8.ValidString(p) {
			t.Errorf("%q: %v", p, r.err)
		}
		if r := decode(t, roomy, client(fin|binData, p)); r.err != nil {
			t.Errorf("binary %q: %v", p, r.err)
		}
	}
}

// TestUTF8EverySplit cuts a text into three fragments at all places, whole and
// with its last rune incomplete.
func TestUTF8EverySplit(t *testing.T) {
	const full = "aé€😀\U0010ffff\ud7ff\ue000z"
	for _, c := range []struct {
		text string
		want error
	}{
		{full, nil},
		{full + "\xf0\x9f\x98", frame.ErrUTF8},
		{full + "\xe2\x82", frame.ErrUTF8},
		{full + "\xc3", frame.ErrUTF8},
	} {
		for i := range len(c.text) + 1 {
			for j := i; j <= len(c.text); j++ {
				b := join(client(text, c.text[:i]), client(fin|ping, "\xff"),
					client(cont, c.text[i:j]), client(fin|cont, c.text[j:]))
				for _, chunks := range [][][]byte{{b}, inBytes(b)} {
					r := decode(t, roomy, chunks...)
					if r.err != c.want || c.want == nil && r.messages[1].payload != c.text {
						t.Fatalf("%q cut at %d and %d: %+v", c.text, i, j, r)
					}
				}
			}
		}
	}
}
