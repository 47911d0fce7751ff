package main

import (
	"io"
	"log/slog"
	"path/filepath"
	"testing"

	"throng/poller"
	"throng/server"
	"throng/server/conformance"
)

// start serves with the limits that the flag --max-message makes.
func start(t *testing.T, maxMessage int64) *conformance.Target {
	t.Helper()
	system, err := poller.System()
	if err != nil {
		t.Fatal(err)
	}
	kernel := conformance.Watch(system)
	cfg := config("127.0.0.1:0", maxMessage, 1000)
	path := filepath.Join(t.TempDir(), "echo")
	cfg.Listen = append(cfg.Listen, "unix:"+path)
	// All that is said fits: while a socket is full only the latest pong is kept (RFC 6455, 5.5.3), and each is asked for here.
	cfg.SendBufferBytes = 1 << 20
	cfg.Kernel, cfg.Workers, cfg.Log = kernel, 2, slog.New(slog.NewTextHandler(io.Discard, nil))
	s, err := server.New(cfg, echo{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil || s.Conns() != 0 {
			t.Errorf("%d connections are left: %v", s.Conns(), err)
		}
	})
	return &conformance.Target{
		Addr: s.Addrs()[0].String(), Unix: path, Kernel: kernel,
		Connect:      func(int64) (path, prefix string) { return "/", "" },
		SmallWindows: true,
		MaxMessage:   int(cfg.MaxMessageBytes), MaxFragments: cfg.MaxFragments, MaxHead: 4 << 10, MaxHeaders: 64,
	}
}

func TestConformance(t *testing.T) { conformance.Run(t, start(t, 128<<10)) }

// The largest message of the public suites, in the smallest of their fragments.
func TestLargeMessages(t *testing.T) { start(t, 16<<20).Large(t, 16<<20, 64) }
