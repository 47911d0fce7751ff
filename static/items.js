/**
 * How the things in the list look. An item is a plain object {kind, at}, at being a Date or null
 * where the time is not known, with, by kind:
 *
 *   message   nick, text, own
 *   left, joined          nick; several in a row are told as one
 *   renamed   nick, now
 *   missed, info          text, from the server
 *   divider   first, gap, count: where this page joined or came back
 *   fresh     the line above what has not been seen yet
 */

import { hue, initials, linked, make, plural, several, timeOf } from './text.js';

// Messages of one member stand together when no more than this is between them.
const GROUP_MS = 5 * 60_000;

// Above this a text gets its own scroll bar, so that one message cannot bury the others.
const LONG_CHARACTERS = 2000;
const LONG_LINES = 24;

/** The element for an item. before is the item above it. */
export function render(item, before) {
  const element = item.kind === 'message' ? message(item) : notice(item);
  if (continues(item, before)) element.classList.add('more');
  return element;
}

function continues(item, before) {
  if (item.kind !== 'message' || before?.kind !== 'message') return false;
  return item.nick === before.nick && item.own === before.own
    && Math.abs((item.at ?? 0) - (before.at ?? 0)) < GROUP_MS;
}

/** The name is in every message, though shown in the first of a group only: a screen reader needs it. */
function message({ nick, text, own, at }) {
  const name = make('span', 'nick', nick);
  name.dir = 'auto';
  const head = make('div', 'head', name);
  if (at) head.append(timeOf(at));
  return make('li', `message ${hue(nick)}${own ? ' own' : ''}`, avatar(nick), head, body(text));
}

/** The round picture of a nickname. Without one it is grey. */
export function avatar(nick) {
  const element = nick ? make('span', `avatar ${hue(nick)}`, initials(nick)) : make('span', 'avatar', '?');
  element.setAttribute('aria-hidden', 'true');
  return element;
}

/** A message's text, alike in the list and in the outbox. */
export function body(text) {
  const long = text.length > LONG_CHARACTERS || text.split('\n', LONG_LINES + 1).length > LONG_LINES;
  const element = make('div', long ? 'text long' : 'text', ...linked(text));
  element.dir = 'auto';
  if (long) element.tabIndex = 0;
  return element;
}

function notice(item) {
  const words = make('span', 'words', ...wordsOf(item));
  const element = make('li', `notice ${item.kind}`, words);
  if (item.at && item.kind !== 'divider') element.append(timeOf(item.at));
  return element;
}

function wordsOf(item) {
  switch (item.kind) {
    case 'left': return [name(item.nick), ' left'];
    case 'joined': return [name(item.nick), ' joined'];
    case 'renamed': return [name(item.nick), ' is now ', name(item.now)];
    case 'missed': return [item.text.charAt(0).toUpperCase() + item.text.slice(1)];
    case 'divider': return dividerWords(item);
    case 'fresh': return ['New messages'];
    default: return [item.text];
  }
}

function dividerWords({ first, gap, at }) {
  if (first) return ['You joined at ', timeOf(at)];
  if (gap) return ['Back at ', timeOf(at), ' · some messages may be missing'];
  return ['While you were away'];
}

/** Isolated, so that a name in another direction does not turn the sentence around. */
function name(nick) {
  return make('bdi', '', nick);
}

/** Tells one more departure or arrival in the line that tells the last. */
export function fold(element, item, folded) {
  folded.count++;
  if (folded.names.length < 2) folded.names.push(item.nick);
  const verb = item.kind === 'left' ? 'left' : 'joined';
  element.querySelector('.words').textContent = `${several(folded.names, folded.count)} ${verb}`;
}

export function skipped(count) {
  return { kind: 'missed', at: null, text: `${plural(count, 'message')} went by too fast to show` };
}
