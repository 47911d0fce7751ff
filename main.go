// Command throng is a chat and broadcast server for very many WebSocket
// connections on one small machine.
//
// This package only wires: flags and environment into Configs, signals, exit
// codes. The arrows of the whole program:
//
//	main -> terminal -> client             (throng chat)
//	main -> chat -> server -> poller       (throng serve)
//	        chat -> room   -> frame
//	                server -> frame
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

// version is that of the last release in CHANGELOG.md.
const version = "0.1.0"

// Exit codes.
const (
	exitRuntime = 1
	exitUsage   = 2
)

// cli is the command line. Every flag that configures something also has an
// environment name.
type cli struct {
	Version kong.VersionFlag `env:"-" help:"Print the version and exit."`
	Serve   serveCmd         `cmd:"" default:"withargs" help:"Run the server (the default)."`
	Chat    chatCmd          `cmd:"" help:"Chat, in this terminal or with lines from and to pipes."`
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// exited is how --help and --version leave kong, which wants to exit by itself.
type exited int

// run is main with everything that it needs passed in; it returns the exit code.
func run(args []string, stdout, stderr io.Writer) (code int) {
	defer func() {
		if v := recover(); v != nil {
			e, ok := v.(exited)
			if !ok {
				panic(v)
			}
			code = int(e)
		}
	}()
	parser, err := kong.New(&cli{},
		kong.Name("throng"),
		kong.Description("A chat and broadcast server for very many WebSocket connections on one small machine."),
		kong.Vars{"version": "throng " + version},
		kong.DefaultEnvars("THRONG"),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.Help(help),
	)
	if err != nil {
		panic(err) // a mistake in the struct above
	}
	ctx, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "throng: %v; see throng --help\n", err)
		return exitUsage
	}
	switch err := ctx.Run(out{stdout, stderr}); {
	case errors.As(err, new(usageError)):
		fmt.Fprintf(stderr, "throng: %v\n", err)
		return exitUsage
	case err != nil:
		fmt.Fprintf(stderr, "throng: %v\n", err)
		return exitRuntime
	}
	return 0
}

// help shows the commands, and the flags of the default one when none was named:
// they are what whoever asks wants to know.
func help(options kong.HelpOptions, ctx *kong.Context) error {
	if ctx.Selected() != nil {
		return kong.DefaultHelpPrinter(options, ctx)
	}
	serve, err := kong.Trace(ctx.Kong, []string{"serve"})
	if err != nil {
		return err
	}
	fmt.Fprintf(ctx.Stdout, "%s\n\nCommands:\n", ctx.Model.Help)
	for _, c := range ctx.Model.Leaves(true) {
		fmt.Fprintf(ctx.Stdout, "  throng %-6s %s\n", c.Name, c.Help)
	}
	fmt.Fprintf(ctx.Stdout, "\nWhat follows is about the default; throng chat --help is about the other.\n\n")
	return kong.DefaultHelpPrinter(options, serve)
}

// out is where a command prints.
type out struct{ std, err io.Writer }

// usageError is a flag's value that cannot be right.
type usageError struct{ msg string }

func (e usageError) Error() string { return e.msg }

func init() {
	// Connections are many small objects that live long and hold few pointers.
	// Collecting at half the usual growth costs little and keeps the process small.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}
