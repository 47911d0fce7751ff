package frame_test

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"throng/frame"
)

// allowed is what RFC 6455 7.4 and the IANA registry allow in a close frame.
var allowed = [][2]int{{1000, 1003}, {1007, 1014}, {3000, 4999}}

func TestEveryCloseCode(t *testing.T) {
	for code := range 1 << 16 {
		want := slices.ContainsFunc(allowed, func(r [2]int) bool { return r[0] <= code && code <= r[1] })
		payload := binary.BigEndian.AppendUint16(nil, uint16(code))
		got, reason, err := frame.ParseClose(append(payload, "why"...))
		if want && (int(got) != code || string(reason) != "why" || err != nil) {
			t.Fatalf("ParseClose(%d) is %d, %q, %v", code, got, reason, err)
		}
		if !want && (got != 0 || reason != nil || err != frame.ErrCloseCode) {
			t.Fatalf("ParseClose(%d) is %d, %q, %v", code, got, reason, err)
		}
		if r := decode(t, roomy, client(fin|closing, string(payload))); (r.err == nil) != want {
			t.Fatalf("Decode of code %d: %+v", code, r)
		}
		sent := frame.AppendClose(nil, ws.StatusCode(code), "why")
		if carried := len(sent) == 7 && string(sent[2:]) == string(payload)+"why"; carried != want {
			t.Fatalf("AppendClose(%d) is %x", code, sent)
		}
		if empty := string(sent) == "\x88\x00"; empty == want {
			t.Fatalf("AppendClose(%d) is %x", code, sent)
		}
	}
}

func TestParseClose(t *testing.T) {
	for _, c := range []struct {
		payload string
		code    ws.StatusCode
		reason  string
		err     error
	}{
		{"", 1005, "", nil},
		{"\x03", 0, "", frame.ErrClosePayload},
		{"\x03\xe8", 1000, "", nil},
		{"\x03\xe9grüße", 1001, "grüße", nil},
		{"\x03\xe8\xff", 0, "", frame.ErrUTF8},
		{"\x03\xe8\xe2\x82", 0, "", frame.ErrUTF8},
		{"\x03\xed\xff", 0, "", frame.ErrCloseCode},
	} {
		code, reason, err := frame.ParseClose([]byte(c.payload))
		if code != c.code || string(reason) != c.reason || err != c.err {
			t.Errorf("%q: %d, %q, %v", c.payload, code, reason, err)
		}
	}
}

func TestAppendClose(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		name, reason, want string
	}{
		{"none", "", ""},
		{"short", "going away", "going away"},
		{"as long as may be", x(123), x(123)},
		{"cut", x(124), x(123)},
		{"rune that fits", x(120) + "€", x(120) + "€"},
		{"rune over the end by one", x(121) + "€", x(121)},
		{"rune over the end by three", x(122) + "😀", x(122)},
		{"rune behind the end", x(123) + "€", x(123)},
		{"long", strings.Repeat("€", 1000), strings.Repeat("€", 41)},
		{"not UTF-8", "a\xffb", "a\ufffdb"},
		{"not UTF-8 at the cut", x(122) + "\xff\xff", x(122)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := frame.AppendClose([]byte("before"), 1001, c.reason)
			want := "before\x88" + string(byte(2+len(c.want))) + "\x03\xe9" + c.want
			if len(c.want) > 123 || !utf8.ValidString(c.want) || string(got) != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
