package frame

import (
	"encoding/binary"
	"math"

	"github.com/gobwas/ws"
)

// readHeader reads and judges the header at the start of p. n is its size, or 0
// while bytes of it are missing. Its first two bytes are judged even then, and
// always before the others, so that a split cannot change the verdict. open says
// that a fragmented message is unfinished, deflate that messages may be compressed.
func readHeader(p []byte, open, deflate bool) (h ws.Header, n int, err error) {
	if len(p) < ws.MinHeaderSize {
		return h, 0, nil
	}
	h = ws.Header{
		Fin:    p[0]&0x80 != 0,
		Rsv:    p[0] >> 4 & 0x07,
		OpCode: ws.OpCode(p[0] & 0x0f),
		Masked: p[1]&0x80 != 0,
		Length: int64(p[1] & 0x7f),
	}
	if err := checkStart(h, open, deflate); err != nil {
		return h, 0, err
	}
	length, n := payloadLength(p)
	if n == 0 || len(p) < n+len(h.Mask) {
		return h, 0, nil
	}
	h.Length = int64(length)
	h.Mask = [4]byte(p[n:])
	n += len(h.Mask)
	switch {
	case length > math.MaxInt64:
		return h, 0, ErrLengthSign
	case n != ws.HeaderSize(h):
		return h, 0, ErrLengthNotMinimal
	}
	return h, n, nil
}

// checkStart judges what a header's first two bytes say. h.Length is the
// seven-bit length, so 126 and 127 stand for lengths over 125.
func checkStart(h ws.Header, open, deflate bool) error {
	switch control := h.OpCode.IsControl(); {
	// "MUST be 0 unless an extension is negotiated that defines meanings for
	// non-zero values." (5.2) permessage-deflate defines RSV1 for the first frame
	// of a data message, and for no other (RFC 7692 6).
	case h.Rsv != 0 && !(deflate && compressed(h) && (h.OpCode == ws.OpText || h.OpCode == ws.OpBinary)):
		return ErrReservedBits
	case h.OpCode.IsReserved():
		return ErrReservedOpCode
	// "The server MUST close the connection upon receiving a frame that is not
	// masked." (5.1)
	case !h.Masked:
		return ErrUnmasked
	// "All control frames MUST have a payload length of 125 bytes or less and
	// MUST NOT be fragmented." (5.5)
	case control && !h.Fin:
		return ErrControlFragmented
	case control && h.Length > ws.MaxControlFramePayloadSize:
		return ErrControlTooLong
	// "The fragments of one message MUST NOT be interleaved between the
	// fragments of another message." (5.4) Control frames may be.
	case h.OpCode == ws.OpContinuation && !open:
		return ErrUnexpected
	case h.OpCode != ws.OpContinuation && !control && open:
		return ErrInterleaved
	}
	return nil
}

// compressed reports whether RSV1, and no other reserved bit, is set.
func compressed(h ws.Header) bool { return h.Rsv == rsv1>>4 }

// payloadLength reads the length in the header at the start of p. n is the
// number of bytes up to its end, or 0 while some of them are missing.
func payloadLength(p []byte) (length uint64, n int) {
	if len(p) < ws.MinHeaderSize {
		return 0, 0
	}
	switch bits := p[1] & 0x7f; {
	case bits < 126:
		return uint64(bits), 2
	case bits == 126 && len(p) >= 4:
		return uint64(binary.BigEndian.Uint16(p[2:])), 4
	case bits == 127 && len(p) >= 10:
		return binary.BigEndian.Uint64(p[2:]), 10
	}
	return 0, 0
}
