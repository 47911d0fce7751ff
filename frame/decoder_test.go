package frame_test

import (
	"slices"
	"strings"
	"testing"

	"throng/frame"
)

// TestRFCExamples decodes the masked examples of RFC 6455 5.7, and the masked
// forms of the others.
func TestRFCExamples(t *testing.T) {
	long := strings.Repeat("x", 256)
	longer := strings.Repeat("y", 65536)
	cases := []struct {
		name  string
		bytes []byte
		want  []message
	}{
		{"masked text", []byte{0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58},
			[]message{{text, "Hello"}}},
		{"masked pong", []byte{0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58},
			[]message{{pong, "Hello"}}},
		{"fragmented text", join(client(0x01, "Hel"), client(0x80, "lo")), []message{{text, "Hello"}}},
		{"ping", client(0x89, "Hello"), []message{{ping, "Hello"}}},
		{"256 bytes", join([]byte{0x82, 0xfe, 0x01, 0x00, 0, 0, 0, 0}, []byte(long)), []message{{binData, long}}},
		{"64 KiB", join([]byte{0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, []byte(longer)),
			[]message{{binData, longer}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			splits := [][][]byte{{c.bytes}, inBytes(c.bytes), slices.Collect(slices.Chunk(c.bytes, 7))}
			for _, chunks := range splits {
				r := decode(t, roomy, chunks...)
				if r.err != nil || !slices.Equal(r.messages, c.want) || r.pending {
					t.Errorf("in %d chunks: got %+v, want %v", len(chunks), r, c.want)
				}
			}
		})
	}
}

func TestMessages(t *testing.T) {
	cases := []struct {
		name  string
		bytes []byte
		want  []message
	}{
		{"nothing", nil, nil},
		{"empty text", client(fin|text, ""), []message{{text, ""}}},
		{"empty binary", client(fin|binData, ""), []message{{binData, ""}}},
		{"empty ping", client(fin|ping, ""), []message{{ping, ""}}},
		{"empty close", client(fin|closing, ""), []message{{closing, ""}}},
		{"two in a row", join(client(fin|text, "a"), client(fin|binData, "b")),
			[]message{{text, "a"}, {binData, "b"}}},
		{"lengths at the edges", join(
			client(fin|binData, strings.Repeat("a", 125)),
			client(fin|binData, strings.Repeat("b", 126)),
			client(fin|ping, strings.Repeat("c", 125)),
		), []message{
			{binData, strings.Repeat("a", 125)},
			{binData, strings.Repeat("b", 126)},
			{ping, strings.Repeat("c", 125)},
		}},
		{"fragments, some empty", join(
			client(binData, ""), client(cont, "one"), client(cont, ""), client(cont, "two"), client(fin|cont, ""),
		), []message{{binData, "onetwo"}}},
		{"all fragments empty", join(client(text, ""), client(fin|cont, "")), []message{{text, ""}}},
		{"control frames between fragments", join(
			client(text, "Hel"), client(fin|ping, "p1"), client(fin|pong, ""), client(cont, "l"),
			client(fin|ping, "p2"), client(fin|cont, "o"), client(fin|text, "next"),
		), []message{{ping, "p1"}, {pong, ""}, {ping, "p2"}, {text, "Hello"}, {text, "next"}}},
		{"close between fragments", join(client(text, "Hel"), client(fin|closing, "\x03\xe8bye")),
			[]message{{closing, "\x03\xe8bye"}}},
		{"a rune around a ping",
			join(client(text, "\xf0\x9f"), client(fin|ping, "\xff"), client(fin|cont, "\x98\x80")),
			[]message{{ping, "\xff"}, {text, "😀"}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := decodeEverySplit(t, roomy, c.bytes)
			if r.err != nil || !slices.Equal(r.messages, c.want) {
				t.Errorf("got %+v, want %v", r, c.want)
			}
		})
	}
}

// TestViolations has every rule of RFC 6455 on what a client sends: the error,
// its code, and after how many bytes at the latest it must be refused.
func TestViolations(t *testing.T) {
	open := client(text, "Hel")
	cases := []struct {
		name  string
		bytes []byte
		at    int // bytes after which it must be refused
		want  frame.Error
	}{
		{"RSV1", client(fin|0x40|text, "x"), 2, frame.ErrReservedBits},
		{"RSV2", client(fin|0x20|text, "x"), 2, frame.ErrReservedBits},
		{"RSV3", client(fin|0x10|text, "x"), 2, frame.ErrReservedBits},
		{"RSV1 on a ping", client(fin|0x40|ping, "x"), 2, frame.ErrReservedBits},
		{"RSV1 on a continuation", join(open, client(fin|0x40|cont, "x")), len(open) + 2, frame.ErrReservedBits},
		{"opcode 3", client(fin|0x3, "x"), 2, frame.ErrReservedOpCode},
		{"opcode 4", client(fin|0x4, "x"), 2, frame.ErrReservedOpCode},
		{"opcode 5", client(fin|0x5, "x"), 2, frame.ErrReservedOpCode},
		{"opcode 6", client(fin|0x6, "x"), 2, frame.ErrReservedOpCode},
		{"opcode 7", client(fin|0x7, "x"), 2, frame.ErrReservedOpCode},
		{"opcode 11", client(fin|0xb, "x"), 2, frame.ErrReservedOpCode},
		{"opcode 12", client(fin|0xc, "x"), 2, frame.ErrReservedOpCode},
		{"opcode 13", client(fin|0xd, "x"), 2, frame.ErrReservedOpCode},
		{"opcode 14", client(fin|0xe, "x"), 2, frame.ErrReservedOpCode},
		{"opcode 15", client(fin|0xf, "x"), 2, frame.ErrReservedOpCode},
		{"unmasked", []byte{fin | text, 1, 'x'}, 2, frame.ErrUnmasked},
		{"unmasked and empty", []byte{fin | text, 0}, 2, frame.ErrUnmasked},
		{"unmasked control", []byte{fin | ping, 0}, 2, frame.ErrUnmasked},
		{"ping without FIN", client(ping, "x"), 2, frame.ErrControlFragmented},
		{"close without FIN", client(closing, ""), 2, frame.ErrControlFragmented},
		{"ping of 126 bytes", client(fin|ping, strings.Repeat("x", 126)), 2, frame.ErrControlTooLong},
		{"ping of 64 KiB", clientHeader(fin|ping, 1<<16), 2, frame.ErrControlTooLong},
		{"ping of 5 bytes, not minimal", []byte("\x89\xfe\x00\x05mask"), 2, frame.ErrControlTooLong},
		{"continuation first", client(fin|cont, "x"), 2, frame.ErrUnexpected},
		{"continuation after the last fragment", join(open, client(fin|cont, "lo"), client(cont, "x")),
			len(open) + 8 + 2, frame.ErrUnexpected},
		{"continuation after a ping", join(client(fin|ping, ""), client(cont, "")), 6 + 2, frame.ErrUnexpected},
		{"text inside a message", join(open, client(fin|text, "x")), len(open) + 2, frame.ErrInterleaved},
		{"binary inside a message", join(open, client(binData, "x")), len(open) + 2, frame.ErrInterleaved},
		{"text inside an empty message", join(client(text, ""), client(text, "")), 6 + 2, frame.ErrInterleaved},
		{"top bit", []byte("\x81\xff\x80\x00\x00\x00\x00\x00\x00\x01mask"), 14, frame.ErrLengthSign},
		{"all bits", []byte("\x81\xff\xff\xff\xff\xff\xff\xff\xff\xffmask"), 14, frame.ErrLengthSign},
		{"0 in 16 bits", []byte("\x81\xfe\x00\x00mask"), 8, frame.ErrLengthNotMinimal},
		{"125 in 16 bits", []byte("\x81\xfe\x00\x7dmask"), 8, frame.ErrLengthNotMinimal},
		{"125 in 64 bits", []byte("\x81\xff\x00\x00\x00\x00\x00\x00\x00\x7dmask"), 14, frame.ErrLengthNotMinimal},
		{"65535 in 64 bits", []byte("\x81\xff\x00\x00\x00\x00\x00\x00\xff\xffmask"), 14, frame.ErrLengthNotMinimal},
		{"bad text", client(fin|text, "ab\xffcd"), 6 + 3, frame.ErrUTF8},
		{"bad text in a fragment", join(open, client(cont, "\xc0lo")), len(open) + 7, frame.ErrUTF8},
		{"close of one byte", client(fin|closing, "\x03"), 7, frame.ErrClosePayload},
		{"close code 999", client(fin|closing, "\x03\xe7"), 8, frame.ErrCloseCode},
		{"close reason", client(fin|closing, "\x03\xe8\xff"), 9, frame.ErrUTF8},
		{"close reason cut", client(fin|closing, "\x03\xe8\xe2\x82"), 10, frame.ErrUTF8},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := decodeEverySplit(t, roomy, c.bytes)
			if r.err != c.want {
				t.Fatalf("got %+v, want %v", r, c.want)
			}
			if r.taken != c.at {
				t.Errorf("refused after %d bytes, want %d", r.taken, c.at)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	cases := map[frame.Error]int{
		frame.ErrReservedBits: 1002, frame.ErrReservedOpCode: 1002, frame.ErrUnmasked: 1002,
		frame.ErrControlFragmented: 1002, frame.ErrControlTooLong: 1002,
		frame.ErrUnexpected: 1002, frame.ErrInterleaved: 1002,
		frame.ErrLengthSign: 1002, frame.ErrLengthNotMinimal: 1002,
		frame.ErrTooBig: 1009, frame.ErrFragments: 1009, frame.ErrUTF8: 1007,
		frame.ErrClosePayload: 1002, frame.ErrCloseCode: 1002,
	}
	texts := map[string]bool{}
	for err, code := range cases {
		if int(err.Code()) != code {
			t.Errorf("%v: code %d, want %d", err, err.Code(), code)
		}
		texts[err.Error()] = true
	}
	if len(texts) != len(cases) || texts[""] {
		t.Errorf("the texts of %d errors are %v", len(cases), texts)
	}
}

// TestControlLeavesMessage keeps the bytes of a fragmented message while control
// frames come in pieces, and the control payload until the next call.
func TestControlLeavesMessage(t *testing.T) {
	var d frame.Decoder
	feed := func(b []byte) (frame.Message, bool) {
		m, n, ok, err := d.Decode(b, &roomy)
		if err != nil || n != len(b) {
			t.Fatalf("Decode(%x) took %d: %v", b, n, err)
		}
		return m, ok
	}
	feed(client(text, "Hel"))
	pinging := client(fin|ping, "abcdef")
	feed(pinging[:9])
	m, ok := feed(pinging[9:])
	if !ok || string(m.Payload) != "abcdef" {
		t.Fatalf("got %v %q", ok, m.Payload)
	}
	m, ok = feed(client(fin|cont, "lo"))
	if !ok || string(m.Payload) != "Hello" {
		t.Fatalf("got %v %q", ok, m.Payload)
	}
	feed(nil)
	if d.Held() != 0 {
		t.Errorf("%d bytes held", d.Held())
	}
}

// TestPayloadCannotGrow appends to a yielded payload, which must not reach the
// frame that follows it in src.
func TestPayloadCannotGrow(t *testing.T) {
	src := join(client(fin|text, "one"), client(fin|text, "two"))
	var d frame.Decoder
	m, n, _, _ := d.Decode(src, &roomy)
	_ = append(m.Payload, "overwritten"...)
	m, _, ok, err := d.Decode(src[n:], &roomy)
	if !ok || err != nil || string(m.Payload) != "two" {
		t.Errorf("got %q, %v, %v", m.Payload, ok, err)
	}
}

// TestMessageOutlivesPool checks that a message that came in parts is not given
// to another decoder before the next call.
func TestMessageOutlivesPool(t *testing.T) {
	var a, b frame.Decoder
	defer b.Reset()
	f := client(fin|text, "mine")
	a.Decode(f[:8], &roomy)
	m, _, ok, _ := a.Decode(f[8:], &roomy)
	b.Decode(client(text, "other"), &roomy)
	if !ok || string(m.Payload) != "mine" {
		t.Errorf("got %v %q", ok, m.Payload)
	}
	a.Reset()
}
