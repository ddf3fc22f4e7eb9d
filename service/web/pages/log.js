// Chain events as a table: what happened, in which block, by which transaction.

import { h, table } from "../lib/dom.js";
import { address, hash, money, time, transaction } from "../lib/format.js";

const ADDRESS = /^0x[0-9a-fA-F]{40}$/, WORD = /^0x[0-9a-fA-F]{64}$/, PACKED = /^0x[0-9a-fA-F]*$/;
const HIDDEN = ["job", "round"];
const MONEY = ["amount", "bounty", "escrow", "fee", "quantum", "spent", "stake", "to_treasury"];
const TIMES = ["ends_at", "settleable_at", "until", "withdrawable_at"];

export function logTable(entries, hasRound = true) {
  return table("Events", [
    { label: "Event", cell: (entry) => entry.name.replace(/(?!^)([A-Z])/g, " $1").toLowerCase().replace(/^./, (first) => first.toUpperCase()) },
    ...(hasRound ? [{ label: "Round", number: true, cell: (entry) => (entry.round ? h("a", { href: `#/jobs/${entry.job}/rounds/${entry.round}`, "data-key": `e:${entry.id}` }, entry.round) : "–") }] : []),
    { label: "Fields", cell: (entry) => fields(entry.data) },
    { label: "Block", number: true, cell: (entry) => entry.block },
    { label: "Transaction", cell: (entry) => transaction(entry.tx, entry.block) },
    { label: "Time", cell: (entry) => time(entry.timestamp) },
  ], entries, "Nothing has happened yet.");
}

function fields(data) {
  const shown = Object.entries(data).filter(([name, value]) => !HIDDEN.includes(name) && isShown(value)).slice(0, 4);
  return h("span", {}, shown.map(([name, value], at) => [at ? ", " : "", h("span", { class: "detail" }, `${name.replaceAll("_", " ")} `), show(name, value)]));
}

/** Packed bytes say nothing to a reader; the round's tables show what is in them. */
function isShown(value) {
  if (value === null || typeof value === "object") return false;
  return typeof value !== "string" || ADDRESS.test(value) || WORD.test(value) || !PACKED.test(value);
}

function show(name, value) {
  if (MONEY.includes(name)) return money(value);
  if (TIMES.includes(name)) return time(value);
  if (typeof value !== "string") return String(value);
  if (ADDRESS.test(value)) return address(value);
  return WORD.test(value) ? hash(value) : value.slice(0, 40);
}
