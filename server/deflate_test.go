package server_test

import (
	"bytes"
	"compress/flate"
	"io"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"throng/frame"
	"throng/poller"
	"throng/server"
)

// deflated compresses with the standard library, without the last four bytes.
func deflated(text string) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 6)
	_, _ = w.Write([]byte(text))
	_ = w.Flush()
	return bytes.TrimSuffix(b.Bytes(), []byte("\x00\x00\xff\xff"))
}

// racing says that the race detector runs: it has pools lose things.
var racing bool

// packed is a client's compressed frame.
func packed(text string) []byte {
	f := ws.NewTextFrame(deflated(text))
	f.Header.Rsv = ws.Rsv(true, false, false)
	return ws.MustCompileFrame(ws.MaskFrame(f))
}

// connectDeflating opens a WebSocket with permessage-deflate.
func (x *fixture) connectDeflating() *client {
	x.Helper()
	return x.connect("Sec-WebSocket-Extensions: permessage-deflate")
}

// expectPacked reads a compressed text, which is to be this one, and returns the size
// of its payload on the wire.
func (c *client) expectPacked(text string) int64 {
	c.Helper()
	h, err := ws.ReadHeader(c.in)
	must(c, err)
	if !h.Rsv1() || h.Rsv2() || h.Rsv3() || h.OpCode != ws.OpText || !h.Fin {
		c.Fatalf("header %+v", h)
	}
	b := make([]byte, h.Length)
	_, err = io.ReadFull(c.in, b)
	must(c, err)
	end := strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff")
	got, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(b), end)))
	must(c, err)
	if string(got) != text {
		c.Fatalf("inflated to %d bytes, want %d", len(got), len(text))
	}
	return h.Length
}

// An echo sends back compressed what is long enough and gets smaller, whether it
// came compressed or not; and nothing to those who have not agreed. The counters
// have all of it.
func TestDeflatingEcho(t *testing.T) {
	x := start(t, setup{})
	text := strings.Repeat("All human beings are born free. ", 40)
	c, other := x.connectDeflating(), x.connect()
	c.write(packed(text))
	size := c.expectPacked(text)
	c.send(ws.OpText, text)
	c.expectPacked(text)
	c.write(packed("short"))
	c.expect(ws.OpText, "short")
	var noise strings.Builder // runes in an order without repetition
	for i := range 100 {
		noise.WriteRune(rune(0x4e00 + i*i*37%20000))
	}
	c.write(packed(noise.String()))
	c.expect(ws.OpText, noise.String())
	c.send(ws.OpPing, strings.Repeat("p", 125))
	c.expect(ws.OpPong, strings.Repeat("p", 125))
	other.say(text)
	x.barrier()
	s := x.srv.Stats()
	if want := (frame.DeflateCounts{Messages: 2, In: 2 * uint64(len(text)), Out: 2 * uint64(size), Futile: 1}); s.Deflated != want {
		t.Errorf("deflated %+v, want %+v", s.Deflated, want)
	}
	in, out := 0, 0
	for _, m := range []string{text, "short", noise.String()} {
		in, out = in+len(deflated(m)), out+len(m)
	}
	if s.Inflated != 3 || s.InflatedIn != uint64(in) || s.InflatedOut != uint64(out) {
		t.Errorf("inflated %d messages of %d and %d bytes, want 3, %d, %d", s.Inflated, s.InflatedIn, s.InflatedOut, in, out)
	}
	other.write(packed(text))
	other.expectClose(1002, "reserved bit set")
}

// Whoever asks for a small window gets messages compressed that fit in it, since these
// cannot refer to more, and larger ones as they are; and may send compressed.
func TestSmallWindow(t *testing.T) {
	x := start(t, setup{})
	c := x.connect("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9")
	fits, larger := strings.Repeat("x", 512), strings.Repeat("x", 513)
	c.write(append(packed(fits), packed(larger)...))
	c.expectPacked(fits)
	c.expect(ws.OpText, larger)
	if c.at.Deflates() {
		t.Error("it takes compressed frames of any size")
	}
}

// Between messages a connection that compresses is as small as any other, even in the
// middle of one that is only begun and dropped.
func TestDeflatingIdle(t *testing.T) {
	x := start(t, setup{})
	text := strings.Repeat("0123456789", 100)
	c := x.connectDeflating()
	whole := packed(text)
	for cut := 1; cut < len(whole); cut += 3 {
		x.feed(c, whole[:cut])
		c.write(whole[cut:])
		c.expectPacked(text)
		on(t, c.at, func(at *server.Conn) {
			if !at.Idle() {
				t.Errorf("cut at %d: something is held", cut)
			}
		})
	}
}

// What is wrong with a compressed message is told by a close code.
func TestDeflatingViolations(t *testing.T) {
	x := start(t, setup{config: server.Config{MaxMessageBytes: 1 << 10}})
	junk := ws.NewTextFrame([]byte("\x06"))
	junk.Header.Rsv = ws.Rsv(true, false, false)
	for _, test := range []struct {
		name   string
		bytes  []byte
		code   ws.StatusCode
		reason string
	}{
		{"bomb", packed(strings.Repeat("\x00", 1<<20)), 1009, "message is too big"},
		{"one byte too many", packed(strings.Repeat("x", 1<<10+1)), 1009, "message is too big"},
		{"not UTF-8", packed("\xff"), 1007, "invalid UTF-8"},
		{"not DEFLATE", ws.MustCompileFrame(ws.MaskFrame(junk)), 1007, "invalid compressed data"},
	} {
		c := x.connectDeflating()
		c.write(packed(strings.Repeat("x", 1<<10)))
		c.expectPacked(strings.Repeat("x", 1<<10))
		c.write(test.bytes)
		t.Log(test.name)
		c.expectClose(test.code, test.reason)
	}
}

// Whoever sends many small messages that become large ones is served like the others: a
// callback inflates a bounded number of bytes, then the next connection has its turn.
func TestInflatingIsBudgeted(t *testing.T) {
	const size, many = 32 << 10, 60
	var order []string
	x := start(t, setup{app: &app{message: func(c *server.Conn, m server.Message) bool {
		if len(m.Payload) == size {
			order = append(order, "large")
		} else {
			order = append(order, string(m.Payload))
		}
		return true
	}}})
	greedy, honest := x.connectDeflating(), x.connectDeflating()
	release := x.hold(func() {})
	b := bytes.Repeat(packed(strings.Repeat("x", size)), many)
	greedy.write(b)
	honest.send(ws.OpText, "honest")
	x.arrived(greedy, len(b))
	x.arrived(honest, 6+len("honest"))
	release()
	x.until("all to be heard", func() (done bool) {
		x.run(0, func() { done = len(order) == many+1 })
		return done
	})
	x.run(0, func() {
		for i, what := range order {
			if what == "honest" && i > 4 {
				t.Errorf("served after %d large ones", i)
			}
		}
	})
}

// A message that was not taken is offered again as it was, though what it was
// inflated in has gone to others meanwhile.
func TestHeldInflated(t *testing.T) {
	taken := make(chan string, 10)
	refuse := true
	x := start(t, setup{app: &app{message: func(c *server.Conn, m server.Message) bool {
		if refuse && strings.HasPrefix(string(m.Payload), "held") {
			refuse = false
			return false
		}
		taken <- string(m.Payload)
		return true
	}}})
	text := "held" + strings.Repeat("0123456789", 100)
	c, other := x.connectDeflating(), x.connectDeflating()
	c.write(packed(text))
	x.until("it to be refused", func() (done bool) {
		x.run(0, func() { done = !refuse })
		return done
	})
	other.write(packed(strings.Repeat("another", 300)))
	if got := await(t, taken); got != strings.Repeat("another", 300) {
		t.Errorf("got %.20q", got)
	}
	c.at.Resume()
	if got := await(t, taken); got != text {
		t.Errorf("got %.20q", got)
	}
}

// Compressed echoes allocate nothing either.
func TestDeflatingEchoAllocatesNothing(t *testing.T) {
	system, err := poller.System()
	must(t, err)
	x := start(t, setup{kernel: system})
	text := strings.Repeat("All human beings are born free. ", 40)
	probe := x.connectDeflating()
	probe.write(packed(text))
	size := probe.expectPacked(text)
	probe.Close()
	w := x.wire(packed(text), 2+int(size), "Sec-WebSocket-Extensions: permessage-deflate")
	w.trip()
	if n := testing.AllocsPerRun(2000, w.trip); n != 0 && !racing {
		t.Errorf("%v allocations", n)
	}
}
