package frame

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// maxReason is what a control frame leaves beside the two bytes of the code.
const maxReason = ws.MaxControlFramePayloadSize - 2

// AppendClose appends a close frame to dst, always a legal one. A code that may
// not stand in a frame (0, 1005, 1006 and the like) gives an empty payload,
// without the reason. The reason is cut to 123 bytes between two runes; what is not
// UTF-8 in it is replaced by U+FFFD.
func AppendClose(dst []byte, code ws.StatusCode, reason string) []byte {
	if !sendable(code) {
		return Append(dst, ws.OpClose, nil)
	}
	reason = strings.ToValidUTF8(reason, string(utf8.RuneError))
	if len(reason) > maxReason {
		cut := maxReason
		for !utf8.RuneStart(reason[cut]) {
			cut--
		}
		reason = reason[:cut]
	}
	var payload [ws.MaxControlFramePayloadSize]byte
	binary.BigEndian.PutUint16(payload[:], uint16(code))
	n := 2 + copy(payload[2:], reason)
	return Append(dst, ws.OpClose, payload[:n])
}

// ParseClose reads the payload of a close frame. An empty one is code 1005, no
// status received (RFC 6455 7.1.5). The reason is a part of payload, not a copy.
// The error is ErrClosePayload, ErrCloseCode or ErrUTF8, and nil for what Decode
// yielded.
func ParseClose(payload []byte) (code ws.StatusCode, reason []byte, err error) {
	switch len(payload) {
	case 0:
		return ws.StatusNoStatusRcvd, nil, nil
	case 1:
		return 0, nil, ErrClosePayload
	}
	code, reason = ws.StatusCode(binary.BigEndian.Uint16(payload)), payload[2:]
	switch {
	case !sendable(code):
		return 0, nil, ErrCloseCode
	case !utf8.Valid(reason):
		return 0, nil, ErrUTF8
	}
	return code, reason, nil
}

// sendable reports whether a close frame may carry the code (RFC 6455 7.4): those
// registered with IANA, 1012 to 1014 among them, and those left to libraries
// (3000-3999) and applications (4000-4999). 1004 has no meaning; 1005, 1006 and
// 1015 are for use inside an endpoint only.
func sendable(code ws.StatusCode) bool {
	return code >= 1000 && code <= 1003 ||
		code >= 1007 && code <= 1014 ||
		code.IsApplicationSpec() || code.IsPrivateSpec()
}
