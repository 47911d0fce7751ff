// Runs the client library in Node: each line of the input is an expression, and
// its value is the next line of the output, as JSON.
import './clock.mjs';
import { createInterface } from 'node:readline';
import { Throng } from './throng.js';

const log = []; // what was told, in order
const until = (condition) => new Promise((resolve) => {
  const look = () => condition() && resolve(true);
  for (const type of TYPES) chat.addEventListener(type, look);
  look();
});
const TYPES = ['state', 'me', 'joined', 'msg', 'gap', 'presence', 'typing', 'outbox', 'refused', 'error', 'bye'];
let chat;

function make(options) {
  chat = new Throng(process.argv[2], options);
  for (const type of TYPES) chat.addEventListener(type, ({ detail }) => log.push({ type, detail, at: Date.now() }));
  chat.connect();
}

function start(options) {
  make(options);
  return until(() => [...chat.rooms.values()].every(({ joined }) => joined));
}

// Waits as well, for somebody who has lost the connection: no attempt is waited for.
async function back(condition) {
  const hurry = () => setImmediate(() => chat.state === 'waiting' && tests.pass(30_000));
  chat.addEventListener('state', hurry);
  hurry();
  await until(condition);
  chat.removeEventListener('state', hurry);
  return true;
}

// A server that says what it is told to.
class Wire {
  static OPEN = 1;
  sent = [];

  constructor(url) {
    this.url = url;
    globalThis.wire = this;
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  // As npm's ws does for a connection that is not open yet; there it ends the process if nobody listens.
  close() {
    this.onerror({});
  }

  greets(...rooms) {
    this.onopen();
    this.says({ t: 'hello', me: { id: '7', nick: 'ann' }, token: 'T', limits: {} }, ...rooms);
  }

  says(...objects) {
    for (const object of objects) this.onmessage?.({ data: JSON.stringify(object) });
  }

  // What was sent since the last time, in short.
  news() {
    return this.sent.splice(0).map(({ op, room, text }) => [op, room, text].filter(Boolean).join(' '));
  }

  // Confirms what somebody says, who is ann if nobody else: its number, and that of the one before.
  said(seq, prev, text, id = chat.outbox.find((entry) => entry.text === text)?.id, from = '7') {
    this.says({ t: 'msg', seq, prev, ts: 1, room: 'r', from: { id: from, nick: 'ann' }, text, id });
  }

  cut() {
    this.onclose({ code: 1006, reason: '' });
    tests.pass(30_000);
  }
}

const joined = (room, seq, resumed = false, oldest = 1) => ({ t: 'joined', room, epoch: 'e', seq, oldest, members: 1, resumed });
const told = (type) => log.filter((entry) => entry.type === type).map(({ detail }) => detail);
const heard = (room) => told('msg').filter((m) => m.room === room).map(({ text }) => text);

for await (const line of createInterface({ input: process.stdin })) {
  try {
    console.log(JSON.stringify((await eval(line)) ?? null));
  } catch (error) {
    console.log(JSON.stringify(`${error.code}: ${error.message}`));
  }
}
chat.close();
setImmediate(() => process.exit());
void [start, back, told, heard, joined, Wire]; // the lines use them
