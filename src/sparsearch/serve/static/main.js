// The page put together: one state, which the address shows, and views that follow it.

import * as api from "./api.js";
import { DocumentView } from "./document.js";
import { byId, count, make } from "./dom.js";
import { Facets } from "./facets.js";
import { listenToKeys } from "./keyboard.js";
import { Pane } from "./pane.js";
import { readQuery, settingsOf, takesWeights } from "./query.js";
import { FIRST_K, MOST_K, readState, writeState } from "./state.js";

const TYPING_PAUSE_MS = 120;
const ANNOUNCE_PAUSE_MS = 700;

let state = readState(location.hash);
let collections = [];
const infos = new Map();

const panes = [0, 1].map((place) => new Pane(place, {
  choose: (at, pane) => change({ panes: state.panes.with(at, pane), ...(at ? {} : { k: FIRST_K }) }),
  more: () => change({ k: Math.min(MOST_K, state.k * 2) }),
  address: (at, id) => writeState({ ...state, open: { pane: at, id } }),
  needKey: (error) => askForKey(error.message),
  dropFilter: () => change({ filter: {} }),
  info,
  shown,
}));
const facets = new Facets((filter) => change({ filter, k: FIRST_K }));
const documentView = new DocumentView(() => {
  if (state.open) change({ open: null });
});

/** Return facts about a collection; they are asked for once. */
function info(collection) {
  if (!infos.has(collection)) {
    const asked = api.info(collection);
    asked.catch(() => infos.delete(collection));
    infos.set(collection, asked);
  }
  return infos.get(collection);
}

function change(patch) {
  state = { ...state, ...patch };
  history.replaceState(null, "", writeState(state));
  draw();
}

/** Make the page show the state; what it shows already is left alone. */
function draw() {
  const query = byId("query");
  if (query.value !== state.query && document.activeElement !== query) query.value = state.query;
  document.title = state.query.trim() ? `${state.query.trim()} · sparsearch` : "sparsearch";
  if (!collections.length) return;
  const isComparing = state.panes.length === 2;
  byId("compare").setAttribute("aria-pressed", isComparing);
  byId("panes").className = isComparing ? "two" : "one";
  panes[1].element.hidden = !isComparing;
  state.panes.forEach((chosen, place) => {
    const { query: text, filter, k } = state;
    panes[place].show({ ...chosen, query: text, filter, k });
  });
  facets.show(state.panes[0].collection, state.filter);
  compareSides();
  explainQuery();
  openDocument();
}

async function explainQuery() {
  const all = await Promise.all(state.panes.map(({ collection }) => info(collection)))
    .catch(() => []);
  const byWeights = all.some(takesWeights);
  const note = byId("query-note");
  note.hidden = !byWeights;
  note.textContent = byWeights
    ? `${all.find(takesWeights).name} holds vectors only: a query is terms with weights, such as json:2 file`
    : "";
  byId("query").placeholder = all.length && all.every(takesWeights) ? "term:weight term …" : "Search";
}

async function openDocument() {
  const { open } = state;
  if (!open || !state.panes[open.pane]) return documentView.hide();
  const pane = state.panes[open.pane];
  const facts = await info(pane.collection).catch(() => null);
  if (facts && state.open === open) {
    const query = readQuery(state.query, facts);
    documentView.show(pane.collection, open.id, query, settingsOf(pane, state.filter), facts);
  }
}

/** After a pane has shown something: compare it with the other one, and say it aloud. */
function shown() {
  compareSides();
  announceSoon();
}

function compareSides() {
  const isComparing = state.panes.length === 2;
  const [left, right] = panes.map((pane) => pane.ids);
  const both = left.filter((id) => right.includes(id)).length;
  const most = Math.max(left.length, right.length);
  byId("shared").textContent = isComparing && most
    ? `${both} of ${count(most, "hit")} in both lists` : "";
  byId("legend").hidden = !panes.some((pane, place) => state.panes[place] && pane.expands);
  panes.forEach((pane, place) => {
    pane.showOthers(isComparing ? panes[1 - place].ids : null);
  });
}

let announcing = 0;
function announceSoon() {
  clearTimeout(announcing);
  announcing = setTimeout(() => {
    const found = panes.slice(0, state.panes.length).map((pane) => count(pane.ids.length, "hit"));
    byId("announce").textContent = state.query.trim() ? found.join(" and ") : "";
  }, ANNOUNCE_PAUSE_MS);
}

// Keys ------------------------------------------------------------------------------------------

function askForKey(message = "") {
  byId("key-error").textContent = message;
  byId("key").hidden = false;
  byId("key-input").value = "";
  if (!byId("key-dialog").open) byId("key-dialog").showModal();
}

function useKey(value) {
  api.key.set(value);
  byId("key-dialog").close();
  infos.clear();
  for (const pane of panes) pane.forget();
  start();
}

// Start -----------------------------------------------------------------------------------------

async function start() {
  try {
    collections = await api.listCollections();
  } catch (error) {
    if (error.status === 401) askForKey(api.key.get() ? error.message : "");
    else sayThatNothingWorks(error);
    return;
  }
  byId("shared").replaceChildren();
  for (const pane of panes) pane.list(collections);
  settle();
}

function sayThatNothingWorks(error) {
  byId("shared").replaceChildren(
    make("span", { class: "error", role: "alert" }, error.message), " ",
    make("button", { type: "button", click: start }, "Try again"));
}

/** Show the state, without the collections that there are not. */
function settle() {
  const known = state.panes.filter(({ collection }) => collections.includes(collection));
  const first = collections.slice(0, 1).map(searchedPlainly);
  if (!first.length) byId("shared").textContent = "This key opens no collection of this server.";
  change({ panes: known.length ? known : first });
}

const searchedPlainly = (collection) => ({ collection, recall: null, feedback: false });

function toggleComparison() {
  const [first] = state.panes;
  if (!first) return;
  const other = collections.find((name) => name !== first.collection) ?? first.collection;
  const second = searchedPlainly(other);
  change({ panes: state.panes.length === 2 ? [first] : [first, second], open: null });
}

function listenToSearch() {
  const query = byId("query");
  let typing = 0;
  const search = () => {
    clearTimeout(typing);
    if (query.value !== state.query) change({ query: query.value, k: FIRST_K });
  };
  query.addEventListener("input", (event) => {
    clearTimeout(typing);
    if (!event.isComposing) typing = setTimeout(search, TYPING_PAUSE_MS);
  });
  query.addEventListener("compositionend", search);
  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
}

function listenToTools() {
  byId("compare").addEventListener("click", toggleComparison);
  byId("filters-clear").addEventListener("click", () => change({ filter: {}, k: FIRST_K }));
  byId("filters-toggle").addEventListener("click", () => unfoldFilters(byId("facets").hidden));
  unfoldFilters(matchMedia("(min-width: 56.01rem)").matches);
  byId("key").addEventListener("click", () => askForKey());
  byId("key-forget").addEventListener("click", () => useKey(""));
  byId("key-cancel").addEventListener("click", () => byId("key-dialog").close());
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const given = byId("key-input").value.trim();
    if (/^[!-~]+$/.test(given)) useKey(given);
    else askForKey("This is no key: keys are letters, digits, - and _.");
  });
}

function unfoldFilters(isOpen) {
  byId("facets").hidden = !isOpen;
  byId("filters-toggle").setAttribute("aria-expanded", isOpen);
}

function listenToTheme() {
  const names = ["auto", "light", "dark"];
  const root = document.documentElement;
  const show = () => {
    const name = root.dataset.theme ?? "auto";
    byId("theme").querySelector("span").textContent = name[0].toUpperCase() + name.slice(1);
    byId("theme").setAttribute("aria-label", `Colours: ${name}`);
  };
  byId("theme").addEventListener("click", () => {
    const next = names[(names.indexOf(root.dataset.theme ?? "auto") + 1) % names.length];
    if (next === "auto") delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      localStorage.setItem("theme", next);
    } catch {
      // Storage is switched off; it holds for this visit.
    }
    show();
  });
  show();
}

byId("panes").append(...panes.map((pane) => pane.element));
listenToKeys();
listenToSearch();
listenToTools();
listenToTheme();
addEventListener("hashchange", ({ newURL }) => {
  // Not of location: when this is told, `change` may have put its own state there already.
  state = readState(new URL(newURL).hash);
  byId("query").value = state.query;
  if (collections.length) settle(); // before, nothing says which collections there are
});
byId("query").value = state.query;
byId("key").hidden = !api.key.get();
if (!state.query) byId("query").focus();
start();
