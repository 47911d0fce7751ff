/**
 * The page: connects the room's events to what is on the screen. It holds one room at a time,
 * the one that the address names after #.
 */

import { Composer } from './compose.js';
import { avatar } from './items.js';
import { MessageList } from './list.js';
import { OutboxView } from './outbox.js';
import { PlainRoom } from './plain.js';
import { LOBBY, isRoom, roomOfHash, saveNick, saveRoom, savedNick, savedRooms } from './prefs.js';
import { Status } from './status.js';
import { make } from './text.js';

const $ = (id) => document.getElementById(id);

let room = null;
let quiet = true; // nothing was seen in this room yet
let unread = 0;
const outboxes = new Map(); // what is unsent in rooms that one has left, by name

const list = new MessageList({
  scroller: $('scroller'), log: $('log'), list: $('messages'), pill: $('pill'), announcer: $('announcer'),
});
const outbox = new OutboxView($('outbox'));
const status = new Status({ status: $('status'), banner: $('banner') });
const composer = new Composer({
  form: $('composer'), field: $('field'), grow: $('grow'), counter: $('counter'), problem: $('problem'), say,
});

function say(text) {
  const answer = room.say(text);
  if (answer === 'ok') list.toEnd();
  return answer;
}

/** Leaves the present room, with its unsent messages put aside, and joins another. */
function enter(name) {
  if (room) {
    room.leave();
    outboxes.set(room.name, room.outbox);
  }
  room = new PlainRoom(name, { wish: savedNick(), outbox: outboxes.get(name) ?? [] });
  listen(room);
  list.clear();
  showRoom();
  showNick(savedNick() || null);
  $('empty').hidden = true;
  outbox.show(room);
  saveRoom(name);
  room.join();
}

function listen(entered) {
  const on = (type, act) => entered.addEventListener(type, (event) => {
    // A room that was left may still have an event under way.
    if (entered === room) act(event.detail);
  });
  on('state', (detail) => {
    status.show(detail);
    if (detail.state === 'open') $('empty').hidden = !quiet;
  });
  on('items', received);
  on('outbox', () => outbox.show(entered));
  on('nick', ({ nick, chosen }) => {
    if (chosen) saveNick(nick);
    showNick(nick);
  });
}

function received(items) {
  quiet = false;
  $('empty').hidden = true;
  list.add(items);
  if (!document.hidden) return;
  unread += items.filter((item) => item.kind === 'message' && !item.own).length;
  showTitle();
}

function showRoom() {
  quiet = true;
  for (const element of document.querySelectorAll('.room-name')) element.textContent = room.name;
  $('field').setAttribute('aria-label', `Message to ${room.name}`);
  showTitle();
}

function showTitle() {
  document.title = `${unread > 0 ? `(${unread}) ` : ''}#${room.name} · Throng`;
}

function showNick(nick) {
  const words = nick ?? 'a guest';
  $('me').replaceChildren(avatar(nick));
  $('me').setAttribute('aria-label', `You write as ${words}. Change your name`);
  $('nick').textContent = words;
}

/** The address changed: by a link, the dialog, or the browser's back button. */
function follow() {
  const name = roomOfHash(location.hash);
  if (name === null) {
    openRooms('This address does not name a room.');
    if (!room) enter(LOBBY);
    return;
  }
  if (name !== room?.name) enter(name);
}

function openRooms(problem = '') {
  $('rooms-problem').textContent = problem;
  const links = savedRooms().map((name) => {
    const link = make('a', name === room?.name ? 'current' : '', `#${name}`);
    link.href = `#${name}`;
    if (name === room?.name) link.setAttribute('aria-current', 'page');
    return make('li', '', link);
  });
  $('recent').replaceChildren(...links);
  $('rooms-field').value = '';
  if (!$('rooms').open) $('rooms').showModal();
}

function goToRoom(event) {
  event.preventDefault();
  const name = $('rooms-field').value.trim().replace(/^#/, '');
  if (!isRoom(name)) {
    $('rooms-problem').textContent = 'A room has 1 to 64 letters (A to Z), digits, dots, dashes or underscores.';
    return;
  }
  $('rooms').close();
  location.hash = name;
  composer.focus();
}

function openNick() {
  $('nick-field').value = savedNick();
  $('nick-dialog').showModal();
  $('nick-field').select();
}

function changeNick(event) {
  event.preventDefault();
  const name = $('nick-field').value.trim();
  $('nick-dialog').close();
  if (name !== '' && name !== room.nick) room.rename(name);
  composer.focus();
}

function setUpDialogs() {
  $('room').addEventListener('click', () => openRooms());
  $('rooms-form').addEventListener('submit', goToRoom);
  $('recent').addEventListener('click', () => $('rooms').close());
  $('me').addEventListener('click', openNick);
  $('nick-form').addEventListener('submit', changeNick);
  for (const dialog of document.querySelectorAll('dialog')) {
    dialog.querySelector('.cancel').addEventListener('click', () => dialog.close());
    // The dialog fills its own box with a form: a click on the dialog itself is on the backdrop.
    dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
  }
}

function setUpWindow() {
  addEventListener('hashchange', follow);
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return;
    unread = 0;
    showTitle();
  });
  addEventListener('beforeunload', (event) => {
    // What is unsent lives in this page only.
    const unsent = [...outboxes.values(), room.outbox].some((entries) => entries.length > 0);
    if (unsent) event.preventDefault();
  });
  $('retry').addEventListener('click', () => room.join());
  outbox.addEventListener('changed', ({ detail }) => {
    list.settle();
    if (detail.focused) composer.focus();
  });
  list.addEventListener('caughtup', () => composer.focus());
}

setUpDialogs();
setUpWindow();
follow();
// Where there is no real keyboard, focus would cover half the page with one.
if (matchMedia('(pointer: fine)').matches) composer.focus();
