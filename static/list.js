/**
 * The list of messages: a window of at most MAX_SHOWN items on a timeline, rendered once per
 * animation frame, and following the end only while the end is what one looks at.
 *
 * While someone reads further up, new items wait in the timeline and are counted; what is being
 * read never moves. Towards both ends the window is moved on in pages.
 *
 * Events: 'earlier', one nears the beginning of the timeline; 'seen', its end is on the screen;
 * 'caughtup', the pill was pressed; 'gap', detail is the one that was asked for.
 */

import { render } from './items.js';
import { make, plural, today } from './text.js';

const MAX_SHOWN = 300;
const PAGE = 100;

const NEAR_END_PX = 100;
const PAGE_PX = 600; // nearer to an end of what is shown, the next page comes

// After a hand on the wheel, the finger or the keys the list keeps still for a moment.
// Without this nobody could scroll away from the end of a busy room.
const HOLD_MS = 400;

// The rest between two renderings, as a multiple of what one took: a slow machine, too, keeps
// most of its time for the hand that types.
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

  #timeline = null;
  #day = 0; // whose lines are called Today and Yesterday
  #start = 0; // the window: places in the timeline
  #end = 0;
  #frame = 0;
  #restUntil = 0;

  #following = true;
  #seen = null; // the last item while that was so
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

  /** The end is on the screen, and stays there. */
  get following() {
    return this.#following;
  }

  /** The place behind the last item that is shown. */
  get end() {
    return this.#end;
  }

  show(timeline) {
    this.#timeline = timeline;
    this.#log.ariaLive = 'off'; // what one comes to is no news
    this.#second = second();
    this.#inSecond = MAX_SPOKEN_PER_SECOND + 1;
    this.#toEnd(true);
  }

  /** The timeline has more at one of its ends. */
  changed() {
    this.#frame ||= requestAnimationFrame(() => this.#turn());
  }

  /** An item looks different. */
  refresh(item) {
    const place = this.#timeline.base + this.#timeline.items.indexOf(item);
    if (place >= this.#start && place < this.#end) {
      const old = this.#child(place);
      if (old.contains(document.activeElement)) this.#scroller.focus(); // its button may be gone
      old.replaceWith(this.#element(place));
    }
    item.dirty = false;
  }

  /** Items in the middle have come or gone: everything is rendered again around the same point. */
  rebuild() {
    if (this.#following) this.#toEnd(true);
    else {
      const anchor = this.#anchor();
      this.#start = Math.max(this.#start, this.#timeline.base);
      this.#fill(this.#start, Math.min(this.#start + MAX_SHOWN, this.#timeline.end));
      this.#keep(anchor);
    }
  }

  toEnd() {
    this.#toEnd(this.#end < this.#timeline.end);
  }

  #toEnd(anew) {
    const { base, end } = this.#timeline;
    this.#holdUntil = 0;
    this.#following = true;
    if (anew) this.#fill(Math.max(base, end - MAX_SHOWN), end);
    this.#scrollToEnd();
    this.#showPill();
    this.dispatchEvent(new Event('seen'));
  }

  /** Earlier items have come. */
  grown() {
    this.#pageIfNear();
    this.settle();
  }

  /** Something around the list changed its size: the end stays the end. */
  settle() {
    if (this.#following) this.#scrollToEnd();
  }

  /** Politeness has a limit: a busy room would keep a screen reader talking for ever. */
  speak() {
    const passed = second() - this.#second;
    if (passed > 1 || (passed === 1 && this.#inSecond <= MAX_SPOKEN_PER_SECOND)) this.#log.ariaLive = 'polite';
    if (passed > 0) this.#inSecond = 0;
    this.#second += passed;
    this.#inSecond++;
    if (this.#inSecond > MAX_SPOKEN_PER_SECOND) this.#log.ariaLive = 'off';
    if (this.#log.ariaLive === 'polite') return;
    this.#unspoken++;
    this.#summaryTimer ||= setTimeout(() => this.#summarise(), SUMMARY_MS);
  }

  #summarise() {
    this.#summaryTimer = 0;
    this.#announcer.replaceChildren(make('span', '', plural(this.#unspoken, 'new message')));
    this.#unspoken = 0;
  }

  #turn() {
    this.#frame = 0;
    const began = performance.now();
    if (began < this.#restUntil) {
      this.changed();
      return;
    }
    if (this.#day !== today()) this.rebuild();
    if (this.#following && began >= this.#holdUntil) this.#follow();
    else this.#pageIfNear();
    this.#showPill();
    const took = performance.now() - began;
    this.#restUntil = began + Math.min(MAX_REST_MS, REST_FACTOR * took);
  }

  #follow() {
    const { end } = this.#timeline;
    const last = this.#timeline.at(this.#end - 1);
    if (last?.dirty) this.refresh(last);
    if (end - this.#end >= MAX_SHOWN) this.toEnd();
    else if (end > this.#end) {
      this.#append(end);
      this.#scrollToEnd();
      this.dispatchEvent(new Event('seen'));
    } else this.#scrollToEnd();
    this.#askEarlier();
  }

  #element(place) {
    return render(this.#timeline.at(place), place > this.#start ? this.#timeline.at(place - 1) : null);
  }

  #child(place) {
    return this.#list.children[place - this.#start];
  }

  #fill(start, end) {
    this.#day = today();
    this.#start = start;
    this.#end = start;
    this.#list.replaceChildren();
    this.#append(end);
  }

  #append(end) {
    const fragment = document.createDocumentFragment();
    for (let place = this.#end; place < end; place++) fragment.append(this.#element(place));
    this.#end = end;
    this.#list.append(fragment);
    this.#cut(0, this.#end - this.#start - MAX_SHOWN);
  }

  #prepend(start) {
    const fragment = document.createDocumentFragment();
    const old = this.#start;
    this.#start = start;
    for (let place = start; place < old; place++) fragment.append(this.#element(place));
    this.#list.prepend(fragment);
    // Until now it was the first, with its name and its day.
    if (old < this.#end) this.#child(old).replaceWith(this.#element(old));
    const extra = this.#end - this.#start - MAX_SHOWN;
    if (extra > 0) this.#cut(MAX_SHOWN, extra);
  }

  /** Takes some out, at the beginning or at the end. */
  #cut(from, count) {
    if (count <= 0) return;
    const range = document.createRange();
    range.setStart(this.#list, from);
    range.setEnd(this.#list, from + count);
    range.deleteContents();
    if (from > 0) {
      this.#end -= count;
      return;
    }
    this.#start += count;
    // The rest of a group has lost its beginning, and with it its visible name.
    if (this.#start < this.#end) this.#child(this.#start).replaceWith(this.#element(this.#start));
  }

  /** The first item that one sees, and where: the point that must not move. */
  #anchor() {
    const top = this.#scroller.getBoundingClientRect().top;
    for (let place = this.#start; place < this.#end; place++) {
      const box = this.#child(place).lastElementChild.getBoundingClientRect();
      if (box.bottom > top) return { item: this.#timeline.at(place), top: box.top };
    }
    return null;
  }

  #keep(anchor) {
    const place = anchor ? this.#timeline.base + this.#timeline.items.indexOf(anchor.item) : -1;
    if (place < this.#start || place >= this.#end) return;
    this.#scroller.scrollTop += this.#child(place).lastElementChild.getBoundingClientRect().top - anchor.top;
  }

  #scrollToEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #distance() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight;
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
    this.#list.addEventListener('click', ({ target }) => {
      if (!target.classList.contains('show')) return;
      const detail = this.#timeline.at(this.#start + [...this.#list.children].indexOf(target.closest('li')));
      this.dispatchEvent(new CustomEvent('gap', { detail }));
    });
    new ResizeObserver(() => this.settle()).observe(s);
  }

  #scrolled() {
    const was = this.#following;
    this.#pageIfNear();
    // What has come since the last frame does not take one away from the end.
    this.#following = this.#distance() < NEAR_END_PX && (was || this.#end === this.#timeline.end);
    this.#showPill();
    if (this.#following && !was) this.dispatchEvent(new Event('seen'));
  }

  /** Moves the window on where one comes near to its beginning or its end. */
  #pageIfNear() {
    const { base, end } = this.#timeline;
    if (!this.#following && this.#distance() < PAGE_PX && this.#end < end) {
      const anchor = this.#anchor();
      this.#append(Math.min(end, this.#end + PAGE));
      this.#keep(anchor);
    } else if (this.#scroller.scrollTop < PAGE_PX && this.#start > base) {
      const anchor = this.#anchor();
      this.#prepend(Math.max(base, this.#start - PAGE));
      this.#keep(anchor);
    }
    this.#askEarlier();
  }

  #askEarlier() {
    if (this.#scroller.scrollTop < PAGE_PX && this.#start === this.#timeline.base) this.dispatchEvent(new Event('earlier'));
  }

  #hold(duration = HOLD_MS) {
    clearTimeout(this.#holdTimer);
    this.#holdUntil = performance.now() + duration;
    if (duration !== Infinity) this.#holdTimer = setTimeout(() => this.changed(), duration + 20);
  }

  #release() {
    if (this.#holdUntil === Infinity) this.#hold();
  }

  #showPill() {
    const { base, items } = this.#timeline;
    if (this.#following) this.#seen = this.#timeline.at(this.#end - 1);
    // It is gone when what was not looked at was too much to be kept.
    const seen = items.indexOf(this.#seen);
    const unseen = this.#following ? [] : items.slice(seen < 0 ? this.#end - base : seen + 1);
    const count = unseen.reduce((sum, { kind, own, missed }) => sum + (kind === 'message' && !own ? 1 : missed ?? 0), 0);
    this.#pill.hidden = this.#following;
    this.#pill.classList.toggle('counting', count > 0);
    this.#pill.querySelector('.count').textContent = count > 0 ? `${count.toLocaleString()} new` : 'Latest';
  }
}

function second() {
  return Math.floor(performance.now() / 1000);
}
