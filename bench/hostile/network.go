package hostile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// network is a namespace of its own, behind a link that can be cut. The server
// stays where it is; who is to be cut off is started in it.
type network struct {
	name        string
	near, far   string // the link's ends; near is the server's
	here, there netip.Addr
}

// errNoNetwork is why there is none.
type errNoNetwork struct{ why string }

func (e errNoNetwork) Error() string { return e.why }

// newNetwork makes one, which takes root and iproute2.
func newNetwork(ctx context.Context) (*network, error) {
	if os.Geteuid() != 0 {
		return nil, errNoNetwork{"it takes root to make a network namespace"}
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return nil, errNoNetwork{"ip is not installed: apt-get install iproute2"}
	}
	id := os.Getpid() % 100_000
	third := byte(id % 250)
	n := &network{name: fmt.Sprintf("throng-%d", id), near: fmt.Sprintf("thr%da", id), far: fmt.Sprintf("thr%db", id),
		// From a block that is set apart for such trials: RFC 2544, C.2.2.
		here: netip.AddrFrom4([4]byte{198, 18, third, 1}), there: netip.AddrFrom4([4]byte{198, 18, third, 2})}
	for _, command := range []string{
		"ip netns add " + n.name,
		fmt.Sprintf("ip link add %s type veth peer name %s netns %s", n.near, n.far, n.name),
		fmt.Sprintf("ip address add %s/30 dev %s", n.here, n.near),
		fmt.Sprintf("ip link set %s up", n.near),
		fmt.Sprintf("ip -n %s address add %s/30 dev %s", n.name, n.there, n.far),
		fmt.Sprintf("ip -n %s link set %s up", n.name, n.far),
	} {
		if err := run(ctx, command); err != nil {
			n.remove()
			return nil, errNoNetwork{"the kernel allows no network namespace here: " + err.Error()}
		}
	}
	return n, nil
}

// run runs a command line without quotes in it.
func run(ctx context.Context, line string) error {
	words := strings.Fields(line)
	out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w %s", line, err, bytes.TrimSpace(out))
	}
	return nil
}

// remove takes the namespace away, and the link with it.
func (n *network) remove() {
	// Either may be gone already; there is nothing to be done about that.
	_ = run(context.Background(), "ip link delete "+n.near)
	_ = run(context.Background(), "ip netns delete "+n.name)
}

// inside calls f in the namespace. A process that f starts stays there.
func (n *network) inside(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	defer before.Close()
	target, err := os.Open("/run/netns/" + n.name)
	if err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	defer target.Close()
	if err := unix.Setns(int(target.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network namespace: %w", err)
	}
	err = f()
	if back := unix.Setns(int(before.Fd()), unix.CLONE_NEWNET); back != nil {
		// Never to run anything else: the thread ends with its goroutine.
		runtime.LockOSThread()
		err = errors.Join(err, fmt.Errorf("leave the network namespace: %w", back))
	}
	return err
}

// lose drops one packet in ten, in both directions. It says by what means.
func (n *network) lose(ctx context.Context) (means string, err error) {
	far := "ip netns exec " + n.name + " "
	netem := func(dev string) string { return "tc qdisc add dev " + dev + " root netem loss 10%" }
	err = errors.Join(run(ctx, netem(n.near)), run(ctx, far+netem(n.far)))
	if err == nil {
		return "tc netem", nil
	}
	// Without that scheduler in the kernel the packet filter does the same, to
	// what comes in: an own packet that is dropped on its way out is seen by TCP.
	table := fmt.Sprintf("add table inet %s; add chain inet %s in { type filter hook input priority 0; }; "+
		"add rule inet %s in iifname %%s numgen random mod 10 == 0 drop", n.name, n.name, n.name)
	for prefix, dev := range map[string]string{"": n.near, far: n.far} {
		words := append(strings.Fields(prefix+"nft"), fmt.Sprintf(table, dev))
		if out, problem := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput(); problem != nil {
			return "", errNoNetwork{fmt.Sprintf("packets cannot be dropped here: the kernel has no netem (%s), and nft does not work (%v %s)",
				strings.ReplaceAll(err.Error(), "\n", "; "), problem, bytes.TrimSpace(out))}
		}
	}
	return "nft", nil
}

// heal ends the loss.
func (n *network) heal() {
	_ = run(context.Background(), "nft delete table inet "+n.name)
}

// cut takes the link down or up again. Nobody on either side is told: the
// server's end stays up.
func (n *network) cut(ctx context.Context, down bool) error {
	state := "up"
	if down {
		state = "down"
	}
	return run(ctx, fmt.Sprintf("ip -n %s link set %s %s", n.name, n.far, state))
}
