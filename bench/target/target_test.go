package target_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/pprof"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"throng/bench/target"
)

// asServer makes the test binary listen at an address, until it is stopped.
const asServer = "THRONG_BENCH_TEST_LISTEN"

func TestMain(m *testing.M) {
	if address := os.Getenv(asServer); address != "" {
		fmt.Println("listening")
		http.ListenAndServe(address, nil)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// freeAddress is one that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func TestSpawnMeasureStop(t *testing.T) {
	address := freeAddress(t)
	p, err := target.Spawn(t.Context(), fmt.Sprintf("env %s=%s %s", asServer, address, "/proc/"+fmt.Sprint(os.Getpid())+"/exe"), address)
	if err != nil {
		t.Fatal(err)
	}
	u, err := target.Measure(p.PID())
	if err != nil || u.RSS < 1<<20 || u.FDs < 3 || u.Threads < 1 {
		t.Errorf("usage %+v, %v", u, err)
	}
	if _, err := target.Spawn(t.Context(), "sleep 100", address); err == nil || !strings.Contains(err.Error(), "already listens") {
		t.Errorf("a second server at the address: %v", err)
	}
	p.Stop()
	if _, err := target.Measure(p.PID()); err == nil {
		t.Error("it is still there after Stop")
	}
	if !strings.Contains(p.Output(), "listening") {
		t.Errorf("its output is %q", p.Output())
	}
}

// Whatever the command line is, the server behind it is what is measured and
// stopped.
func TestSpawnTakesAnyCommandLine(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, name := filepath.Split(self)
	for _, form := range []string{
		"cd %[1]s && %[2]s=%[3]s ./%[4]s",
		"cd %[1]s; %[2]s=%[3]s ./%[4]s; echo its shell is still there",
		"exec env %[2]s=%[3]s %[1]s%[4]s",
		"%[2]s=%[3]s %[1]s%[4]s | cat",
	} {
		address := freeAddress(t)
		line := fmt.Sprintf(form, dir, asServer, address, name)
		p, err := target.Spawn(t.Context(), line, address)
		if err != nil {
			t.Fatal(err)
		}
		program, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.PID()))
		if piped := strings.Contains(line, "|"); !piped && program != self {
			t.Errorf("%s: %s is measured", line, program)
		}
		if got := fmt.Sprint(target.Listeners(p.PID())); got != "["+address+"]" {
			t.Errorf("%s: it listens at %s", line, got)
		}
		p.Stop()
		// Of a pipeline's commands the end of the output is known, which is a moment
		// before their own.
		for connection, err := net.Dial("tcp", address); err == nil && t.Context().Err() == nil; connection, err = net.Dial("tcp", address) {
			connection.Close()
			if !strings.Contains(line, "|") {
				t.Fatalf("%s: it still listens after Stop", line)
			}
		}
	}
}

func TestTheEndOfAServerIsTold(t *testing.T) {
	address := freeAddress(t)
	p, err := target.Spawn(t.Context(), fmt.Sprintf("env %s=%s %s", asServer, address, "/proc/"+fmt.Sprint(os.Getpid())+"/exe"), address)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	if err := p.Ended(false); err != nil {
		t.Errorf("it has not ended: %v", err)
	}
	syscall.Kill(p.PID(), syscall.SIGKILL)
	<-p.Exited()
	var end *target.EndError
	if err := p.Ended(false); !errors.As(err, &end) || end.Status != "signal: killed" || !strings.Contains(end.Output, "listening") {
		t.Errorf("it has ended: %v", err)
	}
}

func TestSpawnGivesUp(t *testing.T) {
	if _, err := target.Spawn(t.Context(), "echo no luck; exit 7", freeAddress(t)); err == nil || !strings.Contains(err.Error(), "no luck") {
		t.Errorf("a command that ends: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := target.Spawn(ctx, "sleep 100", freeAddress(t)); err == nil {
		t.Error("a canceled start succeeds")
	}
}

// behave makes a server that tells of its inside in one of the two ways.
func behave(t *testing.T, mux *http.ServeMux) (url string) {
	t.Helper()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func page(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
}

func TestTheInsideIsFoundAndFollowed(t *testing.T) {
	metrics, profiles, both, neither := http.NewServeMux(), http.NewServeMux(), http.NewServeMux(), http.NewServeMux()
	const exposition = "# TYPE go_goroutines gauge\ngo_goroutines 42\ngo_memstats_heap_alloc_bytes 1.5e+06\n"
	metrics.HandleFunc("/metrics", page(exposition))
	both.HandleFunc("/metrics", page(exposition))
	both.HandleFunc("/debug/pprof/", pprof.Index)
	profiles.HandleFunc("/debug/pprof/", pprof.Index)
	neither.HandleFunc("/", page("welcome"))
	useless := behave(t, neither)
	for _, test := range []struct {
		mux     *http.ServeMux
		metrics bool
	}{{metrics, true}, {both, true}, {profiles, false}} {
		url := behave(t, test.mux)
		source, ok := target.Find(t.Context(), []string{"http://127.0.0.1:1", useless, url})
		if !ok || source.Metrics != test.metrics || !strings.HasPrefix(source.URL, url) {
			t.Fatalf("found %+v, %v", source, ok)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var f target.Follower
		done := make(chan struct{})
		go func() {
			f.Follow(ctx, source)
			close(done)
		}()
		for f.Last() == (target.Inside{}) && t.Context().Err() == nil {
			runtime.Gosched()
		}
		cancel()
		<-done
		got := f.Last()
		if test.metrics && got != (target.Inside{Goroutines: 42, Heap: 1_500_000}) {
			t.Errorf("metrics: %+v", got)
		}
		if !test.metrics && (got.Goroutines < 2 || got.Heap < 1000) { // those of this test
			t.Errorf("profiles: %+v", got)
		}
	}
	if source, ok := target.Find(t.Context(), []string{useless}); ok {
		t.Errorf("found %+v at a server that does not tell", source)
	}
}

func TestSourcesAreNamedWithOrWithoutTheirPath(t *testing.T) {
	for given, want := range map[target.Source]string{
		target.Pprof("http://a:1"): "http://a:1/debug/pprof/", target.Pprof("http://a:1/debug/pprof"): "http://a:1/debug/pprof/",
		target.Pprof("http://a:1/x/debug/pprof/"): "http://a:1/x/debug/pprof/",
		target.Metrics("http://a:1"):              "http://a:1/metrics", target.Metrics("http://a:1/"): "http://a:1/metrics",
		target.Metrics("http://a:1/x/prom"): "http://a:1/x/prom",
	} {
		if given.URL != want {
			t.Errorf("%s, want %s", given.URL, want)
		}
	}
}

func TestListenersAreFound(t *testing.T) {
	before := target.Listeners(os.Getpid())
	var want []string
	for _, at := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0"} {
		network := "tcp4"
		if at[0] == '[' {
			network = "tcp6"
		}
		listener, err := net.Listen(network, at)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		want = append(want, strings.Replace(listener.Addr().String(), "0.0.0.0", "127.0.0.1", 1))
	}
	var got []string
	for _, address := range target.Listeners(os.Getpid()) {
		if !slices.Contains(before, address) {
			got = append(got, address.String())
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

func TestEnvironmentIsFilled(t *testing.T) {
	e := target.Environment()
	if e.Go == "" || e.Kernel == "" || e.Processor == "" || e.Processors < 1 || e.MemoryB < 1<<20 || e.OpenFiles == 0 || e.PortRange == "" {
		t.Errorf("got %+v", e)
	}
}

// The runtime of a Go server tells its goroutines and what is left after a
// collection.
func TestReadRuntime(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	server := httptest.NewServer(mux)
	defer server.Close()
	kept := make([]byte, 32<<20)
	before, err := target.ReadRuntime(t.Context(), server.URL)
	if err != nil || before.Goroutines < 2 || before.HeapLive < int64(len(kept)) {
		t.Fatalf("%+v, %v", before, err)
	}
	runtime.KeepAlive(kept)
	kept = nil
	if after, err := target.ReadRuntime(t.Context(), server.URL); err != nil || after.HeapLive > before.HeapLive-16<<20 {
		t.Errorf("%+v, then %+v, %v", before, after, err)
	}
	bare := httptest.NewServer(http.NotFoundHandler())
	defer bare.Close()
	if r, err := target.ReadRuntime(t.Context(), bare.URL); err == nil {
		t.Errorf("a server without profiles has %+v", r)
	}
}

// The kernel tells what it holds for the sockets of a port.
func TestMeasureSockets(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if _, err := client.Write(make([]byte, 20_000)); err != nil {
		t.Fatal(err)
	}
	s, err := target.MeasureSockets(t.Context(), listener.Addr().(*net.TCPAddr).AddrPort().Port())
	if errors.Is(err, target.ErrNoTool) {
		t.Skip(err)
	}
	if err != nil || s.Count != 1 || s.Sum < 20_000 || s.Largest != s.Sum {
		t.Errorf("%+v, %v", s, err)
	}
}
