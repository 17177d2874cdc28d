// Making elements. Whatever comes from documents is given as children, which are text.

/**
 * Return an element.
 * @param {string} tag
 * @param {Object} attributes Attributes of the page's own making; those that are null or false are
 *   left out, functions listen to the event of that name.
 * @param {...(Node|string|number|null)} children
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false || value === undefined) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null).map((child) =>
    child instanceof Node ? child : String(child)));
  return element;
}

/** Return the element with an id. */
export const byId = (id) => document.getElementById(id);

/** Replace what an element holds, and keep the focus on what has the same data-key. */
export function refill(element, ...children) {
  const key = element.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  element.replaceChildren(...children);
  if (key) element.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

const whole = new Intl.NumberFormat("en");

/** Return a count as people read it. */
export const count = (number, noun) => `${whole.format(number)} ${noun}${number === 1 ? "" : "s"}`;

/** Return a weight with three figures that matter. */
export function weight(number) {
  const digits = Math.abs(number) >= 100 ? 1 : Math.abs(number) >= 0.1 || number === 0 ? 2 : 3;
  return number.toFixed(digits).replace("-", "−");
}

/** Return a duration. */
export function duration(milliseconds) {
  return `${milliseconds.toFixed(milliseconds < 1 ? 2 : milliseconds < 10 ? 1 : 0)} ms`;
}

/** Return a scalar of metadata, or what is nested in it, in one line. */
export const plain = (value) => (typeof value === "string" ? value : JSON.stringify(value));
