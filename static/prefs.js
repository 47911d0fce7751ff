/**
 * What the page remembers. In the browser: the nickname, the token, the rooms and how far each was
 * read. In the tab: unsent messages and drafts, since two tabs may be writing in one room.
 * Storage may be full, or forbidden (private windows, blocked cookies); the page then remembers
 * until it is closed.
 */

import { isRoom } from './throng.js';

export const LOBBY = 'lobby';

const MAX_ROOMS = 32;

/** The room that the address names: its name, the lobby for none, null for one out of the rules. */
export function roomOfHash(hash) {
  let name = hash.replace(/^#/, '');
  try {
    name = decodeURIComponent(name);
  } catch {
    return null;
  }
  if (name === '') return LOBBY;
  return isRoom(name) ? name : null;
}

/** One value of the browser's: a string, '' if there is none. */
function value(key) {
  return { get: () => read('localStorage', key) ?? '', set: (text) => write('localStorage', key, text) };
}

export const nick = value('nick');
export const token = value('token');
export const notify = value('notify');

/** The rooms that one is in. Another tab may have changed them meanwhile. */
export const rooms = {
  get: () => (read('localStorage', 'rooms') ?? '').split(' ').filter(isRoom).slice(0, MAX_ROOMS),
  add: (name) => write('localStorage', 'rooms', [...new Set([...rooms.get(), name])].join(' ')),
  remove: (name) => write('localStorage', 'rooms', rooms.get().filter((other) => other !== name).join(' ')),
};

/** How far a room was read: {epoch, seq}. Another tab may have read further. */
export const seen = {
  get: (room) => json(read('localStorage', `seen.${room}`)) ?? {},
  set: (room, { epoch, seq }) => {
    const other = seen.get(room);
    if (other.epoch !== epoch || other.seq < seq) write('localStorage', `seen.${room}`, JSON.stringify({ epoch, seq }));
  },
};

/** A draft is the tab's; a new tab finds the one that was written last. */
export const draft = {
  get: (room) => read('sessionStorage', `draft.${room}`) ?? read('localStorage', `draft.${room}`) ?? '',
  set: (room, text) => {
    write('sessionStorage', `draft.${room}`, text);
    write('localStorage', `draft.${room}`, text);
  },
};

export const outbox = {
  get: () => json(read('sessionStorage', 'outbox')) ?? [],
  set: (entries) => write('sessionStorage', 'outbox', JSON.stringify(entries)),
};

function json(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const memory = new Map(); // what storage did not take

function read(store, key) {
  try {
    return memory.get(store + key) ?? globalThis[store].getItem(`throng.${key}`);
  } catch {
    return null;
  }
}

function write(store, key, text) {
  try {
    globalThis[store].setItem(`throng.${key}`, text);
    memory.delete(store + key);
  } catch {
    memory.set(store + key, text);
  }
}
