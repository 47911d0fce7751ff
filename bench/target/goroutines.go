package target

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// goroutineEvery is how often a server is asked for its goroutines; the answer
// costs it a little each time.
const goroutineEvery = 2 * time.Second

// Goroutines follows the number of a server's goroutines. Its zero value knows
// of none.
type Goroutines struct{ last atomic.Int64 }

// Count is the last number that was read.
func (g *Goroutines) Count() int { return int(g.last.Load()) }

// Follow asks the server at base, whose /debug/pprof/ has the number, until ctx
// is done. A server that does not answer leaves the last number standing.
func (g *Goroutines) Follow(ctx context.Context, base string) {
	tick := time.NewTicker(goroutineEvery)
	defer tick.Stop()
	for {
		if n, err := goroutines(ctx, base); err == nil {
			g.last.Store(n)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// goroutines reads the first line of the profile: "goroutine profile: total 12".
func goroutines(ctx context.Context, base string) (n int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+"/debug/pprof/goroutine?debug=1", nil)
	if err != nil {
		return 0, fmt.Errorf("count goroutines: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("count goroutines: %w", err)
	}
	defer response.Body.Close()
	if _, err := fmt.Fscanf(io.LimitReader(response.Body, 200), "goroutine profile: total %d", &n); err != nil {
		return 0, fmt.Errorf("count goroutines: %w", err)
	}
	return n, nil
}
