package conformance

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// framing is every first byte of a frame, masked and not, alone and inside a
// fragmented message: RFC 6455 5.1, 5.2, 5.4 and 5.5.
func framing(*Target) (all []exchange) {
	for first := range 256 {
		for _, mask := range []bool{true, false} {
			for _, open := range []bool{false, true} {
				all = append(all, firstByte(byte(first), mask, open)...)
			}
		}
	}
	return all
}

// firstByte is one of them. What its first two bytes forbid is judged by them.
func firstByte(first byte, mask, open bool) []exchange {
	x := exchange{name: fmt.Sprintf("first byte %08b, masked %v, inside a message %v", first, mask, open)}
	so := ""
	if open {
		x.send, so = masked(text, "a"), "a"
	}
	payload := "b"
	if first&0x0f == closing {
		payload = code(1000, "")
	}
	frame := masked(first, payload)
	if !mask {
		frame = append(header(first, false, 7, uint64(len(payload)), key), payload...)
	}
	before := len(x.send)
	x.send = append(x.send, frame...)
	op, final := first&0x0f, first&fin != 0
	switch {
	case first&0x70 != 0, op > binary && op < closing, op > pong, !mask, op >= closing && !final,
		op == cont && !open, (op == text || op == binary) && open:
		x.code = 1002
		early := x
		early.name, early.send, early.early = x.name+", two bytes of it", slices.Clone(x.send[:before+2]), true
		return []exchange{x, early}
	case op == closing:
		x.code = 1000
	case op == ping, op == pong:
		if op == ping {
			x.want = []message{{op: pong, payload: payload}}
		}
		if open {
			x.send = append(x.send, masked(fin|cont, "c")...)
			x.want = append(x.want, message{op: text, payload: "ac"})
		}
	default:
		if op == cont {
			op = text
		}
		if so += payload; !final {
			x.send, so = append(x.send, masked(fin|cont, "c")...), so+"c"
		}
		x.want = []message{{op: op, payload: so}}
	}
	return []exchange{x}
}

// lengths is payload lengths in their three forms, of which only the shortest is
// legal, and lengths that no message may have: RFC 6455 5.2 and 10.4.
func lengths(target *Target) (all []exchange) {
	for _, n := range []int{0, 1, 2, 124, 125, 126, 127, 128, 254, 255, 256, 257, 1000, 16383, 16384, 32767, 32768, 65534, 65535, 65536, 65537} {
		for _, bits := range []int{7, 16, 64} {
			for _, op := range []byte{text, binary, ping, pong} {
				if bits == 7 && n > 125 || bits == 16 && n > math.MaxUint16 {
					continue
				}
				x := exchange{name: fmt.Sprintf("a length of %d in %d bits, opcode %d", n, bits, op)}
				x.send = header(fin|op, true, bits, uint64(n), key)
				switch {
				case op >= closing && bits > 7, bits != minimal(uint64(n)):
					x.code, x.early = 1002, true
				case n > target.MaxMessage:
					x.code, x.early = 1009, true
				default:
					x.send = masked(fin|op, pattern(n))
					x.want = comesBack(op, pattern(n))
				}
				all = append(all, x)
			}
		}
	}
	const top = 1 << 63
	for _, n := range []uint64{uint64(target.MaxMessage) + 1, math.MaxInt32, 1 << 31, math.MaxUint32, 1 << 32, 1 << 62, top - 1, top, top + 5, math.MaxUint64} {
		for _, op := range []byte{text, binary, cont} {
			x := exchange{name: fmt.Sprintf("a length of %d, opcode %d", n, op), code: 1009, early: true}
			if n >= top {
				x.code = 1002 // "the most significant bit MUST be 0"
			}
			if op == cont {
				x.send = masked(text, "a") // the sum of both must not overflow
			}
			x.send = append(x.send, header(fin|op, true, 64, n, key)...)
			all = append(all, x)
		}
	}
	return all
}

// comesBack is what a whole frame makes the server send.
func comesBack(op byte, payload string) []message {
	switch op {
	case ping:
		return []message{{op: pong, payload: payload}}
	case pong:
		return nil
	}
	return []message{{op: op, payload: payload}}
}

// masks is keys of which bytes are zero or alike, on lengths around a word's.
func masks(*Target) (all []exchange) {
	for _, key := range [][4]byte{{}, {0xff, 0xff, 0xff, 0xff}, {1, 2, 3, 4}, {0x80, 0, 0, 0}, {0, 0, 0, 0x80}} {
		x := exchange{name: fmt.Sprintf("mask %x", key)}
		for n := range 70 {
			payload := strings.Repeat("é", n/2) + pattern(n%2)
			x.send = append(x.send, maskedWith(key, fin|text, payload)...)
			x.want = append(x.want, message{op: text, payload: payload})
		}
		all = append(all, x)
	}
	return all
}

// limits is messages of the largest size, and of one byte or one frame more:
// refused with 1009 by the header that passes the limit (RFC 6455 7.4.1, 10.4).
func limits(target *Target) (all []exchange) {
	most := target.MaxMessage
	long := pattern(most)
	for _, op := range []byte{text, binary} {
		for _, cuts := range [][]int{{}, {0}, {1}, {most / 2}, {most - 1}, {most}, {0, 0, most / 3, most}} {
			x := exchange{name: fmt.Sprintf("opcode %d, %d bytes, cut at %d", op, most, cuts)}
			first, done := op, 0
			for _, at := range cuts {
				x.send = append(x.send, masked(first, long[done:at])...)
				first, done = cont, at
			}
			over := x
			over.name, over.code, over.early = x.name+", and one more", 1009, true
			rest := uint64(most - done + 1)
			over.send = append(slices.Clone(x.send), header(fin|first, true, minimal(rest), rest, key)...)
			x.send = append(x.send, masked(fin|first, long[done:])...)
			x.want = []message{{op: op, payload: long}}
			all = append(all, x, over)
		}
		all = append(all, manyFragments(target.MaxFragments, op)...)
	}
	return all
}

// manyFragments is a message in as many frames as there may be, and one in more.
func manyFragments(most int, op byte) []exchange {
	send := masked(op, "a")
	for range most - 2 {
		send = append(send, masked(cont, "")...)
	}
	return []exchange{
		{name: fmt.Sprintf("opcode %d in %d fragments", op, most),
			send: append(slices.Clone(send), masked(fin|cont, "b")...), want: []message{{op: op, payload: "ab"}}},
		{name: fmt.Sprintf("opcode %d in more than %d fragments", op, most), code: 1009, early: true,
			send: append(append(send, masked(cont, "")...), header(fin|cont, true, 7, 1, key)...)},
	}
}
