package floor_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"throng/bench/floor"
)

func TestMain(m *testing.M) {
	if os.Getenv(floor.Environ) != "" {
		os.Exit(floor.Read())
	}
	os.Exit(m.Run())
}

// open counts this process's descriptors.
func open(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

func TestMeasureFindsFiguresAndLeavesNothingOpen(t *testing.T) {
	var before int
	for range 2 { // the runtime keeps some descriptors after the first time
		before = open(t)
		got, err := floor.Measure(t.Context(), floor.Config{Conns: 50, Bytes: 74, Server: os.Getpid()}) // the least there is
		if err != nil {
			t.Fatal(err)
		}
		if got.WriteLowNs <= 0 || got.WriteNs < got.WriteLowNs || got.WriteHighNs < got.WriteNs || got.WriteWallNs < got.WriteLowNs ||
			got.EchoP50Ns <= 0 || got.EchoP99Ns < got.EchoP50Ns {
			t.Errorf("got %+v", got)
		}
	}
	if after := open(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestMeasureCanBeGivenUp(t *testing.T) {
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := floor.Measure(ctx, floor.Config{Conns: 50, Bytes: 74, Duration: time.Hour}); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}

func TestTheReaderSaysWhyItFails(t *testing.T) {
	for environ, want := range map[string]string{"1 1 1": "connect: connection refused", "none": "expected integer"} {
		command := exec.CommandContext(t.Context(), "/proc/self/exe")
		command.Env = append(os.Environ(), floor.Environ+"="+environ)
		output, err := command.CombinedOutput()
		if err == nil || !strings.Contains(string(output), want) {
			t.Errorf("%s: %v, %q, want %q", environ, err, output, want)
		}
	}
}
