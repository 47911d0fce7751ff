package chat

import (
	"github.com/gobwas/ws"

	"throng/frame"
	"throng/room"
)

// line is what a room is told, and its frame. It is a room.Entry; its memory is used again.
type line struct {
	text  []byte
	frame []byte
}

// encode makes the frame of the text.
func (l *line) encode() { l.frame = frame.Append(l.frame[:0], ws.OpText, l.text) }

// Frame implements room.Entry.
func (l *line) Frame(int, room.Stamp) []byte { return l.frame }
