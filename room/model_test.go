package room_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"throng/room"
)

// modelSeeds is how many random runs a test makes, each of modelSteps operations.
const (
	modelSeeds = 300
	modelSteps = 2500
)

// TestModel runs random operations and checks every byte that any member gets against plain lists.
func TestModel(t *testing.T) {
	missed, busy := 0, 0
	for seed := range uint64(modelSeeds) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			w := play(t, modelSteps, random.IntN)
			missed += w.missed
			busy += w.busy
		})
	}
	if !t.Failed() && (missed < modelSeeds || busy < modelSeeds) {
		t.Errorf("%d gaps and %d busy answers in all the runs: too few to show anything", missed, busy)
	}
}

// FuzzOperations lets the fuzzer choose the operations.
func FuzzOperations(f *testing.F) {
	for seed := range uint64(8) {
		random := rand.New(rand.NewPCG(seed, 1))
		var script []byte
		for range 600 {
			script = binary.LittleEndian.AppendUint16(script, uint16(random.Uint32()))
		}
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		script = script[:min(len(script), 1<<12)]
		left := len(script) / 2
		play(t, left, func(n int) int {
			if len(script) < 2 {
				return 0
			}
			x := binary.LittleEndian.Uint16(script)
			script = script[2:]
			return int(x) % n
		})
	})
}

// play makes a world and does that many operations in it; choose(n) is any number below n.
func play(t *testing.T, steps int, choose func(int) int) *world {
	notices := choose(2) == 0
	w := newWorld(t, 1+choose(3), func(c *room.Config) {
		c.Shards = 2
		c.Window = 512 << choose(6)
		c.HistoryCount = []int{0, 3, 40}[choose(3)]
		c.HistoryBytes = 256 << choose(8)
		c.HistoryAge = 100 * time.Second
		if choose(2) == 0 {
			c.Recode = recode
		}
	})
	w.views = 1 + choose(views)
	for range steps {
		w.step(choose, notices)
	}
	w.quiesce()
	for _, p := range w.members {
		w.writable(p, -1)
	}
	w.quiesce()
	w.checkRooms(1 + choose(5))
	w.end()
	return w
}

// step does one operation.
func (w *world) step(choose func(int) int, notices bool) {
	var p *person
	if len(w.members) > 0 {
		p = w.members[choose(len(w.members))]
	}
	switch op := choose(100); {
	case op < 6 || p == nil:
		name := fmt.Sprint("room", choose(3))
		w.view = choose(w.views)
		from := room.Resume{}
		if r := w.model[name]; r != nil && choose(2) == 0 {
			from = room.Resume{Epoch: r.epoch - uint64(choose(8)/7), After: r.seq + 1 - min(r.seq+1, uint64(choose(40)))}
		}
		w.resume(name, choose(len(w.runs)), choose(3)*choose(20), anyCredit(choose), from)
	case op < 10:
		w.leave(p)
	case op < 50:
		for range 1 + choose(4) {
			w.say(p, anySize(choose))
		}
	case op < 56 && notices:
		w.notify(p, anySize(choose))
	case op < 70:
		w.writable(p, anyCredit(choose))
	case op < 90:
		w.turn(choose(len(w.runs)), 1+choose(9))
		if w.unfair > 0 && !notices {
			w.t.Fatal("a member that was not blocked has missed messages")
		}
	case op < 91:
		w.quiesce()
	case op < 95:
		w.now += time.Duration(choose(30)) * time.Second
	case op < 97:
		w.sweep()
	case op < 98:
		w.outside(fmt.Sprint("room", choose(3)), anySize(choose))
	default:
		w.checkRooms(1 + choose(5))
	}
}

// anySize is small as a rule, and sometimes more than a segment.
func anySize(choose func(int) int) int {
	switch k := choose(200); {
	case k == 0:
		return 60<<10 + choose(8<<10)
	case k < 40:
		return choose(3000)
	default:
		return choose(200)
	}
}

// anyCredit is none, a little, or any number of bytes.
func anyCredit(choose func(int) int) int {
	return [...]int{0, 1 + choose(500), 1 + choose(5000), -1, -1, -1}[choose(6)]
}
