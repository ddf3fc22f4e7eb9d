// What one transaction did, as far as the contracts of this network announced it.

import { get } from "../lib/api.js";
import { h, section, swap, wrap } from "../lib/dom.js";
import { copy, short } from "../lib/format.js";
import { logTable } from "./log.js";

export function transactionPage(tx, block) {
  const list = h("div");
  const node = [
    h("header", { class: "head" }, h("h1", {}, "Transaction"),
      h("p", { class: "facts" }, h("span", { class: "with-copy" }, h("span", { class: "hash" }, tx), copy(tx, "transaction hash")), h("span", {}, "Block ", h("b", {}, block)))),
    section("Events", "In the order in which the contracts announced them. Any node of the chain gives the same under this hash.", list),
  ];
  const refresh = async () => {
    const log = await get(`/v1/transactions/${tx}?block=${block}`);
    swap(list, log.items.length ? logTable(log.items) : h("p", { class: "empty" }, "This coordinator knows of no such transaction in this block."));
  };
  return { title: `Transaction ${short(tx)}`, node: wrap(node), concerns: () => false, refresh };
}
