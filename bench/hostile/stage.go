package hostile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"time"

	"throng/bench/clock"
	"throng/bench/crew"
	"throng/bench/load"
	"throng/bench/proof"
	"throng/bench/report"
	"throng/bench/target"
)

// Stage is where attacks take place.
type Stage struct {
	// Start starts a fresh server with more options at the end of its command
	// line, at an address or, if that is the zero one, on loopback.
	Start func(ctx context.Context, at netip.AddrPort, options string) (*Server, error)
	// Calm is how long the pairs talk before an attack.
	Calm time.Duration
	// Log takes a line now and then for whoever waits.
	Log io.Writer

	ordinary bool // the kernel lets nobody go in front
}

// Outcome is what one attack led to.
type Outcome struct {
	Attack   *Attack
	Calm     *report.Result // of the pairs, before
	Pairs    *report.Result // of the pairs, during
	Room     *report.Result // of those who read, where there are any
	Deeds    []*Deeds       // of each process of attackers
	Before   State
	Ready    State // when all connections were there
	During   State
	End      State // when its time was over, and the attackers still there
	After    State
	Peak     State         // memory, descriptors and goroutines only
	Lasted   time.Duration // the attack
	Waited   float64       // share of the time for which others had the server's core
	CPUShare float64       // of a core that the server used
	Stray    error         // how the server ended by itself, if it did
	Ordinary bool          // the pairs did not go in front of the attackers
}

// The honest pairs: so many connections, two in a room, and both talk.
const (
	pairConns = 40
	pairRate  = 400
	pairSize  = 64
)

// The room that is attacked: so many members read, some of them talk.
const (
	roomMembers = 1000
	roomTalkers = 4
	roomRate    = 20
	roomSize    = 4 << 10
)

// openLimit is how long connections may take to be there.
const openLimit = 90 * time.Second

// honest is a load that is only ended from outside.
func (s *Server) honest() *load.Config {
	return &load.Config{
		Server: s.Address, Host: s.Address.String(), Path: "/chat", Duration: 24 * time.Hour, Patience: 10 * time.Second,
		Opening: 64, Handshake: 30 * time.Second, Seed: 1, Run: int(clock.Now()>>16) % proof.MaxRuns, Processes: 1,
	}
}

func (s *Server) pairs() *load.Config {
	c := s.honest()
	c.Conns, c.Rooms, c.Senders, c.Rate, c.Size = pairConns, pairConns/2, 2, pairRate, pairSize
	return c
}

func (s *Server) room() *load.Config {
	c := s.honest()
	c.Path = stalledPath
	c.Conns, c.Rooms, c.Senders, c.Rate, c.Size = roomMembers, 1, roomTalkers, roomRate, roomSize
	return c
}

// Make makes one attack.
func (s *Stage) Make(ctx context.Context, a *Attack) (o *Outcome, err error) {
	server, err := s.Start(ctx, netip.AddrPort{}, baseOptions+a.Options)
	if err != nil {
		return nil, err
	}
	defer server.Process.Stop()
	o = &Outcome{Attack: a}
	s.say("%s: calm for %s", a.Name, s.Calm)
	if err := s.calm(ctx, server, o); err != nil {
		return nil, err
	}
	if o.Before, err = server.state(ctx); err != nil {
		return nil, err
	}
	if err := s.fight(ctx, server, o); err != nil {
		return nil, errors.Join(err, server.Process.Ended(true))
	}
	if o.After, err = server.settled(ctx, o.Before); err != nil {
		return nil, err
	}
	o.Stray = server.Process.Ended(false)
	o.Ordinary = s.ordinary
	return o, nil
}

// say tells whoever waits what is being done.
func (s *Stage) say(format string, args ...any) { fmt.Fprintf(s.Log, format+"\n", args...) }

// calm measures the pairs undisturbed.
func (s *Stage) calm(ctx context.Context, server *Server, o *Outcome) error {
	pairs, err := s.front(order{Load: server.pairs()})
	if err != nil {
		return err
	}
	defer pairs.Dismiss()
	if err := pairs.Ready(ctx); err != nil {
		return err
	}
	pairs.Begin()
	if err := sleep(ctx, s.Calm); err != nil {
		return err
	}
	o.Calm, err = result(pairs)
	return err
}

// front hires somebody who measures, and goes in front of those who disturb.
func (s *Stage) front(o order) (hand *crew.Hand, err error) {
	allowed, err := target.InFront(func() (err error) {
		hand, err = hire(o)
		return err
	})
	s.ordinary = s.ordinary || !allowed
	return hand, err
}

// result stops a load and says what it found out.
func result(h *crew.Hand) (*report.Result, error) {
	if err := h.Stop(); err != nil {
		return nil, err
	}
	return load.Combine([]*load.Part{h.Part()}), nil
}

// sleep waits, unless there is a reason not to.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// fight lets the attackers in.
func (s *Stage) fight(ctx context.Context, server *Server, o *Outcome) error {
	f := &fight{stage: s, server: server, o: o}
	defer f.dismiss()
	if err := f.gather(ctx); err != nil {
		return err
	}
	w := server.watch(ctx)
	err := f.hold(ctx)
	w.stop()
	o.Peak = State{RSS: w.rss, FDs: w.fds, Goroutines: w.goroutines}
	if err != nil {
		return err
	}
	return f.end()
}

// fight is an attack under way.
type fight struct {
	stage       *Stage
	server      *Server
	o           *Outcome
	pairs, room *crew.Hand // room is nil where nobody is attacked in one
	squads      []*crew.Hand
}

// gather opens the connections of those who are honest.
func (f *fight) gather(ctx context.Context) (err error) {
	if f.pairs, err = f.stage.front(order{Load: f.server.pairs()}); err != nil {
		return err
	}
	if f.o.Attack.Room {
		if f.room, err = f.stage.front(order{Load: f.server.room()}); err != nil {
			return err
		}
		if err := f.room.Ready(ctx); err != nil {
			return err
		}
	}
	return f.pairs.Ready(ctx)
}

// hold lets the pairs talk and the attackers in, and measures.
func (f *fight) hold(ctx context.Context) error {
	began, waited := time.Now(), target.WaitedOf(f.server.Process.PID())
	used, err := target.Measure(f.server.Process.PID())
	if err != nil {
		return err
	}
	f.pairs.Begin()
	if err := f.attack(ctx); err != nil {
		return err
	}
	if f.o.Ready, err = f.server.state(ctx); err != nil {
		return err
	}
	if f.room != nil {
		f.room.Begin()
	}
	f.stage.say("%s: under attack for %s at most", f.o.Attack.Name, f.o.Attack.Hold)
	if look := f.o.Attack.Look; look > 0 {
		if err := f.wait(ctx, look); err != nil {
			return err
		}
		if f.o.During, err = f.server.state(ctx); err != nil {
			return err
		}
	}
	if err := f.wait(ctx, f.o.Attack.Hold-f.o.Attack.Look); err != nil {
		return err
	}
	if f.o.End, err = f.server.state(ctx); err != nil {
		return err
	}
	if f.o.Attack.Look == 0 {
		f.o.During = f.o.End
	}
	seconds := time.Since(began).Seconds()
	f.o.Lasted = time.Since(began)
	f.o.Waited = (target.WaitedOf(f.server.Process.PID()) - waited).Seconds() / seconds
	now, err := target.Measure(f.server.Process.PID())
	f.o.CPUShare = (now.CPU - used.CPU).Seconds() / seconds
	return err
}

// attack starts the attackers and waits until all of their connections are
// there, or will not be.
func (f *fight) attack(ctx context.Context) error {
	for _, force := range f.o.Attack.Squads {
		for i := range force.Processes {
			hand, err := hire(order{Squad: &Squad{Script: force.Script, Process: i, Processes: force.Processes, Conns: force.Conns,
				Server: f.server.Address, Host: f.server.Address.String(), Seed: 1, Payloads: f.o.Attack.Payloads, Again: !f.o.Attack.alone()}})
			if err != nil {
				return err
			}
			f.squads = append(f.squads, hand)
		}
	}
	limited, cancel := context.WithTimeoutCause(ctx, openLimit, errLate)
	defer cancel()
	for _, hand := range f.squads {
		if err := hand.Ready(limited); err != nil && !errors.Is(err, errLate) {
			return err
		}
	}
	return nil
}

// errLate is an attack that is only a part of itself; the rules find that out.
var errLate = errors.New("the attackers' connections were not there in time")

// wait lets the time of the attack pass, or all attackers finish.
func (f *fight) wait(ctx context.Context, longest time.Duration) error {
	limit := time.After(longest)
	for _, hand := range f.squads {
		select {
		case <-hand.Done():
		case <-limit:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// end stops everybody: first those who disturb, last those who measure.
func (f *fight) end() error {
	var problems []error
	for _, hand := range f.squads {
		d := &Deeds{}
		err := hand.Stop()
		if err == nil {
			err = hand.Report(d)
		}
		problems = append(problems, err)
		f.o.Deeds = append(f.o.Deeds, d)
	}
	var err error
	if f.room != nil {
		f.o.Room, err = result(f.room)
		problems = append(problems, err)
	}
	f.o.Pairs, err = result(f.pairs)
	return errors.Join(append(problems, err)...)
}

// dismiss ends whoever is still there.
func (f *fight) dismiss() {
	for _, hand := range append(f.squads, f.pairs, f.room) {
		if hand != nil {
			hand.Dismiss()
		}
	}
}

// total adds up what all attackers did.
func (o *Outcome) total() *Deeds {
	sum := &Deeds{Shortest: math.MaxInt64, Figures: map[string]float64{}}
	for _, d := range o.Deeds {
		sum.Dialled += d.Dialled
		sum.Opened += d.Opened
		sum.Done += d.Done
		sum.Bytes += d.Bytes
		sum.Most += d.Most
		sum.CPU += d.CPU
		if len(d.Ends) > 0 {
			sum.Shortest, sum.Longest = min(sum.Shortest, d.Shortest), max(sum.Longest, d.Longest)
		}
		sum.Ends = append(sum.Ends, d.Ends...)
		for name, value := range d.Figures {
			sum.Figures[name] += value
		}
		if sum.Skipped == "" {
			sum.Skipped = d.Skipped
		}
	}
	return sum
}
