package server_test

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"throng/server"
)

// refused reads an answer, which is to be a refusal that is whole, says that the
// connection ends, repeats nothing of what the client sent, and is followed by
// the end and no reset.
func (c *client) refused(status int) http.Header {
	c.Helper()
	r, err := http.ReadResponse(c.in, nil)
	must(c, err)
	body, err := io.ReadAll(r.Body)
	must(c, err)
	if r.StatusCode != status {
		c.Fatalf("answer %s: %s, want %d", r.Status, body, status)
	}
	if !strings.HasPrefix(strings.ToLower(r.Header.Get("Connection")), "close") && !r.Close {
		c.Errorf("%d without Connection: close: %v", status, r.Header)
	}
	if len(body) < 10 || strings.Contains(string(body), canary) || strings.Contains(lines(flat(r.Header)...), canary) {
		c.Errorf("%d with the body %q, header %v", status, body, r.Header)
	}
	c.expectEnd()
	return r.Header
}

func flat(h http.Header) (all []string) {
	for k, v := range h {
		all = append(all, k+strings.Join(v, ""))
	}
	return all
}

// canary stands in refused requests, and may not come back.
const canary = "canary"

// request is an upgrade of which a test changes one thing.
func request(old, new string) string {
	r := upgradeTo("/chat?"+canary, "X-A: b", "Cookie: "+canary)
	if !strings.Contains(r, old) {
		panic("server_test: nothing to replace: " + old)
	}
	return strings.Replace(r, old, new, 1)
}

// refusals are requests with the status that they deserve.
var refusals = []struct {
	name, request string
	status        int
}{
	{"bare LF", request("X-A: b\r\n", "X-A: b\n"), 400},
	{"bare LF after the request line", request("HTTP/1.1\r\n", "HTTP/1.1\n"), 400},
	{"bare LF at the end", strings.TrimSuffix(upgrade(), "\r\n") + "\n", 400},
	{"bare LFs only", strings.ReplaceAll(upgrade(), "\r\n", "\n"), 400},
	{"bare CR in a value", request("X-A: b", "X-A: b\rX-C: d"), 400},
	{"bare CR before CR LF", request("X-A: b", "X-A: b\r"), 400},
	{"bare CR in the request line", request("GET /", "GET\r/"), 400},
	{"NUL in a value", request("X-A: b", "X-A: \x00"), 400},
	{"NUL in a name", request("X-A", "X\x00A"), 400},
	{"NUL in the target", request("/chat", "/ch\x00at"), 400},
	{"control byte in a value", request("X-A: b", "X-A: \x01"), 400},
	{"DEL in a value", request("X-A: b", "X-A: \x7f"), 400},
	{"folded line", request("X-A: b", "X-A: b\r\n c"), 400},
	{"folded line with a tab", request("X-A: b", "X-A: b\r\n\tc"), 400},
	{"folded first line", request("Host", " Host"), 400},
	{"space before the colon", request("X-A:", "X-A :"), 400},
	{"space in a name", request("X-A:", "X A:"), 400},
	{"empty name", request("X-A:", ":"), 400},
	{"no colon", request("X-A: b", "X-A b"), 400},
	{"bytes over 127 in a name", request("X-A", "X-\xc3\xa4"), 400},
	{"bytes over 127 in the target", request("/chat", "/ch\xc3\xa4t"), 400},
	{"Content-Length", request("X-A: b", "Content-Length: 0"), 400},
	{"Transfer-Encoding", request("X-A: b", "Transfer-Encoding: chunked"), 400},
	{"Host twice", request("X-A: b", "Host: "+canary), 400},
	{"no Host", request("Host", "X-Host"), 400},
	{"key twice", request("X-A: b", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400},
	{"version twice", request("X-A: b", "sec-websocket-version: 13"), 400},
	{"Host that is none", request("chat.example", "chat example"), 400},
	{"fragment", request("/chat", "/chat#a"), 400},
	{"Origin twice", request("X-A: b", "Origin: http://localhost\r\nOrigin: http://localhost"), 400},
	{"key that is not base64", request("dGhlIHNhbXBsZSBub25jZQ==", "!!!!!!!!!!!!!!!!!!!!!!=="), 400},
	{"key of 15 bytes", request("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j"), 400},
	{"key of 17 bytes", request("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZTE="), 400},
	{"key of 18 bytes", request("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZTEy"), 400},
	{"no key", request("Sec-WebSocket-Key", "X-Key"), 400},
	{"no version", request("Sec-WebSocket-Version", "X-Version"), 400},
	{"no Upgrade", request("Upgrade: websocket", "X-Up: websocket"), 400},
	{"no Connection", request("Connection", "X-Connection"), 400},
	{"Connection without upgrade", request("Connection: Upgrade", "Connection: keep-alive"), 400},
	{"Upgrade to other things", request("Upgrade: websocket", "Upgrade: websockets, h2c"), 400},
	{"HTTP/1.:", request("HTTP/1.1", "HTTP/1.:"), 400},
	{"HTTP/1.0", request("HTTP/1.1", "HTTP/1.0"), 400},
	{"HTTP/2.0", request("HTTP/1.1", "HTTP/2.0"), 400},
	{"http/1.1", request("HTTP/1.1", "http/1.1"), 400},
	{"no protocol", request(" HTTP/1.1", ""), 400},
	{"two spaces", request("GET /", "GET  /"), 400},
	{"a space too many", request("HTTP/1.1\r", "HTTP/1.1 \r"), 400},
	{"no method", request("GET ", " "), 400},
	{"bad escape", request("/chat", "/%zz"), 400},
	{"target without a slash", request("/chat", "chat"), 400},
	{"no subprotocol", request("X-A: b", "Sec-WebSocket-Protocol: ,, "), 400},
	{"subprotocol that is no token", request("X-A: b", "Sec-WebSocket-Protocol: a b"), 400},
	{"empty line first", "\r\n" + upgrade(), 400},
	{"TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400},
	{"handler's 400", request("/chat", "/400"), 400},
	{"handler's 403", request("/chat", "/403"), 403},
	{"handler's 404", request("/chat", "/404"), 404},
	{"handler's 503", request("/chat", "/503"), 503},
	{"handler's own idea", request("/chat", "/teapot"), 500},
	{"POST", request("GET", "POST"), 405},
	{"lower-case method", request("GET", "get"), 405},
	{"version 12", request("Version: 13", "Version: 12"), 426},
	{"version 13, 8", request("Version: 13", "Version: 13, 8"), 426},
	{"version 013", request("Version: 13", "Version: 013"), 426},
	{"head too large", request("X-A: b", "X-A: "+strings.Repeat("b", 4<<10)), 431},
	{"head too large, and no end", "GET /" + strings.Repeat("b", 4<<10), 431},
	{"too many headers", request("X-A: b\r\n", strings.Repeat("X-A: b\r\n", 60)), 431},
}

func TestRefusals(t *testing.T) {
	statuses := map[string]int{"/400": 400, "/403": 403, "/404": 404, "/503": 503, "/teapot": 418}
	x := start(t, setup{app: &app{upgrade: func(r *server.Request) int {
		if status := statuses[r.Path]; status != 0 {
			return status
		}
		return 101
	}}})
	for _, test := range refusals {
		t.Run(test.name, func(t *testing.T) {
			c := x.dial()
			c.TB = t
			c.write([]byte(test.request))
			h := c.refused(test.status)
			switch test.status {
			case 405:
				if h.Get("Allow") != "GET" {
					t.Errorf("405 with Allow: %q", h.Get("Allow"))
				}
			case 426:
				if h.Get("Sec-WebSocket-Version") != "13" || h.Get("Upgrade") != "websocket" {
					t.Errorf("426 with %v", h)
				}
			case 503:
				if h.Get("Retry-After") != "5" {
					t.Errorf("503 with Retry-After: %q", h.Get("Retry-After"))
				}
			}
		})
	}
	if stats := x.srv.Stats(); stats.Refused != uint64(len(refusals)) || stats.Opened != 0 {
		t.Errorf("%+v for %d refusals", stats, len(refusals))
	}
}

// The largest head and the largest number of headers that are allowed.
func TestLargestHead(t *testing.T) {
	x := start(t, setup{})
	with := func(headers int, size int) string {
		r := upgrade(strings.Split(strings.Repeat("X-A: b\n", headers-6)+"X: ", "\n")...)
		return strings.Replace(r, "X: ", "X: "+strings.Repeat("x", size-len(r)), 1)
	}
	for _, r := range []string{with(64, 4<<10), with(6, 4<<10)} {
		if len(r) != 4<<10 {
			t.Fatalf("a request of %d bytes", len(r))
		}
		c := x.dial()
		c.write([]byte(r))
		c.accepted()
		c.Close()
	}
	for _, r := range []string{with(65, 4<<10), with(6, 4<<10+1)} {
		c := x.dial()
		c.write([]byte(r))
		c.refused(431)
	}
}

// A limit above the size of the read buffer is cut to it, and kept.
func TestHeadLimitIsBounded(t *testing.T) {
	x := start(t, setup{config: server.Config{MaxHeadBytes: 1 << 20}})
	c := x.dial()
	c.write([]byte("GET /" + strings.Repeat("a", 16<<10)))
	c.refused(431)
}

func TestHandshake(t *testing.T) {
	requests := make(chan server.Request, 10)
	x := start(t, setup{app: &app{upgrade: func(r *server.Request) int { requests <- *r; return 101 }}})
	tests := []struct {
		name, request string
		path, query   string
		host          string
	}{
		{"plain", upgradeTo("/chat/a%20b?nick=x%20y"), "/chat/a b", "nick=x%20y", "chat.example:8080"},
		{"other cases", strings.NewReplacer("Upgrade: websocket", "uPGRADE:WebSocket", "Connection: Upgrade", "connection:\tkeep-alive , UPGRADE \t",
			"Host: ", "HOST:").Replace(upgrade()), "/chat", "", "chat.example:8080"},
		{"lists", strings.NewReplacer("Upgrade: websocket", "Upgrade: h2c\r\nUpgrade: websocket, a/1", "Connection: Upgrade",
			"Connection: upgrade\r\nConnection: keep-alive").Replace(upgrade()), "/chat", "", "chat.example:8080"},
		{"later minor version", strings.Replace(upgrade(), "HTTP/1.1", "HTTP/1.2", 1), "/chat", "", "chat.example:8080"},
		{"absolute target", upgradeTo("http://other.example/chat?a"), "/chat", "a", "other.example"},
		{"two slashes", upgradeTo("//chat"), "//chat", "", "chat.example:8080"},
		{"Latin-1 in a value", upgrade("X-A: \xe4"), "/chat", "", "chat.example:8080"},
	}
	for _, test := range tests {
		c := x.dial()
		c.write([]byte(test.request))
		h := c.accepted()
		// The example of RFC 6455, section 1.3.
		if h.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || h.Get("Sec-WebSocket-Extensions") != "" {
			t.Errorf("%s: answer %v", test.name, h)
		}
		if got := <-requests; got.Path != test.path || got.Query != test.query || got.Host != test.host {
			t.Errorf("%s: the handler saw %+v", test.name, got)
		}
		c.say("hello")
		c.Close()
	}
}

// The head and the first frame may arrive in two pieces, cut anywhere. The server
// has read the first before the second is sent.
func TestHandshakeSplitAnywhere(t *testing.T) {
	x := start(t, setup{})
	whole := append([]byte(upgrade("Sec-WebSocket-Protocol: a")), masked(ws.OpText, "first")...)
	for cut := 1; cut < len(whole); cut++ {
		c := x.dial()
		x.feed(c, whole[:cut])
		c.write(whole[cut:])
		c.accepted()
		c.expect(ws.OpText, "first")
		c.Close()
	}
}

// A byte at a time, which is also the slowest way to be refused.
func TestHandshakeByteByByte(t *testing.T) {
	x := start(t, setup{})
	for _, test := range []struct {
		request string
		status  int
	}{{upgrade(), 101}, {request("X-A: b", "X-A : b"), 400}} {
		c := x.dial()
		for i := range len(test.request) {
			x.feed(c, []byte(test.request[i:i+1]))
		}
		if test.status == 101 {
			c.accepted()
		} else {
			c.refused(test.status)
		}
		c.Close()
	}
}

// What is sent behind the head is the first frames: none is lost, none comes
// twice, whatever the number of bytes and the side of the buffer's end they
// arrive on.
func TestPipelinedFrames(t *testing.T) {
	x := start(t, setup{})
	pattern := bytes.Repeat([]byte("0123456789abcdefghijklmnopqrstuvwxyz"), 120)
	for size := 0; size <= 4096; size += 1 + size/16 {
		c := x.dial()
		head, frame := upgrade(), masked(ws.OpText, string(pattern[:size]))
		c.write(append(append([]byte(head), frame...), masked(ws.OpBinary, "last")...))
		c.accepted()
		c.expect(ws.OpText, string(pattern[:size]))
		c.expect(ws.OpBinary, "last")
		c.Close()
	}
	for behind := 0; behind <= 4096; behind += 127 { // many frames, cut anywhere
		c := x.dial()
		var frames []byte
		for i := 0; len(frames) < 4200; i++ {
			frames = append(frames, masked(ws.OpText, string(pattern[i:i+20]))...)
		}
		x.feed(c, append([]byte(upgrade()), frames[:behind]...))
		c.write(frames[behind:])
		c.accepted()
		for i := range len(frames) / 26 {
			c.expect(ws.OpText, string(pattern[i:i+20]))
		}
		c.say("last")
		c.Close()
	}
}

func TestSubprotocol(t *testing.T) {
	offers := make(chan []string, 10)
	x := start(t, setup{app: &app{upgrade: func(r *server.Request) int {
		offers <- slices.Clone(r.Protocols)
		for _, p := range r.Protocols {
			if p == "throng.v1" || p == "other" {
				r.Protocol = p
				break
			}
		}
		return 101
	}}})
	for _, test := range []struct {
		headers []string
		offered int
		chosen  string
	}{
		{nil, 0, ""},
		{[]string{"Sec-WebSocket-Protocol: throng.v1"}, 1, "throng.v1"},
		{[]string{"Sec-WebSocket-Protocol: unknown"}, 1, ""},
		{[]string{"Sec-WebSocket-Protocol: a ,\tthrong.v1,other"}, 3, "throng.v1"},
		{[]string{"Sec-WebSocket-Protocol: other, throng.v1"}, 2, "other"},
		{[]string{"Sec-WebSocket-Protocol: a", "sec-websocket-protocol: throng.v1"}, 2, "throng.v1"},
		{[]string{"Sec-WebSocket-Protocol: THRONG.V1"}, 1, ""},
	} {
		c := x.dial()
		c.write([]byte(upgrade(test.headers...)))
		got := c.accepted()["Sec-Websocket-Protocol"]
		if offered := <-offers; strings.Join(got, "|") != test.chosen || len(offered) != test.offered {
			t.Errorf("%v: chosen %q of %q", test.headers, got, offered)
		}
		c.Close()
	}
}

// A refusal is readable even though the client has sent more than the server has
// read: the server reads that before it closes, so that no reset destroys it.
func TestRefusalSurvivesInput(t *testing.T) {
	x := start(t, setup{})
	for _, size := range []int{1 << 10, 20 << 10, 60 << 10} {
		c := x.dial()
		c.write(append([]byte(request("X-A:", "X-A :")), make([]byte, size)...))
		c.refused(400)
		c.shut()
		x.until("the connection to end", func() bool { return x.srv.Conns() == 0 })
	}
}

// A client that has sent half a head and hung up is gone at once.
func TestHalfHeadAndGone(t *testing.T) {
	x := start(t, setup{})
	for range 20 {
		c := x.enter()
		release := x.hold(func() {})
		c.write([]byte("GET / HTTP/1.1\r\nHo"))
		c.shut()
		x.hungUp(c)
		release()
		c.expectEnd()
	}
}
