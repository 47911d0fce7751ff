package chat

import (
	"strconv"

	"github.com/gobwas/ws"

	"throng/room"
	"throng/server"
)

// member is a plain text connection, and the place in its room of whoever talks through it.
type member struct {
	room.Member
	conn *server.Conn
	id   id // the nickname; any goroutine
}

// openMember is the beginning of a connection.
func (ch *Chat) openMember(c *server.Conn, name string, w wish) {
	m := &member{conn: c}
	m.id.Store(ch.names.draw())
	c.Data = m
	if w.nick != "" {
		if err := ch.names.choose(&m.id, w.nick); err != nil {
			m.tell(err.Error())
		}
	}
	ch.rooms.Join(name, &m.Member, room.Joiner{Peer: m, Worker: c.WorkerID(), View: viewOf(c, false), History: w.history})
	if r := m.Room(); ch.cfg.Announce || hasJSON(r) {
		ch.arrived(r, m.desk(), m.number(), ch.names.of(&m.id))
	}
	m.Flush()
}

// chat is reached through the connection, which saves a pointer per member.
func (m *member) chat() *Chat { return m.conn.Handler().(*Chat) }

func (m *member) desk() *desk { return &m.chat().desks[m.conn.WorkerID()] }

// number is the member's id in throng.v1.
func (m *member) number() string { return strconv.FormatUint(m.id.Load()&^chosen, 10) }

// Write implements room.Peer.
func (m *member) Write(frames []byte) int { return m.conn.WriteFrames(frames) }

// Missed implements room.Peer.
func (m *member) Missed(n, _ uint64) {
	if m.chat().cfg.CloseSlow {
		m.conn.CloseLater(server.CodeSlow, "slow consumer")
		return
	}
	if !m.tell("you missed " + strconv.FormatUint(n, 10) + " messages.") {
		// It has not even read its own answers: then it is to know from the close.
		m.conn.CloseLater(server.CodeSlow, "slow consumer")
	}
}

// Resume implements room.Waiter: the room takes messages again.
func (m *member) Resume() { m.conn.Resume() }

// message implements speaker.
func (m *member) message(text []byte) (taken bool) {
	if len(text) > 0 && text[0] == '/' {
		if len(text) < 2 || text[1] != '/' {
			return m.command(string(text))
		}
		text = text[1:]
	}
	return m.say(text)
}

// writable implements speaker.
func (m *member) writable() { m.Unblock() }

// flush implements speaker.
func (m *member) flush() { m.Flush() }

// closed implements speaker: the member leaves, and the rest are told. Then the nickname is free: earlier, they could hear
// of the next who has it before they hear that this one has left.
func (m *member) closed() {
	ch, r := m.chat(), m.Room()
	nick, number := ch.names.of(&m.id), m.number()
	defer ch.names.release(&m.id)
	if r == nil {
		return
	}
	m.Leave()
	if r.Len() > 0 {
		ch.left(r, m.desk(), number, nick)
	}
}

// say publishes a message; false means that the room is busy.
func (m *member) say(text []byte) bool {
	ch, msg, r := m.chat(), &m.desk().message, m.Room()
	var digits [20]byte
	number := strconv.AppendUint(digits[:0], m.id.Load()&^chosen, 10)
	msg.encode(r, m.conn.Deflater(), number, ch.names.appendTo(msg.begin(), &m.id), text, "")
	taken := r.Publish(msg, m)
	msg.trim()
	return taken
}

// tell answers the member alone. false: it takes nothing more at present.
func (m *member) tell(text string) bool { return m.conn.Send(ws.OpText, []byte(" .... "+text)) }
