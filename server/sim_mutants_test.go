package server_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var simMutants = flag.Int("sim.mutants", 0, "TestMutants: in how many seeds each of the known faults has to be found")

// mutants are faults that this server could have, and that others had: each is a change of one place of the code.
var mutants = []struct{ name, what, file, old, new string }{
	{"early-stop", "an edge-triggered read that stops early", "server/read.go",
		`	if n == len(l.buf) || c.is(hungUp) {
		c.again()
	}
`,
		``},
	{"frame-budget", "the frame budget without another call", "server/read.go",
		`	c.again()
	return done
}

// stopReading`,
		`	return done
}

// stopReading`},
	{"lost-wake", "a wake-up that is lost: a turn that leaves work and does not wake itself", "poller/worker.go",
		`	if more := w.hook(w); more || len(w.again) > 0 {
		w.Wake()
	}
`,
		`	w.hook(w)
`},
	{"lost-edge", "a short write that does not wait for the edge", "server/write.go",
		`	c.block()
	end := frame`,
		`	end := frame`},
	{"no-unblock", "a writable member that is not listed again", "chat/member.go",
		`func (m *member) writable() { m.Unblock() }`,
		`func (m *member) writable() {}`},
	{"late-event", "descriptor reuse: a late event acts on the number of a closed connection", "server/conn.go",
		`	case c.state == closing:
		c.linger()
	}
	c.uncork()`,
		`	default:
		_, _ = c.readSome(c.loop.trash)
	}
	c.uncork()`},
	{"write-closed", "a write to the number of a closed connection", "server/conn.go",
		`	l.srv.gone(c.place)
}
`,
		`	_, _ = l.srv.kernel.Write(int(c.fd), pingFrame)
	l.srv.gone(c.place)
}
`},
	{"close-before-del", "close before Del", "server/conn.go",
		`	if err := l.worker.Del(int(c.fd)); err != nil {
		l.srv.log.Error("cannot remove a connection from the poll", "error", err)
	}
	if err := l.srv.kernel.Close(int(c.fd)); err != nil {
		l.srv.log.Error("cannot close a connection", "error", err)
	}
	l.srv.gone(c.place)`,
		`	if err := l.srv.kernel.Close(int(c.fd)); err != nil {
		l.srv.log.Error("cannot close a connection", "error", err)
	}
	if err := l.worker.Del(int(c.fd)); err != nil {
		l.srv.log.Error("cannot remove a connection from the poll", "error", err)
	}
	l.srv.gone(c.place)`},
	{"failed-add", "the callback of a failed Add is left", "poller/worker.go",
		`			_ = w.poll.Del(fd)
`,
		``},
	{"swap-removal", "swap-removal that skips a member in a pass", "room/pass.go",
		`	if p.running {
		if hole < p.at`,
		`	if false {
		if hole < p.at`},
	{"lane-forgets", "a lane that does not look for what was appended during its last pass", "room/lane.go",
		`	return l.log.end.Load() != l.pass.end && !l.dirty.Swap(true)
`,
		`	return false
`},
	{"frame-boundary", "a wrong frame boundary after a short write", "server/write.go",
		`	end := frame.Boundary(frames, n)
`,
		`	end := n
`},
	{"remainder", "the remainder of a frame without its last byte", "server/write.go",
		`frames[n:end]...)`,
		`frames[n:end-1]...)`},
	{"off-boundary", "a cursor off a boundary after a gap", "room/log.go",
		`	if i := s.find(position - s.base); i < int(s.marks.Load()) {
		return min(end, s.base+s.mark(i).offset)
	}
	return end`,
		`	_ = s
	return min(end, position)`},
	{"gap-count", "a gap that is counted wrong by one", "room/lane.go",
		`	missed := ordinal - mem.seen
`,
		`	missed := ordinal - mem.seen + 1
`},
	{"close-before-leave", "the close frame before leaving", "server/conn.go",
		`	if !c.leave(cause, code, reason) {
		code, reason = ws.StatusInternalServerError, ErrPanic.Error()
	}
	e := c.extra()
	e.own = frame.AppendClose(e.own, code, reason)
	c.finish()`,
		`	e := c.extra()
	e.own = frame.AppendClose(e.own, code, reason)
	c.finish()
	c.leave(cause, code, reason)`},
	{"half-pong", "a later pong in the place of one that is half out", "server/write.go",
		`			e.own, e.pong = e.pong, nil
`,
		`			b = &e.pong
`},
	{"deaf", "a connection that is never read again after back-pressure", "server/write.go",
		`		c.flags &^= deaf
		c.again()
`,
		``},
	{"clogged", "a connection that is not read and cannot be written, each of which waits for the other", "server/tick.go",
		`budget > 0 && c.stuck()`,
		`false`},
	{"paused", "a message that was refused is not offered again", "room/room.go",
		`	for _, w := range waiters {
		w.Resume()
	}`,
		`	for _, w := range waiters[:len(waiters)-1] {
		w.Resume()
	}`},
	{"accept-timer", "no timer after a failed accept", "server/accept.go",
		`	if err := s.kernel.SetTimer(ln.timer, ln.wait, 0); err != nil {
		s.log.Error("cannot set the accept timer", "error", err)
	}
`,
		``},
	{"crowded", "listeners are not told that a place is free", "server/accept.go",
		`	if s.crowded.Swap(false) {`,
		`	if false {`},
	{"eintr", "an interrupted write ends the connection", "server/write.go",
		`		case !errors.Is(err, syscall.EINTR):
`,
		`		case !errors.Is(err, syscall.ENOENT):
`},
	{"names", "a nickname that is not given back", "chat/member.go",
		`	defer ch.names.release(&m.id)
`,
		``},
	{"count-twice", "a close that is counted twice", "server/conn.go",
		`	if c.state == open {
		c.leave(cause, CodeBroken, cause.Error())
	}`,
		`	if c.state == open {
		c.leave(cause, CodeBroken, cause.Error())
		c.loop.srv.counts.close(CodeBroken, cause)
	}`},
	{"tail", "bytes behind the request are lost", "server/handshake.go",
		`		c.feed(tail)
`,
		``},
	{"resume-late", "a resume that begins one message too late", "room/page.go",
		`		position, ordinal = v.last(uint32(r.seq - j.Resume.After))
		if ordinal == uint32(j.Resume.After) {`,
		`		position, ordinal = v.last(uint32(max(r.seq-j.Resume.After, 1) - 1))
		if r.seq > j.Resume.After && ordinal == uint32(j.Resume.After)+1 {`},
	{"resume-early", "a resume that repeats the last message", "room/page.go",
		`		position, ordinal = v.last(uint32(r.seq - j.Resume.After))
		if ordinal == uint32(j.Resume.After) {`,
		`		position, ordinal = v.last(uint32(r.seq-j.Resume.After) + 1)
		if ordinal == uint32(j.Resume.After)-1 {`},
	{"resume-epoch", "a resume in another epoch", "room/page.go",
		`j.Resume.Epoch == r.epoch &&`,
		`j.Resume.Epoch != 0 &&`},
	{"gap-untold", "a gap that is not told when a room is resumed", "chat/seat.go",
		`joined.Next-1 > j.Resume.After && !p.gap(`,
		`joined.Next-1 < j.Resume.After && !p.gap(`},
	{"gap-end", "a gap in throng.v1 that ends one message too late", "chat/seat.go",
		`!p.gap(next-n, next-1) {`,
		`!p.gap(next-n, next) {`},
	{"ids", "a message that is said again is another one: nobody looks at its id", "chat/people.go",
		`		if s.id == id && s.epoch == epoch {
			return s.seq, true`,
		`		if s.id == id && s.epoch == epoch && s.seq == 0 {
			return s.seq, true`},
	{"ids-refused", "a message that a busy room refuses pushes others out of what is known by ids", "chat/people.go",
		`					p.next = i
`,
		`					_ = p.next
`},
	{"ids-few", "one message less is known by its id", "chat/people.go",
		`	p.next = (p.next + 1) % remembered
`,
		`	p.next = (p.next + 1) % (remembered - 1)
`},
	{"wrong-answer", "a message that is no longer kept is confirmed with another one", "room/page.go",
		`	if ordinal != uint32(seq-1) {
		return nil
	}
`,
		`	_ = ordinal
`},
	{"forgotten", "somebody is forgotten who has come back", "chat/people.go",
		`if p.seats == 0 && p.gone == a.since && len(p.stays) == 0 && pp.byNumber[p.number] == p {`,
		`if p.gone == a.since {`},
	{"memory", "more memory than is allowed, and nobody who looks for some", "server/loop.go",
		`return l.relieve() || more`,
		`return more`},
	{"on-its-way", "memory that is taken from what is just being delivered", "room/log.go",
		`len(kept) > 1 && kept[1].base <= delivered &&`,
		`len(kept) > 1 && kept[1].base <= max(delivered, end) &&`},
}

// TestMutablePlaces holds the list against the code, which moves on.
func TestMutablePlaces(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) { mutable(t, m.file, m.old) })
	}
}

// mutable is where a file is, and its text, which has old in one place.
func mutable(t *testing.T, file, old string) (path, text string) {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", file))
	must(t, err)
	b, err := os.ReadFile(path)
	must(t, err)
	if n := strings.Count(string(b), old); n != 1 {
		t.Fatalf("%s has the place that is to be changed %d times", file, n)
	}
	return path, string(b)
}

// TestMutants puts each of the faults into the code, one at a time and without touching a file of it, and asserts that the
// simulation finds it: make mutants. It takes some seconds for each.
func TestMutants(t *testing.T) {
	if *simMutants == 0 {
		t.Skip("takes some minutes: make mutants")
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			path, text := mutable(t, m.file, m.old)
			dir := t.TempDir()
			mutant, overlay := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json")
			must(t, os.WriteFile(mutant, []byte(strings.Replace(text, m.old, m.new, 1)), 0o600))
			list, err := json.Marshal(map[string]map[string]string{"Replace": {path: mutant}})
			must(t, err)
			must(t, os.WriteFile(overlay, list, 0o600))
			binary := filepath.Join(dir, "mutant.test")
			if out, err := exec.Command("go", "test", "-vet=off", "-overlay", overlay, "-c", "-o", binary, ".").CombinedOutput(); err != nil {
				t.Fatalf("%s", out)
			}
			// One lane, so that the first seed is the first.
			run := exec.Command(binary, "-test.run", "TestSimulation$", "-test.timeout", "10m", "-test.cpu", "1", "-sim.seeds", fmt.Sprint(*simMutants))
			out, err := run.CombinedOutput()
			found := regexp.MustCompile(`seed \d+: .*`).Find(out)
			if err == nil || found == nil {
				t.Errorf("%s: not found in %d seeds", m.what, *simMutants)
				return
			}
			t.Logf("%s: %.200s", m.what, found)
		})
	}
}
