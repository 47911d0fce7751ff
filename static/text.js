/**
 * From a stranger's text to what is safe and good to look at. Everything ends in text nodes:
 * no string ever becomes markup.
 */

const LINK = /https?:\/\/[^\s<>"]+/gi;
const HUES = 12;

const clock = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });
const segmenter = globalThis.Intl?.Segmenter ? new Intl.Segmenter() : null;

/** An element with a class and children, strings among them as text. */
export function make(tag, className = '', ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** The text as nodes, web addresses in it as links. */
export function linked(text) {
  const nodes = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(LINK)) {
    const address = withoutTrail(found);
    if (!isWeb(address)) continue;
    nodes.push(text.slice(end, index), link(address));
    end = index + address.length;
  }
  nodes.push(text.slice(end));
  return nodes.filter((node) => node !== '');
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
  const trimmed = address.replace(/[.,;:!?'*_]+$/, '');
  const opened = trimmed.split('(').length;
  const closed = trimmed.split(')').length;
  return trimmed.endsWith(')') && closed > opened ? withoutTrail(trimmed.slice(0, -1)) : trimmed;
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
  return segmenter ? Array.from(segmenter.segment(start), (part) => part.segment) : Array.from(start);
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

/** 'Ann', 'Ann and Bob', 'Ann, Bob and 3 others' */
export function several(names, count) {
  if (count === 1) return names[0];
  if (count === 2) return `${names[0]} and ${names[1]}`;
  return `${names[0]}, ${names[1]} and ${plural(count - 2, 'other')}`;
}

export function plural(count, noun) {
  return `${count.toLocaleString()} ${noun}${count === 1 ? '' : 's'}`;
}
