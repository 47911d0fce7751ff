// Command peers is the chat server that Throng is compared with, written six times: once on each of the Go WebSocket
// libraries that people would otherwise choose.
//
// Its one idea: each server is what the library's own chat or broadcast example does, as fast as that allows, and all
// of them speak the same plain-text protocol, so that one load tool can measure and prove any of them.
//
//	peers NAME ──► listener ──► /chat, /chat/{room}  TEXT becomes "NICK: TEXT" for the room, in one order
//	                            /echo                each message comes back
//	                            /, /healthz          200
//
// The rules that hold for every server here:
//
//   - One message is one frame. An example that joins queued messages into one frame does not do so here, because the
//     load tool counts and checks messages.
//   - No message is lost. Where an example drops a slow member or its messages, the server waits for that member
//     instead, at most writeWait long; then the member is disconnected. Each file says what its example does.
//   - Every member of a room hears the same order. Most examples answer the handshake before they let the member into
//     the room, and so do their peers: a member may miss what is said in between. Who hears itself is in the room.
//   - Nothing is compressed, and no library's limits are left where the load would run into them.
//
// chat.go holds what the six share; each other file is one library. No code is shared with Throng itself.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// A peer is one chat server.
type peer struct {
	name   string
	module string // The import path of the library's module, by which its version is found.

	// serve answers on the listener until the context ends or accepting fails. Connections that are then open may
	// stay open: the process ends next.
	serve func(context.Context, net.Listener, options) error
}

// options are what the command line sets for every peer alike.
type options struct {
	leaveLimit int // The largest room, in members, that is told who left.
}

var peers = []peer{
	{"gorilla", "github.com/gorilla/websocket", serveGorilla},
	{"coder", "github.com/coder/websocket", serveCoder},
	{"gws", "github.com/lxzan/gws", serveGws},
	{"nbio", "github.com/lesismal/nbio", serveNbio},
	{"melody", "github.com/olahol/melody", serveMelody},
	{"gobwas", "github.com/gobwas/ws", serveGobwas},
}

func main() {
	os.Exit(run(os.Args[1:], os.Stderr))
}

// run starts the peer that the arguments name and returns the exit code: 0 after SIGTERM or SIGINT, 1 when it cannot
// listen or serve, 2 when the arguments are wrong.
func run(args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { usage(flags) }
	listen := flags.String("listen", "127.0.0.1:9001", "`address` to listen on; port 0 takes a free one")
	leaveLimit := flags.Int("leave-limit", 1000, "largest room, in `members`, that is told who left; 0 for none")

	p, args := findPeer(args)
	switch err := flags.Parse(args); {
	case err == flag.ErrHelp:
		return 0
	case err != nil:
		return 2
	case p == nil || flags.NArg() > 0:
		usage(flags)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, p, *listen, options{leaveLimit: *leaveLimit}, stderr); err != nil {
		fmt.Fprintf(stderr, "peers: %v\n", err)
		return 1
	}
	return 0
}

// serve listens, says so in one line, and serves until the context ends. It does not wait for the peer to close its
// connections: the end of the process does that at once.
func serve(ctx context.Context, p *peer, address string, opts options, stderr io.Writer) error {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%s (%s %s) listens on %s\n", p.name, p.module, p.version(), ln.Addr())
	failed := make(chan error, 1)
	go func() { failed <- p.serve(ctx, ln, opts) }()
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("serve %s: %w", p.name, err)
	}
}

// findPeer takes the name off the arguments. Without a known one it returns nil and all of them.
func findPeer(args []string) (*peer, []string) {
	if len(args) == 0 {
		return nil, args
	}
	for i := range peers {
		if peers[i].name == args[0] {
			return &peers[i], args[1:]
		}
	}
	return nil, args
}

// version returns the version of the library that this binary was built with.
func (p *peer) version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == p.module {
				return module.Version
			}
		}
	}
	return "unknown"
}

func usage(flags *flag.FlagSet) {
	out := flags.Output()
	fmt.Fprintf(out, "usage: peers NAME [flags]\n\nnames:\n")
	for i := range peers {
		fmt.Fprintf(out, "  %-8s %s %s\n", peers[i].name, peers[i].module, peers[i].version())
	}
	fmt.Fprintf(out, "\nflags:\n")
	flags.PrintDefaults()
}
