// All jobs, and the table of jobs that other pages show too.

import { get } from "../lib/api.js";
import { h, section, swap, table, wrap } from "../lib/dom.js";
import { badge, count, money, time } from "../lib/format.js";

const PAGE = 50;

export function jobsPage() {
  const list = h("div");
  let pages = 1;
  const refresh = async () => {
    const items = [];
    let cursor = null;
    for (let at = 0; at < pages; at++) {
      const page = await get(`/v1/jobs?limit=${PAGE}${cursor === null ? "" : `&cursor=${cursor}`}`);
      items.push(...page.items);
      cursor = page.next;
      if (cursor === null) break;
    }
    const more = h("button", { class: "plain", type: "button", "data-key": "more", onclick: () => { pages++; refresh(); } }, "Show more");
    swap(list, jobsTable(items), cursor !== null && h("div", { class: "actions" }, more));
  };
  return { title: "Jobs", node: wrap([h("header", { class: "head" }, h("h1", {}, "Jobs"), h("p", { class: "facts" }, h("a", { href: "#/jobs/new", "data-key": "new" }, "Offer a job"))), section("All jobs", "The latest first.", list)]), refresh };
}

export function jobsTable(jobs) {
  return table("Jobs", [
    { label: "Job", cell: (job) => h("a", { href: `#/jobs/${job.job}`, "data-key": `job:${job.job}` }, `Job ${job.job}`) },
    { label: "State", cell: (job) => badge(job.state) },
    { label: "Rounds", cell: progress },
    { label: "Members", number: true, cell: (job) => count(job.members) },
    { label: "Deposit", number: true, cell: (job) => money(job.deposit) },
    { label: "In escrow", number: true, cell: (job) => money(job.escrow) },
    { label: "Requester", cell: (job) => h("span", { class: "hash", title: job.requester }, `${job.requester.slice(0, 8)}…`) },
    { label: "Created", cell: (job) => time(job.created_at) },
  ], jobs, "No job has been offered yet. A requester offers one with `weal job submit`.");
}

export function progress(job) {
  const wanted = job.parameters.rounds;
  const part = Math.min(1, job.finalised_rounds / wanted);
  return h("span", { class: "progress" }, h("span", { class: "track", "aria-hidden": "true" }, h("span", { class: "done", style: { width: `${part * 100}%`, display: "block" } })),
    `${count(job.finalised_rounds)} of ${count(wanted)}`);
}
