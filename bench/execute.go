package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"throng/bench/clock"
	"throng/bench/crew"
	"throng/bench/load"
	"throng/bench/proof"
	"throng/bench/report"
	"throng/bench/target"
	"throng/bench/v1"
)

// execute runs one scenario from its flags to its report. apply adds what is
// particular to the scenario.
func execute(ctx context.Context, flags *common, scenario string, duration time.Duration, apply func(*load.Config)) error {
	config, err := configure(flags, duration)
	if err != nil {
		return err
	}
	apply(&config)
	if environ := os.Getenv(crew.Environ); environ != "" {
		return work(environ, config)
	}
	if err := check(&config, flags); err != nil {
		return err
	}
	server, err := spawn(ctx, flags, &config)
	if err != nil {
		return err
	}
	defer server.stop()
	if config.Inside, err = inside(ctx, flags, &config); err != nil {
		return err
	}
	var floor *report.Floor
	if flags.Floor {
		if floor, err = floorOf(ctx, config.Conns, config.Size, config.PID); err != nil {
			return fmt.Errorf("--floor: %w", err)
		}
	}
	parts, err := run(server.ctx, config, progress(flags, scenario, config.Warmup, config.Duration))
	if err != nil {
		return errors.Join(err, server.ended(true))
	}
	result := load.Combine(parts)
	result.Floor = floor
	result.Scenario, result.Label = scenario, flags.Label
	result.Plan, result.Environment = plan(flags, &config), target.Environment()
	judge(result, flags)
	if end := server.ended(result.Proof.Closed > 0 || result.Connect.Failed > 0); end != nil {
		result.Failures = append(result.Failures, end.Error())
	}
	return publish(ctx, result, flags)
}

// spawned is the server of --spawn, if there is one.
type spawned struct {
	process *target.Process // nil without --spawn
	ctx     context.Context // of the run
	cancel  func()
}

// spawn starts the server, and says when it ends by itself.
func spawn(ctx context.Context, flags *common, config *load.Config) (s spawned, err error) {
	if flags.Spawn == "" {
		return spawned{ctx: ctx, cancel: func() {}}, nil
	}
	if s.process, err = target.Spawn(ctx, flags.Spawn, config.Server.String()); err != nil {
		return s, err
	}
	config.PID = s.process.PID()
	s.ctx, s.cancel = untilEnd(ctx, s.process)
	return s, nil
}

// untilEnd is done when a server ends by itself, which cuts a run short.
func untilEnd(ctx context.Context, process *target.Process) (running context.Context, cancel func()) {
	running, end := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-process.Exited():
			end(errServerEnded)
		case <-running.Done():
		}
	}()
	return running, func() { end(nil) }
}

// errServerEnded cuts a run short. What was to be said of the server's end is
// among the failures.
var errServerEnded = errors.New("the server ended by itself")

// ended is how the server ended by itself, if it has; likely says that it
// looks like it.
func (s *spawned) ended(likely bool) error {
	if s.process == nil {
		return nil
	}
	return s.process.Ended(likely)
}

// stop ends the server.
func (s *spawned) stop() {
	s.cancel()
	if s.process != nil {
		s.process.Stop()
	}
}

// nowhere is what --pprof and --metrics say for not even looking.
const nowhere = "none"

// inside finds out where the server tells of its goroutines and its heap: where
// the flags say, or, unless memory is what is of interest, at an address where
// its process listens, or its host does.
func inside(ctx context.Context, flags *common, config *load.Config) (source target.Source, err error) {
	switch {
	case flags.Pprof == nowhere || flags.Metrics == nowhere:
		return source, nil
	case flags.Metrics != "":
		source = target.Metrics(flags.Metrics)
		_, err = source.Read(ctx)
		return source, wrap(err, "--metrics")
	case flags.Pprof != "":
		source = target.Pprof(flags.Pprof)
		_, err = source.Read(ctx)
		return source, wrap(err, "--pprof")
	case config.Silent:
		// What these scenarios are about is memory, of which the first answer alone
		// made a server's process 1.4 MB larger, before its connections are counted.
		return source, nil
	}
	hosts := []string{"http://" + config.Host}
	if config.PID != 0 {
		hosts = nil
		for _, address := range target.Listeners(config.PID) {
			hosts = append(hosts, "http://"+address.String())
		}
	}
	source, _ = target.Find(ctx, hosts)
	return source, nil
}

// wrap names the flag that an error is of.
func wrap(err error, flag string) error {
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	return nil
}

// run makes the run, in this process or in several.
func run(ctx context.Context, config load.Config, onSample func(report.Sample)) ([]*load.Part, error) {
	if config.Processes > 1 {
		environ := make([]string, config.Processes)
		for i := range environ {
			environ[i] = fmt.Sprintf(environFormat, i, config.Run, config.PID, config.Inside.Metrics, config.Inside.URL)
		}
		return crew.Lead(ctx, environ, onSample)
	}
	run, err := load.New(config)
	if err != nil {
		return nil, err
	}
	run.OnSample = onSample
	defer context.AfterFunc(ctx, func() { run.Cut(context.Cause(ctx).Error()) })()
	if err := run.Go(); err != nil {
		return nil, err
	}
	return []*load.Part{run.Part()}, nil
}

// environFormat is what a client process is told beside the flags.
const environFormat = "%d %d %d %t %q"

// work is what a copy of this program does as one of several client processes.
func work(environ string, config load.Config) error {
	if _, err := fmt.Sscanf(environ, environFormat, &config.Process, &config.Run, &config.PID, &config.Inside.Metrics, &config.Inside.URL); err != nil {
		return fmt.Errorf("%s is not understood: %w", crew.Environ, err)
	}
	if config.Process > 0 {
		config.PID = 0 // the first measures the server for all
	}
	return crew.Work(config, os.Stdin, os.Stdout)
}

// configure turns the common flags into a configuration.
func configure(flags *common, duration time.Duration) (load.Config, error) {
	config := load.Config{
		Subprotocol: flags.Subprotocol, Deflate: flags.Compression, PID: flags.PID,
		Conns: int(flags.Conns), Rooms: 1, Duration: cmp.Or(flags.Duration, duration), Patience: time.Second,
		RampRate: float64(flags.RampRate), Opening: int(flags.Opening), Handshake: flags.Handshake,
		Seed: flags.Seed, Run: int(clock.Now()>>16) % proof.MaxRuns, Processes: flags.Procs,
	}
	u, err := url.Parse(strings.ReplaceAll(flags.URL, "{room}", "room"))
	if err != nil || u.Scheme != "ws" || u.Hostname() == "" {
		return config, fmt.Errorf("--url %q is not of the form ws://HOST:PORT/PATH", flags.URL)
	}
	if config.Server, err = resolve(u); err != nil {
		return config, err
	}
	config.Host, config.Path = u.Host, "/"
	if _, rest, ok := strings.Cut(flags.URL[len("ws://"):], "/"); ok {
		config.Path += rest
	}
	loopback := config.Server.Addr().IsLoopback() && config.Server.Addr().Is4()
	// Long before an address runs out of ports, connect(2) searches for a free
	// one: 18,000 connections from one address took 6.2 s here, from five 1.4 s.
	config.Sources = loopback && config.Conns > portsPerAddress()/4
	return config, nil
}

// resolve finds the address behind a URL.
func resolve(u *url.URL) (netip.AddrPort, error) {
	port := cmp.Or(u.Port(), "80")
	address, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("--url: %w", err)
	}
	found := address.AddrPort()
	return netip.AddrPortFrom(found.Addr().Unmap(), found.Port()), nil
}

// check refuses what cannot work.
func check(c *load.Config, flags *common) error {
	switch {
	case c.Conns < 1 || c.Opening < 1 || c.Processes < 1:
		return errors.New("--conns, --opening and --procs must be at least 1")
	case c.Processes > c.Conns:
		return errors.New("there are more client processes than connections")
	case c.Rooms < 1 || c.Rooms > c.Conns:
		return fmt.Errorf("%d rooms cannot be shared out among %d connections", c.Rooms, c.Conns)
	case !c.Silent && (c.Senders < 1 || c.Senders*c.Rooms > c.Conns):
		return fmt.Errorf("%d senders in each of %d rooms are not among %d connections", c.Senders, c.Rooms, c.Conns)
	case !within(c.Rate, 0, maxRate) || !within(c.RampRate, 0, maxRate):
		return fmt.Errorf("rates are 0 to %.0f a second", float64(maxRate))
	case !withinAct(c.Act):
		return fmt.Errorf("--visits is 0.001 to %.0f a second, --share 0 to 1", float64(maxRate))
	case withoutSlow(c):
		return errors.New("no member would be slow, because the senders never are: raise --share or --conns, or lower --senders")
	case tooManyUnderWay(c):
		return fmt.Errorf("throng.v1 resumes at most %d messages in flight of a sender: lower --window", v1.Remembered)
	case c.Duration < 0 || c.Warmup < 0 || c.Patience <= 0 || c.Handshake <= 0:
		return errors.New("durations must not be negative, --patience and --handshake not 0")
	case !c.Silent && (c.Size < proof.StampBytes || c.Size > proof.MaxSize):
		return fmt.Errorf("--size is %d to %d", proof.StampBytes, proof.MaxSize)
	case flags.Spawn != "" && flags.PID != 0:
		return errors.New("--spawn and --pid exclude each other")
	}
	if c.PID != 0 {
		if _, err := target.Measure(c.PID); err != nil {
			return fmt.Errorf("--pid: %w", err)
		}
	}
	if err := writable(flags.JSON, flags.CSV, flags.HTML, flags.PNG); err != nil {
		return err
	}
	if flags.Pprof != "" && flags.Metrics != "" && flags.Pprof != flags.Metrics {
		return errors.New("--pprof and --metrics exclude each other")
	}
	return preflight(c)
}

// tooManyUnderWay is a storm in which more could be lost than a server remembers.
func tooManyUnderWay(c *load.Config) bool {
	_, storm := c.Act.(*load.Storm)
	return storm && c.Subprotocol == v1.Name && (c.Window < 1 || c.Window > v1.Remembered)
}

// maxRate bounds rates: what is due beyond it could never be caught up with.
const maxRate = 1e6

// within is false for what is no number as well.
func within(x, least, most float64) bool { return x >= least && x <= most }

// withinAct checks the rates of what happens beside the load.
func withinAct(act load.Act) bool {
	switch a := act.(type) {
	case *load.Churn:
		return within(a.Rate, 0.001, maxRate)
	case *load.Slow:
		return within(a.Share, 0, 1)
	}
	return true
}

// withoutSlow is a slow scenario without slow members, which would prove nothing.
func withoutSlow(c *load.Config) bool {
	slow, ok := c.Act.(*load.Slow)
	return ok && slow.Members(c) == 0
}

// plan records what was asked for.
func plan(flags *common, config *load.Config) report.Plan {
	return report.Plan{
		URL: flags.URL, Spawn: flags.Spawn, Subprotocol: config.Subprotocol, Compression: config.Deflate, Conns: config.Conns, Rooms: config.Rooms,
		Senders: config.Senders, Window: config.Window, Rate: config.Rate, Size: config.Size,
		DurationS: config.Duration.Seconds(), WarmupS: config.Warmup.Seconds(), Procs: config.Processes, Seed: config.Seed,
	}
}
