package server

import (
	"errors"
	"sync/atomic"

	"github.com/gobwas/ws"

	"throng/frame"
)

// counts are what the server has done since it started.
type counts struct {
	accepted, acceptFailures, opened, plain                  atomic.Uint64
	refused, full, addressRefused, addressCut                atomic.Uint64
	upgradesRefused, memoryRefused, plainRefused             atomic.Uint64
	headsTooLarge, slowHandshakes, handshakesDropped         atomic.Uint64
	closes                                                   [4]atomic.Uint64
	tooBig, fragments, throttled, stalled, silent, shedBytes atomic.Uint64
	gaveUp                                                   atomic.Uint64
	inflated, inflatedIn, inflatedOut                        atomic.Uint64
}

// Stats is a snapshot of the server's counters. The tags are how /metrics names
// and explains them; those that end in _total only grow.
type Stats struct {
	Conns     int   `metric:"connections" help:"Connections, in whatever state."`
	Addresses int   `metric:"addresses" help:"Addresses of strangers that have connections."`
	HeldBytes int64 `metric:"held_bytes" help:"Memory that connections and rooms hold, by the server's account."`
	HeldLimit int64 `metric:"held_bytes_limit" help:"What they may hold."`

	Accepted       uint64 `metric:"connections_accepted_total" help:"Connections accepted."`
	AcceptFailures uint64 `metric:"accept_failures_total" help:"Failures to accept, for want of descriptors or memory."`
	Opened         uint64 `metric:"websockets_opened_total" help:"WebSocket connections opened."`
	Plain          uint64 `metric:"plain_requests_total" help:"Requests handed to net/http."`

	Refused         uint64 `metric:"requests_refused_total" help:"Requests answered with an error status."`
	Full            uint64 `metric:"refused_full_total" help:"Connections answered 503 because of --max-conns."`
	AddressRefused  uint64 `metric:"refused_address_total" help:"Connections refused because of --max-per-address."`
	AddressCut      uint64 `metric:"refused_address_cut_total" help:"Those of them that were cut without an answer."`
	UpgradesRefused uint64 `metric:"refused_upgrades_total" help:"Upgrades answered 503 because of --upgrade-rate."`
	MemoryRefused   uint64 `metric:"refused_memory_total" help:"Connections answered 503 because of --memory."`
	PlainRefused    uint64 `metric:"refused_plain_total" help:"Requests answered 503 because of --max-plain."`

	HeadsTooLarge     uint64 `metric:"heads_too_large_total" help:"Requests answered 431 because of --max-head or --max-headers."`
	SlowHandshakes    uint64 `metric:"handshakes_slow_total" help:"Handshakes cut at --handshake-timeout."`
	HandshakesDropped uint64 `metric:"handshakes_dropped_total" help:"Oldest handshakes cut because of --max-handshakes."`

	Normal     uint64 `metric:"closed_normal_total" help:"Closed with 1000, 1001 or no code."`
	Broken     uint64 `metric:"closed_broken_total" help:"Ended without a close frame."`
	Violations uint64 `metric:"closed_violations_total" help:"Closed for breaking the protocol or a limit."`
	Other      uint64 `metric:"closed_other_total" help:"Closed with any other code."`

	TooBig    uint64 `metric:"closed_too_big_total" help:"Closed with 1009 because of --max-message."`
	Fragments uint64 `metric:"closed_fragments_total" help:"Closed with 1009 because of --max-fragments."`
	Stalled   uint64 `metric:"closed_stalled_total" help:"Ended because of --stall-timeout."`
	Silent    uint64 `metric:"closed_silent_total" help:"Closed with 4008 because of --ping."`
	Throttled uint64 `metric:"throttled_total" help:"Times that a connection was not read because of --message-rate."`
	ShedBytes uint64 `metric:"memory_shed_bytes_total" help:"Bytes of logs given up because of --memory."`
	GaveUp    uint64 `metric:"memory_closed_total" help:"Connections closed with 4000 or 1013 because of --memory."`

	Deflated    frame.DeflateCounts `metric:"deflated" help:"Sent compressed, each counted once, however many it went to"`
	Inflated    uint64              `metric:"inflated_messages_total" help:"Messages that came compressed."`
	InflatedIn  uint64              `metric:"inflated_in_bytes_total" help:"Their payload bytes as they came."`
	InflatedOut uint64              `metric:"inflated_out_bytes_total" help:"Their payload bytes after inflating."`
}

// Stats takes a snapshot. Any goroutine.
func (s *Server) Stats() Stats {
	c := &s.counts
	var deflated frame.DeflateCounts
	for _, l := range s.loops {
		deflated.Add(l.deflater.Counts())
	}
	return Stats{
		Conns:     s.Conns(),
		Addresses: s.addresses.len(),
		HeldBytes: s.held(),
		HeldLimit: s.memory.limit,

		Accepted:       c.accepted.Load(),
		AcceptFailures: c.acceptFailures.Load(),
		Opened:         c.opened.Load(),
		Plain:          c.plain.Load(),

		Refused:         c.refused.Load(),
		Full:            c.full.Load(),
		AddressRefused:  c.addressRefused.Load(),
		AddressCut:      c.addressCut.Load(),
		UpgradesRefused: c.upgradesRefused.Load(),
		MemoryRefused:   c.memoryRefused.Load(),
		PlainRefused:    c.plainRefused.Load(),

		HeadsTooLarge:     c.headsTooLarge.Load(),
		SlowHandshakes:    c.slowHandshakes.Load(),
		HandshakesDropped: c.handshakesDropped.Load(),

		Normal:     c.closes[0].Load(),
		Broken:     c.closes[1].Load(),
		Violations: c.closes[2].Load(),
		Other:      c.closes[3].Load(),

		TooBig:    c.tooBig.Load(),
		Fragments: c.fragments.Load(),
		Stalled:   c.stalled.Load(),
		Silent:    c.silent.Load(),
		Throttled: c.throttled.Load(),
		ShedBytes: c.shedBytes.Load(),
		GaveUp:    c.gaveUp.Load(),

		Deflated:    deflated,
		Inflated:    c.inflated.Load(),
		InflatedIn:  c.inflatedIn.Load(),
		InflatedOut: c.inflatedOut.Load(),
	}
}

// inflate counts a message that came compressed.
func (c *counts) inflate(m Message) {
	c.inflated.Add(1)
	c.inflatedIn.Add(uint64(m.Packed))
	c.inflatedOut.Add(uint64(len(m.Payload)))
}

// close counts the reason of one connection's end.
func (c *counts) close(code ws.StatusCode, cause error) {
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
	switch {
	case errors.Is(cause, frame.ErrTooBig):
		c.tooBig.Add(1)
	case errors.Is(cause, frame.ErrFragments):
		c.fragments.Add(1)
	case errors.Is(cause, ErrStalled):
		c.stalled.Add(1)
	case errors.Is(cause, ErrSilent):
		c.silent.Add(1)
	}
}
