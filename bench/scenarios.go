package main

import (
	"context"

	"throng/bench/load"
)

type fanoutCommand struct{ loadFlags }

func (c *fanoutCommand) Run(ctx context.Context) error {
	return execute(ctx, "fanout", &c.loadFlags, func(config *load.Config) { config.Rooms = 1 })
}

type echoCommand struct{ loadFlags }

func (c *echoCommand) Run(ctx context.Context) error {
	return execute(ctx, "echo", &c.loadFlags, func(config *load.Config) { config.Rooms, config.Senders = config.Conns, 1 })
}

type idleCommand struct{ loadFlags }

func (c *idleCommand) Run(ctx context.Context) error {
	return execute(ctx, "idle", &c.loadFlags, func(config *load.Config) { config.Rooms, config.Silent = 1, true })
}

type connectCommand struct{ loadFlags }

func (c *connectCommand) Run(ctx context.Context) error {
	return execute(ctx, "connect", &c.loadFlags, func(config *load.Config) {
		config.Rooms, config.Silent, config.Warmup, config.Duration = 1, true, 0, 0
	})
}
