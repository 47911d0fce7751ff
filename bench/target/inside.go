package target

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// insideEvery is how often a server is asked about its inside; the answer costs
// it a little each time.
const insideEvery = 2 * time.Second

// insideLimit is how long one answer may take, insideBytes how much of it is read.
const (
	insideLimit = time.Second
	insideBytes = 4 << 20
)

// Inside is what only a server itself can tell. 0 is what it does not.
type Inside struct {
	Goroutines int
	Heap       int64 // bytes of objects, live or not yet collected
}

// Source is where a server tells that. The zero Source is nowhere.
type Source struct {
	URL     string
	Metrics bool // in the text format of Prometheus; else by net/http/pprof
}

// Pprof is the source behind a URL of --pprof, with or without its path.
func Pprof(url string) Source {
	return Source{URL: strings.TrimSuffix(strings.TrimSuffix(url, "/"), "/debug/pprof") + "/debug/pprof/"}
}

// Metrics is the source behind a URL of --metrics, with or without its path.
func Metrics(url string) Source {
	if _, rest, _ := strings.Cut(url, "://"); !strings.Contains(strings.TrimSuffix(rest, "/"), "/") {
		url = strings.TrimSuffix(url, "/") + "/metrics"
	}
	return Source{URL: url, Metrics: true}
}

// Find is the first source that one of some hosts has. A host is what stands
// before the path of a URL.
func Find(ctx context.Context, hosts []string) (Source, bool) {
	for _, host := range hosts {
		for _, source := range []Source{Metrics(host), Pprof(host)} {
			if _, err := source.Read(ctx); err == nil {
				return source, true
			}
		}
	}
	return Source{}, false
}

// What the answers have. The index of net/http/pprof counts goroutines without
// looking at each, as its goroutine profile would.
var (
	metricGoroutines = regexp.MustCompile(`(?m)^go_goroutines ([0-9.e+]+)`)
	metricHeap       = regexp.MustCompile(`(?m)^go_memstats_heap_alloc_bytes ([0-9.e+]+)`)
	pprofGoroutines  = regexp.MustCompile(`<td>([0-9]+)</td><td><a href='?goroutine\?`)
	pprofHeap        = regexp.MustCompile(`(?m)^# HeapAlloc = ([0-9]+)`)
)

// Read asks once. An answer without any of the figures is an error.
func (s Source) Read(ctx context.Context) (inside Inside, err error) {
	ctx, cancel := context.WithTimeout(ctx, insideLimit)
	defer cancel()
	text, err := get(ctx, s.URL)
	if err != nil {
		return inside, err
	}
	if s.Metrics {
		inside.Goroutines, inside.Heap = int(number(metricGoroutines, text)), int64(number(metricHeap, text))
	} else {
		inside.Goroutines = int(number(pprofGoroutines, text))
		if text, err = get(ctx, s.URL+"heap?debug=1"); err != nil {
			return inside, err
		}
		inside.Heap = int64(number(pprofHeap, text))
	}
	if inside == (Inside{}) {
		return inside, fmt.Errorf("%s: the answer has neither goroutines nor heap of a Go server", s.URL)
	}
	return inside, nil
}

// get reads a page.
func get(ctx context.Context, url string) (text []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, insideBytes))
}

// number is what a pattern finds, or 0.
func number(pattern *regexp.Regexp, text []byte) float64 {
	found := pattern.FindSubmatch(text)
	if found == nil {
		return 0
	}
	v, _ := strconv.ParseFloat(string(found[1]), 64)
	return v
}

// Follower keeps the last that a source has told.
type Follower struct{ last atomic.Pointer[Inside] }

// Last is what was read last; nothing so far is the zero Inside.
func (f *Follower) Last() Inside {
	if last := f.last.Load(); last != nil {
		return *last
	}
	return Inside{}
}

// Follow asks the source until ctx is done. When it does not answer, the last
// figures stand.
func (f *Follower) Follow(ctx context.Context, source Source) {
	tick := time.NewTicker(insideEvery)
	defer tick.Stop()
	for {
		if inside, err := source.Read(ctx); err == nil {
			f.last.Store(&inside)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
