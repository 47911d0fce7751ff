package target

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// pprofLimit bounds a request for a profile; one that collects garbage first
// takes a while on a large heap.
const pprofLimit = 30 * time.Second

// Runtime is what a Go server's runtime says of itself.
type Runtime struct {
	Goroutines int
	HeapLive   int64 // bytes in live objects, right after two collections
}

// ReadRuntime has the server at base, whose /debug/pprof/ answers, collect its
// garbage and tell what is left.
func ReadRuntime(ctx context.Context, base string) (r Runtime, err error) {
	ctx, cancel := context.WithTimeout(ctx, pprofLimit)
	defer cancel()
	// Twice, since what stands in a sync.Pool outlives one collection.
	var heap string
	for range 2 {
		if heap, err = profile(ctx, base, "heap?gc=1&debug=1"); err != nil {
			return r, err
		}
	}
	// The profile ends with the fields of runtime.MemStats, a line each.
	lines := bufio.NewScanner(strings.NewReader(heap))
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "# HeapAlloc = "); ok {
			r.HeapLive, err = strconv.ParseInt(value, 10, 64)
		}
	}
	if err != nil || r.HeapLive == 0 {
		return r, fmt.Errorf("the heap profile at %s does not end with HeapAlloc", base)
	}
	n, err := CountGoroutines(ctx, base)
	r.Goroutines = int(n)
	return r, err
}

// CountGoroutines reads the first line of the profile: "goroutine profile: total 12".
func CountGoroutines(ctx context.Context, base string) (n int64, err error) {
	text, err := profile(ctx, base, "goroutine?debug=1")
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Sscanf(text, "goroutine profile: total %d", &n); err != nil {
		return 0, fmt.Errorf("count goroutines: %w", err)
	}
	return n, nil
}

// profile fetches one.
func profile(ctx context.Context, base, name string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+"/debug/pprof/"+name, nil)
	if err != nil {
		return "", fmt.Errorf("profile: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("profile: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return "", fmt.Errorf("profile: %w", err)
	}
	return string(text), nil
}
