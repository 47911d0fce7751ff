package proof_test

import (
	"slices"
	"testing"
)

// readBytes is about what a read returns under load.
const readBytes = 8 << 10

// measure feeds members their streams, a read at a time, again and again, and
// reports what the proof of one delivery costs.
func measure(b *testing.B, members int, streamOf func(member int) []byte) {
	var streams [][]byte
	messages := 0
	for i := range members {
		streams = append(streams, streamOf(i))
		messages += len(streams[i]) / len(frame(message{}))
	}
	b.ResetTimer()
	for done := 0; done < b.N; done += messages {
		r := newRoom(members, 1)
		for from := 0; from < len(streams[0]); from += readBytes {
			for i, s := range streams {
				if from < len(s) {
					r.Feed(&r.members[i], i, s[from:min(from+readBytes, len(s))], 5_000)
				}
			}
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
}

// BenchmarkFeed is a room in which all receive the same, which is compared.
func BenchmarkFeed(b *testing.B) {
	honest := stream(run(0, 0, 10_000)...)
	measure(b, 500, func(int) []byte { return honest })
}

// BenchmarkFeedAlone is a lone member: every frame is decoded.
func BenchmarkFeedAlone(b *testing.B) {
	honest := stream(run(0, 0, 100_000)...)
	measure(b, 1, func(int) []byte { return honest })
}

// BenchmarkFeedLossy is a room of which each member misses another message of a
// hundred: they are decoded for a while after each.
func BenchmarkFeedLossy(b *testing.B) {
	honest := run(0, 0, 10_000)
	measure(b, 100, func(member int) []byte {
		return stream(slices.DeleteFunc(slices.Clone(honest), func(m message) bool { return m.seq%100 == int64(member) })...)
	})
}
