package crew

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"throng/bench/load"
	"throng/bench/report"
)

// The kinds of messages.
const (
	isReady  = "ready"
	isBegin  = "begin"
	isSample = "sample"
	isSent   = "sent"
	isTotals = "totals"
	isPart   = "part"
	isError  = "error"
	isCut    = "cut"
	isLimit  = "limit"
	isStop   = "stop"
	isReport = "report"
)

// message is one line, in either direction, with what its kind needs.
type message struct {
	Kind   string         `json:"kind"`
	At     int64          `json:"at,omitempty"`     // begin
	Counts map[int]int64  `json:"counts,omitempty"` // sent, totals
	Text   string         `json:"text,omitempty"`   // error, cut
	Sample *report.Sample `json:"sample,omitempty"`
	Part   *load.Part     `json:"part,omitempty"`
	// Report is what a task found out, in a form of its own.
	Report json.RawMessage `json:"report,omitempty"`
}

// maxLineBytes bounds a line; the longest is a Part with hours of samples.
const maxLineBytes = 256 << 20

// sender writes lines; any goroutine may use it.
type sender struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *sender) send(m message) error {
	line, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode a message to another process: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.w.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("talk to another process: %w", err)
	}
	return nil
}

// receive calls handle for each line until the other side ends.
func receive(r io.Reader, handle func(message)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLineBytes)
	for lines.Scan() {
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return fmt.Errorf("a message from another process is not understood: %w", err)
		}
		handle(m)
	}
	return lines.Err()
}
