package load

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"throng/bench/target"
)

// Config is what one client process does.
type Config struct {
	// The server.
	Server      netip.AddrPort
	Host        string
	Path        string // {room} in it stands for a room's name
	Subprotocol string
	Deflate     bool          // offer permessage-deflate
	PID         int           // of the server, or 0
	Inside      target.Source // where it tells of its goroutines and heap, if anywhere

	// The load, of all processes together.
	Conns    int
	Rooms    int
	Senders  int     // in each room
	Window   int     // messages in flight per sender; 0 is no bound
	Rate     float64 // messages a second of all senders; 0 is a closed loop
	Size     int     // bytes of a message
	Messages int     // that each sender sends, instead of sending for a time; 0 is no bound
	Warmup   time.Duration
	Duration time.Duration
	Visitors int  // connections that come and go, in the one room
	Act      Act  // what else happens; nil for nothing
	Silent   bool // nothing is sent: only connections are of interest

	// The way there.
	RampRate  float64       // connections opened per second; 0 is as fast as they are accepted
	Opening   int           // connections being opened at a time
	Handshake time.Duration // limit for opening one
	Patience  time.Duration // how long to wait for what is missing
	Sources   bool          // rotate the source address
	Seed      uint64
	Run       int // tells this run's messages from those of earlier ones

	// This process among several.
	Process   int
	Processes int
	Gate      Gate // nil for one alone
}

// Gate is where one process of several waits for the others. Its methods must
// not block.
type Gate interface {
	Ready()                                       // this process's connections are open
	Begin() (at int64, known bool)                // when the load begins
	Sent(bySender map[int]int64)                  // what this process has sent
	Totals() (bySender map[int]int64, known bool) // what all have sent
	Limit()                                       // this process has met the limit that is looked for
	Limited() bool                                // another one has
}

// local is how many of the connections this process has.
func (c *Config) local() int {
	return (c.Conns - c.Process + c.Processes - 1) / c.Processes
}

// visitors is how many of the visitors' connections this process has. Their
// numbers follow those of the others.
func (c *Config) visitors() int {
	return (c.Visitors - c.Process + c.Processes - 1) / c.Processes
}

// global is the number of a connection among all processes. They take turns, so
// that the senders are spread over them.
func (c *Config) global(id int) int { return id*c.Processes + c.Process }

// room is where a connection goes.
func (c *Config) room(id int) int {
	if id >= c.local() {
		return 0
	}
	return c.global(id) % c.Rooms
}

// sender is the number that a connection has as a sender, or -1.
func (c *Config) sender(id int) int {
	if visitor := id - c.local(); visitor >= 0 {
		return c.Senders + visitor*c.Processes + c.Process
	}
	global := c.global(id)
	if place := global / c.Rooms; place < c.Senders {
		return global%c.Rooms*c.Senders + place
	}
	return -1
}

// sharing is how many processes have members of a room. Its members take turns
// among them, so the first process that has one again closes the circle.
func (c *Config) sharing(room int) int {
	n := 1
	for global := room + c.Rooms; global < c.Conns && (global-room)%c.Processes != 0; global += c.Rooms {
		n++
	}
	return n
}

// returning reports whether senders come back after they have left, which makes
// them somebody else to the server.
func (c *Config) returning() bool {
	switch c.Act.(type) {
	case *Churn, *Comeback:
		return true
	case *Storm:
		return !c.resumes()
	}
	return false
}

// receiveBuffer is the size of a connection's receive buffer; 0 leaves it to
// the kernel.
func (c *Config) receiveBuffer(id int) int {
	if slow, ok := c.Act.(*Slow); ok && id >= slow.first(c) {
		return slowBufferBytes
	}
	return 0
}

// source is the address that a connection is dialled from. Each address of
// 127.0.0.0/8 has ports of its own, so a few thousand on each are no burden.
func (c *Config) source(id int) netip.Addr {
	if !c.Sources {
		return netip.Addr{}
	}
	const perAddress = 4000
	n := 1 + c.global(id)/perAddress
	return netip.AddrFrom4([4]byte{127, byte(1 + n>>14&0x7F), byte(n >> 7 & 0x7F), byte(1 + n&0x7F)})
}

// roomName names a room where there are several.
func (c *Config) roomName(room int) string { return fmt.Sprintf("bench-%d", room) }

// path is where the connections of a room go. Without a placeholder rooms are
// told apart the way Throng does it; an echo server does not care.
func (c *Config) path(room int) string {
	const placeholder = "{room}"
	switch {
	case strings.Contains(c.Path, placeholder):
		return strings.ReplaceAll(c.Path, placeholder, c.roomName(room))
	case c.Rooms > 1 && strings.HasSuffix(c.Path, "/chat"):
		return c.Path + "/" + c.roomName(room)
	}
	return c.Path
}
