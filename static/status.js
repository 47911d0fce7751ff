/**
 * The state of the connection in words: always in the header, and in a banner once it has been
 * away long enough to matter.
 */

import { plural } from './text.js';

const WORDS = {
  open: 'Connected',
  connecting: 'Connecting…',
  waiting: 'Reconnecting…',
  closed: 'Disconnected',
};

// A blink of the network is not worth a banner.
const BANNER_AFTER_MS = 5000;

export class Status {
  #status;
  #banner;
  #detail = { state: 'connecting' };
  #awaySince = performance.now(); // which no change of the clock moves
  #retryAt = 0;
  #wasOpen = false;

  constructor({ status, banner }) {
    this.#status = status;
    this.#banner = banner;
    setInterval(() => this.#tick(), 250);
  }

  /** detail is the connection's: {state, retryAt, reason}. */
  show(detail) {
    if (detail.state === 'open') this.#wasOpen = true;
    else if (this.#detail.state === 'open') this.#awaySince = performance.now();
    this.#detail = detail;
    this.#retryAt = performance.now() + detail.retryAt - Date.now();
    const coming = detail.state === 'connecting';
    this.#status.dataset.state = detail.state;
    this.#status.querySelector('.words').textContent =
      coming && this.#wasOpen ? WORDS.waiting : WORDS[detail.state];
    this.#tick();
  }

  #tick() {
    const { state } = this.#detail;
    const away = state !== 'open' && performance.now() - this.#awaySince >= BANNER_AFTER_MS;
    const shown = away || state === 'closed';
    if (this.#banner.hidden === shown) this.#banner.hidden = !shown;
    if (!shown) return;
    this.#say('.words', this.#reason());
    this.#say('.countdown', this.#countdown());
  }

  #reason() {
    const { state, reason } = this.#detail;
    if (state === 'closed') return `The server ended this connection${reason ? `: ${reason}` : ''}.`;
    return this.#wasOpen ? 'The connection is gone.' : 'The server cannot be reached.';
  }

  #countdown() {
    const { state } = this.#detail;
    if (state === 'closed') return '';
    if (state !== 'waiting') return 'Trying now…';
    return `Next attempt in ${plural(Math.max(1, Math.ceil((this.#retryAt - performance.now()) / 1000)), 'second')}.`;
  }

  /** Written only when it differs: a live region repeats whatever is written. */
  #say(part, words) {
    const element = this.#banner.querySelector(part);
    if (element.textContent !== words) element.textContent = words;
  }
}
