package frame

import (
	"sync"
	"unicode/utf8"
	"unsafe"

	"github.com/gobwas/ws"
)

const (
	partialSize = int(unsafe.Sizeof(partial{}))
	keepBuf     = 1 << 10 // bytes of buffer that a pooled partial keeps at most
)

// partial is what a Decoder holds while a frame or a message is incomplete. A
// nil *partial stands for holding nothing.
type partial struct {
	// The header that is arriving.
	head    [ws.MaxHeaderSize]byte
	headLen int // bytes of it that are there; 0 when no header is begun

	// The frame whose payload is arriving.
	header ws.Header
	left   int64 // payload bytes still to come

	// The data message that is arriving.
	op        ws.OpCode // OpContinuation when there is none
	deflated  bool      // it is compressed
	fragments int       // frames of it that were begun
	checked   int       // bytes of its text that are known to be whole runes

	// The message's payload as far as it arrived, unmasked. A control frame that
	// comes in parts meanwhile stands behind it until it is yielded. It grows by
	// append: to no more than twice what arrived (or what the pool had kept), and
	// in linear time.
	buf []byte

	// What the last message was inflated with, and lies in; else nil.
	inflater *inflater
}

var partials = sync.Pool{New: func() any { return new(partial) }}

// release gives p back to the pool. Large buffers go to the garbage collector:
// a pool of them would be memory that no connection answers for.
func (p *partial) release() {
	if p.inflater != nil {
		p.inflater.release()
	}
	buf := p.buf[:0]
	if cap(buf) > keepBuf {
		buf = nil
	}
	*p = partial{buf: buf}
	partials.Put(p)
}

// open reports whether a fragmented message is unfinished.
func (p *partial) open() bool { return p != nil && p.op != ws.OpContinuation }

// inPayload reports whether bytes of a begun frame are missing.
func (p *partial) inPayload() bool { return p != nil && p.left > 0 }

// idle reports whether p has nothing left to wait for: its message was yielded.
func (p *partial) idle() bool {
	return p != nil && p.headLen == 0 && p.left == 0 && !p.open()
}

// admit judges a header by the limits, before anything of its payload is taken.
func (p *partial) admit(h ws.Header, lim *Limits) error {
	if h.OpCode.IsControl() {
		return nil
	}
	var size, fragments = int64(0), 0
	deflated := compressed(h)
	if p != nil {
		size, fragments = int64(len(p.buf)), p.fragments
		deflated = deflated || p.deflated
	}
	frame, message := lim.Frame, lim.Message
	if deflated {
		frame, message = deflateBound(frame), deflateBound(message)
	}
	switch {
	// A difference cannot overflow here; the sum of both lengths could
	// (CVE-2020-27813).
	case h.Length > frame, h.Length > message-size:
		return ErrTooBig
	case lim.Fragments > 0 && fragments >= lim.Fragments:
		return ErrFragments
	}
	return nil
}

// gather takes bytes of a header that src does not hold whole. Until the last one
// came it takes all of src and returns the zero Header.
func (p *partial) gather(src []byte, deflate bool) (h ws.Header, n int, err error) {
	n = copy(p.head[p.headLen:], src)
	h, size, err := readHeader(p.head[:p.headLen+n], p.open(), deflate)
	if err != nil || size == 0 {
		p.headLen += n
		return ws.Header{}, n, err
	}
	n = size - p.headLen
	p.headLen = 0
	return h, n, nil
}

// begin starts the frame of h. A control frame leaves the message as it is.
func (p *partial) begin(h ws.Header) {
	p.header, p.left = h, h.Length
	if h.OpCode.IsControl() {
		return
	}
	if h.OpCode != ws.OpContinuation {
		p.op, p.deflated = h.OpCode, compressed(h)
	}
	p.fragments++
}

// fill takes what src has of the frame's payload, and yields the message that
// this completes, if any.
func (p *partial) fill(src []byte, lim *Limits) (m Message, n int, err error) {
	n = int(min(p.left, int64(len(src))))
	old := len(p.buf)
	p.buf = append(p.buf, src[:n]...)
	ws.Cipher(p.buf[old:], p.header.Mask, int((p.header.Length-p.left)%4))
	p.left -= int64(n)
	if p.header.OpCode.IsControl() {
		m, err = p.control()
	} else {
		m, err = p.data(lim)
	}
	return m, n, err
}

// control yields the control frame when it is complete, and gives its place
// behind the message free for what comes next.
func (p *partial) control() (m Message, err error) {
	if p.left > 0 {
		return m, nil
	}
	start := len(p.buf) - int(p.header.Length)
	m = Message{Op: p.header.OpCode, Payload: p.buf[start:]}
	p.buf = p.buf[:start]
	return m, checkPayload(m)
}

// data judges the text that arrived, and yields the message when it is complete.
func (p *partial) data(lim *Limits) (m Message, err error) {
	last := p.header.Fin && p.left == 0
	if last && p.deflated {
		op := p.op
		p.op = ws.OpContinuation
		return p.inflate(op, p.buf, lim)
	}
	if p.op == ws.OpText && !p.deflated {
		n, ok := wholeRunes(p.buf[p.checked:])
		p.checked += n
		if !ok || last && p.checked < len(p.buf) {
			return m, ErrUTF8
		}
	}
	if last {
		m = Message{Op: p.op, Payload: p.buf}
		p.op = ws.OpContinuation
	}
	return m, nil
}

// inflate yields a compressed message that is complete.
func (p *partial) inflate(op ws.OpCode, packed []byte, lim *Limits) (m Message, err error) {
	p.inflater = inflaters.Get().(*inflater)
	payload, err := p.inflater.inflate(p.inflater.copyIn(packed), lim.Message)
	if err != nil {
		return m, err
	}
	m = Message{Op: op, Payload: payload, Packed: len(packed)}
	return m, checkPayload(m)
}

// wholeRunes counts the bytes of the whole runes in text; at most three bytes
// of a rune that is still incomplete follow them. ok is false if text holds a
// byte that nothing to come can make UTF-8.
func wholeRunes(text []byte) (n int, ok bool) {
	n = len(text)
	for i := n - 1; i >= 0 && i >= n-3; i-- {
		if utf8.RuneStart(text[i]) {
			// FullRune takes an impossible beginning (F4 90) for a full rune,
			// which Valid then refuses.
			if !utf8.FullRune(text[i:]) {
				n = i
			}
			break
		}
	}
	return n, utf8.Valid(text[:n])
}
