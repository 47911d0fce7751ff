package proof

import (
	"bytes"
	"hash/crc32"
)

// Stamp is what a message of the load says about itself.
type Stamp struct {
	Run      int   // below MaxRuns: messages of earlier runs may still be in a server's history
	Sender   int   // below MaxSenders
	Seq      int64 // 0, 1, 2, … for each sender
	Intended int64 // when the message ought to have been sent, by clock.Now
	Late     int64 // how much later it was, nanoseconds; kept in microseconds
	Sampled  bool  // whether receivers measure the latency of this message
}

// The form of a stamp: printable, without a character that JSON would escape.
// A message is the magic, then numbers of six bits a character, the most
// significant first, then padding up to its size.
//
//	~T~ run(4) sender(4) seq(6) intended(11) late(5) sampled(1) length(3) checksum(6) padding
//
// The checksum covers everything but itself, the padding included.
const (
	magic      = "~T~"
	runAt      = len(magic)
	senderAt   = runAt + 4
	seqAt      = senderAt + 4
	intendedAt = seqAt + 6
	lateAt     = intendedAt + 11
	sampledAt  = lateAt + 5
	lengthAt   = sampledAt + 1
	checksumAt = lengthAt + 3
	StampBytes = checksumAt + 6
	MaxRuns    = 1 << (6 * 4)
	MaxSenders = 1 << (6 * 4)
	MaxSize    = 1<<(6*3) - 1
	lateUnit   = 1000
	maxLate    = 1<<(6*5) - 1
)

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"

// digits is the reverse of alphabet; 0xFF stands for what is not in it.
var digits = func() (d [256]byte) {
	for i := range d {
		d[i] = 0xFF
	}
	for i := range alphabet {
		d[alphabet[i]] = byte(i)
	}
	return d
}()

// castagnoli is the polynomial for which processors have an instruction.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// padding fills messages up to their size.
var padding = bytes.Repeat([]byte("abcdefghijklmnopqrstuvwxyz"), 40)

// AppendMessage writes a message of size bytes, or of StampBytes if that is more.
func AppendMessage(dst []byte, s Stamp, size int) []byte {
	size = min(max(size, StampBytes), MaxSize)
	start := len(dst)
	dst = append(dst, magic...)
	dst = appendNumber(dst, uint64(s.Run), senderAt-runAt)
	dst = appendNumber(dst, uint64(s.Sender), seqAt-senderAt)
	dst = appendNumber(dst, uint64(s.Seq), intendedAt-seqAt)
	dst = appendNumber(dst, uint64(s.Intended), lateAt-intendedAt)
	dst = appendNumber(dst, uint64(min(s.Late/lateUnit, maxLate)), sampledAt-lateAt)
	sampled := uint64(0)
	if s.Sampled {
		sampled = 1
	}
	dst = appendNumber(dst, sampled, lengthAt-sampledAt)
	dst = appendNumber(dst, uint64(size), checksumAt-lengthAt)
	dst = append(dst, "------"...)
	for size > len(dst)-start {
		dst = append(dst, padding[:min(size-(len(dst)-start), len(padding))]...)
	}
	message := dst[start:]
	appendNumber(message[:checksumAt], uint64(checksum(message)), StampBytes-checksumAt)
	return dst
}

// Find returns where a message begins in a text that may have something before
// it ("nick: ", or a JSON object's first fields), or -1.
func Find(text []byte) int { return bytes.Index(text, []byte(magic)) }

// Decode reads the message that b starts with. What follows it is not looked
// at; size is where it ends. It reports false for anything but an intact message.
func Decode(b []byte) (s Stamp, size int, ok bool) {
	if len(b) < StampBytes || string(b[:len(magic)]) != magic {
		return s, 0, false
	}
	run, ok0 := number(b[runAt:senderAt])
	sender, ok1 := number(b[senderAt:seqAt])
	seq, ok2 := number(b[seqAt:intendedAt])
	intended, ok3 := number(b[intendedAt:lateAt])
	late, ok4 := number(b[lateAt:sampledAt])
	length, ok5 := number(b[lengthAt:checksumAt])
	sum, ok6 := number(b[checksumAt:StampBytes])
	if !(ok0 && ok1 && ok2 && ok3 && ok4 && ok5 && ok6) || length < uint64(StampBytes) || length > uint64(len(b)) {
		return s, 0, false
	}
	if uint64(checksum(b[:length])) != sum {
		return s, 0, false
	}
	return Stamp{Run: int(run), Sender: int(sender), Seq: int64(seq), Intended: int64(intended), Late: int64(late) * lateUnit,
		Sampled: b[sampledAt] != alphabet[0]}, int(length), true
}

// checksum covers a message but for the place of the checksum itself.
func checksum(message []byte) uint32 {
	return crc32.Update(crc32.Checksum(message[:checksumAt], castagnoli), castagnoli, message[StampBytes:])
}

// appendNumber writes v in n characters.
func appendNumber(dst []byte, v uint64, n int) []byte {
	for i := n - 1; i >= 0; i-- {
		dst = append(dst, alphabet[v>>(6*i)&63])
	}
	return dst
}

// number reads what appendNumber wrote.
func number(b []byte) (v uint64, ok bool) {
	var bad byte
	for _, c := range b {
		d := digits[c]
		bad |= d
		v = v<<6 | uint64(d&63)
	}
	return v, bad&0xC0 == 0
}
