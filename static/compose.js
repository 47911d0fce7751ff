/**
 * The field to write in. Enter sends, Shift+Enter begins a line, and what could not be taken
 * stays where it was typed.
 */

// In UTF-16 units: with three bytes each this stays below the server's limit of a message.
const MAX_LENGTH = 4000;
const WARN_LENGTH = 3600;

const WORDS = {
  full: 'Too many messages are waiting. This one stays here until there is room.',
  offline: 'Not connected: a command cannot wait. Try again in a moment.',
  long: 'Too long to send in one message.',
};

export class Composer {
  #form;
  #field;
  #grow;
  #counter;
  #problem;
  #say;

  /** say takes the text and answers 'ok' or why not; see PlainRoom.say. */
  constructor({ form, field, grow, counter, problem, say }) {
    this.#form = form;
    this.#field = field;
    this.#grow = grow;
    this.#counter = counter;
    this.#problem = problem;
    this.#say = say;
    form.addEventListener('submit', (event) => this.#submit(event));
    field.addEventListener('keydown', (event) => this.#key(event));
    field.addEventListener('input', () => this.#changed());
    // The browser may have put back what was typed before a reload.
    this.#changed();
  }

  focus() {
    this.#field.focus();
  }

  #key(event) {
    // While an input method composes, Enter chooses a word. Safari ends the composition before
    // the key arrives; there only the old key code 229 tells.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    this.#form.requestSubmit();
  }

  #submit(event) {
    event.preventDefault();
    const text = this.#field.value.replace(/^(\s*\n)+/, '').trimEnd();
    if (text.trim() === '') return;
    const answer = text.length > MAX_LENGTH ? 'long' : this.#say(text);
    if (answer === 'ok') this.#field.value = '';
    this.#changed();
    this.#problem.textContent = WORDS[answer] ?? '';
    this.#field.focus();
  }

  #changed() {
    const { value } = this.#field;
    // A hidden copy of the text in the same grid cell gives the field its height.
    this.#grow.dataset.text = value;
    this.#form.classList.toggle('filled', value.trim() !== '');
    this.#problem.textContent = '';
    const left = MAX_LENGTH - value.length;
    this.#counter.textContent = value.length > WARN_LENGTH ? left.toLocaleString() : '';
    this.#counter.classList.toggle('over', left < 0);
  }
}
