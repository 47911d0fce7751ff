/**
 * How the things in the list look. An item is a plain object {kind, at}, at being a Date or null
 * where the time is not known, with, by kind:
 *
 *   message   epoch, seq, id, nick, text, own, mention, fresh: the first that was not seen
 *   presence  joined, left {people [{id, nick}], count}, renamed [{old, nick}]
 *   gap       epoch, from, to, missed (a count or null), state: '', 'loading', 'lost' or 'offline'
 *   info      text, refused: a second one takes the place of the first
 *
 * before is the item above, where there is one.
 */

import { dayOf, hue, initials, isEmoji, make, plural, rich, several, timeOf, today } from './text.js';

// Messages of one member stand together when no more than this is between them.
const GROUP_MS = 5 * 60_000;

// Above this a text gets its own scroll bar, so that one message cannot bury the others.
const LONG_CHARACTERS = 2000;
const LONG_LINES = 24;

/** The element for an item, with what has to stand above it: the day, the line of new messages. */
export function render(item, before) {
  const row = make('li');
  const day = item.at && (!before || (before.at && today(item.at) !== today(before.at)));
  if (day) row.append(line('day', dayOf(item.at)));
  if (item.fresh) row.append(line('fresh', 'New messages'));
  const more = !day && !item.fresh && continues(item, before);
  row.append(item.kind === 'message' ? message(item, more) : item.kind === 'gap' ? gap(item) : notice(item));
  return row;
}

function continues(item, before) {
  return item.kind === 'message' && before?.kind === 'message' && item.id === before.id
    && item.nick === before.nick && Math.abs(item.at - before.at) < GROUP_MS;
}

function line(kind, words) {
  return make('div', `line ${kind}`, make('span', '', words));
}

/** The name is in every message, though shown in the first of a group only: a screen reader needs it. */
function message({ nick, text, own, at, mention }, more) {
  const name = make('bdi', 'nick', nick);
  const head = make('div', 'head', name, timeOf(at));
  const kind = `${own ? ' own' : ''}${more ? ' more' : ''}${mention ? ' mention' : ''}`;
  return make('div', `message ${hue(nick)}${kind}`, avatar(nick), head, body(text));
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
  const element = make('div', `text${long ? ' long' : ''}${isEmoji(text) ? ' emoji' : ''}`, ...rich(text));
  element.dir = 'auto';
  if (long) element.tabIndex = 0;
  return element;
}

function notice(item) {
  const element = make('div', `notice ${item.kind}`, make('span', 'words', ...wordsOf(item)));
  if (item.at) element.append(timeOf(item.at));
  return element;
}

function wordsOf({ kind, text, joined, left, renamed }) {
  if (kind !== 'presence') return [text];
  const acts = [
    ...[[joined, 'joined'], [left, 'left']].filter(([{ count }]) => count > 0)
      .map(([who, verb]) => [...several(who.people.map(({ nick }) => nick), who.count), ` ${verb}`]),
    ...renamed.map(({ old, nick }) => [make('bdi', '', old), ' is now ', make('bdi', '', nick)]),
  ];
  return acts.flatMap((act, i) => (i > 0 ? [' · ', ...act] : act));
}

const GAP = { loading: 'fetching…', lost: 'the server no longer has them', offline: 'not connected, try again' };

function gap(item) {
  const many = item.missed ? `${plural(item.missed, 'message')} missed` : 'Messages missed';
  const words = make('span', 'words', GAP[item.state] ? `${many}: ${GAP[item.state]}` : many);
  const element = make('div', 'line gap', words);
  if (item.state === 'loading' || item.state === 'lost') return element;
  const button = make('button', 'small show', 'Show');
  button.type = 'button';
  words.append(' ', button);
  return element;
}
