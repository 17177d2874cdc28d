// Finding and marking words in texts, as the server takes them apart (index/words.py).

import { make } from "./dom.js";

const WORD = /[\p{L}\p{N}]+(?:['’][\p{L}\p{N}]+)*/gu;

/** So much of a text is looked at for words, here as on the server. */
export const TEXT_READ = 20_000;

/** Return the words of the text that stand for the terms of an explanation. */
export const wordsOf = (terms) => new Set(terms.flatMap((term) => term.words));

/** Return a text as nodes, with words marked. */
export function marked(text, words) {
  if (!words.size) return [text];
  const nodes = [];
  let done = 0;
  for (const { 0: found, index } of text.slice(0, TEXT_READ).matchAll(WORD)) {
    if (!words.has(found.toLowerCase())) continue;
    nodes.push(text.slice(done, index), make("mark", {}, found));
    done = index + found.length;
  }
  nodes.push(text.slice(done));
  return nodes;
}
