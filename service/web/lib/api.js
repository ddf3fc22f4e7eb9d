// Asking the coordinator, and being told by it when something has changed.

export class ApiError extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `The coordinator answered ${status}`);
    this.status = status;
    this.code = problem.code ?? `http-${status}`;
  }
}

export class Unreachable extends Error {}

/** Raises ApiError with the coordinator's code, Unreachable if there is no answer. */
export async function get(path) {
  const response = await ask(path);
  return response.json();
}

/** One block of content, as bytes: whoever asks checks them against the CID. */
export async function getBlock(cid) {
  const response = await ask(`/ipfs/${encodeURIComponent(cid)}?format=raw`);
  return new Uint8Array(await response.arrayBuffer());
}

/** `token`: of a session, where the route asks for one. */
export async function post(path, body, token = null) {
  const headers = { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) };
  const response = await ask(path, { method: "POST", headers, body: JSON.stringify(body) });
  return response.json();
}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    throw new Unreachable("The coordinator does not answer", { cause: error });
  }
  if (response.ok) return response;
  throw new ApiError(response.status, await response.json().catch(() => ({})));
}

/** All pages of a list, up to `most` items. */
export async function getAll(path, most = 1000) {
  const items = [];
  let cursor = null;
  do {
    const joiner = path.includes("?") ? "&" : "?";
    const page = await get(cursor === null ? path : `${path}${joiner}cursor=${encodeURIComponent(cursor)}`);
    items.push(...page.items);
    cursor = page.next;
  } while (cursor !== null && items.length < most);
  return items;
}

/** Calls back with { block, events: [[name, job, round]] }, and with null when all may have changed. */
export function follow(onChange, onState) {
  let wasReady = false;
  const source = new EventSource("/v1/changes");
  source.addEventListener("ready", (message) => {
    onState("live", JSON.parse(message.data).block);
    if (wasReady) onChange(null);
    wasReady = true;
  });
  source.addEventListener("change", (message) => {
    const change = JSON.parse(message.data);
    onState("live", change.block);
    onChange(change);
  });
  source.addEventListener("error", () => {
    onState("waiting");
    // A refusal (too many followers) closes the source for good: try anew, less often.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => follow(onChange, onState), 10_000);
  });
}
