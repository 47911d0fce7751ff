// Runs the client library in Node: each line of the input is an expression, and
// its value is the next line of the output, as JSON.
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

function start(options) {
  chat = new Throng(process.argv[2], options);
  for (const type of TYPES) chat.addEventListener(type, ({ detail }) => log.push({ type, detail, at: Date.now() }));
  chat.connect();
  return until(() => [...chat.rooms.values()].every(({ joined }) => joined));
}

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
void [start, told, heard]; // the lines use them
