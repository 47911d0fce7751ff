package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"throng/bench/liar"
	"throng/bench/versus"
)

// asServer makes the test binary an honest server, one that also tells of its
// inside at another address, one that loses the fifth frame of each member, or one
// that dies, at the address behind --listen.
const asServer = "THRONG_BENCH_TEST_SERVER"

func init() {
	kind := os.Getenv(asServer)
	at := slices.Index(os.Args, "--listen")
	if kind == "" || at < 0 {
		return
	}
	server := &liar.Server{}
	if kind == "lossy" {
		server.Lie = func(d liar.Delivery) [][]byte {
			if d.N == 5 {
				return nil
			}
			return [][]byte{d.Frame}
		}
	}
	if kind == "dying" {
		server.Stall = func(n int) {
			if n == 50 {
				fmt.Println("panic: out of luck")
				os.Exit(3)
			}
		}
	}
	if kind == "inside" {
		operator, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		go http.Serve(operator, http.HandlerFunc(pprof.Index))
	}
	u, err := url.Parse(server.Start())
	if err == nil {
		err = forward(os.Args[at+1], u.Host)
	}
	fmt.Println(err)
	os.Exit(1)
}

// forward makes a server answer at another address.
func forward(from, to string) error {
	listener, err := net.Listen("tcp", from)
	if err != nil {
		return err
	}
	for {
		near, err := listener.Accept()
		if err != nil {
			return err
		}
		far, err := net.Dial("tcp", to)
		if err != nil {
			return err
		}
		go pipe(near, far)
		go pipe(far, near)
	}
}

func pipe(to, from net.Conn) {
	io.Copy(to, from)
	to.Close()
}

// program is a script that is a server of that kind.
func program(t *testing.T, kind string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), kind)
	script := fmt.Sprintf("#!/bin/sh\n%s=%s exec /proc/%d/exe \"$@\"\n", asServer, kind, os.Getpid())
	if err := os.WriteFile(file, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestPeersMeasuresAndReports(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	var c versus.Comparison
	measured := func(int, string) bool { // something in each run
		text, err := os.ReadFile(file("a.json"))
		if err == nil {
			c = versus.Comparison{}
			err = json.Unmarshal(text, &c)
		}
		if err != nil {
			t.Fatal(err)
		}
		return !slices.ContainsFunc(c.Tables[0].Rows, func(row versus.Row) bool { return row.Figures["rate"].Min == 0 })
	}
	code, output := lasting(t, measured, "peers", "--throng", program(t, "honest"), "--peers", program(t, "honest"), "--only", "throng,gorilla",
		"--rounds", "2", "--members", "10", "--idle", "5", "--connects", "5", "--warmup", "10ms", "--hold", "10ms",
		"--json", file("a.json"), "--markdown", file("a.md"), "--png", file("png"), "--html", file("html"))
	if code != 0 || strings.Count(output, "passed") != 10 {
		t.Fatalf("exit code %d\n%s", code, output)
	}
	if c.Schema != versus.Schema || c.Baseline != "gorilla" || len(c.Measurements) != 2*2*5 || len(c.Tables) != 5 || c.Environment.Kernel == "" {
		t.Errorf("schema %d, baseline %q, %d measurements, %d tables", c.Schema, c.Baseline, len(c.Measurements), len(c.Tables))
	}
	for _, row := range c.Tables[0].Rows {
		if row.Figures["rate"].N != 2 || row.Figures["rate"].Median <= 0 || row.ToBaseline["rate"].N != 2 {
			t.Errorf("%s: %+v", row.Server, row)
		}
	}
	for name, want := range map[string]string{"a.md": "| server | deliveries/s | × gorilla | × best |", "html/peers.html": "<svg",
		"png/peers-deliveries.png": "PNG", "png/peers-connections.png": "PNG"} {
		if text, err := os.ReadFile(file(name)); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s lacks %q (%v)", name, want, err)
		}
	}
}

func TestPeersFindsTheServerThatLoses(t *testing.T) {
	code, output := invoke(t, "peers", "--throng", program(t, "honest"), "--peers", program(t, "lossy"), "--only", "throng,gorilla", "--rounds", "1",
		"--scenario", "fanout-16", "--members", "10", "--warmup", "10ms", "--duration", "30ms")
	if code != exitFailed || !strings.Contains(output, "FAILED gorilla, fanout-16, round 1") || strings.Contains(output, "FAILED throng") {
		t.Errorf("exit code %d\n%s", code, output)
	}
}

func TestPeersBadInput(t *testing.T) {
	honest, broken := program(t, "honest"), filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("#!/bin/sh\necho out of luck\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	document := filepath.Join(t.TempDir(), "a.md")
	if err := os.WriteFile(document, []byte("<!-- bench machine -->\n<!-- end machine -->\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"peers", "--only", "nginx"}, exitError, `there is no server "nginx"; there are throng, gorilla`},
		{[]string{"peers", "--scenario", "race"}, exitError, `there is no scenario "race"; there are fanout-1`},
		{[]string{"peers", "--rounds", "0"}, exitError, "--rounds must be at least 1"},
		{[]string{"peers", "--throng", honest, "--only", "throng", "--members", "0", "--rounds", "1", "--scenario", "fanout-1"}, exitFailed, "must be at least 1"},
		{[]string{"peers", "--json", "/nowhere/a.json"}, exitError, "a report cannot be written"},
		{[]string{"peers", "--throng", broken, "--only", "throng", "--rounds", "1", "--scenario", "echo"}, exitFailed, "out of luck"},
		{[]string{"standard", "--docs", "/nowhere/a.md"}, exitError, "the document to put figures into"},
		{[]string{"standard", "--docs", document}, exitError, "<!-- bench servers -->"},
	} {
		code, output := invoke(t, test.args...)
		if code != test.code || !strings.Contains(output, test.want) {
			t.Errorf("%v: exit code %d, want %d and %q\n%s", test.args, code, test.code, test.want, output)
		}
	}
}

// The document of this repository must have what the standard set fills in.
func TestTheDocumentHasAllMarkers(t *testing.T) {
	text, err := os.ReadFile("../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range blockNames() {
		if _, err := versus.SetBlock(string(text), name, ""); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
