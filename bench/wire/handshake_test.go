package wire_test

import (
	"errors"
	"strings"
	"testing"

	"throng/bench/wire"
)

const key = "dGhlIHNhbXBsZSBub25jZQ==" // of RFC 6455, 1.3

func TestAcceptIsTheRFCs(t *testing.T) {
	if got := wire.Accept(key); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Errorf("got %s", got)
	}
}

// answer is a right one, with replacements.
func answer(replace ...string) []byte {
	text := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
	return []byte(strings.NewReplacer(replace...).Replace(text))
}

func TestParseResponse(t *testing.T) {
	right := answer()
	for cut := range right {
		if size, err := wire.ParseResponse(right[:cut], key, wire.Terms{}); size != 0 || err != nil {
			t.Fatalf("%d bytes: size %d, error %v; want need more", cut, size, err)
		}
	}
	if size, err := wire.ParseResponse(append(right, "\x81\x00"...), key, wire.Terms{}); size != len(right) || err != nil {
		t.Errorf("size %d, error %v; want %d", size, err, len(right))
	}
	for _, test := range []struct {
		name  string
		bytes []byte
		want  error
	}{
		{"another protocol", []byte("220 mail ready\r\n"), wire.ErrNotHTTP},
		{"HTTP/1.0", answer("HTTP/1.1", "HTTP/1.0"), wire.ErrVersion},
		{"wrong accept", answer("s3pP", "AAAA"), wire.ErrAccept},
		{"no upgrade", answer("Upgrade: websocket\r\n", ""), wire.ErrUpgrade},
		{"no connection", answer("Connection: Upgrade", "Connection: close"), wire.ErrUpgrade},
		{"extension", answer("Connection:", "Sec-WebSocket-Extensions: permessage-deflate\r\nConnection:"), wire.ErrExtension},
		{"subprotocol", answer("Connection:", "Sec-WebSocket-Protocol: mqtt\r\nConnection:"), wire.ErrSubprotocol},
		{"endless head", []byte("HTTP/1.1 101 x\r\n" + strings.Repeat("a: b\r\n", 4000)), wire.ErrHeadTooLong},
	} {
		if _, err := wire.ParseResponse(test.bytes, key, wire.Terms{}); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}

func TestARefusalShowsStatusAndBody(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, test := range []struct {
		answer, want string
		more         bool
	}{
		{"HTTP/1.1 403 Forbidden\r\nContent-Length: 18\r\n\r\norigin not\nallowed", "403 Forbidden: origin not allowed", false},
		{"HTTP/1.1 403 Forbidden\r\nContent-Length: 18\r\n\r\norigin", "403 Forbidden: origin", true},
		{"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "403 Forbidden", false},
		{"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno, and what does not belong to it", "403 Forbidden: no", false},
		{"HTTP/1.1 403 Forbidden\r\n\r\nup to the end", "403 Forbidden: up to the end", true},
		{"HTTP/1.1 403 Forbidden\r\n\r\n" + long, "403 Forbidden: " + long[:200], false},
		{"HTTP/1.0 503 Busy\r\nContent-Length: 5\r\n\r\nlater", "503 Busy: later", false},
		{"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nno h\r\n3\r\nope\r\n0\r\n\r\n", "400 Bad: no hope", false},
		{"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nno h\r\n3\r\nop", "400 Bad: no hop", true},
	} {
		_, err := wire.ParseResponse([]byte(test.answer), key, wire.Terms{})
		var refused *wire.Refused
		if !errors.As(err, &refused) || err.Error() != "upgrade refused: "+test.want || refused.More != test.more {
			t.Errorf("%q: %+v, want %q, more %v", test.answer, err, test.want, test.more)
		}
	}
}

func TestAppendRequestAsksForASubprotocol(t *testing.T) {
	got := string(wire.AppendRequest(nil, "example.com", "/chat?x=1", key, wire.Terms{Subprotocol: "throng.v1"}))
	for _, want := range []string{"GET /chat?x=1 HTTP/1.1\r\n", "Host: example.com\r\n", "Sec-WebSocket-Version: 13\r\n",
		"Sec-WebSocket-Key: " + key + "\r\n", "Sec-WebSocket-Protocol: throng.v1\r\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in %q", want, got)
		}
	}
	if !strings.HasSuffix(got, "\r\n\r\n") {
		t.Error("the head does not end")
	}
}
