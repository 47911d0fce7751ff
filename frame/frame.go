// Package frame is RFC 6455 and RFC 7692 on bytes in memory. It knows no socket:
// bytes that arrived go in and complete messages come out, payloads go in and
// frames ready to be sent come out.
//
// Its one idea: a frame that has arrived whole is yielded where it lies, unmasked
// in place, without a copy or an allocation. Only what arrives in parts is
// kept, in a pooled buffer that exists while something is missing:
//
//	          +--------------- Decode ---------------+
//	src ----> | header -> judge -> whole? -- yes ----|--> Message in src
//	          |                      | no            |
//	          |                   partial -- last ---|--> Message in its buffer
//	          +--------------------------------------+
//
// The rules:
//
//   - A Decoder is eight bytes while nothing is pending. It belongs to one
//     goroutine; Limits are shared and read-only. Nothing here locks.
//   - Memory follows what arrived, never what a header declares. Time is linear
//     in the bytes, however small the pieces.
//   - What can be judged is judged at once: opcode, bits and order on a header's
//     first two bytes, lengths and limits on the header alone, text at its first
//     bad byte, even in the middle of a frame. The same bytes give the same
//     messages and the same error however they are split.
//   - A compressed message is gathered as it came and inflated when it is complete:
//     to one byte more than the limit at most, in a buffer that goes back to a pool
//     with the message. It is then judged like any other.
//   - A violation is an Error, which names its close code. It ends the stream.
//   - A Message is valid until the next call on its Decoder.
//
// It takes its vocabulary (OpCode, StatusCode, Header) and the unmasking from
// github.com/gobwas/ws, and checks what that library leaves to its callers.
package frame

import "github.com/gobwas/ws"

// Limits bound what a peer may send. They are judged on headers alone, before any
// payload is kept. Control frames stand outside of them: RFC 6455 5.5 bounds those
// at 125 bytes. Limits are only read, and any number of decoders may share them.
type Limits struct {
	Frame     int64 // payload bytes of one data frame
	Message   int64 // payload bytes of one message, summed over its fragments
	Fragments int   // frames of one message, 0 for any number
	Begin     int   // frames that one call of Decode begins, 0 for any number
	// Deflate says that permessage-deflate was negotiated. Message then bounds what
	// a message is inflated to; what arrives of a compressed one may be larger by
	// as much as compression can enlarge it (an eighth and some bytes).
	Deflate bool
}

// Message is a complete data message (ws.OpText, ws.OpBinary) or a control
// frame (ws.OpClose, ws.OpPing, ws.OpPong).
type Message struct {
	Op ws.OpCode
	// Payload is unmasked. It may lie in the bytes given to Decode, and is valid
	// until the next call of Decode or Reset. Text is valid UTF-8; a close
	// payload is one that ParseClose accepts.
	Payload []byte
	// Packed is the size of the payload as it came, if it came compressed; else 0.
	Packed int
}
