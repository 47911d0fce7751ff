package frame_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"throng/frame"
)

// asciiFrame is a masked text frame whose mask turns the letters into others, so
// that decoding it again and again in place stays legal.
func asciiFrame(size int) []byte {
	b := clientHeader(fin|text, uint64(size))
	copy(b[len(b)-4:], "\x01\x02\x03\x04")
	return append(b, strings.Repeat("h", size)...)
}

func BenchmarkDecode(b *testing.B) {
	for _, size := range []int{64, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			src := asciiFrame(size)
			var d frame.Decoder
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, ok, _ := d.Decode(src, &roomy); !ok {
					b.Fatal("no message")
				}
			}
		})
	}
}

// BenchmarkDecodeInHalves is a message that two reads bring.
func BenchmarkDecodeInHalves(b *testing.B) {
	for _, size := range []int{64, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			src := asciiFrame(size)
			var d frame.Decoder
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			for b.Loop() {
				d.Decode(src[:len(src)/2], &roomy)
				if _, _, ok, _ := d.Decode(src[len(src)/2:], &roomy); !ok {
					b.Fatal("no message")
				}
			}
		})
	}
}

// BenchmarkDecodeByteByByte is the slowest sender there is.
func BenchmarkDecodeByteByByte(b *testing.B) {
	src := asciiFrame(64)
	var d frame.Decoder
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		for i := range src {
			d.Decode(src[i:i+1], &roomy)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{64, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			payload := make([]byte, size)
			dst := make([]byte, 0, size+ws.MaxHeaderSize)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				frame.Append(dst, ws.OpText, payload)
			}
		})
	}
}

// BenchmarkBoundary walks a full segment of frames of 70 bytes.
func BenchmarkBoundary(b *testing.B) {
	var frames []byte
	for len(frames) < 64<<10 {
		frames = frame.Append(frames, ws.OpText, make([]byte, 68))
	}
	for b.Loop() {
		frame.Boundary(frames, len(frames))
	}
}
