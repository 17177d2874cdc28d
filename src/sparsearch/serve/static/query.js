// What is typed, as the collection takes it: text, or the weights of terms.

const WEIGHTED = /^(.+):([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)$/i;

/** Return whether a collection holds vectors from outside, so that queries are weights. */
export const takesWeights = (info) => info.encoder === null;

/** Return how to search, as the API takes it. */
export function settingsOf({ recall, feedback }, filter) {
  const settings = { recall };
  if (feedback) settings.feedback = {};
  if (Object.keys(filter).length) settings.filter = filter;
  return settings;
}

/** Return the query to send; null if there is nothing to search for. */
export function readQuery(text, info) {
  if (!text.trim()) return null;
  return takesWeights(info) ? readWeights(text) : text;
}

/** Return the weights in a text such as "json:2 file": a term without a weight has 1. */
export function readWeights(text) {
  const weights = Object.create(null);
  for (const word of text.trim().split(/\s+/)) {
    const [, term, given] = WEIGHTED.exec(word) ?? [null, word, "1"];
    weights[term] = (weights[term] ?? 0) + Number(given);
  }
  return weights;
}
