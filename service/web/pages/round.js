// One round: its phases in time, every update with its verdict and proof, the committee's ballots.

import { get } from "../lib/api.js";
import { h, section, swap, table, wrap } from "../lib/dom.js";
import { address, badge, cid, count, hash, money, tokens, unsettled, verdict, words } from "../lib/format.js";
import { logTable } from "./log.js";
import { proofPanel } from "./proof.js";
import { ballotsTable } from "./ballots.js";
import { timeline } from "./timeline.js";

const PAGE = 50;

export function roundPage(job, round) {
  const slots = Object.fromEntries(["head", "phases", "updates", "proof", "ballots", "outcome", "log"].map((name) => [name, h("div")]));
  const state = { job, round, slots, shown: PAGE };
  const node = [
    slots.head,
    section("Timeline", "From the chain’s own clock: the blocks in which each phase began.", slots.phases),
    section("Updates and verdicts", "Verify recomputes the Merkle proof here, in your browser: from the update’s digest and score up to the verdict root of the round.", slots.proof, slots.updates),
    section("Committee and ballots", "Drawn by lot, stake-weighted, after all updates were fixed. Ballots are secret until every one is in.", slots.ballots),
    section("Outcome", "", slots.outcome),
    section("Events of this round", "Each with the transaction that brought it.", slots.log),
  ];
  return {
    title: `Round ${round} of job ${job}`,
    node: wrap(node),
    concerns: (events) => events.some((event) => event[1] === Number(job) && (event[2] === null || event[2] === Number(round))),
    refresh: () => refresh(state),
  };
}

async function refresh(state) {
  const { job, round, slots } = state;
  const base = `/v1/jobs/${job}/rounds/${round}`;
  const [facts, updates, log] = await Promise.all([get(base), get(`${base}/updates`), get(`/v1/jobs/${job}/log?round=${round}&limit=200`)]);
  swap(slots.head, header(facts));
  swap(slots.phases, timeline(facts, log.items));
  showUpdates(state, facts, updates.items);
  swap(slots.ballots, ballotsTable(facts, updates.items));
  swap(slots.outcome, outcome(facts));
  swap(slots.log, logTable(log.items, false));
}

function header(facts) {
  const link = (round, text) => round > 0 && h("a", { href: `#/jobs/${facts.job}/rounds/${round}`, "data-key": text }, text);
  return h("header", { class: "head" },
    h("nav", { class: "crumbs", "aria-label": "Where you are" }, h("a", { href: "#/jobs" }, "Jobs"), h("span", { "aria-hidden": "true" }, "/"), h("a", { href: `#/jobs/${facts.job}` }, `Job ${facts.job}`), h("span", { "aria-hidden": "true" }, "/"), `Round ${facts.round}`),
    h("div", { class: "title" }, h("h1", {}, `Round ${facts.round}`), badge(facts.state), unsettled(facts), facts.failure && h("span", { class: "note" }, words(facts.failure))),
    h("p", { class: "facts" }, link(facts.round - 1, "← Round before"), link(facts.round + 1, "Next round →"), h("span", {}, "Paid ", h("b", {}, money(facts.spent)))));
}

function showUpdates(state, facts, updates) {
  const best = Math.max(1, ...updates.filter((update) => update.verdict === "verified").map((update) => update.score));
  const rows = updates.slice(0, state.shown);
  const more = h("button", { class: "plain", type: "button", "data-key": "more", onclick: () => { state.shown += 4 * PAGE; showUpdates(state, facts, updates); } }, `Show more of ${count(updates.length)}`);
  swap(state.slots.updates, table("Updates", [
    { label: "Trainer", cell: (update) => address(update.trainer) },
    { label: "Member", number: true, cell: (update) => update.member },
    { label: "Verdict", cell: (update) => verdict(stateOf(update, facts)) },
    { label: "Score", number: true, cell: (update) => score(update, best) },
    { label: "Update", cell: (update) => cid(update.cid) },
    { label: "Proof", cell: (update) => (update.proof ? verifyButton(state, facts, update) : h("span", { class: "none" }, facts.state === "open" ? "once final" : "–")) },
  ], rows, "No update has been committed yet."), updates.length > rows.length && h("div", { class: "actions" }, more));
}

function stateOf(update, facts) {
  if (update.verdict) return update.verdict;
  if (update.digest) return "revealed";
  return ["commit", "reveal"].includes(facts.phase) ? "committed" : "unrevealed";
}

function score(update, best) {
  if (!["verified", "rejected"].includes(update.verdict)) return "–";
  return h("span", { class: "score" }, h("span", { class: "track", "aria-hidden": "true" }, h("span", { class: "done", style: { width: `${(100 * update.score) / best}%`, display: "block" } })), count(update.score));
}

function verifyButton(state, facts, update) {
  const open = () => {
    swap(state.slots.proof, proofPanel(facts, update));
    state.slots.proof.firstChild.focus();
  };
  return h("button", { class: "plain", type: "button", "data-key": `verify:${update.member}`, "aria-label": `Verify member ${update.member}`, onclick: open }, "Verify");
}

function outcome(facts) {
  const rows = [
    ["Model", facts.model ? cid(facts.model, facts.model) : "none"],
    ["Made from", cid(facts.parent_model, facts.parent_model)],
    ["Verdict root", facts.verdict_root ? hash(facts.verdict_root) : "–"],
    ["Seed of the draw", facts.seed ? hash(facts.seed) : "–"],
    ["Paid", `${tokens(facts.spent)} tokens, ${tokens(facts.fee)} of it the coordinator’s fee`],
    ["Fee to", facts.fee_recipient ? h("span", { class: "hash" }, facts.fee_recipient) : "–"],
    ["Did not reveal", facts.unrevealed.length ? `members ${facts.unrevealed.join(", ")}` : "nobody"],
    ["Missed their seat", facts.absent.length ? `seats ${facts.absent.join(", ")}` : "nobody"],
  ];
  return h("dl", { class: "fields" }, rows.flatMap(([label, value]) => [h("dt", {}, label), h("dd", {}, value)]));
}
