// All providers, page by page.

import { get } from "../lib/api.js";
import { h, section, swap, table, wrap } from "../lib/dom.js";
import { address, money, time } from "../lib/format.js";

const PAGE = 50;

export function providersPage() {
  const list = h("div");
  let pages = 1;
  const refresh = async () => {
    const items = [];
    let cursor = null;
    do {
      const page = await get(`/v1/providers?limit=${PAGE}${cursor ? `&cursor=${cursor}` : ""}`);
      items.push(...page.items);
      cursor = page.next;
    } while (cursor !== null && items.length < pages * PAGE);
    const more = h("button", { class: "plain", type: "button", "data-key": "more", onclick: () => { pages++; refresh(); } }, "Show more");
    swap(list, providersTable(items), cursor !== null && h("div", { class: "actions" }, more));
  };
  const node = wrap([h("header", { class: "head" }, h("h1", {}, "Providers"), h("p", { class: "lead" }, "Whoever staked to train or to judge. Stake is slashed for proven faults, never for an honest update that was of no use.")), section("All providers", "By address.", list)]);
  return { title: "Providers", node, refresh };
}

function providersTable(providers) {
  return table("Providers", [
    { label: "Provider", cell: (provider) => address(provider.provider) },
    { label: "Roles", cell: (provider) => provider.roles.join(", ") },
    { label: "Free", number: true, cell: (provider) => money(provider.free) },
    { label: "Locked", number: true, cell: (provider) => money(provider.locked) },
    { label: "Unbonding", number: true, cell: (provider) => money(provider.unbonding) },
    { label: "Slashed", number: true, cell: (provider) => money(provider.slashed) },
    { label: "Missed in a row", number: true, cell: (provider) => provider.missed_duties },
    { label: "Registered", cell: (provider) => time(provider.registered_at) },
  ], providers, "Nobody has registered yet. A node registers with `weal-node register`.");
}
