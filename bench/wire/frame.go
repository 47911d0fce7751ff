package wire

import (
	"encoding/binary"
	"errors"
)

// Opcode says what a frame is (RFC 6455, 5.2).
type Opcode byte

// The opcodes that RFC 6455 defines.
const (
	Continuation Opcode = 0x0
	Text         Opcode = 0x1
	Binary       Opcode = 0x2
	Close        Opcode = 0x8
	Ping         Opcode = 0x9
	Pong         Opcode = 0xA
)

// IsControl reports whether frames of this kind may stand between the
// fragments of a message (RFC 6455, 5.4).
func (o Opcode) IsControl() bool { return o&0x8 != 0 }

// Frame is one frame as it stands in the caller's buffer.
type Frame struct {
	Payload []byte // a part of the buffer that Next was given
	Opcode  Opcode
	Final   bool
	Packed  bool // the message is compressed (RFC 7692, 6.2); said by its first frame
}

// What a server can get wrong in a frame.
var (
	ErrReserved  = errors.New("reserved bits set that no extension gives a meaning")
	ErrOpcode    = errors.New("unknown opcode")
	ErrMasked    = errors.New("masked frame from a server")
	ErrControl   = errors.New("control frame fragmented or over 125 bytes")
	ErrLength    = errors.New("frame longer than this client accepts")
	ErrMinLength = errors.New("frame length not in its shortest form")
)

// rsv1 is the bit that permessage-deflate has given a meaning.
const rsv1 = 0x40

// MaxPayloadBytes bounds what a single frame may declare, so that a broken
// server cannot make the client gather for ever.
const MaxPayloadBytes = 16 << 20

// Next reads the frame at the start of b and the number of bytes it takes
// there; deflate says that permessage-deflate was agreed. A size of 0 without an
// error means that more bytes are needed.
func Next(b []byte, deflate bool) (f Frame, size int, err error) {
	if len(b) < 2 {
		return f, 0, nil
	}
	f.Final = b[0]&0x80 != 0
	f.Opcode = Opcode(b[0] & 0x0F)
	head, length := 2, uint64(b[1]&0x7F)
	first := b[0]
	// RFC 7692, 6.1: the bit stands on the first frame of a message, and on no other.
	if f.Packed = deflate && first&rsv1 != 0 && (f.Opcode == Text || f.Opcode == Binary); f.Packed {
		first &^= rsv1
	}
	if err := check(first, b[1], f.Opcode); err != nil {
		return f, 0, err
	}
	switch length {
	case 126:
		if head = 4; len(b) < head {
			return f, 0, nil
		}
		if length = uint64(binary.BigEndian.Uint16(b[2:])); length < 126 {
			return f, 0, ErrMinLength
		}
	case 127:
		if head = 10; len(b) < head {
			return f, 0, nil
		}
		if length = binary.BigEndian.Uint64(b[2:]); length < 1<<16 {
			return f, 0, ErrMinLength
		}
	}
	// Compared as unsigned numbers and before any addition: a length with the
	// sign bit set must not become a small or negative one.
	if length > MaxPayloadBytes {
		return f, 0, ErrLength
	}
	size = head + int(length)
	if len(b) < size {
		return f, 0, nil
	}
	f.Payload = b[head:size]
	return f, size, nil
}

// check judges the two first bytes of a frame.
func check(first, second byte, op Opcode) error {
	switch {
	case first&0x70 != 0:
		return ErrReserved
	case op > Binary && op < Close || op > Pong:
		return ErrOpcode
	case second&0x80 != 0:
		return ErrMasked // RFC 6455, 5.1: a client must fail such a connection
	case op.IsControl() && (first&0x80 == 0 || second > 125):
		return ErrControl
	}
	return nil
}

// Append writes a final, masked frame (RFC 6455, 5.3) to dst.
func Append(dst []byte, op Opcode, mask uint32, payload []byte) []byte {
	dst = appendLength(append(dst, 0x80|byte(op)), 0x80, len(payload))
	dst = binary.LittleEndian.AppendUint32(dst, mask)
	start := len(dst)
	dst = append(dst, payload...)
	xor(dst[start:], mask)
	return dst
}

// AppendServerFrame writes a final, unmasked frame, as a server does.
func AppendServerFrame(dst []byte, op Opcode, payload []byte) []byte {
	dst = append(dst, 0x80|byte(op))
	return append(appendLength(dst, 0, len(payload)), payload...)
}

// appendLength writes a payload's length in its shortest form; masked is the
// mask bit that shares its first byte.
func appendLength(dst []byte, masked byte, n int) []byte {
	switch {
	case n < 126:
		return append(dst, masked|byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, masked|126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, masked|127), uint64(n))
}

// xor masks b in place, eight bytes at a time.
func xor(b []byte, mask uint32) {
	wide := uint64(mask)<<32 | uint64(mask)
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^wide)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= byte(mask >> (8 * (i & 3)))
	}
}

// CloseInfo reads a close frame's payload; without one the code is 1005, as
// RFC 6455, 7.1.5 has it.
func CloseInfo(payload []byte) (code int, reason string) {
	if len(payload) < 2 {
		return 1005, ""
	}
	return int(binary.BigEndian.Uint16(payload)), string(payload[2:])
}

// AppendClose writes a close frame with a code and no reason.
func AppendClose(dst []byte, mask uint32, code int) []byte {
	return Append(dst, Close, mask, binary.BigEndian.AppendUint16(nil, uint16(code)))
}
