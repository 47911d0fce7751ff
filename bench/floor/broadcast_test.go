package floor_test

import (
	"os"
	"runtime"
	"testing"
	"time"

	"throng/bench/floor"
)

func TestABroadcastIsMeasured(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	for _, server := range []int{0, os.Getpid()} {
		ns, err := floor.Broadcast(floor.Config{Conns: 50, Bytes: 74, Duration: 20 * time.Millisecond, Server: server})
		if err != nil || ns < 100 || ns > 1e7 {
			t.Errorf("server %d: %.0f ns, %v", server, ns, err)
		}
	}
	if after := runtime.GOMAXPROCS(0); after != before {
		t.Errorf("GOMAXPROCS was %d and is %d", before, after)
	}
	if _, err := floor.Broadcast(floor.Config{Conns: 5, Bytes: 74, Server: -1}); err == nil {
		t.Error("a process that does not exist is no error")
	}
}
