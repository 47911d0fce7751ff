/**
 * From a stranger's text to what is safe and good to look at. Everything ends in text nodes:
 * no string ever becomes markup.
 */

// Not in an address: what turns the direction of writing around.
const LINK = /https?:\/\/[^\s<>"`\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gi;
const MAX_LINK = 2048;

// A text of nothing but marks would otherwise be as many elements.
const MAX_NODES = 200;

const CODE = /`([^`\n]+)`/g;
const FENCE = /^\s*```[\w+#.-]*\s*$/;
const EMOJI = /^(?=.*[\p{Extended_Pictographic}\p{Regional_Indicator}])[\p{Extended_Pictographic}\p{Emoji_Modifier}\p{Regional_Indicator}\u200d\ufe0f\s]{1,40}$/u;
const LETTER = /[\p{L}\p{N}_]/u;
const HUES = 12;

const clock = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: 'full' });
const segmenter = Intl.Segmenter && new Intl.Segmenter();

/** An element with a class and children, strings among them as text. */
export function make(tag, className = '', ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** The text as nodes: fenced blocks, `code` and web addresses. Its time is linear in its length. */
export function rich(text) {
  const lines = text.split('\n');
  const last = lines.findLastIndex((line) => line.trim() === '```');
  const nodes = [];
  let plain = [];
  for (let i = 0; i < lines.length; i++) {
    if (i >= last || nodes.length > MAX_NODES || !FENCE.test(lines[i])) {
      plain.push(lines[i]);
      continue;
    }
    if (plain.length > 0) nodes.push(...inline(plain.join('\n')));
    plain = [];
    let end = i + 1;
    while (lines[end].trim() !== '```') end++;
    const block = make('pre', '', make('code', '', lines.slice(i + 1, end).join('\n')));
    block.tabIndex = 0; // it may have to be scrolled
    nodes.push(block);
    i = end;
  }
  if (plain.length > 0) nodes.push(...inline(plain.join('\n')));
  return nodes;
}

function inline(text) {
  return between(text, CODE, (found) => make('code', '', found[1]), linked);
}

function linked(text) {
  return between(text, LINK, ({ 0: found, index }) => {
    const address = found.length <= MAX_LINK ? withoutTrail(found) : '';
    if (!isWeb(address)) return null;
    const a = link(address);
    return address.length < found.length ? [a, text.slice(index + address.length, index + found.length)] : a;
  }, (rest) => [rest]);
}

/** What a pattern finds becomes nodes, and so does what is between. */
function between(text, pattern, node, rest) {
  const nodes = [];
  let end = 0;
  for (const found of text.matchAll(pattern)) {
    const made = nodes.length > MAX_NODES ? null : node(found);
    if (made === null) continue;
    if (found.index > end) nodes.push(...rest(text.slice(end, found.index)));
    nodes.push(...[made].flat());
    end = found.index + found[0].length;
  }
  if (end < text.length) nodes.push(...rest(text.slice(end)));
  return nodes;
}

/** Nothing but a few emoji, which may be shown large. */
export function isEmoji(text) {
  return text.length <= 40 && EMOJI.test(text) && graphemes(text).length <= 8;
}

/** Is somebody's name in the text, as a word of its own? */
export function mentions(text, nick) {
  const [hay, needle] = [text.toLowerCase(), nick.toLowerCase()];
  for (let at = hay.indexOf(needle); at >= 0 && needle !== ''; at = hay.indexOf(needle, at + 1)) {
    const [before, after] = [hay.slice(Math.max(0, at - 1), at), hay.slice(at + needle.length, at + needle.length + 1)];
    if (!LETTER.test(before) && !LETTER.test(after)) return true;
  }
  return false;
}

function link(address) {
  const a = make('a', '', address);
  a.href = address;
  a.target = '_blank';
  a.rel = 'noopener noreferrer';
  return a;
}

/** The sentence's punctuation is not the address's, nor is a bracket that opened before it. */
function withoutTrail(address) {
  let end = address.length;
  let open = address.split('(').length - address.split(')').length;
  for (; end > 0; end--) {
    const sign = address[end - 1];
    if (sign === ')' && open < 0) open++;
    else if (!'.,;:!?\'*_'.includes(sign)) break;
  }
  return address.slice(0, end);
}

function isWeb(address) {
  try {
    return /^https?:$/.test(new URL(address).protocol);
  } catch {
    return false;
  }
}

/** One or two characters that stand for a nickname; of user-N the last digits, which differ. */
export function initials(nick) {
  const drawn = /^user-\d*?(\d{1,2})$/.exec(nick);
  if (drawn) return drawn[1];
  const words = nick.split(/[\s._-]+/).filter(Boolean);
  const letters = words.slice(0, 2).map((word) => graphemes(word)[0]);
  return letters.join('').toLocaleUpperCase() || '?';
}

/** What a reader sees as one character may be many code points, and must not be cut. */
function graphemes(word) {
  const start = word.slice(0, 32);
  return Array.from(segmenter ? segmenter.segment(start) : start, (part) => part.segment ?? part);
}

/** The class of a nickname's colour: always the same for the same name (FNV-1a). */
export function hue(nick) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < nick.length; i++) hash = Math.imul(hash ^ nick.charCodeAt(i), 0x01000193);
  return `hue-${(hash >>> 8) % HUES}`;
}

// Formatting costs as much as all the rest of a message, and in a busy room its result repeats.
let formatted = { second: -1 };

/** A <time> that reads as the local clock. */
export function timeOf(date) {
  const second = Math.floor(date / 1000);
  if (second !== formatted.second) {
    formatted = { second, iso: date.toISOString(), short: clock.format(date), long: full.format(date) };
  }
  const time = make('time', '', formatted.short);
  time.dateTime = formatted.iso;
  time.title = formatted.long;
  return time;
}

/** The beginning of a day, in milliseconds since 1970. */
export function today(date = Date.now()) {
  return new Date(date).setHours(0, 0, 0, 0);
}

/** The day in words, as a reader counts days. */
export function dayOf(date) {
  const days = Math.round((today() - today(date)) / 86_400_000);
  return days === 0 ? 'Today' : days === 1 ? 'Yesterday' : day.format(date);
}

/** 'Ann', 'Ann and Bob', 'Ann, Bob and 3 others', each name isolated: it may run the other way. */
export function several(names, count) {
  const [first, second] = names.map((name) => make('bdi', '', name));
  const rest = count - Math.min(names.length, 2);
  if (!second) return rest > 0 ? [plural(count, 'member')] : [first];
  return rest > 0 ? [first, ', ', second, ` and ${plural(rest, 'other')}`] : [first, ' and ', second];
}

export function plural(count, noun) {
  return `${count.toLocaleString()} ${noun}${count === 1 ? '' : 's'}`;
}
