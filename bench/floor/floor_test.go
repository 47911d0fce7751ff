package floor_test

import (
	"os"
	"testing"
	"time"

	"throng/bench/floor"
)

func TestMeasureFindsFiguresAndLeavesNothingOpen(t *testing.T) {
	open := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	before := open()
	got, err := floor.Measure(floor.Config{Conns: 50, Bytes: 74, Duration: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if got.WriteNs <= 0 || got.EchoP50Ns <= 0 || got.EchoP99Ns < got.EchoP50Ns {
		t.Errorf("got %+v", got)
	}
	if after := open(); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}
