package main

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"throng/server"
)

// Descriptors that connections do not get: the server's own, those of its workers, logs.
const (
	reservedFiles = 64
	workerFiles   = 4 // of each worker
	refusedConns  = 32
)

// limitFlags are the limits that an operator can choose. Whatever stands at 0 by
// default is taken from the machine; elsewhere 0 is no limit, where one can do
// without.
type limitFlags struct {
	MaxConns int   `default:"0" help:"Connections served at a time; 0 is what the open-file limit allows."`
	Memory   int64 `default:"0" placeholder:"BYTES" help:"Memory that the process may use, without the kernel's for sockets; 0 is half of what the machine or the cgroup has."`

	MaxPerAddress int `default:"1000" help:"Connections from one IPv4 address or one /64 of IPv6, not from loopback; 0 is any number."`
	UpgradeRate   int `default:"5000" help:"Upgrades taken in a second, all together, not from loopback; 0 is any number."`
	UpgradeBurst  int `default:"0" help:"Upgrades taken at once after a rest; 0 is twice the rate."`

	MaxHandshakes    int           `default:"8192" help:"Incomplete handshakes; the oldest goes when there is one more."`
	HandshakeTimeout time.Duration `default:"5s" help:"Time for a handshake."`
	MaxHead          int           `default:"4096" placeholder:"BYTES" help:"Largest head of a request; ${default} if not given."`
	MaxHeaders       int           `default:"64" help:"Header lines of a request."`
	MaxPlain         int           `default:"256" help:"Plain HTTP requests served at a time."`

	MaxMessage   int64         `default:"65536" placeholder:"BYTES" help:"Largest message; ${default} if not given."`
	MaxFragments int           `default:"0" help:"Fragments of a message; 0 is 16,384, or one for every 64 bytes of --max-message if that is more."`
	MessageRate  int           `default:"1000" help:"Messages and control frames taken from a connection in a second; one that sends more is read later. 0 is any number."`
	MessageBurst int           `default:"0" help:"Messages taken from it at once after a rest; 0 is twice the rate."`
	StallTimeout time.Duration `default:"30s" help:"How long a connection may take nothing of what waits for it."`
	MaxRooms     int           `default:"100000" help:"Rooms at a time. With one more, one that is empty and kept for its history gives way. 0 is any number."`

	MaxRoomsPerConn int `default:"32" help:"Rooms that one connection may be in. All connections of somebody: eight times as many."`
}

// leastMemory is what a server needs before anybody has come.
const leastMemory = 16 << 20

// check finds values that cannot be right.
func (l *limitFlags) check() error {
	for _, r := range []struct {
		flag               string
		value, least, most int64
	}{
		{"max-conns", int64(l.MaxConns), 0, math.MaxInt32},
		{"max-per-address", int64(l.MaxPerAddress), 0, math.MaxInt32},
		{"upgrade-rate", int64(l.UpgradeRate), 0, 1e6},
		{"upgrade-burst", int64(l.UpgradeBurst), 0, 1e9},
		{"max-handshakes", int64(l.MaxHandshakes), 1, math.MaxInt32},
		{"max-head", int64(l.MaxHead), 256, 16<<10 - 1},
		{"max-headers", int64(l.MaxHeaders), 8, 1024},
		{"max-plain", int64(l.MaxPlain), 1, 1 << 16},
		{"max-message", l.MaxMessage, 1, 1 << 30},
		{"max-fragments", int64(l.MaxFragments), 0, 1 << 30},
		{"message-rate", int64(l.MessageRate), 0, 1e6},
		{"message-burst", int64(l.MessageBurst), 0, 1e9},
		{"max-rooms", int64(l.MaxRooms), 0, math.MaxInt32},
		{"max-rooms-per-conn", int64(l.MaxRoomsPerConn), 1, 1024},
	} {
		if r.value < r.least || r.value > r.most {
			return usageError{fmt.Sprintf("--%s is %d to %d, not %d", r.flag, r.least, r.most, r.value)}
		}
	}
	switch {
	case l.Memory != 0 && l.Memory < leastMemory:
		return usageError{fmt.Sprintf("--memory is at least %d bytes, or 0 for half of what there is", leastMemory)}
	case l.HandshakeTimeout < time.Second || l.HandshakeTimeout > time.Hour:
		return usageError{"--handshake-timeout is 1s to 1h"}
	case l.StallTimeout < time.Second || l.StallTimeout > time.Hour:
		return usageError{"--stall-timeout is 1s to 1h"}
	case l.MessageBurst > 0 && l.MessageBurst < l.MessageRate/4:
		return usageError{"--message-burst is at least a quarter of --message-rate, since that many come between two looks at the clock"}
	}
	return nil
}

// apply puts the limits into the server's configuration.
func (l *limitFlags) apply(cfg *server.Config) {
	cfg.MaxPerAddress = orNone(l.MaxPerAddress)
	cfg.UpgradeRate, cfg.UpgradeBurst = orNone(l.UpgradeRate), l.UpgradeBurst
	cfg.MaxHandshakes, cfg.HandshakeTimeout = l.MaxHandshakes, l.HandshakeTimeout
	cfg.MaxHeadBytes, cfg.MaxHeaders, cfg.MaxPlain = l.MaxHead, l.MaxHeaders, l.MaxPlain
	cfg.MaxMessageBytes, cfg.MaxFragments = l.MaxMessage, l.MaxFragments
	cfg.MessageRate, cfg.MessageBurst = orNone(l.MessageRate), l.MessageBurst
	cfg.StallTimeout = l.StallTimeout
}

// orNone turns the 0 of a flag into what package server has for no limit, where
// zero is the default.
func orNone(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

// conns is the number of connections that can be served. Of the reserve, workers get half at most.
func (l *limitFlags) conns(files, workers int, log *slog.Logger) int {
	reserved := max(reservedFiles, reservedFiles/2+workers*workerFiles)
	allowed := max(16, files-reserved-refusedConns)
	switch {
	case l.MaxConns > allowed:
		log.Warn("the open-file limit allows fewer connections than --max-conns", "asked", l.MaxConns, "allowed", allowed,
			"remedy", "raise it with ulimit -n or LimitNOFILE")
	case l.MaxConns > 0:
		return l.MaxConns
	}
	return allowed
}

// openFiles is the limit on open files; the Go runtime has raised the soft one
// to the hard one.
func openFiles() (int, error) {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return 0, fmt.Errorf("read the open-file limit: %w", err)
	}
	return int(min(lim.Cur, 1<<30)), nil
}

// memory is what the process may use, of which the collector is told as well. By
// default it is half of what there is: the kernel's part of a connection is
// several times the process's.
func (l *limitFlags) memory(log *slog.Logger) int64 {
	limit := l.Memory
	if limit == 0 {
		there := available()
		limit = max(leastMemory, there/2)
		log.Debug("memory", "available", there, "limit", limit)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit)
	}
	return limit
}

// held is what connections and rooms may hold of that: with the collector's growth
// of a half (see init) they fill it.
func held(memory int64) int64 { return memory / 3 * 2 }

// available is what the machine has left, or the cgroup's limit if that is less.
func available() int64 {
	meminfo, _ := os.ReadFile("/proc/meminfo") // without it, what is said below
	there := memAvailable(meminfo)
	if limit, err := memlimit.FromCgroup(); err == nil && limit < uint64(there) {
		there = int64(limit)
	}
	return there
}

// unknownMemory is assumed where the machine does not say what it has.
const unknownMemory = 2 << 30

var availableLine = regexp.MustCompile(`(?m)^MemAvailable: +(\d+) kB$`)

// memAvailable reads /proc/meminfo.
func memAvailable(meminfo []byte) int64 {
	if m := availableLine.FindSubmatch(meminfo); m != nil {
		if kB, err := strconv.ParseInt(string(m[1]), 10, 50); err == nil {
			return kB << 10
		}
	}
	return unknownMemory
}
