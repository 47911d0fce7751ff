package browser_test

import "testing"

// wired is the library in Node, in the room r of a server that says what the
// test says; time stands still but for what the test lets pass.
func wired(t *testing.T, rooms string) *node {
	t.Helper()
	w := start(t)
	n := w.node()
	n.is(`tests.stop(), make({ rooms: `+rooms+`, WebSocket: Wire }), wire.greets(joined('r', 0)), wire.news().filter((request) => request !== 'join s').length`, `0`)
	return n
}

// says adds messages to the outbox, all from one number to another.
const says = `((room, from, to) => { for (let i = from; i <= to; i++) chat.say(room, 'm' + i); return wire.news(); })`

// No more are on the way than half of what the server remembers; after a cut they
// go one by one, in order, and what is refused for a moment is said again.
func TestSentAgainOneByOne(t *testing.T) {
	t.Parallel()
	n := wired(t, `['r']`)
	n.is(says+`('r', 1, 10).join(' ')`, `"say r m1 say r m2 say r m3 say r m4 say r m5 say r m6 say r m7 say r m8"`)
	n.is(`wire.said(1, 0, 'm1'), wire.news()`, `["say r m9"]`)
	// m2 has arrived, its confirmation has not.
	n.is(`wire.cut(), wire.greets(joined('r', 2, true)), wire.news()`, `[]`)
	n.is(`new URL(wire.url).searchParams.get('after')`, `"1"`)
	n.is(`wire.said(2, 1, 'm2'), wire.news()`, `["say r m3"]`)
	n.is(`wire.says({ t: 'error', id: chat.outbox[0].id, code: 'unavailable', message: 'just being said', retry_ms: 200 }), wire.news()`, `[]`)
	n.is(`chat.outbox.map(({ state, number }) => state + number).slice(0, 2)`, `["waiting3", "waiting4"]`)
	n.is(`tests.pass(1000), wire.news()`, `["say r m3"]`)
	n.is(`wire.says({ t: 'error', id: chat.outbox[0].id, code: 'unconfirmed', message: 'said as number 3' }), wire.news()`, `["say r m4"]`)
	for _, next := range []string{"4, 2, 'm4'", "5, 4, 'm5'", "6, 5, 'm6'", "7, 6, 'm7'", "8, 7, 'm8'"} {
		n.is(`wire.said(`+next+`), wire.news().length`, `1`)
	}
	// The last of them is confirmed, so nothing is in doubt.
	n.is(`wire.said(9, 8, 'm9'), wire.news()`, `["say r m10"]`)
	n.is(`wire.said(10, 9, 'm10'), chat.outbox.length`, `0`)
	n.is(`heard('r')`, `["m1", "m2", "m4", "m5", "m6", "m7", "m8", "m9", "m10"]`)
	n.is(`told('gap').length`, `0`)
}

// One that waits for its room is not overtaken by more than the server remembers.
func TestNotOvertaken(t *testing.T) {
	t.Parallel()
	n := wired(t, `['r', 's']`)
	n.is(`wire.says(joined('s', 0)), `+says+`('s', 0, 0)`, `["say s m0"]`)
	n.is(`wire.cut(), wire.greets(joined('r', 0, true)), wire.news()`, `["join s"]`)
	for i := range 7 {
		n.is(says+`('r', 1, 1)`, `["say r m1"]`)
		n.is(`wire.said(`+string(rune('1'+i))+`, `+string(rune('0'+i))+`, 'm1'), chat.outbox.length`, `1`)
	}
	n.is(says+`('r', 8, 8)`, `[]`)
	n.is(`wire.says(joined('s', 0, true)), wire.news()`, `["say s m0"]`)
	n.is(`wire.says({ t: 'error', id: chat.outbox[0].id, code: 'unconfirmed' }), wire.news()`, `["say r m8"]`)
}

// The answer to one that is sent again is the original, which has its place
// further on: it is told there, and nothing is missing.
func TestAnswerOutOfTurn(t *testing.T) {
	t.Parallel()
	n := wired(t, `['r']`)
	n.is(says+`('r', 1, 1)`, `["say r m1"]`)
	// What the join has promised comes late.
	n.is(`wire.cut(), wire.greets(joined('r', 3, true)), wire.news()`, `[]`)
	n.is(`tests.pass(5000), wire.news()`, `["say r m1"]`)
	n.is(`globalThis.id = chat.outbox[0].id, wire.said(3, 2, 'm1'), [chat.outbox.length, heard('r').length]`, `[0, 0]`)
	n.is(`wire.said(1, 0, 'one', undefined, '8'), wire.said(2, 1, 'two', undefined, '8'), wire.said(3, 2, 'm1', id), heard('r')`, `["one", "two", "m1"]`)
	n.is(`told('gap').length`, `0`)
	n.is(`wire.said(5, 4, 'five', undefined, '8'), told('gap').map(({ from, to, missed }) => [from, to, missed])`, `[[4, 4, null]]`)
}

// In a large room there is only a count, and what one does oneself is no news.
func TestPresenceWithoutNames(t *testing.T) {
	t.Parallel()
	n := wired(t, `['r']`)
	n.is(`wire.says({ t: 'presence', room: 'r', members: 5000 }), told('presence')`,
		`[{"t": "presence", "room": "r", "members": 5000}]`) // without lists: one's own is out of date
	n.is(`chat.rooms.get('r').members`, `5000`)
	n.is(`wire.says({ t: 'typing', room: 'r', from: { id: '7', nick: 'ann' } }, { t: 'typing', room: 'r', from: { id: '8', nick: 'ann' } }), told('typing').map(({ from }) => from.id)`, `["8"]`)
	n.is(`wire.says({ t: 'presence', room: 'r', joined: [], left: [], renamed: [{ id: '8', old: 'ann', nick: 'x' }], members: 2 }), chat.me.nick`, `"ann"`)
	n.is(`wire.says({ t: 'presence', room: 'r', joined: [], left: [], renamed: [{ id: '7', old: 'ann', nick: 'Ann' }], members: 2 }), chat.me.nick`, `"Ann"`)
}

// A room that is not to be had at present is asked for again, the address's, too.
func TestRoomUnavailable(t *testing.T) {
	t.Parallel()
	n := wired(t, `['r', 's']`)
	full := `code: 'unavailable', message: 'full', retry_ms: 5000`
	n.is(`wire.cut(), wire.greets({ t: 'error', `+full+` }), wire.sent.splice(0).map(({ op, room, id }) => (globalThis.asked = id, op + room))`, `["joins"]`)
	n.is(`wire.says({ t: 'error', id: asked, `+full+` }), Promise.resolve().then(() => told('refused').map(({ room, error }) => room + error.code).sort())`, `["runavailable", "sunavailable"]`)
	n.is(`chat.say('r', 'waits'), tests.pass(5000), wire.news().sort()`, `["join r", "join s"]`)
	n.is(`wire.says(joined('r', 0)), wire.news()`, `["say r waits"]`)
}

// The time before an attempt is random and grows; what the network is said to do
// shortens it, and who is sent away stays away.
func TestComingBack(t *testing.T) {
	t.Parallel()
	n := wired(t, `['r']`)
	n.is(`import('./connection.js').then(({ backoff }) => [0, 1, 5, 6, 1000].map((i) => [0, 0.5, 1].map((random) => backoff(i, () => random))))`,
		`[[500, 750, 1000], [500, 1250, 2000], [500, 15250, 30000], [500, 15250, 30000], [500, 15250, 30000]]`)
	n.is(`wire.onclose({ code: 1006, reason: '' }), [chat.state, told('state').at(-1).retryAt > Date.now()]`, `["waiting", true]`)
	n.is(`tests.pass(1000), chat.state`, `"connecting"`)
	n.is(`tests.pass(10000), chat.state`, `"waiting"`) // an attempt that hangs
	n.is(`tests.pass(2000), wire.greets(joined('r', 0, true)), chat.state`, `"open"`)
	n.is(`tests.pass(30000), wire.news()`, `["ping"]`) // is it still there?
	n.is(`tests.pass(15000), chat.state`, `"waiting"`)
	n.is(`tests.pass(30000), wire.greets(joined('r', 0, true)), wire.onclose({ code: 4001, reason: 'kicked' }), chat.state`, `"closed"`)
	n.is(`tests.pass(1e6), chat.state`, `"closed"`)
	n.is(`chat.connect(), chat.state`, `"connecting"`)
}

// Who leaves a room loses nothing that was written there.
func TestLeavingWithUnsaid(t *testing.T) {
	t.Parallel()
	n := wired(t, `['r', 's']`)
	n.is(`wire.says(joined('s', 0)), `+says+`('s', 1, 10).length`, `8`)
	n.is(`chat.leave('s'), globalThis.asked = wire.sent[0].id, wire.news()`, `["leave s"]`)
	n.is(`wire.says({ t: 'left', room: 's', id: asked }), Promise.resolve().then(() => chat.outbox.map(({ text, state, error }) => [text, state, error]))`,
		`[["m9", "failed", "you have left the room"], ["m10", "failed", "you have left the room"]]`)
	n.is(says+`('r', 11, 20).length`, `8`)
	n.is(`chat.join('s'), wire.says(joined('s', 8, false, 9)), chat.retry(chat.outbox[0].id), wire.news()`, `["join s"]`)
	n.is(`[11, 12].forEach((i) => wire.said(i - 10, i - 11, 'm' + i)), wire.news()`, `["say r m19", "say r m20"]`)
	n.is(`wire.said(3, 2, 'm13'), wire.news()`, `["say s m9"]`)
}

// What is refused while one leaves its room stays, and so does what may be said a moment later.
func TestRefusedWhileLeaving(t *testing.T) {
	t.Parallel()
	n := wired(t, `['r', 's']`)
	n.is(`wire.says(joined('s', 0)), `+says+`('s', 1, 3).length`, `3`)
	n.is(`chat.leave('s'), globalThis.asked = wire.sent[0].id, globalThis.refuse = (i, code) => wire.says({ t: 'error', id: chat.outbox[i].id, code, message: 'no' }), refuse(0, 'too_long'), refuse(1, 'unavailable'), wire.says({ t: 'left', room: 's', id: asked }), Promise.resolve().then(() => chat.outbox.map(({ text, state, error }) => [text, state, error]))`,
		`[["m1", "failed", "no"], ["m2", "failed", "you have left the room"]]`)
}

// Who leaves a room before being in it has made no mistake.
func TestLeftBeforeJoined(t *testing.T) {
	t.Parallel()
	w := start(t)
	n := w.node()
	n.is(`make({ rooms: ['r'] }), until(() => chat.state === 'open')`, `true`)
	n.is(`chat.join('s'), chat.leave('s'), chat.join('t'), until(() => chat.rooms.get('t').joined).then(() => chat.who('t')).then(() => told('error').map(({ message }) => message))`, `[]`)
}

// Whatever is joined and left while connecting, one comes to be in the rooms that
// one wants: the server has put one into the address's.
func TestRoomsWhileConnecting(t *testing.T) {
	t.Parallel()
	n := start(t).node()
	n.is(`tests.stop()`, `null`)
	for _, c := range []struct{ rooms, change, news string }{
		{`[]`, `chat.join('ops')`, `["join ops", "leave lobby"]`},
		{`[]`, `chat.join('lobby')`, `[]`},
		{`['r', 's']`, `chat.leave('r')`, `["join s", "leave r"]`},
		{`['r', 's']`, `chat.leave('s')`, `[]`},
		{`['r']`, `chat.leave('r'), chat.join('s'), chat.join('r')`, `["join s"]`},
	} {
		n.is(`make({ rooms: `+c.rooms+`, WebSocket: Wire }), `+c.change+`, wire.greets(joined(new URL(wire.url).pathname.split('/')[2] ?? 'lobby', 0)), wire.news()`, c.news)
	}
	// That the address's is not to be had is no matter of the others.
	n.is(`log.length = 0, make({ rooms: ['r', 's'], WebSocket: Wire }), chat.leave('r'), wire.greets({ t: 'error', code: 'unavailable', message: 'full' }), log.filter(({ type }) => type === 'error' || type === 'refused').map(({ type }) => type)`, `["error"]`)
}

// Own messages that a gap covers are said again, one by one: the server knows them.
func TestGapOverOwn(t *testing.T) {
	t.Parallel()
	n := wired(t, `['r', 's']`)
	n.is(`wire.says(joined('s', 0)), `+says+`('s', 0, 0)`, `["say s m0"]`)
	n.is(says+`('r', 1, 8).length`, `7`)
	n.is(`wire.says({ t: 'gap', room: 'r', from: 1, to: 100, missed: 100 }), wire.news()`, `["say r m1"]`)
	n.is(`chat.outbox.slice(0, 3).map(({ state, doubt }) => [state, doubt])`, `[["sent", false], ["sent", true], ["waiting", true]]`)
	n.is(`wire.said(3, 2, 'm1'), wire.news()`, `["say r m2"]`)
	n.is(`wire.says({ t: 'error', id: chat.outbox.find(({ text }) => text === 'm2').id, code: 'unconfirmed' }), wire.news()`, `["say r m3"]`)
	n.is(`globalThis.id = chat.outbox.find(({ text }) => text === 'm3').id, wire.said(101, 100, 'm3'), [wire.news(), heard('r')]`, `[["say r m4"], ["m3"]]`)
	// The answer to the second m3 may come when the first is no longer kept.
	n.is(`wire.says({ t: 'error', id, code: 'unconfirmed' }), told('error').length`, `0`)
}

// A frame that is too big would be so each time. It is the largest as it was sent.
func TestTooBig(t *testing.T) {
	t.Parallel()
	n := wired(t, `['r']`)
	n.is(`['x'.repeat(20), '€'.repeat(10)].forEach((text) => chat.say('r', text)), wire.onclose({ code: 1009, reason: '' }), chat.outbox.map(({ state, doubt, error }) => [state, doubt, error])`,
		`[["waiting", true, ""], ["failed", false, "too big for the server"]]`)
	n.is(`tests.pass(30000), wire.greets(joined('r', 0, true)), wire.news()`, `["say r xxxxxxxxxxxxxxxxxxxx"]`)
}

// Who is connected stays so, with what is on the way.
func TestConnectWhileOpen(t *testing.T) {
	t.Parallel()
	n := wired(t, `['r']`)
	n.is(says+`('r', 1, 1)`, `["say r m1"]`)
	n.is(`globalThis.before = wire, chat.connect(), [wire === before, chat.state]`, `[true, "open"]`)
	n.is(`wire.said(1, 0, 'm1'), chat.outbox.length`, `0`)
}

// That somebody writes may get no answer: silence means nothing then.
func TestWritingIsNotAnswered(t *testing.T) {
	t.Parallel()
	n := wired(t, `['r']`)
	n.is(`chat.typing('r'), wire.news()`, `["typing r"]`)
	n.is(`tests.pass(15000), chat.state`, `"open"`)
	n.is(`tests.pass(16000), wire.news()`, `["ping"]`)
	n.is(`tests.pass(15000), chat.state`, `"waiting"`)
}

// What was to be said in a room that is refused for good fails; the next
// connection is asked again.
func TestRoomForbidden(t *testing.T) {
	t.Parallel()
	n := wired(t, `['r', 's']`)
	n.is(`wire.cut(), wire.greets(joined('r', 0, true)), chat.say('s', 'waits'), wire.sent.splice(0).map(({ op, room, id }) => (globalThis.asked = id, op + room))`, `["joins"]`)
	n.is(`wire.says({ t: 'error', id: asked, code: 'forbidden', message: 'too many' }), Promise.resolve().then(() => chat.outbox.map(({ text, state, error }) => [text, state, error]))`,
		`[["waits", "failed", "too many"]]`)
	n.is(`chat.say('s', 'later').state`, `"failed"`)
	n.is(`chat.say('r', 'elsewhere').state`, `"sent"`)
	n.is(`wire.cut(), chat.discard(chat.outbox[1].id), chat.retry(chat.outbox[0].id), wire.greets(joined('r', 0, true)), wire.news().sort()`, `["join s", "say r elsewhere"]`)
	n.is(`wire.says(joined('s', 0)), wire.news()`, `["say s waits"]`)
}

// Two tabs that a restarted server takes for two new people are one again: who is
// told later takes over what the other one has stored meanwhile.
func TestTabsTakenForTwo(t *testing.T) {
	t.Parallel()
	n := start(t).node()
	n.is(`globalThis.kept = { get: () => kept.token, set(token) { kept.token = token; }, token: 'old' }, globalThis.hello = (id, token) => wire.says({ t: 'hello', me: { id, nick: id }, token, limits: {} }), globalThis.shown = () => new URL(wire.url).searchParams.get('token'), true`, `true`)
	n.is(`tests.stop(), make({ rooms: ['r'], token: kept, WebSocket: Wire }), wire.onopen(), hello('7', 'seven'), [shown(), kept.token]`, `["old", "seven"]`)
	n.is(`wire.cut(), wire.onopen(), kept.token = 'of another tab', globalThis.second = wire, hello('9', 'nine'), [second.news(), shown(), kept.token, chat.state, chat.me.id]`, `[["leave r"], "of another tab", "of another tab", "connecting", "7"]`)
	n.is(`wire.onopen(), hello('8', 'eight'), [kept.token, chat.state, chat.me.id]`, `["eight", "open", "8"]`)
	// Who stays the same person takes no notice: each connection has a token of its own.
	n.is(`wire.cut(), wire.onopen(), kept.token = 'of another tab', hello('8', 'more'), [kept.token, chat.state]`, `["more", "open"]`)
	// Nor does who alone is somebody new.
	n.is(`wire.cut(), wire.onopen(), hello('10', 'ten'), [kept.token, chat.state, chat.me.id]`, `["ten", "open", "10"]`)
}

// A server's wish to be left alone for a while does not become an hour when the
// clock is put back.
func TestClockPutBackInNode(t *testing.T) {
	t.Parallel()
	n := wired(t, `['r']`)
	n.is(says+`('r', 1, 1)`, `["say r m1"]`)
	n.is(`wire.says({ t: 'error', id: chat.outbox[0].id, code: 'rate_limited', retry_ms: 1000 }), Date.now = ((now) => () => now() - 3_600_000)(Date.now), tests.pass(1000), wire.news()`, `["say r m1"]`)
}
