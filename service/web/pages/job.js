// One job: what it learned, what its rounds came to, who took part, and where every model comes from.

import { get } from "../lib/api.js";
import { figures, h, section, swap, wrap } from "../lib/dom.js";
import { badge, cid, count, money, share, time, tokens, unsettled } from "../lib/format.js";
import { legend } from "../lib/cells.js";
import { Matrix } from "../lib/matrix.js";
import { fetchManifest } from "./content.js";
import { claimedCharts, scoreChart, verdictChart } from "./curves.js";
import { logTable } from "./log.js";
import { lineage, membersTable, roundsTable, termsList } from "./jobparts.js";

const SHOWN = ["verified", "rejected", "invalid", "unavailable", "unrevealed", "committed"];

export function jobPage(job) {
  const slots = Object.fromEntries(["head", "sums", "claimed", "scores", "verdicts", "rounds", "members", "models", "terms", "log"].map((name) => [name, h("div")]));
  const matrix = new Matrix({
    fetchBand: (first, last) => get(`/v1/jobs/${job}/matrix?first=${first}&last=${last}`),
    onOpen: (round) => { location.hash = `#/jobs/${job}/rounds/${round}`; },
  });
  const node = [
    slots.head,
    slots.sums,
    h("div", { class: "columns" }, slots.claimed, slots.scores),
    section("Trainers × rounds", "Each cell is one update and what the contract concluded about it. The stronger the colour, the higher the score.", legend(SHOWN), matrix.node),
    slots.verdicts,
    section("Rounds", "The latest first; each opens with its timeline, ballots and proofs.", slots.rounds),
    h("div", { class: "columns" }, section("Members", "By what they earned in this job.", slots.members), section("Lineage of the model", "Each model names its parent; the digest of each is on chain.", slots.models)),
    section("Terms", "As the contract holds them.", slots.terms),
    section("Latest events", "Each with the transaction that brought it.", slots.log),
  ];
  const state = { job, slots, matrix, name: null, deepest: 0 };
  return {
    title: `Job ${job}`,
    node: wrap(node),
    concerns: (events) => events.some((event) => event[1] === Number(job)),
    refresh: (change) => refresh(state, change),
  };
}

async function refresh(state, change) {
  const { job, slots, matrix } = state;
  const rest = Promise.all([`claims?points=60`, `members?limit=200`, `models?limit=200`, `log?limit=20`].map((path) => get(`/v1/jobs/${job}/${path}`)));
  rest.catch(() => {}); // awaited below, unless an earlier answer fails first
  const [facts, history] = await Promise.all([get(`/v1/jobs/${job}`), get(`/v1/jobs/${job}/history`)]);
  swap(slots.head, header(facts, state.name));
  swap(slots.sums, sums(facts, history));
  const dirty = change === null ? undefined : change.events.filter((event) => event[1] === Number(job) && event[2]).map((event) => event[2]);
  matrix.update(history.trainers, { first: history.round[0] ?? 1, last: history.round.at(-1) ?? 0 }, dirty);
  swap(slots.scores, scoreChart(history));
  swap(slots.verdicts, verdictChart(history));
  swap(slots.rounds, roundsTable(facts, history));
  await Promise.all([fillRest(state, facts, await rest), nameIt(state, facts)]);
}

function fillRest({ slots }, facts, [claims, members, models, log]) {
  swap(slots.claimed, claimedCharts(claims));
  swap(slots.members, membersTable(facts, members));
  swap(slots.models, lineage(facts, models));
  swap(slots.terms, termsList(facts));
  swap(slots.log, logTable(log.items));
}

/** The name stands in the job's manifest: shown only when its bytes match the CID on chain. */
async function nameIt(state, facts) {
  if (state.name !== null) return;
  const { fields, ok } = await fetchManifest(facts.spec).catch(() => ({}));
  state.name = (ok && fields?.get("name")) || "";
  swap(state.slots.head, header(facts, state.name));
}

function header(facts, name) {
  return h("header", { class: "head" },
    h("nav", { class: "crumbs", "aria-label": "Where you are" }, h("a", { href: "#/jobs" }, "Jobs"), h("span", { "aria-hidden": "true" }, "/"), `Job ${facts.job}`),
    h("div", { class: "title" }, h("h1", {}, name ? `${name[0].toUpperCase()}${name.slice(1)}` : `Job ${facts.job}`), badge(facts.state), unsettled(facts)),
    h("p", { class: "facts" }, h("span", {}, "Specification ", cid(facts.spec)), h("span", {}, "Initial model ", cid(facts.initial_model)), h("span", {}, "Created ", time(facts.created_at))));
}

function sums(facts, history) {
  const paid = BigInt(facts.deposit) - BigInt(facts.escrow) - BigInt(facts.refunded);
  const judged = history.verified.filter((each) => each !== null);
  const verified = judged.reduce((sum, each) => sum + each, 0);
  const committed = history.committed.reduce((sum, each) => sum + each, 0);
  return figures([
    ["Final rounds", `${count(facts.finalised_rounds)} / ${count(facts.parameters.rounds)}`, `${count(facts.failed_rounds)} failed`],
    ["Members", count(facts.members), `committee of ${facts.parameters.committee_size}`],
    ["Verified updates", count(verified), `of ${count(committed)} committed`],
    ["Paid out", tokens(paid), `${(share(paid, facts.deposit) * 100).toFixed(1)} % of ${tokens(facts.deposit)}`],
    ["In escrow", tokens(facts.escrow), h("span", {}, "refunded ", money(facts.refunded))],
  ]);
}
