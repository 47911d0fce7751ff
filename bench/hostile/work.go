package hostile

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"

	"throng/bench/crew"
	"throng/bench/load"
)

// order is what a process of the leader's finds in its environment.
type order struct {
	Load  *load.Config `json:",omitempty"` // honest members
	Again bool         `json:",omitempty"` // who come back when the server drops them
	Squad *Squad       `json:",omitempty"` // attackers
}

// Squad is what one process of attackers does.
type Squad struct {
	Script    string
	Process   int // among those of the same script
	Processes int
	Conns     int // of this process
	Server    netip.AddrPort
	Host      string
	Seed      uint64
	// Payloads are the sizes of the messages that come in pieces.
	Payloads [2]int
	// Again brings members back that were closed because they do not read.
	Again bool
}

// Work is what a copy of this program does for a leader that gave it environ.
func Work(environ string) error {
	var o order
	if err := json.Unmarshal([]byte(environ), &o); err != nil {
		return fmt.Errorf("%s is not understood: %w", crew.Environ, err)
	}
	if o.Again {
		o.Load.Act = &load.Comeback{}
	}
	if o.Load != nil {
		return crew.Work(*o.Load, os.Stdin, os.Stdout)
	}
	return crew.Toil(os.Stdin, os.Stdout, func(orders *crew.Orders) (any, error) {
		return attack(o.Squad, orders)
	})
}

// hire starts a process with an order.
func hire(o order) (*crew.Hand, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("encode an order: %w", err)
	}
	return crew.Hire(string(text))
}
