/**
 * One room over the plain text protocol: lines in, lines out.
 *
 * Events:
 *   state    the connection's detail, with state 'joining' until the room has settled
 *   items    detail is an array for the list: messages, notices, dividers (see list.js)
 *   nick     detail {nick, chosen}: the own nickname became known or changed
 *   outbox   the entries of outbox changed
 *
 * Plain text tells a member neither its own nickname nor which lines are history, and knows
 * no acknowledgements. Three rules make up for it:
 *
 *   - A sent message comes back to its sender, in order. The first line that has its text, from
 *     the nickname wished for or from one that only the server hands out, is that echo.
 *   - Lines that arrive at once after connecting are taken as history; what stands at the end of
 *     the list already is left out. Nothing is sent before they are through.
 *   - A message without its echo when the connection ends is never sent again by itself, since it
 *     may have arrived: unless history shows it, its writer decides.
 */

import { Connection } from './throng.js';

const NOTICE = ' .... ';
const HISTORY = 50;
const MAX_OUTBOX = 100;

// History is over when nothing came for a moment. A busy room never pauses: hence the limit.
const HISTORY_PAUSE_MS = 150;
const HISTORY_LIMIT_MS = 1000;

const NOTICES = [
  ['left', /^(.+) has left\.$/s],
  ['joined', /^(.+) has joined\.$/s],
  ['renamed', /^(.+) is now (.+)\.$/s],
  ['missed', /^you missed (\d+) messages?\.$/],
];

/** Nobody can choose a name of this form, so a stranger cannot pass for this member with one. */
const isDrawn = (nick) => /^user-\d+$/.test(nick);

/** Turns one frame into an item. ownNick, where known, may contain the separator. */
export function parse(line, ownNick = null) {
  if (line.startsWith(NOTICE)) return parseNotice(line.slice(NOTICE.length));
  const own = ownNick !== null && line.startsWith(`${ownNick}: `);
  const end = own ? ownNick.length : line.indexOf(': ');
  if (end < 1) return { kind: 'info', text: line };
  return { kind: 'message', nick: line.slice(0, end), text: line.slice(end + 2) };
}

function parseNotice(text) {
  for (const [kind, pattern] of NOTICES) {
    const found = pattern.exec(text);
    if (found) return { kind, nick: found[1], now: found[2], text };
  }
  return { kind: 'info', text: text.replaceAll(`\n${NOTICE}`, '\n') };
}

/** How many of the lines, from the first on, repeat the end of the tail. */
export function overlap(tail, lines) {
  let best = { length: 0, end: 0 };
  for (let end = 1; end <= lines.length; end++) {
    const length = Math.min(end, tail.length);
    const same = lines.slice(end - length, end).every((l, i) => l === tail[tail.length - length + i]);
    if (same && length > best.length) best = { length, end };
  }
  return best.end;
}

export class PlainRoom extends EventTarget {
  name;
  nick = null;
  outbox; // {id, text, echo, state: 'waiting' | 'sent' | 'unconfirmed'}, oldest first

  #connection;
  #wish; // the nickname to ask for on connecting
  #asked = null; // the nickname asked for by /nick and not answered yet
  #echoes = 0; // under the present nickname: two make it certain
  #history = null; // items since connecting, null once settled
  #historyEnd = 0;
  #historyTimer = 0;
  #tail = []; // the last messages shown, as text, to find the place again
  #joinedBefore = false;
  #nextId = 1;

  constructor(name, { wish = '', outbox = [] } = {}) {
    super();
    this.name = name;
    this.#wish = wish;
    this.outbox = outbox;
    this.#nextId += Math.max(0, ...outbox.map((entry) => entry.id));
    this.#connection = new Connection(() => this.#url());
    this.#connection.addEventListener('text', (event) => this.#received(event.detail));
    this.#connection.addEventListener('state', (event) => this.#changed(event.detail));
  }

  get settled() {
    return this.#connection.state === 'open' && this.#history === null;
  }

  join() {
    this.#connection.open();
  }

  leave() {
    clearTimeout(this.#historyTimer);
    this.#connection.close();
  }

  /** Takes what was typed. Answers 'ok', or why it could not: 'full' or 'offline'. */
  say(text) {
    const rename = /^\/nick\s+(.+)$/.exec(text);
    if (rename) return this.rename(rename[1].trim());
    if (text.startsWith('/') && !text.startsWith('//')) {
      return this.settled && this.#connection.send(text) ? 'ok' : 'offline';
    }
    if (this.outbox.length >= MAX_OUTBOX) return 'full';
    const echo = text.startsWith('//') ? text.slice(1) : text;
    this.outbox.push({ id: this.#nextId++, text, echo, state: 'waiting' });
    this.#flush();
    return 'ok';
  }

  /** Asks for another nickname: now, or on the next connection. */
  rename(nick) {
    this.#asked = nick;
    if (this.settled) this.#connection.send(`/nick ${nick}`);
    else this.#become(nick, true);
    return 'ok';
  }

  resend(id) {
    const entry = this.#take(id);
    if (entry) this.outbox.push({ ...entry, state: 'waiting' });
    this.#flush();
  }

  discard(id) {
    this.#take(id);
    this.#emit('outbox');
  }

  #url() {
    const path = this.name === 'lobby' ? 'chat' : `chat/${this.name}`;
    const url = new URL(path, location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.search = new URLSearchParams({ history: HISTORY, ...(this.#wish && { nick: this.#wish }) });
    url.hash = '';
    return url.href;
  }

  #changed(detail) {
    if (detail.state === 'open') {
      this.#begin();
      this.#emit('state', { ...detail, state: 'joining' });
    } else {
      clearTimeout(this.#historyTimer);
      this.#emit('state', detail);
      this.#emit('outbox');
    }
  }

  #begin() {
    this.#history = [];
    this.#historyEnd = Date.now() + HISTORY_LIMIT_MS;
    this.#asked = null;
    this.#echoes = 0;
    this.#awaitHistory();
  }

  #awaitHistory() {
    clearTimeout(this.#historyTimer);
    const pause = Math.min(HISTORY_PAUSE_MS, this.#historyEnd - Date.now());
    this.#historyTimer = setTimeout(() => this.#settle(), pause);
  }

  #received(line) {
    const item = parse(line, this.nick);
    if (this.#history) {
      this.#history.push(item);
      if (this.#history.length < HISTORY && Date.now() < this.#historyEnd) this.#awaitHistory();
      else this.#settle();
      return;
    }
    this.#note(item);
    this.#show([{ ...item, at: new Date() }]);
  }

  /** The end of history: what was missed is shown, doubts are resolved, what waited is sent. */
  #settle() {
    clearTimeout(this.#historyTimer);
    const messages = this.#history.filter((item) => item.kind === 'message');
    const known = overlap(this.#tail, messages.map(asText));
    const missed = new Set(messages.slice(known));
    const earlier = this.#history.filter((item) => item.kind !== 'message' || missed.has(item));
    this.#history = null;

    this.#resolveDoubts([...missed]);
    // A refused wish is told before all else, and history has messages only.
    const refused = earlier[0]?.kind === 'info';
    this.#become(refused ? null : this.#wish || null, false);
    const gap = this.#joinedBefore && known === 0 && this.#tail.length > 0;
    this.#show(this.#withDivider(earlier, missed.size, gap));
    this.#joinedBefore = true;
    this.#emit('state', { state: 'open', retryAt: 0, code: 0, reason: '' });
    this.#flush();
  }

  #withDivider(earlier, count, gap) {
    const divider = { kind: 'divider', at: new Date(), count, gap };
    if (!this.#joinedBefore) return count > 0 ? [...earlier, { ...divider, first: true }] : earlier;
    return count > 0 || gap ? [divider, ...earlier] : earlier;
  }

  #resolveDoubts(missed) {
    for (const entry of this.outbox.filter(({ state }) => state === 'sent')) {
      const at = missed.findIndex(({ nick, text }) => text === entry.echo && (nick === this.nick || !this.nick));
      if (at < 0) entry.state = 'unconfirmed';
      else {
        missed.splice(at, 1);
        this.#take(entry.id);
      }
    }
  }

  /** What a line says about this member itself. */
  #note(item) {
    if (item.kind === 'renamed' && (item.nick === this.nick || item.now === this.#asked)) {
      this.#asked = null;
      this.#echoes = 2;
      this.#become(item.now, true);
    }
    if (item.kind === 'info') this.#asked = null; // refused, or answered in words
    if (item.kind === 'message') this.#noteEcho(item);
  }

  #noteEcho({ nick, text }) {
    const certain = this.#echoes >= 2;
    if (nick !== this.nick && (certain || !isDrawn(nick))) return;
    const sent = this.outbox.filter(({ state }) => state === 'sent');
    let at = sent.findIndex((entry) => entry.echo === text);
    // A server may clean a text up. Under a certain nickname the order alone tells.
    if (at < 0 && certain && sent.length > 0) at = 0;
    if (at < 0) return;
    // Echoes come in order: those before this one will not come any more.
    for (const entry of sent.slice(0, at)) entry.state = 'unconfirmed';
    this.#take(sent[at].id);
    this.#echoes = nick === this.nick ? this.#echoes + 1 : 1;
    this.#become(nick, false);
    this.#emit('outbox');
  }

  #become(nick, chosen) {
    if (chosen) this.#wish = nick;
    if (nick !== this.nick && !chosen) this.#echoes = Math.min(this.#echoes, 1);
    this.nick = nick;
    this.#emit('nick', { nick, chosen });
  }

  #flush() {
    for (const entry of this.outbox) {
      if (entry.state !== 'waiting' || !this.settled) continue;
      if (this.#connection.send(entry.text)) entry.state = 'sent';
    }
    this.#emit('outbox');
  }

  #take(id) {
    const at = this.outbox.findIndex((entry) => entry.id === id);
    return at < 0 ? null : this.outbox.splice(at, 1)[0];
  }

  #show(items) {
    for (const item of items) {
      if (item.kind !== 'message') continue;
      item.own = item.nick === this.nick;
      this.#tail.push(asText(item));
    }
    if (this.#tail.length > 2 * HISTORY) this.#tail = this.#tail.slice(-HISTORY);
    if (items.length > 0) this.#emit('items', items);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

function asText({ nick, text }) {
  return `${nick}: ${text}`;
}
