package browser_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// node is the client library in a Node process.
type node struct {
	*testing.T
	in  io.WriteCloser
	out *bufio.Reader
	dir string // its files
}

func (w *world) node() *node {
	w.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		w.Skip("no node on this machine: install Debian's package nodejs, or run .ci/tools as root")
	}
	dir := w.TempDir()
	for _, name := range []string{"throng.js", "connection.js", "browser/testdata/clock.mjs", "browser/testdata/client.mjs"} {
		b, err := os.ReadFile(filepath.Join("..", name))
		must(w.T, err)
		must(w.T, os.WriteFile(filepath.Join(dir, filepath.Base(name)), b, 0o644))
	}
	must(w.T, os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"type":"module"}`), 0o644))
	var args []string
	if !hasWebSocket(path) {
		args = append(args, "--experimental-websocket") // before Node 22
		if !hasWebSocket(path, args...) {
			w.Skip("this node has no WebSocket: version 20.10 or later has")
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	cmd := exec.CommandContext(ctx, path, append(args, "client.mjs", "ws://"+w.proxy.l.Addr().String()+"/chat")...)
	cmd.Dir, cmd.Stderr = dir, w.Output()
	in, err := cmd.StdinPipe()
	must(w.T, err)
	out, err := cmd.StdoutPipe()
	must(w.T, err)
	must(w.T, cmd.Start())
	w.Cleanup(func() {
		defer cancel()
		in.Close()
		if err := cmd.Wait(); err != nil {
			w.Error(err)
		}
	})
	return &node{T: w.T, in: in, out: bufio.NewReader(out), dir: dir}
}

func hasWebSocket(node string, flags ...string) bool {
	out, err := exec.Command(node, append(flags, "-p", "typeof WebSocket")...).Output()
	return err == nil && strings.TrimSpace(string(out)) == "function"
}

// is asserts what an expression's value is, promises awaited.
func (n *node) is(expression, want string) {
	n.Helper()
	_, err := io.WriteString(n.in, expression+"\n")
	must(n.T, err)
	line, err := n.out.ReadString('\n')
	if err != nil {
		n.Fatalf("%s has no value: %v", expression, err)
	}
	var got, wanted any
	must(n.T, json.Unmarshal([]byte(line), &got))
	must(n.T, json.Unmarshal([]byte(want), &wanted))
	if !reflect.DeepEqual(got, wanted) {
		n.Fatalf("%s is %swanted %s", expression, line, want)
	}
}

func TestClientInNode(t *testing.T) {
	t.Parallel()
	w := start(t)
	n, f := w.node(), w.feeder("feeder", "two")
	n.is(`start({ nick: 'ann', rooms: ['one', 'two'] })`, `true`)
	n.is(`chat.me.nick`, `"ann"`)
	n.is(`chat.say('one', 'hello').state`, `"sent"`)
	n.is(`until(() => chat.outbox.length === 0)`, `true`)
	n.is(`told('msg').map(({ text, own }) => [text, own])`, `[["hello", true]]`)
	n.is(`chat.who('two').then(({ members, count }) => [members.map(({ nick }) => nick).sort(), count])`, `[["ann", "feeder"], 2]`)
	n.is(`chat.nick('feeder')`, `"nick_taken: the nickname feeder is taken"`)
	n.is(`chat.nick('Ann').then(({ nick }) => nick)`, `"Ann"`)
	n.is(`chat.history('three', { before: 9 })`, `"not_member: you are not in the room three"`)
	for range 3 {
		f.count(20)
		w.proxy.cut(false)
		f.count(20)
		n.is(fmt.Sprintf(`back(() => heard('two').at(-1) === '#%d')`, f.n), `true`)
	}
	n.is(`heard('two').join(' ') === Array.from({ length: 120 }, (_, i) => '#' + (i + 1)).join(' ')`, `true`)
	n.is(`told('gap').length`, `0`)
	n.is(`told('joined').filter(({ first, resumed }) => !first && !resumed).length`, `0`)
	n.is(`chat.history('two', { before: told('msg').findLast((m) => m.room === 'two').seq, limit: 2 }).then(({ messages, more }) => [messages.map(({ text }) => text), more])`, `[["#118", "#119"], true]`)
}

// A hundred messages are taken while nothing can be sent, the next is refused;
// then all go, in order and once, also if the connection is cut on the way.
func TestOutboxInNode(t *testing.T) {
	t.Parallel()
	w := start(t)
	n := w.node()
	n.is(`start({ rooms: ['r'] })`, `true`)
	w.proxy.cut(true)
	n.is(`until(() => chat.state !== 'open')`, `true`)
	n.is(`Array.from({ length: 101 }, (_, i) => chat.say('r', 'm' + i)).map((entry) => entry?.state ?? 'full').join(' ').replace(/(waiting )+/, '')`, `"full"`)
	n.is(`chat.nick('x')`, `"offline: not connected"`)
	w.proxy.up()
	for _, at := range []int{10, 40, 70} {
		n.is(fmt.Sprintf(`back(() => heard('r').length >= %d)`, at), `true`)
		w.proxy.cut(false)
	}
	n.is(`back(() => chat.outbox.length === 0)`, `true`)
	n.is(`heard('r').join(' ') === Array.from({ length: 100 }, (_, i) => 'm' + i).join(' ')`, `true`)
	n.is(`chat.history('r', { before: 2 ** 50, limit: 200 }).then(({ messages }) => messages.length)`, `100`)
	n.is(`chat.say('r', 'x'.repeat(20000)).state`, `"sent"`)
	n.is(`until(() => chat.outbox[0]?.state === 'failed')`, `true`)
	n.is(`chat.outbox[0].error.includes('at most')`, `true`)
	n.is(`chat.discard(chat.outbox[0].id).text.length`, `20000`)
	n.is(`chat.outbox.length`, `0`)
}

// Somebody comes back with a message that was said long ago, though they never
// heard so: it is confirmed, and neither said nor told again.
func TestSaidBeforeInNode(t *testing.T) {
	t.Parallel()
	w := start(t)
	n, f := w.node(), w.feeder("feeder", "r")
	n.is(`globalThis.kept = { get: () => kept.token, set(token) { kept.token = token; } }, start({ rooms: ['r'], token: kept })`, `true`)
	n.is(`globalThis.unsure = { ...chat.say('r', 'mine') }, until(() => chat.outbox.length === 0)`, `true`)
	f.count(100)
	n.is(`until(() => heard('r').at(-1) === '#100')`, `true`)
	n.is(`chat.close(), log.length = 0, start({ rooms: ['r'], token: kept, outbox: [unsure] })`, `true`)
	n.is(`until(() => chat.outbox.length === 0)`, `true`)
	f.say("end")
	n.is(`until(() => heard('r').at(-1) === 'end')`, `true`)
	n.is(`heard('r').length`, `51`) // the latest 50, and one more
	n.is(`heard('r').includes('mine')`, `false`)
	n.is(`chat.history('r', { before: 2 ** 50, limit: 200 }).then(({ messages }) => messages.filter(({ text }) => text === 'mine').length)`, `1`)
}

// A server that says bye is not asked before the time that it has named.
func TestByeInNode(t *testing.T) {
	t.Parallel()
	w := start(t)
	n := w.node()
	n.is(`start({ rooms: ['r'] })`, `true`)
	must(t, w.srv.Shutdown(t.Context()))
	n.is(`until(() => chat.state === 'waiting')`, `true`)
	n.is(`told('bye').length`, `1`)
	n.is(`told('state').at(-1).retryAt >= log.find(({ type }) => type === 'bye').at + told('bye')[0].reconnect_ms`, `true`)
	w.serve()
	n.is(`tests.pass(5000), until(() => chat.state === 'open' && chat.rooms.get('r').joined)`, `true`)
	n.is(`told('joined').at(-1).anew`, `true`)
}

// What is too big for a frame fails; what was said before and behind it does not.
func TestTooBigInNode(t *testing.T) {
	t.Parallel()
	n := start(t).node()
	n.is(`start({ rooms: ['r'] })`, `true`)
	n.is(`['before', 'x'.repeat(70_000), 'behind'].map((text) => chat.say('r', text).state)`, `["sent", "sent", "sent"]`)
	n.is(`back(() => chat.outbox.length === 1)`, `true`)
	n.is(`[chat.outbox[0].state, chat.outbox[0].text.length, heard('r')]`, `["failed", 70000, ["before", "behind"]]`)
}

// Who names no room beforehand is in no other than those that are joined.
func TestLaterRoomInNode(t *testing.T) {
	t.Parallel()
	w := start(t)
	n, f := w.node(), w.feeder("feeder", "lobby")
	n.is(`make({ nick: 'ann' }), chat.join('ops'), chat.say('ops', 'hello').state`, `"waiting"`)
	n.is(`until(() => heard('ops').length === 1)`, `true`)
	f.hears(" .... ann has left.")
}

// The examples of docs/client.md say what they should.
func TestExamplesInNode(t *testing.T) {
	t.Parallel()
	w := start(t)
	n, f := w.node(), w.feeder("feeder", "ops")
	doc, err := os.ReadFile("../../docs/client.md")
	must(t, err)
	examples := strings.Split(string(doc), "```js\n")[1:]
	f.say("before")
	f.hears("feeder: before")
	n.is(`make(), globalThis.localStorage = { getItem: (key) => localStorage[key] ?? null, setItem(key, value) { localStorage[key] = value; } }, globalThis.printed = [], globalThis.chats = [], true`, `true`)
	for i, says := range []string{`ann: hello`, `#ops feeder: before (earlier)`, `not sent: much much much much …`} {
		code, _, _ := strings.Cut(examples[i], "```")
		code = strings.ReplaceAll(code, "wss://chat.example/chat", "ws://"+w.proxy.l.Addr().String()+"/chat")
		name := fmt.Sprintf("example%d.mjs", i)
		must(t, os.WriteFile(filepath.Join(n.dir, name), []byte("const console = { log: (text) => printed.push(text) };\n"+code+"chats.push(chat);\n"), 0o644))
		n.is(`import('./`+name+`').then(() => tests.until(() => printed.some((text) => text.startsWith(`+quote(says)+`))))`, `true`)
	}
	n.is(`chats[1].say('ops', 'mine').state`, `"sent"`)
	if len(examples) != 3 {
		t.Errorf("%d examples", len(examples))
	}
	for _, says := range []string{`#ops I: mine`, ` in #lobby: ann, `, `1 messages before number 2`, `bad_request: `} {
		n.is(`tests.until(() => printed.some((text) => text.includes(`+quote(says)+`)))`, `true`)
	}
	n.is(`chats.forEach((chat) => chat.close()), 0`, `0`)
}
