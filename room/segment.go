package room

import (
	"encoding/binary"
	"math/bits"
	"sort"
	"sync/atomic"
)

// Segment sizes: bytes of a page, marks included.
const (
	minSegment = 256
	maxSegment = 64 << 10
	markSize   = 8
)

// A segment is one page of a log: whole frames from the front, and from the back a mark for each of them. Both
// grow towards each other, so that a page needs one allocation however small its frames are. What is published
// never changes; how far a segment goes is told by the base of the next one, or by the log's end.
type segment struct {
	base  uint64        // the position of its first byte
	first uint32        // messages in the log before it, modulo 2^32
	marks atomic.Uint32 // how many frames it has: stored before the log's end, so a reader of that end finds their marks
	page  []byte
}

// A mark says where a frame begins and when it came, how many messages of its segment come before it, and whether it is
// a notice. Its eight bytes are offset (16 bits), before (15), notice (1), seconds (32): a page of more than 64 KiB has
// one frame.
type mark struct {
	offset  uint64
	before  uint32
	notice  bool
	seconds uint32
}

const noticeBit = 1 << 31

func (s *segment) markBytes(i int) []byte { return s.page[len(s.page)-markSize*(i+1):] }

func (s *segment) mark(i int) mark {
	word := binary.LittleEndian.Uint64(s.markBytes(i))
	return mark{
		offset:  word & 0xffff,
		before:  uint32(word>>16) & 0x7fff,
		notice:  word&noticeBit != 0,
		seconds: uint32(word >> 32),
	}
}

// put copies a frame in and publishes its mark; the caller then publishes the end. Under the room's lock.
func (s *segment) put(frame []byte, m mark) {
	copy(s.page[m.offset:], frame)
	word := m.offset | uint64(m.before)<<16 | uint64(m.seconds)<<32
	if m.notice {
		word |= noticeBit
	}
	n := s.marks.Load()
	binary.LittleEndian.PutUint64(s.markBytes(int(n)), word)
	s.marks.Store(n + 1)
}

// fits says whether a frame of size bytes still goes in when used bytes are taken. Under the room's lock.
func (s *segment) fits(used uint64, size int) bool {
	return int(used)+size+markSize*(int(s.marks.Load())+1) <= len(s.page)
}

// find returns the number of the first frame that begins at offset or after it; the number of frames when none does.
func (s *segment) find(offset uint64) int {
	return sort.Search(int(s.marks.Load()), func(i int) bool { return s.mark(i).offset >= offset })
}

// ordinal is the number of messages in the log before frame i, which may be the one after the last.
func (s *segment) ordinal(i int) uint32 {
	if i < int(s.marks.Load()) {
		return s.first + s.mark(i).before
	}
	if i == 0 {
		return s.first
	}
	last := s.mark(i - 1)
	n := s.first + last.before
	if !last.notice {
		n++
	}
	return n
}

// pageSize is the size of the page to begin for a frame when the page of size bytes before it is full; the first page is for
// that frame alone.
func pageSize(size, frame int) int {
	need := frame + markSize
	if need > maxSegment {
		return need // a page of its own
	}
	if size == 0 {
		return (need + 15) &^ 15 // many a room hears one message and no other
	}
	roundUp := 1 << bits.Len(uint(need-1))
	return min(max(2*size, minSegment, roundUp), maxSegment)
}
