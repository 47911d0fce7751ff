package server_test

import (
	"bufio"
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"throng/server"
)

// FuzzHead holds the parser of heads against net/http's: what it accepts, that
// one accepts, too, and reads as the same request. The end of the head is the
// same place however the bytes arrive.
func FuzzHead(f *testing.F) {
	for _, r := range refusals {
		if len(r.request) < 1<<10 {
			f.Add([]byte(r.request), uint16(len(r.request)/2))
		}
	}
	f.Add([]byte(upgrade("Sec-WebSocket-Protocol: a, b")), uint16(10))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"), uint16(40))
	f.Add([]byte("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"), uint16(3))
	f.Add([]byte("OPTIONS * HTTP/1.0\r\n\r\n"), uint16(1))
	f.Fuzz(func(t *testing.T, b []byte, split uint16) {
		end := server.HeadEnd(b, 0)
		cut := int(split) % (len(b) + 1)
		parts := server.HeadEnd(b[:cut], 0)
		if parts < 0 {
			parts = server.HeadEnd(b, cut)
		}
		if parts != end {
			t.Fatalf("the head ends at %d, cut at %d it ends at %d", end, cut, parts)
		}
		for i, from := 1, 0; i <= len(b); i, from = i+1, i { // a byte at a time
			if e := server.HeadEnd(b[:i], from); e >= 0 {
				if e != end {
					t.Fatalf("the head ends at %d, byte by byte at %d", end, e)
				}
				break
			}
		}
		if end < 0 {
			return
		}
		if end > len(b) || b[end-1] != '\n' {
			t.Fatalf("the head ends at %d of %d", end, len(b))
		}
		same(t, b[:end])
	})
}

// same parses a whole head with both.
func same(t *testing.T, head []byte) {
	before := bytes.Clone(head)
	h, status := server.ParseHead(head, 64)
	if !bytes.Equal(before, head) {
		t.Fatal("the parser has changed the head")
	}
	if status != 0 {
		if status != 400 && status != 431 {
			t.Fatalf("status %d", status)
		}
		return
	}
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	switch {
	case err != nil && h.Upgrade == 0 && h.Request != nil:
		t.Fatalf("net/http refuses an upgrade: %v", err)
	case err != nil && h.Request != nil && !h.Body && h.Method != "CONNECT":
		t.Fatalf("net/http refuses: %v", err)
	case err != nil:
		return
	}
	if r.Method != h.Method || r.RequestURI != h.Target {
		t.Fatalf("%s %s, net/http has %s %s", h.Method, h.Target, r.Method, r.RequestURI)
	}
	host := h.Host
	if u, err := url.ParseRequestURI(h.Target); err == nil && u.Host != "" {
		host = u.Host
	}
	if h.Method != "CONNECT" && (r.Host != host || h.Request != nil && h.Request.Host != host) {
		t.Fatalf("host %q, net/http has %q", host, r.Host)
	}
	if h.Request != nil && h.Method != "CONNECT" && (h.Request.Path != r.URL.Path || h.Request.Query != r.URL.RawQuery) {
		t.Fatalf("path %q, query %q, net/http has %q, %q", h.Request.Path, h.Request.Query, r.URL.Path, r.URL.RawQuery)
	}
	offers := strings.ToLower(strings.Join(r.Header.Values("Upgrade"), ","))
	if h.Upgrade == 0 && (h.Method != http.MethodGet || !strings.Contains(offers, "websocket") || !r.ProtoAtLeast(1, 1)) {
		t.Fatalf("an upgrade by %s with %v", r.Method, r.Header)
	}
}
