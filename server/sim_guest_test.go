package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"throng/poller/sim"
)

// simState is where a guest is.
type simState uint8

const (
	simAsking simState = iota // the answer to its request has not come
	simOpen                   // it talks
	simOver                   // nothing comes any more
)

// simUnchecked is how many lines somebody keeps until they are held against what the witness has heard.
const simUnchecked = 64

// simGuest is one connection of somebody who chats at random: a state machine that does one small thing at a time.
type simGuest struct {
	w       *simWorld
	id      int
	remote  *sim.Remote
	state   simState
	stream  simStream
	witness bool
	person  *simPerson // who speaks throng.v1 through it; nil: it speaks plain text

	// Character.
	greedy  bool // reads all the time
	mute    bool // does not answer pings
	listens bool // says nothing to its room
	deflate bool // has negotiated compression
	status  int  // what its request is to be answered with

	// Output.
	out      []byte
	handed   int      // bytes that the kernel has taken
	ends     []int    // of messages 1, 2, …: in bytes from the start
	texts    []uint64 // their hashes
	sentAt   []int    // the step at which the kernel had taken all of them
	asked    []simAsk
	pings    []string
	deaf     bool          // reads nothing for now
	silent   bool          // says nothing more: it has closed, or has violated the protocol
	hushed   time.Duration // since when
	codes    []int
	hungUp   bool // has shut down its side
	requests int

	// Input.
	in       []byte
	closed   int           // the code of the server's close frame; 0: none yet
	answered time.Duration // when it asked what was answered last
}

// simAsk is a private answer that is to come. An optional one may stay away.
type simAsk struct {
	prefix   string
	optional bool
	at       time.Duration
}

// read takes something of what the server has sent.
func (g *simGuest) read(limit int) (progress bool) {
	b := g.w.buf[:limit]
	n, err := g.remote.Read(b)
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return false
	case err != nil:
		g.end(err)
		return true
	}
	g.in = append(g.in, b[:n]...)
	if g.state == simAsking {
		g.answer()
	}
	for g.state == simOpen {
		f, n, err := simDecode(g.in, g.deflate)
		if err == errSimPartial {
			break
		}
		if err != nil {
			g.w.fail("guest %d got %v", g.id, err)
			return false
		}
		if err := g.frame(f); err != nil {
			g.w.fail("guest %d in %s: %v", g.id, g.stream.room.name, err)
			return false
		}
		g.in = g.in[n:]
	}
	if len(g.in) == 0 {
		g.in = nil
	}
	return true
}

// answer looks at the head of the answer to the request.
func (g *simGuest) answer() {
	end := bytes.Index(g.in, []byte("\r\n\r\n"))
	if end < 0 {
		return
	}
	var status int
	if _, err := fmt.Sscanf(string(g.in), "HTTP/1.1 %d ", &status); err != nil {
		g.w.fail("guest %d got an answer that begins with %q", g.id, g.in[:end])
		return
	}
	if status != g.status && status != 503 {
		g.w.fail("guest %d was answered %d, not %d", g.id, status, g.status)
		return
	}
	g.w.reached[fmt.Sprint("status ", status)]++
	if status != 101 {
		g.hush()
		g.in = g.in[:0]
		return
	}
	if v1 := bytes.Contains(g.in[:end], []byte("\r\nSec-WebSocket-Protocol: throng.v1")); v1 != (g.person != nil) {
		g.w.fail("guest %d was answered with %q", g.id, g.in[:end])
		return
	}
	g.deflate = bytes.Contains(g.in[:end], []byte("permessage-deflate"))
	g.in = g.in[end+4:]
	g.state = simOpen
	g.stream.since = g.w.step
}

// frame takes one frame.
func (g *simGuest) frame(f simIncoming) error {
	if g.w.trace != nil {
		g.w.kernel.Note("guest %d in %s got %#x %q", g.id, g.stream.room.name, f.op, f.payload[:min(len(f.payload), 40)])
	}
	if g.closed != 0 {
		return fmt.Errorf("a frame %#x after a close frame", f.op)
	}
	if f.compressed {
		g.w.reached["compressed"]++
	}
	switch f.op {
	case simPing:
		g.w.reached["ping"]++
		if !g.mute && !g.silent {
			g.send(simFin|simPong, string(f.payload))
		}
	case simPong:
		i := slices.Index(g.pings, string(f.payload))
		if i < 0 {
			return fmt.Errorf("a pong %q for no ping of its own", f.payload)
		}
		g.pings = g.pings[i+1:] // the latest wins
	case simClose:
		return g.closing(f.payload)
	default:
		if g.person != nil {
			return g.person.object(string(f.payload))
		}
		return g.line(string(f.payload))
	}
	return nil
}

// closing takes the server's close frame.
func (g *simGuest) closing(payload []byte) error {
	g.closed = 1005
	if len(payload) >= 2 {
		g.closed = int(payload[0])<<8 | int(payload[1])
	}
	g.w.reached[fmt.Sprint("close ", g.closed)]++
	allowed := slices.Contains(g.codes, g.closed) || g.closed == 4008 && !g.witness ||
		g.closed == 1001 && g.w.draining || g.closed == 4000 && g.mayBeSlow() || g.closed == 1013 && !g.witness && g.w.lean
	if !allowed {
		return fmt.Errorf("closed with %d %q, expected one of %v", g.closed, payload[min(2, len(payload)):], g.codes)
	}
	if !g.silent {
		g.hush()
		g.out = append(g.out, simCloseFrame(g.w.rng, g.closed)...)
	}
	return nil
}

// mayMiss says whether so much was said in g's room that it can have fallen behind what is kept. What the witness has not heard yet
// counts: another worker may be ahead of its own.
func (g *simGuest) mayMiss() bool {
	room := g.stream.room
	return !g.witness && (g.w.lean || room.name == simWild || room.bytes+room.afoot > g.w.window/2)
}

// mayBeSlow says whether g can have missed something, history included.
func (g *simGuest) mayBeSlow() bool { return g.mayMiss() || g.stream.history > 0 }

// line takes a text: an answer for it alone, a gap, or a line of the room.
func (g *simGuest) line(text string) error {
	said, own := strings.CutPrefix(text, notice)
	if missed, ok := strings.CutPrefix(said, "you missed "); own && ok {
		n, err := strconv.Atoi(strings.TrimSuffix(missed, " messages."))
		if err != nil {
			return fmt.Errorf("heard %q", text)
		}
		early := !g.mayMiss()
		if n < 1 || early && g.stream.history == 0 {
			return fmt.Errorf("heard %q", text)
		}
		g.stream.missed(n, early)
		g.w.reached["gap"]++
		return nil
	}
	_, rest, _ := strings.Cut(said, " ")
	if own && (strings.HasPrefix(rest, "here: ") || strings.HasPrefix(said, "unknown ") || strings.HasPrefix(said, "the nickname ")) {
		return g.told(said)
	}
	if g.stream.room.lines == nil && g.stream.room.name == simWild {
		return nil // nobody can say what belongs there
	}
	if g.witness {
		if err := g.w.genuine(text); err != nil {
			return err
		}
		return g.stream.room.hear(text)
	}
	g.stream.waiting = append(g.stream.waiting, simHeard{text: text})
	if len(g.stream.waiting)%simUnchecked == 0 {
		return g.stream.check(g.w.sentAt, false)
	}
	return nil
}

// told takes an answer: the next one that it waits for.
func (g *simGuest) told(said string) error {
	for i, a := range g.asked {
		if _, rest, _ := strings.Cut(said, " "); strings.HasPrefix(said, a.prefix) || strings.HasPrefix(rest, a.prefix) {
			g.asked, g.answered = g.asked[i+1:], a.at
			return nil
		}
		if !a.optional {
			return fmt.Errorf("told %q instead of %q", said, a.prefix)
		}
	}
	return fmt.Errorf("told %q without having asked", said)
}

// end is the end of the connection.
func (g *simGuest) end(err error) {
	asking := g.state == simAsking
	g.state = simOver
	switch {
	case g.witness && err == syscall.ECONNRESET && !g.w.draining:
		g.w.fail("the witness of %s was reset", g.stream.room.name)
	case errors.Is(err, syscall.ECONNRESET), asking, g.hungUp:
		g.w.reached["reset"]++
	case !errors.Is(err, io.EOF):
		g.w.fail("guest %d: %v", g.id, err)
	case g.w.cut, g.late():
	case g.witness && g.closed == 0:
		g.w.fail("the witness of %s was hung up on", g.stream.room.name)
	case g.greedy && (len(g.in) > 0 || g.closed == 0):
		g.w.fail("guest %d was hung up on after %d bytes of a frame, closed with %d", g.id, len(g.in), g.closed)
	}
	if g.closed != 0 && g.greedy && err == io.EOF {
		g.whole()
	}
	g.remote.Close()
}

// hush has g say nothing more.
func (g *simGuest) hush() { g.silent, g.hushed = true, g.w.kernel.Now() }

// late says whether so much time has passed since its end began that the server may hang up, whatever g has not read yet. The
// first tick after a stop of the process counts as that much. Who may have been closed for being slow does not
// know since when; in throng.v1 that is also who could not be told of a gap. In a large crowd it may take long until it is
// g's turn to read, or to answer a ping.
func (g *simGuest) late() bool {
	now := g.w.kernel.Now()
	blocked, silent := g.remote.Patience()
	return blocked >= simStall || blocked >= simLinger && silent >= simMute || g.w.lean && !g.witness ||
		g.w.leapt > 0 && now-g.w.leapt < simLinger || g.silent && now-g.hushed >= simLinger ||
		g.w.draining && now-g.w.drained >= simLinger || (g.w.closeSlow || g.person != nil) && g.mayBeSlow()
}

// whole asserts that everything was heard which somebody said before its own proper end.
func (g *simGuest) whole() {
	if g.stream.room.name != simWild && slices.Contains(g.codes, g.closed) && g.closed != 1001 {
		g.w.ended = append(g.w.ended, g)
	}
}

// send queues one frame.
func (g *simGuest) send(first byte, payload string) {
	g.out = append(g.out, simFrame(g.w.rng, first, payload)...)
}

// flush hands some of what is queued to the kernel.
func (g *simGuest) flush(limit int) (progress bool) {
	if len(g.out) == 0 || g.hungUp {
		return false
	}
	n, err := g.remote.Write(g.out[:min(limit, len(g.out))])
	if err != nil {
		g.out = nil
		return false
	}
	g.out = g.out[n:]
	g.handed += n
	for len(g.sentAt) < len(g.ends) && g.ends[len(g.sentAt)] <= g.handed {
		g.sentAt = append(g.sentAt, g.w.step)
	}
	return n > 0
}

// act does one thing at random.
func (g *simGuest) act() {
	rng := g.w.rng
	switch p := rng.IntN(100); {
	case p < 45 && !g.deaf:
		g.read(1 + rng.IntN(len(g.w.buf)))
	case p < 75 && len(g.out) > 0:
		limit := len(g.out)
		if rng.IntN(4) == 0 {
			limit = 1 + rng.IntN(limit)
		}
		g.flush(limit)
	case g.state == simOpen && !g.silent && len(g.out) < 8<<10:
		g.behave()
	case g.state == simAsking && rng.IntN(400) == 0:
		g.remote.Reset() // it has lost patience
		g.state = simOver
	default:
		if !g.deaf {
			g.read(len(g.w.buf))
		}
	}
}

// behave thinks of something to do next.
func (g *simGuest) behave() {
	if g.person != nil {
		g.person.behave()
		return
	}
	rng := g.w.rng
	switch p := rng.IntN(1000); {
	case p < 500:
		g.say()
	case p < 540:
		for range rng.IntN(100) {
			g.say()
		}
	case p < 600:
		g.pings = append(g.pings, fmt.Sprintf("p%d-%d", g.id, g.requests))
		g.requests++
		g.send(simFin|simPing, g.pings[len(g.pings)-1])
	case p < 660:
		g.unknown("")
	case p < 700:
		g.ask("/who", "here: ", false)
	case p < 740 && !g.w.lean: // what a lean room gives up may be nothing but notices
		nick := g.w.nick()
		g.stream.room.afoot += simLineMax
		g.ask("/nick "+nick, "the nickname "+nick+" is taken", true)
	case p < 800 && !g.greedy:
		g.deaf = true
	case p < 820 && !g.greedy:
		g.leave()
	case p < 830 && !g.greedy:
		g.violate()
	case p < 850 && !g.greedy:
		g.deaf = true
		for range 150 {
			g.unknown(strings.Repeat("y", 80)) // and does not read the answers
		}
	case p < 860 && g.w.leaving:
		g.leave()
	}
}

// unknown asks for a command that there is not, and that nobody else asks for.
func (g *simGuest) unknown(more string) {
	g.requests++
	verb := fmt.Sprintf("/x%d-%d-%s", g.id, g.requests, more)
	g.ask(verb, "unknown command "+verb[:min(len(verb), 64)], false)
}

// ask sends a command whose answer begins with prefix.
func (g *simGuest) ask(command, prefix string, optional bool) {
	g.asked = append(g.asked, simAsk{prefix: prefix, optional: optional})
	g.send(simFin|simText, command)
}

// say says the next message, perhaps a long one, perhaps in fragments.
func (g *simGuest) say() {
	if g.listens {
		return
	}
	rng := g.w.rng
	text := fmt.Sprintf("g%d-%d", g.id, len(g.ends)+1)
	if rng.IntN(g.w.terse) == 0 {
		text += " " + strings.Repeat("ä", rng.IntN(g.w.messageBytes/3))
	}
	if rng.IntN(16) == 0 {
		text = "/" + text
	}
	g.texts = append(g.texts, simHash(text))
	g.stream.room.afoot += len(text) + simLineMax
	if text[0] == '/' {
		text = "/" + text
	}
	if rng.IntN(4) > 0 {
		g.send(simFin|simText, text)
	} else {
		op := byte(simText)
		for len(text) > 1 && rng.IntN(4) > 0 {
			cut := rng.IntN(len(text))
			g.send(op, text[:cut])
			op, text = simCont, text[cut:]
			if rng.IntN(4) == 0 {
				g.send(simFin|simPong, "unasked")
			}
		}
		g.send(simFin|op, text)
	}
	g.ends = append(g.ends, g.handed+len(g.out))
}

// leave goes in one of the ways there are.
func (g *simGuest) leave() {
	rng := g.w.rng
	g.hush()
	switch rng.IntN(4) {
	case 0:
		g.out = nil
		g.remote.Reset()
		g.state = simOver
	case 1:
		g.out = nil // perhaps in the middle of a frame
		g.remote.Close()
		g.state = simOver
	case 2:
		g.flush(len(g.out))
		g.out = nil
		g.hungUp = true
		g.remote.CloseWrite()
	case 3:
		g.bye()
	}
}

// bye closes as RFC 6455 has it.
func (g *simGuest) bye() {
	code := []int{1000, 1001, 3000, 4999}[g.w.rng.IntN(4)]
	g.hush()
	g.codes = append(g.codes, code)
	g.out = append(g.out, simCloseFrame(g.w.rng, code)...)
}

// violate breaks the protocol, and is to hear with which code.
func (g *simGuest) violate() {
	rng := g.w.rng
	g.hush()
	large := g.w.messageBytes + 1
	all := []struct {
		code  int
		bytes []byte
	}{
		{1002, []byte{simFin | simText, 1, 'x'}},
		{1002, simFrame(rng, simFin|simText|simRsv2, "x")},
		{1002, simFrame(rng, simFin|3, "x")},
		{1002, simFrame(rng, simFin|simCont, "x")},
		{1002, simFrame(rng, simPing, "x")},
		{1002, simFrame(rng, simFin|simPing, strings.Repeat("x", 126))},
		{1002, simFrame(rng, simFin|simClose, "x")},
		{1002, simCloseFrame(rng, 1005)},
		{1003, simFrame(rng, simFin|simBinary, "x")},
		{1007, simFrame(rng, simFin|simText, "\xff")},
		{1007, simFrame(rng, simText, "\xff")},
		{1007, simFrame(rng, simFin|simClose, "\x03\xe8\xff")},
		{1009, append(simHeader(simFin|simText, large), 0, 0, 0, 0)},
		{1009, append(simFrame(rng, simText, "x"), simFrame(rng, simFin|simCont, strings.Repeat("x", large-1))...)},
	}
	v := all[rng.IntN(len(all))]
	g.codes = append(g.codes, v.code)
	g.out = append(g.out, v.bytes...)
}
