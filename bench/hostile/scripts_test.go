package hostile

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"

	"throng/bench/crew"
	"throng/bench/liar"
	"throng/bench/wire"
)

// pieces takes frames of a client apart, as little as is needed here: masked,
// and short or of 16 bits. What is no whole frame is left.
func pieces(t *testing.T, b []byte) (ops []byte, payloads [][]byte) {
	t.Helper()
	for len(b) > 0 {
		n, head := int(b[1]&0x7F), 2
		if n == 126 {
			n, head = int(b[2])<<8|int(b[3]), 4
		}
		if n == 127 || b[1]&0x80 == 0 || len(b) < head+4+n {
			t.Fatalf("no whole masked frame: %x", b[:min(len(b), 20)])
		}
		payload := bytes.Clone(b[head+4 : head+4+n])
		for i := range payload {
			payload[i] ^= b[head+i%4]
		}
		ops, payloads = append(ops, b[0]), append(payloads, payload)
		b = b[head+4+n:]
	}
	return ops, payloads
}

func TestFragmentsAreOneMessage(t *testing.T) {
	s := newFragments(&mob{squad: Squad{Payloads: [2]int{1, 300}}}).(*fragments)
	for i, size := range []int{1, 300} {
		ops, payloads := pieces(t, s.pieces[i])
		if len(ops) != size || len(bytes.Join(payloads, nil)) != size {
			t.Fatalf("%d pieces of %d bytes, want %d each", len(ops), len(bytes.Join(payloads, nil)), size)
		}
		for n, op := range ops {
			first, last := n == 0, n == size-1
			if (op&0x0F == byte(wire.Text)) != first || (op&0x80 != 0) != last {
				t.Errorf("piece %d of %d begins with %#x", n, size, op)
			}
		}
	}
}

func TestBombsAreLarge(t *testing.T) {
	ops, payloads := pieces(t, newBombs(&mob{}).(*bombs).message)
	if len(ops) != 1 || ops[0] != 0xC1 || len(payloads[0]) > 64<<10 {
		t.Fatalf("%d frames, the first begins with %#x and has %d bytes: no larger one is read", len(ops), ops[0], len(payloads[0]))
	}
	r := flate.NewReader(io.MultiReader(bytes.NewReader(payloads[0]), strings.NewReader("\x00\x00\xff\xff")))
	n, _ := io.Copy(io.Discard, r)
	if n != bombBytes {
		t.Errorf("it inflates to %d bytes, want %d", n, bombBytes)
	}
}

func TestFloodsAreFrames(t *testing.T) {
	f := newFlood(&mob{}).(*flood)
	want := [floodKinds]struct {
		op   byte
		size int
	}{{0x89, 125}, {0x81, 1}, {0x81, 0}, {0x00, 0}, {0x89, 0}}
	for kind, b := range f.kinds {
		ops, payloads := pieces(t, b)
		for i := range ops {
			if ops[i] != want[kind].op || len(payloads[i]) != want[kind].size {
				t.Fatalf("kind %d: frame %d begins with %#x and has %d bytes, want %+v", kind, i, ops[i], len(payloads[i]), want[kind])
			}
		}
		if len(ops) != len(b)/f.sizes[kind] {
			t.Errorf("kind %d: %d frames, counted as %d", kind, len(ops), len(b)/f.sizes[kind])
		}
	}
}

// Each room is gone into, talked in and left before the next, and no room is gone into twice.
func TestStrollsThroughNewRooms(t *testing.T) {
	s := newRooms(&mob{}).(*rooms)
	seen := map[string]bool{}
	for range 3 {
		ops, payloads := pieces(t, s.stroll(7))
		if len(ops) != 3*roomsEach {
			t.Fatalf("%d requests, want %d", len(ops), 3*roomsEach)
		}
		for i, payload := range payloads {
			var request struct{ Op, Room, Text string }
			if err := json.Unmarshal(payload, &request); err != nil || ops[i] != 0x81 || request.Op != []string{"join", "say", "leave"}[i%3] || request.Text != "x" {
				t.Fatalf("request %d is %x %s (%v)", i, ops[i], payload, err)
			}
			if seen[request.Room] != (i%3 > 0) {
				t.Fatalf("request %d: %s", i, payload)
			}
			seen[request.Room] = true
		}
	}
}

// A server without the protocol is not attacked in another way instead.
func TestRoomsAreSkipped(t *testing.T) {
	server := &liar.Server{Arrive: func(r *http.Request) { r.Header.Del("Sec-WebSocket-Protocol") }}
	u, err := url.Parse(server.Start())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	forever, _ := io.Pipe()
	if d := toil(t, Squad{Script: "rooms", Processes: 1, Conns: 2}, u.Host, forever); d.Done != 0 || !strings.Contains(d.Skipped, "throng.v1") {
		t.Errorf("%+v", d)
	}
}

// toil runs a squad against a server until it is finished, or stop is closed.
func toil(t *testing.T, squad Squad, server string, stop io.Reader) *Deeds {
	t.Helper()
	squad.Server, squad.Host, squad.Seed = netip.MustParseAddrPort(server), server, 1
	var out bytes.Buffer
	if err := crew.Toil(stop, &out, func(orders *crew.Orders) (any, error) { return attack(&squad, orders) }); err != nil {
		t.Fatal(err)
	}
	var last struct{ Report Deeds }
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	return &last.Report
}

// Churn ends by itself, and has gone all of the ways that it says.
func TestChurnResetsAtEveryStage(t *testing.T) {
	server := &liar.Server{}
	u, err := url.Parse(server.Start())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	forever, _ := io.Pipe()
	d := toil(t, Squad{Script: "churn", Processes: churnCycles / 500, Conns: 10}, u.Host, forever)
	if d.Done < 500 || d.Done > 510 || d.Opened == 0 || d.Opened > 210 || d.Most != 10 {
		t.Errorf("%+v", d)
	}
}

// A server that answers 431 has seen each kind of head, and ends are counted by
// their status.
func TestHeads(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	marks := []string{"X-Long: xxx", "X-9999: y", "constructor;a=1,constructor", "a:b\r\na:b", "GET /aaaa"}
	stop, enough := io.Pipe()
	var mu sync.Mutex
	seen := map[string]int{}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var head []byte
				buffer := make([]byte, 64<<10)
				for !bytes.HasSuffix(head, []byte("\r\n\r\n")) && len(head) < 256<<10 {
					n, err := c.Read(buffer)
					if err != nil {
						return
					}
					head = append(head, buffer[:n]...)
				}
				io.WriteString(c, "HTTP/1.1 431 Too Much\r\nContent-Length: 0\r\n\r\n")
				mu.Lock()
				defer mu.Unlock()
				for _, mark := range marks {
					if bytes.Contains(head, []byte(mark)) {
						seen[mark]++
					}
				}
				if len(seen) == len(marks) && seen[marks[0]] > 1 {
					enough.Close()
				}
			}()
		}
	}()
	d := toil(t, Squad{Script: "heads", Processes: 1, Conns: 5}, listener.Addr().String(), stop)
	if d.Done < 6 || len(d.Ends) == 0 || d.Ends[0].Error != "status 431" {
		t.Errorf("%+v", d)
	}
}

// Lengths that cannot be come as they are.
func TestDeclaredLengths(t *testing.T) {
	for length, want := range map[uint64]string{1<<63 - 1: "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 1 << 63: "\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00"} {
		if got := string(declare(length)[:10]); got != want {
			t.Errorf("%x: %x, want %x", length, got, want)
		}
	}
}
