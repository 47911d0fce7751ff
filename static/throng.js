/**
 * A client of throng.v1, for pages and for Node: docs/client.md has its description, and
 * docs/throng.v1.md the protocol.
 *
 *   const chat = new Throng('wss://example.org/chat', { nick: 'ann', rooms: ['lobby'] });
 *   chat.addEventListener('msg', ({ detail }) => console.log(detail.from.nick, detail.text));
 *   chat.connect();
 *   chat.say('lobby', 'hello');
 *
 * It keeps two promises. Of what a room says each message is told once and in order, and where
 * something is missing a 'gap' says so. And what say() took stands in outbox until the server has
 * confirmed it, refused it, or discard() was called.
 */

import { Connection } from './connection.js';

const MAX_OUTBOX = 100;

// From the oldest message that may have been heard and is not confirmed, only so many others are
// sent: the server knows the last 16 ids of a member, who may have a second tab.
const IN_FLIGHT = 8;

const HISTORY = 50;
const LOBBY = 'lobby'; // the room of an address that names none
const RETRY_MS = 1000;

// The code by which a server closes after a frame over its limit.
const TOO_BIG = 1009;

// What may be possible a moment later.
const PASSING = new Set(['rate_limited', 'unavailable']);

// What a join has promised comes at once; should it not, own messages wait no longer than this.
const CATCH_UP_MS = 5000;

/** The server's rule, less two names that a URL cannot hold. */
export function isRoom(name) {
  return /^[A-Za-z0-9._-]{1,64}$/.test(name) && name !== '.' && name !== '..';
}

/** A refusal: code is one of the protocol's, or 'offline'. */
export class ThrongError extends Error {
  constructor({ code, message, retry_ms: retryMs = 0 }) {
    super(message || code);
    this.code = code;
    this.retryMs = retryMs;
  }
}

export class Throng extends EventTarget {
  me = null; // {id, nick}, once the server has said
  limits = {};
  rooms = new Map(); // by name: {name, epoch, last, members, joined}
  outbox; // {id, room, text, state: 'waiting' | 'sent' | 'failed', doubt, error, number}, oldest first

  #url;
  #path; // the address's room
  #link;
  #wish;
  #token;
  #shown; // the token that the server was shown
  #state = 'closed';
  #asked = new Map(); // requests without an answer, by id
  #serial = 0;
  #sends = 0; // messages that were sent for the first time
  #prefix = Math.random().toString(36).slice(2, 10).padEnd(8, '0');
  #notBefore = 0; // when the server wants to hear again, by performance.now(): clocks are changed
  #flushTimer = 0;

  /**
   * url: the chat's address, ws: or wss:. Options: nick, the wish; rooms, to be joined; token
   * {get, set}, where the member's token is kept (memory if not given); outbox, what an earlier
   * one left; WebSocket, the class.
   */
  constructor(url, { nick = '', rooms = [], token = inMemory(), outbox = [], WebSocket } = {}) {
    super();
    this.#url = url;
    this.#wish = nick;
    this.#token = token;
    this.outbox = outbox.map((entry) => this.#restored(entry));
    for (const name of rooms) this.join(name);
    const beat = JSON.stringify({ op: 'ping' });
    this.#link = new Connection(() => this.#address(), { protocols: ['throng.v1'], beat, WebSocket });
    this.#link.addEventListener('text', (event) => this.#received(event.detail));
    this.#link.addEventListener('state', (event) => this.#linked(event.detail));
  }

  /** 'closed', 'connecting', 'open' once the server has said hello, or 'waiting' until retryAt. */
  get state() {
    return this.#state;
  }

  /** Connects, at once also while waiting; nothing while open. From then on it comes back by itself. */
  connect() {
    if (this.#state !== 'open') this.#link.open();
  }

  close() {
    this.#link.close();
  }

  join(name) {
    if (!isRoom(name)) throw new ThrongError({ code: 'bad_request', message: `not a name of a room: ${name}` });
    if (this.rooms.has(name)) return;
    const room = { name, epoch: null, last: null, members: 0, joined: false, refused: '', target: 0, timer: 0 };
    this.rooms.set(name, room);
    if (this.#state === 'open') this.#enter(room);
  }

  /** What waits to be said there fails; what was sent is said before the leaving is answered. */
  leave(name) {
    const room = this.rooms.get(name);
    if (!room) return;
    this.rooms.delete(name);
    clearTimeout(room.timer);
    const sent = this.outbox.filter((entry) => entry.room === name && entry.state === 'sent');
    const settle = () => {
      // The others were refused meanwhile.
      for (const { id, state } of sent) if (state === 'sent') this.#take(id);
      this.#orphan();
    };
    this.#ask({ op: 'leave', room: name }).then(settle, () => {});
    this.#orphan();
  }

  /** Takes a message: an entry of outbox, or null when that is full. */
  say(room, text) {
    if (this.outbox.length >= MAX_OUTBOX) return null;
    const id = `${this.#prefix}-${++this.#serial}`;
    const entry = { id, room, text, state: 'waiting', doubt: false, error: '', number: 0 };
    this.outbox.push(entry);
    this.#flush();
    return entry;
  }

  retry(id) {
    const entry = this.#take(id);
    if (entry) this.outbox.push(this.#restored({ ...entry, state: 'waiting', error: '' }));
    this.#flush();
  }

  discard(id) {
    const entry = this.#take(id);
    this.#flush();
    return entry;
  }

  /** Another nickname: {nick}, or a ThrongError. It is the wish for later connections as well. */
  async nick(nick) {
    const answer = await this.#ask({ op: 'nick', nick });
    this.#wish = answer.nick;
    return answer;
  }

  /** A page of the members, in the order of joining: {members, more, count}. */
  who(room, { after = 0, limit = 50 } = {}) {
    return this.#ask({ op: 'who', room, after, limit });
  }

  /** Messages before a number, oldest first: {messages, more}. */
  async history(room, { before, limit = HISTORY }) {
    const page = await this.#ask({ op: 'history', room, before, limit });
    for (const m of page.messages) m.own = m.from.id === this.me.id;
    return page;
  }

  /** Tells the others in a room that somebody is writing. */
  typing(room) {
    if (this.rooms.get(room)?.joined) this.#send({ op: 'typing', room });
  }

  #address() {
    const url = new URL(this.#url);
    const q = url.searchParams;
    const [first] = this.rooms.values();
    this.#path = first?.name ?? LOBBY;
    if (first) {
      url.pathname = `${url.pathname.replace(/\/$/, '')}/${first.name}`;
      for (const [key, value] of Object.entries(behind(first))) q.set(key, value);
    }
    if (this.#wish) q.set('nick', this.#wish);
    this.#shown = this.#token.get();
    if (this.#shown) q.set('token', this.#shown);
    return url.href;
  }

  #linked(detail) {
    if (detail.state === 'open') return; // hello comes next
    this.#become(detail.state, detail);
    if (detail.state === 'connecting') return;
    for (const room of this.rooms.values()) {
      Object.assign(room, { joined: false, refused: '' });
      clearTimeout(room.timer);
    }
    if (detail.code === TOO_BIG) this.#failLargest();
    this.outbox.forEach(unsure);
    this.#orphan();
    for (const { reject } of this.#asked.values()) reject(new ThrongError({ code: 'offline', message: 'not connected' }));
    this.#asked.clear();
  }

  /** What cannot be said, since one is not in its room. */
  #orphan() {
    for (const entry of this.outbox) {
      if (entry.state === 'waiting' && !this.rooms.has(entry.room)) this.#fail(entry, 'you have left the room');
    }
    this.#flush();
  }

  /** It was too big for this connection, and would be for each other. */
  #failLargest() {
    const size = ({ text }) => new TextEncoder().encode(JSON.stringify(text)).length;
    const [largest] = this.outbox.filter(({ state }) => state === 'sent').sort((a, b) => size(b) - size(a));
    if (largest) this.#fail(largest, 'too big for the server');
  }

  #fail(entry, error) {
    Object.assign(entry, { state: 'failed', error, number: 0 });
  }

  /** An entry of an earlier life; one that may have been heard counts as sent. */
  #restored(entry) {
    const doubt = entry.doubt || entry.state === 'sent';
    const state = entry.state === 'failed' ? 'failed' : 'waiting';
    return { ...entry, state, doubt, number: doubt && state === 'waiting' ? ++this.#sends : 0 };
  }

  #become(state, detail = { state, retryAt: 0, code: 0, reason: '' }) {
    this.#state = state;
    this.#emit('state', detail);
  }

  #received(text) {
    let m;
    try {
      m = JSON.parse(text);
    } catch {
      return; // not this protocol
    }
    switch (m?.t) {
      case 'msg': this.#message(m); break;
      case 'hello': this.#hello(m); break;
      case 'joined': this.#joined(m); break;
      case 'gap': this.#gap(m); break;
      case 'presence': this.#presence(m); break;
      case 'nick': this.#named(m.nick, m.token); this.#answered(m); break;
      case 'error': this.#refused(m); break;
      case 'bye': this.#link.pause(m.reconnect_ms); this.#emit('bye', m); break;
      case 'typing': if (m.from.id !== this.me.id) this.#emit('typing', m); break;
      default: this.#answered(m);
    }
  }

  #hello({ me, token, limits }) {
    // Somebody new, and so is another tab since this one has asked: it is one person. The second
    // one goes before the others hear of it.
    if (me.id !== this.me?.id && (this.#token.get() ?? this.#shown) !== this.#shown) {
      this.#link.send(JSON.stringify({ op: 'leave', room: this.#path }));
      this.#link.open();
      return;
    }
    this.limits = limits ?? {};
    this.me = { ...me };
    this.#token.set(token);
    this.#notBefore = 0;
    this.#become('open');
    this.#emit('me', this.me);
    // Should the address's room not be wanted any more, that is seen in #joined.
    for (const room of this.rooms.values()) if (room.name !== this.#path) this.#enter(room);
  }

  #named(nick, token) {
    if (token) this.#token.set(token);
    this.me = { ...this.me, nick };
    this.#emit('me', this.me);
  }

  async #enter(room) {
    try {
      await this.#ask({ op: 'join', room: room.name, ...behind(room) });
    } catch (error) {
      if (error.code === 'offline' || this.rooms.get(room.name) !== room) return;
      this.#notEntered(room, error);
    }
  }

  #notEntered(room, error) {
    const again = () => this.#state === 'open' && this.rooms.get(room.name) === room && !room.joined && this.#enter(room);
    if (PASSING.has(error.code)) setTimeout(again, error.retryMs || RETRY_MS);
    else room.refused = error.message; // on this connection
    this.#emit('refused', { room: room.name, error });
    this.#flush();
  }

  #joined(m) {
    this.#answered(m);
    const room = this.rooms.get(m.room);
    if (!room) {
      // Perhaps it is left already: then this is refused.
      this.#ask({ op: 'leave', room: m.room }).catch(() => {});
      return;
    }
    const first = room.epoch === null;
    const anew = !first && room.epoch !== m.epoch;
    if (anew || (!m.resumed && room.last > m.seq)) room.last = null;
    const kept = m.resumed || (m.oldest > 0 && m.oldest <= m.seq);
    if (!kept && room.last === null) room.last = m.seq;
    Object.assign(room, { epoch: m.epoch, members: m.members, joined: true, target: kept ? m.seq : 0 });
    this.#emit('joined', { ...m, first, anew });
    clearTimeout(room.timer);
    room.timer = setTimeout(() => { room.target = 0; this.#flush(); }, CATCH_UP_MS);
    this.#flush();
  }

  #message(m) {
    const room = this.rooms.get(m.room);
    if (!room?.joined) return;
    m.own = m.from.id === this.me.id;
    const mine = m.own && m.id ? this.#take(m.id) : null;
    const known = room.last !== null;
    // The answer to one that was sent again is the original, which may have its place further on.
    const early = known && mine?.doubt && m.prev !== room.last;
    if (!known || (m.seq > room.last && !early)) {
      if (known && m.prev > room.last) this.#emit('gap', { room: m.room, from: room.last + 1, to: m.prev, missed: null });
      room.last = m.seq;
      this.#emit('msg', m);
    }
    if (mine || m.seq === room.target) this.#flush();
  }

  #gap(m) {
    const room = this.rooms.get(m.room);
    if (!room?.joined || m.to <= room.last) return;
    room.last = m.to;
    this.#emit('gap', m);
    // Own ones may be among those, and are told by nothing else.
    this.outbox.filter((entry) => entry.room === m.room).forEach(unsure);
    this.#flush();
  }

  #presence(m) {
    const room = this.rooms.get(m.room);
    if (!room) return;
    room.members = m.members;
    const mine = m.renamed?.find(({ id }) => id === this.me.id);
    if (mine && mine.nick !== this.me.nick) this.#named(mine.nick);
    this.#emit('presence', m);
  }

  #refused(m) {
    const entry = this.outbox.find(({ id }) => id === m.id);
    if (!entry) {
      // One that was said again may have been heard meanwhile.
      if (this.#answered(m) || m.code === 'unconfirmed') return;
      const error = new ThrongError(m);
      const room = this.rooms.get(this.#path); // which was not asked for by a request
      if (!m.id && m.code === 'unavailable' && room && !room.joined) this.#notEntered(room, error);
      else this.#emit('error', error);
      return;
    }
    if (m.code === 'unconfirmed') {
      this.#take(m.id); // it was said, and heard
    } else if (PASSING.has(m.code)) {
      entry.state = 'waiting';
      this.#notBefore = performance.now() + (m.retry_ms || RETRY_MS);
    } else {
      this.#fail(entry, m.message || m.code);
    }
    this.#flush();
  }

  #ask(request) {
    const id = `${this.#prefix}:${++this.#serial}`;
    return new Promise((resolve, reject) => {
      if (this.#send({ ...request, id })) this.#asked.set(id, { resolve, reject });
      else reject(new ThrongError({ code: 'offline', message: 'not connected' }));
    });
  }

  #answered(m) {
    const asked = this.#asked.get(m?.id);
    if (!asked) return false;
    this.#asked.delete(m.id);
    if (m.t === 'error') asked.reject(new ThrongError(m));
    else asked.resolve(m);
    return true;
  }

  /**
   * Sends what can go, in order: into a room only once everything that it said before has come, and
   * what is sent again one by one there, since the connection before may still be saying it. What
   * waits for another room could be overtaken by any number, until the server has forgotten that
   * it was heard: hence IN_FLIGHT.
   */
  #flush() {
    clearTimeout(this.#flushTimer);
    const wait = this.#notBefore - performance.now();
    if (wait > 0) this.#flushTimer = setTimeout(() => this.#flush(), wait);
    else this.#sayNext();
    this.#emit('outbox');
  }

  #sayNext() {
    for (const entry of this.outbox) {
      const error = this.rooms.get(entry.room)?.refused;
      if (error && entry.state === 'waiting') this.#fail(entry, error);
    }
    const oldest = Math.min(this.#sends + 1, ...this.outbox.map(({ number }) => number || Infinity));
    const repeating = new Set(); // rooms
    for (const entry of this.outbox) {
      const room = this.rooms.get(entry.room);
      if (entry.state === 'failed' || !room?.joined || (room.last ?? 0) < room.target || repeating.has(room)) continue;
      if (entry.doubt) repeating.add(room);
      if (entry.state === 'sent' || (!entry.number && this.#sends + 1 - oldest >= IN_FLIGHT)) continue;
      if (!this.#send({ op: 'say', id: entry.id, room: entry.room, text: entry.text })) return;
      entry.number ||= ++this.#sends;
      entry.state = 'sent';
    }
  }

  #take(id) {
    const at = this.outbox.findIndex((entry) => entry.id === id);
    return at < 0 ? null : this.outbox.splice(at, 1)[0];
  }

  #send(request) {
    return this.#state === 'open' && this.#link.send(JSON.stringify(request), request.op !== 'typing');
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** What to ask for on joining: what came after the last message that is known, or the latest. */
function behind({ epoch, last }) {
  return epoch === null || last === null ? { history: HISTORY } : { epoch, after: last };
}

/** What was sent may have been heard or not: it is sent again, under its id. */
function unsure(entry) {
  if (entry.state === 'sent') Object.assign(entry, { state: 'waiting', doubt: true });
}

function inMemory() {
  let token = null;
  return { get: () => token, set: (value) => { token = value; } };
}
