package server_test

import (
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The flags of a simulation.
var (
	simSeeds = flag.Int("sim.seeds", 0, "the number of seeds that TestSimulation runs; 0: 1,000, or 100 under the race detector")
	simFirst = flag.Uint64("sim.first", 0, "the first of them")
	simSeed  = flag.Int64("sim.seed", -1, "the only seed that TestSimulation runs")
	simTrace = flag.Bool("sim.trace", false, "print what happens, with -sim.seed")
)

// simulate runs one seed, and says how to run it again if it fails.
func simulate(t *testing.T, seed uint64, trace io.Writer) (w *simWorld) {
	synctest.Test(t, func(t *testing.T) {
		defer func() {
			if v := recover(); v != nil {
				panic(fmt.Sprintf("seed %d: %v\n%s\n%s", seed, v, simReplay(seed), debug.Stack()))
			}
		}()
		w = newSimWorld(seed, trace)
		w.run()
	})
	if w.failed != nil {
		t.Errorf("seed %d: %v\n%s", seed, w.failed, simReplay(seed))
	}
	return w
}

func simReplay(seed uint64) string {
	return fmt.Sprintf("replay: go test ./server -run 'TestSimulation$' -sim.seed %d -sim.trace", seed)
}

// TestSimulation runs the chat on a simulated kernel, with everything that can happen to a server drawn from a seed:
// docs/reliability.md says what is checked.
func TestSimulation(t *testing.T) {
	seeds := uint64(1000)
	if raceDetector {
		seeds = 100
	}
	if *simSeeds > 0 {
		seeds = uint64(*simSeeds)
	}
	if *simSeed >= 0 {
		var trace io.Writer
		if *simTrace {
			trace = os.Stdout
		}
		simulate(t, uint64(*simSeed), trace)
		return
	}
	// A world is small and short-lived: most of the time would go into collections. But for a few that are large.
	percent, limit := debug.SetGCPercent(1000), debug.SetMemoryLimit(512<<20)
	reached := map[string]uint64{}
	var mu sync.Mutex
	lanes := min(uint64(runtime.GOMAXPROCS(0)), seeds)
	var done atomic.Uint64
	start := time.Now()
	t.Cleanup(func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
		t.Logf("%d seeds from %d in %.1f s: %v", done.Load(), *simFirst, time.Since(start).Seconds(), reached)
		for _, what := range simMust {
			if done.Load() >= 1000 && reached[what] == 0 {
				t.Errorf("no run has come to this: %s", what)
			}
		}
	})
	for lane := range lanes {
		t.Run(fmt.Sprint("lane ", lane), func(t *testing.T) {
			t.Parallel()
			for i := lane; i < seeds && !t.Failed(); i += lanes {
				w := simulate(t, *simFirst+i, nil)
				mu.Lock()
				for what, n := range w.reached {
					reached[what] += n
				}
				mu.Unlock()
				if n := done.Add(1); n%500 == 0 {
					fmt.Printf("%d of %d seeds, %.0f a second\n", n, seeds, float64(n)/time.Since(start).Seconds())
				}
			}
		})
	}
}

// simMust are what a thousand runs have to come to: otherwise they show less than they seem to.
var simMust = []string{
	"gap", "ping", "reset", "broken", "compressed", "accept failure", "cut drain", "logs gave", "connections gave", "status 101", "status 400", "status 404", "status 431", "status 503",
	"close 1000", "close 1001", "close 1002", "close 1003", "close 1007", "close 1009", "close 1013", "close 4000", "close 4999",
	"v1 back", "v1 resumed", "v1 lost", "v1 gap", "v1 said again", "v1 answered again", "v1 unconfirmed",
}

// TestSimulationReplays: the same seed is the same run, to the last call. It runs a world of each kind, and with -sim.seeds all of
// those, twice.
func TestSimulationReplays(t *testing.T) {
	seeds, kinds := uint64(300), map[[4]bool]bool{}
	if raceDetector {
		seeds = 10
	}
	if *simSeeds > 0 {
		seeds = uint64(*simSeeds)
	}
	for seed := *simFirst; seed < *simFirst+seeds; seed++ {
		w := newSimWorld(seed, nil)
		kind := [...]bool{w.packed, w.crowd >= 50, w.compress, len(w.rooms) > 1}
		if *simSeeds == 0 && kinds[kind] && seed != simRenames {
			continue
		}
		kinds[kind] = true
		first, second := fnv.New64a(), fnv.New64a()
		simulate(t, seed, first)
		if simulate(t, seed, second); first.Sum64() == fnv.New64a().Sum64() || first.Sum64() != second.Sum64() {
			t.Errorf("seed %d: two runs differ", seed)
		}
	}
}

// simRenames is a world in which many are renamed who are in several rooms. The order in which those were told was not the same each time.
const simRenames = 220
