// Keys: "/" searches, arrows move over the hits, Escape goes back to the search box.

import { byId } from "./dom.js";

const TYPING = "input, textarea, select, [contenteditable]";

const links = (pane) => [...pane.querySelectorAll(".hit h3 a")];

/** Listen to keys on the whole page. */
export function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return; // they have keys of their own
    if (move(event)) event.preventDefault();
  });
}

function move({ key, target }) {
  const query = byId("query");
  if (key === "/" && !target.matches(TYPING)) return focus(query, true);
  if (target === query && key === "ArrowDown") return focus(links(document)[0]);
  const pane = target.closest(".pane");
  if (!pane || !target.matches(".hit h3 a")) return false;
  const here = links(pane);
  const place = here.indexOf(target);
  const other = pane.nextElementSibling ?? pane.previousElementSibling;
  switch (key) {
    case "ArrowDown": return focus(here[place + 1] ?? target);
    case "ArrowUp": return focus(here[place - 1] ?? query);
    case "Home": return focus(here[0]);
    case "End": return focus(here.at(-1));
    case "ArrowLeft":
    case "ArrowRight": {
      const there = other && !other.hidden ? links(other) : [];
      return focus(there[Math.min(place, there.length - 1)]);
    }
    case "Escape": return focus(query, true);
    default: return false;
  }
}

function focus(element, select = false) {
  if (!element) return false;
  element.focus();
  if (select) element.select();
  element.closest(".hit")?.scrollIntoView({ block: "nearest" });
  return true;
}
