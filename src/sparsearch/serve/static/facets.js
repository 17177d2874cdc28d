// Filters, made from the values that the documents' metadata have.

import * as api from "./api.js";
import { byId, make, plain, refill } from "./dom.js";

const VALUES_READ = 50;
const VALUES_SHOWN = 6;
const NUMBERS_LISTED = 8;
const RESERVED = ["and", "or", "not"];

export class Facets {
  /** @param {(filter: Object) => void} change Called with the filter that was chosen. */
  constructor(change) {
    this.change = change;
    this.filter = {};
  }

  #running = null;
  #request = "";
  #facets = [];
  #unfolded = new Set();
  #drawn = new Map();

  /** Show the facets of a collection, counted among what the other filters leave. */
  async show(collection, filter) {
    const request = JSON.stringify([collection, filter]);
    if (request === this.#request) return;
    this.#request = request;
    this.filter = filter;
    this.#draw();
    this.#running?.abort();
    const { signal } = (this.#running = new AbortController());
    try {
      const found = await this.#count(collection, filter, signal);
      if (signal.aborted) return;
      this.#facets = found.filter((facet) => facet.values.length && !RESERVED.includes(facet.field));
      this.#draw();
    } catch {
      // What is wrong is said beside the results; without facets one can still search.
      if (!signal.aborted) this.#request = "";
    }
  }

  async #count(collection, filter, signal) {
    const ask = (body) => api.facets(collection, { limit: VALUES_READ, ...body }, signal);
    const whole = Object.keys(filter).length ? { filter } : {};
    // A filtered field is counted without its own condition, or only what was chosen would be left.
    const own = Object.keys(filter).map((field) => {
      const { [field]: _, ...others } = filter;
      return ask({ fields: [field], ...(Object.keys(others).length ? { filter: others } : {}) });
    });
    const [all, ...alone] = await Promise.all([ask(whole), ...own]);
    const byField = new Map(alone.flat().map((facet) => [facet.field, facet]));
    return all.map((facet) => byField.get(facet.field) ?? facet);
  }

  #draw() {
    this.#drawFields();
    const active = Object.keys(this.filter).length;
    byId("filters-toggle").textContent = active ? `Filters (${active})` : "Filters";
    byId("filters-clear").hidden = active === 0;
    byId("filters").hidden = this.#facets.length === 0 && active === 0;
  }

  /** Draw anew only what has changed: somebody may be typing into the rest. */
  #drawFields() {
    const fields = this.#facets.map(({ field }) => field);
    if (JSON.stringify(fields) !== JSON.stringify([...this.#drawn.keys()])) {
      this.#drawn = new Map(fields.map((field) => [field, make("fieldset", { class: "facet" })]));
      byId("facets").replaceChildren(...this.#drawn.values());
    }
    for (const facet of this.#facets) {
      const { field } = facet;
      const element = this.#drawn.get(field);
      const isRange = isForRanges(facet);
      const looks = isRange || [facet, this.filter[field], this.#unfolded.has(field)];
      const parts = () => [make("legend", {}, make("bdi", {}, field)),
        ...(isRange ? [this.#range(field)] : this.#values(facet))];
      if (element.dataset.looks !== JSON.stringify(looks)) refill(element, ...parts());
      element.dataset.looks = JSON.stringify(looks);
      if (isRange) this.#showBounds(field, element);
    }
  }

  #showBounds(field, element) {
    for (const input of element.querySelectorAll("input")) {
      const bound = this.filter[field]?.[input.dataset.operator] ?? "";
      if (input !== document.activeElement) input.value = bound;
    }
  }

  #values({ field, values, complete }) {
    const chosen = this.filter[field]?.in ?? [];
    const missing = chosen.filter((value) => !values.some((entry) => entry.value === value));
    const all = [...values, ...missing.map((value) => ({ value, count: 0 }))];
    const folded = !this.#unfolded.has(field);
    const shown = all.filter(({ value }, index) =>
      !folded || index < VALUES_SHOWN || chosen.includes(value));
    const rows = shown.map((entry) => this.#value(field, entry, chosen.includes(entry.value)));
    if (shown.length < all.length) rows.push(this.#unfold(field, all.length - shown.length));
    else if (!folded && !complete) {
      rows.push(make("p", { class: "note" }, `the ${values.length} most frequent`));
    }
    return rows;
  }

  #value(field, { value, count }, checked) {
    const choose = (event) => this.#choose(field, value, event.target.checked);
    const key = `${field} ${JSON.stringify(value)}`;
    const box = make("input", { type: "checkbox", checked, "data-key": key, change: choose });
    return make("label", { class: "value-row" }, box,
      make("bdi", { class: "facet-value" }, plain(value) || "(empty)"),
      make("span", { class: "count" }, count.toLocaleString("en")));
  }

  #unfold(field, hidden) {
    const unfold = () => {
      this.#unfolded.add(field);
      this.#draw();
    };
    const label = `${hidden} more values of ${field}`;
    return make("button", { type: "button", class: "quiet", "aria-label": label, click: unfold },
      `${hidden} more`);
  }

  #range(field) {
    const bound = (operator, name) => make("label", {}, make("span", {}, name), make("input", {
      type: "number", step: "any", "data-operator": operator, "aria-label": `${field} ${name}`,
      change: (event) => this.#bound(field, operator, event.target.value),
    }));
    return make("div", { class: "range" }, bound(">=", "from"), bound("<=", "to"));
  }

  #choose(field, value, isChosen) {
    const others = (this.filter[field]?.in ?? []).filter((entry) => entry !== value);
    const values = isChosen ? [...others, value] : others;
    this.#set(field, values.length ? { in: values } : null);
  }

  #bound(field, operator, text) {
    const { [operator]: _, in: __, ...others } = this.filter[field] ?? {};
    const bounds = text === "" ? others : { ...others, [operator]: Number(text) };
    this.#set(field, Object.keys(bounds).length ? bounds : null);
  }

  #set(field, condition) {
    const { [field]: _, ...others } = this.filter;
    this.change(condition ? { ...others, [field]: condition } : others);
  }
}

/** Return whether a field is of so many numbers that one rather says from and to. */
function isForRanges({ values, complete }) {
  const numbers = values.every(({ value }) => typeof value === "number");
  return numbers && (!complete || values.length > NUMBERS_LISTED);
}
