package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"throng/bench/clock"
	"throng/bench/load"
	"throng/bench/proof"
	"throng/bench/report"
	"throng/bench/target"
)

// execute runs one scenario from its flags to its report.
func execute(ctx context.Context, scenario string, flags *loadFlags, adapt func(*load.Config)) error {
	config, err := configure(flags)
	if err != nil {
		return err
	}
	adapt(&config)
	if flags.Spawn != "" {
		server, err := target.Spawn(ctx, flags.Spawn, config.Server.String())
		if err != nil {
			return err
		}
		defer server.Stop()
		config.PID = server.PID()
	}
	run, err := load.New(config)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { run.Cut("interrupted") })()
	if !flags.Quiet {
		run.OnSample = func(s report.Sample) {
			fmt.Fprintf(os.Stderr, "%8.1fs %-10s %7d open %12s received  p99 %s\n", s.T, s.Phase, s.Open,
				report.Number(float64(s.Received)), report.Duration(s.P99))
		}
	}
	if err := run.Go(); err != nil {
		return err
	}
	result := load.Combine([]*load.Part{run.Part()})
	result.Scenario, result.Label = scenario, flags.Label
	result.Plan = plan(flags, &config)
	judge(result)
	return publish(result, flags)
}

// configure turns flags into a configuration.
func configure(flags *loadFlags) (load.Config, error) {
	config := load.Config{
		Subprotocol: flags.Subprotocol, PID: flags.PID,
		Conns: int(flags.Conns), Senders: int(flags.Senders), Window: int(flags.Window), Rate: flags.Rate, Size: int(flags.Size),
		Warmup: flags.Warmup, Duration: flags.Duration,
		RampRate: flags.RampRate, Opening: int(flags.Opening), Handshake: flags.Handshake, Patience: flags.Patience,
		Seed: flags.Seed, Run: int(clock.Now()>>16) % proof.MaxRuns, Processes: 1,
	}
	if config.Window == 0 && config.Rate == 0 {
		config.Window = 1
	}
	u, err := url.Parse(flags.URL)
	if err != nil || u.Scheme != "ws" || u.Hostname() == "" {
		return config, fmt.Errorf("--url %q is not of the form ws://HOST:PORT/PATH", flags.URL)
	}
	if config.Server, err = resolve(u); err != nil {
		return config, err
	}
	config.Host = u.Host
	config.Sources = config.Conns > 20_000 && config.Server.Addr().IsLoopback() && config.Server.Addr().Is4()
	// Of the text, because a placeholder must not be escaped.
	config.Path = "/"
	if _, rest, ok := strings.Cut(flags.URL[len("ws://"):], "/"); ok {
		config.Path += rest
	}
	return config, nil
}

// resolve finds the address behind a URL.
func resolve(u *url.URL) (netip.AddrPort, error) {
	port := u.Port()
	if port == "" {
		port = "80"
	}
	address, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("--url: %w", err)
	}
	found := address.AddrPort()
	return netip.AddrPortFrom(found.Addr().Unmap(), found.Port()), nil
}

// plan records what was asked for.
func plan(flags *loadFlags, config *load.Config) report.Plan {
	return report.Plan{
		URL: flags.URL, Spawn: flags.Spawn, Subprotocol: config.Subprotocol, Conns: config.Conns, Rooms: config.Rooms,
		Senders: config.Senders, Window: config.Window, Rate: config.Rate, Size: config.Size,
		DurationS: config.Duration.Seconds(), WarmupS: config.Warmup.Seconds(), Procs: config.Processes, Seed: config.Seed,
	}
}

// judge decides whether the server kept its promises.
func judge(r *report.Result) {
	p := &r.Proof
	for _, broken := range []struct {
		count int64
		what  string
	}{
		{p.Missing, "missing"}, {p.Duplicated, "duplicated"}, {p.Reordered, "reordered"}, {p.Diverged, "in another order than others saw"},
		{p.Corrupted, "corrupted"}, {p.Misdelivered, "delivered to the wrong room"}, {p.Closed, "connections closed by the server"},
		{r.Connect.Failed, "connections failed to open"},
	} {
		if broken.count > 0 {
			r.Failures = append(r.Failures, fmt.Sprintf("%s %s", report.Number(float64(broken.count)), broken.what))
		}
	}
	if r.Load.WasBottleneck {
		r.Warnings = append(r.Warnings, "the load generator was the bottleneck: the server could have done more")
	}
}

// publish writes the reports.
func publish(r *report.Result, flags *loadFlags) error {
	if err := report.Summary(os.Stdout, r); err != nil {
		return err
	}
	if flags.JSON != "" {
		text, err := json.MarshalIndent(r, "", "  ")
		if err == nil {
			err = os.WriteFile(flags.JSON, append(text, '\n'), 0o644)
		}
		if err != nil {
			return fmt.Errorf("--json: %w", err)
		}
	}
	if len(r.Failures) > 0 {
		return errFailed
	}
	return nil
}
