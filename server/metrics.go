package server

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
)

// Meter is a Handler with counters of its own for /metrics.
type Meter interface {
	// Metrics calls add for each: a name in lower case, which ends in _total
	// for what only grows, and a sentence. Any goroutine.
	Metrics(add func(name, help string, value int64))
}

// metrics answers in the text format of Prometheus, version 0.0.4.
func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	add := func(name, help string, value int64) {
		kind := "gauge"
		if strings.HasSuffix(name, "_total") {
			kind = "counter"
		}
		fmt.Fprintf(w, "# HELP throng_%s %s\n# TYPE throng_%[1]s %[3]s\nthrong_%[1]s %[4]d\n", name, help, kind, value)
	}
	stats := reflect.ValueOf(s.Stats())
	for f, v := range stats.Fields() {
		name, help := f.Tag.Get("metric"), f.Tag.Get("help")
		switch v.Kind() {
		case reflect.Struct:
			for part, v := range v.Fields() {
				word := strings.ToLower(part.Name)
				add(name+"_"+word+"_total", help+": "+word+".", int64(v.Uint()))
			}
		case reflect.Uint64:
			add(name, help, int64(v.Uint()))
		default:
			add(name, help, v.Int())
		}
	}
	if m, ok := s.handler.(Meter); ok {
		m.Metrics(add)
	}
}
