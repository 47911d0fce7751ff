package wire_test

import (
	"bytes"
	"errors"
	"testing"

	"throng/bench/wire"
)

// The examples of RFC 6455, 5.7, as far as a server may send them.
func TestNextReadsTheExamplesOfTheRFC(t *testing.T) {
	for _, test := range []struct {
		name  string
		bytes []byte
		want  wire.Frame
	}{
		{"text", []byte("\x81\x05Hello"), wire.Frame{Payload: []byte("Hello"), Opcode: wire.Text, Final: true}},
		{"first fragment", []byte("\x01\x03Hel"), wire.Frame{Payload: []byte("Hel"), Opcode: wire.Text}},
		{"last fragment", []byte("\x80\x02lo"), wire.Frame{Payload: []byte("lo"), Opcode: wire.Continuation, Final: true}},
		{"ping", []byte("\x89\x05Hello"), wire.Frame{Payload: []byte("Hello"), Opcode: wire.Ping, Final: true}},
		{"256 bytes", append([]byte("\x82\x7E\x01\x00"), make([]byte, 256)...),
			wire.Frame{Payload: make([]byte, 256), Opcode: wire.Binary, Final: true}},
		{"65536 bytes", append([]byte("\x82\x7F\x00\x00\x00\x00\x00\x01\x00\x00"), make([]byte, 65536)...),
			wire.Frame{Payload: make([]byte, 65536), Opcode: wire.Binary, Final: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for cut := range min(len(test.bytes), 300) {
				if _, size, err := wire.Next(test.bytes[:cut], false); size != 0 || err != nil {
					t.Fatalf("%d bytes of it: size %d, error %v; want need more", cut, size, err)
				}
			}
			f, size, err := wire.Next(append(test.bytes, "rest"...), false)
			if err != nil || size != len(test.bytes) {
				t.Fatalf("size %d, error %v; want %d", size, err, len(test.bytes))
			}
			if f.Opcode != test.want.Opcode || f.Final != test.want.Final || !bytes.Equal(f.Payload, test.want.Payload) {
				t.Errorf("got %+v", f)
			}
		})
	}
}

func TestNextRefuses(t *testing.T) {
	for _, test := range []struct {
		name, bytes string
		want        error
	}{
		{"RSV1", "\xC1\x00", wire.ErrReserved},
		{"RSV3", "\x91\x00", wire.ErrReserved},
		{"opcode 3", "\x83\x00", wire.ErrOpcode},
		{"opcode 11", "\x8B\x00", wire.ErrOpcode},
		{"mask", "\x81\x80", wire.ErrMasked},
		{"fragmented ping", "\x09\x00", wire.ErrControl},
		{"long ping", "\x89\x7E", wire.ErrControl},
		{"125 in two bytes", "\x81\x7E\x00\x7D", wire.ErrMinLength},
		{"65535 in eight bytes", "\x81\x7F\x00\x00\x00\x00\x00\x00\xFF\xFF", wire.ErrMinLength},
		{"sign bit", "\x81\x7F\x80\x00\x00\x00\x00\x00\x00\x00", wire.ErrLength},
		{"all ones", "\x81\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", wire.ErrLength},
	} {
		if _, _, err := wire.Next([]byte(test.bytes), false); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}

// A masked frame, unmasked by a loop as plain as the RFC's (5.3), is the payload.
func TestAppendMasks(t *testing.T) {
	for n := range 200 {
		payload := make([]byte, n)
		for i := range payload {
			payload[i] = byte(i * 7)
		}
		frame := wire.Append(nil, wire.Text, 0x04030201, payload)
		head := 2
		if n > 125 {
			head = 4
		}
		if frame[1]&0x80 == 0 {
			t.Fatalf("%d bytes: not masked", n)
		}
		mask, body := frame[head:head+4], frame[head+4:]
		for i := range body {
			body[i] ^= mask[i%4]
		}
		if !bytes.Equal(body, payload) {
			t.Fatalf("%d bytes: unmasked to something else", n)
		}
		if !bytes.Equal(mask, []byte{1, 2, 3, 4}) {
			t.Fatalf("mask %v", mask)
		}
	}
}

func TestCloseInfo(t *testing.T) {
	if code, reason := wire.CloseInfo([]byte("\x03\xE9bye")); code != 1001 || reason != "bye" {
		t.Errorf("got %d %q", code, reason)
	}
	if code, _ := wire.CloseInfo(nil); code != 1005 {
		t.Errorf("without a payload: %d, want 1005", code)
	}
}

func FuzzNext(f *testing.F) {
	f.Add([]byte("\x81\x05Hello"))
	f.Add([]byte("\x82\x7F\x00\x00\x00\x00\x00\x01\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, size, err := wire.Next(b, false)
		if size < 0 || size > len(b) || err != nil && size != 0 {
			t.Fatalf("size %d of %d, error %v", size, len(b), err)
		}
		if size > 0 {
			again := wire.AppendServerFrame(nil, frame.Opcode, frame.Payload)
			if frame.Final && !bytes.Equal(again, b[:size]) {
				t.Fatalf("%x was read, %x is written", b[:size], again)
			}
		}
	})
}
