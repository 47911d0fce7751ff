package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// The tests of the command line start the built binary, as a person would. What
// happens is waited for on its output; nothing sleeps or measures time.

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

// binaries is where build puts them.
var binaries string

func TestMain(m *testing.M) {
	var err error
	if binaries, err = os.MkdirTemp("", "throng"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(binaries)
	os.Exit(code)
}

var throng, echo = build("."), build("./examples/echo")

// build builds a command when it is first needed.
func build(pkg string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		path := filepath.Join(binaries, "bin-"+filepath.Base(pkg))
		out, err := exec.Command("go", "build", "-o", path, pkg).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
		return path, err
	})
}

// process is a command that runs.
type process struct {
	*testing.T
	cmd    *exec.Cmd
	banner []string
	stderr <-chan string // its lines
	exited chan struct{}
}

// command makes a command with a clean environment and the variables given.
func command(t *testing.T, binary func() (string, error), env []string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := binary()
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "THRONG_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// launch starts a command and returns when it has said that it is up: with ready
// as its last word, which matches last.
func launch(t *testing.T, cmd *exec.Cmd, last string) *process {
	t.Helper()
	out, err := cmd.StdoutPipe()
	must(t, err)
	errs, err := cmd.StderrPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := make(chan string, 10_000)
	p := &process{T: t, cmd: cmd, stderr: lines, exited: make(chan struct{})}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(lines)
		for s := bufio.NewScanner(errs); s.Scan(); {
			lines <- s.Text()
		}
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-p.exited })
	up := false
	stdout := bufio.NewScanner(out)
	for !up && stdout.Scan() {
		p.banner = append(p.banner, stdout.Text())
		up = regexp.MustCompile(last).MatchString(stdout.Text())
	}
	go func() {
		defer close(p.exited)
		_, _ = io.Copy(io.Discard, out)
		<-read
		_ = cmd.Wait()
	}()
	if !up {
		<-p.exited
		t.Fatalf("it ended with %v; stdout %q, stderr %q", cmd.ProcessState, p.banner, p.rest())
	}
	return p
}

// serve starts throng.
func serve(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	return launch(t, command(t, throng, env, args...), `^ready$`)
}

// said is what the banner says behind a word, in each of its lines that has it.
func (p *process) said(word string) (values []string) {
	for _, line := range p.banner {
		if value, ok := strings.CutPrefix(line, "  "+word+" "); ok {
			values = append(values, strings.TrimSpace(value))
		}
	}
	return values
}

// one is the only value that the banner has behind a word.
func (p *process) one(word string) string {
	p.Helper()
	values := p.said(word)
	if len(values) != 1 {
		p.Fatalf("the banner has %q for %s", values, word)
	}
	return values[0]
}

// rest is what there is on stderr until the end of the process.
func (p *process) rest() (lines []string) {
	for line := range p.stderr {
		lines = append(lines, line)
	}
	return lines
}

// logs waits for a line on stderr.
func (p *process) logs(word string) {
	p.Helper()
	for line := range p.stderr {
		if strings.Contains(line, word) {
			return
		}
	}
	p.Fatalf("it ended without saying %q", word)
}

func (p *process) signal(s os.Signal) { p.Helper(); must(p.T, p.cmd.Process.Signal(s)) }

// exits asserts the exit code.
func (p *process) exits(code int) {
	p.Helper()
	<-p.exited
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.Errorf("%v, want exit code %d; stderr %q", p.cmd.ProcessState, code, p.rest())
	}
}

// stopped ends a process that is no longer needed.
func (p *process) stopped() { p.Helper(); p.signal(syscall.SIGTERM); p.exits(0) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// get fetches a page.
func get(t *testing.T, url string) (status int, header http.Header, body string) {
	t.Helper()
	c := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Get(url)
	must(t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	must(t, err)
	return r.StatusCode, r.Header, string(b)
}

// person is somebody who is connected.
type person struct {
	*testing.T
	conn net.Conn
	in   *bufio.Reader
}

// connect opens a WebSocket.
func connect(t *testing.T, url string, d ws.Dialer) *person {
	t.Helper()
	d.Timeout = patience
	conn, in, _, err := d.Dial(t.Context(), url)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	if in == nil {
		in = bufio.NewReader(conn)
	}
	return &person{t, conn, in}
}

func (p *person) send(op ws.OpCode, payload []byte) {
	p.Helper()
	must(p.T, ws.WriteFrame(p.conn, ws.MaskFrame(ws.NewFrame(op, true, payload))))
}

// readFrame reads one frame.
func readFrame(r io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(r); err == nil {
		f.Payload = make([]byte, f.Header.Length)
		_, err = io.ReadFull(r, f.Payload)
	}
	return f, err
}

// wants asserts what the next frame is.
func (p *person) wants(op ws.OpCode, payload []byte) {
	p.Helper()
	f, err := readFrame(p.in)
	must(p.T, err)
	if f.Header.OpCode != op || !f.Header.Fin || !bytes.Equal(f.Payload, payload) {
		p.Fatalf("got %v %.100q, want %v %.100q", f.Header, f.Payload, op, payload)
	}
}

// closed asserts that the next frame is a close frame with that code.
func (p *person) closed(code ws.StatusCode) {
	p.Helper()
	f, err := readFrame(p.in)
	must(p.T, err)
	if got, _ := ws.ParseCloseFrameData(f.Payload); f.Header.OpCode != ws.OpClose || got != code {
		p.Fatalf("got %v %.100q, want a close with %d", f.Header, f.Payload, code)
	}
	p.conn.Close()
}
