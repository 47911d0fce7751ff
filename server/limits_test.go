package server_test

import (
	"bytes"
	"fmt"
	"net/http"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"throng/poller"
	"throng/server"
)

// Who sends more than the rate allows is not read meanwhile: each tick's tokens let
// in as much, nothing is lost, and a rest is good for one burst.
func TestMessageRate(t *testing.T) {
	const messages, burst, each = 17, 10, 2
	for op, answer := range map[ws.OpCode]ws.OpCode{ws.OpText: ws.OpText, ws.OpPing: ws.OpPong} {
		t.Run(fmt.Sprint(op), func(t *testing.T) {
			x := start(t, setup{config: server.Config{MessageRate: each * 4, MessageBurst: burst}})
			c, other := x.connect(), x.connect()
			frame := masked(op, "x")
			heard := func(want int) {
				t.Helper()
				x.barrier()
				left := 0
				on(t, c.at, func(c *server.Conn) { left = c.Unread() })
				if n := messages - left/len(frame); n != want {
					t.Fatalf("%d messages were taken, want %d", n, want)
				}
			}
			for range 2 {
				x.feed(c, bytes.Repeat(frame, messages))
				heard(burst)
				other.say("others do not notice")
				x.kernel.advance(249 * time.Millisecond)
				heard(burst)
				x.pass(time.Millisecond)
				for upto := burst + each; upto < messages; upto += each {
					heard(upto)
					x.pass(250 * time.Millisecond)
				}
				heard(messages)
				for range messages {
					c.expect(answer, "x")
				}
				x.pass(10 * time.Second)
			}
			if n := x.srv.Stats().Throttled; n != 2*4 {
				t.Errorf("throttled %d times", n)
			}
		})
	}
}

// A connection that the rate keeps from being read is not silent.
func TestThrottledIsNotSilent(t *testing.T) {
	x := start(t, setup{config: server.Config{MessageRate: 1, MessageBurst: 1, PingPeriod: 500 * time.Millisecond}})
	c := x.connect()
	x.feed(c, bytes.Repeat(masked(ws.OpText, "x"), 20))
	for range 80 {
		x.pass(250 * time.Millisecond)
	}
	for range 20 {
		c.expect(ws.OpText, "x") // and no ping
	}
	x.pass(750 * time.Millisecond) // but now it is
	c.expect(ws.OpPing, "")
}

// It is throttled once, whatever comes meanwhile, and not for a message that it has
// not sent. When it goes it is forgotten.
func TestThrottledCloses(t *testing.T) {
	x := start(t, setup{config: server.Config{MessageRate: 1, MessageBurst: 1}})
	c := x.connect()
	c.say("x")
	x.barrier()
	if n := x.srv.Stats().Throttled; n != 0 {
		t.Errorf("throttled %d times for its one message", n)
	}
	x.feed(c, masked(ws.OpText, "y"))
	x.barrier()
	c.send(ws.OpText, "z")
	x.arrived(c, 1)
	x.fire(c.fd, poller.Readable)
	if n := x.srv.Stats().Throttled; n != 1 {
		t.Errorf("throttled %d times", n)
	}
	on(t, c.at, func(c *server.Conn) { c.Close(4007, "enough") })
	c.expectClose(4007, "enough")
	c.Close()
	x.pass(5 * time.Second)
	if n := x.app.messages.Load(); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// Strangers are let in at a rate, all together; loopback is not concerned.
func TestUpgradeRate(t *testing.T) {
	x := start(t, setup{config: server.Config{UpgradeRate: 4, UpgradeBurst: 2, MaxPerAddress: -1}})
	for i, step := range []struct {
		from   string
		pass   time.Duration
		status int
	}{
		{"192.0.2.1", 0, 101}, {"192.0.2.2", 0, 101}, {"192.0.2.3", 0, 503}, {"2001:db8::1", 249 * time.Millisecond, 503},
		{"", 0, 101}, {"", 0, 101}, {"::1", 0, 101},
		{"192.0.2.3", time.Millisecond, 101}, {"192.0.2.3", 0, 503},
		{"192.0.2.3", time.Hour, 101}, {"192.0.2.3", 0, 101}, {"192.0.2.3", 0, 503},
	} {
		x.kernel.come(step.from)
		x.kernel.advance(step.pass)
		x.barrier()
		c := x.enter()
		c.write([]byte(upgrade()))
		if step.status == 101 {
			c.accepted()
		} else if h := c.refused(step.status); h.Get("Retry-After") != "5" {
			t.Errorf("step %d: 503 with %v", i, h)
		}
		c.Close()
	}
	if n := x.srv.Stats().UpgradesRefused; n != 4 {
		t.Errorf("%d upgrades were counted as refused", n)
	}
}

// What counts as one address, and what is not counted.
func TestMaxPerAddress(t *testing.T) {
	for name, test := range map[string]struct {
		max   int
		same  []string // the last one is too many
		other string
	}{
		"IPv4":      {2, []string{"192.0.2.1", "192.0.2.1", "192.0.2.1"}, "192.0.2.2"},
		"mapped":    {2, []string{"192.0.2.1", "::ffff:192.0.2.1", "::ffff:192.0.2.1"}, "::ffff:192.0.2.2"},
		"IPv6":      {2, []string{"2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::"}, "2001:db8:0:1::1"},
		"one":       {1, []string{"192.0.2.1", "192.0.2.1"}, "c000:201::"},
		"loopback":  {1, []string{"127.0.0.1", "127.0.0.1", "::1", "::1", "::ffff:127.0.0.1", "127.1.2.3"}, ""},
		"unlimited": {-1, []string{"192.0.2.1", "192.0.2.1"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			x := start(t, setup{config: server.Config{MaxPerAddress: test.max}})
			var in []*client
			from := func(address string) *client { x.kernel.come(address); return x.connect() }
			last := len(test.same) - 1
			for _, address := range test.same[:last] {
				in = append(in, from(address))
			}
			if test.other == "" {
				from(test.same[last])
				return
			}
			x.kernel.come(test.same[last])
			c := x.enter()
			c.write([]byte(upgrade()))
			if h := c.refused(429); h.Get("Retry-After") != "5" {
				t.Errorf("429 with %v", h)
			}
			from(test.other)
			stats := x.srv.Stats()
			if stats.AddressRefused != 1 || stats.AddressCut != 0 || stats.Full != 0 || stats.Addresses != 2 {
				t.Errorf("%+v", stats)
			}
			c.Close()
			in[0].Close()
			x.until("two to go", func() bool { return x.srv.Conns() == last })
			from(test.same[last]).say("there is room again")
		})
	}
}

// Refused connections of one address can fill the server no more than accepted
// ones: a few linger, the others are cut.
func TestRefusedPerAddress(t *testing.T) {
	x := start(t, setup{config: server.Config{MaxPerAddress: 1}})
	x.kernel.come("192.0.2.1")
	in := x.connect()
	for range 16 {
		x.enter()
	}
	for range 3 {
		x.enter().gone()
	}
	if stats := x.srv.Stats(); stats.Conns != 17 || stats.AddressRefused != 19 || stats.AddressCut != 3 {
		t.Errorf("%+v", stats)
	}
	in.say("the one that was let in goes on")
	x.kernel.failCall("Peer", 1)
	x.connect().say("one that cannot be told from where it is, is not counted")
	if stats := x.srv.Stats(); stats.Addresses != 1 || stats.AddressRefused != 19 {
		t.Errorf("%+v", stats)
	}
}

// The table has an entry for each address that is connected, and holds nothing
// when there is none. A request in the hands of net/http counts until it is done.
func TestAddressTable(t *testing.T) {
	p := &plain{entered: make(chan bool, 10), leave: make(chan bool)}
	x := start(t, setup{plain: p})
	x.kernel.come("192.0.2.200")
	stays := x.connect()
	for i := range 100 {
		x.kernel.come(fmt.Sprintf("192.0.2.%d", i))
		x.connect().Close()
		x.until("it to go", func() bool { return x.srv.Conns() == 1 })
	}
	if n := x.srv.AddressSlots(); n != 2 {
		t.Errorf("%d places for two addresses at a time", n)
	}
	x.kernel.come("192.0.2.201")
	c := x.dial()
	c.write([]byte("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"))
	await(t, p.entered)
	stays.Close()
	x.until("all but the page to go", func() bool { return x.srv.Conns() == 1 })
	if n := x.srv.Stats().Addresses; n != 1 {
		t.Errorf("%d addresses while a page is served", n)
	}
	p.leave <- true
	c.answer("GET")
	x.until("the table to empty", func() bool { return x.srv.AddressSlots() == 0 })
}

// Unix sockets have no address.
func TestUnixSocketsAreNotLimited(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	x := start(t, setup{config: server.Config{Listen: []string{"unix:" + path}, MaxPerAddress: 1, UpgradeRate: 1, UpgradeBurst: 1}})
	x.kernel.come("192.0.2.1")
	for range 3 {
		x.connect().say("hello")
	}
}

// Each limit counts how often it has said no.
func TestLimitsAreCounted(t *testing.T) {
	for name, test := range map[string]struct {
		config server.Config
		drive  func(x *fixture)
		count  func(s server.Stats) uint64
	}{
		"connections": {server.Config{MaxConns: 1}, func(x *fixture) { x.enter(); x.enter() },
			func(s server.Stats) uint64 { return s.Full }},
		"handshakes": {server.Config{MaxHandshakes: 1}, func(x *fixture) { x.enter(); x.enter() },
			func(s server.Stats) uint64 { return s.HandshakesDropped }},
		"slow handshakes": {server.Config{}, func(x *fixture) { x.enter(); x.pass(6 * time.Second) },
			func(s server.Stats) uint64 { return s.SlowHandshakes }},
		"head": {server.Config{MaxHeadBytes: 100}, func(x *fixture) {
			c := x.dial()
			c.write([]byte(upgrade(strings.Repeat("x", 200) + ": y")))
			c.refused(431)
		}, func(s server.Stats) uint64 { return s.HeadsTooLarge }},
		"headers": {server.Config{MaxHeaders: 4}, func(x *fixture) {
			c := x.dial()
			c.write([]byte(upgrade()))
			c.refused(431)
		}, func(s server.Stats) uint64 { return s.HeadsTooLarge }},
		"message": {server.Config{MaxMessageBytes: 4}, func(x *fixture) { x.connect().violate(masked(ws.OpText, "12345")) },
			func(s server.Stats) uint64 { return s.TooBig }},
		"fragments": {server.Config{MaxFragments: 1}, func(x *fixture) { x.connect().violate([]byte("\x01\x80\x00\x00\x00\x00\x80\x80\x00\x00\x00\x00")) },
			func(s server.Stats) uint64 { return s.Fragments }},
		"silence": {server.Config{PingPeriod: time.Second}, func(x *fixture) { x.connect(); x.pass(5 * time.Second) },
			func(s server.Stats) uint64 { return s.Silent }},
		"stall": {server.Config{PingPeriod: time.Hour}, func(x *fixture) {
			c := x.connect()
			x.kernel.allow(c.fd, 0)
			on(x, c.at, func(c *server.Conn) { c.Send(ws.OpText, []byte("x")) })
			x.pass(31 * time.Second)
		}, func(s server.Stats) uint64 { return s.Stalled }},
	} {
		t.Run(name, func(t *testing.T) {
			x := start(t, setup{config: test.config})
			test.drive(x)
			x.until("it to be counted", func() bool { return test.count(x.srv.Stats()) > 0 })
			x.barrier()
			if n := test.count(x.srv.Stats()); n != 1 {
				t.Errorf("counted %d times", n)
			}
		})
	}
}

// violate sends what ends the connection with 1009.
func (c *client) violate(frames []byte) {
	c.Helper()
	c.write(frames)
	h, err := ws.ReadHeader(c.in)
	must(c, err)
	body := make([]byte, h.Length)
	_, err = c.in.Read(body)
	must(c, err)
	if code, _ := ws.ParseCloseFrameData(body); h.OpCode != ws.OpClose || code != 1009 {
		c.Errorf("opcode %d, code %d", h.OpCode, code)
	}
}

// keeper is a Handler whose logs are a number.
type keeper struct {
	*app
	kept, least atomic.Int64
	targets     []int64
}

func (k *keeper) Bytes() int64 { return k.kept.Load() }

func (k *keeper) Shed(target int64) (taken int64) {
	k.targets = append(k.targets, target)
	left := max(target, min(k.least.Load(), k.kept.Load()))
	return k.kept.Swap(left) - left
}

func (k *keeper) Metrics(add func(name, help string, value int64)) {
	add("logs", "Bytes of logs.", k.Bytes())
	add("sheds_total", "Calls of Shed.", int64(len(k.targets)))
}

// keep sets what is kept, and what of it cannot be shed, and waits for what that
// leads to.
func (x *fixture) keep(k *keeper, kept, least int) {
	x.Helper()
	x.run(0, func() { k.kept.Store(int64(kept)); k.least.Store(int64(least)) })
	x.barrier()
}

// Near the limit newcomers are answered 503 and all others go on; what is kept
// for rooms gives first, down to where newcomers are let in again.
func TestMemory(t *testing.T) {
	const limit = 1 << 20
	const near = limit - limit/10
	k := &keeper{}
	x := start(t, setup{config: server.Config{MaxHeldBytes: limit}, keeper: k})
	in := x.connect()
	x.keep(k, near-2*server.ConnBytes-1, 0) // one that knocks counts itself
	x.connect().Close()
	x.until("it to go", func() bool { return x.srv.Conns() == 1 })
	x.keep(k, near-2*server.ConnBytes, 0)
	c := x.enter()
	c.write([]byte(upgrade()))
	if h := c.refused(503); h.Get("Retry-After") != "5" {
		t.Errorf("503 with %v", h)
	}
	c.Close()
	x.until("it to go", func() bool { return x.srv.Conns() == 1 })
	in.say("those who are in go on")
	if s := x.srv.Stats(); s.MemoryRefused != 1 || s.ShedBytes != 0 || s.HeldBytes != near-server.ConnBytes || s.HeldLimit != limit {
		t.Errorf("%+v", s)
	}
	x.keep(k, limit-server.ConnBytes, 0)
	if k.targets != nil {
		t.Errorf("shed at the limit: %d", k.targets)
	}
	x.keep(k, limit-server.ConnBytes+1, 0)
	if want := int64(near - server.ConnBytes); len(k.targets) != 1 || k.targets[0] != want || x.srv.Stats().ShedBytes != limit-near+1 {
		t.Errorf("shed to %d, want %d; %+v", k.targets, want, x.srv.Stats())
	}
	// What cannot be shed is no reason to close who holds nothing, or to work without end.
	x.keep(k, 2*limit, 2*limit)
	tries := len(k.targets)
	in.say("still here")
	x.barrier()
	if n := len(k.targets); n != tries {
		t.Errorf("%d tries to shed within a tick", n-tries+1)
	}
	for i, more := range []int{limit/64 - 1, limit / 64} {
		x.keep(k, 2*limit+more, 2*limit+more)
		if n := len(k.targets); n != tries+i {
			t.Errorf("%d tries to shed with %d bytes more within a tick", n-tries, more)
		}
	}
	tries++
	x.pass(250 * time.Millisecond)
	if n := len(k.targets); n != tries+1 {
		t.Errorf("%d tries to shed at the next tick", n-tries)
	}
	if s := x.srv.Stats(); s.GaveUp != 0 || s.HeldBytes < 2*limit {
		t.Errorf("%+v", s)
	}
	x.keep(k, 0, 0)
	x.connect().say("newcomers again")
}

// Above the limit the connections that hold most are closed: one that does not
// read is cut, for a close frame would be held as well; one with half a message
// hears why. Those that hold little stay.
func TestMemoryOfConnections(t *testing.T) {
	const limit, large = 1 << 20, 128 << 10
	k := &keeper{}
	x := start(t, setup{config: server.Config{MaxHeldBytes: limit, MaxMessageBytes: 1 << 20}, keeper: k})
	idle, small, half, stuck := x.connect(), x.connect(), x.connect(), x.connect()
	x.feed(small, masked(ws.OpText, "a small message")[:10])
	half.write(masked(ws.OpText, strings.Repeat("x", large))[:large])
	x.until("half a message to arrive", func() bool { return x.weight(half) >= large })
	x.kernel.allow(stuck.fd, 0)
	on(t, stuck.at, func(c *server.Conn) { c.Send(ws.OpText, make([]byte, large)) })
	held, weights := x.srv.HeldByConns(), 0
	for _, c := range []*client{idle, small, half, stuck} {
		weights += x.weight(c)
	}
	if held != int64(weights) {
		t.Errorf("the account has %d bytes, connections hold %d", held, weights)
	}
	rest := limit - 4*server.ConnBytes - weights
	x.keep(k, rest, rest)
	if n := x.srv.Stats().GaveUp; n != 0 {
		t.Fatalf("%d connections closed at the limit", n)
	}
	x.keep(k, rest+1, rest+1)
	x.until("one to give up", func() bool { return x.srv.Stats().GaveUp == 1 })
	x.keep(k, rest+2*large, rest+2*large)
	x.until("both to give up", func() bool { return x.srv.Stats().GaveUp == 2 })
	half.expectClose(1013, "the server is short of memory")
	x.ended(half, 1013, "the server is short of memory", server.ErrMemory)
	stuck.gone()
	x.ended(stuck, 4000, "the server is short of memory", server.ErrMemory)
	half.Close()
	x.until("them to go", func() bool { return x.srv.Conns() == 2 })
	idle.say("who holds nothing stays")
	small.write(masked(ws.OpText, "a small message")[10:])
	if n := x.srv.Stats().GaveUp; n != 2 {
		t.Errorf("%d gave up", n)
	}
}

// weight is what the client's connection holds.
func (x *fixture) weight(c *client) (n int) {
	x.Helper()
	on(x, c.at, func(c *server.Conn) { n = c.Weight() })
	return n
}

// Every counter is shown, in the format that Prometheus reads, and so are the
// handler's own.
func TestMetrics(t *testing.T) {
	k := &keeper{}
	x := start(t, setup{keeper: k})
	x.keep(k, 1234, 0)
	c := x.connect()
	on(t, c.at, func(*server.Conn) {}) // what the handshake needed has been given back by then
	w := recorder{header: http.Header{}, status: 200}
	r, err := http.NewRequest("GET", "/metrics", nil)
	must(t, err)
	x.srv.Admin().ServeHTTP(&w, r)
	if w.status != 200 || !strings.HasPrefix(w.header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Errorf("%d, %v", w.status, w.header)
	}
	form := regexp.MustCompile(`(?m)\A(# HELP (throng_[a-z_]+) [A-Z].*\.\n# TYPE throng_[a-z_]+ (gauge|counter)\nthrong_[a-z_]+ \d+\n)+\z`)
	if !form.MatchString(w.String()) {
		t.Errorf("not in the format:\n%s", &w)
	}
	for _, line := range []string{
		"throng_connections 1", "# TYPE throng_connections gauge", "throng_websockets_opened_total 1", "# TYPE throng_websockets_opened_total counter",
		"throng_logs 1234", "# TYPE throng_logs gauge", "throng_sheds_total 0",
		fmt.Sprint("throng_held_bytes ", 1234+server.ConnBytes), fmt.Sprint("throng_held_bytes_limit ", 1<<30),
	} {
		if strings.Count(w.String(), "\n"+line+"\n") != 1 && !strings.HasPrefix(w.String(), line+"\n") {
			t.Errorf("no line %q in\n%s", line, &w)
		}
	}
	if n, want := strings.Count(w.String(), "# TYPE "), reflect.TypeFor[server.Stats]().NumField()+3+2; n != want {
		t.Errorf("%d metrics, want %d", n, want)
	}
}
