package conformance

import (
	"fmt"
	"slices"
	"strings"
)

// agrees checks what the answer says of extensions: nothing, or permessage-deflate
// without context takeover on either side, and a window that was asked for.
func (a answer) agrees(x exchange) error {
	var want []string
	if x.window > 0 {
		want = []string{"client_no_context_takeover", "permessage-deflate", "server_no_context_takeover"}
	}
	if x.repeated {
		want = append(want, fmt.Sprintf("server_max_window_bits=%d", x.window))
	}
	var got []string
	for _, line := range a.headers["sec-websocket-extensions"] {
		for part := range strings.SplitSeq(line, ";") {
			got = append(got, strings.TrimSpace(part))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		return fmt.Errorf("the answer agrees to %q, want %q", got, want)
	}
	return nil
}

// deflate is the name, and where a server's window is said.
const (
	deflate = "permessage-deflate"
	bits    = "server_max_window_bits"
	another = "\r\nSec-WebSocket-Extensions: "
)

// agreements is offers of permessage-deflate and what is made of them: RFC 7692 5.1,
// 7.1; RFC 6455 9.1. Then messages show that it holds.
func agreements(*Target) (all []exchange) {
	var probes exchange
	for _, n := range []int{100, 200, 256, 257, 300, 512, 513, 1024, 1025, 5000, 32768, 32769} {
		probes.say(usual.pack(prose(n, n)), prose(n, n))
	}
	add := func(window int, repeated bool, offers ...string) {
		for _, offer := range offers {
			all = append(all, exchange{name: fmt.Sprintf("%q", offer), offer: offer, window: window, repeated: repeated}.used(probes))
		}
	}
	add(15, false, deflate, " "+deflate+"\t", ","+deflate+",,", "x, "+deflate, deflate+", x", "x; a=b; c=\"d\", "+deflate, deflate+", "+deflate, "x"+another+deflate,
		deflate+another+"x", deflate+"; server_no_context_takeover", deflate+"; client_no_context_takeover",
		deflate+";server_no_context_takeover;client_no_context_takeover", deflate+" ; client_max_window_bits", deflate+"; client_max_window_bits=\"10\"",
		deflate+"; client_no_context_takeover; client_max_window_bits; server_no_context_takeover",
		deflate+"; unknown, "+deflate, deflate+"; unknown"+another+deflate, deflate+"; "+bits+"=16, "+deflate+"; client_max_window_bits")
	for n := 8; n <= 15; n++ {
		add(15, false, fmt.Sprintf("%s; client_max_window_bits=%d", deflate, n))
		add(n, true, fmt.Sprintf("%s; %s=%d", deflate, bits, n), fmt.Sprintf("%s; client_max_window_bits; %s=\"%d\"", deflate, bits, n),
			fmt.Sprintf("%s; unknown=1, %s; %s=%d, %s", deflate, deflate, bits, n, deflate))
	}
	for _, name := range []string{bits, "client_max_window_bits"} {
		for _, value := range []string{"0", "1", "7", "16", "25", "08", "015", "-8", "8.0", "a", "256", "264", "99999999999999999999", "0x8"} {
			add(0, false, deflate+"; "+name+"="+value)
		}
		add(0, false, deflate+"; "+name+"=10; "+name+"=10", deflate+"; "+name+"=10; "+name+"=11")
	}
	for _, name := range []string{"server_no_context_takeover", "client_no_context_takeover"} {
		add(0, false, deflate+"; "+name+"=1", deflate+"; "+name+"=true", deflate+"; "+name+"; "+name, deflate+"; "+strings.ToUpper(name))
	}
	add(0, false, "", "x", "x-webkit-deflate-frame", "deflate-frame", "permessage-deflat", deflate+"s", "permessage-bzip2", "Permessage-Deflate", "constructor",
		deflate+"; "+bits, deflate+"; unknown", deflate+"; unknown=1, "+deflate+"; mode=client", deflate+"; window=15", strings.Repeat("x, ", 300)+"y")
	return all
}

// used adds messages that show what was agreed to: compressed ones are understood,
// and come back compressed as far as the window reaches; or they are a violation.
func (x exchange) used(probes exchange) exchange {
	if x.send, x.want = probes.send, probes.want; x.window == 0 {
		x.send, x.want, x.code = masked(fin|rsv1|text, usual.pack("Hello")), nil, 1002
	}
	return x
}

// extensions is what is no list of extensions at all: RFC 6455 9.1 has the
// handshake fail, whatever else stands in it.
func extensions(*Target) (all []opening) {
	for _, list := range []string{
		"a b", "a;", ";a", "a; ;b", "a;=1", "a; b=", "a; b=\"\"", "a; b=\"c d\"", "a; b=\"c", "a; b=c d", "a=b", "a/b", "(a)", "\"a\"", "a; b=\"c\"d", "ä", "a; ä", "a; b=ä",
		"a; b=\"\\", "a; b==c", "a; b=c=d", "a:b", "{}", "a, b c", deflate + "; ", deflate + "; " + bits + "=", deflate + "; " + bits + "=\"\"", deflate + "; " + bits + "=\"8", deflate + " " + deflate,
		deflate + "; " + bits + "=8 9", deflate + another + "a b", "a b" + another + deflate, deflate + ", a;",
	} {
		all = append(all, cases(400, fmt.Sprintf("extensions %q", list), with("X-Other: other", "Sec-WebSocket-Extensions: "+list))...)
	}
	return all
}
