package conformance

import (
	"fmt"
	"slices"
	"strings"
)

// control is pings of every size, pongs that nobody has asked for, and many at a
// time: RFC 6455 5.5.2 and 5.5.3.
func control(*Target) (all []exchange) {
	bytes := strings.Repeat("\x00\xff\xfe\x80abc\n", 16)
	for n := range 126 {
		for _, payload := range []string{pattern(n), bytes[:n]} {
			all = append(all, exchange{name: fmt.Sprintf("ping of %d bytes", n), send: masked(fin|ping, payload), want: []message{{op: pong, payload: payload}}})
		}
		all = append(all, exchange{
			name: fmt.Sprintf("pong of %d bytes", n),
			send: slices.Concat(masked(fin|pong, bytes[:n]), masked(fin|text, "on")), want: []message{{op: text, payload: "on"}},
		})
	}
	many := exchange{name: "many pings, pongs and messages"}
	for i := range 60 {
		payload := fmt.Sprint(i)
		many.send = slices.Concat(many.send, masked(fin|ping, payload), masked(fin|pong, payload), masked(fin|text, payload))
		many.want = append(many.want, message{op: pong, payload: payload}, message{op: text, payload: payload})
	}
	return append(all, many,
		exchange{name: "ping of 126 bytes", send: masked(fin|ping, pattern(126)), code: 1002},
		exchange{name: "pong of 65,536 bytes", send: header(fin|pong, true, 64, 65536, key), code: 1002, early: true},
		exchange{name: "ping, then half a message", send: slices.Concat(masked(fin|ping, "a"), masked(text, "b"), masked(fin|ping, "c"), masked(fin|cont, "d")),
			want: []message{{op: pong, payload: "a"}, {op: pong, payload: "c"}, {op: text, payload: "bd"}}},
	)
}

// closings is the closing handshake: RFC 6455 5.5.1, 7.1 and 7.4.
func closings(*Target) (all []exchange) {
	bye := func(name string, answer int, payload string, before ...[]byte) {
		all = append(all, exchange{name: name, send: append(slices.Concat(before...), masked(fin|closing, payload)...), code: answer})
	}
	bye("empty", noCode, "")
	for b := range 256 {
		bye(fmt.Sprintf("one byte, %x", b), 1002, string([]byte{byte(b)}))
	}
	for n := range 124 {
		bye(fmt.Sprintf("a reason of %d bytes", n), 1000, code(1000, pattern(n)))
		bye(fmt.Sprintf("a reason of %d bytes, not ASCII", n/2*2), 1001, code(1001, strings.Repeat("é", n/2)))
	}
	bye("a reason of 124 bytes", 1002, code(1000, pattern(124)))
	bye("a length of 16 bits", 1002, code(1000, pattern(200)))
	for _, bad := range badSequences() {
		for n := range 4 {
			bye(fmt.Sprintf("the reason %q", pattern(n)+bad), 1007, code(1000, pattern(n)+bad))
		}
	}
	for _, good := range validTexts {
		bye(fmt.Sprintf("the reason %q", good), 4999, code(4999, good))
	}
	bye("inside a message", 3000, code(3000, ""), masked(text, "never ended"))
	bye("after half a rune", 1000, code(1000, ""), masked(text, "\xe2\x82"))
	bye("after pongs", 1000, code(1000, ""), masked(fin|pong, ""), masked(fin|pong, "x"))
	for name, behind := range map[string][]byte{
		"another close": masked(fin|closing, code(1001, "")), "a violation": {0xff, 0xff}, "half a frame": masked(fin|text, "half")[:7],
		"many bytes": make([]byte, 40<<10), "a forbidden code": masked(fin|closing, code(1005, "")), "a violation in 126 bytes": masked(fin|ping, pattern(126)),
	} {
		x := exchange{name: "a close, then " + name, code: 1000, lingers: true}
		x.send = append(masked(fin|closing, code(1000, "")), behind...)
		all = append(all, x)
	}
	// Both sides close at once: the server answers a violation while the client's
	// own close is on its way. There is one close frame, and it names the violation.
	for name, violation := range map[string][]byte{"unmasked": {fin | text, 1, 'x'}, "reserved": masked(0x83, ""), "unfinished": masked(ping, "")} {
		x := exchange{name: "a close behind a violation, " + name, code: 1002, lingers: true}
		x.send = append(violation, masked(fin|closing, code(1000, ""))...)
		all = append(all, x)
	}
	return all
}

// closeCodes is all of them: RFC 6455 7.4, and 1012 to 1014, which IANA has
// registered since.
func closeCodes(target *Target) (all []exchange) {
	for n := range 1 << 16 {
		legal := n >= 1000 && n <= 1003 || n >= 1007 && n <= 1014 || n >= 3000 && n <= 4999
		near := n < 1030 || n%1000 < 3 || n%1000 > 997 && n < 5100 || n&0xff == 0xff || n&0xff == 0
		if target.Sample && !near && n%97 != 0 {
			continue
		}
		x := exchange{name: fmt.Sprintf("close code %d", n), send: masked(fin|closing, code(n, "")), code: 1002}
		if legal {
			x.code = n
		}
		all = append(all, x)
	}
	return all
}
