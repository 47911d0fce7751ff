// Command bench loads a WebSocket chat or broadcast server and proves what it
// delivered: to every member of every room each message exactly once, in order
// and unaltered.
//
//	go run ./bench fanout --spawn ./throng --conns 2000 --window 16
//
// Its parts, from below:
//
//	clock    one monotonic time for all client processes
//	wire     the client's side of RFC 6455 on bytes in memory
//	loop     an epoll loop that holds the connections
//	latency  histograms, corrected for what a stalled server holds back
//	proof    what each member of a room received, against what was sent
//	target   the server as a process: started, measured, stopped
//	load     the scenarios
//	report   the result, for people and for programs
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes.
const (
	exitError  = 1  // the run could not be made
	exitFailed = 99 // it was made, and the server did not keep its promises
)

// errFailed is a run that was made and not passed.
var errFailed = errors.New("failed")

var cli struct {
	Fanout  fanoutCommand  `cmd:"" help:"One room: everybody hears every message."`
	Echo    echoCommand    `cmd:"" help:"Round trip of lone connections, each in a room of its own."`
	Idle    idleCommand    `cmd:"" help:"Hold connections and watch the server's memory."`
	Connect connectCommand `cmd:"" help:"Open connections as fast as possible."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parsed := kong.Parse(&cli, kong.Name("bench"), kong.UsageOnError(),
		kong.Description("Loads a WebSocket chat server and proves what it delivered."),
		kong.BindTo(ctx, (*context.Context)(nil)))
	switch err := parsed.Run(); {
	case errors.Is(err, errFailed):
		os.Exit(exitFailed)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(exitError)
	}
}
