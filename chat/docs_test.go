package chat_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// TestDocs runs the examples of docs/protocol.md: the fenced blocks that are
// marked with "chat".
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../docs/protocol.md")
	must(t, err)
	blocks := regexp.MustCompile("(?ms)^```chat\n(.*?)^```$").FindAllStringSubmatch(string(page), -1)
	if n := strings.Count(string(page), "```"); n != 2*len(blocks) || n == 0 {
		t.Fatalf("%d fences, %d blocks", n, len(blocks))
	}
	heading := regexp.MustCompile(`(?m)^## (.*)$`)
	for _, block := range blocks {
		above, _, _ := strings.Cut(string(page), block[0])
		titles := heading.FindAllStringSubmatch(above, -1)
		t.Run(titles[len(titles)-1][1], func(t *testing.T) {
			d := dialogue{world: start(t), people: map[string]*person{}, nicks: map[string]string{}}
			for line := range strings.Lines(block[1]) {
				d.step(strings.TrimSuffix(line, "\n"))
			}
		})
	}
}

// dialogue is one example.
type dialogue struct {
	*world
	people map[string]*person
	nicks  map[string]string // those that were drawn, as the page calls them
}

var drawnNick = regexp.MustCompile(`user-\d{6}`)

// step runs a line: WHO, what it is that WHO does, and the rest.
func (d *dialogue) step(line string) {
	d.Helper()
	who, rest, _ := strings.Cut(line, " ")
	what, rest, _ := strings.Cut(rest, " ")
	p := d.people[who]
	if (p == nil) != (what == "+") {
		d.Fatalf("%q: this connects nobody, or somebody twice", line)
	}
	switch what {
	case "+":
		d.people[who] = d.join(rest)
	case "-":
		p.conn.Close()
	case ">":
		if rest == "(binary)" {
			p.send(ws.OpBinary, "\x00")
		} else {
			p.say(rest)
		}
	case "<":
		if code, ok := strings.CutPrefix(rest, "close "); ok {
			n, err := strconv.Atoi(code)
			must(d.T, err)
			p.closed(ws.StatusCode(n))
			return
		}
		d.hears(p, rest)
	default:
		d.Fatalf("%q: no such step", line)
	}
}

// hears asserts that p receives a line as the page has it.
func (d *dialogue) hears(p *person, want string) {
	d.Helper()
	if strings.HasPrefix(want, "....") {
		want = " " + want
	}
	got := p.hear()
	if on, is := drawnNick.FindString(want), drawnNick.FindString(got); on != "" && d.nicks[on] == "" {
		d.nicks[on] = is
	}
	want = drawnNick.ReplaceAllStringFunc(want, func(on string) string { return d.nicks[on] })
	if got != want {
		d.Errorf("got %q, the page has %q", got, want)
	}
}
