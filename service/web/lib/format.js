// How values are written: money, times, hashes, verdicts. Money is BigInt wei until the last moment.

import { announce, h, svg } from "./dom.js";

const TOKEN = 10n ** 18n;
const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const count = (value) => grouped.format(value);

/** Wei as tokens with two decimals; rounded down, the exact wei is in the title. */
export function tokens(wei) {
  const amount = BigInt(wei);
  const hundredths = (amount * 100n) / TOKEN;
  const text = `${grouped.format(hundredths / 100n)}.${String(hundredths % 100n).padStart(2, "0")}`;
  return amount > 0n && hundredths === 0n ? "< 0.01" : text;
}

export function money(wei) {
  return h("span", { class: "money", title: `${grouped.format(BigInt(wei))} wei` }, tokens(wei));
}

/** A share of two wei amounts, 0 to 1. */
export function share(part, whole) {
  return BigInt(whole) === 0n ? 0 : Number((BigInt(part) * 10000n) / BigInt(whole)) / 10000;
}

export function time(seconds) {
  const date = new Date(seconds * 1000);
  const text = date.toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return h("time", { datetime: date.toISOString(), title: date.toISOString() }, text);
}

export function duration(seconds) {
  if (seconds < 60) return `${seconds} s`;
  const units = [[86400, "d"], [3600, "h"], [60, "min"]];
  const [size, name] = units.find(([each]) => seconds >= each);
  return `${(seconds / size).toFixed(seconds % size ? 1 : 0)} ${name}`;
}

export const short = (text, left = 6, right = 4) =>
  text.length <= left + right + 1 ? text : `${text.slice(0, left)}…${right ? text.slice(-right) : ""}`;

export function address(owner) {
  return h("a", { class: "hash", href: `#/providers/${owner}`, title: owner, "data-key": `p:${owner}` }, short(owner));
}

export function cid(text, label) {
  if (!text) return h("span", { class: "none" }, "–");
  return h("span", { class: "with-copy" },
    h("a", { class: "hash", href: `#/content/${text}`, title: text, "data-key": `c:${text}` }, label ?? short(text, 8, 6)), copy(text, "CID"));
}

export function transaction(tx, block, label) {
  return h("a", { class: "hash", href: `#/transactions/${tx}/${block}`, title: tx, "data-key": `t:${tx}` }, label ?? short(tx, 8, 4));
}

/** The whole text and a button that copies it. */
export function hash(text) {
  return h("span", { class: "with-copy" }, h("span", { class: "hash", title: text }, short(text, 10, 8)), copy(text, "hash"));
}

export function copy(text, what) {
  const button = h("button", { class: "copy", type: "button", "aria-label": `Copy ${what} ${short(text, 8, 6)}`, title: `Copy ${what}` }, sheets());
  button.addEventListener("click", async () => {
    const done = await write(text);
    announce(done ? `${what} copied` : `the ${what} could not be copied`);
    button.replaceChildren(done ? "✓" : "✗");
    setTimeout(() => button.replaceChildren(sheets()), 1500);
  });
  return button;
}

const sheets = () => svg("svg", { viewBox: "0 0 16 16", width: 13, height: 13, "aria-hidden": "true" },
  svg("path", { d: "M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z", fill: "none", stroke: "currentColor", "stroke-width": 1.3, "stroke-linejoin": "round" }));

async function write(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // not allowed, or not a secure context
  }
}

// One cell of the matrix of trainers × rounds: the codes of the API's packed states.
export const STATES = ["absent", "committed", "revealed", "rejected", "verified", "unavailable", "invalid", "unrevealed"];
export const SAID = {
  absent: "took no part",
  committed: "committed, sealed",
  revealed: "revealed, not judged yet",
  rejected: "rejected: of no use",
  verified: "verified",
  unavailable: "unavailable: its content could not be fetched",
  invalid: "invalid: malformed or from a wrong model",
  unrevealed: "committed and never revealed",
};
const GLYPHS = { verified: "✓", rejected: "∕", invalid: "✗", unavailable: "?", unrevealed: "–", revealed: "○", committed: "·", absent: "" };

/** A verdict as a word and a sign: never by colour alone. */
export function verdict(name) {
  return h("span", { class: `verdict ${name}`, title: SAID[name] }, h("span", { "aria-hidden": "true" }, GLYPHS[name] ?? ""), name);
}

/** What the chain has confirmed so recently that a reorganisation may undo it. */
export const unsettled = (facts) => !facts.final && h("span", { class: "note", title: "The coordinator's finality depth has not passed since its latest event." }, "may still be undone");

export const badge = (state) => h("span", { class: `badge ${state}` }, state);
export const words = (name) => name.replaceAll("-", " ").replaceAll("_", " ");
