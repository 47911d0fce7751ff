package frame

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/gobwas/ws"
)

// Append appends one whole server frame to dst: final, its length minimally
// encoded, and not masked ("A server MUST NOT mask any frames that it sends to
// the client", RFC 6455 5.1). It allocates only when dst has no room. It panics if
// op is a control opcode and the payload has more than 125 bytes.
func Append(dst []byte, op ws.OpCode, payload []byte) []byte {
	if op.IsControl() && len(payload) > ws.MaxControlFramePayloadSize {
		panic("frame: control payload over 125 bytes")
	}
	n := len(payload)
	dst = slices.Grow(dst, ws.HeaderSize(ws.Header{Length: int64(n)})+n)
	return append(appendHeader(dst, fin|byte(op), n), payload...)
}

const fin = 0x80 // in a header's first byte: the message's last frame

// appendHeader appends a server's header: its first byte and the payload's length.
func appendHeader(dst []byte, first byte, length int) []byte {
	switch {
	case length < 126:
		return append(dst, first, byte(length))
	case length <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, first, 126), uint16(length))
	default:
		return binary.BigEndian.AppendUint64(append(dst, first, 127), uint64(length))
	}
}

// Boundary is the first frame end at or after n bytes of frames, a run of whole
// server frames; Boundary(frames, 0) is 0. It walks the headers, one step for each
// frame up to there. It panics if that leads out of frames.
func Boundary(frames []byte, n int) int {
	end := 0
	for end < n {
		length, size := payloadLength(frames[end:])
		if size == 0 || length > uint64(len(frames)-end-size) {
			panic("frame: Boundary leads out of the frames")
		}
		end += size + int(length)
	}
	return end
}
