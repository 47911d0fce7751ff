/**
 * The page: connects what the chat tells to what is on the screen. All rooms share one connection;
 * the one that is shown is the one that the address names after #.
 */

import { Composer } from './compose.js';
import { avatar } from './items.js';
import { MessageList } from './list.js';
import { OutboxView } from './outbox.js';
import { People } from './people.js';
import * as prefs from './prefs.js';
import { Rooms } from './rooms.js';
import { Status } from './status.js';
import { mentions, plural } from './text.js';
import { Throng, isRoom } from './throng.js';
import { presence } from './timeline.js';

const $ = (id) => document.getElementById(id);

const TYPING_MS = 5000;
const FILL_PAGE = 200;

const rooms = new Rooms({ nav: $('rooms'), badge: $('badge') });
const list = new MessageList({
  scroller: $('scroller'), log: $('log'), list: $('messages'), pill: $('pill'), announcer: $('announcer'),
});
const status = new Status({ status: $('status'), banner: $('banner') });
const composer = new Composer({
  form: $('composer'), field: $('field'), grow: $('grow'), counter: $('counter'), problem: $('problem'), say,
});
const chat = new Throng(chatAddress(), {
  nick: prefs.nick.get(), token: prefs.token, outbox: prefs.outbox.get(),
});
const outbox = new OutboxView($('outbox'), chat);
const people = new People({ dialog: $('people-dialog'), chat });
const typing = new Map(); // who writes in the current room: {nick, at}, by id
let typingTimer = 0;

function chatAddress() {
  const url = new URL('chat', location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  url.hash = url.search = '';
  return url.href;
}

/* ---- Writing ---- */

function say(text) {
  const rename = /^\/nick\s+(.+)$/.exec(text);
  if (rename) {
    changeNick(rename[1].trim(), (words) => composer.complain(words));
    return 'ok';
  }
  if (!chat.say(rooms.current.name, text)) return 'full';
  list.toEnd();
  return 'ok';
}

/** Asks for a nickname; complain gets the words if it cannot be had. */
async function changeNick(name, complain) {
  try {
    const { nick } = await chat.nick(name);
    prefs.nick.set(nick);
    return true;
  } catch (error) {
    complain(`You are still ${chat.me?.nick ?? 'a guest'}: ${error.message}.`);
    return false;
  }
}

/* ---- Rooms ---- */

/** Shows a room, and joins it if one is not there yet. */
function enter(name) {
  typing.clear();
  showTyping();
  const room = rooms.select(name);
  chat.join(name);
  for (const element of document.querySelectorAll('.room-name')) element.textContent = name;
  $('field').setAttribute('aria-label', `Message to ${name}`);
  composer.open(prefs.draft.get(name), room.said);
  list.show(room.timeline);
  outbox.show(name);
  showRoom();
}

function leave() {
  const { name } = rooms.current;
  const next = rooms.names.find((other) => other !== name) ?? prefs.LOBBY;
  if (next === name) return;
  if (chat.outbox.some((entry) => entry.room === name)) {
    composer.complain('Something that you wrote here is not sent yet. Wait for it, or discard it, then leave.');
    return;
  }
  rooms.remove(name);
  chat.leave(name);
  location.replace(`#${next}`);
}

function showRoom() {
  const room = rooms.current;
  const { members = 0, joined = false } = chat.rooms.get(room.name) ?? {};
  $('who').hidden = !joined;
  $('many').textContent = members.toLocaleString();
  $('leave').hidden = rooms.names.length < 2;
  $('empty').hidden = room.timeline.items.some(({ kind }) => kind !== 'presence') || room.epoch === null;
}

function showTitle() {
  const { unread } = rooms;
  document.title = `${unread > 0 ? `(${unread}) ` : ''}#${rooms.current.name} · Throng`;
}

function looking(room) {
  return room === rooms.current && !document.hidden && list.following;
}

/** What is on the screen has been read. */
function readCurrent() {
  const room = rooms.current;
  if (room && looking(room)) rooms.read(room, chat.rooms.get(room.name)?.last ?? 0);
}

/* ---- What comes ---- */

function itemOf({ epoch }, { seq, ts, from, text, own }, late = true) {
  const mention = !own && mentions(text, chat.me.nick);
  return { kind: 'message', epoch, seq, at: new Date(ts), id: from.id, nick: from.nick, text, own, mention, late };
}

function add(room, item) {
  const here = room === rooms.current;
  room.timeline.push(item, here ? list.end : null);
  if (!here) return;
  list.changed();
  if (item.kind !== 'presence') $('empty').hidden = true;
}

function received({ room: name, ...m }) {
  const room = rooms.get(name);
  if (!room) return;
  const item = itemOf(room, m, m.seq <= room.known);
  const { fresh } = room;
  rooms.note(room, item, looking(room));
  if (fresh !== room.fresh && room === rooms.current && fresh) list.refresh(fresh); // its line has gone
  add(room, item);
  if (room === rooms.current) {
    if (!item.late) list.speak();
    if (typing.delete(m.from.id)) showTyping();
  }
  if (item.mention && !item.late) notify(room, item);
}

function joined(m) {
  const room = rooms.get(m.room);
  if (!room) return;
  room.known = m.seq; // up to here it is not news
  room.oldest = m.oldest;
  if (m.anew) {
    room.timeline.whole = true;
    add(room, { kind: 'info', at: new Date(), text: 'This room has begun anew, as after a restart of the server. What was said while you were away is not known.' });
  }
  room.epoch = m.epoch;
  if (room === rooms.current) showRoom();
}

function told({ room: name, joined: came = [], left = [], renamed = [] }) {
  const room = rooms.get(name);
  if (!room) return;
  const others = (people) => people.filter(({ id }) => id !== chat.me.id);
  const item = presence(others(came), others(left), renamed);
  if (item.joined.count + item.left.count + renamed.length > 0) add(room, item);
  if (room === rooms.current) showRoom();
}

function missed({ room: name, from, to, missed: count }) {
  const room = rooms.get(name);
  if (room) add(room, { kind: 'gap', epoch: room.epoch, at: null, from, to, missed: count, state: '' });
}

function refused({ room: name, error }) {
  const room = rooms.get(name);
  if (room) add(room, { kind: 'info', refused: true, at: new Date(), text: `You are not in this room: ${error.message}.` });
}

/* ---- Earlier messages ---- */

async function earlier() {
  const room = rooms.current;
  const first = room.timeline.first();
  if (room.loading || room.timeline.whole || !first || !chat.rooms.get(room.name)?.joined) return;
  if (first.epoch !== room.epoch || first.seq <= room.oldest) return;
  room.loading = true;
  try {
    const { messages, more } = await chat.history(room.name, { before: first.seq, limit: 100 });
    if (room.timeline.first() !== first) return; // it was trimmed meanwhile
    room.timeline.prepend(messages.map((m) => itemOf(room, m)));
    room.timeline.whole = !more;
    if (room === rooms.current) list.grown();
  } catch {
    // Not connected: the next scrolling asks again.
  } finally {
    room.loading = false;
  }
}

async function fill(gap) {
  const room = rooms.current;
  // Its numbers mean other messages, once the room has begun anew.
  setGap(gap, gap.epoch === room.epoch ? 'loading' : 'lost');
  if (gap.state === 'lost') return;
  const found = [];
  try {
    for (let before = gap.to + 1, more = true; more && before > gap.from;) {
      const page = await chat.history(room.name, { before, limit: FILL_PAGE });
      found.unshift(...page.messages.filter(({ seq }) => seq >= gap.from));
      more = page.more && page.messages.length > 0;
      before = page.messages[0]?.seq ?? 0;
    }
  } catch {
    setGap(gap, 'offline');
    return;
  }
  const missed = Math.max(0, gap.missed - found.length);
  const rest = missed > 0 || !(found[0]?.prev < gap.from);
  const lost = { ...gap, missed, state: 'lost' };
  const items = found.map((m) => itemOf(room, m));
  if (room.timeline.fill(gap, rest ? [lost, ...items] : items) && room === rooms.current) list.rebuild();
}

function setGap(gap, state) {
  gap.state = state;
  if (rooms.current.timeline.items.includes(gap)) list.refresh(gap);
}

/* ---- Me ---- */

function showMe() {
  const nick = chat.me?.nick ?? (prefs.nick.get() || null);
  $('me').replaceChildren(avatar(nick));
  $('me').setAttribute('aria-label', `You write as ${nick ?? 'a guest'}. Change your name`);
  $('nick').textContent = nick ?? 'a guest';
}

function showTyping() {
  const now = performance.now();
  for (const [id, { at }] of typing) if (now - at >= TYPING_MS) typing.delete(id);
  const names = [...typing.values()].map(({ nick }) => nick);
  $('typing').textContent = names.length === 0 ? '' : names.length === 1 ? `${names[0]} is writing…` : `${plural(names.length, 'member')} are writing…`;
  clearTimeout(typingTimer);
  if (names.length > 0) typingTimer = setTimeout(showTyping, TYPING_MS / 5);
}

/** A notification, or null where a page may not make any: on Android only service workers may. */
function notice(title, options) {
  try {
    return new Notification(title, options);
  } catch {
    return null;
  }
}

function notify(room, { nick, text }) {
  if (!document.hidden || prefs.notify.get() !== 'on') return;
  const shown = notice(`${nick} in #${room.name}`, { body: text.slice(0, 200), tag: `throng-${room.name}`, icon: 'icon.svg' });
  if (!shown) return;
  shown.onclick = () => {
    focus();
    location.hash = room.name;
    shown.close();
  };
}

async function chooseNotify({ target }) {
  const trial = target.checked && notice('', { silent: true });
  if (trial) trial.close();
  const granted = trial && (await Notification.requestPermission()) === 'granted';
  if (target.checked && !granted) $('nick-problem').textContent = 'This browser does not allow notifications here.';
  target.checked = granted;
  prefs.notify.set(granted ? 'on' : '');
}

/* ---- Setting up ---- */

/** The address changed: by a link, the dialog, or the browser's back button. */
function follow() {
  const name = prefs.roomOfHash(location.hash);
  if (name === null) {
    openRoom('This address does not name a room.');
    if (!rooms.current) enter(prefs.LOBBY);
    return;
  }
  if ($('side').matches(':popover-open')) $('side').hidePopover();
  if (name !== rooms.current?.name) enter(name);
  // Where there is no real keyboard, focus would cover half the page with one.
  if (!matchMedia('(pointer: coarse)').matches) composer.focus();
}

function openRoom(problem = '') {
  $('room-problem').textContent = problem;
  $('room-field').value = '';
  if (!$('room-dialog').open) $('room-dialog').showModal();
}

function goToRoom(event) {
  event.preventDefault();
  const name = $('room-field').value.trim().replace(/^#/, '');
  if (!isRoom(name)) {
    $('room-problem').textContent = 'A room has 1 to 64 letters (A to Z), digits, dots, dashes or underscores.';
    return;
  }
  $('room-dialog').close();
  location.hash = name;
  composer.focus();
}

function openNick() {
  $('nick-problem').textContent = '';
  $('nick-field').value = chat.me?.nick ?? prefs.nick.get();
  $('notify').checked = prefs.notify.get() === 'on' && globalThis.Notification?.permission === 'granted';
  $('nick-dialog').showModal();
  $('nick-field').select();
}

async function saveNick(event) {
  event.preventDefault();
  const name = $('nick-field').value.trim();
  const same = name === '' || name === chat.me?.nick;
  if (!same && !await changeNick(name, (words) => { $('nick-problem').textContent = words; })) return;
  $('nick-dialog').close();
  composer.focus();
}

function setUpDialogs() {
  $('add').addEventListener('click', () => openRoom());
  $('room-form').addEventListener('submit', goToRoom);
  $('me').addEventListener('click', openNick);
  $('nick-form').addEventListener('submit', saveNick);
  $('notify').addEventListener('change', chooseNotify);
  $('who').addEventListener('click', () => people.open(rooms.current.name));
  $('leave').addEventListener('click', leave);
  for (const dialog of document.querySelectorAll('dialog')) {
    dialog.querySelector('.cancel').addEventListener('click', () => dialog.close());
    // The dialog fills its own box with a form: what is pressed is the backdrop, then. A click could
    // be the end of selecting a text.
    dialog.addEventListener('mousedown', (event) => event.target === dialog && dialog.close());
  }
}

function setUpWindow() {
  addEventListener('hashchange', follow);
  addEventListener('keydown', (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step || !event.altKey || document.querySelector('dialog[open]')) return;
    event.preventDefault();
    location.hash = rooms.neighbour(step);
  });
  document.addEventListener('visibilitychange', readCurrent);
  addEventListener('beforeunload', (event) => {
    // What is unsent lives in this tab only.
    if (chat.outbox.length > 0) event.preventDefault();
  });
  $('retry').addEventListener('click', () => chat.connect());
}

function setUpViews() {
  rooms.addEventListener('shown', showTitle);
  list.addEventListener('seen', readCurrent);
  list.addEventListener('earlier', earlier);
  list.addEventListener('gap', ({ detail }) => fill(detail));
  list.addEventListener('caughtup', () => composer.focus());
  composer.addEventListener('draft', () => prefs.draft.set(rooms.current.name, composer.text));
  composer.addEventListener('typing', () => chat.typing(rooms.current.name));
  outbox.addEventListener('discard', ({ detail }) => rooms.get(detail.room)?.said.push(detail.text));
  outbox.addEventListener('changed', ({ detail }) => {
    list.settle();
    if (detail.focused) composer.focus();
  });
}

function setUpChat() {
  const on = (type, act) => chat.addEventListener(type, ({ detail }) => act(detail));
  on('state', (detail) => {
    // The banner goes, and with it the button that was pressed.
    if (detail.state === 'open' && $('banner').contains(document.activeElement)) composer.focus();
    status.show(detail);
    composer.limit = chat.limits.message;
    showRoom();
  });
  on('me', showMe);
  on('joined', joined);
  on('msg', received);
  on('gap', missed);
  on('presence', told);
  on('refused', refused);
  on('error', ({ code, message }) => {
    const text = code === 'forbidden' ? 'The server no longer knows you: to others you are somebody new.' : `${message[0].toUpperCase()}${message.slice(1)}.`;
    add(rooms.current, { kind: 'info', at: new Date(), text });
  });
  on('typing', ({ room, from }) => {
    if (room !== rooms.current.name) return;
    typing.set(from.id, { nick: from.nick, at: performance.now() });
    showTyping();
  });
  on('outbox', () => {
    prefs.outbox.set(chat.outbox);
    outbox.show(rooms.current.name);
  });
}

setUpDialogs();
setUpWindow();
setUpViews();
setUpChat();
showMe();
const saved = [...prefs.rooms.get(), ...chat.outbox.map(({ room }) => room)];
for (const name of saved) rooms.add(name);
follow(); // the room of the address is the first to be joined
for (const name of saved) chat.join(name);
chat.connect();
