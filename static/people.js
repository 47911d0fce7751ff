/**
 * Who is in a room: a list that is fetched page by page, never the whole of a large room.
 */

import { avatar } from './items.js';
import { make, plural } from './text.js';

const PAGE = 50;

export class People {
  #dialog;
  #list;
  #count;
  #more;
  #problem;
  #chat;
  #room = '';
  #after = 0;
  #known = new Set(); // ids: somebody with two connections may be in two pages

  constructor({ dialog, chat }) {
    this.#dialog = dialog;
    this.#chat = chat;
    this.#list = dialog.querySelector('.people');
    this.#count = dialog.querySelector('.many');
    this.#more = dialog.querySelector('.more-people');
    this.#problem = dialog.querySelector('.problem');
    this.#more.addEventListener('click', () => this.#fetch());
  }

  open(room) {
    this.#room = room;
    this.#after = 0;
    this.#list.replaceChildren();
    this.#known.clear();
    this.#more.hidden = true;
    this.#count.textContent = `in #${room}`;
    this.#dialog.showModal();
    this.#fetch();
  }

  async #fetch() {
    const room = this.#room;
    this.#problem.textContent = '';
    let page;
    try {
      page = await this.#chat.who(room, { after: this.#after, limit: PAGE });
    } catch (error) {
      this.#problem.textContent = `The list cannot be fetched: ${error.message}.`;
      this.#more.hidden = false;
      return;
    }
    if (room !== this.#room) return; // it has been opened for another one
    for (const member of page.members) {
      if (!this.#known.has(member.id)) this.#list.append(this.#member(member));
      this.#known.add(member.id);
    }
    this.#after = page.members.at(-1)?.join ?? this.#after;
    // What one has pressed for the last page goes.
    if (!page.more && document.activeElement === this.#more) this.#list.focus();
    this.#more.hidden = !page.more;
    const shown = this.#list.childElementCount;
    const all = plural(page.count, 'member');
    this.#count.textContent = `${page.more ? `${shown.toLocaleString()} of ${all}` : all} in #${room}`;
  }

  #member({ id, nick }) {
    const name = make('bdi', '', nick);
    return make('li', '', avatar(nick), name, ...(id === this.#chat.me?.id ? [make('span', 'you', 'you')] : []));
  }
}
