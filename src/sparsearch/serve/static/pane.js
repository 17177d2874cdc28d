// One list of results: a collection, how it is searched, and what was found.

import * as api from "./api.js";
import { byId, count, duration, make, refill } from "./dom.js";
import { compareHits, hitItems } from "./hits.js";
import { kindOf } from "./bars.js";
import { MOST_K } from "./state.js";
import { readQuery, settingsOf } from "./query.js";

const SLOW_MS = 150;
/** So many characters of each text are shown; the whole text is loaded when the hit is opened. */
const SNIPPET_LENGTH = 300;

export class Pane {
  /**
   * @param {number} place 0 or 1.
   * @param {Object} page What the pane asks of the page:
   *   choose(place, {collection, recall, feedback}), more(), address(place, id), needKey(error),
   *   info(collection), dropFilter(), shown(place).
   */
  constructor(place, page) {
    this.place = place;
    this.page = page;
    /** Ids of the hits that are shown, best first. */
    this.ids = [];
    /** Whether a term of theirs is an expansion. */
    this.expands = false;
    this.element = byId("pane-template").content.cloneNode(true).firstElementChild;
    const part = (selector) => this.element.querySelector(selector);
    this.parts = {
      collection: part(".collection select"),
      modes: [...this.element.querySelectorAll("[type=radio]")],
      recall: part(".recall select"),
      feedback: part(".feedback input"),
      status: part(".status"),
      message: part(".message"),
      hits: part(".hits"),
      more: part(".more"),
    };
    for (const mode of this.parts.modes) mode.name = `mode-${place}`;
    this.element.querySelector(".pane-head").addEventListener("change", () => this.#choose());
    this.parts.more.addEventListener("click", () => page.more());
  }

  #request = "";
  #running = null;

  #choose() {
    const approximate = this.parts.modes[1].checked;
    const recall = approximate ? Number(this.parts.recall.value) : null;
    const { collection, feedback } = this.parts;
    const chosen = { collection: collection.value, recall, feedback: feedback.checked };
    this.page.choose(this.place, chosen);
  }

  /** List the collections to choose from. */
  list(names) {
    this.parts.collection.replaceChildren(...names.map((name) => make("option", {}, name)));
  }

  /** Show what a request finds, unless it is shown already. */
  async show(request, { again = false } = {}) {
    const text = JSON.stringify(request);
    if (text === this.#request && !again) return;
    this.#request = text;
    this.#running?.abort();
    const running = (this.#running = new AbortController());
    const { signal } = running;
    const slow = setTimeout(() => this.element.setAttribute("aria-busy", "true"), SLOW_MS);
    try {
      const info = await this.page.info(request.collection);
      if (signal.aborted) return;
      this.#showControls(request, info);
      const query = readQuery(request.query, info);
      if (query === null) this.#showFacts(info);
      else await this.#search(request, query, info, signal);
    } catch (error) {
      if (!signal.aborted) this.#showError(error, request);
    } finally {
      clearTimeout(slow);
      if (!signal.aborted) {
        this.element.removeAttribute("aria-busy");
        this.page.shown(this.place);
      }
    }
  }

  async #search(request, query, info, signal) {
    const settings = settingsOf(request, request.filter);
    const body = { query, k: request.k, ...settings, explain: true, snippet: SNIPPET_LENGTH };
    const start = performance.now();
    const answer = await api.search(request.collection, body, signal);
    const elapsed = performance.now() - start;
    if (signal.aborted) return;
    this.#showAnswer(answer, info, request, elapsed);
  }

  #showControls({ collection, recall, feedback }, info) {
    const { collection: select, modes, recall: share } = this.parts;
    this.parts.feedback.checked = feedback;
    select.value = collection;
    modes[0].checked = recall === null || !info.can_approximate;
    modes[1].checked = !modes[0].checked;
    modes[1].disabled = !info.can_approximate;
    modes[1].parentElement.title = info.can_approximate
      ? "Faster, and may miss some of the best"
      : "This collection is always searched exactly";
    share.parentElement.hidden = modes[0].checked;
    if (recall !== null) share.value = String(recall);
  }

  #showAnswer(answer, info, request, elapsed) {
    const { hits } = answer;
    const { parts } = this;
    this.ids = hits.map((hit) => hit.id);
    const status = [make("b", {}, count(hits.length, "hit")), " · search ",
      make("b", { class: "latency" }, duration(answer.seconds * 1000)),
      ` · round trip ${duration(elapsed)}`];
    parts.status.replaceChildren(...status);
    const terms = hits.flatMap((hit) => hit.terms.map((term) => kindOf(term, hit, info)));
    this.expands = terms.includes("expansion");
    refill(parts.hits, ...hitItems(hits, info, (id) => this.page.address(this.place, id)));
    parts.more.hidden = hits.length < request.k || request.k >= MOST_K;
    parts.message.replaceChildren(...(hits.length ? [] : this.#nothing(request)));
    this.element.dataset.shows = "hits";
  }

  #nothing({ filter }) {
    return [make("p", { class: "quiet-title" }, "Nothing matches."), ...this.#withoutFilter(filter)];
  }

  #withoutFilter(filter) {
    if (!Object.keys(filter).length) return [];
    const drop = () => this.page.dropFilter();
    return [make("button", { type: "button", click: drop }, "Search without filters")];
  }

  #clear(shows, ...message) {
    const { parts } = this;
    this.ids = [];
    parts.hits.replaceChildren();
    parts.status.replaceChildren();
    this.expands = false;
    parts.more.hidden = true;
    parts.message.replaceChildren(...message);
    this.element.dataset.shows = shows;
  }

  #showFacts(info) {
    const encoder = info.encoder === null ? "none: queries are weights" : info.encoder.type;
    const facts = [
      ["documents", info.documents.toLocaleString("en")],
      ["terms", info.terms.toLocaleString("en")],
      ["postings", info.postings.toLocaleString("en")],
      ["on disk", `${(info.bytes / 1e6).toFixed(1)} MB`],
      ["encoder", encoder],
    ];
    this.#clear("facts",
      make("dl", { class: "collection-facts" }, ...facts.map(([name, value]) =>
        make("div", {}, make("dt", {}, name), make("dd", {}, value)))));
  }

  #showError(error, request) {
    if (error.status === 401) this.page.needKey(error);
    const wait = error.retryAfter ? ` Try again in ${error.retryAfter} s.` : "";
    const again = () => this.show(request, { again: true });
    this.#clear("error", make("div", { class: "error", role: "alert" },
      make("p", {}, error.message + wait),
      make("div", { class: "buttons" },
        make("button", { type: "button", click: again }, "Try again"),
        ...this.#withoutFilter(request.filter))));
  }

  /** Say beside each hit where it stands in the other list; null if there is none. */
  showOthers(ids) {
    const name = this.place ? "Second results" : "First results";
    this.element.setAttribute("aria-label", ids ? name : "Results");
    compareHits(this.parts.hits, ids);
  }

  /** Forget what was asked last, so that it is asked again. */
  forget() {
    this.#running?.abort();
    this.#request = "";
  }
}

