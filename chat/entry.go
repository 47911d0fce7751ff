package chat

import (
	"bytes"
	"strconv"

	"github.com/gobwas/ws"

	"throng/frame"
	"throng/room"
	"throng/server"
)

// The views of a room: what its members can be sent. History is kept in the first.
const (
	jsonView = iota
	plainView
	jsonDeflated // for those with permessage-deflate
	plainDeflated
	views
)

// viewOf is the view of a room that a connection is served from.
func viewOf(c *server.Conn, json bool) int {
	switch {
	case json && c.Deflates():
		return jsonDeflated
	case json:
		return jsonView
	case c.Deflates():
		return plainDeflated
	}
	return plainView
}

// hasJSON says whether somebody in a room speaks throng.v1.
func hasJSON(r *room.Room) bool { return r.Has(jsonView) || r.Has(jsonDeflated) }

// hasPlain says whether somebody in a room speaks plain text.
func hasPlain(r *room.Room) bool { return r.Has(plainView) || r.Has(plainDeflated) }

// message is what somebody says, in all views. It is a room.Entry; its memory is used again for the next one.
type message struct {
	plain []byte // the payload of the plain views
	body  []byte // of the JSON views, without its beginning, which the room's stamp makes
	nick  int    // where the nickname ends in plain
	seq   uint64 // its number, once published

	deflater    *frame.Deflater
	plainPacked packed
	bodyPacked  packed
	payload     []byte
	frame       []byte
}

// packed is a payload that was compressed, if that was worth it.
type packed struct {
	data     []byte
	done, ok bool
}

func (p *packed) reset() { p.data, p.done = p.data[:0], false }

// pack compresses once.
func (p *packed) pack(d *frame.Deflater, payload []byte) {
	if !p.done {
		p.data, p.ok = d.Pack(p.data, payload)
		p.done = true
	}
}

// keepMessage is the frame up to which a message's memory is used again.
const keepMessage = 256 << 10

// trim gives the memory of a large message back. When it is published.
func (m *message) trim() {
	if cap(m.frame) > keepMessage {
		*m = message{seq: m.seq}
	}
}

// begin makes the plain payload as far as the nickname.
func (m *message) begin() []byte { return m.plain[:0] }

// encode composes what a member says to a room; plain is what begin gave with the nickname behind it. What takes
// time is done now, for the views that the room has. id may be empty.
func (m *message) encode(r *room.Room, d *frame.Deflater, from, plain, text []byte, id string) {
	m.nick = len(plain)
	m.plain = append(append(plain, ": "...), text...)
	m.deflater, m.seq = d, 0
	m.plainPacked.reset()
	m.bodyPacked.reset()

	b := append(m.body[:0], `,"room":"`...)
	b = append(append(b, r.Name()...), `","from":{"id":"`...)
	b = append(append(b, from...), `","nick":`...)
	b = appendString(b, m.plain[:m.nick])
	b = appendString(append(b, `},"text":`...), text)
	if id != "" {
		b = appendString(append(b, `,"id":`...), id)
	}
	m.body = append(b, '}')

	if r.Has(plainDeflated) {
		m.plainPacked.pack(d, m.plain)
	}
	if r.Has(jsonDeflated) {
		m.bodyPacked.pack(d, m.body)
	}
}

// Frame implements room.Entry.
func (m *message) Frame(view int, at room.Stamp) []byte {
	m.seq = at.Seq
	switch view {
	case plainView:
		m.frame = frame.Append(m.frame[:0], ws.OpText, m.plain)
	case plainDeflated:
		if m.plainPacked.pack(m.deflater, m.plain); !m.plainPacked.ok {
			return m.Frame(plainView, at)
		}
		m.frame = frame.AppendPacked(m.frame[:0], ws.OpText, nil, m.plainPacked.data)
	case jsonDeflated:
		if m.bodyPacked.pack(m.deflater, m.body); !m.bodyPacked.ok {
			return m.Frame(jsonView, at)
		}
		m.payload = appendStamp(m.payload[:0], at)
		m.frame = frame.AppendPacked(m.frame[:0], ws.OpText, m.payload, m.bodyPacked.data)
	default:
		m.payload = append(appendStamp(m.payload[:0], at), m.body...)
		m.frame = frame.Append(m.frame[:0], ws.OpText, m.payload)
	}
	return m.frame
}

// appendStamp appends the beginning of a message in JSON.
func appendStamp(b []byte, at room.Stamp) []byte {
	b = strconv.AppendUint(append(b, `{"t":"msg","seq":`...), at.Seq, 10)
	b = strconv.AppendUint(append(b, `,"prev":`...), at.Prev, 10)
	return strconv.AppendInt(append(b, `,"ts":`...), at.Time, 10)
}

// recode makes a message of the history a line of the plain views. It is a room.Config.Recode.
func recode(dst, history []byte, view int) []byte {
	if view == jsonDeflated {
		return append(dst, history...)
	}
	nick, text, ok := spoken(frame.Payload(history))
	if !ok {
		panic("chat: a message in the history that was not encoded here")
	}
	var buf [256]byte
	line := unescape(append(unescape(buf[:0], nick), ": "...), text)
	return frame.Append(dst, ws.OpText, line)
}

// spoken finds nickname and text, as they are in JSON, in what message has encoded.
func spoken(payload []byte) (nick, text []byte, ok bool) {
	for _, key := range []string{`,"from":{"id":"`, `","nick":`} {
		_, rest, found := bytes.Cut(payload, []byte(key))
		if !found {
			return nil, nil, false
		}
		payload = rest
	}
	nick, payload, ok = cutString(payload)
	if !ok {
		return nil, nil, false
	}
	payload, ok = bytes.CutPrefix(payload, []byte(`},"text":`))
	if !ok {
		return nil, nil, false
	}
	text, _, ok = cutString(payload)
	return nick, text, ok
}

// notice is what the server tells the members of some views of a room. It is a room.Entry.
type notice struct {
	payload []byte
	frame   []byte
	json    bool // whom it is for
}

// encode makes the frame of the payload.
func (n *notice) encode(json bool) *notice {
	n.json = json
	n.frame = frame.Append(n.frame[:0], ws.OpText, n.payload)
	return n
}

// Frame implements room.Entry.
func (n *notice) Frame(view int, _ room.Stamp) []byte {
	if n.json != (view == jsonView || view == jsonDeflated) {
		return nil
	}
	return n.frame
}
