package loop_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"throng/bench/loop"
	"throng/bench/wire"
)

// caller dials one connection that is refused. Once the loop has read the first
// part of the answer it asks for the second.
type caller struct {
	loop   *loop.Loop
	dialed bool
	first  chan struct{} // closed when the first part has been written
	second chan struct{} // closed when the second may be
	turns  int           // since the first was
	err    error
}

func (c *caller) Turn(int64) (time.Duration, bool) {
	if !c.dialed {
		c.dialed = true
		c.err = c.loop.Dial(0)
	}
	select {
	case <-c.first:
		// Over loopback what was written has arrived: the wait after this turn
		// finds it, and in the next turn it has been read.
		if c.turns++; c.turns == 2 {
			close(c.second)
		}
	default:
	}
	return time.Millisecond, c.err != nil
}

func (c *caller) Opened(int, time.Duration) { c.err = errors.New("it is open") }
func (c *caller) Received(int, []byte)      {}
func (c *caller) Failed(_ int, err error)   { c.err = err }
func (c *caller) Closed(_ int, err error)   { c.err = err }

// answer gives one client the two parts of an answer, and hangs up if it should.
func (c *caller) answer(listener net.Listener, first, second string, hangUp bool) {
	connection, err := listener.Accept()
	if err != nil {
		return
	}
	defer connection.Close()
	http.ReadRequest(bufio.NewReader(connection))
	io.WriteString(connection, first)
	close(c.first)
	<-c.second
	io.WriteString(connection, second)
	if !hangUp {
		io.Copy(io.Discard, connection) // until the other side does
	}
}

func TestARefusalsBodyIsGathered(t *testing.T) {
	for _, test := range []struct {
		name, first, second string
		hangUp              bool
		want                string
	}{
		{"in a second segment", "HTTP/1.1 403 Forbidden\r\nContent-Length: 18\r\n\r\n", "origin not allowed", false, "403 Forbidden: origin not allowed"},
		{"without a length", "HTTP/1.0 503 Busy\r\n\r\ncome", " back later", true, "503 Busy: come back later"},
		{"cut off", "HTTP/1.1 403 Forbidden\r\nContent-Length: 18\r\n\r\norigin", " not", true, "403 Forbidden: origin not"},
		{"never", "HTTP/1.1 403 Forbidden\r\nContent-Length: 18\r\n\r\norigin", "", false, "403 Forbidden: origin"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			c := &caller{first: make(chan struct{}), second: make(chan struct{})}
			c.loop, err = loop.New(loop.Config{Server: netip.MustParseAddrPort(listener.Addr().String()), Host: "x", Capacity: 1,
				Path: func(int) string { return "/" }, Source: func(int) netip.Addr { return netip.Addr{} },
				ReceiveBuffer: func(int) int { return 0 }, Random: func() uint64 { return 1 }, HandshakeTimeout: time.Hour}, c)
			if err != nil {
				t.Fatal(err)
			}
			go c.answer(listener, test.first, test.second, test.hangUp)
			if err := c.loop.Run(); err != nil {
				t.Fatal(err)
			}
			var refused *wire.Refused
			if !errors.As(c.err, &refused) || c.err.Error() != "upgrade refused: "+test.want {
				t.Errorf("%v, want %q", c.err, test.want)
			}
		})
	}
}
