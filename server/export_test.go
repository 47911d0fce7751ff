package server

import (
	"strings"
	"unsafe"

	"github.com/gobwas/ws"
)

// ConnSize is what an idle connection is made of.
const ConnSize = unsafe.Sizeof(Conn{})

// Waiting is the number of bytes that c holds until its peer reads: its own frames
// and everything. On its worker.
func (c *Conn) Waiting() (own, all int) {
	if c.loop.corked == c {
		own, all = len(c.loop.cork), len(c.loop.cork)
	}
	if e := c.more; e != nil {
		own += len(e.own)
		all += len(e.own) + len(e.rest) + len(e.pong)
	}
	return own, all
}

// Unread is the number of bytes that were read and not decoded. On its worker.
func (c *Conn) Unread() int {
	if c.more == nil {
		return 0
	}
	return len(c.more.unread)
}

// Idle reports whether c holds nothing but itself. On its worker.
func (c *Conn) Idle() bool { return c.more == nil && c.input.Held() == 0 }

// Weight is what c holds beyond what an idle one does, counted anew. On its worker.
func (c *Conn) Weight() int {
	c.weigh()
	return c.weight()
}

// HeldByConns is the account of what connections hold beyond what idle ones do.
func (s *Server) HeldByConns() (n int64) {
	for _, l := range s.loops {
		n += l.held.Load()
	}
	return n
}

// AddressSlots is the size of the table of addresses.
func (s *Server) AddressSlots() int {
	s.addresses.mu.Lock()
	defer s.addresses.mu.Unlock()
	return len(s.addresses.slots)
}

// ConnBytes and PlainBytes are what the account takes for one of each.
const (
	ConnBytes  = connBytes
	PlainBytes = plainBytes
)

// Head is what the strict parser made of the head of a request.
type Head struct {
	Method, Target, Host string
	Hosts                int
	Body                 bool // a Content-Length or Transfer-Encoding
	Upgrade              int  // 0, or the status of the refusal as an upgrade
	Request              *Request
}

// ParseHead is the parser of heads.
func ParseHead(b []byte, maxHeaders int) (Head, int) {
	h, status := parseHead(b, maxHeaders)
	if status != 0 {
		return Head{}, status
	}
	out := Head{
		Method: string(h.method), Target: string(h.target), Host: string(h.host.text),
		Hosts: h.host.count, Body: h.body, Upgrade: h.checkUpgrade(),
	}
	if r, ok := h.request(); ok {
		out.Request = r
	}
	return out, 0
}

// HeadEnd looks for the end of a head.
func HeadEnd(b []byte, from int) int { return headEnd(b, from) }

// Negotiate is the negotiation of extensions: the answer's value.
func Negotiate(list []byte) (answer string, ok bool) {
	agreed, ok := negotiate(list)
	line := strings.TrimSuffix(string(agreed.answer.(ws.HandshakeHeaderString)), "\r\n")
	return strings.TrimPrefix(line, "Sec-WebSocket-Extensions: "), ok
}

// Allows reports whether a page's Origin in a head, which is an upgrade, is allowed.
func Allows(cfg Config, public bool, b []byte) bool {
	s := &Server{cfg: cfg}
	s.public.Store(public)
	h, _ := parseHead(b, 64)
	r, ok := h.request()
	return ok && s.originAllowed(&h, r.Host)
}
