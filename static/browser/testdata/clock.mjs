// What the tests need in the page and in Node, run before anything else: a clock
// that is the real one and can be put forward, and a way to wait.
(() => {
  const real = {};
  for (const name of ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval']) real[name] = globalThis[name].bind(globalThis);
  const dateNow = Date.now.bind(Date);
  const performanceNow = performance.now.bind(performance);
  const timers = new Map(); // {due, run, armed} by id
  let ahead = 0;
  let serial = 0;
  const now = () => performanceNow() + ahead;

  function arm(id, timer) {
    timer.armed = real.setTimeout(() => fire(id, timer), timer.due - now());
    timers.set(id, timer);
  }

  function fire(id, timer) {
    if (timers.get(id) !== timer) return;
    timers.delete(id);
    real.clearTimeout(timer.armed);
    if (timer.every !== undefined) arm(id, { ...timer, due: now() + timer.every });
    timer.run();
  }

  function begin(run, ms = 0, every = undefined) {
    serial += 1;
    arm(serial, { due: now() + ms, run, every });
    return serial;
  }

  function clear(id) {
    real.clearTimeout(timers.get(id)?.armed);
    timers.delete(id);
  }

  Object.assign(globalThis, {
    setTimeout: (f, ms, ...args) => begin(() => f(...args), ms),
    setInterval: (f, ms, ...args) => begin(() => f(...args), ms, ms),
    clearTimeout: clear,
    clearInterval: clear,
  });
  Date.now = () => dateNow() + ahead;
  performance.now = now;

  // What is due by then happens now, in order; what it sets going in turn takes its time.
  function pass(ms) {
    ahead += ms;
    const due = [...timers].filter(([, timer]) => timer.due <= now()).sort(([, a], [, b]) => a.due - b.due);
    for (const [id, timer] of due) fire(id, timer);
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

  globalThis.tests = { pass, until };
})();
