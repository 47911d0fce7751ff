package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"throng/chat"
	"throng/poller"
	"throng/room"
	"throng/server"
	"throng/static"
)

// serveCmd is "throng serve".
type serveCmd struct {
	Listen  []string `default:":8080" placeholder:"ADDRESS" help:"Address to listen on: HOST:PORT, :PORT for IPv4 and IPv6, or unix:PATH. Repeatable; ${default} if not given."`
	Admin   string   `default:"127.0.0.1:9090" placeholder:"ADDRESS" help:"Address for the operator: /healthz, /readyz, /metrics, /debug/pprof. Empty for none; ${default} if not given."`
	Workers int      `default:"0" help:"Event loops; 0 is one per processor."`

	AllowOrigin []string      `placeholder:"ORIGIN" help:"Another origin whose pages may connect, such as https://chat.example; * for all. Repeatable."`
	Compression string        `default:"on" enum:"on,off" help:"Take and send compressed messages (permessage-deflate): on or off."`
	Ping        time.Duration `default:"25s" help:"How often a connection is looked at; one that stays silent for two to three of these is closed."`
	Drain       time.Duration `default:"10s" help:"Deadline for closing connections on SIGTERM."`
	LogLevel    slog.Level    `default:"info" placeholder:"LEVEL" help:"What to log: debug, info, warn or error; ${default} if not given."`

	Announce      bool          `help:"Tell a room who has joined."`
	SlowConsumer  string        `default:"skip" enum:"skip,close" help:"A member that fell behind what is kept: skip and say how many messages were missed, or close."`
	PresenceLimit int           `default:"1000" help:"Members above which a room is not told who comes and goes."`
	Window        int           `default:"1048576" placeholder:"BYTES" help:"What a room keeps for members that are behind; ${default} if not given."`
	HistoryCount  int           `default:"200" help:"Messages that a room keeps for those who join."`
	HistoryBytes  int           `default:"262144" placeholder:"BYTES" help:"Bytes that those may have; ${default} if not given."`
	HistoryAge    time.Duration `default:"1h" help:"How long they are kept, at most 10000h."`

	TokenKey string `placeholder:"FILE" help:"File with the key that signs tokens, so that who somebody is outlives a restart: 16 bytes or more. By default each start makes its own."`

	Limits limitFlags `embed:"" group:"Limits"`
}

// Run serves until a signal or a fatal error.
func (cmd *serveCmd) Run(o out) error {
	if err := cmd.check(); err != nil {
		return err
	}
	kernel, err := poller.System()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(o.err, &slog.HandlerOptions{Level: cmd.LogLevel}))
	files, err := openFiles()
	if err != nil {
		return err
	}
	key, err := cmd.tokenKey()
	if err != nil {
		return err
	}
	memory := cmd.Limits.memory(log)
	signal.Ignore(syscall.SIGPIPE) // whoever reads the log may go; the connections stay
	ctx, stop := signal.NotifyContext(context.Background(), endings()...)
	defer stop()

	srv, err := server.New(cmd.server(kernel, log, files, memory), chat.New(cmd.chat(kernel, key), seed(kernel)), pages())
	if err != nil {
		return err
	}
	admin, err := cmd.serveAdmin(srv, log)
	if err != nil {
		srv.Close()
		return err
	}
	cmd.banner(o, srv, admin, files)

	select {
	case err := <-srv.Fatal():
		return err
	case <-ctx.Done():
	}
	stop() // a second signal exits now
	return cmd.drain(srv, admin, log)
}

// endings are the signals that end a server. That of a terminal that was closed is not, under nohup(1).
func endings() []os.Signal {
	if signal.Ignored(syscall.SIGHUP) {
		return []os.Signal{os.Interrupt, syscall.SIGTERM}
	}
	return []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}
}

// drain closes the connections in slices, then the operator's listener, which
// answers until then that the server is not ready.
func (cmd *serveCmd) drain(srv *server.Server, admin *http.Server, log *slog.Logger) error {
	log.Info("draining", "connections", srv.Conns(), "deadline", cmd.Drain)
	ctx, cancel := context.WithTimeout(context.Background(), cmd.Drain)
	defer cancel()
	err := srv.Shutdown(ctx)
	if admin != nil {
		admin.Close()
	}
	if errors.Is(err, server.ErrDeadline) {
		log.Warn("cut what was left", "error", err)
		return nil
	}
	return err
}

// check finds values that cannot be right.
func (cmd *serveCmd) check() error {
	if len(cmd.Listen) == 0 {
		return usageError{"--listen needs an address"}
	}
	for _, a := range cmd.Listen {
		if path, ok := strings.CutPrefix(a, "unix:"); ok && path != "" {
			continue
		}
		if err := checkAddress(a); err != nil {
			return usageError{fmt.Sprintf("bad address %q: %v; give HOST:PORT, :PORT or unix:PATH", a, err)}
		}
	}
	if cmd.Admin != "" {
		if err := checkAddress(cmd.Admin); err != nil {
			return usageError{fmt.Sprintf("bad address %q: %v; give --admin HOST:PORT", cmd.Admin, err)}
		}
	}
	switch {
	case cmd.Workers < 0 || cmd.Workers > 1024:
		return usageError{"--workers is 0 to 1024"}
	case cmd.Ping < time.Second || cmd.Ping > time.Hour:
		return usageError{"--ping is 1s to 1h"}
	case cmd.Window < 4096:
		return usageError{"--window is at least 4096 bytes"}
	case cmd.HistoryCount < 0 || cmd.HistoryBytes < 0 || cmd.HistoryAge < 0 || cmd.PresenceLimit < 0 || cmd.Drain < 0:
		return usageError{"limits cannot be negative"}
	case cmd.HistoryAge > maxHistoryAge:
		return usageError{"--history-age is at most 10000h"}
	case cmd.HistoryCount > math.MaxInt32:
		return usageError{fmt.Sprintf("--history-count is at most %d", math.MaxInt32)}
	}
	return cmd.Limits.check()
}

// maxHistoryAge is more than a room without members is worth keeping.
const maxHistoryAge = 10_000 * time.Hour

// checkAddress finds what is wrong with a HOST:PORT without asking for the host.
func checkAddress(a string) error {
	_, port, err := net.SplitHostPort(a)
	var why *net.AddrError
	switch {
	case errors.As(err, &why):
		return errors.New(why.Err) // the address itself is said already
	case err != nil:
		return err
	case port == "":
		return errors.New("missing port in address")
	}
	_, err = net.LookupPort("tcp", port)
	return err
}

// server is the server's part of the configuration.
func (cmd *serveCmd) server(kernel poller.Kernel, log *slog.Logger, files int, memory int64) server.Config {
	cfg := server.Config{
		Listen: cmd.Listen, Workers: cmd.workers(), Kernel: kernel, Log: log,
		MaxConns: cmd.Limits.conns(files, cmd.workers(), log), RefuseConns: refusedConns, MaxHeldBytes: held(memory),
		PingPeriod: cmd.Ping, DrainTime: cmd.Drain / 3, AllowOrigins: cmd.AllowOrigin,
	}
	if cmd.Compression == "off" {
		cfg.Compression = server.CompressionOff
	}
	cmd.Limits.apply(&cfg)
	return cfg
}

// chat is the chat's part of the configuration.
func (cmd *serveCmd) chat(kernel poller.Kernel, key []byte) chat.Config {
	rooms := room.Defaults()
	rooms.Window = cmd.Window
	rooms.HistoryCount, rooms.HistoryBytes, rooms.HistoryAge = cmd.HistoryCount, cmd.HistoryBytes, cmd.HistoryAge
	rooms.Rooms = cmd.Limits.MaxRooms
	rooms.Now = kernel.Now
	return chat.Config{
		Rooms: rooms, Announce: cmd.Announce, CloseSlow: cmd.SlowConsumer == "close", PresenceLimit: cmd.PresenceLimit,
		TokenKey: key, MaxMessage: cmd.Limits.MaxMessage, RoomsPerConn: cmd.Limits.MaxRoomsPerConn, Version: version,
	}
}

// minKey is the size of a token key, in bytes.
const minKey = 16

// tokenKey reads the key that signs tokens, nil when each start makes its own.
func (cmd *serveCmd) tokenKey() ([]byte, error) {
	if cmd.TokenKey == "" {
		return nil, nil
	}
	key, err := os.ReadFile(cmd.TokenKey)
	if err != nil {
		return nil, fmt.Errorf("--token-key: %w; make one with: head -c 32 /dev/urandom > %s", err, cmd.TokenKey)
	}
	if len(key) < minKey {
		return nil, fmt.Errorf("--token-key: %s has %d bytes, and a key has %d at least", cmd.TokenKey, len(key), minKey)
	}
	return key, nil
}

func (cmd *serveCmd) workers() int {
	if cmd.Workers > 0 {
		return cmd.Workers
	}
	return runtime.NumCPU()
}

// seed makes nicknames differ from one start to the next.
func seed(k poller.Kernel) uint64 {
	var b [8]byte
	k.Random(b[:])
	var n uint64
	for _, x := range b {
		n = n<<8 | uint64(x)
	}
	return n
}

// pages serves what is no upgrade: the page, and an explanation at the chat's
// own addresses. No ServeMux, which would answer some paths with a redirect.
func pages() http.Handler {
	page := static.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/chat" || strings.HasPrefix(r.URL.Path, "/chat/") {
			w.Header().Set("Sec-WebSocket-Version", "13")
			http.Error(w, "Here one talks WebSocket; the page to chat from is at /.", http.StatusUpgradeRequired)
			return
		}
		page.ServeHTTP(w, r)
	})
}

// serveAdmin opens the operator's listener, if there is to be one.
func (cmd *serveCmd) serveAdmin(srv *server.Server, log *slog.Logger) (*http.Server, error) {
	if cmd.Admin == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", cmd.Admin)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s for the operator: %w; choose another with --admin, or none with --admin=", cmd.Admin, err)
	}
	admin := &http.Server{Addr: l.Addr().String(), Handler: srv.Admin(), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := admin.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the operator's listener failed", "error", err)
		}
	}()
	return admin, nil
}

// banner says where the server is and what it allows; its last word is ready.
func (cmd *serveCmd) banner(o out, srv *server.Server, admin *http.Server, files int) {
	fmt.Fprintf(o.std, "throng %s\n\n", version)
	for _, a := range srv.Addrs() {
		tcp, ok := a.(*net.TCPAddr)
		if !ok {
			fmt.Fprintf(o.std, "  socket      %s\n", a)
			continue
		}
		host := tcp.String()
		if tcp.IP.IsUnspecified() {
			host = fmt.Sprintf("localhost:%d", tcp.Port)
		}
		fmt.Fprintf(o.std, "  page        http://%s/\n  WebSocket   ws://%s/chat\n", host, host)
	}
	if admin != nil {
		fmt.Fprintf(o.std, "  operator    http://%s/healthz\n", admin.Addr)
	}
	fmt.Fprintf(o.std, "  workers     %d\n  open files  %d, enough for %d connections\n\nready\n",
		cmd.workers(), files, srv.MaxConns())
}
