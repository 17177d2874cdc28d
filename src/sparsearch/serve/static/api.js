// The HTTP API of the server this page came from.

const KEY = "sparsearch-key";

/** An answer other than the one asked for; status 0 if there was none. */
export class ApiError extends Error {
  constructor(status, code, message, retryAfter = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

async function call(path, { body = null, signal = null } = {}) {
  const headers = {};
  if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
  if (body !== null) headers["Content-Type"] = "application/json";
  const request = { method: body === null ? "GET" : "POST", headers, signal };
  if (body !== null) request.body = JSON.stringify(body);
  let response;
  try {
    response = await fetch(path, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "The server does not answer. Is it still running?");
  }
  if (response.ok) return response.json();
  throw await failure(response);
}

async function failure(response) {
  const answer = await response.json().catch(() => null);
  const code = answer?.error?.code ?? "unexpected";
  const message = answer?.error?.message ?? `The server answered ${response.status}.`;
  return new ApiError(response.status, code, message, response.headers.get("Retry-After"));
}

const of = (collection, rest = "") => `v1/collections/${encodeURIComponent(collection)}${rest}`;
const withId = (id) => `?${new URLSearchParams({ id })}`;

export const listCollections = async () => (await call("v1/collections")).collections;
export const info = (collection) => call(of(collection));
export const search = (collection, body, signal) => call(of(collection, "/search"), { body, signal });
export const facets = (collection, body, signal) =>
  call(of(collection, "/facets"), { body, signal }).then((answer) => answer.facets);
export const explain = (collection, body, signal) =>
  call(of(collection, "/explain"), { body, signal });
export const getDocument = (collection, id, signal) =>
  call(of(collection, "/document") + withId(id), { signal });
/** Return a document's terms, called as in its text, each with its weight. */
export const getVector = (collection, id, signal) =>
  call(of(collection, "/vector") + withId(id), { signal }).then(({ vector, names }) =>
    Object.entries(vector).map(([term, value]) =>
      [Object.hasOwn(names, term) ? names[term] : term, value]));
