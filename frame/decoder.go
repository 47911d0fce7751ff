package frame

import (
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Decoder turns the bytes that a client sent into messages. The zero value is
// ready. It belongs to one goroutine at a time.
type Decoder struct {
	part *partial // nil while nothing is pending
}

// Decode takes the bytes of src up to the end of the first complete message: n of
// them, and ok is true. When ok is false and err nil, it took all of src and
// needs more, or it has begun as many frames as lim allows for one call. Call it until it has taken all, also with
// an empty src:
//
//	for {
//		m, n, ok, err := d.Decode(src, &limits)
//		if err != nil {
//			// Close the connection with the code of err.
//		}
//		src = src[n:]
//		if ok {
//			// Use m.
//		} else if len(src) == 0 {
//			break
//		}
//	}
//
// The call that yields nothing also gives back the buffer of the last message, so
// that an idle Decoder holds no memory.
//
// A frame inside src that is a message by itself is unmasked and yielded there:
// src is modified. Anything else is copied as it comes, and what is compressed is
// inflated when it is complete. An err is always an
// Error. It ends the stream, as a close frame does: nothing that follows may be
// decoded. Nothing is held after an error.
func (d *Decoder) Decode(src []byte, lim *Limits) (m Message, n int, ok bool, err error) {
	if d.part.idle() {
		d.Reset()
	}
	for begun := 0; n < len(src) && m.Op == 0 && err == nil; {
		var took int
		switch {
		case d.part.inPayload():
			m, took, err = d.part.fill(src[n:], lim)
		case lim.Begin > 0 && begun == lim.Begin:
			return m, n, false, nil
		default:
			begun++
			m, took, err = d.frame(src[n:], lim)
		}
		n += took
	}
	if err != nil {
		d.Reset()
		return Message{}, n, false, err
	}
	return m, n, m.Op != 0, nil
}

// Held is the memory, in bytes, that is held for what has not arrived completely,
// and for the last message if it came in parts or compressed.
func (d *Decoder) Held() int {
	if d.part == nil {
		return 0
	}
	held := partialSize + cap(d.part.buf)
	if f := d.part.inflater; f != nil {
		held += cap(f.in) + cap(f.out) + window
	}
	return held
}

// Reset gives everything back and makes the Decoder as new. It is called when the
// connection closes. The last message is no longer valid after it.
func (d *Decoder) Reset() {
	if d.part != nil {
		d.part.release()
		d.part = nil
	}
}

// frame takes a header, or the rest of one, and what src has of its payload. The
// zero Message means that no message is complete.
func (d *Decoder) frame(src []byte, lim *Limits) (m Message, n int, err error) {
	h, n, err := d.header(src, lim.Deflate)
	if err != nil || h == (ws.Header{}) {
		return m, n, err
	}
	if err := d.part.admit(h, lim); err != nil {
		return m, n, err
	}
	rest := src[n:]
	// Most frames: a message by itself, and all of it is there.
	if h.Fin && h.OpCode != ws.OpContinuation && h.Length <= int64(len(rest)) {
		payload := rest[:h.Length:h.Length]
		ws.Cipher(payload, h.Mask, 0)
		n += len(payload)
		if compressed(h) {
			m, err = d.pending().inflate(h.OpCode, payload, lim)
			return m, n, err
		}
		m = Message{Op: h.OpCode, Payload: payload}
		return m, n, checkPayload(m)
	}
	p := d.pending()
	p.begin(h)
	m, took, err := p.fill(rest, lim)
	return m, n + took, err
}

// header takes the bytes of a header. They are read where they lie if all of
// them are there, and gathered otherwise. While one is missing it takes all of src,
// and h is the zero Header.
func (d *Decoder) header(src []byte, deflate bool) (h ws.Header, n int, err error) {
	if d.part == nil || d.part.headLen == 0 {
		h, n, err = readHeader(src, d.part.open(), deflate)
		if n > 0 || err != nil {
			return h, n, err
		}
	}
	return d.pending().gather(src, deflate)
}

// pending is the part that holds what is incomplete, taken from the pool if
// there was none.
func (d *Decoder) pending() *partial {
	if d.part == nil {
		d.part = partials.Get().(*partial)
	}
	return d.part
}

// checkPayload judges a message that is there whole.
func checkPayload(m Message) error {
	switch m.Op {
	case ws.OpText:
		if !utf8.Valid(m.Payload) {
			return ErrUTF8
		}
	case ws.OpClose:
		_, _, err := ParseClose(m.Payload)
		return err
	}
	return nil
}
