package client_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"throng/chat"
	"throng/client"
	"throng/poller"
	"throng/room"
	"throng/server"
)

// real starts the real server, which keeps everything, and returns its address.
func real(t *testing.T) string {
	t.Helper()
	kernel, err := poller.System()
	must(t, err)
	rooms := room.Defaults()
	rooms.HistoryCount, rooms.HistoryBytes = 1e6, 1<<30
	rooms.Now = kernel.Now
	srv, err := server.New(server.Config{
		Listen: []string{"127.0.0.1:0"}, Workers: 2, Kernel: kernel, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}, chat.New(chat.Config{Rooms: rooms, PresenceLimit: 1000}, 4711), nil)
	must(t, err)
	t.Cleanup(func() { must(t, srv.Close()) })
	return srv.Addrs()[0].String()
}

// somebody is a client of the real server, and what it has heard.
type somebody struct {
	*testing.T
	*client.Client
	heard []string // messages, in the order in which they came
	done  chan struct{}
}

// meet starts a client. seen is called with each event.
func meet(t *testing.T, cfg client.Config, seen func(*somebody, client.Event)) *somebody {
	t.Helper()
	cfg.Backoff = func(int) time.Duration { return 0 }
	c, err := client.New(cfg)
	must(t, err)
	s := &somebody{T: t, Client: c, done: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	go func() {
		defer close(s.done)
		for e := range c.Events() {
			if m, ok := e.(client.Message); ok {
				s.heard = append(s.heard, fmt.Sprintf("%s %d %s: %s", m.Room, m.Seq, m.From.ID, m.Text))
			}
			seen(s, e)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-s.done
		if err := <-ended; err != context.Canceled {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

// cutter is a TCP proxy that resets each connection after a number of bytes that the seed decides.
type cutter struct {
	net.Listener
	to   string
	mu   sync.Mutex
	rand *rand.Rand
	calm atomic.Bool // it cuts no more
	cuts atomic.Int64
	all  sync.WaitGroup
}

func newCutter(t *testing.T, to string, seed uint64) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &cutter{Listener: l, to: to, rand: rand.New(rand.NewPCG(seed, 1))}
	p.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.all.Go(func() { p.carry(c) })
		}
	})
	t.Cleanup(func() { l.Close(); p.all.Wait() })
	return p
}

// carry carries one connection.
func (p *cutter) carry(near net.Conn) {
	far, err := net.Dial("tcp", p.to)
	if err != nil {
		near.Close()
		return
	}
	var once sync.Once
	end := func() {
		once.Do(func() {
			for _, c := range []net.Conn{near, far} {
				_ = c.(*net.TCPConn).SetLinger(0) // what is on the way is lost, too
				c.Close()
			}
		})
	}
	var both sync.WaitGroup
	for _, way := range []struct{ to, from net.Conn }{{near, far}, {far, near}} {
		p.mu.Lock()
		budget := 1 + p.rand.Int64N(4000)
		p.mu.Unlock()
		both.Go(func() {
			defer end()
			if n, _ := io.CopyN(way.to, way.from, budget); n == budget && !p.calm.Load() {
				p.cuts.Add(1)
				return
			}
			if p.calm.Load() {
				_, _ = io.Copy(way.to, way.from)
			}
		})
	}
	both.Wait()
}

// However often connections are cut, wherever: everybody has what was said, each message once and in the room's order.
func TestCuts(t *testing.T) {
	const talkers, seed, cuts = 4, 20, 2000
	address := real(t)
	proxy := newCutter(t, address, seed)
	rooms := []string{"ops", "garden"}

	ready, ends := make(chan string, 100), make(chan string, 100)
	see := func(s *somebody, e client.Event) {
		switch e := e.(type) {
		case client.Gap, client.Failed, client.Left, client.Notice:
			s.Errorf("seed %d: %T %+v", seed, e, e)
		case client.Joined:
			if e.Again && !e.Resumed {
				s.Errorf("seed %d: not resumed: %+v", seed, e)
			}
			if !e.Again {
				ready <- e.Room
			}
		case client.Message:
			if e.Text == "the end" {
				ends <- e.Room
			}
		}
	}
	watcher := meet(t, client.Config{URL: address, Rooms: rooms}, see)
	var people []*somebody
	silent := make(chan int, talkers)
	for i := range talkers {
		random := rand.New(rand.NewPCG(seed, uint64(i)+2))
		said, over := 0, false
		people = append(people, meet(t, client.Config{URL: proxy.Addr().String(), Rooms: rooms}, func(s *somebody, e client.Event) {
			see(s, e)
			if _, ok := e.(client.Confirmed); !ok || over {
				return
			}
			if proxy.cuts.Load() < cuts {
				s.talk(&said, i, random, rooms)
			} else if s.Pending() == 0 {
				over = true
				silent <- i
			}
		}))
	}
	for range (talkers + 1) * len(rooms) {
		receive(t, ready, "somebody who has joined")
	}
	for i, s := range people { // each confirmation makes them say something more
		_, err := s.Say(rooms[0], fmt.Sprintf("%d begins", i))
		must(t, err)
	}
	for range people {
		receive(t, silent, "somebody who has said everything")
	}
	for _, r := range rooms {
		_, err := watcher.Say(r, "the end")
		must(t, err)
	}
	for range (talkers + 1) * len(rooms) {
		receive(t, ends, "the end")
	}
	proxy.calm.Store(true)
	t.Logf("%d cuts, %d messages", proxy.cuts.Load(), len(watcher.heard))
	for i, s := range people {
		s.same(watcher, rooms, fmt.Sprintf("seed %d: %d", seed, i))
	}
	once(t, watcher.heard)
}

// same asserts that somebody has heard in each room what another one has.
func (s *somebody) same(other *somebody, rooms []string, who string) {
	for _, r := range rooms {
		if got, want := in(r, s.heard), in(r, other.heard); !slices.Equal(got, want) {
			s.Errorf("%s has heard in %s\n%.2000q\nand the room was\n%.2000q", who, r, got, want)
		}
	}
}

// talk says one or two things more, as long as it is to go on.
func (s *somebody) talk(said *int, i int, random *rand.Rand, rooms []string) {
	for range 1 + random.IntN(2) {
		if s.Pending() > 12 {
			return
		}
		*said++
		text := fmt.Sprintf("%d %d %s", i, *said, strings.Repeat("<☃>", random.IntN(60)))
		if _, err := s.Say(rooms[random.IntN(len(rooms))], text); err != nil {
			s.Error(err)
		}
	}
}

// in is what was said in one room.
func in(room string, lines []string) (list []string) {
	for _, l := range lines {
		if strings.HasPrefix(l, room+" ") {
			list = append(list, l)
		}
	}
	return list
}

// once asserts that nobody said the same twice, that nothing is missing, and that what somebody said in a room came in order.
func once(t *testing.T, lines []string) {
	t.Helper()
	last, count := map[string]int{}, map[int]int{}
	for _, l := range lines {
		where, text, _ := strings.Cut(l, ": ")
		room, _, _ := strings.Cut(where, " ")
		var who, n int
		if k, _ := fmt.Sscanf(text, "%d %d", &who, &n); k < 2 {
			continue
		}
		key := fmt.Sprint(room, " ", who)
		if n <= last[key] {
			t.Errorf("%d has said %d behind %d in %s", who, n, last[key], room)
		}
		last[key] = n
		count[who]++
	}
	for who, n := range count {
		if most := max(last[fmt.Sprint("ops ", who)], last[fmt.Sprint("garden ", who)]); n != most {
			t.Errorf("%d has said %d things, and %d were heard", who, most, n)
		}
	}
}
