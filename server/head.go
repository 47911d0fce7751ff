package server

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"strings"
)

// head is the head of a request, checked strictly: what RFC 9112 lets a
// recipient be lenient about is refused, since proxies before the server might
// see something else. Its slices are parts of the input.
type head struct {
	method, target []byte
	http11         bool
	headers        int

	host, origin, key, version, upgrade, connection, protocol, extensions value
	body                                                                  bool // Content-Length or Transfer-Encoding
}

// value is what a header said, and how often.
type value struct {
	text  []byte
	count int
}

// headEnd finds the end of the head in b, whose first from bytes were looked at
// before: just behind the empty line, or -1. A bare LF ends it as well, as it
// does for ws.Upgrader; parseHead then refuses it.
func headEnd(b []byte, from int) int {
	for i := max(0, from-3); i < len(b); i++ {
		if b[i] != '\n' {
			continue
		}
		rest := b[i+1:]
		switch {
		case bytes.HasPrefix(rest, []byte("\n")):
			return i + 2
		case bytes.HasPrefix(rest, []byte("\r\n")):
			return i + 3
		}
	}
	return -1
}

// parseHead checks b, which ends with the empty line. It answers 0, 400, or 431
// for more than maxHeaders headers.
func parseHead(b []byte, maxHeaders int) (h head, status int) {
	line, rest, ok := cutLine(b)
	if !ok || !h.requestLine(line) {
		return h, 400
	}
	for {
		line, rest, ok = cutLine(rest)
		if !ok {
			return h, 400
		}
		if len(line) == 0 {
			break
		}
		if h.headers++; h.headers > maxHeaders {
			return h, 431
		}
		if !h.header(line) {
			return h, 400
		}
	}
	if h.host.count > 1 || !isHost(h.host.text) {
		return h, 400 // RFC 9112, section 3.2, whatever the request is for
	}
	return h, 0
}

// cutLine cuts a line that ends with CR LF and has no other CR, LF or NUL.
func cutLine(b []byte) (line, rest []byte, ok bool) {
	i := bytes.IndexByte(b, '\n')
	if i < 1 || b[i-1] != '\r' {
		return nil, nil, false
	}
	line = b[:i-1]
	if bytes.IndexByte(line, '\r') >= 0 || bytes.IndexByte(line, 0) >= 0 {
		return nil, nil, false
	}
	return line, b[i+1:], true
}

// requestLine parses "METHOD SP target SP HTTP/1.x": RFC 9112, section 3.
func (h *head) requestLine(line []byte) bool {
	method, rest, ok := bytes.Cut(line, []byte(" "))
	target, proto, ok2 := bytes.Cut(rest, []byte(" "))
	if !ok || !ok2 || !isToken(method) || len(target) == 0 {
		return false
	}
	for _, c := range target {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	h.method, h.target = method, target
	// A later minor version is read as 1.1: RFC 9110, section 2.5.
	minor, ok := bytes.CutPrefix(proto, []byte("HTTP/1."))
	if !ok || len(minor) != 1 || minor[0] < '0' || minor[0] > '9' {
		return false
	}
	h.http11 = minor[0] > '0'
	return true
}

// header parses "name: value": RFC 9112, section 5. Folded lines begin with a
// space, which is no token.
func (h *head) header(line []byte) bool {
	name, text, ok := bytes.Cut(line, []byte(":"))
	if !ok || !isToken(name) {
		return false
	}
	text = bytes.Trim(text, " \t")
	for _, c := range text {
		if (c < ' ' && c != '\t') || c == 0x7f {
			return false
		}
	}
	if v := h.field(name); v != nil {
		v.count++
		if v.count > 1 && (v == &h.protocol || v == &h.extensions || v == &h.upgrade || v == &h.connection) {
			// These are lists, which may be split: RFC 9110, section 5.3.
			text = append(append(bytes.Clone(v.text), ','), text...)
		}
		v.text = text
	}
	if equalFold(name, "content-length") || equalFold(name, "transfer-encoding") {
		h.body = true
	}
	return true
}

// field is where a header's value belongs, or nil.
func (h *head) field(name []byte) *value {
	switch {
	case equalFold(name, "host"):
		return &h.host
	case equalFold(name, "origin"):
		return &h.origin
	case equalFold(name, "upgrade"):
		return &h.upgrade
	case equalFold(name, "connection"):
		return &h.connection
	case equalFold(name, "sec-websocket-key"):
		return &h.key
	case equalFold(name, "sec-websocket-version"):
		return &h.version
	case equalFold(name, "sec-websocket-protocol"):
		return &h.protocol
	case equalFold(name, "sec-websocket-extensions"):
		return &h.extensions
	}
	return nil
}

// isUpgrade reports whether the client means to open a WebSocket, however badly
// it says so. Anything else is plain HTTP.
func (h *head) isUpgrade() bool {
	return hasToken(h.upgrade.text, "websocket") || h.key.count > 0
}

// checkUpgrade checks what RFC 6455, section 4.2.1, asks of an upgrade. It
// answers 0 or the status of the refusal.
func (h *head) checkUpgrade() int {
	var nonce [18]byte
	switch {
	case string(h.method) != "GET":
		return 405
	case !h.http11, h.body, h.host.count != 1, h.origin.count > 1:
		return 400
	case !hasToken(h.connection.text, "upgrade"), h.version.count != 1, h.key.count != 1:
		return 400
	case !hasToken(h.upgrade.text, "websocket"):
		return 400
	case string(h.version.text) != "13":
		return 426
	}
	// The key is 16 bytes in base64: RFC 6455, section 4.1, item 7.
	if len(h.key.text) != 24 {
		return 400
	}
	if n, err := base64.StdEncoding.Decode(nonce[:], h.key.text); err != nil || n != 16 {
		return 400
	}
	return 0
}

// hasToken looks for token in a comma-separated list, ignoring case.
func hasToken(list []byte, token string) bool {
	for item := range bytes.SplitSeq(list, []byte(",")) {
		if equalFold(bytes.Trim(item, " \t"), token) {
			return true
		}
	}
	return false
}

// isHost checks a host and perhaps a port: RFC 3986, section 3.2.
func isHost(b []byte) bool {
	host, port := b, []byte(nil)
	if bytes.HasPrefix(b, []byte("[")) {
		end := bytes.IndexByte(b, ']')
		if end < 0 {
			return false
		}
		host, port = b[1:end], b[end+1:]
		if len(port) > 0 && port[0] != ':' {
			return false
		}
	} else if colon := bytes.IndexByte(b, ':'); colon >= 0 {
		host, port = b[:colon], b[colon:]
	}
	for _, c := range bytes.TrimPrefix(port, []byte(":")) {
		if c < '0' || c > '9' {
			return false
		}
	}
	_, err := url.PathUnescape(string(host))
	return err == nil && !bytes.ContainsFunc(host, func(r rune) bool {
		return r >= 0x7f || r <= ' ' || strings.ContainsRune("\"#/<>?@[\\]^`{|}", r)
	})
}

// equalFold compares with a lower-case ASCII word.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// isToken checks a token of RFC 9110, section 5.6.2.
func isToken(b []byte) bool {
	for _, c := range b {
		if !isTokenByte(c) {
			return false
		}
	}
	return len(b) > 0
}

func isTokenByte(c byte) bool { return tokenBytes[c] }

var tokenBytes = func() (is [256]bool) {
	for _, c := range "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		is[c] = true
	}
	return is
}()
