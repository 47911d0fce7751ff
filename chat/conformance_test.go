package chat_test

import (
	"fmt"
	"testing"

	"throng/server/conformance"
)

// Each connection is alone in a room, under a nickname, and hears itself.
func TestConformance(t *testing.T) {
	var kernel *conformance.Watched
	w := start(t, func(o *options) {
		kernel = conformance.Watch(o.server.Kernel)
		o.server.Kernel = kernel
		// All that is said fits: while a socket is full only the latest pong is kept (RFC 6455, 5.5.3), and each is asked for here.
		o.server.SendBufferBytes = 1 << 20
	})
	conformance.Run(t, &conformance.Target{
		Addr: w.addr, Kernel: kernel,
		Connect: func(n int64) (path, prefix string) {
			return fmt.Sprintf("/chat/r%d?nick=n%d", n, n), fmt.Sprintf("n%d: ", n)
		},
		TextOnly: true, Apart: true, Sample: true,
		MaxMessage: 64 << 10, MaxFragments: 16 << 10, MaxHead: 4 << 10, MaxHeaders: 64,
	})
}
