package server_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// simRoom is a room as its witness sees it: somebody who joined before everybody else, reads at once and suffers no
// faults. What the witness hears is what was said, and every other member has to hear a part of it without holes.
type simRoom struct {
	name  string
	lines []simLine
	bytes int // of the lines

	numbered []int             // where in lines the messages 1, 2, … are
	promised map[uint64]string // by number: what somebody has heard before the witness
	epoch    string            // of the numbers

	afoot   int            // what may have become lines, heard or not: an upper bound
	places  map[[2]int]int // of the messages in lines, by who said it and its number
	said    map[int]int    // the number of the latest message by who said it
	nickOf  map[int]string // of those who have said something
	ownerOf map[string]int // the same, the other way round
	left    map[int]bool   // of those
	leaves  int            // lines that say so
	joins   int
	voices  map[int]bool // who says something through throng.v1, and may leave, come back, and have another nickname
	quiet   bool         // nobody is told who leaves, so that a nickname may go to another one unheard
}

// simLineMax is more than a nickname takes, or a line of the server.
const simLineMax = 80

// simLine is a line that went to a room.
type simLine struct {
	text    string
	by      int // who said it; -1: a line of the server
	n       int
	through int // messages up to and including this line
}

func newSimRoom(name string) *simRoom {
	return &simRoom{name: name, promised: map[uint64]string{}, places: map[[2]int]int{}, said: map[int]int{}, nickOf: map[int]string{}, ownerOf: map[string]int{}, left: map[int]bool{}, voices: map[int]bool{}}
}

// messages counts those before the line at position i.
func (r *simRoom) messages(i int) int {
	if i == 0 {
		return 0
	}
	return r.lines[i-1].through
}

// position is where a message stands; -1 if the witness has not heard it, or if it is none.
func (r *simRoom) position(text string) int {
	if _, by, n, ok := simParse(text); ok {
		if at, ok := r.places[[2]int{by, n}]; ok && r.lines[at].text == text {
			return at
		}
	}
	return -1
}

// notice marks what the server says by itself.
const notice = " .... "

// simParse reads "NICK: gBY-N…".
func simParse(text string) (nick string, by, n int, ok bool) {
	nick, said, ok := strings.Cut(text, ": ")
	said = strings.TrimPrefix(strings.TrimPrefix(said, "/"), "g")
	who, number, dash := strings.Cut(said, "-")
	number, _, _ = strings.Cut(number, " ")
	by, err1 := strconv.Atoi(who)
	n, err2 := strconv.Atoi(number)
	return nick, by, n, ok && dash && err1 == nil && err2 == nil && !strings.HasPrefix(text, notice)
}

// hear takes a line of the witness, and says what is wrong with it.
func (r *simRoom) hear(text string) error {
	line := simLine{text: text, by: -1, through: r.messages(len(r.lines))}
	if nick, by, n, ok := simParse(text); ok {
		line.by, line.n = by, n
		line.through++
		if was, ok := r.promised[uint64(line.through)]; ok && was != text {
			return fmt.Errorf("message %d is %q, but somebody has heard %q", line.through, text, was)
		}
		delete(r.promised, uint64(line.through))
		r.places[[2]int{by, n}] = len(r.lines)
		if err := r.heard(nick, by, n); err != nil {
			return err
		}
	} else if err := r.noticed(text); err != nil {
		return err
	}
	if line.by >= 0 {
		r.numbered = append(r.numbered, len(r.lines))
	}
	r.lines = append(r.lines, line)
	r.bytes += len(text)
	return nil
}

// promise asserts that a message is the one that the witness has heard under its number, or will hear.
func (r *simRoom) promise(m *simObject) error {
	line := m.From.Nick + ": " + m.Text
	was, there := r.promised[m.Seq]
	if m.Seq <= uint64(len(r.numbered)) {
		was, there = r.lines[r.numbered[m.Seq-1]].text, true
	} else {
		r.promised[m.Seq] = line
	}
	if m.Prev != m.Seq-1 || !strings.HasPrefix(m.Text, m.ID) || there && was != line {
		return fmt.Errorf("message %d of %s, after %d and with the id %q, is %q, but others have heard %q", m.Seq, m.Room, m.Prev, m.ID, line, was)
	}
	return nil
}

// heard checks who says what: everything once, in order, under one nickname, and nothing after having left.
func (r *simRoom) heard(nick string, by, n int) error {
	if last := r.said[by]; n != last+1 {
		return fmt.Errorf("message %d of %d came after its message %d", n, by, last)
	}
	r.said[by] = n
	if r.voices[by] {
		return nil
	}
	if r.left[by] {
		return fmt.Errorf("%d has left and says %d", by, n)
	}
	if old, ok := r.nickOf[by]; ok && old != nick {
		return fmt.Errorf("%d is %q without having renamed from %q", by, nick, old)
	}
	if owner, ok := r.ownerOf[nick]; ok && owner != by && !r.quiet {
		return fmt.Errorf("%q is both %d and %d", nick, owner, by)
	}
	r.nickOf[by], r.ownerOf[nick] = nick, by
	return nil
}

// noticed follows who is who.
func (r *simRoom) noticed(text string) error {
	said, ok := strings.CutPrefix(text, notice)
	if !ok {
		return fmt.Errorf("a line that is nobody's: %q", text)
	}
	if said[0] == 'v' {
		return nil // somebody of throng.v1, of whom each connection may be in several rooms
	}
	if nick, ok := strings.CutSuffix(said, " has left."); ok {
		r.leaves++
		if by, ok := r.ownerOf[nick]; ok {
			r.left[by] = true
			delete(r.ownerOf, nick)
		}
		return nil
	}
	if strings.HasSuffix(said, " has joined.") {
		r.joins++
		return nil
	}
	old, rest, renamed := strings.Cut(said, " is now ")
	nick, dot := strings.CutSuffix(rest, ".")
	if !renamed || !dot {
		return fmt.Errorf("a line that nobody expects: %q", text)
	}
	if by, ok := r.ownerOf[old]; ok {
		if owner, taken := r.ownerOf[nick]; taken && owner != by && !r.quiet {
			return fmt.Errorf("%q is both %d and %d", nick, owner, by)
		}
		delete(r.ownerOf, old)
		r.ownerOf[nick], r.nickOf[by] = by, nick
	}
	return nil
}

// simStream is what one member has heard of a room, checked against the witness as far as that has come.
type simStream struct {
	room    *simRoom
	waiting []simHeard // not checked yet
	began   bool
	at      int  // the position of the next line in the room
	replay  bool // in what was said before it joined
	history int  // lines asked for
	floor   int  // the room's lines when it asked to join
	since   int  // the step at which it knew that it had joined
	final   bool // nothing more comes of what was said so far
}

// simHeard is a line, or a gap of that many messages. An early gap came when the room had not said enough for members to lose any
// of it: it can only be history, given up on because it was trimmed before the member took it.
type simHeard struct {
	text  string
	gap   int
	early bool
}

// missed takes a notice of a gap. Two of them in a row are one gap: the member missed more before it could be written to.
func (s *simStream) missed(n int, early bool) {
	if last := len(s.waiting) - 1; last >= 0 && s.waiting[last].gap > 0 {
		s.waiting[last] = simHeard{gap: s.waiting[last].gap + n, early: early}
		return
	}
	s.waiting = append(s.waiting, simHeard{gap: n, early: early})
}

// check goes through what was heard. sent says at which step a message was sent; final asks that nothing is left.
func (s *simStream) check(sent func(by, n int) int, final bool) error {
	s.final = final
	for len(s.waiting) > 0 {
		done, err := s.one(sent)
		if err != nil {
			return err
		}
		if !done {
			break
		}
	}
	switch {
	case !final:
		return nil
	case !s.began:
		return s.neverBegan(sent)
	case len(s.waiting) == 1 && s.waiting[0].gap > 0 && s.room.messages(s.at)+s.waiting[0].gap == s.room.messages(len(s.room.lines)):
		return nil // it has missed all there was
	case len(s.waiting) > 0:
		return fmt.Errorf("heard %+v, which does not go on from line %d of %d", s.waiting[:min(3, len(s.waiting))], s.at-1, len(s.room.lines))
	case s.replay && s.nextMessage(s.at) == len(s.room.lines):
		return nil // perhaps it joined behind these notices
	case s.at < len(s.room.lines):
		return fmt.Errorf("%d lines are missing at the end, the first is %q", len(s.room.lines)-s.at, s.room.lines[s.at].text)
	}
	return nil
}

// neverBegan is the final check of somebody who has not heard a message: the notices it heard are the last lines.
func (s *simStream) neverBegan(sent func(by, n int) int) error {
	at := len(s.room.lines) - len(s.waiting)
	for i, h := range s.waiting {
		if at < s.floor || s.room.lines[at+i].text != h.text {
			return fmt.Errorf("heard %d lines, which are not the last ones of the room; the first is %q", len(s.waiting), s.waiting[0].text)
		}
	}
	return s.nothingBefore(at, sent)
}

// one checks the next line. false: the witness has not come so far.
func (s *simStream) one(sent func(by, n int) int) (done bool, err error) {
	h := s.waiting[0]
	if !s.began {
		return s.first(sent)
	}
	if h.gap > 0 {
		if len(s.waiting) < 2 {
			return false, nil
		}
		return s.jump(h, s.waiting[1].text)
	}
	at := s.at
	if s.replay {
		at = s.nextMessage(at)
	}
	switch {
	case at == len(s.room.lines):
		if at > s.at {
			return s.live(h.text)
		}
		return false, nil
	case s.room.lines[at].text == h.text:
		s.advance(at)
		return true, nil
	case s.replay:
		return s.live(h.text)
	}
	return false, fmt.Errorf("heard %q where the room has %q (line %d)", h.text, s.room.lines[at].text, at)
}

// live ends a replay, in which notices are passed over: from here on they are not.
func (s *simStream) live(text string) (bool, error) {
	end := min(s.nextMessage(s.at)+1, len(s.room.lines))
	if at, sure := s.find(s.waiting, s.at, end, end < len(s.room.lines)); at >= 0 {
		if sure {
			s.advance(at)
			s.replay = false
		}
		return sure, nil
	}
	if s.nextMessage(s.at) < len(s.room.lines) {
		return false, fmt.Errorf("heard %q after line %d, which is not what comes next", text, s.at-1)
	}
	return false, nil
}

// find looks where waiting goes on, between two positions: the same notice may stand there twice, and what was heard after it tells. It
// is sure once that is a message or another gap, or if all that was said there is known and no other place is left; -1: nowhere.
func (s *simStream) find(waiting []simHeard, from, end int, known bool) (at int, sure bool) {
	at = -1
	for p := end - 1; p >= from; p-- {
		fits, last := s.follows(waiting, p)
		switch {
		case !fits:
		case last:
			return p, true
		case at < 0:
			at, sure = p, known
		default:
			sure = false
		}
	}
	return at, sure || s.final
}

// follows says whether waiting can begin at a position, and whether there is no doubt about it.
func (s *simStream) follows(waiting []simHeard, at int) (fits, last bool) {
	for i, h := range waiting {
		switch {
		case h.gap > 0:
			return true, true
		case at+i == len(s.room.lines):
			return !s.final, false
		case s.room.lines[at+i].text != h.text:
			return false, false
		case s.room.lines[at+i].by >= 0:
			return true, true
		}
	}
	return !s.final || at+len(waiting) == len(s.room.lines), false
}

// advance goes behind the line at a position.
func (s *simStream) advance(at int) {
	s.at = at + 1
	s.waiting = s.waiting[1:]
}

// nextMessage is the position of the next line at or after at that somebody has said.
func (s *simStream) nextMessage(at int) int {
	for at < len(s.room.lines) && s.room.lines[at].by < 0 {
		at++
	}
	return at
}

// first finds where the member joined: by the first message that it heard, since notices may repeat, and then back.
func (s *simStream) first(sent func(by, n int) int) (bool, error) {
	i := slices.IndexFunc(s.waiting, func(h simHeard) bool { return h.gap > 0 || s.room.position(h.text) >= 0 })
	if i < 0 {
		return false, nil
	}
	if h := s.waiting[i]; h.gap > 0 {
		if h.early && (i > 0 || h.gap > s.history) {
			return false, fmt.Errorf("missed %d messages after %d lines, but asked for %d earlier ones", h.gap, i, s.history)
		}
		if !h.early {
			s.floor, s.since = 0, 0 // how many it missed since it joined is not known from outside
		}
		s.history = 0 // it goes on with what comes now
		s.waiting = s.waiting[i+1:]
		return true, nil
	}
	p := s.room.position(s.waiting[i].text)
	at := p - i
	switch {
	case at < 0, at < s.floor && (i > 0 || s.history == 0):
		return false, fmt.Errorf("heard %q (line %d) first, when %d lines had been said", s.waiting[i].text, p, s.floor)
	case at < s.floor && s.room.messages(s.floor)-s.room.messages(at) > s.history:
		return false, fmt.Errorf("heard line %d first, of %d, but asked for %d earlier messages", at, s.floor, s.history)
	}
	for k := range i {
		if s.room.lines[at+k].text != s.waiting[k].text {
			return false, fmt.Errorf("heard %q, but the room has %q (line %d)", s.waiting[k].text, s.room.lines[at+k].text, at+k)
		}
	}
	s.began, s.at, s.replay = true, p+1, s.history > 0 && i == 0
	s.waiting = s.waiting[i+1:]
	return true, s.nothingBefore(at, sent)
}

// nothingBefore asserts that no message was missed between the request to join and the line at a position: none that was sent
// after the member knew that it was in the room.
func (s *simStream) nothingBefore(at int, sent func(by, n int) int) error {
	for i := s.floor; i < at && s.since > 0; i++ {
		if l := s.room.lines[i]; l.by >= 0 && sent(l.by, l.n) > s.since {
			return fmt.Errorf("joined at step %d and never heard %q", s.since, l.text)
		}
	}
	return nil
}

// jump is a gap: the notice has to have the right number, and if it is history that is missing, what follows is what came after
// the member had joined.
func (s *simStream) jump(h simHeard, text string) (bool, error) {
	if h.early && !s.replay {
		return false, fmt.Errorf("missed %d messages after line %d, and not of its history", h.gap, s.at-1)
	}
	from := s.room.messages(s.at)
	first := s.at
	for first < len(s.room.lines) && (s.room.messages(first) < from+h.gap || h.early && first < s.floor) {
		first++
	}
	end := first
	for end < len(s.room.lines) && s.room.messages(end) == from+h.gap {
		end++
	}
	if at, sure := s.find(s.waiting[1:], first, end, end < len(s.room.lines)); at >= 0 {
		if sure {
			s.waiting = s.waiting[1:]
			s.advance(at)
			s.replay = false
		}
		return sure, nil
	}
	if s.room.messages(len(s.room.lines)) > from+h.gap {
		return false, fmt.Errorf("a gap of %d messages after line %d, but then %q", h.gap, s.at-1, text)
	}
	return false, nil
}
