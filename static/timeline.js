/**
 * What is known of one room's conversation, in its order. An item's place is a number that stays
 * when others come before it or go; items.js says what items are.
 */

const MAX_KEPT = 1200;
const SLACK = 200; // so that not each message moves all others
const TAIL = 300; // what may be on the screen, and what is kept at the end while one reads further up
const MAX_NAMES = 50;

export class Timeline {
  base = 0; // the place of the first item
  items = [];
  whole = false; // the server has nothing earlier

  get end() {
    return this.base + this.items.length;
  }

  at(place) {
    return this.items[place - this.base];
  }

  /** shown is the place behind the last item on the screen, or null if the room is not shown. */
  push(item, shown = null) {
    const last = this.items.at(-1);
    if (item.kind === 'presence' && last?.kind === 'presence') {
      fold(last, item);
      return;
    }
    if (item.refused && last?.refused) {
      Object.assign(last, item, { dirty: true }); // it was tried again
      return;
    }
    this.items.push(item);
    if (this.items.length > MAX_KEPT + SLACK) this.#trim(shown);
  }

  prepend(items) {
    this.items.unshift(...items);
    this.base -= items.length;
  }

  /** Puts what was found in the place of a gap. False when that has gone meanwhile. */
  fill(gap, items) {
    const at = this.items.indexOf(gap);
    if (at < 0) return false;
    this.items.splice(at, 1, ...items);
    return true;
  }

  first() {
    return this.items.find(({ kind }) => kind === 'message');
  }

  #trim(shown) {
    const behind = (shown ?? this.end) - this.base;
    if (behind > TAIL) {
      // What was read first goes first; the server may still have it.
      const extra = Math.min(SLACK, behind - TAIL);
      this.items.splice(0, extra);
      this.base += extra;
      this.whole = false;
      return;
    }
    const out = this.items.splice(behind, this.items.length - behind - TAIL);
    const gap = { kind: 'gap', at: null, from: Infinity, to: 0, missed: 0 };
    for (const { kind, epoch, seq, from, to, missed } of out) {
      if (kind !== 'message' && kind !== 'gap') continue;
      if (epoch !== gap.epoch) Object.assign(gap, { epoch, from: Infinity, to: 0 }); // the numbers began anew
      gap.from = Math.min(gap.from, kind === 'gap' ? from : seq);
      gap.to = Math.max(gap.to, kind === 'gap' ? to : seq);
      gap.missed += kind === 'gap' ? missed ?? 0 : 1;
    }
    this.items.splice(behind, 0, gap);
  }
}

/** An item that tells who came, went and has another nickname: lists of {id, nick}. */
export function presence(joined, left, renamed) {
  const some = (people) => ({ people: people.slice(0, MAX_NAMES), count: people.length });
  return { kind: 'presence', at: new Date(), joined: some(joined), left: some(left), renamed: renamed.slice(0, MAX_NAMES) };
}

/** Tells more arrivals and departures in the line that tells the last: each person by what they did last. */
function fold(into, { joined, left, renamed }) {
  move(left, into.joined, into.left);
  move(joined, into.left, into.joined);
  into.renamed.push(...renamed.slice(0, MAX_NAMES - into.renamed.length));
  into.dirty = true;
}

function move({ people, count }, from, to) {
  for (const person of people) {
    const at = from.people.findIndex(({ id }) => id === person.id);
    if (at >= 0) {
      from.people.splice(at, 1);
      from.count--;
    }
  }
  to.count += count;
  to.people.push(...people.slice(0, MAX_NAMES - to.people.length));
}
