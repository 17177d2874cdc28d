// A document that is open: its text, why it has its score, and its whole vector.

import * as api from "./api.js";
import { bar, kindOf } from "./bars.js";
import { byId, count, make, plain, weight } from "./dom.js";
import { marked, wordsOf } from "./text.js";

const TABS = ["text", "score", "vector"];
const ROWS = 500;

export class DocumentView {
  /** @param {() => void} closed Called when the reader closes it. */
  constructor(closed) {
    this.dialog = byId("document");
    this.dialog.addEventListener("close", () => {
      this.#running?.abort();
      this.#shown = "";
      closed();
    });
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close(); // beside it
    });
    byId("document-close").addEventListener("click", () => this.dialog.close());
    for (const name of TABS) byId(`tab-${name}`).addEventListener("click", () => this.#select(name));
    this.dialog.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      const open = TABS.filter((name) => !byId(`tab-${name}`).hidden);
      this.#select(open.at((open.indexOf(this.#tab) + step) % open.length));
      byId(`tab-${this.#tab}`).focus();
    });
  }

  #running = null;
  #shown = "";
  #tab = "text";

  /** Close it, if it is open. */
  hide() {
    if (this.dialog.open) this.dialog.close();
  }

  /** Show a document and, if there is a query, why it has its score when searched like this. */
  async show(collection, id, query, settings, info) {
    const request = JSON.stringify([collection, id, query, settings]);
    if (request === this.#shown) return;
    this.#shown = request;
    this.#running?.abort();
    const { signal } = (this.#running = new AbortController());
    this.#empty(id, query !== null);
    if (!this.dialog.open) this.dialog.showModal();
    byId("document-title").focus();
    try {
      const [document, explanation, vector] = await Promise.all([
        api.getDocument(collection, id, signal),
        query === null ? null : api.explain(collection, { query, id, ...settings }, signal),
        api.getVector(collection, id, signal),
      ]);
      if (!signal.aborted) this.#fill(document, explanation, vector, info);
    } catch (error) {
      if (signal.aborted) return;
      byId("panel-text").replaceChildren(make("p", { class: "error", role: "alert" }, error.message));
    }
  }

  #empty(id, hasQuery) {
    byId("document-title").textContent = id;
    this.dialog.querySelector(".document-id").textContent = "";
    for (const name of TABS) byId(`panel-${name}`).replaceChildren();
    byId("tab-score").hidden = !hasQuery;
    this.#select(this.#tab === "score" && !hasQuery ? "text" : this.#tab);
  }

  #select(name) {
    this.#tab = name;
    for (const other of TABS) {
      const isOpen = other === name;
      byId(`tab-${other}`).setAttribute("aria-selected", isOpen);
      byId(`tab-${other}`).tabIndex = isOpen ? 0 : -1;
      byId(`panel-${other}`).hidden = !isOpen;
    }
  }

  #fill(document, explanation, vector, info) {
    const words = wordsOf(explanation?.terms ?? []);
    byId("document-title").replaceChildren(...marked(document.title || document.id, words));
    if (document.title) this.dialog.querySelector(".document-id").textContent = document.id;
    byId("panel-text").replaceChildren(...textPanel(document, words));
    if (explanation) byId("panel-score").replaceChildren(...scorePanel(document, explanation, info));
    const asked = new Set(explanation?.terms.map((term) => term.term) ?? []);
    byId("panel-vector").replaceChildren(...vectorPanel(vector, asked));
  }
}

function textPanel({ text, metadata }, words) {
  const fields = Object.entries(metadata).map(([name, value]) =>
    make("div", {},
      make("dt", {}, make("bdi", {}, name)), make("dd", {}, make("bdi", {}, plain(value)))));
  return [
    fields.length ? make("dl", { class: "fields" }, ...fields) : "",
    text
      ? make("div", { class: "full-text", dir: "auto" }, ...marked(text, words))
      : make("p", { class: "note" }, "No text is stored with this document."),
  ];
}

function scorePanel(document, { score, terms, missing }, info) {
  const largest = Math.max(...terms.map((term) => Math.abs(term.contribution)), Number.MIN_VALUE);
  const head = ["Term", "In the text", "Query", "Document", "Adds"].map((name) =>
    make("th", { scope: "col" }, name));
  const rows = terms.map((term) => {
    const kind = kindOf(term, document, info);
    const where = { "in-text": term.words.join(", ") || "yes", expansion: "no: expansion", unknown: "" };
    return make("tr", { class: kind },
      make("th", { scope: "row" }, make("bdi", {}, term.term)),
      make("td", { class: "where", dir: "auto" }, where[kind]),
      make("td", { class: "number" }, weight(term.query_weight)),
      make("td", { class: "number" }, weight(term.document_weight)),
      make("td", {}, make("div", { class: "sum" },
        bar(Math.abs(term.contribution) / largest, kind, term.contribution < 0),
        make("span", { class: "value" }, weight(term.contribution)))));
  });
  const table = make("div", { class: "scroll" }, make("table", { class: "contributions" },
    make("caption", {}, "Score ", make("b", {}, weight(score)),
      `, the sum over ${count(terms.length, "term")} of query weight × document weight`),
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...rows)));
  if (!missing.length) return [table];
  return [table, make("p", { class: "note" },
    "Not in the document: ", make("bdi", {}, missing.join(", ")))];
}

function vectorPanel(entries, asked) {
  const largest = Math.max(...entries.map(([, value]) => value), Number.MIN_VALUE);
  const list = make("ol", { class: "vector" });
  const found = make("p", { class: "note", role: "status" });
  const search = make("input", { type: "search", autocomplete: "off", spellcheck: "false",
    "aria-label": "Find a term of the vector", placeholder: "Find a term" });
  const order = make("select", { "aria-label": "Order of the terms" },
    make("option", { value: "weight" }, "by weight"), make("option", { value: "term" }, "by term"));
  const draw = () => {
    const wanted = search.value.trim().toLowerCase();
    const rows = entries.filter(([term]) => term.toLowerCase().includes(wanted));
    rows.sort(order.value === "term"
      ? (one, other) => one[0].localeCompare(other[0])
      : (one, other) => other[1] - one[1]);
    const cut = rows.length > ROWS ? `; the first ${ROWS} are shown` : "";
    found.textContent = wanted
      ? `${rows.length} of ${count(entries.length, "term")}${cut}`
      : `${count(entries.length, "term")} that are not zero${cut}`;
    list.replaceChildren(...rows.slice(0, ROWS).map(([term, value]) =>
      make("li", { class: asked.has(term) ? "asked" : null },
        make("bdi", { class: "term" }, term),
        asked.has(term) ? make("span", { class: "hidden" }, " (in the query)") : null,
        bar(value / largest, asked.has(term) ? "in-text" : "unknown"),
        make("span", { class: "value" }, weight(value)))));
  };
  search.addEventListener("input", draw);
  order.addEventListener("change", draw);
  draw();
  return [make("div", { class: "vector-head" }, search, order), found, list];
}
