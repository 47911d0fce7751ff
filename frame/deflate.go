package frame

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"sync/atomic"

	"github.com/gobwas/ws"
	"github.com/klauspost/compress/flate"
)

const (
	// MinDeflate is the payload, in bytes, from which on compression is tried. A
	// shorter one saves a few bytes at best, and costs some microseconds all the same.
	MinDeflate = 128
	// DeflateLevel is the level to be used where nobody has chosen. Beside level 1 it
	// takes 2 µs more for a message of 128 bytes, 3 for one of 1 KiB and 8 for one
	// of 16 KiB, and leaves 7, 4 and 6 percent less of them. Level 6 takes up to
	// a third longer for another percent or two, and level 7 three times as long.
	DeflateLevel = 4

	rsv1 = 0x40 // in a header's first byte: the message is compressed (RFC 7692 6)
)

// syncTail is what ends a flushed DEFLATE stream: the lengths of an empty stored
// block. The sender removes it and the receiver puts it back (RFC 7692 7.2.1, 7.2.2).
var syncTail = []byte{0x00, 0x00, 0xff, 0xff}

// Deflater makes compressed server frames (RFC 7692). No message refers to an
// earlier one ("server_no_context_takeover", 7.1.1.1), so that one frame serves
// every connection that has agreed on permessage-deflate, and what is kept belongs
// to no connection: about 1 MB from the first compression on, whatever their
// number. One for each worker is meant.
//
// It belongs to one goroutine at a time, except for Counts. A nil Deflater
// compresses nothing.
type Deflater struct {
	level  int
	writer *flate.Writer // nil before the first message
	out    bounded

	messages, futile, in, written atomic.Uint64
}

// DeflateCounts are what a Deflater has done.
type DeflateCounts struct {
	Messages uint64 // compressed
	In, Out  uint64 // their payload bytes, before and after
	Futile   uint64 // messages that did not get smaller
}

// Add adds what another one has done.
func (c *DeflateCounts) Add(o DeflateCounts) {
	c.Messages += o.Messages
	c.In += o.In
	c.Out += o.Out
	c.Futile += o.Futile
}

// NewDeflater makes a Deflater of a level from 1, the fastest, to 9. It panics on
// any other.
func NewDeflater(level int) *Deflater {
	if level < flate.BestSpeed || level > flate.BestCompression {
		panic("frame: no such compression level")
	}
	return &Deflater{level: level}
}

// Append appends one whole compressed server frame to dst, as Append does one that is
// not compressed. ok is false, and dst as it was, if the frame should go out
// uncompressed: the payload has less than MinDeflate bytes, as all of control frames
// have, or does not get smaller. It allocates only when dst has no room for the
// payload as it is.
func (d *Deflater) Append(dst []byte, op ws.OpCode, payload []byte) (_ []byte, ok bool) {
	if d == nil || len(payload) < MinDeflate {
		return dst, false
	}
	// The frame's header cannot be larger than that of the payload as it is. When it
	// is smaller, what was compressed moves to the front.
	start, head := len(dst), ws.HeaderSize(ws.Header{Length: int64(len(payload))})
	room := head + len(payload) - 1 + len(syncTail)
	dst = slices.Grow(dst, room)
	d.out = bounded{dst[:start+head], start + room}
	err := d.compress(payload)
	packed := d.out.b[start+head:]
	d.out = bounded{}
	if err != nil {
		d.futile.Add(1)
		return dst, false
	}
	packed, ok = bytes.CutSuffix(packed, syncTail)
	if !ok {
		panic("frame: a flushed stream without its tail")
	}
	d.messages.Add(1)
	d.in.Add(uint64(len(payload)))
	d.written.Add(uint64(len(packed)))
	return append(appendHeader(dst, fin|rsv1|byte(op), len(packed)), packed...), true
}

// Pack appends the DEFLATE data of payload to dst, for AppendPacked. ok is false, and dst as
// it was, if that is not worth it, as in Append.
func (d *Deflater) Pack(dst, payload []byte) (_ []byte, ok bool) {
	if d == nil || len(payload) < MinDeflate {
		return dst, false
	}
	start, room := len(dst), len(payload)-1+len(syncTail)
	d.out = bounded{slices.Grow(dst, room), len(dst) + room}
	err := d.compress(payload)
	packed := d.out.b
	d.out = bounded{}
	if err != nil {
		d.futile.Add(1)
		return dst, false
	}
	packed, ok = bytes.CutSuffix(packed, syncTail)
	if !ok {
		panic("frame: a flushed stream without its tail")
	}
	d.messages.Add(1)
	d.in.Add(uint64(len(payload)))
	d.written.Add(uint64(len(packed) - start))
	return packed, true
}

// AppendPacked appends one whole compressed server frame to dst, whose payload begins with prefix,
// which costs nothing to compress since it is stored as it is (RFC 1951 3.2.4), and goes on with what
// Pack has made. So a payload can be compressed before its beginning is known. It panics if prefix has more than 65,535
// bytes.
func AppendPacked(dst []byte, op ws.OpCode, prefix, packed []byte) []byte {
	if len(prefix) > math.MaxUint16 {
		panic("frame: a prefix over 65,535 bytes")
	}
	const block = 5 // a stored block's header: not the final one, then its length twice
	n := block + len(prefix) + len(packed)
	dst = appendHeader(slices.Grow(dst, ws.HeaderSize(ws.Header{Length: int64(n)})+n), fin|rsv1|byte(op), n)
	dst = append(dst, 0)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(prefix)))
	dst = binary.LittleEndian.AppendUint16(dst, ^uint16(len(prefix)))
	return append(append(dst, prefix...), packed...)
}

// Payload is the payload of one whole uncompressed server frame.
func Payload(frame []byte) []byte {
	_, size := payloadLength(frame)
	return frame[size:]
}

// compress writes payload to d.out as a stream of its own, flushed to a byte's end.
// The error is errBound.
func (d *Deflater) compress(payload []byte) error {
	if d.writer == nil {
		w, err := flate.NewWriter(&d.out, d.level)
		if err != nil {
			panic("frame: " + err.Error()) // the level was checked
		}
		d.writer = w
	} else {
		d.writer.Reset(&d.out)
	}
	if _, err := d.writer.Write(payload); err != nil {
		return err
	}
	return d.writer.Flush()
}

// Counts is what was done so far. Any goroutine.
func (d *Deflater) Counts() DeflateCounts {
	if d == nil {
		return DeflateCounts{}
	}
	return DeflateCounts{Messages: d.messages.Load(), In: d.in.Load(), Out: d.written.Load(), Futile: d.futile.Load()}
}

// bounded is an io.Writer that appends to b up to a length, and no further.
type bounded struct {
	b   []byte
	max int
}

var errBound = errors.New("frame: compressed data is too large")

func (w *bounded) Write(p []byte) (int, error) {
	if len(w.b)+len(p) > w.max {
		return 0, errBound
	}
	w.b = append(w.b, p...)
	return len(p), nil
}
