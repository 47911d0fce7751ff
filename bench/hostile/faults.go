package hostile

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"throng/bench/crew"
	"throng/bench/report"
	"throng/bench/target"
)

// Fault is something that happens to servers without anybody's ill will.
type Fault struct {
	Name  string
	Title string
	run   func(ctx context.Context, t *trial) error
}

// Faults are all of them.
var Faults = []Fault{
	{"server-stopped", "the server gets no processor time for 30 s (SIGSTOP)", serverStopped},
	{"members-stopped", "1,000 members get none for 20 s", membersStopped},
	{"full-disk", "the server's output goes to a full disk, and it has much to say", fullDisk},
	{"killed", "kill -9, and a new server at the same address 2 s later; members come back", killed},
	{"packet-loss", "a network that loses one packet in ten", packetLoss},
	{"cut-link", "a link that is cut for 10 s", cutLink},
	{"half-open", "a link that is cut for good", halfOpen},
	{"clock-step", "the wall clock is set", clockStep},
}

// How long the faults take.
const (
	serverStop   = 30 * time.Second
	memberStop   = 20 * time.Second
	beforeFault  = 3 * time.Second
	afterFault   = 5 * time.Second
	restartPause = 2 * time.Second
	lossyTime    = 30 * time.Second
	cutTime      = 10 * time.Second
	healTime     = 20 * time.Second // until all have noticed that the link is back
)

// What the server promises about peers that have gone without a word.
const (
	idleFound   = 90 * time.Second
	unsentFound = 30 * time.Second
	// foundSlack is the kernel's timer for retransmission and the server's tick.
	foundSlack = 3 * time.Second
)

// Trial is what one fault led to.
type Trial struct {
	Fault   *Fault
	Found   []Finding
	Skipped string // why it was not tried
}

// trial is one under way.
type trial struct {
	*Trial
	stage *Stage
	stops []func() // what is left to be ended
}

// Try makes one fault happen.
func (s *Stage) Try(ctx context.Context, f *Fault) (*Trial, error) {
	t := &trial{Trial: &Trial{Fault: f}, stage: s}
	defer t.end()
	s.say("%s: %s", f.Name, f.Title)
	err := f.run(ctx, t)
	var none errNoNetwork
	if errors.As(err, &none) {
		t.Skipped, err = none.Error(), nil
	}
	return t.Trial, err
}

// end stops whoever is left, the last first.
func (t *trial) end() {
	for i := len(t.stops) - 1; i >= 0; i-- {
		t.stops[i]()
	}
}

// start starts a server.
func (t *trial) start(ctx context.Context, at netip.AddrPort, options string) (*Server, error) {
	server, err := t.stage.Start(ctx, at, options)
	if err == nil {
		t.stops = append(t.stops, server.Process.Stop)
	}
	return server, err
}

// hire starts members and waits until they talk.
func (t *trial) hire(ctx context.Context, o order) (*crew.Hand, error) {
	hand, err := hire(o)
	if err != nil {
		return nil, err
	}
	t.stops = append(t.stops, hand.Dismiss)
	if err := hand.Ready(ctx); err != nil {
		return nil, err
	}
	hand.Begin()
	return hand, nil
}

// proof stops members and adds what they found.
func (t *trial) proof(who string, h *crew.Hand) (*report.Result, error) {
	r, err := result(h)
	if err == nil {
		t.Found = append(t.Found, proofOf(who, r))
	}
	return r, err
}

// found adds a finding.
func (t *trial) found(ok bool, format string, args ...any) {
	t.Found = append(t.Found, Finding{Text: fmt.Sprintf(format, args...), OK: ok})
}

// pairsAndRoom starts a server with both kinds of members.
func (t *trial) pairsAndRoom(ctx context.Context, options string) (server *Server, pairs, room *crew.Hand, err error) {
	if server, err = t.start(ctx, netip.AddrPort{}, options); err != nil {
		return nil, nil, nil, err
	}
	if pairs, err = t.hire(ctx, order{Load: server.pairs()}); err != nil {
		return nil, nil, nil, err
	}
	many := server.room()
	many.Size = pairSize // so that nobody falls behind what is kept
	room, err = t.hire(ctx, order{Load: many})
	return server, pairs, room, err
}

// pause stops a process for a while.
func pause(ctx context.Context, pid int, d time.Duration) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stop a process: %w", err)
	}
	return errors.Join(sleep(ctx, d), syscall.Kill(pid, syscall.SIGCONT))
}

func serverStopped(ctx context.Context, t *trial) error {
	server, pairs, room, err := t.pairsAndRoom(ctx, "")
	if err != nil {
		return err
	}
	err = errors.Join(sleep(ctx, beforeFault), pause(ctx, server.Process.PID(), serverStop), sleep(ctx, afterFault))
	if err != nil {
		return err
	}
	return t.proofs(pairs, room)
}

func membersStopped(ctx context.Context, t *trial) error {
	_, pairs, room, err := t.pairsAndRoom(ctx, "")
	if err != nil {
		return err
	}
	err = errors.Join(sleep(ctx, beforeFault), pause(ctx, room.PID(), memberStop), sleep(ctx, afterFault))
	if err != nil {
		return err
	}
	return t.proofs(pairs, room)
}

// proofs are those of both kinds of members.
func (t *trial) proofs(pairs, room *crew.Hand) error {
	_, err1 := t.proof("pairs", pairs)
	_, err2 := t.proof("the room's 1,000 members", room)
	return errors.Join(err1, err2)
}

// fullDisk uses the device on which every write fails with ENOSPC.
func fullDisk(ctx context.Context, t *trial) error {
	server, pairs, room, err := t.pairsAndRoom(ctx, "--log-level debug >/dev/full 2>&1")
	if err != nil {
		return err
	}
	churn, err := hire(order{Squad: &Squad{Script: "churn", Processes: 1, Conns: 50, Server: server.Address, Host: server.Address.String(), Seed: 1}})
	if err != nil {
		return err
	}
	t.stops = append(t.stops, churn.Dismiss)
	if err := errors.Join(sleep(ctx, 2*afterFault), churn.Stop()); err != nil {
		return err
	}
	var d Deeds
	if err := churn.Report(&d); err != nil {
		return err
	}
	t.found(d.Opened > 0 && server.Process.Ended(false) == nil, "%s connections came and went, each of which the server wanted to log", report.Number(float64(d.Done)))
	return t.proofs(pairs, room)
}

func killed(ctx context.Context, t *trial) error {
	server, err := t.start(ctx, netip.AddrPort{}, "")
	if err != nil {
		return err
	}
	load := server.pairs()
	load.Conns, load.Rooms = roomMembers, roomMembers/2
	members, err := t.hire(ctx, order{Load: load, Again: true})
	if err != nil {
		return err
	}
	if err := sleep(ctx, beforeFault); err != nil {
		return err
	}
	if err := syscall.Kill(server.Process.PID(), syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill the server: %w", err)
	}
	if err := sleep(ctx, restartPause); err != nil {
		return err
	}
	if _, err := t.start(ctx, server.Address, ""); err != nil {
		return err
	}
	if err := sleep(ctx, afterFault); err != nil {
		return err
	}
	r, err := result(members)
	if err != nil {
		return err
	}
	back := r.Storm != nil && r.Storm.Rounds == 1
	r.Connect.Failed = 0 // while there was no server
	t.found(back, "1,000 members came back")
	if back {
		t.Found[0].Text += fmt.Sprintf(" within %s of the kill", report.Duration(r.Storm.Recovery.Max))
	}
	t.Found = append(t.Found, proofOf("before the kill, and once all were back", r))
	return nil
}

// behind starts a server that members reach through a network, and members there.
func (t *trial) behind(ctx context.Context) (n *network, server *Server, err error) {
	if n, err = newNetwork(ctx); err != nil {
		return nil, nil, err
	}
	t.stops = append(t.stops, n.remove)
	listener, err := net.Listen("tcp", netip.AddrPortFrom(n.here, 0).String())
	if err != nil {
		return nil, nil, fmt.Errorf("find a port for the server: %w", err)
	}
	at := listener.Addr().(*net.TCPAddr).AddrPort()
	listener.Close()
	server, err = t.start(ctx, at, "")
	return n, server, err
}

// distant starts pairs on the other side of a link.
func (t *trial) distant(ctx context.Context, n *network, server *Server) (pairs *crew.Hand, err error) {
	load := server.pairs()
	load.Rate, load.Patience = pairRate/4, time.Minute
	err = n.inside(func() (err error) {
		pairs, err = t.hire(ctx, order{Load: load})
		return err
	})
	return pairs, err
}

func packetLoss(ctx context.Context, t *trial) error {
	n, server, err := t.behind(ctx)
	if err != nil {
		return err
	}
	pairs, err := t.distant(ctx, n, server)
	if err != nil {
		return err
	}
	means, err := n.lose(ctx)
	if err != nil {
		return err
	}
	defer n.heal()
	if err := sleep(ctx, lossyTime); err != nil {
		return err
	}
	r, err := t.proof("pairs", pairs)
	if err == nil {
		l := &r.Latency.Corrected
		t.found(true, "a message took %s at p50, %s at p99 (packets dropped by %s)", report.Duration(l.P50), report.Duration(l.P99), means)
	}
	return err
}

func cutLink(ctx context.Context, t *trial) error {
	n, server, err := t.behind(ctx)
	if err != nil {
		return err
	}
	pairs, err := t.distant(ctx, n, server)
	if err != nil {
		return err
	}
	err = errors.Join(sleep(ctx, beforeFault), n.cut(ctx, true), sleep(ctx, cutTime), n.cut(ctx, false), sleep(ctx, healTime))
	if err != nil {
		return err
	}
	r, err := t.proof("pairs", pairs)
	if err == nil {
		longest := time.Duration(r.Latency.Corrected.Max)
		t.found(longest > cutTime/2, "the message that waited longest took %s", report.Duration(int64(longest)))
	}
	return err
}

// halfOpenConns is how many connections of each kind lose their link.
const halfOpenConns = 20

func halfOpen(ctx context.Context, t *trial) error {
	n, server, err := t.behind(ctx)
	if err != nil {
		return err
	}
	talk := server.room()
	talk.Conns, talk.Senders, talk.Rate, talk.Size = 10, 1, 5, pairSize
	talkers, err := t.hire(ctx, order{Load: talk})
	if err != nil {
		return err
	}
	for _, script := range []string{"idle", "listening"} {
		squad := &Squad{Script: script, Processes: 1, Conns: halfOpenConns, Server: server.Address, Host: server.Address.String(), Seed: 1}
		if err := n.inside(func() error {
			_, err := t.hire(ctx, order{Squad: squad})
			return err
		}); err != nil {
			return err
		}
	}
	if err := errors.Join(sleep(ctx, beforeFault), n.cut(ctx, true)); err != nil {
		return err
	}
	if err := t.awaitHalfOpen(ctx, server); err != nil {
		return err
	}
	_, err = t.proof("those who are still there", talkers)
	return err
}

// awaitHalfOpen notes when the server has found those with data unsent, which
// come first, and the idle ones.
func (t *trial) awaitHalfOpen(ctx context.Context, server *Server) error {
	all, err := target.Measure(server.Process.PID())
	if err != nil {
		return err
	}
	cut := time.Now()
	var unsent, idle time.Duration
	for idle == 0 && time.Since(cut) < idleFound+foundSlack {
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
		now, err := target.Measure(server.Process.PID())
		if err != nil {
			return err
		}
		if gone := all.FDs - now.FDs; gone >= 2*halfOpenConns {
			idle = time.Since(cut)
		} else if gone >= halfOpenConns && unsent == 0 {
			unsent = time.Since(cut)
		}
	}
	t.found(unsent > 0 && unsent <= unsentFound+foundSlack, "%d peers to whom something was sent were found after %s, promised %s",
		halfOpenConns, report.Duration(int64(unsent)), unsentFound)
	t.found(idle > 0 && idle <= idleFound, "%d idle ones after %s, promised %s", halfOpenConns, report.Duration(int64(idle)), idleFound)
	return nil
}

// clockStep is not made: it would be everybody's clock.
func clockStep(_ context.Context, t *trial) error {
	t.Skipped = "a clock cannot be set for one process: Linux has namespaces for the monotonic and the boot clock only, and the server reads " +
		"no wall clock for its deadlines"
	return nil
}
