package frame_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"throng/frame"
)

// checkDeflated compresses payload and checks the frame, read with the library's
// header reader and inflated with the standard library. ok is what Append said.
func checkDeflated(t testing.TB, d *frame.Deflater, payload []byte) (ok bool) {
	t.Helper()
	before := "what was there"
	was := d.Counts()
	b, ok := d.Append([]byte(before), ws.OpText, payload)
	rest, found := bytes.CutPrefix(b, []byte(before))
	now := d.Counts()
	if !ok {
		if !found || len(rest) > 0 || now.Messages != was.Messages || now.In != was.In || now.Out != was.Out {
			t.Fatalf("refused, and left %q, %+v", b, now)
		}
		if tried := len(payload) >= frame.MinDeflate; tried != (now.Futile > was.Futile) {
			t.Fatalf("%d bytes refused: %+v", len(payload), now)
		}
		return false
	}
	r := bytes.NewReader(rest)
	h, err := ws.ReadHeader(r)
	if err != nil || h != (ws.Header{Fin: true, Rsv: ws.Rsv(true, false, false), OpCode: ws.OpText, Length: int64(r.Len())}) {
		t.Fatalf("header %+v, %d bytes follow, %v", h, r.Len(), err)
	}
	packed := rest[len(rest)-r.Len():]
	if len(payload) < frame.MinDeflate || len(packed) >= len(payload) {
		t.Fatalf("%d bytes became %d", len(payload), len(packed))
	}
	if got, ok := reference(packed); !ok || !bytes.Equal(got, payload) {
		t.Fatalf("inflates to %d bytes, %v; want %d", len(got), ok, len(payload))
	}
	if now.Messages != was.Messages+1 || now.In != was.In+uint64(len(payload)) || now.Out != was.Out+uint64(len(packed)) || now.Futile != was.Futile {
		t.Fatalf("counted %+v, before %+v", now, was)
	}
	return true
}

// english is a text that compresses like what people write, as far as a program can say.
func english(size int) []byte {
	words := strings.Fields("the of and a to in he have it that for they with as not on she at by this we you do but from or which one would all will there say who make when can more if no man out other so what time up go about than into could state only new year some take come these know see use get like then first any work now may such give over think most even find day also after way many must look before great back through long where much should well people down own just because good each those feel seem how high too place little world very still nation hand old life tell write become here show house both between need mean call develop under last right move thing general school never same another begin while number part turn real leave might want point form off child few small since against ask late home interest large person end open public follow during present without again hold govern around possible head consider word program problem however lead system set order eye plan run keep face fact group play stand increase early course change help line")
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for b.Len() < size {
		b.WriteString(words[r.IntN(len(words))] + " ")
	}
	return b.Bytes()[:size]
}

// noise does not compress.
func noise(size int) (b []byte) {
	for i := 0; len(b) < size; i++ {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		b = append(b, sum[:]...)
	}
	return b[:size]
}

func TestDeflater(t *testing.T) {
	for level := 1; level <= 9; level++ {
		d := frame.NewDeflater(level)
		for _, c := range []struct {
			name    string
			payload []byte
			want    bool
		}{
			{"nothing", nil, false},
			{"one byte less", bytes.Repeat([]byte("x"), 127), false},
			{"just enough", bytes.Repeat([]byte("x"), 128), true},
			{"noise", noise(128), false},
			{"noise, large", noise(70 << 10), false},
			{"noise and a little more", append(noise(1<<10), make([]byte, 200)...), true},
			{"header gets smaller", bytes.Repeat([]byte("x"), 100_000), true},
			{"header gets smaller by two", bytes.Repeat([]byte("x"), 60_000), true},
			{"a text", english(1000), true},
			{"a large text", english(300_000), true},
			{"the same again", english(1000), true},
		} {
			if got := checkDeflated(t, d, c.payload); got != c.want {
				t.Errorf("level %d, %s: %v", level, c.name, got)
			}
		}
		for zeros := range 100 { // one of these comes out just as large as it was
			checkDeflated(t, d, append(noise(400), make([]byte, zeros)...))
		}
		if _, ok := d.Append(nil, ws.OpPing, make([]byte, 125)); ok {
			t.Error("a compressed ping")
		}
	}
	var none *frame.Deflater
	if b, ok := none.Append([]byte("x"), ws.OpText, make([]byte, 1000)); ok || string(b) != "x" || none.Counts() != (frame.DeflateCounts{}) {
		t.Error("no Deflater has compressed")
	}
}

// No message refers to an earlier one: the same gives the same.
func TestNoContextTakeover(t *testing.T) {
	d := frame.NewDeflater(frame.DeflateLevel)
	first, _ := d.Append(nil, ws.OpBinary, english(500))
	d.Append(nil, ws.OpText, english(5000))
	if again, ok := d.Append(nil, ws.OpBinary, english(500)); !ok || !bytes.Equal(first, again) {
		t.Error("the same message gives another frame")
	}
	if first[0] != fin|rsv1|binData {
		t.Errorf("first byte %x", first[0])
	}
}

func TestDeflaterLevels(t *testing.T) {
	for _, level := range []int{-3, -2, -1, 0, 10} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("level %d is taken", level)
				}
			}()
			frame.NewDeflater(level)
		}()
	}
}

// racing says that the race detector runs: it has pools lose things.
var racing bool

// checkAllocs runs f and wants no allocation.
func checkAllocs(t *testing.T, what string, f func()) {
	t.Helper()
	if n := testing.AllocsPerRun(500, f); n != 0 {
		t.Errorf("%s: %v allocations", what, n)
	}
}

// In steady state neither direction allocates.
func TestCompressionAllocatesNothing(t *testing.T) {
	if racing {
		t.Skip("pools do not keep what they are given")
	}
	for _, size := range []int{128, 1 << 10, 16 << 10, 64 << 10} {
		payload := english(size)
		d := frame.NewDeflater(frame.DeflateLevel)
		var dst []byte
		checkAllocs(t, fmt.Sprintf("deflate %d", size), func() {
			dst, _ = d.Append(dst[:0], ws.OpText, payload)
		})
		stream := client(fin|rsv1|text, deflated(6, string(payload)))
		src := make([]byte, len(stream))
		var in frame.Decoder
		checkAllocs(t, fmt.Sprintf("inflate %d", size), func() {
			copy(src, stream)
			if m, _, ok, err := in.Decode(src, &deflating); !ok || err != nil || len(m.Payload) != size {
				t.Fatal(ok, err)
			}
			in.Decode(nil, &deflating)
		})
	}
}

func BenchmarkDeflate(b *testing.B) {
	for _, size := range []int{128, 1 << 10, 16 << 10} {
		for _, level := range []int{1, frame.DeflateLevel, 6} {
			b.Run(fmt.Sprintf("%d/level=%d", size, level), func(b *testing.B) {
				payload, d := english(size), frame.NewDeflater(level)
				var dst []byte
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					dst, _ = d.Append(dst[:0], ws.OpText, payload)
				}
				b.ReportMetric(float64(len(dst))/float64(size), "ratio")
			})
		}
	}
}

func BenchmarkInflate(b *testing.B) {
	for _, size := range []int{128, 1 << 10, 16 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			stream := client(fin|rsv1|text, deflated(6, string(english(size))))
			src := make([]byte, len(stream))
			var d frame.Decoder
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				copy(src, stream)
				if _, _, ok, err := d.Decode(src, &deflating); !ok || err != nil {
					b.Fatal(ok, err)
				}
				d.Decode(nil, &deflating)
			}
		})
	}
}
