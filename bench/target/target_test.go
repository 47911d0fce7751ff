package target_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
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

func TestGoroutinesAreRead(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	// The second question comes when the first answer is taken.
	asked, questions := make(chan struct{}), 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if questions++; questions == 2 {
			close(asked)
		}
		fmt.Fprintf(w, "goroutine profile: total 42\n")
	}))
	defer server.Close()
	var g target.Goroutines
	done := make(chan struct{})
	go func() {
		g.Follow(ctx, server.URL)
		close(done)
	}()
	<-asked
	cancel()
	<-done
	if g.Count() != 42 {
		t.Errorf("%d goroutines, want 42", g.Count())
	}
}

func TestEnvironmentIsFilled(t *testing.T) {
	e := target.Environment()
	if e.Go == "" || e.Kernel == "" || e.Processor == "" || e.Processors < 1 || e.MemoryB < 1<<20 || e.OpenFiles == 0 || e.PortRange == "" {
		t.Errorf("got %+v", e)
	}
}
