package frame_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"throng/frame"
)

// First bytes of a frame: FIN, and the opcodes of RFC 6455 5.2.
const (
	fin     = 0x80
	cont    = 0x0
	text    = 0x1
	binData = 0x2
	closing = 0x8
	ping    = 0x9
	pong    = 0xa
	maskBit = 0x80
)

// rfcMask is the mask of the examples in RFC 6455 5.7.
var rfcMask = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// roomy are limits that no case passes by accident.
var roomy = frame.Limits{Frame: 1 << 20, Message: 1 << 20}

// clientHeader is a masked header with the shortest length, written without the
// code under test.
func clientHeader(first byte, length uint64) []byte {
	b := []byte{first}
	switch {
	case length < 126:
		b = append(b, maskBit|byte(length))
	case length < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, maskBit|126), uint16(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, maskBit|127), length)
	}
	return append(b, rfcMask[:]...)
}

// client is a masked frame, masked byte by byte.
func client(first byte, payload string) []byte {
	b := clientHeader(first, uint64(len(payload)))
	for i := range len(payload) {
		b = append(b, payload[i]^rfcMask[i%4])
	}
	return b
}

// join puts frames behind each other.
func join(frames ...[]byte) []byte { return slices.Concat(frames...) }

// message is what a test expects of a frame.Message, and can compare.
type message struct {
	op      byte
	payload string
}

func (m message) String() string {
	if len(m.payload) > 40 {
		return fmt.Sprintf("%x:%q... (%d bytes)", m.op, m.payload[:40], len(m.payload))
	}
	return fmt.Sprintf("%x:%q", m.op, m.payload)
}

// result is all that a stream of bytes gave.
type result struct {
	messages []message
	err      error
	taken    int  // bytes given to Decode when the error came
	pending  bool // the decoder holds something at the end
}

func (r result) equal(o result) bool {
	return slices.Equal(r.messages, o.messages) && r.err == o.err && r.pending == o.pending
}

// decode runs chunks through a new decoder the way that Decode's comment says,
// and checks what must hold after every call. The chunks are not changed.
func decode(t testing.TB, lim frame.Limits, chunks ...[]byte) (r result) {
	t.Helper()
	var d frame.Decoder
	defer d.Reset()
	for _, chunk := range chunks {
		src := bytes.Clone(chunk)
		r.taken += len(src)
		for {
			m, n, ok, err := d.Decode(src, &lim)
			if n < 0 || n > len(src) {
				t.Fatalf("Decode took %d of %d bytes", n, len(src))
			}
			if err != nil {
				r.err = err
				checkError(t, &d, m, ok, err)
				return r
			}
			src = src[n:]
			if !ok && len(src) > 0 && lim.Begin > 0 {
				continue
			}
			if !ok {
				break
			}
			r.messages = append(r.messages, message{byte(m.Op), string(m.Payload)})
		}
		if len(src) > 0 {
			t.Fatalf("Decode left %d bytes and wants more", len(src))
		}
	}
	r.pending = d.Held() > 0
	return r
}

func checkError(t testing.TB, d *frame.Decoder, m frame.Message, ok bool, err error) {
	t.Helper()
	if e := frame.Error(0); !errors.As(err, &e) {
		t.Fatalf("error %v is not a frame.Error", err)
	}
	if ok || m.Op != 0 || m.Payload != nil {
		t.Fatalf("a message %v beside the error %v", m, err)
	}
	if d.Held() != 0 {
		t.Fatalf("%d bytes held after the error %v", d.Held(), err)
	}
}

// inBytes cuts b into single bytes.
func inBytes(b []byte) [][]byte { return slices.Collect(slices.Chunk(b, 1)) }

// decodeEverySplit decodes b whole, in single bytes and cut at every one place,
// and fails unless all of them give the same. It returns the run in single bytes.
func decodeEverySplit(t *testing.T, lim frame.Limits, b []byte) result {
	t.Helper()
	want := decode(t, lim, inBytes(b)...)
	for i := range b {
		// Cut at 0 is the whole.
		if got := decode(t, lim, b[:i], b[i:]); !got.equal(want) {
			t.Fatalf("cut at %d gives %+v, single bytes give %+v", i, got, want)
		}
	}
	return want
}
