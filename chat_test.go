package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

// chatter makes "throng chat" with a folder of its own for tokens.
func chatter(t *testing.T, state, url string, args ...string) *exec.Cmd {
	t.Helper()
	return command(t, throng, []string{"XDG_STATE_HOME=" + state, "TERM=xterm-256color", "LANG=C.UTF-8", "LC_ALL=C.UTF-8"},
		append([]string{"chat", url, "--timeout=" + patience.String()}, args...)...)
}

// pipes runs it with an input to its end.
func pipes(t *testing.T, cmd *exec.Cmd, input string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// quietServer starts a server for a chat.
func quietServer(t *testing.T) (p *process, url string) {
	t.Helper()
	p = serve(t, nil, "--listen", "127.0.0.1:0", "--admin=", "--workers", "1")
	return p, strings.TrimSuffix(p.one("WebSocket"), "/chat")
}

// What is piped in is said, all of it and in order, and the process ends when it is confirmed.
func TestChatSays(t *testing.T) {
	p, url := quietServer(t)
	ann := connect(t, url+"/chat/ops?nick=ann", ws.Dialer{})
	state := t.TempDir()
	var input, want strings.Builder
	for i := range 100 {
		input.WriteString("line " + strconv.Itoa(i) + "\n")
		want.WriteString("bob: line " + strconv.Itoa(i) + "\n")
	}
	stdout, stderr, code := pipes(t, chatter(t, state, url, "--room=ops", "--nick=bob"), input.String()+"/quit\nno newline")
	if stdout != "" || stderr != "" || code != 0 {
		t.Errorf("stdout %q, stderr %q, exit code %d", stdout, stderr, code)
	}
	for line := range strings.Lines(want.String() + "bob: /quit\nbob: no newline\n") {
		ann.wants(ws.OpText, []byte(strings.TrimSuffix(line, "\n")))
	}
	// Who comes back is the same, from a file that nobody else can read.
	files, err := filepath.Glob(state + "/throng/*")
	must(t, err)
	if len(files) != 1 {
		t.Fatalf("files %q", files)
	}
	info, err := os.Stat(files[0])
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("%s has mode %v", files[0], info.Mode())
	}
	stdout, stderr, code = pipes(t, chatter(t, state, url+"/chat/ops", "--lines"), "as before\n")
	if !regexp.MustCompile(`^\d\d:\d\d bob: as before\n$`).MatchString(stdout) || stderr != "" || code != 0 {
		t.Errorf("stdout %q, stderr %q, exit code %d", stdout, stderr, code)
	}
	ann.wants(ws.OpText, []byte("bob: as before"))
	pipes(t, chatter(t, state, url+"/chat/ops", "--no-token"), "somebody new\n")
	f, err := readFrame(ann.in)
	must(t, err)
	if !regexp.MustCompile(`^user-\d+: somebody new$`).Match(f.Payload) {
		t.Errorf("heard %q", f.Payload)
	}
	p.stopped()
}

// What is heard comes as lines, or as objects, until somebody interrupts it.
func TestChatHears(t *testing.T) {
	p, url := quietServer(t)
	const evil = "one\ntwo \x1b[31m\u009b"
	ann := connect(t, url+"/chat/ops?nick=ann", ws.Dialer{})
	say := func(text string) {
		ann.send(ws.OpText, []byte(text))
		ann.wants(ws.OpText, []byte("ann: "+text))
	}
	for _, c := range []struct {
		args   []string
		prefix []string // of the lines
	}{
		{[]string{"--follow"}, []string{"T ann: one␊two ␛[31m<U+009B>", "T ann: more"}},
		{[]string{"--follow", "--room=garden"}, []string{"T #ops ann: one␊two ␛[31m<U+009B>", "T #ops ann: more"}},
		{[]string{"--json", "--follow"}, []string{`{"t":"joined","room":"ops",`, `{"t":"msg","seq":`, `{"t":"msg","seq":`}},
	} {
		say(evil)
		cmd := chatter(t, t.TempDir(), url, append([]string{"--room=ops", "--history=1", "--no-token"}, c.args...)...)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for i, want := range c.prefix {
			if !lines.Scan() {
				t.Fatalf("%q: no line %d", c.args, i)
			}
			got := regexp.MustCompile(`^\d\d:\d\d`).ReplaceAllString(lines.Text(), "T")
			if strings.Contains(got, `"presence"`) && lines.Scan() { // whoever was in the room before
				got = lines.Text()
			}
			if !strings.HasPrefix(got, want) || strings.ContainsAny(got, "\x1b\u009b") {
				t.Errorf("%q: %q, want %q", c.args, got, want)
			}
			if strings.HasPrefix(got, `{"t":"msg"`) {
				var m struct{ Text string }
				must(t, json.Unmarshal([]byte(got), &m))
				if m.Text != evil && m.Text != "more" {
					t.Errorf("%q: the text is %q", c.args, m.Text)
				}
			}
			if i == len(c.prefix)-2 {
				say("more")
			}
		}
		must(t, cmd.Process.Signal(os.Interrupt))
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%q, interrupted: %v", c.args, err)
		}
	}
	p.stopped()
}

// What cannot be done ends with one clear line.
func TestChatFails(t *testing.T) {
	p, url := quietServer(t)
	nobody := "ws://127.0.0.1:1"
	for _, c := range []struct {
		url, input string
		args       []string
		code       int
		says       string
	}{
		{nobody, "hi\nho\n", []string{"--timeout=50ms"}, 1, "2 lines not confirmed within 50ms"},
		{nobody, "hi\n", []string{"--timeout=50ms"}, 1, "one line not confirmed within 50ms"},
		{url, strings.Repeat("x", 20_000) + "\nok\n", nil, 1, "1 of the lines were not said"},
		{url, strings.Repeat("x", 2<<20), nil, 1, "a line of the input has more than 1048576 bytes"},
		{url + "/nowhere", "hi\n", nil, 2, "the path is /chat or /chat/ROOM"},
		{url + "/page/chat", "hi\n", nil, 1, "HTTP status 404"},
		{url, "", []string{"--room=a b"}, 2, "bad room"},
		{"ftp://there", "", nil, 2, "begins with ws://"},
		{url, "", []string{"--timeout=0s"}, 2, "--timeout"},
		{url, "", []string{"--history=-7"}, 2, "--history"},
	} {
		stdout, stderr, code := pipes(t, chatter(t, t.TempDir(), c.url, c.args...), c.input)
		if stdout != "" || !strings.Contains(stderr, c.says) || strings.Contains(stderr, "goroutine") || code != c.code {
			t.Errorf("%s %q: stdout %q, stderr %q, exit code %d; want %d and %q", c.url, c.args, stdout, stderr, code, c.code, c.says)
		}
	}
	if _, stderr, code := pipes(t, chatter(t, t.TempDir(), nobody), ""); code != 0 || stderr != "" {
		t.Errorf("nothing to say: stderr %q, exit code %d", stderr, code)
	}
	p.stopped()
}

// terminalPair opens a pseudo-terminal of 60 by 12.
func terminalPair(t *testing.T) (near, far *os.File) {
	t.Helper()
	near, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	must(t, err)
	t.Cleanup(func() { near.Close() })
	fd := int(near.Fd())
	must(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	must(t, err)
	must(t, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 12, Col: 60}))
	far, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|syscall.O_NOCTTY, 0)
	must(t, err)
	return near, far
}

// On a terminal it is a full screen, which is left as it was found.
func TestChatOnTerminal(t *testing.T) {
	p, url := quietServer(t)
	bob := connect(t, url+"/chat/ops?nick=bob", ws.Dialer{})
	near, far := terminalPair(t)
	cmd := chatter(t, t.TempDir(), url, "--room=ops", "--nick=ann")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = far, far, far
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	must(t, cmd.Start())
	far.Close()

	shown := make(chan string, 10_000)
	go func() {
		defer close(shown)
		for b := make([]byte, 4096); ; {
			n, err := near.Read(b)
			if err != nil {
				return // EIO: the other end is closed
			}
			shown <- string(b[:n])
		}
	}()
	var seen strings.Builder
	waits := func(text string) {
		t.Helper()
		for late := time.After(patience); !strings.Contains(seen.String(), text); {
			select {
			case s, ok := <-shown:
				if seen.WriteString(s); !ok {
					t.Fatalf("it ended without showing %q: %q", text, seen.String())
				}
			case <-late:
				t.Fatalf("it does not show %q: %q", text, seen.String())
			}
		}
		seen.Reset()
	}
	waits("ann | connected")
	bob.send(ws.OpText, []byte("hello \x1b[31m日本"))
	waits("␛[31m") // each wide character has a place of its own
	_, err := near.WriteString("good day\r")
	must(t, err)
	bob.wants(ws.OpText, []byte("bob: hello \x1b[31m日本"))
	bob.wants(ws.OpText, []byte("ann: good day"))
	_, err = near.WriteString("\x03")
	must(t, err)
	waits("\x1b[?1049l") // back to the screen that was there before
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	p.stopped()
}

func TestHelpOfCommands(t *testing.T) {
	out, err := command(t, throng, nil, "--help").Output()
	must(t, err)
	for _, want := range []string{"throng serve ", "throng chat ", "throng chat --help", "--listen="} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if out, err = command(t, throng, []string{"COLUMNS=200"}, "chat", "--help").Output(); err != nil || !bytes.Contains(out, []byte("($THRONG_NICK)")) {
		t.Errorf("%v: %s", err, out)
	}
}
