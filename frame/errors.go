package frame

import "github.com/gobwas/ws"

// Error is a violation of the protocol or of the limits by the peer. The
// connection must be failed with its Code (RFC 6455 7.1.7).
type Error uint8

// The violations, each with the sections of RFC 6455 that forbid it.
const (
	ErrReservedBits      Error = iota + 1 // RSV1, RSV2 or RSV3 set where no extension allows it: 5.2
	ErrReservedOpCode                     // opcode 3-7 or 11-15: 5.2
	ErrUnmasked                           // a frame from a client without a mask: 5.1
	ErrControlFragmented                  // a control frame without FIN: 5.5
	ErrControlTooLong                     // a control payload over 125 bytes: 5.5
	ErrUnexpected                         // a continuation with no message open: 5.4
	ErrInterleaved                        // a new data message inside a fragmented one: 5.4
	ErrLengthSign                         // a 64-bit length with its top bit set: 5.2
	ErrLengthNotMinimal                   // a length in more bytes than it needs: 5.2
	ErrTooBig                             // a frame or message over its limit: 7.4.1, 10.4
	ErrFragments                          // a message of more frames than its limit: 10.4
	ErrUTF8                               // a text or a close reason that is not UTF-8: 8.1
	ErrClosePayload                       // a close payload of one byte: 5.5.1
	ErrCloseCode                          // a close code that may not be sent: 7.4
	ErrDeflate                            // a compressed message that cannot be inflated: RFC 7692 7.2.2
)

var errorTexts = [...]string{
	ErrReservedBits:      "reserved bit set",
	ErrReservedOpCode:    "reserved opcode",
	ErrUnmasked:          "frame is not masked",
	ErrControlFragmented: "control frame is fragmented",
	ErrControlTooLong:    "control frame is too long",
	ErrUnexpected:        "continuation without a message",
	ErrInterleaved:       "message inside a fragmented message",
	ErrLengthSign:        "length has its top bit set",
	ErrLengthNotMinimal:  "length is not minimally encoded",
	ErrTooBig:            "message is too big",
	ErrFragments:         "message has too many fragments",
	ErrUTF8:              "invalid UTF-8",
	ErrClosePayload:      "close payload of one byte",
	ErrCloseCode:         "close code may not be sent",
	ErrDeflate:           "invalid compressed data",
}

// Error says what the peer did, in words that may be sent as a close reason.
func (e Error) Error() string { return errorTexts[e] }

// Code is the close code that tells the peer: 1009 where a limit was passed,
// 1007 for bytes that are not UTF-8 or not DEFLATE (RFC 7692 names no code for
// these; they are "data that was not consistent with the type of the message", RFC
// 6455 7.4.1), 1002 for everything else.
func (e Error) Code() ws.StatusCode {
	switch e {
	case ErrTooBig, ErrFragments:
		return ws.StatusMessageTooBig
	case ErrUTF8, ErrDeflate:
		return ws.StatusInvalidFramePayloadData
	default:
		return ws.StatusProtocolError
	}
}
