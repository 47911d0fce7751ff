/**
 * What the page remembers between visits: the nickname and the rooms last seen.
 * Storage may be full, or forbidden (private windows, blocked cookies); the page
 * then works all the same and forgets.
 */

const NICK = 'throng.nick';
const ROOMS = 'throng.rooms';
const MAX_ROOMS = 8;

export const LOBBY = 'lobby';

/**
 * The server's rule, less two names: a browser takes /chat/. and /chat/.. for
 * other paths before it sends them.
 */
export function isRoom(name) {
  return /^[A-Za-z0-9._-]{1,64}$/.test(name) && name !== '.' && name !== '..';
}

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

export function savedNick() {
  return read(NICK) ?? '';
}

export function saveNick(nick) {
  write(NICK, nick);
}

/** The rooms visited last, newest first, the lobby always among them. */
export function savedRooms() {
  const rooms = (read(ROOMS) ?? '').split(' ').filter(isRoom);
  return rooms.includes(LOBBY) ? rooms : [...rooms, LOBBY];
}

export function saveRoom(room) {
  const rooms = [room, ...savedRooms().filter((name) => name !== room)];
  write(ROOMS, rooms.slice(0, MAX_ROOMS).join(' '));
}

function read(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function write(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Nothing to do: see above.
  }
}
