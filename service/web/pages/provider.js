// One provider: stake, earnings over time, and why each round paid or did not.

import { get } from "../lib/api.js";
import { lineChart } from "../lib/charts.js";
import { figures, h, section, swap, table, wrap } from "../lib/dom.js";
import { cid, copy, count, money, short, time, tokens, verdict, words } from "../lib/format.js";

export function providerPage(owner) {
  const slots = Object.fromEntries(["head", "sums", "earnings", "record", "jobs", "faults"].map((name) => [name, h("div")]));
  const node = [
    slots.head, slots.sums,
    section("Earnings over time", "Credits of final rounds, added up. They are claimed from the chain, by or for the owner.", slots.earnings),
    section("Latest updates", "What became of each, and what its round paid this provider in all.", slots.record),
    h("div", { class: "columns" }, section("Jobs", "", slots.jobs), section("Faults and slashes", "Proven on chain, each open to appeal before it is settled.", slots.faults)),
  ];
  return { title: `Provider ${short(owner)}`, node: wrap(node), refresh: () => refresh(owner, slots) };
}

async function refresh(owner, slots) {
  const base = `/v1/providers/${owner}`;
  const [facts, rewards, earnings, record] = await Promise.all([get(base), get(`${base}/rewards`), get(`${base}/earnings`), get(`${base}/record`)]);
  swap(slots.head, header(facts));
  swap(slots.sums, sums(facts, rewards));
  swap(slots.earnings, earningsChart(earnings));
  swap(slots.record, recordTable(record.outcomes));
  swap(slots.jobs, jobsTable(rewards.jobs));
  swap(slots.faults, faultsTable(record.faults, rewards.slashes));
}

function header(facts) {
  const announced = facts.endpoint && h("span", {}, "Endpoint ", h("b", {}, facts.endpoint));
  const jailed = facts.jailed_until * 1000 > Date.now() && h("span", {}, "Jailed until ", time(facts.jailed_until));
  return h("header", { class: "head" },
    h("nav", { class: "crumbs", "aria-label": "Where you are" }, h("a", { href: "#/providers" }, "Providers"), h("span", { "aria-hidden": "true" }, "/"), short(facts.provider)),
    h("div", { class: "title" }, h("h1", {}, `Provider ${short(facts.provider)}`), facts.roles.map((role) => h("span", { class: "badge" }, role))),
    h("p", { class: "facts" }, h("span", { class: "with-copy" }, "Owner ", h("span", { class: "hash" }, facts.provider), copy(facts.provider, "address")), h("span", {}, "Operator ", h("span", { class: "hash" }, short(facts.operator))),
      isNamed(facts.capabilities) && h("span", {}, "Capabilities ", cid(facts.capabilities)), announced, jailed, h("span", {}, "Registered ", time(facts.registered_at))));
}

/** A provider that announced nothing has the zero digest. */
const isNamed = (capabilities) => capabilities && !/^bafyreia+$/.test(capabilities);

function sums(facts, rewards) {
  return figures([
    ["Earned", tokens(rewards.earned), `${tokens(rewards.claimed)} claimed`],
    ["To be claimed", tokens(rewards.claimable), "by anybody, for the owner"],
    ["Stake locked", tokens(facts.locked), `${tokens(facts.free)} free`],
    ["Unbonding", tokens(facts.unbonding), BigInt(facts.unbonding) > 0n ? h("span", {}, "until ", time(facts.withdrawable_at)) : "nothing"],
    ["Slashed", tokens(facts.slashed), `${facts.missed_duties} duties missed in a row`],
  ]);
}

function earningsChart(earnings) {
  if (!earnings.at.length) return h("p", { class: "empty" }, "Nothing earned yet.");
  let sum = 0n;
  const steps = earnings.at.map((at, index) => ({ at, job: earnings.job[index], round: earnings.round[index], amount: BigInt(earnings.amount[index]) })).reverse();
  const points = steps.map((step, index) => [index + 1, Number(((sum += step.amount) * 10000n) / 10n ** 18n) / 10000]);
  const day = (index) => new Date(steps[index - 1].at * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  const clock = (index) => new Date(steps[index - 1].at * 1000).toLocaleTimeString("en-GB");
  const isShort = steps.at(-1).at - steps[0].at < 2 * 86400;
  return lineChart({
    label: "Earnings over time", height: 220, zero: true, format: (value) => value.toLocaleString("en", { maximumFractionDigits: 2 }), formatX: isShort ? clock : day,
    series: [{ name: "earned, tokens", kind: "judged", points, band: points.map(([x, y]) => [x, 0, y]) }],
    say: (index) => `${day(index)} ${clock(index)}\njob ${steps[index - 1].job}, round ${steps[index - 1].round}: + ${tokens(steps[index - 1].amount)}\n${points[index - 1][1].toFixed(2)} in all`,
  });
}

function why(outcome) {
  if (outcome.round_state === "open") return "the round is open";
  if (outcome.round_state === "failed") return `the round failed: ${words(outcome.failure ?? "unknown")}`;
  return { rejected: "the committee found it of no use", invalid: "a majority found it invalid", unavailable: "a majority could not fetch it", unrevealed: "it was never revealed", verified: "paid by score" }[outcome.outcome] ?? "";
}

function recordTable(outcomes) {
  return table("Latest updates", [
    { label: "Round", cell: (each) => h("a", { href: `#/jobs/${each.job}/rounds/${each.round}`, "data-key": `r:${each.job}.${each.round}` }, `Job ${each.job}, round ${each.round}`) },
    { label: "Outcome", cell: (each) => verdict(each.outcome) },
    { label: "Score", number: true, cell: (each) => (["verified", "rejected"].includes(each.outcome) ? count(each.score) : "–") },
    { label: "Credited", number: true, cell: (each) => money(each.amount) },
    { label: "Why", cell: why },
    { label: "Update", cell: (each) => cid(each.cid) },
  ], outcomes, "It has not committed an update yet.");
}

function jobsTable(jobs) {
  return table("Jobs of this provider", [
    { label: "Job", cell: (each) => h("a", { href: `#/jobs/${each.job}`, "data-key": `j:${each.job}` }, `Job ${each.job}`) },
    { label: "Member", number: true, cell: (each) => each.member },
    { label: "Earned", number: true, cell: (each) => money(each.earned) },
    { label: "Claimed", number: true, cell: (each) => money(each.claimed) },
  ], jobs, "It has not joined a job yet.");
}

function faultsTable(faults, slashes) {
  const amounts = new Map(slashes.map((slash) => [slash.slash, slash]));
  const rows = faults.map((fault) => ({ ...fault, ...amounts.get(fault.slash) }));
  return table("Faults", [
    { label: "Fault", cell: (fault) => words(fault.fault) },
    { label: "Round", cell: (fault) => h("a", { href: `#/jobs/${fault.job}/rounds/${fault.round}`, "data-key": `f:${fault.job}.${fault.round}.${fault.fault}` }, `Job ${fault.job}, round ${fault.round}`) },
    { label: "Slashed", number: true, cell: (fault) => (fault.amount ? money(fault.amount) : "nothing left") },
    { label: "Settled", cell: (fault) => (fault.settled ? "yes" : "not yet") },
  ], rows, "None.");
}
