package room_test

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// processorTime is what this thread has used, which does not depend on what else the machine does.
func processorTime(b *testing.B) time.Duration {
	const thread = 1 // RUSAGE_THREAD
	var usage syscall.Rusage
	if err := syscall.Getrusage(thread, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkMillion has up to a million members in one room, and publishes one message after the other to all of them. A
// member's memory is all that there is of it in this package and its Peer's struct, of 8 bytes here: no connection, no socket.
func BenchmarkMillion(b *testing.B) {
	for _, members := range []int{1_000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(members), func(b *testing.B) {
			before := heap()
			m, all := sinks(members)
			bytes := heap() - before
			r, fanout := all[0].mem.Room(), m.Fanout(0)
			message := same(frame(1, false, 64))
			turns := 0
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			began := processorTime(b)
			for b.Loop() {
				r.Publish(message, nil)
				for more := true; more; turns++ {
					more = fanout.Turn(128, nil)
				}
			}
			used := float64(processorTime(b) - began)
			for i := range all {
				if got := all[i].bytes; got != b.N*len(message.frame) {
					b.Fatalf("member %d got %d bytes of %d", i, got, b.N*len(message.frame))
				}
			}
			b.ReportMetric(float64(bytes)/float64(members), "B/member")
			b.ReportMetric(used/float64(b.N)/float64(members), "ns/delivery")
			b.ReportMetric(used/float64(turns), "ns/turn")
			b.ReportMetric(0, "ns/op")
			runtime.KeepAlive(m)
		})
	}
}
