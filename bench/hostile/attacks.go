package hostile

import (
	"strings"
	"time"
)

// Attack is one line of the table.
type Attack struct {
	Name  string
	Title string
	// Squads are who attacks.
	Squads []Force
	// Hold is how long, from the moment on at which all connections are there;
	// an attack that is over before is not waited for.
	Hold time.Duration
	// Look is when the server is measured during the attack; 0 is at its end.
	Look time.Duration
	// Options are added to the server's command line.
	Options string
	// Room has members that talk and read in the room that is attacked.
	Room bool
	// Payloads are the sizes of the messages that come in pieces.
	Payloads [2]int

	rules []rule
}

// Force is some processes that do the same.
type Force struct {
	Script    string
	Processes int
	Conns     int // of each process
}

// Sizes of the attacks.
const (
	slowConns      = 2000
	halfConns      = 2000
	stalledConns   = 10_000
	stalledCrews   = 4
	churnCrews     = 2
	fragmentsConns = 32
)

// Members that do not read are looked at when they have fallen behind the window,
// and before some of them read on; the others are closed before the end.
const (
	resumeEvery = 50 // one of so many
	stalledLook = 20 * time.Second
	resumeAfter = 24 * time.Second
	stalledHold = 45 * time.Second
)

// Two of the five kinds of floods are messages, to rooms that nobody else is in. Each
// of those holds its window, 1 MiB of frames, and for frames as small as these half
// as much in marks; the collector lets the heap double.
const (
	floodConns = 100
	floodRooms = floodConns * 2 / floodKinds
	floodRoom  = 2 * (1<<20 + 3<<18)
)

// What is said in thousands of rooms is kept in all of them, until the process uses what it may.
const (
	roomsMemory  = 256 << 20
	roomsOptions = "--memory 268435456"
)

// The forces.
var (
	slowForce      = Force{"slow", 1, slowConns}
	headsForce     = Force{"heads", 1, 100}
	churnForce     = Force{"churn", churnCrews, 200}
	halfForce      = Force{"half", 1, halfConns}
	stalledForce   = Force{"stalled", stalledCrews, stalledConns / stalledCrews}
	floodForce     = Force{"flood", 1, floodConns}
	roomsForce     = Force{"rooms", 1, roomsConns}
	fragmentsForce = Force{"fragments", 1, fragmentsConns}
	bombsForce     = Force{"bombs", 1, 50}
)

// What a message in one-byte pieces may be by default, and where the server lets
// that be chosen: sixteen times as much as the small one in either case.
var (
	defaultPayloads = [2]int{1 << 10, 16 << 10}
	chosenPayloads  = [2]int{64 << 10, 1 << 20}
)

// fragmentsOptions let the larger of the chosen payloads pass.
const (
	fragmentsFlag    = "--max-fragments"
	fragmentsOptions = fragmentsFlag + " 2000000 --max-message 2097152"
)

// baseOptions keep no history: what is left in memory when everybody has gone is
// then neither the pairs' messages nor the attackers'.
const baseOptions = "--history-count 0 "

// Attacks are all, in the order in which they are made.
func Attacks(mixed time.Duration) []Attack {
	return []Attack{
		{Name: "slow-handshakes", Title: "2,000 handshakes at a byte a second", Squads: []Force{slowForce}, Hold: 15 * time.Second,
			rules: []rule{there(slowConns), cutInTime, noGoroutines, memoryEach(slowConns, 4<<10), backAgain(heapSlack)}},
		{Name: "half-frames", Title: "half frames held on 1,800 connections; 200 more declare lengths of 2^63-1 and above", Squads: []Force{halfForce}, Hold: 15 * time.Second,
			rules: []rule{there(halfConns - halfConns/liarEvery), endsOnly("close 1002", "close 1009"), noGoroutines, memoryEach(halfConns, 2*halfBytes), backAgain(heapSlack)}},
		{Name: "never-read", Title: "10,000 members that never read, in a room with 1,000 that do", Squads: []Force{stalledForce}, Hold: stalledHold, Look: stalledLook,
			Room: true, rules: []rule{there(stalledConns), roomGotAll, noGoroutines, heapEach(stalledConns), socketEach, stalledTold, backAgain(roomSlack)}},
		{Name: "never-read-close", Title: "the same, where the server closes slow members", Squads: []Force{stalledForce}, Hold: stalledHold, Look: stalledLook,
			Options: "--slow-consumer close", Room: true, rules: []rule{there(stalledConns), roomGotAll, noGoroutines, heapEach(stalledConns), socketEach, stalledClosed, backAgain(roomSlack)}},
		{Name: "floods", Title: "floods of pings, one-byte texts, empty texts and empty continuations", Squads: []Force{floodForce}, Hold: 15 * time.Second,
			rules: []rule{didSomething, noGoroutines, memoryAtMost(16<<20 + floodRooms*floodRoom), backAgain(roomSlack)}},
		{Name: "rooms", Title: "300 connections of throng.v1: one half talks in 31 rooms each, the other goes from room to room", Squads: []Force{roomsForce}, Hold: 15 * time.Second,
			Options: roomsOptions, rules: []rule{didSomething, noGoroutines, memoryAtMost(roomsMemory), backAgain(heapSlack)}},
		{Name: "fragments", Title: "messages in pieces of one byte", Squads: []Force{fragmentsForce}, Hold: 15 * time.Second, Payloads: defaultPayloads,
			rules: []rule{didSomething, linearTime, twiceThePayload, noGoroutines, backAgain(roomSlack)}},
		{Name: "deflate-bombs", Title: "messages of 60 KB that inflate to 60 MiB", Squads: []Force{bombsForce}, Hold: 15 * time.Second,
			rules: []rule{didSomething, endsOnly("close 1009"), noGoroutines, memoryAtMost(16 << 20), backAgain(heapSlack)}},
		{Name: "header-floods", Title: "huge heads, many headers, many offers, long targets", Squads: []Force{headsForce}, Hold: 15 * time.Second,
			rules: []rule{didSomething, endsOnly("status 101", "status 400", "status 414", "status 431", "reset"), noGoroutines, memoryAtMost(16 << 20), backAgain(heapSlack)}},
		{Name: "resets", Title: "100,000 connections reset at any stage", Squads: []Force{churnForce}, Hold: 10 * time.Minute,
			rules: []rule{allCycles, noGoroutines, backAgain(heapSlack)}},
		{Name: "mixed", Title: "slow handshakes, heads, half frames, members that never read, floods, bombs and resets at once, for " + mixed.String(), Hold: mixed, Room: true,
			Squads: []Force{slowForce, headsForce, halfForce, stalledForce, floodForce, bombsForce, {"churn", 1, 100}},
			rules:  []rule{roomGotAll, noGoroutines, backAgain(2 * roomSlack)}},
	}
}

// Adapt makes use of what a server's help says can be chosen.
func (a *Attack) Adapt(help string) {
	if a.Payloads != [2]int{} && strings.Contains(help, fragmentsFlag) {
		a.Payloads, a.Options = chosenPayloads, fragmentsOptions
	}
}
