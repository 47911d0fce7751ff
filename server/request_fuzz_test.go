package server_test

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"throng/server"
)

// FuzzRequest holds what an upgrade asks for, subprotocols and the right of a page
// to connect, against a second reading of it.
func FuzzRequest(f *testing.F) {
	for _, host := range []string{"chat.example:8080", "[::1]:80", "a", ""} {
		for _, origin := range []string{
			"http://chat.example", "https://Chat.Example:1", "http://evil.example", "null", "http://localhost:3000", "http://[::1]", "http://127.0.0.2",
			"http://chat.example.evil.example", "http://chat.example@evil.example", "//chat.example", "chat.example", "http://evil.example/chat.example",
			"file://", "http://[::ffff:127.0.0.1]", "https://allowed.example", "http://chat.example#.evil.example", "",
		} {
			f.Add(host, origin, "throng.v1, b", true)
		}
	}
	f.Add("a", "http://a", ",, a ,b\t,", false)
	f.Add("a", "http://a", "a b", false)
	f.Fuzz(func(t *testing.T, host, origin, offer string, public bool) {
		if strings.ContainsAny(host+origin+offer, "\r\n") {
			return
		}
		b := []byte("GET /chat HTTP/1.1\r\nHost: " + host + "\r\nOrigin: " + origin + "\r\nSec-WebSocket-Protocol: " + offer + "\r\n\r\n")
		h, status := server.ParseHead(b, 64)
		want, legal := protocols(offer)
		if status != 0 {
			return
		}
		if (h.Request != nil) != legal {
			t.Fatalf("%q offered: %+v", offer, h.Request)
		}
		if h.Request == nil {
			return
		}
		if !slices.Equal(h.Request.Protocols, want) {
			t.Fatalf("%q offered: %q, want %q", offer, h.Request.Protocols, want)
		}
		allowed := server.Allows(server.Config{AllowOrigins: []string{"https://allowed.example"}}, public, b)
		if want := mayConnect(strings.Trim(origin, " \t"), h.Host, public); allowed && !want {
			t.Fatalf("a page of %q may connect to %q (public: %v)", origin, host, public)
		}
	})
}

// protocols reads an offer.
func protocols(offer string) (list []string, legal bool) {
	const token = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for p := range strings.SplitSeq(offer, ",") {
		if p = strings.Trim(p, " \t"); strings.Trim(p, token) != "" {
			return nil, false
		} else if p != "" {
			list = append(list, p)
		}
	}
	return list, len(list) > 0
}

// mayConnect is the rule in other words: which pages may at most.
func mayConnect(origin, host string, public bool) bool {
	if strings.EqualFold(origin, "https://allowed.example") || origin == "null" && !public {
		return true
	}
	_, authority, ok := strings.Cut(origin, "//")
	if !ok {
		return false
	}
	if end := strings.IndexAny(authority, "/?#"); end >= 0 {
		authority = authority[:end]
	}
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		authority = authority[at+1:]
	}
	from := bareHost(authority)
	ip, err := netip.ParseAddr(from)
	return strings.EqualFold(from, bareHost(host)) || strings.EqualFold(from, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// bareHost cuts the port off, and the brackets of a number.
func bareHost(authority string) string {
	if rest, ok := strings.CutPrefix(authority, "["); ok {
		authority, _, _ = strings.Cut(rest, "]")
	} else if colon := strings.IndexByte(authority, ':'); colon >= 0 {
		authority = authority[:colon]
	}
	if plain, err := url.PathUnescape(authority); err == nil {
		return plain
	}
	return authority
}
