// Package client_test shows a Client servers of two kinds: one that says what a test
// has it say, for what the real one seldom does, and the real one behind a proxy that cuts.
//
// No test sleeps. Time is a clock that stands until a test moves it.
package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"throng/client"
)

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// receive takes what must come from a channel.
func receive[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v, ok := <-ch:
		if !ok {
			t.Fatalf("no %s: the end", what)
		}
		return v
	case <-time.After(patience):
		t.Fatalf("no %s", what)
		panic("not reached")
	}
}

// clock stands still.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	timers []*timer
	set    chan struct{} // a timer was set
}

type timer struct {
	at   time.Time
	ring chan time.Time
}

func newClock() *clock { return &clock{now: time.UnixMilli(1e12), set: make(chan struct{}, 1000)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) At(at time.Time) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &timer{at, make(chan time.Time, 1)}
	if !at.After(c.now) {
		t.ring <- c.now
		return t.ring
	}
	c.timers = append(c.timers, t)
	select {
	case c.set <- struct{}{}:
	default:
	}
	return t.ring
}

// pass waits until somebody waits for exactly d, and lets d pass.
func (c *clock) pass(t *testing.T, d time.Duration) {
	t.Helper()
	c.awaits(t, d)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	var rest []*timer
	for _, x := range c.timers {
		if x.at.After(c.now) {
			rest = append(rest, x)
		} else {
			x.ring <- c.now
		}
	}
	c.timers = rest
}

// awaits waits until somebody waits for one of some times from now on, and says for which.
func (c *clock) awaits(t *testing.T, times ...time.Duration) time.Duration {
	t.Helper()
	for {
		c.mu.Lock()
		for _, x := range c.timers {
			if slices.Contains(times, x.at.Sub(c.now)) {
				defer c.mu.Unlock()
				return x.at.Sub(c.now)
			}
		}
		c.mu.Unlock()
		receive(t, c.set, fmt.Sprint("timer of ", times))
	}
}

// shelf is where several clients keep their token.
type shelf struct {
	mu    sync.Mutex
	token string
}

func (s *shelf) Load() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token
}

func (s *shelf) Save(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = token
}

// wire is one connection of the fake server.
type wire struct {
	*testing.T
	query  url.Values
	path   string
	in     chan string // to the client
	out    chan string // from it
	gone   chan struct{}
	once   sync.Once
	polite bool // it said goodbye
	why    error
}

func (w *wire) Read(ctx context.Context) ([]byte, error) {
	select {
	case s := <-w.in:
		return []byte(s), nil
	default:
	}
	select {
	case s := <-w.in:
		return []byte(s), nil
	case <-w.gone:
		return nil, w.why
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (w *wire) Write(ctx context.Context, b []byte) error {
	select {
	case w.out <- string(b):
		return nil
	case <-w.gone:
		return w.why
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *wire) end(why error) { w.once.Do(func() { w.why = why; close(w.gone) }) }
func (w *wire) Close()        { w.polite = true; w.end(io.EOF) }
func (w *wire) Cut()          { w.end(io.ErrClosedPipe) }

// says sends the client messages.
func (w *wire) says(texts ...string) {
	w.Helper()
	for _, s := range texts {
		select {
		case w.in <- s:
		case <-time.After(patience):
			w.Fatal("the client does not read")
		}
	}
}

// hears asserts what the client sends next; the texts are JSON.
func (w *wire) hears(texts ...string) {
	w.Helper()
	for _, want := range texts {
		got := receive(w.T, w.out, want)
		var a, b any
		must(w.T, json.Unmarshal([]byte(got), &a))
		must(w.T, json.Unmarshal([]byte(want), &b))
		if !reflect.DeepEqual(a, b) {
			w.Fatalf("got %s, want %s", got, want)
		}
	}
}

// fake is a client whose server is the test.
type fake struct {
	*testing.T
	*client.Client
	clock  *clock
	dialed chan *wire
	refuse chan error // what the next attempts get
	ended  chan error
	final  error // what Run is to end with; nil is that the test ended it
	cancel context.CancelFunc
}

// pause is what a client waits before attempt n: n seconds and a half.
func pause(attempt int) time.Duration { return time.Duration(attempt)*time.Second + time.Second/2 }

// begin starts a client.
func begin(t *testing.T, cfg client.Config) *fake {
	t.Helper()
	f := &fake{T: t, clock: newClock(), dialed: make(chan *wire), refuse: make(chan error, 10), ended: make(chan error, 1)}
	cfg.Clock, cfg.Backoff, cfg.IDs = f.clock, pause, "i"
	if cfg.URL == "" {
		cfg.URL = "ws://there"
	}
	cfg.Dial = func(ctx context.Context, address string) (client.Conn, error) {
		select {
		case err := <-f.refuse:
			return nil, err
		default:
		}
		u, err := url.Parse(address)
		must(t, err)
		w := &wire{T: t, query: u.Query(), path: u.Path, in: make(chan string), out: make(chan string, 100), gone: make(chan struct{})}
		select {
		case f.dialed <- w:
			return w, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	var err error
	f.Client, err = client.New(cfg)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	f.cancel = cancel
	go func() { f.ended <- f.Client.Run(ctx) }()
	t.Cleanup(f.stop)
	return f
}

// stop ends the client and asserts that it says so.
func (f *fake) stop() {
	f.cancel()
	for range f.Events() {
		continue
	}
	if f.final == nil {
		f.final = context.Canceled
	}
	if err := <-f.ended; !errors.Is(err, f.final) {
		f.Errorf("Run ended with %v, want %v", err, f.final)
	}
}

// accepts takes the next connection.
func (f *fake) accepts() *wire { f.Helper(); return receive(f.T, f.dialed, "connection") }

// happens asserts what the next events are.
func (f *fake) happens(events ...client.Event) {
	f.Helper()
	for _, want := range events {
		got := receive(f.T, f.Events(), "event")
		if a, ok := got.(client.Away); ok { // of an error, whether it is the one that is wanted
			if w, ok := want.(client.Away); ok && errors.Is(a.Err, w.Err) {
				a.Err = w.Err
				got = a
			}
		}
		if !reflect.DeepEqual(got, want) {
			f.Fatalf("got %T %+v, want %T %+v", got, got, want, want)
		}
	}
}
