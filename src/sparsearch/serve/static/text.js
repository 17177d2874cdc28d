// Finding and marking words in texts, as the server takes them apart (serve/words.py).

import { make } from "./dom.js";

const WORD = /[\p{L}\p{N}]+(?:['’][\p{L}\p{N}]+)*/gu;

/** So much of a text is looked at for words, here as on the server. */
export const TEXT_READ = 20_000;

/** Return the words of the text that stand for the terms of an explanation. */
export const wordsOf = (terms) => new Set(terms.flatMap((term) => term.words));

/** Return where words stand: a list of {start, end, word}. */
export function occurrences(text, words) {
  const found = [];
  if (!words.size) return found;
  for (const match of text.slice(0, TEXT_READ).matchAll(WORD)) {
    const word = match[0].toLowerCase();
    if (words.has(word)) found.push({ start: match.index, end: match.index + match[0].length, word });
  }
  return found;
}

/** Return a text as nodes, with words marked. */
export function marked(text, words) {
  const nodes = [];
  let done = 0;
  for (const { start, end } of occurrences(text, words)) {
    nodes.push(text.slice(done, start), make("mark", {}, text.slice(start, end)));
    done = end;
  }
  nodes.push(text.slice(done));
  return nodes;
}

/** Return the part of a text, so many characters of it, where most different words stand. */
export function passage(text, words, length = 300) {
  if (text.length <= length) return text;
  const found = occurrences(text, words);
  let best = { start: 0, value: 0 };
  for (let first = 0, last = 0; first < found.length; first++) {
    while (last < found.length && found[last].end <= found[first].start + length * 0.8) last++;
    const inside = found.slice(first, last);
    // Another word is worth more than the same one again.
    const value = new Set(inside.map(({ word }) => word)).size * 100 + inside.length;
    if (value > best.value) best = { start: found[first].start, value };
  }
  const start = wordStart(text, best.start < length * 0.6 ? 0 : best.start - 40);
  const end = wordEnd(text, start + length);
  return (start ? "…\u00a0" : "") + text.slice(start, end).trim() + (end < text.length ? "\u00a0…" : "");
}

/** Return the start of the next word, if it is near; never the middle of a character. */
function wordStart(text, at) {
  if (at <= 0) return 0;
  const space = text.slice(at, at + 40).search(/\s/);
  return space < 0 ? wholeCharacter(text, at) : at + space + 1;
}

function wordEnd(text, at) {
  if (at >= text.length) return text.length;
  const space = text.slice(at, at + 40).search(/\s/);
  return space < 0 ? wholeCharacter(text, at) : at + space;
}

const wholeCharacter = (text, at) => (/[\udc00-\udfff]/.test(text[at]) ? at - 1 : at);
