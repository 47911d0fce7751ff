package chat

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"throng/room"
)

// command carries out a line that begins with a slash; false means that the room
// is busy.
func (m *member) command(line string) bool {
	m.Flush() // what was said before the question comes before the answer
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "/nick":
		return m.rename(strings.TrimSpace(rest))
	case "/who":
		m.who()
	case "/help":
		for _, line := range help {
			m.tell(line)
		}
	default:
		m.tell("unknown command " + cut(verb, maxEcho) + ", try /help")
	}
	return true
}

var help = []string{
	"/nick NAME changes your nickname",
	"/who lists who is here",
	"/help lists the commands",
	"//TEXT says /TEXT; anything else is said as it is",
}

// rename changes the nickname and tells the room, unless the room is busy: a
// line that a member causes waits like a message.
func (m *member) rename(nick string) bool {
	if !m.Room().Admits(m) {
		return false
	}
	old := m.chat().names.of(&m.id)
	if err := m.chat().names.choose(&m.id, nick); err != nil {
		m.tell(err.Error())
		return true
	}
	if now := m.chat().names.of(&m.id); now != old {
		m.chat().renamed(m.Room(), m.desk(), m.number(), old, now)
	}
	return true
}

// who lists the first members of the room, and counts all.
func (m *member) who() {
	ch, r := m.chat(), m.Room()
	var peers []room.Peer
	r.Members(0, maxWho, func(_ uint64, p room.Peer) { peers = append(peers, p) })
	var nicks []string
	listed := make(map[string]bool)
	for _, p := range peers {
		if id, nick := ch.identity(p); id != "" && !listed[id] {
			listed[id] = true
			nicks = append(nicks, nick)
		}
	}
	all := max(ch.halls.members(r), len(nicks)) // some may have left since
	list := strings.Join(nicks, ", ")
	if all > len(nicks) {
		list += ", …"
	}
	m.tell(strconv.Itoa(all) + " here: " + list)
}

// cut shortens s to at most n bytes, between two runes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
