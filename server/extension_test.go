package server_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"throng/server"
)

const (
	plainTerms  = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	windowTerms = plainTerms + "; server_max_window_bits=15"
	smallTerms  = plainTerms + "; server_max_window_bits="
)

// offers are values of Sec-WebSocket-Extensions with the answer that they deserve:
// "" for none, "400" for what is no list of extensions.
var offers = []struct{ name, offer, want string }{
	{"plain", "permessage-deflate", plainTerms},
	{"as Chromium and npm's ws say it", "permessage-deflate; client_max_window_bits", plainTerms},
	{"windows of 4 KiB", "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12", smallTerms + "12"},
	{"all that can be asked for", "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15; client_max_window_bits=8", windowTerms},
	{"nothing", "", ""},
	{"white space", " \t", ""},
	{"spaces", "permessage-deflate ;\tclient_max_window_bits = 15 ; server_max_window_bits= \"15\" ", windowTerms},
	{"no spaces", "permessage-deflate;client_max_window_bits;server_max_window_bits=15", windowTerms},
	{"quoted", `permessage-deflate; client_max_window_bits="10"`, plainTerms},
	{"quoted, escaped", `permessage-deflate; client_max_window_bits="1\0"`, plainTerms},

	{"unknown parameter", "permessage-deflate; level=9", ""},
	{"unknown parameter of an old object", "permessage-deflate; constructor", ""},
	{"value for server_no_context_takeover", "permessage-deflate; server_no_context_takeover=1", ""},
	{"value for client_no_context_takeover", "permessage-deflate; client_no_context_takeover=true", ""},
	{"server_max_window_bits without a value", "permessage-deflate; server_max_window_bits", ""},
	{"server window 14", "permessage-deflate; server_max_window_bits=14", smallTerms + "14"},
	{"server window 8", "permessage-deflate; server_max_window_bits=8", smallTerms + "8"},
	{"server window 7", "permessage-deflate; server_max_window_bits=7", ""},
	{"server window 9", "permessage-deflate; server_max_window_bits=9", smallTerms + "9"},
	{"server window 16", "permessage-deflate; server_max_window_bits=16", ""},
	{"server window 015", "permessage-deflate; server_max_window_bits=015", ""},
	{"server window -15", "permessage-deflate; server_max_window_bits=-15", ""},
	{"client window 7", "permessage-deflate; client_max_window_bits=7", ""},
	{"client window 8", "permessage-deflate; client_max_window_bits=8", plainTerms},
	{"client window 9", "permessage-deflate; client_max_window_bits=9", plainTerms},
	{"client window 15", "permessage-deflate; client_max_window_bits=15", plainTerms},
	{"client window 16", "permessage-deflate; client_max_window_bits=16", ""},
	{"client window 08", "permessage-deflate; client_max_window_bits=08", ""},
	{"client window +9", "permessage-deflate; client_max_window_bits=+9", ""},
	{"client window x", "permessage-deflate; client_max_window_bits=x", ""},
	{"client window 2^64+9", "permessage-deflate; client_max_window_bits=18446744073709551625", ""},
	{"server_no_context_takeover twice", "permessage-deflate; server_no_context_takeover; server_no_context_takeover", ""},
	{"client_no_context_takeover twice", "permessage-deflate; client_no_context_takeover; client_no_context_takeover", ""},
	{"server_max_window_bits twice", "permessage-deflate; server_max_window_bits=15; server_max_window_bits=15", ""},
	{"client_max_window_bits twice", "permessage-deflate; client_max_window_bits; client_max_window_bits=15", ""},

	{"another extension", "x-webkit-deflate-frame", ""},
	{"constructor", "constructor, __proto__; toString=hasOwnProperty", ""},
	{"permessage-bzip2", "permessage-bzip2", ""},
	{"another case", "Permessage-Deflate", ""},
	{"another before", "x-mux; max-channels=4, permessage-deflate", plainTerms},
	{"a bad offer before", "permessage-deflate; server_max_window_bits=16, permessage-deflate; server_max_window_bits=15", windowTerms},
	{"a bad offer behind", "permessage-deflate, permessage-deflate; server_max_window_bits=16", plainTerms},
	{"the first of two", "permessage-deflate; server_max_window_bits=15, permessage-deflate", windowTerms},
	{"the second of three", "permessage-deflate; a, permessage-deflate, permessage-deflate; server_max_window_bits=15", plainTerms},
	{"only bad ones", "permessage-deflate; a, permessage-deflate; b=c", ""},
	{"empty elements", " ,, permessage-deflate ,", plainTerms},
	{"in two headers", "x-mux\r\nSec-WebSocket-Extensions: permessage-deflate", plainTerms},
	{"in two headers, the first good", "permessage-deflate\r\nSec-WebSocket-Extensions: x-mux", plainTerms},
	{"in two headers, the first no list", "permessage-deflate;\r\nSec-WebSocket-Extensions: permessage-deflate", "400"},
	{"in two headers, the first bad", "permessage-deflate; a\r\nsec-websocket-extensions: permessage-deflate; server_max_window_bits=15", windowTerms},
	{"in two headers, the first empty", "\r\nsec-websocket-extensions: permessage-deflate", plainTerms},
	{"many", strings.Repeat("a,", 1500) + "permessage-deflate", plainTerms},
	{"many parameters", "permessage-deflate" + strings.Repeat(";a", 1500) + ", permessage-deflate", plainTerms},

	{"no parameter", "permessage-deflate;", "400"},
	{"no parameter between", "permessage-deflate;;client_max_window_bits", "400"},
	{"no name", "; client_max_window_bits", "400"},
	{"no value", "permessage-deflate; client_max_window_bits=", "400"},
	{"no parameter's name", "permessage-deflate; =15", "400"},
	{"empty quotes", `permessage-deflate; client_max_window_bits=""`, "400"},
	{"quotes that are not closed", `permessage-deflate; client_max_window_bits="15`, "400"},
	{"quotes, only one", `permessage-deflate; client_max_window_bits="`, "400"},
	{"quotes, escaped at the end", `permessage-deflate; client_max_window_bits="15\"`, "400"},
	{"quotes that hold no token", `permessage-deflate; client_max_window_bits="1 5"`, "400"},
	{"quotes that hold a backslash", `permessage-deflate; client_max_window_bits="1\\5"`, "400"},
	{"quotes that hold quotes", `permessage-deflate; client_max_window_bits="15\" ; server_max_window_bits="15"`, "400"},
	{"behind quotes", `permessage-deflate; client_max_window_bits="15"x`, "400"},
	{"two names", "permessage deflate", "400"},
	{"a name in quotes", `"permessage-deflate"`, "400"},
	{"no token", "permessage/deflate", "400"},
	{"bytes over 127", "permessage-deflate\xe4", "400"},
	{"bad behind a good one", "permessage-deflate, (", "400"},
}

func TestNegotiation(t *testing.T) {
	x := start(t, setup{})
	for _, test := range offers {
		t.Run(test.name, func(t *testing.T) {
			c := x.dial()
			c.TB = t
			c.write([]byte(upgrade("Sec-WebSocket-Extensions: " + test.offer)))
			if test.want == "400" {
				c.refused(400)
				return
			}
			got := c.accepted()["Sec-Websocket-Extensions"]
			if at := await(t, x.app.opened); at.Deflates() != (test.want == plainTerms || test.want == windowTerms) {
				t.Errorf("negotiated: %v", at.Deflates())
			}
			if test.want == "" && got != nil || test.want != "" && !slices.Equal(got, []string{test.want}) {
				t.Errorf("answer %q, want %q", got, test.want)
			}
			c.say("hello")
			c.Close()
		})
	}
}

// Without compression no offer is taken, and the handshake is otherwise the same.
func TestCompressionOff(t *testing.T) {
	x := start(t, setup{config: server.Config{Compression: server.CompressionOff}})
	c := x.dial()
	c.write([]byte(upgrade("Sec-WebSocket-Extensions: permessage-deflate")))
	if got := c.accepted()["Sec-Websocket-Extensions"]; got != nil {
		t.Errorf("answer %q", got)
	}
	if at := await(t, x.app.opened); at.Deflates() || at.Deflater() != nil {
		t.Error("it compresses")
	}
	c.say(strings.Repeat("x", 1000))
	c.write(packed(strings.Repeat("x", 1000)))
	c.expectClose(1002, "reserved bit set")
}

func TestCompressionLevels(t *testing.T) {
	for _, level := range []int{-2, 10} {
		if s, err := server.New(server.Config{Compression: level, Kernel: newKernel(t)}, &app{}, nil); err == nil ||
			!strings.HasPrefix(err.Error(), fmt.Sprintf("compression level %d: ", level)) {
			t.Errorf("%d: %v, %v", level, s, err)
		}
	}
}

// extensionList is RFC 6455, section 9.1, as a regular expression, white space and
// empty elements allowed. A quoted string holds a token, perhaps escaped: so neither
// commas nor semicolons.
var extensionList = func() *regexp.Regexp {
	const (
		char  = "[-!#$%&'*+.^_`|~0-9A-Za-z]"
		sp    = `[ \t]*`
		value = "(?:" + char + `+|"(?:\\?` + char + `)+")`
		param = sp + ";" + sp + char + "+(?:" + sp + "=" + sp + value + ")?"
		item  = "(?:" + char + "+(?:" + param + ")*)?"
	)
	return regexp.MustCompile("^" + sp + item + "(?:" + sp + "," + sp + item + ")*" + sp + "$")
}()

// acceptable decides about one offer of a list that matches extensionList.
func acceptable(offer string) (answer string) {
	unquote := strings.NewReplacer(`"`, "", `\`, "", " ", "", "\t", "")
	name, params, _ := strings.Cut(offer, ";")
	if unquote.Replace(name) != "permessage-deflate" {
		return ""
	}
	allowed := regexp.MustCompile(`^((server|client)_no_context_takeover|server_max_window_bits=([89]|1[0-5])|client_max_window_bits(=([89]|1[0-5]))?)$`)
	seen, window := map[string]bool{}, ""
	for p := range strings.SplitSeq(params, ";") {
		if params == "" {
			break
		}
		p = unquote.Replace(p)
		name, value, _ := strings.Cut(p, "=")
		if !allowed.MatchString(p) || seen[name] {
			return ""
		}
		if seen[name] = true; name == "server_max_window_bits" {
			window = value
		}
	}
	if window != "" {
		return smallTerms + window
	}
	return plainTerms
}

// FuzzNegotiation holds the negotiation against the grammar.
func FuzzNegotiation(f *testing.F) {
	for _, test := range offers {
		if len(test.offer) < 1000 {
			f.Add(test.offer)
		}
	}
	f.Fuzz(func(t *testing.T, list string) {
		want := ""
		for offer := range strings.SplitSeq(list, ",") {
			if want == "" {
				want = acceptable(offer)
			}
		}
		answer, ok := server.Negotiate([]byte(list))
		switch valid := extensionList.MatchString(list); {
		case ok != valid:
			t.Fatalf("%q is taken for a list: %v", list, ok)
		case valid && answer != want:
			t.Fatalf("%q: answer %q, want %q", list, answer, want)
		}
	})
}

// What the largest head can hold costs no more than reading it: no list in it takes
// more than a few steps for each byte, or allocates for each.
func TestNegotiationIsBounded(t *testing.T) {
	for _, part := range []string{",", "a,", ";a", "permessage-deflate,", "permessage-deflate;a,", `;a="\b"`, " ", "permessage-deflate;server_max_window_bits=15;"} {
		list := []byte("a" + strings.Repeat(part, 16<<10/len(part)))
		if n := testing.AllocsPerRun(10, func() { server.Negotiate(list) }); n > 1 && !strings.Contains(part, `"`) {
			t.Errorf("%q: %v allocations", part, n)
		}
	}
}

func BenchmarkNegotiate(b *testing.B) {
	for _, part := range []string{"permessage-deflate; client_max_window_bits", "permessage-deflate;a,", ",", ";a", `;a="\b"`} {
		list := []byte(part)
		if part[0] != 'p' || part[len(part)-1] == ',' {
			list = []byte("a" + strings.Repeat(part, 7700/len(part)))
		}
		b.Run(fmt.Sprintf("%.20s/%d", part, len(list)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				server.Negotiate(list)
			}
		})
	}
}
