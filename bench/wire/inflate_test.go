package wire_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"strings"
	"testing"

	"throng/bench/wire"
)

// The examples of RFC 7692, 7.2.3, one after the other through one Inflater.
func TestInflateReadsTheRFCsExamples(t *testing.T) {
	var i wire.Inflater
	for _, test := range []struct{ name, packed string }{
		{"one block", "\xf2\x48\xcd\xc9\xc9\x07\x00"},
		{"a block without compression", "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"},
		{"a block that calls itself the last", "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"},
		{"two blocks", "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"},
	} {
		if got, err := i.Inflate([]byte(test.packed)); string(got) != "Hello" || err != nil {
			t.Errorf("%s: %q, %v", test.name, got, err)
		}
	}
}

func TestInflateRefuses(t *testing.T) {
	var bomb bytes.Buffer
	w, err := flate.NewWriter(&bomb, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(make([]byte, wire.MaxPayloadBytes+1))
	w.Flush()
	var i wire.Inflater
	if _, err := i.Inflate(bomb.Bytes()); !errors.Is(err, wire.ErrInflated) {
		t.Errorf("a message too long: %v", err)
	}
	var corrupt flate.CorruptInputError
	if _, err := i.Inflate([]byte("\x07nonsense")); !errors.As(err, &corrupt) {
		t.Errorf("nonsense: %v", err)
	}
	if got, err := i.Inflate([]byte("\xf2\x48\xcd\xc9\xc9\x07\x00")); string(got) != "Hello" || err != nil {
		t.Errorf("what comes after it: %q, %v", got, err)
	}
}

func TestNextKnowsCompressedMessages(t *testing.T) {
	for _, test := range []struct {
		name, bytes string
		deflate     bool
		packed      bool
		want        error
	}{
		{"text", "\xC1\x00", true, true, nil},
		{"first fragment", "\x41\x00", true, true, nil},
		{"not compressed", "\x81\x00", true, false, nil},
		{"not agreed", "\xC1\x00", false, false, wire.ErrReserved},
		{"later fragment", "\xC0\x00", true, false, wire.ErrReserved},
		{"ping", "\xC9\x00", true, false, wire.ErrReserved},
		{"RSV2 too", "\xE1\x00", true, false, wire.ErrReserved},
	} {
		f, _, err := wire.Next([]byte(test.bytes), test.deflate)
		if !errors.Is(err, test.want) || err == nil && f.Packed != test.packed {
			t.Errorf("%s: compressed %v, %v", test.name, f.Packed, err)
		}
	}
}

func TestCompressionIsAgreed(t *testing.T) {
	request := string(wire.AppendRequest(nil, "example.com", "/chat", key, wire.Terms{Deflate: true}))
	const offer = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
	if !strings.Contains(request, offer) {
		t.Errorf("%q is missing in %q", offer, request)
	}
	const alone = "permessage-deflate; server_no_context_takeover"
	for _, test := range []struct {
		name string
		with []string // the answer's extensions
		want error
	}{
		{"as offered", []string{alone + "; client_no_context_takeover"}, nil},
		{"a smaller window of its own", []string{alone + ";server_max_window_bits=10"}, nil},
		{"not at all", nil, wire.ErrUnpacked},
		{"with what was said before", []string{"permessage-deflate"}, wire.ErrTakeover},
		{"a window for the client", []string{alone + "; client_max_window_bits=10"}, wire.ErrExtension},
		{"another", []string{"permessage-bzip"}, wire.ErrExtension},
		{"twice", []string{alone, alone}, wire.ErrExtension},
	} {
		lines := ""
		for _, value := range test.with {
			lines += "Sec-WebSocket-Extensions: " + value + "\r\n"
		}
		_, err := wire.ParseResponse(answer("Connection:", lines+"Connection:"), key, wire.Terms{Deflate: true})
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}
