// Command echo is a complete WebSocket echo server on Throng's event API.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/gobwas/ws"

	"throng/poller"
	"throng/server"
)

// echo sends every message back.
type echo struct{}

func (echo) Upgrade(*server.Request) int                   { return 101 }
func (echo) Open(*server.Conn, *server.Request)            {}
func (echo) Message(c *server.Conn, m server.Message) bool { return c.Send(m.Op, m.Payload) }
func (echo) Writable(c *server.Conn)                       { c.Resume() }
func (echo) Close(*server.Conn, ws.StatusCode, string)     {}
func (echo) Error(*server.Conn, error)                     {}

func main() {
	var cli struct {
		Listen      string `default:"127.0.0.1:9101" help:"Address to listen on."`
		MaxMessage  int64  `default:"65536" placeholder:"BYTES" help:"Largest message."`
		MaxConns    int    `default:"10000" help:"Connections served at a time."`
		MessageRate int    `default:"1000" help:"Messages taken from a connection in a second; -1 is any number."`

		Compression string `default:"on" enum:"on,off" help:"Take and send compressed messages (permessage-deflate): on or off."`
	}
	kong.Parse(&cli, kong.Description("A WebSocket echo server on an event loop."))
	cfg := config(cli.Listen, cli.MaxMessage, cli.MaxConns)
	cfg.MessageRate = cli.MessageRate
	if cli.Compression == "off" {
		cfg.Compression = server.CompressionOff
	}
	if err := serve(cfg); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

// config allows fragments as small as 16 bytes in the largest message.
func config(listen string, maxMessage int64, maxConns int) server.Config {
	return server.Config{
		Listen: []string{listen}, MaxConns: maxConns,
		MaxMessageBytes: maxMessage, MaxFragments: int(max(16<<10, maxMessage/16+1)),
	}
}

// serve runs until it is told to stop.
func serve(cfg server.Config) (err error) {
	if cfg.Kernel, err = poller.System(); err != nil {
		return err
	}
	s, err := server.New(cfg, echo{}, nil)
	if err != nil {
		return err
	}
	stop, done := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer done()
	fmt.Printf("echo: ws://%s/\n", s.Addrs()[0])
	select {
	case err = <-s.Fatal():
		return err
	case <-stop.Done():
	}
	done() // a second signal exits now
	deadline, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return s.Shutdown(deadline)
}
