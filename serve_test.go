package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
)

func TestBanner(t *testing.T) {
	p := serve(t, nil, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--workers", "1", "--max-conns", "100")
	banner := strings.Join(p.banner, "\n")
	form := regexp.MustCompile(`^throng \d+\.\d+\.\d+

  page        http://127\.0\.0\.1:\d+/
  WebSocket   ws://127\.0\.0\.1:\d+/chat
  operator    http://127\.0\.0\.1:\d+/healthz
  workers     1
  open files  \d+, enough for 100 connections

ready$`)
	if !form.MatchString(banner) {
		t.Fatalf("the banner is\n%s", banner)
	}
	status, header, body := get(t, p.one("page"))
	if status != 200 || !strings.Contains(body, "<html") || !strings.Contains(header.Get("Content-Security-Policy"), "default-src") {
		t.Errorf("the page: %d, %v, %.200q", status, header, body)
	}
	address := strings.Replace(p.one("WebSocket"), "ws:", "http:", 1)
	if status, header, _ := get(t, address); status != 426 || header.Get("Sec-WebSocket-Version") != "13" {
		t.Errorf("plain HTTP to /chat: %d, %v", status, header)
	}
	if status, _, _ := get(t, address+"/room"); status != 426 {
		t.Errorf("plain HTTP to /chat/room: %d", status)
	}
	for _, path := range []string{"nothing", "healthz", "readyz", "debug/pprof/"} {
		if status, _, _ := get(t, p.one("page")+path); status != 404 {
			t.Errorf("/%s is not the public's: %d", path, status)
		}
	}
	ann := connect(t, p.one("WebSocket")+"?nick=ann", ws.Dialer{})
	ann.send(ws.OpText, []byte("hi"))
	ann.wants(ws.OpText, []byte("ann: hi"))
	ann.conn.Close()
	p.stopped()
}

// What cannot be started ends at once, with one clear line and no stack.
func TestRefusals(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	const quiet = "--listen=127.0.0.1:0"
	refuses(t, []refusal{
		{args: []string{"--admin=", "--listen", taken.Addr().String()}, code: 1, says: "address already in use"},
		{args: []string{quiet, "--admin", taken.Addr().String()}, code: 1, says: "--admin"},
		{args: []string{"--admin=", "--listen=unix:/nonexistent/socket"}, code: 1, says: "no such file"},
		{args: []string{"--listen=nonsense"}, code: 2, says: `bad address "nonsense"`},
		{args: []string{"--listen=127.0.0.1"}, code: 2, says: "bad address"},
		{args: []string{"--listen=127.0.0.1:"}, code: 2, says: "bad address"},
		{args: []string{"--listen=127.0.0.1:65536"}, code: 2, says: "bad address"},
		{args: []string{"--listen=::1:80"}, code: 2, says: "bad address"},
		{args: []string{"--listen=unix:"}, code: 2, says: "bad address"},
		{args: []string{"--listen="}, code: 2, says: "--listen"},
		{args: []string{quiet, "--admin=nonsense"}, code: 2, says: "--admin"},
		{args: []string{quiet, "--admin=unix:/tmp/x"}, code: 2, says: "--admin"},
		{args: []string{"--bogus"}, code: 2, says: "--bogus"},
		{args: []string{"bogus"}, code: 2, says: "bogus"},
		{args: []string{"serve", "bogus"}, code: 2, says: "bogus"},
		{args: []string{"--workers=x"}, code: 2, says: "--workers"},
		{args: []string{"--workers=-1"}, code: 2, says: "--workers"},
		{args: []string{"--workers=1025"}, code: 2, says: "--workers"},
		{args: []string{"--ping=0s"}, code: 2, says: "--ping"},
		{args: []string{"--history-age=2562047h"}, code: 2, says: "--history-age is at most"},
		{args: []string{"--drain=10"}, code: 2, says: "--drain"},
		{args: []string{"--drain=-1s"}, code: 2, says: "negative"},
		{args: []string{"--window=100"}, code: 2, says: "--window"},
		{args: []string{"--history-count=-1"}, code: 2, says: "negative"},
		{args: []string{"--log-level=loud"}, code: 2, says: "--log-level"},
		{args: []string{"--compression=maybe"}, code: 2, says: "--compression"},
		{args: []string{"--slow-consumer=wait"}, code: 2, says: "--slow-consumer"},
		{env: []string{"THRONG_WORKERS=many"}, code: 2, says: "workers"},
		{env: []string{"THRONG_LISTEN=nonsense"}, code: 2, says: "bad address"},
	})
}

// refusal is how the program answers a command line that it cannot run.
type refusal struct {
	args, env []string
	code      int
	says      string
}

// refuses expects one clear line for each, and no stack.
func refuses(t *testing.T, refusals []refusal) {
	t.Helper()
	for _, c := range refusals {
		t.Run(strings.Join(append(c.env, c.args...), " "), func(t *testing.T) {
			cmd := command(t, throng, c.env, c.args...)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			_ = cmd.Run()
			line := stderr.String()
			if cmd.ProcessState.ExitCode() != c.code || stdout.Len() > 0 {
				t.Errorf("%v, want %d; stdout %q", cmd.ProcessState, c.code, &stdout)
			}
			if strings.Count(line, "\n") != 1 || !strings.HasPrefix(line, "throng: ") || !strings.Contains(line, c.says) || len(line) > 250 {
				t.Errorf("it says %q, want one line with %q", line, c.says)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"serve", "--help"}} {
		cmd := command(t, throng, []string{"COLUMNS=200"}, args...)
		out, err := cmd.Output()
		must(t, err)
		help := strings.Join(strings.Fields(string(out)), " ") // names may be wrapped
		for _, stands := range []string{":8080", "127.0.0.1:9090", "info", "1048576", "262144", "65536"} {
			if !strings.Contains(help, "; "+stands+" if not given") {
				t.Errorf("that %s is a default is not in the help", stands)
			}
		}
		flags := regexp.MustCompile(`(?m)^ +(?:-\w, )?--([a-z-]+)`).FindAllStringSubmatch(string(out), -1)
		if len(flags) < 17 {
			t.Fatalf("%d flags in\n%s", len(flags), out)
		}
		for _, f := range flags {
			name := "($THRONG_" + strings.ToUpper(strings.ReplaceAll(f[1], "-", "_"))
			has := strings.Contains(help, name+")") || strings.Contains(help, name+",")
			if want := f[1] != "help" && f[1] != "version"; has != want {
				t.Errorf("--%s: its environment name is in the help: %v, want %v", f[1], has, want)
			}
		}
	}
}

// The flags that docs/protocol.md speaks of exist.
func TestDocumentedFlags(t *testing.T) {
	help, err := command(t, throng, nil, "--help").Output()
	must(t, err)
	page, err := os.ReadFile("docs/protocol.md")
	must(t, err)
	flags := regexp.MustCompile("`(--[a-z-]+)").FindAllStringSubmatch(string(page), -1)
	for _, f := range flags {
		if !bytes.Contains(help, []byte(f[1]+"=")) && !bytes.Contains(help, []byte(f[1]+" ")) {
			t.Errorf("%s is not in the help", f[1])
		}
	}
	if len(flags) == 0 {
		t.Error("no flags found")
	}
}

func TestVersion(t *testing.T) {
	out, err := command(t, throng, nil, "--version").Output()
	must(t, err)
	if want := "throng " + version + "\n"; string(out) != want {
		t.Errorf("got %q, want %q", out, want)
	}
	log, err := os.ReadFile("CHANGELOG.md")
	must(t, err)
	if !bytes.Contains(log, []byte(version)) {
		t.Errorf("CHANGELOG.md does not know %s", version)
	}
}

func TestEnvironment(t *testing.T) {
	env := []string{"THRONG_LISTEN=127.0.0.1:0,127.0.0.1:0", "THRONG_ADMIN=", "THRONG_WORKERS=1", "THRONG_ANNOUNCE=true",
		"THRONG_VERSION=1.2.3", "THRONG_HELP=1", "THRONG_UNKNOWN=1"}
	p := serve(t, env)
	if p.one("workers") != "1" || len(p.said("page")) != 2 || p.said("operator") != nil {
		t.Errorf("the banner is %q", p.banner)
	}
	ann := connect(t, p.said("WebSocket")[1]+"?nick=ann", ws.Dialer{})
	ann.wants(ws.OpText, []byte(" .... ann has joined."))
	ann.conn.Close()
	p.stopped()
	p = serve(t, env, "--workers=2", "--listen=127.0.0.1:0")
	if p.one("workers") != "2" || len(p.said("page")) != 1 {
		t.Errorf("the command line does not go before the environment: %q", p.banner)
	}
	p.stopped()
}

func TestOperator(t *testing.T) {
	p := serve(t, nil, "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--memory=30000000")
	base := strings.TrimSuffix(p.one("operator"), "/healthz")
	for path, says := range map[string]string{

		"/healthz": "ok", "/readyz": "ready", "/metrics": "\nthrong_held_bytes_limit 20000000\n", "/debug/pprof/": "goroutine", "/debug/pprof/cmdline": "--admin",
		"/debug/pprof/goroutine?debug=1": "goroutine profile",
	} {
		if status, _, body := get(t, base+path); status != 200 || !strings.Contains(body, says) {
			t.Errorf("%s: %d, %.200q", path, status, body)
		}
	}
	if status, _, _ := get(t, base+"/"); status != 404 {
		t.Errorf("/: %d", status)
	}
	p.stopped()
	p = serve(t, nil, "--listen=127.0.0.1:0", "--admin=")
	if p.said("operator") != nil {
		t.Errorf("--admin= and yet %q", p.banner)
	}
	p.stopped()
}

func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	p := serve(t, nil, "--admin=", "--listen=127.0.0.1:0", "--listen", "unix:"+path, "--listen=:0")
	if got := p.one("socket"); got != path {
		t.Errorf("the banner has %q for %q", got, path)
	}
	pages := p.said("page")
	if len(pages) != 2 || !strings.HasPrefix(pages[0], "http://127.0.0.1:") || !strings.HasPrefix(pages[1], "http://localhost:") {
		t.Fatalf("the banner has %q", pages)
	}
	port := strings.TrimSuffix(strings.TrimPrefix(pages[1], "http://localhost:"), "/")
	urls := []string{p.said("WebSocket")[0], "ws://127.0.0.1:" + port + "/chat"}
	if six, err := net.Listen("tcp", "[::1]:0"); err == nil {
		six.Close()
		urls = append(urls, "ws://[::1]:"+port+"/chat")
	} else {
		t.Log("no IPv6 here")
	}
	var people []*person
	for _, url := range urls {
		people = append(people, connect(t, url+"?nick=p", ws.Dialer{}))
	}
	people = append(people, connect(t, "ws://localhost/chat", ws.Dialer{NetDial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}))
	for i, who := range people[1:] { // the others are told that p was taken
		if i < len(urls)-1 {
			who.wants(ws.OpText, []byte(" .... the nickname p is taken"))
		}
	}
	people[0].send(ws.OpText, []byte("hello, all"))
	for _, who := range people {
		who.wants(ws.OpText, []byte("p: hello, all"))
	}
	for _, who := range people {
		who.conn.Close()
	}
	p.stopped()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
}

func TestSignalDrains(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGTERM, os.Interrupt, syscall.SIGHUP} {
		t.Run(s.String(), func(t *testing.T) {
			if s == syscall.SIGHUP && signal.Ignored(s) {
				t.Skip("the tests run under nohup, and so would the server")
			}
			p := serve(t, nil, "--admin=", "--listen=127.0.0.1:0")
			var people []*person
			for range 40 {
				people = append(people, connect(t, p.one("WebSocket"), ws.Dialer{}))
			}
			p.signal(s)
			for _, who := range people {
				who.closed(1001)
			}
			p.exits(0)
			for _, line := range p.rest() {
				if !strings.Contains(line, "level=INFO") {
					t.Errorf("it logs %q", line)
				}
			}
		})
	}
}

// While the server drains it says that it is not ready. 200 connections to close, 16 at each tick, take a while; a second
// signal does not wait for that.
func TestSecondSignal(t *testing.T) {
	p := serve(t, nil, "--admin=127.0.0.1:0", "--listen=127.0.0.1:0", "--workers=1", "--drain=1h")
	for range 200 {
		connect(t, p.one("WebSocket"), ws.Dialer{})
	}
	p.signal(syscall.SIGTERM)
	p.logs("draining")
	ready := strings.Replace(p.one("operator"), "healthz", "readyz", 1)
	for status := 200; status != 503; { // the log is written before the state
		status, _, _ = get(t, ready)
	}
	if _, err := net.Dial("tcp", regexp.MustCompile(`127[^/]*`).FindString(p.one("page"))); err == nil {
		t.Error("it still accepts connections")
	}
	p.signal(syscall.SIGTERM)
	<-p.exited
	if s := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !s.Signaled() || s.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %v", p.cmd.ProcessState)
	}
}

// The server goes on when whoever reads its log has gone.
func TestNobodyReadsTheLog(t *testing.T) {
	cmd := command(t, throng, nil, "--admin=", "--listen=127.0.0.1:0", "--log-level=debug")
	out, err := cmd.StdoutPipe()
	must(t, err)
	log, err := cmd.StderrPipe()
	must(t, err)
	must(t, cmd.Start())
	stdout := bufio.NewScanner(out)
	p := &process{T: t}
	for stdout.Scan() && stdout.Text() != "ready" {
		p.banner = append(p.banner, stdout.Text())
	}
	must(t, log.Close())
	for range 3 {
		ann := connect(t, p.one("WebSocket"), ws.Dialer{})
		ann.send(ws.OpClose, nil) // which is logged
		ann.wants(ws.OpClose, nil)
	}
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// The page of the tutorial opens a WebSocket on /, sends what is typed and adds each text that it receives to a list. It
// may have come from a file.
func TestTutorial(t *testing.T) {
	p := serve(t, nil, "--admin=", "--listen", "127.0.0.1:0")
	url := strings.TrimSuffix(p.one("WebSocket"), "chat")
	var lists [2][]string
	var people [2]*person
	for i, origin := range []string{"null", "http://localhost:8000"} {
		people[i] = connect(t, url, ws.Dialer{Header: ws.HandshakeHeaderHTTP(http.Header{"Origin": {origin}})})
	}
	for i, who := range people {
		who.send(ws.OpText, fmt.Appendf(nil, "message %d", i))
		for j, reader := range people {
			f, err := readFrame(reader.in)
			must(t, err)
			if f.Header.OpCode != ws.OpText || !f.Header.Fin {
				t.Fatalf("a frame %v", f.Header)
			}
			lists[j] = append(lists[j], string(f.Payload))
		}
	}
	form := regexp.MustCompile(`^user-(\d+): message 0\nuser-(\d+): message 1$`)
	m := form.FindStringSubmatch(strings.Join(lists[0], "\n"))
	if m == nil || m[1] == m[2] || !slices.Equal(lists[0], lists[1]) {
		t.Errorf("the lists are %q", lists)
	}
	people[1].conn.Close()
	people[0].wants(ws.OpText, fmt.Appendf(nil, " .... user-%s has left.", m[2]))
	people[0].conn.Close()
	p.stopped()
}

func TestEcho(t *testing.T) {
	for _, limit := range []int{100, 65536, 1 << 19} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			p := launch(t, command(t, echo, nil, "--listen=127.0.0.1:0", fmt.Sprint("--max-message=", limit)), `^echo: ws://`)
			url := strings.TrimPrefix(p.banner[0], "echo: ")
			for _, op := range []ws.OpCode{ws.OpText, ws.OpBinary} {
				who := connect(t, url, ws.Dialer{})
				for _, n := range []int{0, 1, 100, limit} {
					text := bytes.Repeat([]byte("x"), n)
					who.send(op, text)
					who.wants(op, text)
				}
				many := min(1<<20/limit, 1000) // more than it can answer before it is read
				go func() {
					for range many {
						_ = ws.WriteFrame(who.conn, ws.MaskFrame(ws.NewFrame(op, true, make([]byte, limit))))
					}
				}()
				for range many {
					who.wants(op, make([]byte, limit))
				}
				// The header alone is refused. (Behind it the server would read
				// no more than 64 KiB before it hangs up.)
				must(t, ws.WriteHeader(who.conn, ws.Header{Fin: true, OpCode: op, Masked: true, Length: int64(limit) + 1}))
				who.closed(1009)
			}
			p.stopped()
		})
	}
}

// Both servers agree to compress unless they are told not to.
func TestCompressionFlag(t *testing.T) {
	offer := ws.Dialer{Extensions: []httphead.Option{wsflate.DefaultParameters.Option()}, Timeout: patience}
	for _, c := range []struct {
		flag string
		want int
	}{{"--max-message=1000", 1}, {"--compression=off", 0}} {
		p := serve(t, nil, "--listen=127.0.0.1:0", "--admin=", c.flag)
		e := launch(t, command(t, echo, nil, "--listen=127.0.0.1:0", c.flag), `^echo: ws://`)
		for _, url := range []string{p.one("WebSocket"), strings.TrimPrefix(e.banner[0], "echo: ")} {
			conn, _, hs, err := offer.Dial(t.Context(), url)
			must(t, err)
			conn.Close()
			if len(hs.Extensions) != c.want {
				t.Errorf("%s, %s: answered %v", c.flag, url, hs.Extensions)
			}
		}
		e.stopped()
		p.stopped()
	}
}
