package room

import (
	"math/rand/v2"
	"time"
)

// Config bounds what a Map and its rooms keep. It is read-only once NewMap has it.
type Config struct {
	Shards int // of the map: a power of two
	Views  int // the encodings that an Entry can be asked for: 1 to 4. History is kept in view 0.
	// Recode appends a frame of view 0 in the encoding of another view; it may have nothing to append. Nil: members of
	// the other views get history as it is kept. Called on a member's worker, under no lock; it must answer the same
	// each time.
	Recode func(dst, frame []byte, view int) []byte
	Rooms  int // that Map.Admit lets there be at a time; 0: any number

	Window       int           // bytes that a room keeps for delivery to members that are behind
	HistoryCount int           // messages that a joiner may ask for; 0 keeps no history
	HistoryBytes int           // bytes of log that those may span
	HistoryAge   time.Duration // how long they are offered, to within a second

	// Now is the clock: any origin, never backwards, cheap, called from any goroutine. A coarse one will do.
	Now func() time.Duration
	// Wall is the time of day that messages are stamped with, called from any goroutine.
	Wall func() time.Time
	// Epoch draws a name for one life of a room's sequence numbers, unlike any other, called from any goroutine.
	Epoch func() uint64
}

// Defaults is what a server runs with when nobody says otherwise.
func Defaults() Config {
	start := time.Now()
	return Config{
		Shards:       64,
		Views:        1,
		Rooms:        100_000,
		Window:       1 << 20,
		HistoryCount: 200,
		HistoryBytes: 256 << 10,
		HistoryAge:   time.Hour,
		Now:          func() time.Duration { return time.Since(start) },
		Wall:         time.Now,
		Epoch:        rand.Uint64,
	}
}

// check panics on values that no Map can work with: they are the program's, not an operator's.
func (c *Config) check() {
	switch {
	case c.Shards < 1 || c.Shards&(c.Shards-1) != 0:
		panic("room: Config.Shards is not a power of two")
	case c.Views < 1 || c.Views > maxViews:
		panic("room: Config.Views is not 1 to 4")
	case c.Rooms < 0:
		panic("room: Config.Rooms is negative")
	case c.Window < minSegment:
		panic("room: Config.Window is smaller than a segment")
	case c.HistoryCount < 0 || c.HistoryBytes < 0 || c.HistoryAge < 0:
		panic("room: a negative history in Config")
	case c.Now == nil || c.Wall == nil || c.Epoch == nil:
		panic("room: Config.Now, Wall or Epoch is missing")
	}
}

// seconds is the time as marks carry it. Without history nobody asks for it.
func (c *Config) seconds() uint32 {
	if c.HistoryCount == 0 {
		return 0
	}
	return uint32(c.Now() / time.Second)
}

// aged says whether a message of that time is too old to be offered.
func (c *Config) aged(now time.Duration, seconds uint32) bool {
	return now-time.Duration(seconds)*time.Second >= c.HistoryAge
}
