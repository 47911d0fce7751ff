package server

import (
	"sync/atomic"

	"github.com/gobwas/ws"

	"throng/frame"
)

// counts are what the server has done since it started.
type counts struct {
	accepted, acceptFailures, slowHandshakes, opened, refused, plain atomic.Uint64
	closes                                                           [4]atomic.Uint64
	inflated, inflatedIn, inflatedOut                                atomic.Uint64
}

// Stats is a snapshot of the server's counters.
type Stats struct {
	Conns          int    // now, in whatever state
	Accepted       uint64 // connections
	AcceptFailures uint64 // for want of descriptors or memory
	SlowHandshakes uint64 // cut at HandshakeTimeout
	Opened         uint64 // WebSocket connections
	Refused        uint64 // answered with an error status
	Plain          uint64 // handed to net/http
	Normal         uint64 // closed with 1000, 1001 or no code
	Broken         uint64 // ended without a close frame
	Violations     uint64 // closed for breaking the protocol or a limit
	Other          uint64 // closed with any other code

	Deflated    frame.DeflateCounts // messages sent compressed, each counted once, however many it went to
	Inflated    uint64              // messages that came compressed
	InflatedIn  uint64              // their payload bytes as they came
	InflatedOut uint64              // and after inflating
}

// Stats takes a snapshot. Any goroutine.
func (s *Server) Stats() Stats {
	c := &s.counts
	var deflated frame.DeflateCounts
	for _, l := range s.loops {
		deflated.Add(l.deflater.Counts())
	}
	return Stats{
		Conns:          s.Conns(),
		Accepted:       c.accepted.Load(),
		AcceptFailures: c.acceptFailures.Load(),
		SlowHandshakes: c.slowHandshakes.Load(),
		Opened:         c.opened.Load(),
		Refused:        c.refused.Load(),
		Plain:          c.plain.Load(),
		Normal:         c.closes[0].Load(),
		Broken:         c.closes[1].Load(),
		Violations:     c.closes[2].Load(),
		Other:          c.closes[3].Load(),
		Deflated:       deflated,
		Inflated:       c.inflated.Load(),
		InflatedIn:     c.inflatedIn.Load(),
		InflatedOut:    c.inflatedOut.Load(),
	}
}

// inflate counts a message that came compressed.
func (c *counts) inflate(m Message) {
	c.inflated.Add(1)
	c.inflatedIn.Add(uint64(m.Packed))
	c.inflatedOut.Add(uint64(len(m.Payload)))
}

// close counts the reason of one connection's end.
func (c *counts) close(code ws.StatusCode) {
	switch {
	case code == ws.StatusNormalClosure || code == ws.StatusGoingAway || code == CodeNone:
		c.closes[0].Add(1)
	case code == CodeBroken:
		c.closes[1].Add(1)
	case code >= ws.StatusProtocolError && code < ws.StatusInternalServerError:
		c.closes[2].Add(1)
	default:
		c.closes[3].Add(1)
	}
}
