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
    const room = { name, timeline: new Timeline(), unread: 0, mentions: 0, fresh: null, epoch: null, oldest: 0, loading: false, said, seen };
    this.#rooms.set(name, room);
    prefs.rooms.add(name);
    this.#changed();
  }

  remove(name) {
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
    const focused = this.#nav.contains(document.activeElement) ? document.activeElement.getAttribute('href') : null;
    this.#nav.replaceChildren(...[...this.#rooms.values()].map((room) => make('li', '', this.#link(room))));
    [...this.#nav.querySelectorAll('a')].find((link) => link.getAttribute('href') === focused)?.focus();
    const others = [...this.#rooms.values()].filter((room) => room !== this.current && room.unread > 0);
    this.#badge.hidden = others.length === 0;
    this.#badge.classList.toggle('mentioned', others.some(({ mentions }) => mentions > 0));
    this.dispatchEvent(new Event('shown'));
  }

  #link(room) {
    const here = room === this.current;
    const link = make('a', here ? 'current' : '', make('span', 'room-label', `#${room.name}`));
    link.href = `#${room.name}`;
    if (here) link.setAttribute('aria-current', 'page');
    if (room.unread > 0) {
      const count = make('span', room.mentions > 0 ? 'count mentioned' : 'count', room.unread > 999 ? '999+' : `${room.unread}`);
      if (room.mentions > 0) count.prepend('@');
      link.classList.add('unread');
      link.append(count, make('span', 'sr', room.mentions > 0 ? ' unread, you are mentioned' : ' unread'));
    }
    return link;
  }
}
