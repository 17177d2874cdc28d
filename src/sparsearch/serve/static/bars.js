// Contributions of terms to a score, as bars.

import { make, weight } from "./dom.js";
import { TEXT_READ } from "./text.js";

const FEW = 5;

/**
 * Return what kind of term it is for a document or hit: "in-text", "expansion", or "unknown" where
 * neither the encoder says so nor words tell: the text is not there, or not read to its end, or
 * terms are numbers.
 */
export function kindOf(term, { title, text, text_length: length = text?.length ?? 0 }, info) {
  if (term.words.length || term.in_text) return "in-text";
  if (term.in_text === false) return "expansion";
  const isNumber = info.encoder === null && /^\d+$/.test(term.term);
  return !(title || length) || length > TEXT_READ || isNumber ? "unknown" : "expansion";
}

/** Return a bar: a share of its full length, 0 to 1. */
export function bar(share, kind, isNegative = false) {
  const fill = make("span", { class: `fill ${kind}${isNegative ? " negative" : ""}` });
  fill.style.width = `${(100 * Math.min(1, Math.max(0.01, share))).toFixed(1)}%`;
  return make("span", { class: "bar", "aria-hidden": "true" }, fill);
}

/** Return a hit's score and the terms that matter most for it, each with its bar. */
export function contributions(hit, info, largest) {
  const terms = hit.terms.slice(0, FEW);
  const rest = hit.terms.slice(FEW);
  const rows = terms.map((term) => {
    const kind = kindOf(term, hit, info);
    const words = term.words.length ? `in the text: ${term.words.join(", ")}` : null;
    return make("li", { class: kind, title: words },
      make("bdi", { class: "term" }, term.term),
      kind === "expansion" ? make("span", { class: "hidden" }, " (expansion)") : null,
      bar(Math.abs(term.contribution) / largest, kind, term.contribution < 0),
      make("span", { class: "value" }, weight(term.contribution)));
  });
  if (rest.length) {
    const sum = rest.reduce((total, term) => total + term.contribution, 0);
    rows.push(row("rest", `${rest.length} more`, sum));
  }
  return make("ul", { class: "terms", "aria-label": "Score, and the terms that add to it" },
    row("total", "score", hit.score), ...rows);
}

function row(kind, name, sum) {
  return make("li", { class: kind }, make("span", { class: "term" }, name),
    make("span", { class: "bar" }), make("span", { class: "value" }, weight(sum)));
}
