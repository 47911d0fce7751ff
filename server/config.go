package server

import (
	"log/slog"
	"runtime"
	"time"

	"throng/frame"
	"throng/poller"
)

// Config holds every limit of the server. Zero values mean the default, which
// stands beside each.
type Config struct {
	// Listen are addresses: "host:port", ":port", "unix:PATH".
	Listen []string
	// Workers is the number of event loops. Default: one per processor.
	Workers int
	// Kernel is the operating system; tests put a simulated one here. Required.
	Kernel poller.Kernel
	// Log takes what an operator should know. Default: slog.Default().
	Log *slog.Logger

	// MaxConns is the number of connections that are served. Another
	// RefuseConns are answered 503; above that accepting stops. Default: 10,000.
	MaxConns    int
	RefuseConns int // default 32
	// MaxPerAddress is the number of connections from one IPv4 address or one /64
	// of IPv6, but not from loopback or a unix socket; negative: any. Further
	// ones are answered 429, and cut when more than a few of those linger.
	// Default: 1,000.
	MaxPerAddress int
	// UpgradeRate is how many upgrades a second are taken from strangers, all
	// together, and UpgradeBurst how many at once after a rest; negative: any.
	// Those that are over it are answered 503. Default: 5,000 and twice that.
	UpgradeRate, UpgradeBurst int
	// MaxHandshakes is the number of incomplete handshakes; at the limit the
	// oldest one goes. Default: 8,192.
	MaxHandshakes int
	// MaxPlain is the number of plain HTTP requests at a time. Default: 256.
	MaxPlain int

	// MaxHeadBytes and MaxHeaders bound the head of a request: 4 KiB, but less
	// than 16, and 64.
	MaxHeadBytes, MaxHeaders int
	// MaxMessageBytes bounds a message, and so a frame: 64 KiB.
	MaxMessageBytes int64
	// MaxFragments bounds the fragments of one message: 16,384, or one for every 64
	// bytes of the largest message, if that is more.
	MaxFragments int

	// Compression is the level of permessage-deflate (RFC 7692), from 1, the fastest,
	// to 9; CompressionOff for none. Each worker needs about 1 MB for it, from the
	// first message that is compressed on. Default: frame.DeflateLevel.
	Compression int

	// MessageRate is how many messages, control frames included, are taken from
	// a connection in a second, and MessageBurst how many at once after a rest,
	// at least what comes in a tick. One that sends more is not read meanwhile.
	// Negative: any. Default: 1,000 and twice that.
	MessageRate, MessageBurst int

	// MaxHeldBytes is what the process may hold, by its own account: connections,
	// input and output that waits, and what a Keeper keeps. From nine tenths of
	// it on newcomers are answered 503; above it the Keeper sheds, and then the
	// connections that hold most are closed. Default: 1 GiB.
	MaxHeldBytes int64

	// HandshakeTimeout is for the whole head: 5 s.
	HandshakeTimeout time.Duration
	// PingPeriod is how often an open connection is looked at. One that was
	// silent since the last look is pinged, one that was silent since the ping
	// is closed with 4008: after two to three periods. Default: 25 s.
	PingPeriod time.Duration
	// StallTimeout ends a connection whose peer has taken nothing for as long,
	// while something is waiting to be sent: 30 s.
	StallTimeout time.Duration
	// LingerTimeout and LingerBytes bound what is still read after a close
	// frame or a refusal, so that no reset destroys it: 2 s, 64 KiB.
	LingerTimeout time.Duration
	LingerBytes   int
	// DrainTime is over what time Shutdown spreads its close frames: 3 s.
	DrainTime time.Duration
	// RetryAfter is what a 503 advises: 5 s.
	RetryAfter time.Duration

	// SendBufferBytes and ReceiveBufferBytes are SO_SNDBUF and SO_RCVBUF: a
	// stalled peer's memory in the kernel is the server's. Defaults: 16 and 32 KiB.
	// The kernel doubles them for its own needs, and looks at the first only when it
	// begins another segment: with 16 KiB it held up to 64 KiB for a peer that does not
	// read, with 32 KiB up to 111. For that, messages of 2 KiB with four in flight cost
	// a tenth more processor time; with one in flight, nothing.
	SendBufferBytes, ReceiveBufferBytes int

	// AllowOrigins are more origins from which a browser may connect, as in
	// "https://chat.example"; "*" allows all. The server's own host, loopback
	// and requests without an Origin are always allowed.
	AllowOrigins []string
}

// CompressionOff is a Config.Compression: no extension is negotiated.
const CompressionOff = -1

// Bounds that are part of the design rather than a choice.
const (
	// readBudget is what one callback reads: the size of a loop's buffer.
	readBudget = 16 << 10
	// frameBudget is the number of messages that one callback handles, or fewer once it has
	// taken frameTime, which it looks at after each frameStep of them: what a frame costs is the Handler's.
	frameBudget = 64
	frameTime   = 25 * time.Microsecond
	frameStep   = 4
	// beginBudget is the number of fragments that are decoded as if they were one message of
	// the frameBudget.
	beginBudget = 64
	// inflateBudget is the number of bytes that one callback inflates, or one message
	// more: about as long as a callback full of small messages takes. A
	// buffer of input can hold a thousand times its size.
	inflateBudget = 128 << 10
	// maxOwn is what a connection's own frames may fill before it is no longer
	// read, and before Send refuses. One message may go beyond it.
	maxOwn = 16 << 10
	// unclogAfter is how long somebody has taken nothing when a connection that is not read is
	// read nevertheless, and unclogBudget how many bytes of that one tick takes in; looking
	// counts as unclogLook.
	unclogAfter  = 2 * tickInterval
	unclogBudget = 2 << 20
	unclogLook   = 1 << 10
	// maxAnswer may come on top of that while a connection is served: its message
	// was taken when there was room, and what else comes up meanwhile, such as that it
	// has missed something, must not cost it the answer.
	maxAnswer = 1 << 10
	// refusePerAddress is how many refused connections of one address may linger.
	refusePerAddress = 16
	// acceptBudget is the number of connections accepted in one turn.
	acceptBudget = 64
	// tickInterval is how often deadlines are looked at.
	tickInterval = 250 * time.Millisecond
	ticksASecond = int(time.Second / tickInterval)
	// maxTick is what one tick can add to a loop's clock. When the process was
	// stopped for longer, all deadlines move by the rest.
	maxTick = 2 * time.Second
	// acceptRetryMin and acceptRetryMax bound the wait after a failed accept.
	acceptRetryMin = 10 * time.Millisecond
	acceptRetryMax = time.Second
)

// withDefaults fills in what is not set.
func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	def(&c.Workers, runtime.NumCPU())
	def(&c.MaxConns, 10_000)
	def(&c.RefuseConns, 32)
	def(&c.MaxPerAddress, 1000)
	def(&c.UpgradeRate, 5000)
	def(&c.UpgradeBurst, 2*c.UpgradeRate)
	def(&c.MessageRate, 1000)
	def(&c.MessageBurst, 2*c.MessageRate)
	c.MessageBurst = max(c.MessageBurst, c.MessageRate/ticksASecond)
	def(&c.MaxHeldBytes, 1<<30)
	def(&c.MaxHandshakes, 8192)
	def(&c.MaxPlain, 256)
	def(&c.MaxHeadBytes, 4<<10)
	c.MaxHeadBytes = min(c.MaxHeadBytes, readBudget-1) // one more byte must fit in the buffer
	def(&c.MaxHeaders, 64)
	def(&c.MaxMessageBytes, 64<<10)
	def(&c.MaxFragments, int(max(16<<10, c.MaxMessageBytes/64)))
	def(&c.Compression, frame.DeflateLevel)
	def(&c.HandshakeTimeout, 5*time.Second)
	def(&c.PingPeriod, 25*time.Second)
	def(&c.StallTimeout, 30*time.Second)
	def(&c.LingerTimeout, 2*time.Second)
	def(&c.LingerBytes, 64<<10)
	def(&c.DrainTime, 3*time.Second)
	def(&c.RetryAfter, 5*time.Second)
	def(&c.SendBufferBytes, 16<<10)
	def(&c.ReceiveBufferBytes, 32<<10)
	return c
}

func def[T comparable](p *T, value T) {
	var zero T
	if *p == zero {
		*p = value
	}
}
