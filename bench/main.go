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
//	floor    what the machine allows without a server
//	crew     several client processes as one
//	report   the result, for people and for programs
//	versus   several servers beside each other
//	hostile  attacks, and what they do to honest pairs
//	picture  plots of all that
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"throng/bench/floor"
	"throng/bench/proof"
)

// Exit codes.
const (
	exitError  = 1   // the run could not be made
	exitFailed = 99  // it was made, and the server did not keep its promises
	exitSignal = 128 // and the signal's number: it was cut short, by Ctrl-C for one (130)
)

// errFailed is a run that was made and not passed.
var errFailed = errors.New("failed")

// interrupted is the signal that cut a run short.
type interrupted struct{ signal syscall.Signal }

func (interrupted) Error() string { return "interrupted" }

// untilSignal is done, with an interrupted as its cause, when the user or the
// system wants this program to end. The second time it ends at once.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		by := <-signals
		signal.Reset(syscall.SIGINT, syscall.SIGTERM)
		cancel(interrupted{by.(syscall.Signal)})
	}()
	return ctx
}

var cli struct {
	Fanout   fanoutCommand   `cmd:"" help:"One room: everybody hears every message."`
	Echo     echoCommand     `cmd:"" help:"Round trip of lone connections, each in a room of its own."`
	Rooms    roomsCommand    `cmd:"" help:"Many rooms at once."`
	Idle     idleCommand     `cmd:"" help:"Hold connections, and watch the server's memory and processor."`
	Connect  connectCommand  `cmd:"" help:"Open connections as fast as they are accepted, or at a rate."`
	Churn    churnCommand    `cmd:"" help:"Visitors connect, say something and leave, at a rate."`
	Storm    stormCommand    `cmd:"" help:"All connections drop at once and come back, again and again."`
	Slow     slowCommand     `cmd:"" help:"A share of the members stops reading."`
	Ramp     rampCommand     `cmd:"" help:"Add connections under load until the first limit is met."`
	Soak     soakCommand     `cmd:"" help:"Hours of moderate load; shows what grows."`
	Peers    peersCommand    `cmd:"" help:"Throng and chat servers on other libraries beside each other."`
	Standard standardCommand `cmd:"" help:"The standard set: measures everything that docs/benchmarks.md says."`
	Compare  compareCommand  `cmd:"" help:"Ratios of two runs, with their noise."`
	Hostile  hostileCommand  `cmd:"" help:"Attacks, while honest pairs talk: what it does to them and to the server."`
	Faults   faultsCommand   `cmd:"" help:"Stopped processes, full disks, kill -9, lossy and cut links: what becomes of those who talk."`
	Floor    floorCommand    `cmd:"" help:"What the machine itself allows, without a server."`
}

func main() {
	if os.Getenv(floor.Environ) != "" {
		os.Exit(floor.Read())
	}
	ctx := untilSignal()
	parser := kong.Must(&cli, kong.Name("bench"),
		kong.Description("Loads a WebSocket chat or broadcast server and proves what it delivered.\n\n"+
			"Exit codes: 0 passed, 1 the run could not be made, 99 the server did not keep its promises or a --fail-if holds, "+
			"130 interrupted (Ctrl-C), 143 terminated: what was measured until then is shown."),
		kong.Vars{"duration": defaultDuration.String(), "stamp": strconv.Itoa(proof.StampBytes),
			"servers": strings.Join(serverNames(), ", "), "scenarios": strings.Join(scenarioNames(), ", "),
			"attacks": strings.Join(attackNames(), ", "), "faults": strings.Join(faultNames(), ", ")},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)))
	parsed, err := parser.Parse(os.Args[1:])
	if err == nil {
		err = parsed.Run()
	}
	os.Exit(exitCode(ctx, err))
}

// exitCode says what went wrong, in words and as a number.
func exitCode(ctx context.Context, err error) int {
	var by interrupted
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errFailed):
		return exitFailed
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	if errors.As(context.Cause(ctx), &by) {
		return exitSignal + int(by.signal)
	}
	return exitError
}
