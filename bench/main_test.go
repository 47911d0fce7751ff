package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"throng/bench/liar"
	"throng/bench/report"
)

// asMain makes the test binary be the program.
const asMain = "THRONG_BENCH_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// bench makes the program ready to run.
func bench(t *testing.T, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "/proc/self/exe", args...)
	command.Env = append(os.Environ(), asMain+"=1")
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	return command, &output
}

// invoke runs the program and returns its exit code and all that it printed.
func invoke(t *testing.T, args ...string) (code int, output string) {
	t.Helper()
	command, out := bench(t, args...)
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), out.String()
}

// lasting runs the program with a longer and longer --duration, until one was
// long enough for something to happen in it: on a busy machine little does.
func lasting(t *testing.T, happened func(code int, output string) bool, args ...string) (code int, output string) {
	t.Helper()
	for long := 30 * time.Millisecond; long < 8*time.Second; long *= 2 {
		code, output = invoke(t, append(args, "--duration", long.String())...)
		if happened(code, output) {
			break
		}
	}
	return code, output
}

// honest serves the truth for the length of a test.
func honest(t *testing.T) (url string) {
	t.Helper()
	server := &liar.Server{}
	url = server.Start()
	t.Cleanup(server.Stop)
	return url
}

func TestAPassedRunWritesItsReports(t *testing.T) {
	dir := t.TempDir()
	jsonFile, csvFile := filepath.Join(dir, "a.json"), filepath.Join(dir, "a.csv")
	code, output := invoke(t, "fanout", "--url", honest(t), "-n", "10", "--senders", "2", "--messages", "20", "--json", jsonFile, "--csv", csvFile)
	if code != 0 || !strings.Contains(output, "missing 0") {
		t.Fatalf("exit code %d\n%s", code, output)
	}
	text, err := os.ReadFile(jsonFile)
	if err != nil {
		t.Fatal(err)
	}
	var result report.Result
	if err := json.Unmarshal(text, &result); err != nil {
		t.Fatal(err)
	}
	if result.Schema != report.Schema || result.Proof.Received != 400 || result.Environment.Kernel == "" || len(result.Samples) == 0 {
		t.Errorf("the JSON report has schema %d, %d received, kernel %q, %d samples",
			result.Schema, result.Proof.Received, result.Environment.Kernel, len(result.Samples))
	}
	if text, _ := os.ReadFile(csvFile); bytes.Count(text, []byte("\n")) != len(result.Samples)+1 {
		t.Errorf("the CSV report is\n%s", text)
	}
}

// The flags of a small run need no others.
func TestFewConnectionsAndShortRates(t *testing.T) {
	code, output := invoke(t, "fanout", "--url", honest(t), "-n", "5", "--rate", "1k", "--messages", "4", "-q")
	if code != 0 || !strings.Contains(output, "20 sent, 100 due, 100 received") {
		t.Errorf("exit code %d\n%s", code, output)
	}
}

// A spawned server is asked about its inside where it listens, unless its memory
// is what is measured.
func TestTheInsideOfASpawnedServer(t *testing.T) {
	for _, test := range []struct {
		kind, scenario, procs, flag string
		code                        int
	}{
		{"inside", "fanout", "1", "--metrics=", 0}, {"inside", "fanout", "2", "--metrics=", 0},
		{"inside", "fanout", "1", "--pprof=none", exitFailed}, {"honest", "fanout", "1", "--metrics=", exitFailed},
		{"inside", "idle", "1", "--metrics=", exitFailed}, {"inside", "connect", "1", "--metrics=", exitFailed},
	} {
		address, err := freeAddress()
		if err != nil {
			t.Fatal(err)
		}
		// A run may be over before the server's first answer.
		expected := func(code int, _ string) bool { return code == test.code }
		code, output := lasting(t, expected, test.scenario, "--url", "ws://"+address+"/chat", "-n", "5", "--procs", test.procs, "-q",
			"--spawn", program(t, test.kind)+" --listen "+address, test.flag, "--fail-if", "goroutines<2", "--fail-if", "heap<1k")
		if code != test.code || strings.Contains(output, "heap was not measured") != (test.code != 0) {
			t.Errorf("%+v: exit code %d\n%s", test, code, output)
		}
	}
}

func TestALieMeans99(t *testing.T) {
	server := &liar.Server{Lie: func(d liar.Delivery) [][]byte {
		if d.Member == 3 && d.N == 5 {
			return nil
		}
		return [][]byte{d.Frame}
	}}
	url := server.Start()
	t.Cleanup(server.Stop)
	code, output := invoke(t, "fanout", "--url", url, "-n", "10", "--senders", "2", "--messages", "20", "-q")
	if code != exitFailed || !strings.Contains(output, "FAILED") || !strings.Contains(output, "1 deliveries missing") {
		t.Errorf("exit code %d\n%s", code, output)
	}
}

// A server that stalls until the end did not keep up with the rate, and every
// report says so.
func TestARateThatWasNotKeptMeans99(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := &liar.Server{Stall: func(n int) {
		if n == 20 {
			<-release
		}
	}}
	url := server.Start()
	t.Cleanup(server.Stop)
	t.Cleanup(func() { close(release) })
	dir := t.TempDir()
	jsonFile, htmlFile := filepath.Join(dir, "a.json"), filepath.Join(dir, "a.html")
	code, output := invoke(t, "fanout", "--url", url, "-n", "10", "--senders", "2", "--rate", "500", "--window", "4", "--warmup", "0s",
		"--duration", "1s", "--patience", "2s", "--json", jsonFile, "--html", htmlFile)
	if code != exitFailed || !strings.Contains(output, "not sent") || !strings.Contains(output, "could not be sent") {
		t.Errorf("exit code %d\n%s", code, output)
	}
	text, _ := os.ReadFile(jsonFile)
	var r report.Result
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if d := &r.Delivery; d.Sent > 27 || d.Sent+d.NotSent != 500 || r.Latency.Corrected.P50 < 4e8 {
		t.Errorf("the JSON report has %d sent, %d not sent and a median of %s", d.Sent, d.NotSent, report.Duration(r.Latency.Corrected.P50))
	}
	if page, _ := os.ReadFile(htmlFile); !bytes.Contains(page, []byte("due and not sent")) || !bytes.Contains(page, []byte("could not be sent")) {
		t.Error("the page does not say what was not sent")
	}
}

// What was not sent fails a run that nothing else explains.
func TestUnsentMessagesAreJudged(t *testing.T) {
	for _, test := range []struct {
		name             string
		notSent          int64
		explain          func(r *report.Result)
		failures, warned int
	}{
		{"none", 0, nil, 0, 0},
		{"some that were just due", 9, nil, 0, 0},
		{"one in fifty", 20, nil, 0, 1},
		{"a tenth", 100, nil, 1, 0},
		{"the load generator was late", 100, func(r *report.Result) { r.Load.WasBottleneck = true }, 0, 2},
		{"cut short", 100, func(r *report.Result) { r.CutShort = "interrupted" }, 0, 1},
		{"a ramp", 100, func(r *report.Result) { r.Limit = "latency" }, 0, 1},
		{"storms", 100, func(r *report.Result) { r.Storm = &report.Storm{Rounds: 1} }, 0, 1},
		{"senders were closed", 100, func(r *report.Result) { r.Proof.Closed = 1 }, 1, 1},
		{"senders never connected", 100, func(r *report.Result) { r.Connect.Failed = 1 }, 1, 1},
	} {
		r := &report.Result{}
		r.Delivery.Sent, r.Delivery.NotSent = 1000-test.notSent, test.notSent
		if test.explain != nil {
			test.explain(r)
		}
		judge(r, &common{})
		if len(r.Failures) != test.failures || len(r.Warnings) != test.warned {
			t.Errorf("%s: failures %q, warnings %q", test.name, r.Failures, r.Warnings)
		}
	}
}

func TestFailIf(t *testing.T) {
	url := honest(t)
	for condition, want := range map[string]int{"p99<1h": exitFailed, "p99>1h": 0, "missing>0": 0, "rate>0": exitFailed, "rss>100g": exitFailed} {
		code, output := invoke(t, "fanout", "--url", url, "-n", "10", "--messages", "20", "-q", "--fail-if", condition)
		if code != want {
			t.Errorf("%s: exit code %d, want %d\n%s", condition, code, want, output)
		}
	}
}

func TestSeveralProcessesAreOne(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.json")
	code, output := invoke(t, "fanout", "--url", honest(t), "-n", "31", "--senders", "5", "--messages", "20", "--procs", "3", "--json", file)
	text, _ := os.ReadFile(file)
	var r report.Result
	if err := json.Unmarshal(text, &r); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v\n%s", code, err, output)
	}
	p := &r.Proof
	if p.Sent != 100 || p.Expected != 3100 || p.Received != 3100 || !p.OneOrder || r.Connect.Opened != 31 || r.Load.Processes != 3 {
		t.Errorf("sent %d, expected %d, received %d, one order %v, %d opened by %d", p.Sent, p.Expected, p.Received, p.OneOrder,
			r.Connect.Opened, r.Load.Processes)
	}
	if l := &r.Latency; l.Corrected.Count != 3100 || l.Last.Count != 100 || l.Incomplete != 0 {
		t.Errorf("%d deliveries and %d broadcasts were measured, %d incomplete; want 3100, 100 and 0", l.Corrected.Count, l.Last.Count, l.Incomplete)
	}
}

func TestBadInputIsAClearLine(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "a page") }))
	t.Cleanup(page.Close)
	forbidden := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "origin not allowed", http.StatusForbidden)
	}))
	t.Cleanup(forbidden.Close)
	wrong := &liar.Server{Answer: func(w io.Writer, _ *http.Request) {
		io.WriteString(w, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n")
	}}
	wrongURL := wrong.Start()
	t.Cleanup(wrong.Stop)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, by its backlog, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	ws := func(url string) string { return "ws" + strings.TrimPrefix(url, "http") + "/" }
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"unreachable", []string{"fanout", "--url", "ws://127.0.0.1:1/chat", "-n", "10"}, "connection refused"},
		{"no WebSocket server", []string{"fanout", "--url", ws(page.URL), "-n", "10"}, "upgrade refused: 200 OK: a page"},
		{"refused", []string{"fanout", "--url", ws(forbidden.URL), "-n", "10"}, "403 Forbidden: origin not allowed"},
		{"wrong accept", []string{"fanout", "--url", wrongURL, "-n", "10"}, "Sec-WebSocket-Accept does not fit"},
		{"silent", []string{"fanout", "--url", "ws://" + silent.Addr().String(), "-n", "10", "--handshake", "50ms"}, "no answer to the upgrade request"},
		{"no URL", []string{"fanout", "--url", "localhost:8080"}, "is not of the form ws://HOST"},
		{"wss", []string{"fanout", "--url", "wss://localhost/"}, "is not of the form ws://HOST"},
		{"no number", []string{"fanout", "--conns", "many"}, "is not a number such as"},
		{"no figure", []string{"fanout", "--fail-if", "speed>9"}, `there is no figure "speed"`},
		{"no value", []string{"fanout", "--fail-if", "p99>fast"}, "is not a duration with its unit"},
		{"no unit", []string{"fanout", "--fail-if", "p99>50"}, `"50" is not a duration with its unit, such as 50ms`},
		{"no rate", []string{"fanout", "--rate", "nan"}, "is not a number such as"},
		{"no goroutines", []string{"fanout", "--url", ws(page.URL), "-n", "10", "--pprof", page.URL}, "neither goroutines nor heap"},
		{"no metrics", []string{"fanout", "--url", ws(page.URL), "-n", "10", "--metrics", "http://127.0.0.1:1"}, "--metrics: Get"},
		{"no such page", []string{"fanout", "--url", ws(forbidden.URL), "-n", "10", "--pprof", forbidden.URL}, "403 Forbidden"},
		{"too many senders", []string{"fanout", "-n", "5", "--senders", "6"}, "6 senders in each of 1 rooms are not among 5 connections"},
		{"no slow member", []string{"slow", "-n", "5", "--senders", "5"}, "no member would be slow"},
		{"too few slow members", []string{"slow", "-n", "20", "--senders", "5", "--share", "0.04", "--procs", "2"}, "no member would be slow"},
		{"too few descriptors", []string{"idle", "-n", "50m"}, "use --procs"},
		{"unwritable report", []string{"fanout", "--json", "/nowhere/a.json"}, "a report cannot be written"},
		{"spawned command ends", []string{"fanout", "--spawn", "echo broken; exit 3", "--url", "ws://127.0.0.1:1/"}, "broken"},
		{"process is none", []string{"fanout", "--pid", "99999999", "--url", ws(page.URL), "-n", "10"}, "no such file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			code, output := invoke(t, test.args...)
			if code != exitError || !strings.Contains(output, test.want) {
				t.Errorf("exit code %d, want %d and %q\n%s", code, exitError, test.want, output)
			}
		})
	}
}
