package frame_test

import (
	"bytes"
	"testing"

	"github.com/gobwas/ws"

	"throng/frame"
)

// FuzzPack: a prefix that is stored and a payload that was packed before are one message, as compress/flate reads it, also
// when the buffer was used before; a payload that is not packed leaves the buffer as it was.
func FuzzPack(f *testing.F) {
	for _, size := range []int{0, 1, 127, 128, 129, 1000, 70_000} {
		f.Add([]byte(`{"t":"msg","seq":1`), english(size), []byte("before"))
		f.Add(bytes.Repeat([]byte{0xff}, 65_535), english(size), []byte{})
		f.Add([]byte{}, bytes.Repeat([]byte{0}, size), []byte{0})
	}
	d := frame.NewDeflater(frame.DeflateLevel)
	f.Fuzz(func(t *testing.T, prefix, payload, before []byte) {
		if len(prefix) > 65_535 {
			return
		}
		was := d.Counts()
		b, ok := d.Pack(bytes.Clone(before), payload)
		packed, kept := bytes.CutPrefix(b, before)
		now := d.Counts()
		if !kept || !ok && (len(packed) > 0 || now.Messages != was.Messages) || len(payload) < frame.MinDeflate && ok {
			t.Fatalf("%d bytes, %v: %q", len(payload), ok, b)
		}
		if !ok {
			return
		}
		if now.Messages != was.Messages+1 || now.In != was.In+uint64(len(payload)) || now.Out != was.Out+uint64(len(packed)) || len(packed) >= len(payload) {
			t.Fatalf("%+v, before %+v, for %d bytes that became %d", now, was, len(payload), len(packed))
		}
		whole, kept := bytes.CutPrefix(frame.AppendPacked(bytes.Clone(before), ws.OpText, prefix, packed), before)
		r := bytes.NewReader(whole)
		h, err := ws.ReadHeader(r)
		if !kept || err != nil || h != (ws.Header{Fin: true, Rsv: ws.Rsv(true, false, false), OpCode: ws.OpText, Length: int64(r.Len())}) {
			t.Fatalf("%+v, %v", h, err)
		}
		if got, ok := reference(whole[len(whole)-r.Len():]); !ok || !bytes.Equal(got, append(bytes.Clone(prefix), payload...)) {
			t.Fatalf("%d and %d bytes became %d", len(prefix), len(payload), len(got))
		}
	})
}
