package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/gorilla/websocket"
)

// patience limits every wait of the tests.
const patience = 60 * time.Second

// manyHeard is how many messages of hearAll a test may wait for.
const manyHeard = 1000

// raceDetector says that the tests were built with -race.
var raceDetector bool

// A tester is one connection to a peer, made with a library that is not the peer's own in at least half of the tests.
type tester struct {
	t    *testing.T
	conn net.Conn

	heard  chan struct{} // For each message that hearAll has seen.
	frames io.Reader     // The bytes behind the handshake, for tests that look at frames; gobwas only.

	write func(op ws.OpCode, payload []byte) error
	read  func() (ws.OpCode, []byte, error)
}

type dialer func(t *testing.T, address, path string) *tester

// dialers are two, so that each server is met by a library that it is not built on.
var dialers = map[string]dialer{"gorilla": dialGorilla, "gobwas": dialGobwas}

func dialTCP(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func dialGorilla(t *testing.T, address, path string) *tester {
	t.Helper()
	conn := dialTCP(t, address)
	d := websocket.Dialer{NetDial: func(string, string) (net.Conn, error) { return conn, nil }, EnableCompression: true}
	c, resp, err := d.Dial("ws://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if ext := resp.Header.Get("Sec-WebSocket-Extensions"); ext != "" {
		t.Errorf("the server agreed to %q", ext)
	}
	// The dialer took the deadline away.
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &tester{
		t: t, conn: conn, heard: make(chan struct{}, manyHeard),
		write: func(op ws.OpCode, p []byte) error { return c.WriteMessage(int(op), p) },
		read: func() (ws.OpCode, []byte, error) {
			kind, p, err := c.ReadMessage()
			return ws.OpCode(kind), p, err
		},
	}
}

func dialGobwas(t *testing.T, address, path string) *tester {
	t.Helper()
	conn := dialTCP(t, address)
	_, br, _, err := (ws.Dialer{
		NetDial: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}).Dial(t.Context(), "ws://"+address+path)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if br == nil { // Otherwise it holds what came close behind the handshake.
		br = bufio.NewReader(conn)
	}
	rw := struct {
		io.Reader
		io.Writer
	}{br, conn}
	return &tester{
		t: t, conn: conn, heard: make(chan struct{}, manyHeard), frames: br,
		write: func(op ws.OpCode, p []byte) error {
			return ws.WriteFrame(conn, ws.MaskFrame(ws.NewFrame(op, true, p)))
		},
		read: func() (ws.OpCode, []byte, error) {
			p, op, err := wsutil.ReadServerData(rw)
			return op, p, err
		},
	}
}

func (m *tester) say(text string) {
	m.t.Helper()
	if err := m.write(ws.OpText, []byte(text)); err != nil {
		m.t.Fatalf("say: %v", err)
	}
}

// sayAll says text(0), text(1), ... without waiting. Unlike say it may be called from a goroutine of its own.
func (m *tester) sayAll(count int, text func(int) string) {
	for i := range count {
		if err := m.write(ws.OpText, []byte(text(i))); err != nil {
			m.t.Errorf("say number %d: %v", i, err)
			return
		}
	}
}

// hearAll expects text(0), text(1), ... from nick. It may be called from a goroutine of its own.
func (m *tester) hearAll(count int, nick string, text func(int) string) {
	for i := range count {
		_, line, err := m.read()
		if err != nil {
			m.t.Errorf("hear number %d: %v", i, err)
			return
		}
		if want := nick + ": " + text(i); string(line) != want {
			m.t.Errorf("heard %.40q as number %d, want %.40q", line, i, want)
			return
		}
		select {
		case m.heard <- struct{}{}:
		default: // nobody counts so many
		}
	}
}

// waitForStall waits until the member, which is in hearAll, has heard that many messages or hears nothing any more. That
// nothing more comes only time can tell; a stall that is overlooked makes the test ask less, not fail.
func (m *tester) waitForStall(messages int) {
	for range messages {
		select {
		case <-m.heard:
		case <-time.After(300 * time.Millisecond):
			return
		}
	}
}

func (m *tester) hear() string {
	m.t.Helper()
	op, text, err := m.read()
	if err != nil {
		m.t.Fatalf("hear: %v", err)
	}
	if op != ws.OpText {
		m.t.Fatalf("heard a frame of opcode %d, want text", op)
	}
	return string(text)
}

func (m *tester) wantHear(want string) {
	m.t.Helper()
	if got := m.hear(); got != want {
		m.t.Fatalf("heard %.60q, want %.60q", got, want)
	}
}

// arrive makes sure that the member is in its room, by hearing itself, and returns its nickname.
func (m *tester) arrive() (nick string) {
	m.t.Helper()
	m.say("here")
	nick, ok := strings.CutSuffix(m.hear(), ": here")
	if !ok || !strings.HasPrefix(nick, "user-") {
		m.t.Fatalf("nickname is %q", nick)
	}
	return nick
}

// wantGoodbye closes as the protocol asks, and expects the server to answer and to close.
func (m *tester) wantGoodbye() {
	m.t.Helper()
	if err := m.write(ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, "")); err != nil {
		m.t.Fatalf("close: %v", err)
	}
	_, _, err := m.read()
	code := ws.StatusCode(0)
	switch e := err.(type) {
	case *websocket.CloseError:
		code = ws.StatusCode(e.Code)
	case wsutil.ClosedError:
		code = e.Code
	}
	if code != ws.StatusNormalClosure {
		m.t.Fatalf("the answer to close is %v", err)
	}
	if _, err := m.conn.Read(make([]byte, 1)); err == nil {
		m.t.Fatal("the server still sends after the close")
	}
}

// startPeer serves the peer on a free port for the length of the test.
func startPeer(t *testing.T, p *peer, opts options) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.serve(ctx, ln, opts)
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("serve did not return")
		}
	})
	return ln.Addr().String()
}

// eachPeer runs the test against every peer.
func eachPeer(t *testing.T, opts options, test func(t *testing.T, address string)) {
	for i := range peers {
		t.Run(peers[i].name, func(t *testing.T) {
			if raceDetector && peers[i].name == "nbio" {
				t.Skip("the library hands sockets from its acceptor to its poller in a way that the detector reports")
			}
			test(t, startPeer(t, &peers[i], opts))
		})
	}
}

func pattern(size int) []byte { return bytes.Repeat([]byte("0123456789abcdef"), size/16) }

// longText makes a message of 32 KiB that names its number first.
func longText(i int) string { return fmt.Sprintf("%d %s", i, pattern(32<<10)) }
