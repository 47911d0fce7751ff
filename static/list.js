/**
 * The list of messages: bounded, rendered once per animation frame, and following its end only
 * while its end is what one looks at.
 *
 * Items wait in a queue until the next frame. While someone reads further up, or the page is
 * hidden, they go on waiting; the queue keeps the latest and counts the rest. So the work per
 * frame has a limit whatever the rate, and what is being read never moves.
 */

import { fold, render, skipped } from './items.js';
import { make, plural } from './text.js';

const MAX_SHOWN = 300;
const MAX_QUEUED = 200;

const NEAR_END_PX = 100;

// After a hand on the wheel, the finger or the keys the list keeps still for a moment.
// Without this nobody could scroll away from the end of a busy room.
const HOLD_MS = 400;

// The rest between two renderings, as a multiple of what one took: a slow machine, too, keeps
// most of its time for the hand that types. The limit keeps the queue from overflowing.
const REST_FACTOR = 4;
const MAX_REST_MS = 120;

// A faster room than this is announced as a count, now and then.
const MAX_SPOKEN_PER_SECOND = 4;
const SUMMARY_MS = 10_000;

export class MessageList extends EventTarget {
  #scroller;
  #log;
  #list;
  #pill;
  #announcer;

  #queue = [];
  #skipped = 0;
  #frame = 0;
  #restUntil = 0;
  #last = null; // the item at the end of the list, with what is folded into it

  #following = true;
  #holdUntil = 0;
  #holdTimer = 0;

  #second = 0;
  #inSecond = 0;
  #unspoken = 0;
  #summaryTimer = 0;

  constructor({ scroller, log, list, pill, announcer }) {
    super();
    this.#scroller = scroller;
    this.#log = log;
    this.#list = list;
    this.#pill = pill;
    this.#announcer = announcer;
    this.#listen();
  }

  add(items) {
    for (const item of items) this.#enqueue(item);
    this.#speak(items);
    this.#schedule();
  }

  clear() {
    this.#queue = [];
    this.#skipped = 0;
    this.#last = null;
    this.#list.replaceChildren();
    this.#following = true;
    this.#showPill();
  }

  /** Shows everything that waits and goes to the end. */
  toEnd() {
    this.#holdUntil = 0;
    this.#render();
    this.#following = true;
    this.#scrollToEnd();
    this.#showPill();
  }

  /** Something around the list changed its size: the end stays the end. */
  settle() {
    if (this.#following) this.#scrollToEnd();
  }

  #enqueue(item) {
    this.#queue.push({ ...item, hidden: document.hidden });
    if (this.#queue.length <= MAX_QUEUED) return;
    this.#queue.shift();
    this.#skipped++;
  }

  #schedule() {
    this.#frame ||= requestAnimationFrame(() => this.#turn());
  }

  #turn() {
    this.#frame = 0;
    const began = performance.now();
    if (began < this.#restUntil) {
      this.#schedule();
      return;
    }
    if (this.#following && began >= this.#holdUntil) this.#render();
    this.#showPill();
    const took = performance.now() - began;
    this.#restUntil = began + Math.min(MAX_REST_MS, REST_FACTOR * took);
  }

  #render() {
    if (this.#queue.length === 0) return;
    const held = !this.#following;
    const anchor = held ? this.#anchor() : null;
    const fragment = document.createDocumentFragment();
    if (this.#skipped > 0) this.#append(fragment, skipped(this.#skipped));
    this.#markUnseen(held);
    for (const item of this.#queue) this.#append(fragment, item);
    this.#queue = [];
    this.#skipped = 0;
    this.#list.append(fragment);
    this.#trim();
    if (held) this.#keep(anchor);
    else this.#scrollToEnd();
    this.#showPill();
  }

  #append(fragment, item) {
    const last = this.#last;
    if (last?.folded && last.kind === item.kind) {
      fold(last.element, item, last.folded);
      return;
    }
    const element = render(item, last);
    const folds = item.kind === 'left' || item.kind === 'joined';
    this.#last = { ...item, element, folded: folds ? { names: [item.nick], count: 1 } : null };
    fragment.append(element);
  }

  /** One line above the first that was not seen; an older such line has done its work. */
  #markUnseen(held) {
    const first = this.#queue.findIndex((item) => isNews(item) && (held || item.hidden));
    if (first < 0) return;
    this.#list.querySelector('.fresh')?.remove();
    this.#queue.splice(first, 0, { kind: 'fresh', at: null });
  }

  #trim() {
    const extra = this.#list.childElementCount - MAX_SHOWN;
    if (extra <= 0) return;
    const range = document.createRange();
    range.setStart(this.#list, 0);
    range.setEnd(this.#list, extra);
    range.deleteContents();
    // The rest of a group has lost its beginning, and with it its visible name.
    this.#list.firstElementChild.classList.remove('more');
  }

  /** What is at the end now, and where: the point that must not move. */
  #anchor() {
    const element = this.#list.lastElementChild;
    return element && { element, top: element.getBoundingClientRect().top };
  }

  #keep(anchor) {
    if (!anchor?.element.isConnected) return;
    this.#scroller.scrollTop += anchor.element.getBoundingClientRect().top - anchor.top;
    this.#following = this.#isNearEnd();
  }

  #scrollToEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #isNearEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
  }

  #listen() {
    const s = this.#scroller;
    s.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    s.addEventListener('wheel', (event) => event.deltaY < 0 && this.#hold(), { passive: true });
    s.addEventListener('touchmove', () => this.#hold(), { passive: true });
    s.addEventListener('keydown', () => this.#hold());
    s.addEventListener('pointerdown', () => this.#hold(Infinity));
    for (const type of ['pointerup', 'pointercancel']) addEventListener(type, () => this.#release());
    this.#pill.addEventListener('click', () => {
      this.toEnd();
      this.dispatchEvent(new Event('caughtup'));
    });
    new ResizeObserver(() => this.settle()).observe(s);
  }

  #scrolled() {
    const near = this.#isNearEnd();
    if (near && !this.#following) {
      // What waited is shown below, and the view stays: there may be pages of it to read.
      this.#render();
      this.#following = this.#isNearEnd();
    } else {
      this.#following = near;
    }
    this.#showPill();
  }

  #hold(duration = HOLD_MS) {
    clearTimeout(this.#holdTimer);
    this.#holdUntil = performance.now() + duration;
    if (duration !== Infinity) this.#holdTimer = setTimeout(() => this.#schedule(), duration + 20);
  }

  #release() {
    if (this.#holdUntil === Infinity) this.#hold();
  }

  #showPill() {
    const count = this.#following ? 0 : this.#skipped + this.#queue.filter(isNews).length;
    this.#pill.hidden = this.#following;
    this.#pill.classList.toggle('counting', count > 0);
    this.#pill.querySelector('.count').textContent = count > 0 ? `${count.toLocaleString()} new` : 'Latest';
  }

  /** Politeness has a limit: a busy room would keep a screen reader talking for ever. */
  #speak(items) {
    const second = Math.floor(performance.now() / 1000);
    if (second !== this.#second) {
      if (this.#inSecond <= MAX_SPOKEN_PER_SECOND) this.#log.setAttribute('aria-live', 'polite');
      this.#second = second;
      this.#inSecond = 0;
    }
    this.#inSecond += items.length;
    if (this.#inSecond <= MAX_SPOKEN_PER_SECOND) return;
    this.#log.setAttribute('aria-live', 'off');
    this.#unspoken += items.filter((item) => isNews(item) && item.at).length;
    this.#summaryTimer ||= setTimeout(() => this.#summarise(), SUMMARY_MS);
  }

  #summarise() {
    this.#summaryTimer = 0;
    if (this.#unspoken === 0) return;
    this.#announcer.replaceChildren(make('span', '', plural(this.#unspoken, 'new message')));
    this.#unspoken = 0;
  }
}

function isNews(item) {
  return item.kind === 'message' && !item.own;
}
