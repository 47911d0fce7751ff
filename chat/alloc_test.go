package chat_test

import (
	"testing"

	"throng/chat"
	"throng/server"
)

// A message costs no allocation from the frame that arrived to the room's log,
// but for the log's segments: one of 64 KiB, with its table and its index, for
// more than a thousand messages of these lengths.
func TestSayAllocatesNothing(t *testing.T) {
	const segment = 4 // allocations
	for _, path := range []string{"/chat/r", "/chat/r?nick=ann"} {
		t.Run(path, func(t *testing.T) {
			w := start(t, func(o *options) { o.chat.Rooms.Window = 64 << 20 }) // the room takes it all
			p := w.join(path)
			nick := p.nick()
			allocs := make(chan float64, 1)
			if !w.chat.Post("r", nick, func(c *server.Conn) { allocs <- chat.SayAllocs(c, "a message of no great length") }) {
				t.Fatal("nobody there")
			}
			if n := <-allocs; n > 4*segment {
				t.Errorf("%s: %v allocations for a thousand messages", path, n)
			}
			p.conn.Close()
		})
	}
}
