package chat_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"throng/chat"
)

// fields are an object of throng.v1.
type fields = map[string]any

// sit connects with throng.v1.
func (w *world) sit(path string) *person {
	w.Helper()
	p, err := w.dial(ws.Dialer{Protocols: []string{chat.Protocol}}, path)
	must(w.T, err)
	return p
}

// seated connects to a room under a nickname, and receives what comes first.
func (w *world) seated(nick, room string) (p *person, hello, joined fields) {
	w.Helper()
	p = w.sit("/chat/" + room + "?history=0&nick=" + nick)
	return p, p.expect("hello"), p.expect("joined")
}

// get receives the next object, and holds it against the schema.
func (p *person) get() fields {
	p.Helper()
	line, _ := p.hearPacked()
	o, err := readObject(line)
	if err != nil {
		p.Fatal(err)
	}
	return o
}

// expect receives the next object, which has to be of a type.
func (p *person) expect(t string) fields {
	p.Helper()
	o := p.get()
	if o["t"] != t {
		p.Fatalf("got %v, want %s", o, t)
	}
	return o
}

// fails sends something, and asserts which error is the answer.
func (p *person) fails(request, code string) fields {
	p.Helper()
	p.say(request)
	o := p.expect("error")
	if o["code"] != code {
		p.Fatalf("%.200s is answered %v, want %s", request, o, code)
	}
	return o
}

// lives asserts that the connection does, and that nothing else has come before.
func (p *person) lives() {
	p.Helper()
	p.say(`{"op":"ping","id":"still there?"}`)
	if o := p.expect("pong"); o["id"] != "still there?" {
		p.Fatalf("%v", o)
	}
}

func said(room, text, id string) string {
	b, _ := json.Marshal(fields{"op": "say", "room": room, "text": text, "id": id})
	return string(b)
}

// schemas are docs/throng.v1.schema.json: what the server sends, and what it is sent.
var schemas = sync.OnceValues(func() (s [2]*jsonschema.Schema, err error) {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for i, name := range []string{"fromServer", "toServer"} {
		var e error
		s[i], e = c.Compile("../docs/throng.v1.schema.json#/$defs/" + name)
		err = errors.Join(err, e)
	}
	return s, err
})

// readObject reads what the server has sent, and holds it against the schema.
func readObject(line string) (o fields, err error) {
	s, err := schemas()
	if err != nil {
		return nil, err
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
	if err == nil {
		err = s[0].Validate(v)
	}
	if err == nil {
		err = json.Unmarshal([]byte(line), &o)
	}
	if err != nil {
		return nil, fmt.Errorf("%.300s: %w", line, err)
	}
	return o, nil
}

// TestV1Docs runs the examples of docs/throng.v1.md, the fenced blocks that are marked with "v1", and sees every op,
// answer and error code in them.
func TestV1Docs(t *testing.T) {
	text, err := os.ReadFile("../docs/throng.v1.md")
	must(t, err)
	page := string(text)
	blocks := regexp.MustCompile("(?ms)^```v1\n(.*?)^```$").FindAllStringSubmatchIndex(page, -1)
	if n := strings.Count(page, "```"); n != 2*len(blocks) || n == 0 {
		t.Fatalf("%d fences, %d blocks", n, len(blocks))
	}
	heading := regexp.MustCompile(`(?m)^##+ (.*)$`)
	seen := map[string]bool{}
	for _, at := range blocks {
		titles := heading.FindAllStringSubmatch(page[:at[0]], -1)
		t.Run(titles[len(titles)-1][1], func(t *testing.T) {
			rooms := func(o *options) { o.chat.Version, o.chat.Rooms.HistoryCount, o.chat.Rooms.Window = "1.0", 3, 512 }
			places := func(o *options) { o.chat.Rooms.Rooms = 2 }
			d := scene{world: start(t, freeze, rooms, places), people: map[string]*person{}, plain: map[*person]bool{}, bound: map[string]any{}, seen: seen}
			for line := range strings.Lines(page[at[2]:at[3]]) {
				d.step(strings.TrimSuffix(line, "\n"))
			}
		})
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(page, -1) {
		if !seen[row[1]] && row[1] != "bye" {
			t.Errorf("there is no example of %s", row[1])
		}
	}
}

// scene is one example.
type scene struct {
	*world
	people map[string]*person
	plain  map[*person]bool
	bound  map[string]any // what the page has in angle brackets
	seen   map[string]bool
	wrong  error // with the request that was sent last, as the schema has it
}

// step runs a line: WHO, what it is that WHO does, and the rest.
func (d *scene) step(line string) {
	d.Helper()
	who, rest, _ := strings.Cut(line, " ")
	what, rest, _ := strings.Cut(rest, " ")
	rest = regexp.MustCompile(`<[a-z ]+>`).ReplaceAllStringFunc(rest, func(name string) string {
		if v, ok := d.bound[name]; ok && what != "<" {
			return fmt.Sprint(v)
		}
		return name
	})
	p := d.people[who]
	if who != "(time)" && (p == nil) != (what == "+" || what == "+plain") {
		d.Fatalf("%q: this connects nobody, or somebody twice", line)
	}
	switch what {
	case "+":
		d.wrong = nil
		d.people[who] = d.sit(rest)
	case "+plain":
		d.people[who] = d.join(rest)
		d.plain[d.people[who]] = true
	case "-":
		before := d.srv.Conns()
		p.conn.Close()
		delete(d.people, who)
		eventually(d.T, func() error { return count("connections", d.srv.Conns(), before-1) })
	case ">":
		if !d.plain[p] {
			d.asks(rest)
		}
		p.say(rest)
	case "<":
		d.hears(p, rest)
	case "says", "renames":
		n, err := strconv.Atoi(rest)
		must(d.T, err)
		for i := range n {
			request, answer := said("garden", "one of many", ""), "msg"
			if what == "renames" {
				request, answer = fmt.Sprintf(`{"op":"nick","nick":"number %d"}`, i+1), "nick"
			}
			p.say(request)
			p.expect(answer)
		}
	case "passes":
		n, err := time.ParseDuration(strings.ReplaceAll(rest, " ", ""))
		must(d.T, err)
		d.late.Add(int64(n))
	default:
		d.Fatalf("%q: no such step", line)
	}
}

// asks notes a request.
func (d *scene) asks(request string) {
	d.Helper()
	s, err := schemas()
	must(d.T, err)
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(request))
	if d.wrong = err; err != nil {
		return
	}
	d.wrong = s[1].Validate(v)
	d.seen[v.(fields)["op"].(string)] = true
}

// hears asserts that p receives an object as the page has it, or a line of the plain protocol.
func (d *scene) hears(p *person, line string) {
	d.Helper()
	if !strings.HasPrefix(line, "{") {
		if got := strings.TrimPrefix(p.hear(), " "); got != line {
			d.Fatalf("got %q, the page has %q", got, line)
		}
		return
	}
	var want any
	must(d.T, json.Unmarshal([]byte(line), &want))
	got := p.get()
	if err := match(want, got, d.bound); err != nil {
		b, _ := json.Marshal(got)
		d.Fatalf("got %s\nthe page has %s\n%v", b, line, err)
	}
	if refused := got["code"] == "bad_request" || got["code"] == "too_long"; refused != (d.wrong != nil) {
		d.Errorf("%s: as the schema has it: %v", line, d.wrong)
	}
	d.wrong = nil
	for _, key := range []string{"t", "code"} {
		if v, ok := got[key].(string); ok {
			d.seen[v] = true
		}
	}
}

// match compares a value with one that may have names in angle brackets for what differs each time: the same name is
// the same value, but for times and tokens.
func match(want, got any, bound map[string]any) error {
	switch want := want.(type) {
	case string:
		if !strings.HasPrefix(want, "<") {
			break
		}
		if is, ok := bound[want]; ok && want != "<ts>" && is != got {
			return fmt.Errorf("%v instead of %s, which was %v", got, want, is)
		}
		bound[want] = got
		return nil
	case map[string]any:
		g, _ := got.(map[string]any)
		if len(g) != len(want) {
			return fmt.Errorf("%v instead of %v", got, want)
		}
		for k := range want {
			if err := match(want[k], g[k], bound); err != nil {
				return err
			}
		}
		return nil
	case []any:
		g, _ := got.([]any)
		if len(g) != len(want) {
			return fmt.Errorf("%v instead of %v", got, want)
		}
		for i := range want {
			if err := match(want[i], g[i], bound); err != nil {
				return err
			}
		}
		return nil
	}
	if want != got {
		return fmt.Errorf("%v instead of %v", got, want)
	}
	return nil
}
