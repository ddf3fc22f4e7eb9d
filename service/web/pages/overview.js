// The whole network: providers, stake, jobs, and where the money is.

import { get } from "../lib/api.js";
import { figures, h, section, swap, wrap } from "../lib/dom.js";
import { moneyFlow } from "../lib/flow.js";
import { count, tokens } from "../lib/format.js";
import { jobsTable } from "./jobs.js";

export function overviewPage() {
  const [sums, flow, jobs] = [h("div"), h("div"), h("div")];
  const node = [
    h("header", { class: "head" }, h("h1", {}, "The network"),
      h("p", { class: "lead" }, "Providers stake and train, committees drawn by lot judge, contracts pay. Everything here is read from the chain; amounts are in tokens.")),
    sums,
    section("Money flow", "Of all that requesters ever deposited for jobs.", flow),
    section("Jobs", "The latest first.", jobs),
  ];
  const refresh = async () => {
    const [overview, latest] = await Promise.all([get("/v1/overview"), get("/v1/jobs?limit=12")]);
    swap(sums, summary(overview));
    swap(flow, BigInt(overview.money.deposited) > 0n ? moneyFlow(overview.money) : h("p", { class: "empty" }, "No job has been funded yet."));
    swap(jobs, jobsTable(latest.items), latest.next && h("p", { class: "actions" }, h("a", { href: "#/jobs" }, "All jobs")));
  };
  return { title: "Network", node: wrap(node), refresh };
}

function summary({ providers, stake, jobs, rounds }) {
  const total = Object.values(jobs).reduce((sum, each) => sum + each, 0);
  const live = (jobs.running ?? 0) + (jobs.recruiting ?? 0);
  const staked = BigInt(stake.free) + BigInt(stake.locked) + BigInt(stake.unbonding);
  const jailed = providers.jailed ? `, ${providers.jailed} jailed` : "";
  return figures([
    ["Providers", count(providers.registered), `${count(providers.trainers)} train, ${count(providers.validators)} judge${jailed}`],
    ["Stake", tokens(staked), `${tokens(stake.locked)} locked in jobs, ${tokens(stake.slashed)} slashed`],
    ["Jobs", count(total), live ? `${count(live)} under way` : "none under way"],
    ["Final rounds", count(rounds.finalised ?? 0), `${count(rounds.failed ?? 0)} failed, ${count(rounds.open ?? 0)} open`],
  ]);
}
