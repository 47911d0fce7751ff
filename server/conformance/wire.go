package conformance

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	binaryenc "encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The first byte of a frame: RFC 6455 5.2.
const (
	fin     = 0x80
	rsv1    = 0x40 // compressed: RFC 7692 6
	cont    = 0x0
	text    = 0x1
	binary  = 0x2
	closing = 0x8
	ping    = 0x9
	pong    = 0xa
)

// key is the mask of frames for which it does not matter.
var key = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// masked is a client's frame, its length minimally encoded.
func masked(first byte, payload string) []byte { return maskedWith(key, first, payload) }

func maskedWith(key [4]byte, first byte, payload string) []byte {
	b := header(first, true, minimal(uint64(len(payload))), uint64(len(payload)), key)
	for i := range len(payload) {
		b = append(b, payload[i]^key[i%4])
	}
	return b
}

// header is a frame's header. bits is the form of the length: 7, 16 or 64.
func header(first byte, mask bool, bits int, length uint64, key [4]byte) []byte {
	b := []byte{first, 0}
	switch bits {
	case 7:
		b[1] = byte(length)
	case 16:
		b[1] = 126
		b = binaryenc.BigEndian.AppendUint16(b, uint16(length))
	default:
		b[1] = 127
		b = binaryenc.BigEndian.AppendUint64(b, length)
	}
	if mask {
		b[1] |= 0x80
		b = append(b, key[:]...)
	}
	return b
}

// minimal is the only form that a length may have.
func minimal(length uint64) (bits int) {
	switch {
	case length < 126:
		return 7
	case length < 1<<16:
		return 16
	}
	return 64
}

// code is a close frame's payload.
func code(n int, reason string) string {
	return string(binaryenc.BigEndian.AppendUint16(nil, uint16(n))) + reason
}

// nonce is the key of RFC 6455 1.3.
const nonce = "dGhlIHNhbXBsZSBub25jZQ=="

// accept is the proof that a server has read the key: RFC 6455 4.2.2.
func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// request is the opening handshake of a client that wishes for no more than extensions.
func request(path, offer string) string {
	if offer != "" {
		offer = "Sec-WebSocket-Extensions: " + offer + "\r\n"
	}
	return "GET " + path + " HTTP/1.1\r\nHost: server.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: " + nonce + "\r\nSec-WebSocket-Version: 13\r\n" + offer + "\r\n"
}

// patience is how long something may take that must come. It is never used up,
// except by a fault.
const patience = 30 * time.Second

// client is a connection's other end.
type client struct {
	net.Conn
	in    *bufio.Reader
	reads *count
	limit *time.Timer // ends the waiting for reads

	deflates bool // the server may send compressed messages
}

// dial connects. atOnce: all is sent in one piece, so nobody has to know what the
// server has read; a Unix socket will do, which costs half.
func (target *Target) dial(atOnce bool) (*client, error) {
	network, address := "tcp", target.Addr
	if atOnce && target.Unix != "" {
		network, address = "unix", target.Unix
	}
	conn, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		// A reset at the end, when the server has ended its side: tens of thousands of
		// connections would use up the ports, each waiting for a minute.
		_ = tcp.SetLinger(0)
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	reads := target.Kernel.watch(conn)
	return &client{Conn: conn, in: bufio.NewReaderSize(conn, 2<<10), reads: reads, limit: time.AfterFunc(patience, reads.stop)}, nil
}

// Close ends the connection at once.
func (c *client) Close() error {
	c.limit.Stop()
	c.reads.stop()
	return c.Conn.Close()
}

// deliver writes b in pieces that end at ends, each when the server has read the
// last one. What is large is written while the answers are read. A write that
// fails is no fault of its own: the server may have ended the connection.
func (c *client) deliver(b []byte, ends []int) {
	done := 0
	for _, end := range ends[:max(0, len(ends)-1)] {
		if _, err := c.Write(b[done:end]); err != nil || !c.reads.wait(end) {
			return
		}
		done = end
	}
	if len(b)-done < 16<<10 {
		_, _ = c.Write(b[done:])
		return
	}
	go func() { _, _ = c.Write(b[done:]) }()
}

// answer is the head of an HTTP response.
type answer struct {
	status  int
	headers map[string][]string // by lower-case name
}

// head reads the head of the response. Nothing in it may be malformed.
func (c *client) head() (a answer, err error) {
	line, err := c.line()
	if err != nil {
		return a, err
	}
	number, phrase, _ := strings.Cut(strings.TrimPrefix(line, "HTTP/1.1 "), " ")
	if a.status, err = strconv.Atoi(number); err != nil || phrase == "" || !strings.HasPrefix(line, "HTTP/1.1 ") {
		return a, fmt.Errorf("the status line is %q", line)
	}
	a.headers = make(map[string][]string)
	for {
		if line, err = c.line(); err != nil || line == "" {
			return a, err
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return a, fmt.Errorf("a line of the answer is %q", line)
		}
		name = strings.ToLower(name)
		a.headers[name] = append(a.headers[name], strings.TrimSpace(value))
	}
}

// line reads a line of the response.
func (c *client) line() (string, error) {
	line, err := c.in.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("the answer breaks off after %q: %w", line, err)
	}
	if line, ok := strings.CutSuffix(line, "\r\n"); ok {
		return line, nil
	}
	return "", fmt.Errorf("a line of the answer without CR LF: %q", line)
}

// accepted reads the answer to request, which is to be 101 and agree to the
// extension that x says.
func (c *client) accepted(x exchange) error {
	a, err := c.head()
	if err != nil {
		return err
	}
	c.deflates = x.window > 0
	if err := a.agrees(x); err != nil {
		return err
	}
	return a.switches(nonce)
}

// switches checks a 101: RFC 6455 4.2.2.
func (a answer) switches(key string) error {
	one := func(name, want string) bool {
		v := a.headers[name]
		return len(v) == 1 && strings.EqualFold(v[0], want)
	}
	if a.status != 101 || !one("upgrade", "websocket") || !one("connection", "upgrade") ||
		len(a.headers["sec-websocket-accept"]) != 1 || a.headers["sec-websocket-accept"][0] != accept(key) {
		return fmt.Errorf("the answer is %d, %v", a.status, a.headers)
	}
	return nil
}

// frame reads a server's frame. It is whole, not masked, its length minimally encoded,
// without reserved bits unless RSV1 says that it is compressed. It is inflated.
func (c *client) frame() (m message, err error) {
	var h [2]byte
	if _, err = io.ReadFull(c.in, h[:]); err != nil {
		return m, err
	}
	m.op = h[0] &^ fin
	if c.deflates && (m.op == rsv1|text || m.op == rsv1|binary) {
		m.op, m.packed = m.op&^rsv1, true
	}
	length := uint64(h[1])
	if bits := map[byte]int{126: 2, 127: 8}[h[1]]; bits > 0 {
		var b [8]byte
		if _, err = io.ReadFull(c.in, b[8-bits:]); err != nil {
			return m, err
		}
		length = binaryenc.BigEndian.Uint64(b[:])
		if 8*bits != minimal(length) {
			return m, fmt.Errorf("a length of %d in %d bits", length, 8*bits)
		}
	}
	if h[0]&fin == 0 || h[1] > 127 || length > 1<<30 || m.op >= closing && length > 125 ||
		m.op != text && m.op != binary && m.op != closing && m.op != pong {
		return m, fmt.Errorf("a frame that begins with %x", h)
	}
	var b bytes.Buffer
	if _, err = io.CopyN(&b, c.in, int64(length)); err != nil {
		return m, err
	}
	if m.payload = b.String(); m.packed {
		if m.payload, err = inflate(b.String()); err != nil || len(m.payload) <= b.Len() {
			return m, fmt.Errorf("%d compressed bytes are %d: %w", b.Len(), len(m.payload), err)
		}
	}
	if m.op == text && !utf8.ValidString(m.payload) {
		return m, errors.New("a text that is not UTF-8")
	}
	return m, nil
}

// untilClose reads up to the close frame, which must be a legal one.
func (c *client) untilClose() (got []message, code int, err error) {
	for {
		m, err := c.frame()
		switch {
		case err != nil:
			return got, 0, err
		case m.op != closing:
			got = append(got, m)
			continue
		case m.payload == "":
			return got, noCode, nil
		case len(m.payload) < 2 || !utf8.ValidString(m.payload[2:]):
			return got, 0, fmt.Errorf("a close frame with %q", m.payload)
		}
		return got, int(binaryenc.BigEndian.Uint16([]byte(m.payload))), nil
	}
}

// end reads the end of the connection: nothing more, and no reset. The server
// ends it first: RFC 6455 7.1.1.
func (c *client) end() error {
	if b, err := c.in.ReadByte(); err != io.EOF {
		return fmt.Errorf("instead of the end: %x, %v", b, err)
	}
	return nil
}

// readOn sends a byte more, behind the size bytes before and the end: the server
// reads it. Loopback hides a reset that follows the end at once; this does not.
func (c *client) readOn(size int) error {
	if _, err := c.Write([]byte{0}); err != nil || !c.reads.wait(size+1) {
		return fmt.Errorf("input behind the end is not read: %v", err)
	}
	return nil
}
