// Which page is shown, that it stays up to date, and what is said when the coordinator is silent.

import { ApiError, Unreachable, follow, get } from "./lib/api.js";
import { h, swap } from "./lib/dom.js";
import { contentPage } from "./pages/content.js";
import { jobPage } from "./pages/job.js";
import { jobsPage } from "./pages/jobs.js";
import { offerPage } from "./pages/offer.js";
import { overviewPage } from "./pages/overview.js";
import { providerPage } from "./pages/provider.js";
import { providersPage } from "./pages/providers.js";
import { roundPage } from "./pages/round.js";
import { transactionPage } from "./pages/transaction.js";

const ROUTES = [
  [/^\/?$/, "overview", overviewPage],
  [/^\/jobs$/, "jobs", jobsPage],
  [/^\/jobs\/new$/, "jobs", offerPage],
  [/^\/jobs\/(\d+)$/, "jobs", jobPage],
  [/^\/jobs\/(\d+)\/rounds\/(\d+)$/, "jobs", roundPage],
  [/^\/providers$/, "providers", providersPage],
  [/^\/providers\/(0x[0-9a-fA-F]{40})$/, "providers", providerPage],
  [/^\/content\/([a-zA-Z0-9]{8,128})$/, "", contentPage],
  [/^\/transactions\/(0x[0-9a-fA-F]{64})\/(\d+)$/, "", transactionPage],
];
const REST = 500; // milliseconds between two looks
const RETRY = 3000;

const main = document.getElementById("main");
let shown = null; // { page, title, isBusy, changes }

/**
 * A page is { title, node, refresh(change) }: `refresh` asks and fills, `change` is null at first
 * and whenever anything may have changed; `concerns(events)` tells whether a change is worth it.
 */
async function navigate(isFirst = false) {
  const path = location.hash.replace(/^#/, "") || "/";
  const [pattern, name, make] = ROUTES.find(([each]) => each.test(path)) ?? [];
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.page === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const page = make ? make(...path.match(pattern).slice(1)) : missing(path);
  shown = { page, isBusy: false, changes: undefined };
  document.title = `${page.title} – Commonweal`;
  main.dataset.ready = "false";
  main.replaceChildren(page.node);
  if (!isFirst) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
  await refresh(null);
}

async function refresh(change) {
  const mine = shown;
  if (mine.isBusy) {
    mine.changes = mine.changes === undefined ? change : mergeChanges(mine.changes, change);
    return;
  }
  mine.isBusy = true;
  try {
    await mine.page.refresh(change);
    hideNotice();
    if (shown === mine) main.dataset.ready = "true";
  } catch (error) {
    if (shown === mine) fail(error, mine);
  }
  setTimeout(() => {
    mine.isBusy = false;
    if (shown !== mine || mine.changes === undefined) return;
    const waiting = mine.changes;
    mine.changes = undefined;
    refresh(waiting);
  }, REST);
}

function mergeChanges(a, b) {
  return a === null || b === null ? null : { block: b.block, events: [...a.events, ...b.events] };
}

function fail(error, mine) {
  if (error instanceof Unreachable) {
    showNotice(`The coordinator does not answer. What you see may be old; asking again every ${RETRY / 1000} seconds.`);
    setTimeout(() => { if (shown === mine) refresh(null); }, RETRY);
    return;
  }
  if (!(error instanceof ApiError)) console.error(error);
  const text = error instanceof ApiError ? `${error.message}.` : "This page failed to draw what the coordinator answered.";
  swap(main, h("div", { class: "error-page", role: "alert" }, h("h1", {}, error.status === 404 ? "There is no such thing" : "That did not work"),
    h("p", { class: "lead" }, text), h("p", { class: "detail" }, `code: ${error.code ?? error.name}`),
    h("button", { class: "plain", type: "button", onclick: () => navigate() }, "Try again"), h("a", { href: "#/" }, "To the network")));
  main.dataset.ready = "true";
}

function missing(path) {
  const node = h("div", { class: "error-page" }, h("h1", {}, "No such page"), h("p", { class: "lead" }, `Nothing is shown at ${path}.`), h("a", { href: "#/" }, "To the network"));
  return { title: "No such page", node, refresh: async () => {} };
}

function showNotice(text) {
  const notice = document.getElementById("notice");
  notice.textContent = text;
  notice.hidden = false;
}

function hideNotice() {
  document.getElementById("notice").hidden = true;
}

function showPulse(state, block) {
  document.getElementById("pulse").dataset.state = state;
  document.getElementById("pulse-text").textContent = state === "live" ? `Live · block ${block}` : "Reconnecting";
}

async function showNetwork() {
  const network = await get("/v1/network");
  document.getElementById("network").textContent = `Chain ${network.chain_id}, Rounds at ${network.contracts.Rounds}`;
}

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", () => navigate());
navigate(true);
showNetwork().catch(() => {});
follow((change) => {
  if (change === null || (shown.page.concerns?.(change.events) ?? true)) refresh(change);
}, showPulse);
