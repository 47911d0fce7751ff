package chat_test

import (
	"testing"
	"time"

	"throng/chat"
)

// Fan-out gets as much of a turn as what came before it, but a turn ends.
func TestShare(t *testing.T) {
	for busy, want := range map[time.Duration]time.Duration{
		0: time.Millisecond, time.Millisecond: time.Millisecond, 5 * time.Millisecond: 5 * time.Millisecond, time.Hour: 20 * time.Millisecond,
	} {
		if budget, writes := chat.Share(busy); budget != want || (writes == 128) != (want == time.Millisecond) {
			t.Errorf("after %v: %v and %d writes", busy, budget, writes)
		}
	}
}
