package client

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// Protocol is the WebSocket subprotocol.
const Protocol = "throng.v1"

// A Conn is a WebSocket connection that carries text messages. One goroutine reads,
// another writes, a third may close. Canceling the context of a Read or a Write ends the connection.
type Conn interface {
	Read(ctx context.Context) ([]byte, error)
	Write(ctx context.Context, text []byte) error
	// Close says goodbye, as long as that takes no longer than a moment.
	Close()
	// Cut ends the connection at once.
	Cut()
}

// DialWebSocket opens a WebSocket for Protocol. The error is a *RefusedError when the server answers with an HTTP status,
// ErrProtocol when it does not agree to the protocol.
func DialWebSocket(ctx context.Context, url string) (Conn, error) {
	c, answer, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		Subprotocols:    []string{Protocol},
		CompressionMode: websocket.CompressionNoContextTakeover,
	})
	if err != nil {
		if answer != nil && answer.StatusCode != http.StatusSwitchingProtocols {
			return nil, refused(answer)
		}
		// What the network says is enough; around it the library tells how it came there.
		if network := (*net.OpError)(nil); errors.As(err, &network) {
			return nil, network
		}
		return nil, err
	}
	if c.Subprotocol() != Protocol {
		c.CloseNow()
		return nil, ErrProtocol
	}
	c.SetReadLimit(readLimit)
	return socket{c}, nil
}

// refused reads an HTTP answer, of which the first line of a text is said.
func refused(answer *http.Response) error {
	e := &RefusedError{Status: answer.StatusCode}
	if answer.Body != nil && strings.HasPrefix(answer.Header.Get("Content-Type"), "text/plain") {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 200))
		e.Text, _, _ = strings.Cut(strings.ToValidUTF8(string(text), "?"), "\n")
	}
	if s, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && s > 0 {
		e.After = min(time.Duration(s)*time.Second, time.Hour)
	}
	return e
}

type socket struct{ *websocket.Conn }

func (s socket) Read(ctx context.Context) ([]byte, error) {
	kind, b, err := s.Conn.Read(ctx)
	if err == nil && kind != websocket.MessageText {
		return nil, ErrProtocol
	}
	return b, err
}

func (s socket) Write(ctx context.Context, text []byte) error {
	return s.Conn.Write(ctx, websocket.MessageText, text)
}

func (s socket) Close() {
	timer := time.AfterFunc(time.Second, func() { s.Conn.CloseNow() })
	defer timer.Stop()
	_ = s.Conn.Close(websocket.StatusNormalClosure, "")
}

func (s socket) Cut() { _ = s.Conn.CloseNow() }

// tooBig says whether the server closed the connection because of a message's size.
func tooBig(err error) bool { return websocket.CloseStatus(err) == websocket.StatusMessageTooBig }
