package server_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"unicode/utf8"
)

// Opcodes, as RFC 6455 numbers them. The simulated peers share no code with the server's codec.
const (
	simCont, simText, simBinary      = 0x0, 0x1, 0x2
	simClose, simPing, simPong       = 0x8, 0x9, 0xA
	simFin                           = 0x80
	simMask                          = 0x80
	simRsv1, simRsv2            byte = 0x40, 0x20
)

// simFrame is a frame as a peer sends it, masked with a key that is drawn.
func simFrame(rng *rand.Rand, first byte, payload string) []byte {
	b := append(simHeader(first, len(payload)), 0, 0, 0, 0)
	key := b[len(b)-4:]
	binary.LittleEndian.PutUint32(key, rng.Uint32())
	for i := range len(payload) {
		b = append(b, payload[i]^key[i%4])
	}
	return b
}

// simHeader is a masked frame's header without the key.
func simHeader(first byte, length int) []byte {
	switch {
	case length < 126:
		return []byte{first, simMask | byte(length)}
	case length < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{first, simMask | 126}, uint16(length))
	}
	return binary.BigEndian.AppendUint64([]byte{first, simMask | 127}, uint64(length))
}

// simCloseFrame is a close frame with a code.
func simCloseFrame(rng *rand.Rand, code int) []byte {
	return simFrame(rng, simFin|simClose, string(binary.BigEndian.AppendUint16(nil, uint16(code))))
}

// simIncoming is a frame as a server sends it.
type simIncoming struct {
	op         byte
	payload    []byte
	compressed bool
}

var errSimPartial = errors.New("not complete")

// simInflaters are used again, since each of them is 40 KB.
var simInflaters = sync.Pool{New: func() any { return flate.NewReader(nil) }}

// simInflate undoes permessage-deflate without context takeover: RFC 7692, section 7.2.2.
func simInflate(payload []byte) ([]byte, error) {
	const tail = "\x00\x00\xff\xff" + "\x01\x00\x00\xff\xff" // what the sender cut off, and an end
	r := simInflaters.Get().(io.ReadCloser)
	defer simInflaters.Put(r)
	if err := r.(flate.Resetter).Reset(io.MultiReader(bytes.NewReader(payload), strings.NewReader(tail)), nil); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, 1<<20))
}

// simDecode takes the first frame off b and returns how many bytes it has, or says why a server must not send this. deflate
// says that a text may be compressed.
func simDecode(b []byte, deflate bool) (f simIncoming, n int, err error) {
	if len(b) < 2 {
		return f, 0, errSimPartial
	}
	length, n, compressed := int(b[1]), 2, b[0]&simRsv1 != 0
	switch {
	case b[0]&0x30 != 0, b[0]&simFin == 0, compressed && (!deflate || b[0]&0xf != simText):
		return f, 0, fmt.Errorf("a frame that begins with %#x", b[0])
	case b[1]&simMask != 0:
		return f, 0, errors.New("a masked frame")
	case length == 126:
		if n = 4; len(b) < n {
			return f, 0, errSimPartial
		}
		if length = int(binary.BigEndian.Uint16(b[2:])); length < 126 {
			return f, 0, fmt.Errorf("a length of %d in 16 bits", length)
		}
	case length == 127:
		if n = 10; len(b) < n {
			return f, 0, errSimPartial
		}
		if length = int(binary.BigEndian.Uint64(b[2:])); length < 1<<16 || length > 1<<30 {
			return f, 0, fmt.Errorf("a length of %d in 64 bits", length)
		}
	}
	if len(b) < n+length {
		return f, 0, errSimPartial
	}
	f = simIncoming{b[0] & 0xf, b[n : n+length], compressed}
	if compressed {
		if f.payload, err = simInflate(f.payload); err != nil {
			return f, 0, fmt.Errorf("a text that cannot be inflated: %w", err)
		}
	}
	switch {
	case f.op != simText && f.op != simClose && f.op != simPing && f.op != simPong:
		return f, 0, fmt.Errorf("a frame with the opcode %#x", f.op)
	case f.op == simText && !utf8.Valid(f.payload):
		return f, 0, fmt.Errorf("a text that is not UTF-8: %q", f.payload)
	}
	return f, n + length, nil
}
