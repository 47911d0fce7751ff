package main

import (
	"context"
	"time"

	"throng/bench/load"
	"throng/bench/v1"
)

// defaultDuration is how long most scenarios measure.
const defaultDuration = 5 * time.Second

// apply puts the flags of sending scenarios into a configuration.
func (s *sending) apply(c *load.Config) {
	c.Window, c.Rate, c.Size = int(s.Window), float64(s.Rate), int(s.Size)
	c.Messages, c.Warmup, c.Patience = int(s.Messages), s.Warmup, s.Patience
	if c.Messages > 0 {
		c.Warmup = 0 // it would use them up
	}
	if c.Window == 0 && c.Rate == 0 {
		c.Window = 1
	}
}

type fanoutCommand struct {
	common
	speakers
	sending
}

// Help shows an example.
func (*fanoutCommand) Help() string {
	return "bench fanout --spawn ./throng --conns 2000 --senders 8 --window 16"
}

func (c *fanoutCommand) Run(ctx context.Context) error {
	return execute(ctx, &c.common, "fanout", defaultDuration, func(config *load.Config) {
		c.sending.apply(config)
		c.speakers.apply(config)
	})
}

type echoCommand struct {
	common
	sending
}

// Help shows an example.
func (*echoCommand) Help() string { return "bench echo --url ws://127.0.0.1:9000/ --conns 1" }

func (c *echoCommand) Run(ctx context.Context) error {
	return execute(ctx, &c.common, "echo", defaultDuration, func(config *load.Config) {
		c.sending.apply(config)
		config.Senders, config.Rooms = 1, config.Conns
	})
}

type roomsCommand struct {
	common
	speakers
	sending
	Rooms count `help:"Rooms, among which the connections are shared out." default:"100" group:"Load"`
}

// Help shows an example.
func (*roomsCommand) Help() string {
	return "bench rooms --spawn ./throng --conns 10k --rooms 1k --senders 1 --rate 2000"
}

func (c *roomsCommand) Run(ctx context.Context) error {
	return execute(ctx, &c.common, "rooms", defaultDuration, func(config *load.Config) {
		c.sending.apply(config)
		config.Rooms = int(c.Rooms)
		c.speakers.apply(config)
	})
}

type idleCommand struct{ common }

// Help shows an example.
func (*idleCommand) Help() string { return "bench idle --spawn ./throng --conns 18k --duration 30s" }

func (c *idleCommand) Run(ctx context.Context) error {
	return execute(ctx, &c.common, "idle", defaultDuration, func(config *load.Config) { config.Silent = true })
}

type connectCommand struct{ common }

// Help shows an example.
func (*connectCommand) Help() string {
	return "bench connect --spawn ./throng --conns 10k --ramp-rate 2000"
}

func (c *connectCommand) Run(ctx context.Context) error {
	// A second more, in which late refusals and closes show.
	return execute(ctx, &c.common, "connect", time.Second, func(config *load.Config) { config.Silent = true })
}

type churnCommand struct {
	common
	speakers
	sending
	Visits   perSecond `help:"Visits a second: connect, say, hear it, leave." default:"200" group:"Load"`
	Visitors count     `help:"Visits under way at a time, at most." default:"500" group:"Load"`
}

// Help shows an example.
func (*churnCommand) Help() string {
	return "bench churn --spawn ./throng --conns 1k --visits 500 --rate 100"
}

func (c *churnCommand) Run(ctx context.Context) error {
	return execute(ctx, &c.common, "churn", defaultDuration, func(config *load.Config) {
		c.sending.apply(config)
		c.speakers.apply(config)
		config.Visitors = int(c.Visitors)
		config.Act = &load.Churn{Rate: float64(c.Visits)}
	})
}

type stormCommand struct {
	common
	speakers
	sending
	Calm time.Duration `help:"Between the return of the last connection and the next storm." default:"2s" group:"Load"`
}

// Help shows an example.
func (*stormCommand) Help() string { return "bench storm --spawn ./throng --conns 10k --duration 30s" }

func (c *stormCommand) Run(ctx context.Context) error {
	return execute(ctx, &c.common, "storm", 15*time.Second, func(config *load.Config) {
		c.sending.apply(config)
		c.speakers.apply(config)
		config.Act = &load.Storm{Calm: c.Calm}
		if config.Window == 0 && config.Subprotocol == v1.Name {
			config.Window = v1.Remembered // more could not be said again
		}
	})
}

type slowCommand struct {
	common
	speakers
	sending
	Share float64 `help:"Share of the members that stop reading." default:"0.1" group:"Load"`
}

// Help shows an example.
func (*slowCommand) Help() string {
	return "bench slow --spawn ./throng --conns 1k --share 0.2 --window 16"
}

func (c *slowCommand) Run(ctx context.Context) error {
	return execute(ctx, &c.common, "slow", defaultDuration, func(config *load.Config) {
		c.sending.apply(config)
		c.speakers.apply(config)
		config.Act = &load.Slow{Share: c.Share}
	})
}

type rampCommand struct {
	common
	speakers
	sending
	From  count         `help:"Connections to begin with; all senders are among them." default:"100" group:"Load"`
	Limit time.Duration `help:"The 99th percentile of latency that counts as a limit." default:"250ms" group:"Load"`
}

// Help shows an example.
func (*rampCommand) Help() string {
	return "bench ramp --spawn ./throng --conns 18k --ramp-rate 500 --rate 10"
}

func (c *rampCommand) Run(ctx context.Context) error {
	if c.RampRate == 0 {
		c.RampRate = 500
	}
	return execute(ctx, &c.common, "ramp", 10*time.Minute, func(config *load.Config) {
		c.sending.apply(config)
		c.speakers.apply(config)
		config.Act = &load.Ramp{From: int(c.From), Limit: c.Limit}
	})
}

type soakCommand struct {
	common
	speakers
	sending
}

// Help shows an example.
func (*soakCommand) Help() string {
	return "bench soak --spawn ./throng --conns 10k --rate 50 --duration 8h --fail-if 'rss-slope>1m'"
}

func (c *soakCommand) Run(ctx context.Context) error {
	if c.Rate == 0 && c.Window == 0 {
		c.Rate = 10
	}
	return execute(ctx, &c.common, "soak", time.Hour, func(config *load.Config) {
		c.sending.apply(config)
		c.speakers.apply(config)
	})
}
