package conformance

import (
	"fmt"
	"slices"
)

// validTexts are texts whose runes lie at the ends of what UTF-8 can say: RFC 3629.
var validTexts = []string{
	"", "Hello", "\x00", "\x7f", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\ufffd", "\ufffe", "\uffff",
	"\U00010000", "\U0001ffff", "\U0003ffff", "\U000fffff", "\U0010fffe", "\U0010ffff",
	"κόσμε", "žluťoučký kůň", "日本語", "\U0001f40e\U0001f3fd", "-a\u0300\u0301-", "\ufeffBOM",
}

// validText is each of them whole, and cut anywhere into two and three fragments,
// with a ping in between that shows that half a rune was taken.
func validText(*Target) (all []exchange) {
	for _, s := range validTexts {
		x := exchange{name: fmt.Sprintf("%q", s)}
		say := func(frames ...[]byte) {
			x.send = append(x.send, slices.Concat(frames...)...)
			x.want = append(x.want, message{op: text, payload: s})
		}
		say(masked(fin|text, s))
		for i := range len(s) + 1 {
			x.want = append(x.want, message{op: pong, payload: "?"})
			say(masked(text, s[:i]), masked(fin|ping, "?"), masked(fin|cont, s[i:]))
			for j := i; j <= len(s); j++ {
				say(masked(text, s[:i]), masked(cont, s[i:j]), masked(cont, ""), masked(fin|cont, s[j:]))
			}
		}
		all = append(all, x)
	}
	// What is not text may be anything.
	all = append(all, exchange{name: "no text", send: slices.Concat(masked(fin|ping, "\xff"), masked(binary, "\xc0"), masked(fin|cont, "\x80")),
		want: []message{{op: pong, payload: "\xff"}, {op: binary, payload: "\xc0\x80"}}})
	return all
}

// badSequences are bytes that no text has, each bad at its last byte: what cannot
// begin a rune, and for each byte that can, what cannot follow it and what comes
// before. They are RFC 3629's grammar turned round.
func badSequences() (all []string) {
	for lead := 0x80; lead <= 0xff; lead++ {
		after, low, high := following(byte(lead))
		if after == 0 {
			all = append(all, string([]byte{byte(lead)}))
			continue
		}
		sequence := []byte{byte(lead)}
		for range after {
			for _, b := range []int{0, 'a', 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xe2, 0xff, low - 1, high + 1} {
				if b < low || b > high {
					all = append(all, string(append(sequence[:len(sequence):len(sequence)], byte(b))))
				}
			}
			sequence, low, high = append(sequence, byte(low)), 0x80, 0xbf
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// following is how many bytes follow a rune's first one, and from where to where the
// first of these may lie: RFC 3629, section 4. 0: no rune begins with it.
func following(lead byte) (after, low, high int) {
	switch {
	case lead >= 0xc2 && lead <= 0xdf:
		return 1, 0x80, 0xbf
	case lead == 0xe0:
		return 2, 0xa0, 0xbf // else overlong
	case lead == 0xed:
		return 2, 0x80, 0x9f // else a surrogate
	case lead >= 0xe1 && lead <= 0xef:
		return 2, 0x80, 0xbf
	case lead == 0xf0:
		return 3, 0x90, 0xbf // else overlong
	case lead >= 0xf1 && lead <= 0xf3:
		return 3, 0x80, 0xbf
	case lead == 0xf4:
		return 3, 0x80, 0x8f // else above U+10FFFF
	}
	return 0, 0, 0
}

// invalidText is each of them at its first bad byte, though the frame, the message
// and much of the text are still to come (RFC 6455 8.1): in one frame, cut into
// two fragments anywhere, and behind others; then runes that are never ended.
func invalidText(*Target) (all []exchange) {
	bad := func(name string, early bool, frames ...[]byte) {
		all = append(all, exchange{name: name, send: slices.Concat(frames...), code: 1007, early: early})
	}
	for _, s := range badSequences() {
		before := "κό"
		bad(fmt.Sprintf("%q", s), false, masked(fin|text, before+s+"a"))
		bad(fmt.Sprintf("%q, a part of a frame", s), true, part(fin|text, before+s))
		for i := range len(s) {
			bad(fmt.Sprintf("%q in fragments, cut at %d", s, i), false, masked(text, before+s[:i]), masked(cont, s[i:]))
			bad(fmt.Sprintf("%q in fragments, cut at %d, a part of a frame", s, i), true,
				masked(text, before+s[:i]), masked(fin|pong, "\xff"), masked(cont, ""), part(cont, s[i:]))
		}
	}
	for _, s := range validTexts {
		for cut := 1; cut < len(s); cut++ {
			if s[cut]&0xc0 != 0x80 {
				continue // between two runes
			}
			bad(fmt.Sprintf("%q, ends at %d", s, cut), false, masked(fin|text, s[:cut]))
			bad(fmt.Sprintf("%q, ends at %d, in fragments", s, cut), false, masked(text, s[:cut]), masked(cont, ""), masked(fin|cont, ""))
			bad(fmt.Sprintf("%q, ends at %d, then another", s, cut), false, masked(text, s[:cut]), masked(fin|cont, s))
			bad(fmt.Sprintf("%q, ends at %d, after another", s, cut), false, masked(fin|text, s), masked(fin|text, s[:cut]))
			all[len(all)-1].want = []message{{op: text, payload: s}}
		}
	}
	return all
}

// part is the beginning of a frame of which 1,000 bytes are missing.
func part(first byte, payload string) []byte {
	n := uint64(len(payload) + 1000)
	b := header(first, true, minimal(n), n, key)
	for i := range len(payload) {
		b = append(b, payload[i]^key[i%4])
	}
	return b
}
