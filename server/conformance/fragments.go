package conformance

import (
	"fmt"
	"strings"
)

// alphabet is the frames of which fragments makes every sequence.
var alphabet = []byte{text, fin | text, binary, fin | binary, cont, fin | cont, fin | ping, fin | pong}

// fragments is every sequence of up to four frames, with what RFC 6455 5.4 makes of
// it; then messages in very many frames, and very empty ones.
func fragments(target *Target) (all []exchange) {
	var extend func(sequence []byte)
	extend = func(sequence []byte) {
		if len(sequence) > 0 {
			all = append(all, sequenceOf(sequence))
		}
		if len(sequence) < 3 || len(sequence) == 3 && !target.Sample {
			for _, first := range alphabet {
				extend(append(sequence[:len(sequence):len(sequence)], first))
			}
		}
	}
	extend(nil)
	for _, op := range []byte{text, binary} {
		for _, size := range []int{1, 2, 3, 7, 64, 125, 126, 1000} {
			all = append(all, inFragments(op, strings.Repeat(pattern(1000)+"é", 2), size))
		}
	}
	return all
}

// sequenceOf plays a sequence in a model: an open message, or none.
func sequenceOf(sequence []byte) exchange {
	x := exchange{}
	var op byte
	said := ""
	for i, first := range sequence {
		payload := string(rune('0' + i))
		x.name += fmt.Sprintf("%x ", first)
		x.send = append(x.send, masked(first, payload)...)
		switch kind := first &^ fin; {
		case kind == ping:
			x.want = append(x.want, message{op: pong, payload: payload})
			continue
		case kind == pong:
			continue
		case (kind == cont) != (op != 0):
			x.code = 1002
			return x
		case kind != cont:
			op = kind
		}
		if said += payload; first&fin != 0 {
			x.want = append(x.want, message{op: op, payload: said})
			op, said = 0, ""
		}
	}
	if op != 0 {
		x.send = append(x.send, masked(fin|cont, "")...)
		x.want = append(x.want, message{op: op, payload: said})
	}
	return x
}

// inFragments is a message in fragments of a size, with a ping, a pong and an empty
// fragment now and then.
func inFragments(op byte, payload string, size int) exchange {
	x := exchange{name: fmt.Sprintf("opcode %d in fragments of %d", op, size)}
	whole, first := payload, op
	for i := 0; payload != ""; i++ {
		n := min(size, len(payload))
		x.send = append(x.send, masked(first, payload[:n])...)
		if first, payload = cont, payload[n:]; i%7 == 3 {
			x.send = append(x.send, masked(fin|ping, fmt.Sprint(i))...)
			x.send = append(x.send, masked(cont, "")...)
			x.send = append(x.send, masked(fin|pong, "")...)
			x.want = append(x.want, message{op: pong, payload: fmt.Sprint(i)})
		}
	}
	x.send = append(x.send, masked(fin|cont, "")...)
	x.want = append(x.want, message{op: op, payload: whole})
	return x
}
