// The tables and lists of a job's page.

import { h, table } from "../lib/dom.js";
import { address, badge, cid, count, duration, money, time, words } from "../lib/format.js";

const ROUNDS_SHOWN = 15, MEMBERS_SHOWN = 12, MODELS_SHOWN = 8;
const SECONDS = ["commit_window", "reveal_window", "ballot_commit_window", "ballot_reveal_window", "attest_window"];
const MONEY = ["price_per_round", "min_stake"];

export function roundsTable(facts, history) {
  const rows = history.round.map((round, at) => ({ round, at })).reverse().slice(0, ROUNDS_SHOWN);
  const of = (name) => ({ at }) => (history[name][at] === null ? "–" : count(history[name][at]));
  return h("div", {}, table("Rounds", [
    { label: "Round", cell: ({ round }) => h("a", { href: `#/jobs/${facts.job}/rounds/${round}`, "data-key": `round:${round}` }, `Round ${round}`) },
    { label: "State", cell: ({ at }) => h("span", { title: history.failure[at] ? words(history.failure[at]) : "" }, badge(history.state[at]), history.state[at] === "open" && ` ${words(history.phase[at])}`) },
    { label: "Committed", number: true, cell: of("committed") },
    { label: "Revealed", number: true, cell: of("revealed") },
    { label: "Verified", number: true, cell: of("verified") },
    { label: "Rejected", number: true, cell: of("rejected") },
    { label: "Invalid", number: true, cell: of("invalid") },
    { label: "Paid", number: true, cell: ({ at }) => money(history.spent[at]) },
    { label: "Took", number: true, cell: ({ at }) => (history.closed_at[at] ? duration(history.closed_at[at] - history.opened_at[at]) : "–") },
    { label: "Opened", cell: ({ at }) => time(history.opened_at[at]) },
  ], rows, "No round has begun: the job still looks for members."),
  history.round.length > ROUNDS_SHOWN && h("p", { class: "actions note" }, `The latest ${ROUNDS_SHOWN} of ${count(history.round.length)}; the matrix opens any other.`));
}

export function membersTable(facts, page) {
  const sorted = [...page.items].sort((a, b) => (BigInt(b.earned) > BigInt(a.earned) ? 1 : BigInt(b.earned) < BigInt(a.earned) ? -1 : a.member - b.member));
  const rows = sorted.slice(0, MEMBERS_SHOWN);
  return h("div", {}, table("Members", [
    { label: "Provider", cell: (member) => address(member.provider) },
    { label: "Member", number: true, cell: (member) => member.member },
    { label: "Roles", cell: (member) => member.roles.join(", ") },
    { label: "Stake", number: true, cell: (member) => money(member.stake) },
    { label: "Earned", number: true, cell: (member) => money(member.earned) },
  ], rows, "Nobody has joined yet."),
  facts.members > rows.length && h("p", { class: "actions note" }, `${rows.length} of ${count(facts.members)}${page.next ? ", sorted among the first 200" : ""}.`));
}

export function lineage(facts, page) {
  const models = page.items.slice(-MODELS_SHOWN).reverse();
  const skipped = facts.finalised_rounds - models.length;
  return h("ol", { class: "lineage" },
    models.map((model) => h("li", {}, h("a", { class: "what", href: `#/jobs/${facts.job}/rounds/${model.round}`, "data-key": `model:${model.round}` }, `Round ${model.round}`), cid(model.cid), h("span", { class: "detail" }, "from ", cid(model.parent)))),
    skipped > 0 && h("li", {}, h("span", { class: "what" }, `${count(skipped)} earlier`), h("a", { href: `/v1/jobs/${facts.job}/models` }, "as JSON")),
    h("li", {}, h("span", { class: "what" }, "Initial model"), cid(facts.initial_model)));
}

export function termsList({ parameters, parameters_version: version }) {
  const show = (name, value) => {
    if (MONEY.includes(name)) return money(value);
    if (SECONDS.includes(name)) return duration(value);
    if (name.endsWith("_bps")) return `${value / 100} %`;
    if (name === "recruit_until") return time(value);
    return typeof value === "string" ? h("span", { class: "hash" }, value) : count(value);
  };
  const label = (name) => words(name.replace(/_bps$/, ""));
  return h("details", { class: "actions", "data-key": "terms" }, h("summary", {}, "All terms"),
    h("dl", { class: "fields" }, Object.entries(parameters).flatMap(([name, value]) => [h("dt", {}, label(name)), h("dd", {}, show(name, value))]),
      h("dt", {}, "global parameters"), h("dd", {}, `version ${version}`)));
}
