package frame

import (
	"bytes"
	"io"
	"math"
	"slices"
	"sync"

	"github.com/klauspost/compress/flate"
)

const (
	minInflated = 4 << 10   // bytes of the first buffer for what is inflated
	keepBytes   = 128 << 10 // bytes of each buffer that a pooled inflater keeps at most
	window      = 32 << 10  // how far back a DEFLATE block may refer: RFC 1951 2
	// maxCarried bounds the copying of windows behind final blocks, of which a message
	// may have one in every two bytes.
	maxCarried = 1 << 20
)

// endTail is put behind a compressed message: the tail that its sender has removed,
// then an empty final block, which tells the reader that this is the end. Without
// it the reader would ask for more, and could not tell a whole stream from a cut one.
var endTail = append(slices.Clip(syncTail), 0x01, 0x00, 0x00, 0xff, 0xff)

// inflater turns one compressed message after the other into what it was. It is
// taken from a pool when a message is complete, and given back with it.
type inflater struct {
	reader io.Reader // a flate.Resetter
	src    bytes.Reader
	in     []byte // the compressed message, if nothing else holds it
	out    []byte // the message
}

var inflaters = sync.Pool{New: func() any { return &inflater{reader: flate.NewReader(nil)} }}

// release gives f back to the pool, without buffers that a large message has made.
func (f *inflater) release() {
	f.src.Reset(nil)
	f.in, f.out = f.in[:0], f.out[:0]
	if cap(f.in) > keepBytes {
		f.in = nil
	}
	if cap(f.out) > keepBytes {
		f.out = nil
	}
	inflaters.Put(f)
}

// copyIn returns a copy of a compressed message that has its endTail.
func (f *inflater) copyIn(packed []byte) []byte {
	f.in = append(slices.Grow(f.in[:0], len(packed)+len(endTail)), packed...)
	f.in = append(f.in, endTail...)
	return f.in
}

// inflate inflates in, a message with its endTail, to at most limit bytes: it keeps
// no more than one byte above them, or the buffer that it has. The error is
// ErrTooBig or ErrDeflate. What it returns is f's own.
//
// A final block does not end a message: others may follow at the next byte, and
// refer to what was before (RFC 7692 7.2.1, 7.2.3.4). For the reader it ends a
// stream, so each one begins another with the window of the last. After
// maxCarried bytes of windows, which no compressor needs, they begin with none.
func (f *inflater) inflate(in []byte, limit int64) ([]byte, error) {
	f.src.Reset(in)
	f.out = f.out[:0]
	for carried := 0; ; {
		last := f.out[max(0, len(f.out)-window):]
		if carried += len(last); carried > maxCarried {
			last = nil
		}
		if err := f.reader.(flate.Resetter).Reset(&f.src, last); err != nil {
			return nil, ErrDeflate
		}
		if err := f.stream(limit); err != nil {
			return nil, err
		}
		switch f.src.Len() {
		// The second case is a message that ends with its sender's final block. The
		// empty octet that should follow it (7.2.3.4) is often left out.
		case 0, len(endTail):
			return f.out, nil
		}
	}
}

// stream inflates up to the end of the next final block.
func (f *inflater) stream(limit int64) error {
	for {
		f.grow(limit)
		n, err := f.reader.Read(f.out[len(f.out):cap(f.out)])
		f.out = f.out[:len(f.out)+n]
		switch {
		case int64(len(f.out)) > limit:
			return ErrTooBig
		case err == io.EOF:
			return nil
		case err != nil:
			return ErrDeflate
		}
	}
}

// grow makes room in f.out if there is none: twice as much, but only one byte above
// the limit.
func (f *inflater) grow(limit int64) {
	if len(f.out) < cap(f.out) {
		return
	}
	size := max(minInflated, 2*cap(f.out))
	if int64(size) > limit {
		size = int(limit) + 1
	}
	f.out = append(make([]byte, 0, size), f.out...)
}

// deflateBound is the size that a message of n bytes may have when it is compressed,
// since what cannot be compressed gets larger: zlib's own bound for its most
// wasteful settings, and some more for a few fragments that were flushed.
func deflateBound(n int64) int64 {
	slack := n>>3 + n>>6 + 64
	if n > math.MaxInt64-slack {
		return math.MaxInt64
	}
	return n + slack
}
