package wire

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
)

// ErrInflated is a message that is too long once it is inflated.
var ErrInflated = errors.New("compressed message longer than this client accepts")

// Inflater undoes permessage-deflate without context takeover. It is used by one
// goroutine; what it returns is valid until the next call.
type Inflater struct {
	packed bytes.Reader
	tail   bytes.Reader
	reader io.ReadCloser // a flate.Resetter
	out    bytes.Buffer
}

// tail is what the sender has cut off (RFC 7692, 7.2.2), and an empty last block
// (RFC 1951, 3.2.4), with which the stream ends.
const tail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

// Inflate returns the payload of a whole compressed message.
func (i *Inflater) Inflate(payload []byte) ([]byte, error) {
	i.packed.Reset(payload)
	i.tail.Reset([]byte(tail))
	source := io.MultiReader(&i.packed, &i.tail)
	if i.reader == nil {
		i.reader = flate.NewReader(source)
	} else if err := i.reader.(flate.Resetter).Reset(source, nil); err != nil {
		return nil, fmt.Errorf("inflate: %w", err)
	}
	i.out.Reset()
	n, err := i.out.ReadFrom(io.LimitReader(i.reader, MaxPayloadBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("inflate: %w", err)
	case n > MaxPayloadBytes:
		return nil, ErrInflated
	}
	return i.out.Bytes(), nil
}
