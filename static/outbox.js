/**
 * Own messages that the server has not confirmed yet, at the end of the list: where they
 * stand is honest, since others may still get in before them.
 */

import { body } from './items.js';
import { make } from './text.js';

export class OutboxView extends EventTarget {
  #list;
  #chat;
  #room = '';
  #shown = '';
  #frame = 0;

  /** Events: 'changed', after the size on the screen may have changed; 'discard', detail is the entry. */
  constructor(list, chat) {
    super();
    this.#list = list;
    this.#chat = chat;
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
    const entries = this.#chat.outbox.filter(({ room }) => room === this.#room);
    // Whoever is about to press a button, or has the focus on one, keeps it while nothing changes.
    const shown = JSON.stringify(entries);
    if (shown === this.#shown) return;
    this.#shown = shown;
    const focused = this.#list.contains(document.activeElement);
    this.#list.replaceChildren(...entries.map((entry) => this.#entry(entry)));
    this.#list.hidden = entries.length === 0;
    this.dispatchEvent(new CustomEvent('changed', { detail: { focused } }));
  }

  #entry(entry) {
    const foot = make('div', 'foot', make('span', 'words', this.#words(entry)));
    if (entry.state === 'failed') foot.append(this.#button('Retry', () => this.#chat.retry(entry.id)));
    if (entry.state !== 'sent') foot.append(this.#button('Discard', () => this.#discard(entry)));
    return make('li', '', make('div', `message own ${entry.state}`, body(entry.text), foot));
  }

  #words({ state, doubt, error }) {
    if (state === 'failed') return `${doubt ? 'Perhaps not sent' : 'Not sent'}: ${error}`;
    if (state === 'sent') return 'Sending…';
    return doubt ? 'Not confirmed, will be sent again' : 'Waiting for the connection';
  }

  #discard(entry) {
    this.#chat.discard(entry.id);
    this.dispatchEvent(new CustomEvent('discard', { detail: entry }));
  }

  #button(words, action) {
    const button = make('button', 'small', words);
    button.type = 'button';
    button.addEventListener('click', action);
    return button;
  }
}
