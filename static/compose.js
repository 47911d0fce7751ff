/**
 * The field to write in. Enter sends, Shift+Enter begins a line, Up in an empty field brings back
 * what was said last, and what could not be taken stays where it was typed.
 */

const WARN_BYTES = 400; // what is left when the counter appears
const MAX_SAID = 20;
const TYPING_MS = 3000;

const encoder = new TextEncoder();

const WORDS = {
  full: 'Too many messages are waiting. This one stays here until there is room.',
  long: 'Too long to send in one message.',
};

export class Composer extends EventTarget {
  #form;
  #field;
  #grow;
  #counter;
  #problem;
  #say;
  #limit = 4096; // bytes of a message, until the server has said
  #said = []; // what was said in this room, oldest first
  #recalled = 0; // how far back Up has gone
  #typedAt = -TYPING_MS;

  /**
   * say takes the text and answers 'ok' or why not. Events: 'draft', what is in the field has
   * changed; 'typing', now and then while somebody writes.
   */
  constructor({ form, field, grow, counter, problem, say }) {
    super();
    this.#form = form;
    this.#field = field;
    this.#grow = grow;
    this.#counter = counter;
    this.#problem = problem;
    this.#say = say;
    form.addEventListener('submit', (event) => this.#submit(event));
    field.addEventListener('keydown', (event) => this.#key(event));
    field.addEventListener('input', () => this.#typed());
  }

  get text() {
    return this.#field.value;
  }

  set limit(bytes) {
    if (!bytes || bytes === this.#limit) return;
    this.#limit = bytes;
    this.#changed();
  }

  /** Another room: its draft, and what one said there. */
  open(draft, said) {
    this.#field.value = draft;
    this.#said = said;
    this.#changed();
  }

  focus() {
    this.#field.focus();
  }

  /** Words under the field, until the next key. */
  complain(words) {
    this.#problem.textContent = words;
  }

  #key(event) {
    // While an input method composes, keys choose words. Safari ends the composition before
    // the key arrives; there only the old key code 229 tells.
    if (event.isComposing || event.keyCode === 229 || event.altKey) return;
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      this.#form.requestSubmit();
    } else if (event.key === 'ArrowUp') this.#recall(event, 1);
    else if (event.key === 'ArrowDown') this.#recall(event, -1);
  }

  #recall(event, step) {
    const present = this.#recalled > 0 ? this.#said.at(-this.#recalled) : '';
    const next = this.#recalled + step;
    if (this.text !== present || next < 0 || next > this.#said.length) return;
    event.preventDefault();
    this.#field.value = next > 0 ? this.#said.at(-next) : '';
    this.#changed();
    this.#recalled = next;
    this.dispatchEvent(new Event('draft'));
  }

  #submit(event) {
    event.preventDefault();
    const text = this.text.replace(/^(\s*\n)+/, '').trimEnd();
    if (text.trim() === '') return;
    const answer = this.#left(text) < 0 ? 'long' : this.#say(text);
    if (answer === 'ok') {
      this.#field.value = '';
      this.#typedAt = -TYPING_MS; // the next one is told of at once
      this.#said.push(text);
      if (this.#said.length > MAX_SAID) this.#said.shift();
      this.dispatchEvent(new Event('draft'));
    }
    this.#changed();
    this.complain(WORDS[answer] ?? '');
    this.focus();
  }

  #typed() {
    this.#changed();
    this.dispatchEvent(new Event('draft'));
    if (this.text === '' || performance.now() - this.#typedAt < TYPING_MS) return;
    this.#typedAt = performance.now();
    this.dispatchEvent(new Event('typing'));
  }

  /** Bytes that may still be written; a long text alone is worth counting. */
  #left(text) {
    const most = this.#limit - 3 * text.length;
    return most > WARN_BYTES ? most : this.#limit - encoder.encode(text).length;
  }

  #changed() {
    this.#recalled = 0;
    // A hidden copy of the text in the same grid cell gives the field its height.
    this.#grow.dataset.text = this.text;
    this.#form.classList.toggle('filled', this.text.trim() !== '');
    this.complain('');
    const left = this.#left(this.text.trimEnd());
    this.#counter.textContent = left < 0 ? `${(-left).toLocaleString()} too many` : left < WARN_BYTES ? `${left.toLocaleString()} left` : '';
    this.#counter.classList.toggle('over', left < 0);
  }
}
