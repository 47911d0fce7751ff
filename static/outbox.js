/**
 * Own messages that have not come back from the server yet, at the end of the list: where they
 * stand is honest, since others may still get in before them.
 */

import { body } from './items.js';
import { make } from './text.js';

const WORDS = {
  waiting: 'Waiting for the connection',
  sent: 'Sending…',
  lost: 'Sent, not confirmed',
  unconfirmed: 'May not have arrived',
};

export class OutboxView extends EventTarget {
  #list;
  #room = null;
  #frame = 0;

  constructor(list) {
    super();
    this.#list = list;
    // Events: 'changed', after the size on the screen may have changed.
  }

  show(room) {
    this.#room = room;
    // In the same frame as the list, so that a message changes places without a flicker.
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#render();
    });
  }

  #render() {
    const focused = this.#list.contains(document.activeElement);
    this.#list.replaceChildren(...this.#room.outbox.map((entry) => this.#entry(entry)));
    this.#list.hidden = this.#room.outbox.length === 0;
    this.dispatchEvent(new CustomEvent('changed', { detail: { focused } }));
  }

  #entry(entry) {
    const lost = entry.state === 'sent' && !this.#room.settled;
    const state = lost ? 'lost' : entry.state;
    const foot = make('div', 'foot', make('span', 'words', WORDS[state]));
    if (state === 'unconfirmed') foot.append(this.#button('Send again', () => this.#room.resend(entry.id)));
    if (state !== 'sent' && state !== 'lost') {
      foot.append(this.#button('Discard', () => this.#room.discard(entry.id)));
    }
    return make('li', `message own ${state}`, body(entry.text), foot);
  }

  #button(words, action) {
    const button = make('button', 'small', words);
    button.type = 'button';
    button.addEventListener('click', action);
    return button;
  }
}
