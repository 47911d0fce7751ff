package main

import (
	"log/slog"
	"math"
	"reflect"
	"testing"
	"time"

	"throng/server"
)

// Each limit goes where it belongs; what can be done without is not limited at 0.
func TestLimitFlags(t *testing.T) {
	l := limitFlags{
		MaxPerAddress: 1, UpgradeRate: 2, UpgradeBurst: 3, MaxHandshakes: 4, HandshakeTimeout: 5 * time.Second, MaxHead: 6, MaxHeaders: 7,
		MaxPlain: 8, MaxMessage: 9, MaxFragments: 10, MessageRate: 11, MessageBurst: 12, StallTimeout: 13 * time.Second,
	}
	want := server.Config{
		MaxPerAddress: 1, UpgradeRate: 2, UpgradeBurst: 3, MaxHandshakes: 4, HandshakeTimeout: 5 * time.Second, MaxHeadBytes: 6, MaxHeaders: 7,
		MaxPlain: 8, MaxMessageBytes: 9, MaxFragments: 10, MessageRate: 11, MessageBurst: 12, StallTimeout: 13 * time.Second,
	}
	var got server.Config
	if l.apply(&got); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	got = server.Config{}
	(&limitFlags{}).apply(&got)
	if want := (server.Config{MaxPerAddress: -1, UpgradeRate: -1, MessageRate: -1}); !reflect.DeepEqual(got, want) {
		t.Errorf("without limits %+v, want %+v", got, want)
	}
}

// The number of connections comes from the open-file limit, with a reserve.
func TestConnsFromOpenFiles(t *testing.T) {
	for _, c := range []struct{ files, workers, asked, want int }{
		{20_000, 1, 0, 19_904}, {20_000, 8, 0, 19_904}, {20_000, 9, 0, 19_900}, {20_000, 64, 0, 19_680},
		{20_000, 2, 19_904, 19_904}, {20_000, 2, 19_905, 19_904}, {20_000, 2, 5, 5}, {100, 2, 0, 16}, {10, 2, 0, 16},
	} {
		if got := (&limitFlags{MaxConns: c.asked}).conns(c.files, c.workers, slog.New(slog.DiscardHandler)); got != c.want {
			t.Errorf("%d files, %d workers, --max-conns %d: %d, want %d", c.files, c.workers, c.asked, got, c.want)
		}
	}
}

func TestMemAvailable(t *testing.T) {
	for text, want := range map[string]int64{
		"MemTotal:       24689664 kB\nMemFree:        10 kB\nMemAvailable:   22063872 kB\nBuffers: 1 kB\n": 22063872 << 10,
		"MemTotal: 5 kB\nMemAvailable: 1 kB": 1 << 10,
		"":                                   unknownMemory,
		"MemAvailable: 1 MB\n":               unknownMemory,
		"NotMemAvailable: 1 kB\n":            unknownMemory,
		"MemAvailable: 99999999999999999 kB": unknownMemory,
		"MemAvailable:  562949953421311 kB":  562949953421311 << 10,
	} {
		if got := memAvailable([]byte(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	if n := available(); n < 1<<20 || n > math.MaxInt64/2 {
		t.Errorf("this machine has %d bytes", n)
	}
}

// A limit that cannot be right is refused with what it may be.
func TestRefusedLimits(t *testing.T) {
	refuses(t, []refusal{
		{args: []string{"--max-conns=-1"}, code: 2, says: "--max-conns is 0 to 2147483647, not -1"},
		{args: []string{"--memory=1000"}, code: 2, says: "--memory is at least 16777216"},
		{args: []string{"--memory=-1"}, code: 2, says: "--memory"},
		{args: []string{"--max-per-address=-1"}, code: 2, says: "--max-per-address"},
		{args: []string{"--upgrade-rate=1000001"}, code: 2, says: "--upgrade-rate"},
		{args: []string{"--upgrade-burst=-1"}, code: 2, says: "--upgrade-burst"},
		{args: []string{"--max-handshakes=0"}, code: 2, says: "--max-handshakes"},
		{args: []string{"--handshake-timeout=10ms"}, code: 2, says: "--handshake-timeout"},
		{args: []string{"--max-head=16384"}, code: 2, says: "--max-head "},
		{args: []string{"--max-headers=7"}, code: 2, says: "--max-headers"},
		{args: []string{"--max-plain=0"}, code: 2, says: "--max-plain"},
		{args: []string{"--max-message=0"}, code: 2, says: "--max-message"},
		{args: []string{"--max-fragments=-1"}, code: 2, says: "--max-fragments"},
		{args: []string{"--message-rate=-1"}, code: 2, says: "--message-rate"},
		{args: []string{"--message-rate=1000", "--message-burst=249"}, code: 2, says: "--message-burst is at least a quarter"},
		{args: []string{"--message-burst=-1"}, code: 2, says: "--message-burst"},
		{args: []string{"--handshake-timeout=61m"}, code: 2, says: "--handshake-timeout is 1s to 1h"},
		{args: []string{"--stall-timeout=600h"}, code: 2, says: "--stall-timeout is 1s to 1h"}, // TCP_USER_TIMEOUT could not be told
		{args: []string{"--ping=24h"}, code: 2, says: "--ping is 1s to 1h"},
		{args: []string{"--history-count=4294967296"}, code: 2, says: "--history-count is at most 2147483647"},
		{args: []string{"--stall-timeout=0s"}, code: 2, says: "--stall-timeout"},
		{args: []string{"--max-rooms=-1"}, code: 2, says: "--max-rooms"},
		{args: []string{"--max-rooms-per-conn=0"}, code: 2, says: "--max-rooms-per-conn is 1 to 1024"},
	})
}
