package chat

import (
	"github.com/gobwas/ws"

	"throng/frame"
)

// line is what a room is told, and its frame. It is a room.Entry; its memory is used again.
type line struct {
	text  []byte
	frame []byte
}

// encode makes the frame of the text.
func (l *line) encode() { l.frame = frame.Append(l.frame[:0], ws.OpText, l.text) }

// Frame implements room.Entry.
func (l *line) Frame(int) []byte { return l.frame }
