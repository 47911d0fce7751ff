package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gdamore/tcell/v2"
	"golang.org/x/term"

	"throng/client"
	"throng/terminal"
)

// chatCmd is "throng chat".
type chatCmd struct {
	URL string `arg:"" optional:"" default:"ws://localhost:8080" env:"THRONG_URL" help:"The server, also with a room: ws://HOST:PORT/chat/ROOM; ${default} if not given."`

	Room    []string `placeholder:"ROOM" help:"Room to join. Lines from a pipe are said in the first. Repeatable."`
	Nick    string   `placeholder:"NAME" help:"Nickname that you would like."`
	History int      `default:"-1" placeholder:"N" help:"Messages to begin with: 50 on a full screen, none without."`
	NoToken bool     `help:"Be somebody new, and do not remember who."`

	Lines   bool          `help:"Say the lines of the input and print what is heard, instead of a full screen. Without it input from a pipe is said and nothing printed, and output to a pipe is printed and nothing said."`
	JSON    bool          `name:"json" help:"Print what is heard as the objects of throng.v1."`
	Follow  bool          `short:"f" help:"Print what is heard, also when the input has ended."`
	Timeout time.Duration `default:"30s" help:"How long a line from a pipe may stay unconfirmed."`
}

// Run chats until the person, the input's end or a signal ends it.
func (cmd *chatCmd) Run(o out) error {
	cfg, err := cmd.config()
	if err != nil {
		return err
	}
	server, _, err := client.ParseURL(cmd.URL)
	if err != nil {
		return usageError{err.Error()}
	}
	unkept := func() error { return nil } // the token is not worth ending a talk for
	if !cmd.NoToken {
		token, err := terminal.UserToken(server)
		if err != nil {
			return err
		}
		cfg.Tokens, unkept = token, token.Err
	}
	lines := cmd.plain()
	if lines && cmd.History < 0 || cmd.History == 0 {
		cfg.History = client.NoHistory
	} else if cmd.History > 0 {
		cfg.History = cmd.History
	}
	c, err := client.New(cfg)
	if err != nil {
		return usageError{err.Error()}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if lines {
		err = cmd.lines(ctx, c, o)
	} else {
		err = screen(ctx, c)
	}
	return errors.Join(err, unkept())
}

// config checks what was asked for.
func (cmd *chatCmd) config() (cfg client.Config, err error) {
	for _, room := range cmd.Room {
		if err := client.CheckRoom(room); err != nil {
			return cfg, usageError{err.Error()}
		}
	}
	switch {
	case cmd.Timeout <= 0:
		return cfg, usageError{"--timeout is more than 0"}
	case cmd.History < -1:
		return cfg, usageError{"--history cannot be negative"}
	}
	return client.Config{URL: cmd.URL, Rooms: cmd.Room, Nick: cmd.Nick}, nil
}

// plain says whether there are lines instead of a screen.
func (cmd *chatCmd) plain() bool {
	return cmd.Lines || cmd.JSON || cmd.Follow || !isTerminal(os.Stdin) || !isTerminal(os.Stdout) || os.Getenv("TERM") == "dumb"
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// lines runs the line mode. Input from a pipe is said, and nothing is printed, unless that is asked for;
// a person at the keyboard listens, unless a conversation in lines is asked for.
func (cmd *chatCmd) lines(ctx context.Context, c *client.Client, o out) error {
	both, typed := cmd.Lines || os.Getenv("TERM") == "dumb", isTerminal(os.Stdin)
	l := terminal.Lines{
		Client: c, Err: o.err, Room: c.Rooms()[0], Several: len(c.Rooms()) > 1,
		JSON: cmd.JSON, Follow: cmd.Follow, Timeout: cmd.Timeout,
	}
	if both || !typed {
		l.In = os.Stdin
	}
	if both || typed || cmd.JSON || cmd.Follow {
		l.Out = o.std
	}
	return l.Run(ctx)
}

// screen runs the full screen.
func screen(ctx context.Context, c *client.Client) error {
	cells, err := tcell.NewScreen()
	if err != nil {
		return fmt.Errorf("open the terminal: %w; --lines does without", err)
	}
	return terminal.NewScreen(c, cells).Run(ctx)
}
