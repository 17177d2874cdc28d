// What the page shows, as the address says after its "#": a search can be shared and bookmarked,
// and what is searched for stays out of the logs of servers and proxies.

export const FIRST_K = 10;
export const MOST_K = 100;

/**
 * @typedef {Object} State
 * @property {string} query
 * @property {{collection: string, recall: number|null, feedback: boolean}[]} panes One, or two to compare.
 * @property {Object} filter By field: {in: [values]} or {">=": number, "<=": number}.
 * @property {number} k
 * @property {{pane: number, id: string}|null} open The document that is open.
 */

/** Return the state that an address stands for; what makes no sense in it is left out. */
export function readState(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const open = given.get("doc");
  return {
    query: (given.get("q") ?? "").slice(0, 10_000),
    panes: given.getAll("c").slice(0, 2).map(readPane),
    filter: readFilter(given.get("filter")),
    k: Math.min(MOST_K, Math.max(FIRST_K, parseInt(given.get("k"), 10) || FIRST_K)),
    open: open ? { pane: given.get("in") === "2" ? 1 : 0, id: open } : null,
  };
}

function readPane(text) {
  const [collection, ...settings] = text.split("~");
  const share = parseFloat(settings[0]);
  const recall = share > 0 && share <= 1 ? share : null;
  return { collection, recall, feedback: settings.includes("feedback") };
}

function readFilter(text) {
  let given = null;
  try {
    given = JSON.parse(text ?? "null");
  } catch {
    return {};
  }
  if (given === null || typeof given !== "object" || Array.isArray(given)) return {};
  return Object.fromEntries(Object.entries(given).filter(([, condition]) => isCondition(condition)));
}

function isCondition(condition) {
  if (condition === null || typeof condition !== "object") return false;
  if (Array.isArray(condition.in)) {
    return condition.in.every((value) => ["string", "number", "boolean"].includes(typeof value));
  }
  const bounds = Object.entries(condition);
  return bounds.length > 0 && bounds.every(([operator, bound]) =>
    [">=", "<="].includes(operator) && typeof bound === "number");
}

/** Return the address of a state. */
export function writeState(state) {
  const parts = new URLSearchParams();
  if (state.query) parts.set("q", state.query);
  for (const { collection, recall, feedback } of state.panes) {
    parts.append("c", [collection, recall, feedback && "feedback"].filter(Boolean).join("~"));
  }
  if (Object.keys(state.filter).length) parts.set("filter", JSON.stringify(state.filter));
  if (state.k !== FIRST_K) parts.set("k", state.k);
  if (state.open) {
    parts.set("doc", state.open.id);
    if (state.open.pane === 1) parts.set("in", "2");
  }
  return `#${parts}`;
}
