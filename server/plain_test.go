package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"throng/server"
)

// plain answers as its path asks.
type plain struct {
	entered chan bool
	leave   chan bool
}

func (p *plain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/echo":
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %q %v %s", r.Method, r.Header.Get("X-A"), err, body)
	case "/big":
		w.Write(big)
	case "/wait":
		p.entered <- true
		<-p.leave
	case "/panic":
		panic(http.ErrAbortHandler)
	default:
		http.NotFound(w, r)
	}
}

var big = bytes.Repeat([]byte("0123456789abcdef"), 1<<16)

// answer reads an answer of net/http and the end.
func (c *client) answer(method string) (*http.Response, string) {
	c.Helper()
	r, err := http.ReadResponse(c.in, &http.Request{Method: method})
	must(c, err)
	body, err := io.ReadAll(r.Body)
	must(c, err)
	if !r.Close {
		c.Errorf("answer %s without Connection: close", r.Status)
	}
	c.expectEnd()
	return r, string(body)
}

func TestPlainHTTP(t *testing.T) {
	x := start(t, setup{plain: &plain{}})
	body := strings.Repeat("body ", 10_000)
	for _, test := range []struct {
		name, request string
		method        string
		status        int
		body          string
	}{
		{"GET", "GET /echo HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\n", "GET", 200, `GET "b" <nil> `},
		{"HTTP/1.0", "GET /echo HTTP/1.0\r\n\r\n", "GET", 200, `GET "" <nil> `},
		{"keep-alive", "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", "GET", 200, `GET "" <nil> `},
		{"POST", fmt.Sprintf("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body), "POST", 200, `POST "" <nil> ` + body},
		{"chunked", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", "POST", 200, `POST "" <nil> body`},
		{"HEAD", "HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD", 200, ""},
		{"big", "GET /big HTTP/1.1\r\nHost: a\r\n\r\n", "GET", 200, string(big)},
		{"404", "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", "GET", 404, "404 page not found\n"},
		{"h2c", "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "GET", 200, `GET "" <nil> `},
		{"no Host", "GET /echo HTTP/1.1\r\n\r\n", "GET", 400, "400 Bad Request: missing required Host header"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := x.dial()
			c.TB = t
			c.write([]byte(test.request))
			r, body := c.answer(test.method)
			if r.StatusCode != test.status || body != test.body {
				t.Errorf("%s, %d bytes %.60q", r.Status, len(body), body)
			}
		})
	}
	x.until("the counts", func() bool { return x.srv.Stats().Plain == 10 && x.srv.Conns() == 0 })
}

// The head may come in two pieces, and a part of the body with either.
func TestPlainHTTPSplit(t *testing.T) {
	x := start(t, setup{plain: &plain{}})
	request := "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n12345678"
	for cut := 1; cut < len(request); cut++ {
		c := x.dial()
		x.feed(c, []byte(request[:cut]))
		c.write([]byte(request[cut:]))
		if _, body := c.answer("POST"); body != `POST "" <nil> 12345678` {
			t.Fatalf("cut at %d: %q", cut, body)
		}
	}
}

// Plain requests are bounded; those that go make room.
func TestMaxPlain(t *testing.T) {
	p := &plain{entered: make(chan bool, 10), leave: make(chan bool)}
	x := start(t, setup{config: server.Config{MaxPlain: 2}, plain: p})
	wait := []byte("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
	var held []*client
	for range 2 {
		c := x.dial()
		c.write(wait)
		await(t, p.entered)
		held = append(held, c)
	}
	c := x.dial()
	c.write(wait)
	if h := c.refused(503); h.Get("Retry-After") != "5" {
		t.Errorf("503 with %v", h)
	}
	x.connect().say("WebSockets are not concerned")
	p.leave <- true
	p.leave <- true
	for _, c := range held {
		c.answer("GET")
	}
	for range 20 { // panics give their place back as well
		c = x.dial()
		c.write([]byte("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n"))
		c.expectEnd()
	}
	c = x.dial()
	c.write(wait)
	await(t, p.entered)
	p.leave <- true
	c.answer("GET")
}

// A plain request has a descriptor, and so the place of a connection, until it is answered.
func TestPlainIsAConnection(t *testing.T) {
	p := &plain{entered: make(chan bool, 2), leave: make(chan bool)}
	x := start(t, setup{config: server.Config{MaxConns: 2}, plain: p})
	var held []*client
	for range 2 {
		c := x.dial()
		c.write([]byte("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"))
		await(t, p.entered)
		held = append(held, c)
	}
	c := x.dial()
	c.refused(503)
	c.Close()
	if n := x.srv.Stats().Full; n != 1 {
		t.Errorf("%d were refused since the server was full", n)
	}
	p.leave <- true
	p.leave <- true
	for _, c := range held {
		c.answer("GET")
	}
	x.until("they are gone", func() bool { return x.srv.Conns() == 0 })
	x.connect().say("there is room again")
}

// Without a handler for them, plain requests are told what is spoken here.
func TestNoPlainHTTP(t *testing.T) {
	x := start(t, setup{})
	c := x.dial()
	c.write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	if r, _ := c.answer("GET"); r.StatusCode != 426 || r.Header.Get("Sec-WebSocket-Version") != "13" {
		t.Errorf("%s, %v", r.Status, r.Header)
	}
}

// A request that is being served when the server is closed is cut.
func TestCloseDuringPlainHTTP(t *testing.T) {
	p := &plain{entered: make(chan bool, 1), leave: make(chan bool, 1)}
	x := start(t, setup{plain: p})
	c := x.dial()
	c.write([]byte("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"))
	await(t, p.entered)
	must(t, x.srv.Close())
	if _, err := c.in.ReadByte(); err == nil {
		t.Error("an answer after Close")
	}
	p.leave <- true
}

func TestAdmin(t *testing.T) {
	x := start(t, setup{})
	admin := x.srv.Admin()
	get := func(path string) (int, string) {
		w := recorder{header: http.Header{}, status: 200}
		r, err := http.NewRequest("GET", path, nil)
		must(t, err)
		admin.ServeHTTP(&w, r)
		return w.status, w.String()
	}
	x.connect()
	if status, body := get("/readyz"); status != 200 || body != "ready, 1 connections\n" {
		t.Errorf("/readyz: %d %q", status, body)
	}
	if status, _ := get("/debug/pprof/"); status != 200 {
		t.Errorf("/debug/pprof/: %d", status)
	}
	if err := x.srv.Shutdown(expired()); !errors.Is(err, server.ErrDeadline) {
		t.Error(err)
	}
	if status, _ := get("/readyz"); status != 503 {
		t.Errorf("/readyz while draining: %d", status)
	}
	if status, _ := get("/healthz"); status != 200 {
		t.Errorf("/healthz while draining: %d", status)
	}
}

// recorder is a small http.ResponseWriter.
type recorder struct {
	bytes.Buffer
	header http.Header
	status int
}

func (r *recorder) Header() http.Header    { return r.header }
func (r *recorder) WriteHeader(status int) { r.status = status }
