/**
 * The rooms that one is in: what is unread in each, and the list of them at the side.
 */

import * as prefs from './prefs.js';
import { Timeline } from './timeline.js';
import { make } from './text.js';

// In a busy room the numbers change all the time; nobody reads them faster than this.
const SHOW_MS = 200;

export class Rooms extends EventTarget {
  current = null;

  #rooms = new Map();
  #nav;
  #badge;
  #timer = 0;

  /** Events: 'shown', after the numbers on the screen have changed. */
  constructor({ nav, badge }) {
    super();
    this.#nav = nav;
    this.#badge = badge;
  }

  get names() {
    return [...this.#rooms.keys()];
  }

  get unread() {
    return [...this.#rooms.values()].reduce((sum, room) => sum + room.unread, 0);
  }

  get(name) {
    return this.#rooms.get(name);
  }

  add(name) {
    if (this.#rooms.has(name)) return;
    const said = []; // what one said last, for Up
    const seen = prefs.seen.get(name);
    const link = make('a', '', make('span', 'room-label', `#${name}`));
    link.href = `#${name}`;
    const room = { name, link, timeline: new Timeline(), unread: 0, mentions: 0, fresh: null, epoch: null, oldest: 0, loading: false, said, seen };
    this.#rooms.set(name, room);
    this.#nav.append(make('li', '', link));
    prefs.rooms.add(name);
    this.#changed();
  }

  remove(name) {
    this.#rooms.get(name).link.parentElement.remove();
    this.#rooms.delete(name);
    prefs.rooms.remove(name);
    this.#changed();
  }

  select(name) {
    this.add(name);
    this.current = this.#rooms.get(name);
    this.#show();
    return this.current;
  }

  /** The room before or after the current one, in a circle. */
  neighbour(step) {
    const { names } = this;
    return names[(names.indexOf(this.current.name) + step + names.length) % names.length];
  }

  /** A message came: was it read at once? If not, the first such one gets the line above it. */
  note(room, item, looking) {
    if (looking || item.own) {
      this.read(room, item.seq);
      return;
    }
    const { epoch, seq } = room.seen;
    if (item.late && (epoch !== room.epoch || item.seq <= seq)) return;
    if (room.unread === 0) {
      if (room.fresh) room.fresh.fresh = false;
      room.fresh = item;
      item.fresh = true;
    }
    room.unread++;
    if (item.mention) room.mentions++;
    this.#changed();
  }

  read(room, seq) {
    const { epoch, seq: before } = room.seen;
    if (seq > 0 && (epoch !== room.epoch || seq > before)) room.seen = { epoch: room.epoch, seq, unsaved: true };
    room.unread = 0;
    room.mentions = 0;
    this.#changed();
  }

  #changed() {
    this.#timer ||= setTimeout(() => this.#show(), SHOW_MS);
  }

  #show() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    for (const { name, seen } of this.#rooms.values()) {
      if (seen.unsaved) prefs.seen.set(name, seen);
      seen.unsaved = false;
    }
    this.#rooms.forEach((room) => this.#mark(room));
    const others = [...this.#rooms.values()].filter((room) => room !== this.current && room.unread > 0);
    this.#badge.hidden = others.length === 0;
    this.#badge.classList.toggle('mentioned', others.some(({ mentions }) => mentions > 0));
    this.dispatchEvent(new Event('shown'));
  }

  /** The link stays the same, so that a click or the focus meets it whatever is told meanwhile. */
  #mark(room) {
    const { link, unread, mentions } = room;
    const shown = `${room === this.current} ${unread} ${mentions > 0}`;
    if (room.shown === shown) return;
    room.shown = shown;
    link.className = `${room === this.current ? 'current' : ''}${unread > 0 ? ' unread' : ''}`;
    link.ariaCurrent = room === this.current ? 'page' : null;
    while (link.children.length > 1) link.lastChild.remove();
    if (unread === 0) return;
    const count = make('span', mentions > 0 ? 'count mentioned' : 'count', `${mentions > 0 ? '@' : ''}${unread > 999 ? '999+' : unread}`);
    link.append(count, make('span', 'sr', mentions > 0 ? ' unread, you are mentioned' : ' unread'));
  }
}
