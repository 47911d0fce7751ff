/**
 * The connection: a WebSocket that comes back by itself.
 *
 *   const connection = new Connection(() => 'wss://example.org/chat');
 *   connection.addEventListener('text', (event) => console.log(event.detail));
 *   connection.open();
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
 *
 * It knows nothing of rooms and nicknames: the protocols stand on top of it.
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

  /** url is a function, called for each attempt: what it says may change in between. */
  constructor(url, protocols = []) {
    super();
    this.#url = url;
    this.#protocols = protocols;
    this.#watch('addEventListener');
  }

  /** Connects now, whatever it was doing. The back-off goes on from where it was. */
  open() {
    this.#drop();
    const socket = new WebSocket(this.#url(), this.#protocols);
    this.#socket = socket;
    socket.onopen = () => this.#opened();
    socket.onmessage = (event) => this.#received(event.data);
    socket.onclose = (event) => this.#closed(event.code, event.reason);
    this.#attemptTimer = setTimeout(this.#lost, ATTEMPT_LIMIT_MS);
    this.#become('connecting');
  }

  /** Sends one text frame. False when there is no open connection; nothing is kept. */
  send(text) {
    if (this.state !== 'open') return false;
    this.#socket.send(text);
    if (!this.#silenceTimer) this.#silenceTimer = setTimeout(this.#lost, SILENCE_LIMIT_MS);
    return true;
  }

  /** Ends it for good: no further attempt, no listeners left on the window. */
  close() {
    this.#watch('removeEventListener');
    this.#drop(1000);
    this.#become('closed');
  }

  /**
   * The window's signs that the network went or came back: waiting any longer would only look
   * slow. Outside a browser there are none, and the back-off alone decides.
   */
  #watch(method) {
    globalThis[method]?.('online', this.#wake);
    globalThis[method]?.('offline', this.#lost);
    globalThis.document?.[method]('visibilitychange', this.#wake);
  }

  #opened() {
    clearTimeout(this.#attemptTimer);
    this.#steadyTimer = setTimeout(() => { this.#attempt = 0; }, STEADY_MS);
    this.#become('open');
  }

  #received(data) {
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = 0;
    if (typeof data === 'string') this.dispatchEvent(new CustomEvent('text', { detail: data }));
  }

  #closed(code, reason) {
    this.#drop();
    if (FINAL_CODES.has(code)) {
      this.#become('closed', code, reason);
      return;
    }
    const delay = backoff(this.#attempt++);
    this.retryAt = Date.now() + delay;
    this.#attemptTimer = setTimeout(() => this.open(), delay);
    this.#become('waiting', code, reason);
  }

  /** Lets go of the socket without waiting for its close event, which on a dead network comes late. */
  #drop(code) {
    clearTimeout(this.#attemptTimer);
    clearTimeout(this.#steadyTimer);
    clearTimeout(this.#silenceTimer);
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
    if (this.state === 'waiting' && !globalThis.document?.hidden) this.open();
  };
}
