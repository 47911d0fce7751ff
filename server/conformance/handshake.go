package conformance

import (
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// opening is a request and the status that it deserves. One that is accepted is
// followed by a message, to show that the server took the whole request and no
// more.
type opening struct {
	name, request string
	status        int
}

// handshakes asks for WebSockets, well and badly: RFC 6455 4.2.1, RFC 9110, RFC 9112.
func (target *Target) handshakes(t *testing.T) {
	for _, chapter := range []struct {
		name string
		make func(*Target) []opening
	}{
		{"RequestLine", requestLines}, {"Headers", headers}, {"Upgrade", upgrades}, {"Keys", keys}, {"Versions", versions},
		{"Subprotocols", subprotocols}, {"Hosts", hosts}, {"Heads", heads},
		{"Extensions", extensions},
	} {
		t.Run(chapter.name, func(t *testing.T) {
			openings := chapter.make(target)
			target.openAll(t, openings, whole)
			target.openAll(t, few(openings, target.sparse(10)), byteByByte)
			target.openAll(t, few(openings, target.sparse(3)), anyCut)
		})
	}
}

// openAll sends requests, some at a time.
func (target *Target) openAll(t *testing.T, openings []opening, how delivery) {
	t.Helper()
	parallel(t, len(openings), func(i int) error {
		o := openings[i]
		if err := target.open(o, how); err != nil {
			return fmt.Errorf("%s: %w, to %.300q", o.name, err, o.request)
		}
		return nil
	})
}

// open sends one request. %PATH% in it stands for a path that the server has.
func (target *Target) open(o opening, how delivery) error {
	path, prefix := target.Connect(target.conns.Add(1))
	send := []byte(strings.Replace(o.request, "%PATH%", path, 1))
	if o.status == 101 {
		send = append(send, masked(fin|text, "hello")...)
	}
	ends := how(o.name, 0, len(send))
	c, err := target.dial(len(ends) == 1)
	if err != nil {
		return err
	}
	defer c.Close()
	c.deliver(send, ends)
	a, err := c.head()
	if err != nil {
		return err
	}
	if a.status != o.status {
		return fmt.Errorf("the answer is %d, want %d", a.status, o.status)
	}
	if a.status != 101 {
		return c.refused(a)
	}
	if err := a.switches(keyOf(o.request)); err != nil {
		return err
	}
	if len(a.headers["sec-websocket-protocol"])+len(a.headers["sec-websocket-extensions"]) > 0 {
		return fmt.Errorf("something was chosen that was not to be: %v", a.headers)
	}
	if m, err := c.frame(); err != nil || m != (message{op: text, payload: prefix + "hello"}) {
		return fmt.Errorf("after the answer: %v, %w", m, err)
	}
	return nil
}

// refused reads the rest of a refusal, then the end and no reset.
func (c *client) refused(a answer) error {
	length, err := strconv.Atoi(strings.Join(a.headers["content-length"], ""))
	if err != nil {
		return fmt.Errorf("a refusal without a length: %v", a.headers)
	}
	if _, err := io.CopyN(io.Discard, c.in, int64(length)); err != nil {
		return fmt.Errorf("a refusal that breaks off: %w", err)
	}
	tokens := strings.Split(strings.ToLower(strings.Join(a.headers["connection"], ",")), ",")
	for i := range tokens {
		tokens[i] = strings.TrimSpace(tokens[i])
	}
	switch {
	case !slices.Contains(tokens, "close"):
		return fmt.Errorf("a refusal without Connection: close: %v", a.headers)
	case a.status == 426 && (!slices.Equal(a.headers["sec-websocket-version"], []string{"13"}) || !slices.Contains(tokens, "upgrade")):
		return fmt.Errorf("a 426 that does not say which version: %v", a.headers) // RFC 6455 4.4, RFC 9110 7.8
	case a.status == 405 && !slices.Equal(a.headers["allow"], []string{"GET"}):
		return fmt.Errorf("a 405 that does not say what is allowed: %v", a.headers)
	}
	return c.end()
}

// base is a request that is right, in pieces that a case replaces.
const base = "GET %PATH% HTTP/1.1\r\nHost: server.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"X-Other: other\r\nSec-WebSocket-Key: " + nonce + "\r\nSec-WebSocket-Version: 13\r\n\r\n"

// with is base with one thing replaced.
func with(old, new string) string {
	if !strings.Contains(base, old) {
		panic("conformance: nothing to replace: " + old)
	}
	return strings.Replace(base, old, new, 1)
}

// keyOf is the key of a request.
func keyOf(request string) string {
	_, rest, _ := strings.Cut(strings.ToLower(request), "sec-websocket-key:")
	rest = request[len(request)-len(rest):]
	line, _, _ := strings.Cut(rest, "\r")
	return strings.Trim(line, " \t")
}

// cases makes openings of requests that deserve one status.
func cases(status int, of string, requests ...string) (all []opening) {
	for i, r := range requests {
		all = append(all, opening{fmt.Sprintf("%s %d", of, i), r, status})
	}
	return all
}

// isToken tells the characters of methods and names: RFC 9110 5.6.2.
func isToken(b int) bool {
	return strings.IndexByte("!#$%&'*+-.^_`|~", byte(b)) >= 0 || b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z'
}

func requestLines(*Target) (all []opening) {
	for _, method := range []string{"HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "get", "Get", "GETS", "GE", "X"} {
		all = append(all, opening{"method " + method, with("GET", method), 405})
	}
	for b := range 256 {
		c, status := string([]byte{byte(b)}), 400
		if isToken(b) {
			status = 405
		}
		all = append(all, opening{fmt.Sprintf("a method with the byte %x", b), with("GET", "GET"+c), status})
		if b <= ' ' || b >= 0x7f || b == '#' {
			all = append(all, opening{fmt.Sprintf("a target with the byte %x", b), with("%PATH%", "/"+c), 400})
		}
	}
	for _, protocol := range []string{
		"HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/2", "HTTP/3", "HTTP/1", "HTTP/1.", "HTTP/1.:", "HTTP/1.11", "HTTP/11.1", "HTTP/01.1", "HTTP/1,1",
		"http/1.1", "Http/1.1", "HTTP 1.1", "HTTPS/1.1", "WS/1.1", "HTTP/1.1 ", " HTTP/1.1", "HTTP/1.1\t", "HTTP/1.1 x", "HTTP/-1.1", "HTTP/1.1\x00", "",
	} {
		all = append(all, opening{"protocol " + protocol, with("HTTP/1.1", protocol), 400})
	}
	all = append(all, cases(101, "a later minor version", with("HTTP/1.1", "HTTP/1.2"), with("HTTP/1.1", "HTTP/1.9"))...) // "HTTP/1.1 or higher"
	all = append(all, cases(101, "absolute target", with("%PATH%", "http://other.example%PATH%"), with("%PATH%", "ws://other.example:80%PATH%"),
		with("%PATH%", "http://[::1]:8080%PATH%"))...)
	return append(all, cases(400, "request line",
		with("%PATH%", ""), with("%PATH% ", ""), with(" HTTP/1.1", ""), with("%PATH%", "chat"), with("%PATH%", "*"), with("%PATH%", "/%zz"), with("%PATH%", "/%"),
		with("%PATH%", "%PATH% x"), with("GET ", "GET  "), with("GET ", "GET\t"), with("GET ", " GET "), with("GET ", ""), with("%PATH%", "http://"),
		with("%PATH%", "%PATH%#fragment"), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\r\n"+base, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\x00"+base)...)
}

func headers(*Target) (all []opening) {
	const line = "X-Other: other\r\n"
	for b := range 256 {
		c := string([]byte{byte(b)})
		name, value := 400, 400
		if isToken(b) || c == ":" {
			name = 101
		}
		if b >= ' ' && b != 0x7f || c == "\t" {
			value = 101 // obs-text included: RFC 9110 5.5
		}
		all = append(all,
			opening{fmt.Sprintf("a name with the byte %x", b), with(line, "X"+c+"Y: z\r\n"), name},
			opening{fmt.Sprintf("a value with the byte %x", b), with(line, "X: y"+c+"z\r\n"), value})
	}
	all = append(all, cases(101, "space and case",
		with("Host: ", "Host:"), with("Host: ", "hOST: \t "), with("Upgrade: websocket", "upgrade:\twebsocket \t"), with(line, "X-Other:\r\n"), with(line, "X-Other: \t \r\n"),
		with(line, ""), with(line, line+line), with("Sec-WebSocket-Key", "sec-websocket-KEY"), with("Sec-WebSocket-Version: ", "SEC-WEBSOCKET-VERSION:"),
		with(nonce, nonce+" "))...)
	return append(all, cases(400, "malformed",
		with(line, "X-Other: other\n"), with("HTTP/1.1\r\n", "HTTP/1.1\n"), strings.ReplaceAll(base, "\r\n", "\n"), strings.TrimSuffix(base, "\r\n")+"\n",
		with(line, "X-Other: other\r\r\n"), with(line, "X-Other: a\rX-B: b\r\n"), with(line, "X-Other: other\r\n more\r\n"), with(line, "X-Other: other\r\n\tmore\r\n"),
		with("Host", " Host"), with("Host", "\tHost"), with(line, "X-Other : other\r\n"), with(line, "X-Other\t: other\r\n"), with(line, "X-Other other\r\n"),
		with(line, ": other\r\n"), with(line, " : other\r\n"), with(line, "X-Other\r\n"), with("Host:", "Host :"), with("Upgrade:", "Upgrade :"),
		with(line, "Content-Length: 0\r\n"), with(line, "Content-Length: 5\r\n"), with(line, "Content-Length: x\r\n"), with(line, "content-length: 1\r\nContent-Length: 1\r\n"),
		with(line, "Transfer-Encoding: chunked\r\n"), with(line, "Transfer-Encoding: identity\r\n"), with(line, "Transfer-Encoding: \r\nContent-Length: 0\r\n"))...)
}

func upgrades(*Target) (all []opening) {
	const upgrade, connection = "Upgrade: websocket", "Connection: Upgrade"
	all = append(all, cases(101, "Upgrade and Connection",
		with(upgrade, "Upgrade: WebSocket"), with(upgrade, "Upgrade: WEBSOCKET"), with(upgrade, "UPGRADE: websocket"),
		// "containing the value", RFC 6455 4.2.1; a list, on however many lines: RFC 9110 7.8, 5.3.
		with(upgrade, "Upgrade: websocket, h2c"), with(upgrade, "Upgrade: h2c,websocket"), with(upgrade, "Upgrade: ,, websocket ,"),
		with(upgrade, "Upgrade: h2c\r\nUpgrade: websocket"), with(upgrade, "Upgrade: websocket\r\nUpgrade: foo/2"),
		with(connection, "Connection: upgrade"), with(connection, "Connection: UPGRADE"), with(connection, "Connection: keep-alive, Upgrade"),
		with(connection, "Connection: Upgrade,keep-alive"), with(connection, "Connection:\tkeep-alive\t,\tupgrade\t,"), with(connection, "Connection: ,,Upgrade"),
		with(connection, "Connection: keep-alive\r\nConnection: Upgrade"), with(connection, "Connection: Upgrade\r\nConnection: keep-alive"),
		with(connection, "Connection: Upgrade\r\nconnection: close"), with(connection, "Connection: Upgrade, Upgrade"))...)
	return append(all, cases(400, "Upgrade and Connection",
		with(upgrade+"\r\n", ""), with(upgrade, "Upgrade: "), with(upgrade, "Upgrade: websockets"), with(upgrade, "Upgrade: h2c"), with(upgrade, "Upgrade: web socket"),
		with(upgrade, "Upgrade: websocket/13"), with(upgrade, "Upgrade: \"websocket\""), with(upgrade, "Upgrade: websocket;q=1"),
		with(connection+"\r\n", ""), with(connection, "Connection: "), with(connection, "Connection: keep-alive"), with(connection, "Connection: Upgrades"),
		with(connection, "Connection: keep-alive Upgrade"), with(connection, "Connection: close"), with(connection, "Connection: \"Upgrade\""),
		with(connection, "Connection: close\r\nConnection: keep-alive"))...)
}

func keys(*Target) (all []opening) {
	for i := range 100 {
		raw := []byte(pattern(16 + i)[i:])
		raw[i%16] ^= 0xff
		all = append(all, opening{fmt.Sprintf("key %d", i), with(nonce, base64.StdEncoding.EncodeToString(raw)), 101})
	}
	for n := range 40 {
		if n != 16 {
			all = append(all, opening{fmt.Sprintf("a key of %d bytes", n), with(nonce, base64.StdEncoding.EncodeToString(make([]byte, n))), 400})
		}
	}
	const name = "Sec-WebSocket-Key: "
	return append(all, cases(400, "key",
		with(name+nonce+"\r\n", ""), with(nonce, nonce+"\r\n"+name+nonce), with(nonce, nonce+"\r\n"+name+"AAAAAAAAAAAAAAAAAAAAAA=="), with(nonce, nonce+","+nonce),
		with(nonce, nonce+"="), with(nonce, strings.TrimRight(nonce, "=")), with(nonce, "========================"), with(nonce, "!!!!!!!!!!!!!!!!!!!!!!=="),
		with(nonce, "dGhlIHNhbXBsZSBub25jZ-=="), with(nonce, "dGhlIHNhbXBs ZSBub25jZQ=="), with(nonce, "dGhlIHNhbXBsZSBub25jZQ=a"), with(nonce, "\""+nonce+"\""))...)
}

func versions(*Target) (all []opening) {
	for n := range 256 {
		if n != 13 {
			all = append(all, opening{fmt.Sprintf("version %d", n), with("Version: 13", fmt.Sprintf("Version: %d", n)), 426})
		}
	}
	for _, v := range []string{"013", "13.0", "13, 8", "8, 13", "13,", "+13", "0xd", "thirteen", "-13", "1 3", "\"13\"", "13;"} {
		all = append(all, opening{"version " + v, with("Version: 13", "Version: "+v), 426})
	}
	const version = "Sec-WebSocket-Version: 13\r\n"
	return append(all, cases(400, "version", with(version, ""), with(version, version+version), with(version, version+"Sec-WebSocket-Version: 8\r\n"))...)
}

func subprotocols(*Target) (all []opening) {
	offer := func(lists ...string) string {
		return with("X-Other: other\r\n", "Sec-WebSocket-Protocol: "+strings.Join(lists, "\r\nSec-WebSocket-Protocol: ")+"\r\n")
	}
	all = append(all, cases(101, "offer", // nobody has these: the answer names none
		offer("nobody"), offer("a, b"), offer("a,b,c"), offer("a", "b"), offer("a,\tb"), offer("x!#$%&'*+-.^_`|~9"), offer(strings.Repeat("a,", 100)+"a"),
		offer(",a"), offer("a,,b"), offer("a,"), offer("a , , b"), // empty elements are to be ignored: RFC 9110 5.6.1.2
		offer("a", ""))...)
	return append(all, cases(400, "offer", offer(""), offer(","), offer("a b"), offer("a;b"), offer("a/b"), offer("\"a\""), offer("a, b c"), offer("a", "b c"), offer("ä"),
		offer("a=b"), offer("(a)"), offer("", ""))...)
}

func hosts(*Target) (all []opening) {
	const host = "Host: server.example"
	all = append(all, cases(101, "Host", with(host, "Host: a"), with(host, "Host: a:80"), with(host, "Host: a:"), with(host, "Host: 127.0.0.1:8080"), with(host, "Host: [::1]"),
		with(host, "Host: [::1]:8080"), with(host, "Host: [fe80::1%25eth0]:1"), with(host, "Host: xn--bcher-kva.example"), with(host, "Host: a_b.example"), with(host, "Host: "),
		with(host, "Host: %41.example"))...)
	return append(all, cases(400, "Host", with(host+"\r\n", ""), with(host, host+"\r\n"+host), with(host, host+"\r\nHost: other"), with(host, "Host: a b"), with(host, "Host: a, b"),
		with(host, "Host: a/b"), with(host, "Host: http://a"), with(host, "Host: a@b"), with(host, "Host: a:80:80"), with(host, "Host: a:x"), with(host, "Host: a:-1"),
		with(host, "Host: [::1"), with(host, "Host: ::1"), with(host, "Host: [::1]x"), with(host, "Host: [a/b]"), with(host, "Host: a?b"), with(host, "Host: a#b"), with(host, "Host: a\\b"),
		with(host, "Host: \"a\""), with(host, "Host: ä"), with(host, "Host: <a>"), with(host, "Host: a%zz"))...)
}

// heads is requests of the largest size and the most lines, and more.
func heads(target *Target) (all []opening) {
	const path = 40 // what %PATH% may stand for, at most
	line := "X-Other: other\r\n"
	long := func(size int) string { return with("other\r\n", strings.Repeat("o", size-len(base))+"\r\n") }
	many := func(n int) string { return with(line, strings.Repeat("X: y\r\n", n-5)) }
	all = append(all, cases(101, "size", long(target.MaxHead-path), long(1000), many(target.MaxHeaders), many(6))...)
	return append(all, cases(431, "size", long(target.MaxHead+path), long(2*target.MaxHead), many(target.MaxHeaders+1),
		with("%PATH%", "/"+strings.Repeat("a", target.MaxHead)), "GET /"+strings.Repeat("a", target.MaxHead), with("X-Other", strings.Repeat("X", target.MaxHead)))...)
}
