package server

import (
	"encoding/binary"
	"net/netip"
	"sync"
)

// place is where a connection's address stands in the table of addresses. Those
// that no limit applies to have one of the first two.
type place uint32

const (
	local     place = iota // loopback or a unix socket: exempt from limits on strangers
	uncounted              // a stranger whose address is not counted
	firstPlace
)

// addresses counts connections by where they come from: an IPv4 address, or the
// /64 of an IPv6 one, which is what a single subscriber is given at the least.
// It has an entry for each address that has a connection, and holds nothing
// when there is none.
//
// Worker 0 counts in and every worker counts out, under one lock: that is twice
// in a connection's life, for the time of a map's look-up. Each connection keeps
// its place, four bytes, since a closed socket no longer knows its peer.
type addresses struct {
	max int // connections of one address; below 1: not counted

	mu    sync.Mutex
	index map[uint64]place
	slots []slot // by place, less firstPlace
	free  place  // the first free slot's place, or 0
}

// slot is one address. A free one has no connections.
type slot struct {
	key   uint64
	conns uint32
	next  place // of the next free slot
}

// enter counts a connection in and returns how many its address has then above
// the limit.
func (a *addresses) enter(from netip.Addr) (p place, over int) {
	switch from = from.Unmap(); {
	case from.IsLoopback():
		return local, 0
	case a.max < 1 || !from.IsValid():
		return uncounted, 0
	}
	key := addressKey(from)
	a.mu.Lock()
	defer a.mu.Unlock()
	p, ok := a.index[key]
	if !ok {
		p = a.add(key)
	}
	s := &a.slots[p-firstPlace]
	s.conns++
	return p, max(0, int(s.conns)-a.max)
}

// add makes a slot for key. Under the lock.
func (a *addresses) add(key uint64) place {
	if a.index == nil {
		a.index = make(map[uint64]place)
	}
	p := a.free
	if p == 0 {
		p = firstPlace + place(len(a.slots))
		a.slots = append(a.slots, slot{})
	}
	s := &a.slots[p-firstPlace]
	a.free = s.next
	*s = slot{key: key}
	a.index[key] = p
	return p
}

// leave counts a connection out. Any goroutine.
func (a *addresses) leave(p place) {
	if p < firstPlace {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := &a.slots[p-firstPlace]
	if s.conns--; s.conns > 0 {
		return
	}
	delete(a.index, s.key)
	s.next, a.free = a.free, p
	if len(a.index) == 0 {
		// A map never shrinks by itself.
		a.index, a.slots, a.free = nil, nil, 0
	}
}

// len is the number of addresses that have connections. Any goroutine.
func (a *addresses) len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.index)
}

// addressKey is what counts as one address. An IPv4 address takes the place of a
// multicast prefix, which no connection comes from.
func addressKey(from netip.Addr) uint64 {
	if from.Is4() {
		b := from.As4()
		return 0xff<<56 | uint64(binary.BigEndian.Uint32(b[:]))
	}
	b := from.As16()
	return binary.BigEndian.Uint64(b[:8])
}
