package server

import (
	"bytes"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/gobwas/ws"
)

// Request is an upgrade request. It is valid during Upgrade and Open.
type Request struct {
	Path  string // decoded
	Query string // raw; url.ParseQuery reads it
	Host  string

	// Protocols are the subprotocols that the client offers, in its order.
	Protocols []string
	// Protocol is the one that Upgrade has chosen; empty for none.
	Protocol string
}

// readHead gathers the head of the request, at most MaxHeadBytes. Only an
// incomplete one is kept; most come whole and are read where they lie.
func (c *Conn) readHead() {
	l := c.loop
	e := c.more
	had := copy(l.buf, e.head)
	n, err := c.readSome(l.buf[had:])
	if wouldBlock(err) {
		return
	}
	if err != nil || n == 0 {
		c.destroy()
		return
	}
	b := l.buf[:had+n]
	end := headEnd(b, had)
	switch {
	case !isTokenByte(b[0]):
		c.refuse(400) // a TLS hello, most often: do not wait for more of it
	case end > l.srv.cfg.MaxHeadBytes, end < 0 && len(b) > l.srv.cfg.MaxHeadBytes:
		l.srv.counts.headsTooLarge.Add(1)
		c.refuse(431)
	case end < 0:
		e.head = append(e.head, b[had:]...)
	default:
		c.answer(b[:end], b[end:])
	}
	if c.state <= open && !c.is(doomed) && (len(b) == len(l.buf) || c.is(hungUp)) {
		c.again()
	}
}

// answer acts on a complete head; tail is what came behind it.
func (c *Conn) answer(b, tail []byte) {
	s := c.loop.srv
	h, status := parseHead(b, s.cfg.MaxHeaders)
	if status != 0 {
		if status == 431 {
			s.counts.headsTooLarge.Add(1)
		}
		c.refuse(status)
		return
	}
	if !h.isUpgrade() {
		c.handOff(b[:len(b)+len(tail)])
		return
	}
	if status = h.checkUpgrade(); status != 0 {
		c.refuse(status)
		return
	}
	r, ok := h.request()
	agreed, valid := negotiate(h.extensions.text)
	switch {
	case !ok, !valid:
		status = 400
	case !s.originAllowed(&h, r.Host):
		status = 403
	case s.draining.Load():
		status = 503
	case c.place != local && !s.upgraded.take(s.upgrades, int64(s.kernel.Now())):
		s.counts.upgradesRefused.Add(1)
		status = 503
	default:
		status = s.handler.Upgrade(r)
	}
	if status != 101 {
		c.refuse(status)
		return
	}
	if s.cfg.Compression == CompressionOff {
		agreed = noExtension
	}
	if c.upgrade(b, r, agreed) && len(tail) > 0 {
		c.feed(tail)
	}
}

// request makes the handler's view of the head.
func (h *head) request() (*Request, bool) {
	u, err := url.ParseRequestURI(string(h.target))
	if err != nil || !strings.HasPrefix(u.Path, "/") || bytes.IndexByte(h.target, '#') >= 0 {
		return nil, false // fragments "MUST NOT be used": RFC 6455, section 3
	}
	r := &Request{Path: u.Path, Query: u.RawQuery, Host: string(h.host.text)}
	if u.Host != "" {
		r.Host = u.Host // RFC 9112, section 3.2.2: what Host says is ignored then
	}
	if h.protocol.count > 0 {
		for p := range strings.SplitSeq(string(h.protocol.text), ",") {
			switch p = strings.Trim(p, " \t"); {
			case p == "": // to be ignored: RFC 9110, section 5.6.1.2
			case !isToken([]byte(p)):
				return nil, false
			default:
				r.Protocols = append(r.Protocols, p)
			}
		}
		if len(r.Protocols) == 0 {
			return nil, false
		}
	}
	return r, true
}

// upgrade runs ws.Upgrader on the head in memory, queues its answer and opens
// c. It reports whether c is open then.
func (c *Conn) upgrade(b []byte, r *Request, agreed extension) bool {
	l := c.loop
	u := &l.upgrader
	u.in, u.out, u.protocol, u.extension = u.simplify(b), l.cork, "", agreed.answer
	if slices.Contains(r.Protocols, r.Protocol) {
		u.protocol = r.Protocol
	}
	_, err := u.ws.Upgrade(u)
	l.cork, u.in, u.out = u.out, nil, nil
	if err != nil {
		// The head was checked, so this is not to be expected; whatever it
		// wrote repeats what the client sent.
		l.cork = l.cork[:0]
		c.refuse(400)
		return false
	}
	e := c.more
	e.list.remove(e)
	e.head = nil
	c.state = open
	c.flags |= heard
	c.window = agreed.window
	l.seatNow(c)
	l.srv.counts.opened.Add(1)
	l.srv.handler.Open(c, r)
	return c.Open()
}

// upgrader is ws.Upgrader over memory. Its hooks get no connection, so they are
// bound once for each loop.
type upgrader struct {
	ws        ws.Upgrader
	in, out   []byte
	head      []byte // what simplify makes
	protocol  string
	extension ws.HandshakeHeader
}

func (u *upgrader) init() {
	// The list was parsed before: ws.Upgrader takes no tab in it.
	u.ws.ProtocolCustom = func([]byte) (string, bool) { return u.protocol, true }
	// So were the extensions: its own parser answers a bad one with a refusal.
	u.ws.OnBeforeUpgrade = func() (ws.HandshakeHeader, error) { return u.extension, nil }
}

// simplify makes of a checked head one that ws.Upgrader takes: it wants the word
// Upgrade in each of the lines that Connection may be split into, and Upgrade to
// be no list. The result is valid until the next call.
func (u *upgrader) simplify(b []byte) []byte {
	u.head = u.head[:0]
	for line := range bytes.Lines(b) {
		name, _, _ := bytes.Cut(line, []byte(":"))
		switch {
		case equalFold(name, "upgrade"), equalFold(name, "connection"):
		case len(line) == len("\r\n"):
			u.head = append(u.head, "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"...)
		default:
			u.head = append(u.head, line...)
		}
	}
	return u.head
}

// Read gives the head.
func (u *upgrader) Read(p []byte) (int, error) {
	n := copy(p, u.in)
	u.in = u.in[n:]
	return n, nil
}

// Write takes the answer.
func (u *upgrader) Write(p []byte) (int, error) {
	u.out = append(u.out, p...)
	return len(p), nil
}

// handOff gives a plain HTTP request to net/http.
func (c *Conn) handOff(read []byte) {
	l := c.loop
	if !l.srv.pages.admit() {
		l.srv.counts.plainRefused.Add(1)
		c.refuse(503)
		return
	}
	if err := l.worker.Del(int(c.fd)); err != nil {
		l.srv.log.Error("cannot remove a connection from the poll", "error", err)
	}
	conn, err := l.srv.kernel.Detach(int(c.fd))
	if err != nil {
		l.srv.pages.active.Add(-1)
		l.srv.noRoom("cannot hand a request to net/http", err)
		c.takeBack()
		return
	}
	l.srv.counts.plain.Add(1)
	l.srv.pages.serve(conn, append([]byte(nil), read...), c.place)
	c.state = closed
	l.forget(c) // it counts as a connection until the answer is out
}

// takeBack refuses a request that could not be handed off.
func (c *Conn) takeBack() {
	if err := c.loop.worker.Add(int(c.fd), c); err != nil {
		c.destroy()
		return
	}
	c.refuse(503)
}

// originAllowed protects people from pages of other sites that would chat in
// their name (RFC 6455, section 10.2): allowed are no Origin at all, the
// server's own host whatever the port, loopback, and those of the
// configuration; "null", which a page from a file has, while the server
// listens on loopback alone.
func (s *Server) originAllowed(h *head, host string) bool {
	if h.origin.count == 0 {
		return true
	}
	origin := string(h.origin.text)
	for _, allowed := range s.cfg.AllowOrigins {
		if allowed == "*" || strings.EqualFold(allowed, origin) {
			return true
		}
	}
	if origin == "null" {
		return !s.public.Load()
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	own := url.URL{Host: host}
	return isLoopback(u.Hostname()) || strings.EqualFold(u.Hostname(), own.Hostname())
}

// isLoopback tells a loopback host by its name or number.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// refuse answers a request with an error status and closes.
func (c *Conn) refuse(status int) {
	s := c.loop.srv
	s.counts.refused.Add(1)
	s.log.Debug("request refused", "fd", c.fd, "status", status)
	e := c.extra()
	e.head = nil
	c.state = closing
	answer, ok := s.refusals[status]
	if !ok {
		answer = s.refusals[500] // a handler's own idea
	}
	e.own = append(e.own, answer...)
	c.finish()
}

// refusalTexts say what was wrong and what would be right. They never repeat
// what the client sent.
var refusalTexts = map[int]string{
	400: "This is not a well-formed request. For a WebSocket, send the upgrade of RFC 6455, section 4.1.",
	403: "This server takes no WebSocket connections from pages of that origin. The operator can allow it with --allow-origin.",
	404: "There is nothing here. The chat is at /chat and /chat/ROOM.",
	405: "A WebSocket is opened with GET.",
	426: "Here one talks WebSocket, version 13.",
	429: "There are too many connections from your address. Close some and try again; the operator can allow more with --max-per-address.",
	431: "The head of the request is too large.",
	500: "Something went wrong in the server.",
	503: "The server is full, busy, or about to stop. Please try again in a moment.",
}

// refusals makes the whole answers.
func refusals(cfg Config) map[int][]byte {
	retry := fmt.Sprintf("Retry-After: %d\r\n", int(cfg.RetryAfter.Seconds()))
	extra := map[int]string{
		405: "Allow: GET\r\n",
		426: "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
		429: retry,
		503: retry,
	}
	m := make(map[int][]byte)
	for status, text := range refusalTexts {
		connection := "close"
		if status == 426 {
			connection = "close, Upgrade" // RFC 9110, section 7.8
		}
		m[status] = fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nConnection: %s\r\n%sContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s\n",
			status, http.StatusText(status), connection, extra[status], len(text)+1, text)
	}
	return m
}
