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
// Members that joined one after the other lie in memory like that, or scattered, as in a room where people come and go.
func BenchmarkMillion(b *testing.B) {
	for _, members := range []int{1_000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint("in-order/", members), func(b *testing.B) {
			million(b, members, func(i int) int { return i })
		})
	}
	for _, members := range []int{1_000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint("scattered/", members), func(b *testing.B) {
			million(b, members, func(i int) int { return int(uint64(i) * scatter % uint64(members)) })
		})
	}
}

// scatter has no divisor in common with a power of ten: its multiples modulo one are each number once, far from each other.
const scatter = 618_033_989

func million(b *testing.B, members int, order func(i int) int) {
	before := heap()
	m, all := join(make([]sink, members), order)
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
}
