// Hits as list items.

import { contributions } from "./bars.js";
import { make, plain } from "./dom.js";
import { marked, wordsOf } from "./text.js";

const FEW_FIELDS = 4;

/**
 * Return the hits of an answer as list items.
 * @param {Object[]} hits
 * @param {Object} info Facts about the collection.
 * @param {(id: string) => string} address Of the state in which a document is open.
 */
export function hitItems(hits, info, address) {
  const all = hits.flatMap((hit) => hit.terms.map((term) => Math.abs(term.contribution)));
  const largest = Math.max(...all, Number.MIN_VALUE);
  return hits.map((hit, index) => hitItem(hit, index + 1, info, address(hit.id), largest));
}

function hitItem(hit, rank, info, href, largest) {
  const words = wordsOf(hit.terms);
  const title = make("a", { href, "data-key": hit.id }, ...marked(hit.title || hit.id, words));
  const item = make("li", { class: "hit" },
    make("div", { class: "what" },
      make("h3", { dir: "auto" }, title),
      make("p", { class: "facts" },
        make("span", { class: "rank" }, rank),
        make("span", { class: "other" }),
        hit.title ? make("bdi", { class: "id" }, hit.id) : null,
        ...fields(hit.metadata)),
      hit.snippet
        ? make("p", { class: "snippet", dir: "auto" }, ...marked(hit.snippet, words))
        : null),
    contributions(hit, info, largest));
  item.dataset.id = hit.id;
  return item;
}

function fields(metadata) {
  return Object.entries(metadata).slice(0, FEW_FIELDS).map(([name, value]) =>
    make("span", { class: "field" },
      make("bdi", { class: "field-name" }, name), " ", make("bdi", {}, plain(value).slice(0, 80))));
}

/** Say beside each hit where it stands in the other list; null if there is none. */
export function compareHits(list, others) {
  for (const item of list.children) {
    const place = others ? others.indexOf(item.dataset.id) + 1 : 0;
    const note = item.querySelector(".other");
    note.textContent = place ? `#${place} in the other list` : others ? "only here" : "";
    note.classList.toggle("alone", place === 0);
  }
}
