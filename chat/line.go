package chat

import (
	"github.com/gobwas/ws"

	"throng/frame"
	"throng/room"
	"throng/server"
)

// The views of a room: what its members can be sent.
const (
	plainView    = 0
	deflatedView = 1 // for those with permessage-deflate
	views        = 2
)

// line is what a room is told, in all its views. Its memory is used again.
type line struct {
	text     []byte
	plain    []byte // its frame
	deflated []byte // the same compressed, empty until it is needed
	deflater *frame.Deflater
}

// encode makes the frame of the text. What takes time is done now for a room that needs it.
func (l *line) encode(r *room.Room, deflater *frame.Deflater) {
	l.plain = frame.Append(l.plain[:0], ws.OpText, l.text)
	l.deflated, l.deflater = l.deflated[:0], deflater
	if r.Has(deflatedView) {
		l.deflate()
	}
}

// deflate compresses the text, once for all members of the room, unless that makes it no smaller.
func (l *line) deflate() {
	var ok bool
	if l.deflated, ok = l.deflater.Append(l.deflated, ws.OpText, l.text); !ok {
		l.deflated = append(l.deflated, l.plain...)
	}
}

// Frame implements room.Entry.
func (l *line) Frame(view int, _ room.Stamp) []byte {
	if view == plainView {
		return l.plain
	}
	if len(l.deflated) == 0 {
		l.deflate() // the first member of that view has only just come
	}
	return l.deflated
}

// viewOf is the view that a connection is served from.
func viewOf(c *server.Conn) int {
	if c.Deflates() {
		return deflatedView
	}
	return plainView
}
