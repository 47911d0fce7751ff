package chat_test

import (
	"testing"

	"throng/chat"
)

// Coming to a room of 15,000 and leaving it takes no more memory than in one of 2,000: nothing is made that grows with the room.
func TestComingAndGoingCostsTheSameInACrowd(t *testing.T) {
	few, many := chat.ComeAndGo(2000), chat.ComeAndGo(15_000)
	if many > few+few/2+64 {
		t.Errorf("%d bytes in a room of 15,000, and %d in one of 2,000", many, few)
	}
}
