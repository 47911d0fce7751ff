/**
 * A WebSocket that comes back by itself. throng.js stands on it; it knows nothing of rooms.
 *
 * Events:
 *   state  detail {state, retryAt, code, reason}, at every change of state
 *   text   detail is one text frame, a string
 *
 * States:
 *   closed      by close(), or by the server for good; open() begins again
 *   connecting  an attempt is under way
 *   open        frames go both ways
 *   waiting     the next attempt is at retryAt (milliseconds since 1970)
 */

const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 30_000;

// A network that swallows packets lets an attempt hang for minutes.
const ATTEMPT_LIMIT_MS = 10_000;

// A connection must last this long before the back-off starts afresh.
// Otherwise a server that accepts and closes at once is asked twice a second.
const STEADY_MS = 10_000;

// Nothing at all received for so long after sending means that the other end is gone, though
// no one has told this side. An overloaded server is slow but not silent.
const SILENCE_LIMIT_MS = 15_000;

// In a quiet room something is sent so often, to notice that.
const BEAT_MS = 30_000;

// Codes by which the server asks not to come back: kicked, forbidden.
const FINAL_CODES = new Set([4001, 4003]);

/** The time to wait before an attempt: random, so that thousands do not come back as one. */
export function backoff(attempt, random = Math.random) {
  const ceiling = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(attempt + 1, 10));
  return FIRST_DELAY_MS + random() * (ceiling - FIRST_DELAY_MS);
}

export class Connection extends EventTarget {
  state = 'closed';
  retryAt = 0;

  #url;
  #protocols;
  #socket = null;
  #attempt = 0;
  #attemptTimer = 0; // the next attempt, or the limit of the present one
  #steadyTimer = 0;
  #silenceTimer = 0;
  #beatTimer = 0;
  #beat;
  #WebSocket;
  #pauseMs = 0; // what the server has asked for
  #watching = false;

  /**
   * url is a function, called for each attempt: what it says may change in between. beat is a text
   * that the other end answers. WebSocket is the class, where there is none in globalThis.
   */
  constructor(url, { protocols = [], beat = '', WebSocket = globalThis.WebSocket } = {}) {
    super();
    this.#url = url;
    this.#protocols = protocols;
    this.#beat = beat;
    this.#WebSocket = WebSocket;
  }

  /** Connects now, whatever it was doing. The back-off goes on from where it was. */
  open() {
    this.#drop();
    this.#watch('addEventListener', true);
    this.#pauseMs = 0;
    const socket = new this.#WebSocket(this.#url(), this.#protocols);
    this.#socket = socket;
    socket.onopen = () => this.#opened();
    socket.onmessage = (event) => this.#received(event.data);
    socket.onclose = (event) => this.#closed(event.code, event.reason);
    socket.onerror = () => {}; // close tells; npm's ws throws what nobody listens to, after #drop, too
    this.#attemptTimer = setTimeout(this.#lost, ATTEMPT_LIMIT_MS);
    this.#become('connecting');
  }

  /**
   * Sends one text frame. False when there is no open connection; nothing is kept. What is answered
   * shows by silence that the other end is gone.
   */
  send(text, answered = true) {
    if (this.state !== 'open') return false;
    this.#socket.send(text);
    if (answered && !this.#silenceTimer) this.#silenceTimer = setTimeout(this.#lost, SILENCE_LIMIT_MS);
    return true;
  }

  /** The next time that the connection ends, comes back after that time and not before. */
  pause(ms) {
    this.#pauseMs = ms;
  }

  /** Ends it for good: no further attempt, no listeners left on the window. */
  close() {
    this.#watch('removeEventListener', false);
    this.#drop(1000);
    this.#become('closed');
  }

  /**
   * The window's signs that the network went or came back: waiting any longer would only look
   * slow. Outside a browser there are none, and the back-off alone decides.
   */
  #watch(method, watching) {
    if (watching === this.#watching) return;
    this.#watching = watching;
    globalThis[method]?.('online', this.#wake);
    globalThis[method]?.('offline', this.#lost);
    globalThis.document?.[method]('visibilitychange', this.#wake);
  }

  #opened() {
    clearTimeout(this.#attemptTimer);
    this.#steadyTimer = setTimeout(() => { this.#attempt = 0; }, STEADY_MS);
    this.#become('open');
    this.#expectBeat();
  }

  #expectBeat() {
    clearTimeout(this.#beatTimer);
    if (this.#beat) this.#beatTimer = setTimeout(() => this.send(this.#beat), BEAT_MS);
  }

  #received(data) {
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = 0;
    this.#expectBeat();
    if (typeof data === 'string') this.dispatchEvent(new CustomEvent('text', { detail: data }));
  }

  #closed(code, reason) {
    this.#drop();
    if (FINAL_CODES.has(code)) {
      this.#watch('removeEventListener', false);
      this.#become('closed', code, reason);
      return;
    }
    const delay = this.#pauseMs || backoff(this.#attempt++);
    this.retryAt = Date.now() + delay;
    this.#attemptTimer = setTimeout(() => this.open(), delay);
    this.#become('waiting', code, reason);
  }

  /** Lets go of the socket without waiting for its close event, which on a dead network comes late. */
  #drop(code) {
    clearTimeout(this.#attemptTimer);
    clearTimeout(this.#steadyTimer);
    clearTimeout(this.#silenceTimer);
    clearTimeout(this.#beatTimer);
    this.#silenceTimer = 0;
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = null;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(code);
  }

  #become(state, code = 0, reason = '') {
    this.state = state;
    if (state !== 'waiting') this.retryAt = 0;
    const detail = { state, retryAt: this.retryAt, code, reason };
    this.dispatchEvent(new CustomEvent('state', { detail }));
  }

  #lost = () => {
    if (this.state === 'open' || this.state === 'connecting') this.#closed(1006, '');
  };

  #wake = () => {
    if (globalThis.document?.hidden) return;
    if (this.state === 'waiting' && !this.#pauseMs) this.open();
    else if (this.state === 'open' && this.#beat) this.send(this.#beat); // is it still there?
  };
}
