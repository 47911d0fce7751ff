package server

import (
	"fmt"
	"strconv"

	"github.com/gobwas/ws"
)

// extension is what was agreed on: permessage-deflate or nothing. Neither side's
// messages refer to earlier ones: so one compressed frame serves a whole room, and
// nothing is kept for an idle connection (RFC 7692, section 7.1.1; a server may ask
// this of a client that did not offer it).
type extension struct {
	window uint8              // how far back a message that is sent may refer, as a power of two; 0: nothing was agreed on
	answer ws.HandshakeHeader // a line of the answer to the upgrade; ws.Upgrader wants one in any case
}

const (
	deflateTerms = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	minWindow    = 8
	maxWindow    = 15 // RFC 1951's own, when nothing is said
)

var (
	noExtension = extension{0, ws.HandshakeHeaderString("")}
	deflateOnly = extension{maxWindow, ws.HandshakeHeaderString(deflateTerms + "\r\n")}
	// deflateWithin are the answers to an offer that names a window, which must be
	// repeated: section 7.1.2.1.
	deflateWithin = func() (all [maxWindow + 1]extension) {
		for n := range all {
			all[n] = extension{uint8(n), ws.HandshakeHeaderString(fmt.Sprintf("%s; server_max_window_bits=%d\r\n", deflateTerms, n))}
		}
		return all
	}()
)

// negotiate reads the values of Sec-WebSocket-Extensions, joined by commas, and takes
// the first offer of permessage-deflate that is acceptable. Offers of anything else,
// and offers with parameters that are wrong, are declined by not being answered
// (RFC 7692, section 5.1). ok is false for what is no list of extensions at all,
// which has to fail the handshake (RFC 6455, section 9.1).
//
// It goes through the list once.
func negotiate(list []byte) (agreed extension, ok bool) {
	agreed = noExtension
	s := scanner{text: list}
	for s.skip(); s.at < len(list); {
		if s.next(',') {
			continue // a list may have empty elements: RFC 9110, section 5.6.1
		}
		name, ok := s.token()
		if !ok {
			return noExtension, false
		}
		o := offer{declined: string(name) != "permessage-deflate"}
		for s.next(';') {
			name, value, ok := s.param()
			if !ok {
				return noExtension, false
			}
			o.param(name, value)
		}
		if !s.next(',') && s.at < len(list) {
			return noExtension, false
		}
		if agreed.window == 0 && !o.declined {
			agreed = o.accept()
		}
	}
	return agreed, true
}

// offer is one offer of permessage-deflate.
type offer struct {
	declined bool
	seen     uint8 // parameters, one bit each: a second one is an error
	window   uint8 // server_max_window_bits; 0 when it was not named
}

// param takes a parameter: RFC 7692, section 7.1. value is nil when there is none.
func (o *offer) param(name, value []byte) {
	var bit uint8
	good := false
	switch string(name) {
	case "server_no_context_takeover":
		bit, good = 1, value == nil
	case "client_no_context_takeover":
		bit, good = 2, value == nil
	case "server_max_window_bits":
		bit = 4
		o.window, good = parseWindow(value)
	case "client_max_window_bits":
		// A hint, or only the word that it may be limited: it need not be, since
		// the inflater takes any window.
		_, good = parseWindow(value)
		bit, good = 8, good || value == nil
	}
	o.declined = o.declined || !good || o.seen&bit != 0
	o.seen |= bit
}

// parseWindow reads a number of 8 to 15 without a leading zero.
func parseWindow(b []byte) (bits uint8, ok bool) {
	n, err := strconv.ParseUint(string(b), 10, 8)
	return uint8(n), err == nil && n >= minWindow && n <= maxWindow && b[0] != '0'
}

func (o *offer) accept() extension {
	if o.window == 0 {
		return deflateOnly
	}
	return deflateWithin[o.window]
}

// scanner cuts a header's value: RFC 6455, section 9.1.
type scanner struct {
	text []byte
	at   int
}

// peek is the byte that comes next, or 0, which no header has.
func (s *scanner) peek() byte {
	if s.at == len(s.text) {
		return 0
	}
	return s.text[s.at]
}

// skip skips white space.
func (s *scanner) skip() {
	for s.peek() == ' ' || s.peek() == '\t' {
		s.at++
	}
}

// next takes c, if it comes next, and the white space on both sides of it.
func (s *scanner) next(c byte) bool {
	if s.skip(); s.peek() != c {
		return false
	}
	s.at++
	s.skip()
	return true
}

// token takes a token.
func (s *scanner) token() (token []byte, ok bool) {
	start := s.at
	for isTokenByte(s.peek()) {
		s.at++
	}
	return s.text[start:s.at], s.at > start
}

// param takes a parameter: a name, perhaps with a value, which may be quoted. The
// value is not nil when there is one.
func (s *scanner) param() (name, value []byte, ok bool) {
	if name, ok = s.token(); !ok || !s.next('=') {
		return name, nil, ok
	}
	if s.peek() == '"' {
		value, ok = s.quoted()
	} else {
		value, ok = s.token()
	}
	return name, value, ok
}

// quoted takes a quoted string, which must be a token once the quoting is undone.
func (s *scanner) quoted() (value []byte, ok bool) {
	for s.at++; s.peek() != '"'; s.at++ {
		if s.peek() == '\\' {
			s.at++
		}
		if !isTokenByte(s.peek()) {
			return nil, false
		}
		value = append(value, s.peek())
	}
	s.at++
	return value, len(value) > 0
}
