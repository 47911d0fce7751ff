package wire

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
	"strconv"
	"strings"
)

// MaxHeadBytes is how long the head of an answer may be.
const MaxHeadBytes = 16 << 10

// What can be wrong with the answer to an upgrade request.
var (
	ErrNotHTTP     = errors.New("the answer is not HTTP")
	ErrVersion     = errors.New("the answer agrees to the upgrade in another version than HTTP/1.1")
	ErrHeadTooLong = fmt.Errorf("the head of the answer is longer than %d bytes", MaxHeadBytes)
	ErrUpgrade     = errors.New("the answer lacks Upgrade: websocket or Connection: Upgrade")
	ErrAccept      = errors.New("the answer's Sec-WebSocket-Accept does not fit the key")
	ErrExtension   = errors.New("the answer agrees to an extension that was not offered")
	ErrUnpacked    = errors.New("the answer does not agree to permessage-deflate, which --compression offers")
	ErrTakeover    = errors.New("the answer agrees to permessage-deflate in another way than offered: without server_no_context_takeover")
	ErrSubprotocol = errors.New("the answer names a subprotocol that was not asked for")
)

// Refused is an answer other than 101: a server that does not want, or no
// WebSocket server at all.
type Refused struct {
	Status string // "403 Forbidden"
	Body   string // the beginning of it, on one line
	More   bool   // more of it may come that is worth waiting for
}

func (r *Refused) Error() string {
	if r.Body == "" {
		return "upgrade refused: " + r.Status
	}
	return fmt.Sprintf("upgrade refused: %s: %s", r.Status, r.Body)
}

// Key makes a Sec-WebSocket-Key of 16 bytes out of two random numbers.
func Key(hi, lo uint64) string {
	var raw [16]byte
	binary.LittleEndian.PutUint64(raw[:8], hi)
	binary.LittleEndian.PutUint64(raw[8:], lo)
	return base64.StdEncoding.EncodeToString(raw[:])
}

// offer is permessage-deflate (RFC 7692, 7) with each message for itself, so that
// all members of a room can be sent the same bytes.
const offer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

// Terms are what a client asks for.
type Terms struct {
	Subprotocol string // none if empty
	Deflate     bool   // permessage-deflate, without which there is to be no connection
}

// AppendRequest writes an upgrade request (RFC 6455, 4.1).
func AppendRequest(dst []byte, host, path, key string, terms Terms) []byte {
	dst = fmt.Appendf(dst, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n", path, host, key)
	if terms.Subprotocol != "" {
		dst = fmt.Appendf(dst, "Sec-WebSocket-Protocol: %s\r\n", terms.Subprotocol)
	}
	if terms.Deflate {
		dst = fmt.Appendf(dst, "Sec-WebSocket-Extensions: %s\r\n", offer)
	}
	return append(dst, "\r\n"...)
}

// Accept is the proof that a server owes for a key (RFC 6455, 4.2.2).
func Accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// ParseResponse judges the answer to a request that was made with key and
// terms. size is the length of its head, after which the first frames
// may follow; 0 without an error means that more bytes are needed.
func ParseResponse(b []byte, key string, terms Terms) (size int, err error) {
	if n := min(len(b), 5); string(b[:n]) != "HTTP/"[:n] {
		return 0, ErrNotHTTP
	}
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		if len(b) > MaxHeadBytes {
			return 0, ErrHeadTooLong
		}
		return 0, nil
	}
	lines := strings.Split(string(b[:end]), "\r\n")
	version, status, ok := strings.Cut(lines[0], " ")
	if !ok {
		return 0, ErrNotHTTP
	}
	if code, _, _ := strings.Cut(status, " "); code != "101" {
		return 0, refusal(status, lines[1:], b[end+4:])
	}
	if version != "HTTP/1.1" {
		return 0, ErrVersion
	}
	if err := checkHeaders(lines[1:], key, terms); err != nil {
		return 0, err
	}
	return end + 4, nil
}

// checkHeaders demands what RFC 6455, 4.1 makes a client demand of a 101.
func checkHeaders(lines []string, key string, terms Terms) error {
	var upgrade, connection, accept, deflate bool
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "upgrade":
			upgrade = strings.EqualFold(value, "websocket")
		case "connection":
			connection = strings.Contains(strings.ToLower(value), "upgrade")
		case "sec-websocket-accept":
			accept = value == Accept(key)
		case "sec-websocket-extensions":
			if deflate || !terms.Deflate {
				return ErrExtension
			}
			if err := checkDeflate(value); err != nil {
				return err
			}
			deflate = true
		case "sec-websocket-protocol":
			if value != terms.Subprotocol {
				return ErrSubprotocol
			}
		}
	}
	switch {
	case !upgrade || !connection:
		return ErrUpgrade
	case !accept:
		return ErrAccept
	case terms.Deflate && !deflate:
		return ErrUnpacked
	}
	return nil
}

// checkDeflate judges the parameters that a server has agreed to (RFC 7692, 7.1).
// Its own window may be of any size: this client can look back the furthest.
func checkDeflate(value string) error {
	name, parameters, _ := strings.Cut(value, ";")
	if strings.TrimSpace(name) != "permessage-deflate" {
		return ErrExtension
	}
	alone := false
	for p := range strings.SplitSeq(parameters, ";") {
		switch name, _, _ := strings.Cut(strings.TrimSpace(p), "="); name {
		case "server_no_context_takeover":
			alone = true
		case "", "client_no_context_takeover", "server_max_window_bits":
		default:
			return ErrExtension
		}
	}
	if !alone {
		return ErrTakeover
	}
	return nil
}

// bodyBytes is how much of a refusal's body is shown.
const bodyBytes = 200

// refusal reads as much of a refusal as there is. Its body ends where the
// headers say, or with the connection (RFC 9112, 6.3).
func refusal(status string, headers []string, body []byte) *Refused {
	length := -1
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "content-length":
			if n, err := strconv.Atoi(value); err == nil && n >= 0 {
				length = n
			}
		case "transfer-encoding":
			if strings.EqualFold(value, "chunked") {
				return chunked(status, body)
			}
		}
	}
	if length >= 0 {
		body = body[:min(len(body), length)]
	}
	return &Refused{Status: status, Body: excerpt(body), More: len(body) < bodyBytes && len(body) != length}
}

// chunked reads a body in chunks, of which the last may be cut anywhere.
func chunked(status string, body []byte) *Refused {
	text := make([]byte, bodyBytes)
	n, err := io.ReadFull(httputil.NewChunkedReader(bytes.NewReader(body)), text)
	return &Refused{Status: status, Body: excerpt(text[:n]), More: err != nil && !bytes.HasSuffix(body, []byte("0\r\n\r\n"))}
}

// excerpt makes a body fit for one line of an error message.
func excerpt(body []byte) string {
	text := strings.Join(strings.Fields(string(body[:min(len(body), bodyBytes)])), " ")
	return strings.ToValidUTF8(text, "?")
}
