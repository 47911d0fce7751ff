//go:build linux

package poller_test

import (
	"net"
	"runtime"
	"syscall"
	"testing"

	"throng/poller"
)

// BenchmarkEcho is the round trip of a lone pair through a worker.
func BenchmarkEcho(b *testing.B) {
	kernel, worker := benchPool(b)
	listener, bound, err := kernel.Listen("tcp", "127.0.0.1:0", poller.SocketOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer kernel.Close(listener)
	accepted := make(chan int, 1)
	buffer := make([]byte, 64)
	worker.Post(func() {
		_ = worker.Add(listener, &handler{worker, func(poller.Event) {
			fd, err := kernel.Accept(listener)
			if err == syscall.EAGAIN {
				return
			}
			_ = worker.Add(fd, &handler{worker, func(poller.Event) {
				if n, _ := kernel.Read(fd, buffer); n > 0 {
					_, _ = kernel.Write(fd, buffer[:n])
				}
			}, nil})
			accepted <- fd
		}, nil})
	})
	peer, err := net.Dial("tcp", bound.String())
	if err != nil {
		b.Fatal(err)
	}
	defer peer.Close()
	fd := <-accepted
	defer kernel.Close(fd)
	message := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := peer.Write(message); err != nil {
			b.Fatal(err)
		}
		if _, err := peer.Read(message); err != nil { // 64 bytes come in one piece
			b.Fatal(err)
		}
	}
}

// BenchmarkPostWake is a function's way to an idle worker and back.
func BenchmarkPostWake(b *testing.B) {
	_, worker := benchPool(b)
	done := make(chan struct{})
	f := func() { done <- struct{}{} }
	b.ReportAllocs()
	for b.Loop() {
		worker.Post(f)
		<-done
	}
}

// BenchmarkPostBusy is what a producer pays while the worker is busy.
func BenchmarkPostBusy(b *testing.B) {
	_, worker := benchPool(b)
	f := func() {}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			worker.Post(f)
		}
	})
}

// BenchmarkRegistered reports what easygo and the worker keep for a descriptor:
// the map entry, the closure, and the map's room to grow.
func BenchmarkRegistered(b *testing.B) {
	const count = 10_000
	fds := make([]int, count)
	for b.Loop() {
		kernel, worker := benchPool(b) // a new one, since a map never shrinks
		h := &handler{worker: worker, ready: func(poller.Event) {}}
		for i := range fds {
			var err error
			if fds[i], err = kernel.NewSignal(); err != nil {
				b.Fatal(err) // the limit of open files, most likely
			}
		}
		before := heapBytes()
		onWorker(b, worker, fds, func(fd int) error { return worker.Add(fd, h) })
		b.ReportMetric(float64(heapBytes()-before)/count, "B/descriptor")
		onWorker(b, worker, fds, worker.Del)
		for _, fd := range fds {
			kernel.Close(fd)
		}
	}
}

// onWorker runs f for each descriptor on the worker.
func onWorker(b *testing.B, worker *poller.Worker, fds []int, f func(fd int) error) {
	done := make(chan struct{})
	worker.Post(func() {
		for _, fd := range fds {
			if err := f(fd); err != nil {
				b.Error(err)
			}
		}
		close(done)
	})
	<-done
}

// heapBytes is the live heap.
func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func benchPool(b *testing.B) (poller.Kernel, *poller.Worker) {
	kernel, err := poller.System()
	if err != nil {
		b.Fatal(err)
	}
	pool, err := poller.New(poller.Config{Kernel: kernel, Workers: 1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { pool.Close() })
	return kernel, pool.Workers()[0]
}
