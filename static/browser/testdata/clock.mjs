// What the tests need in the page and in Node, run before anything else: a clock
// that is the real one and can be put forward or stopped, and a way to wait.
(() => {
  const real = {};
  for (const name of ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval']) real[name] = globalThis[name].bind(globalThis);
  const dateNow = Date.now.bind(Date);
  const performanceNow = performance.now.bind(performance);
  const epoch = dateNow() - performanceNow();
  const timers = new Set();
  let ahead = 0;
  let standing = null; // the time, if it stands still
  const now = () => standing ?? performanceNow() + ahead;

  // What setTimeout returns: in Node others than the library use it, too, and call its methods.
  class Timer {
    constructor(run, ms = 0, every = undefined) {
      Object.assign(this, { run, ms: Number(ms) || 0, every });
      this.refresh();
    }

    refresh() {
      real.clearTimeout(this.armed);
      this.due = now() + this.ms;
      if (standing === null) this.armed = real.setTimeout(() => this.fire(), this.ms);
      timers.add(this);
      return this;
    }

    fire() {
      if (!timers.has(this)) return;
      this.clear();
      if (this.every) this.refresh();
      this.run();
    }

    clear() {
      real.clearTimeout(this.armed);
      timers.delete(this);
    }

    ref() { return this; }

    unref() { return this; }
  }

  Object.assign(globalThis, {
    setTimeout: (f, ms, ...args) => new Timer(() => f(...args), ms),
    setInterval: (f, ms, ...args) => new Timer(() => f(...args), ms, true),
    clearTimeout: (timer) => timer?.clear?.(),
    clearInterval: (timer) => timer?.clear?.(),
  });
  Date.now = () => epoch + now();
  performance.now = now;

  // What is due by then happens now, in order; what it sets going in turn takes its time.
  function pass(ms) {
    if (standing === null) ahead += ms;
    else standing += ms;
    const due = [...timers].filter((timer) => timer.due <= now()).sort((a, b) => a.due - b.due);
    for (const timer of due) timer.fire();
  }

  // From now on time passes only when it is told to.
  function stop() {
    standing = now();
    for (const { armed } of timers) real.clearTimeout(armed);
  }

  // Resolves once a condition is true. It looks after each change of the page, and now and then
  // for what changes no element: the text in a field, a media query, a scroll bar.
  function until(condition) {
    return new Promise((resolve, reject) => {
      let observer = null;
      let timer = 0;
      const look = () => {
        try {
          if (!condition()) return;
          resolve(true);
        } catch (error) {
          reject(error);
        }
        observer?.disconnect();
        real.clearInterval(timer);
      };
      timer = real.setInterval(look, 50);
      if (globalThis.MutationObserver) {
        observer = new MutationObserver(look);
        observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
      }
      look();
    });
  }

  globalThis.tests = { pass, stop, until };
})();
