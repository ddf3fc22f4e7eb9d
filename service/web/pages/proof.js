// "Verify in your browser": a verdict's Merkle proof, recomputed with keccak256 on this machine.

import { h } from "../lib/dom.js";
import { checkVerdict } from "../lib/merkle.js";
import { hash, short } from "../lib/format.js";

export function proofPanel(round, update) {
  const panel = h("div", { class: "proof", tabindex: "-1", role: "group", "aria-label": `Proof of member ${update.member}` });
  show(panel, round, update, false);
  return panel;
}

function show(panel, round, update, isTampered) {
  const { path, ok } = attempt(update, round.verdict_root);
  panel.dataset.ok = String(ok);
  const steps = path.map((node, at) => h("li", {}, at === 0 ? `leaf  keccak256(member ${update.member} ‖ digest ${short(update.digest)} ‖ score ${update.score}) = ${node}` : `with  ${short(update.proof[at - 1], 10, 6)} → ${node}`));
  panel.replaceChildren(
    h("p", { class: "outcome", role: "status" }, h("span", { "aria-hidden": "true" }, ok ? "✓" : "✗"), ok ? "Verified in your browser: this verdict is in the round’s verdict root." : "Not verified: this proof does not lead to the round’s verdict root."),
    h("p", {}, `Member ${update.member}, score ${update.score}, ${path.length - 1} siblings. `, isTampered && "The score was changed by one, on purpose."),
    h("ol", {}, steps, h("li", {}, `root  ${round.verdict_root}`)),
    h("p", { class: "note" }, "Computed here from the digest, the score and the siblings. The root is what this coordinator read from the chain; whoever distrusts it asks ModelLedger for verdictRootOf(job, round), or runs weal verify."),
    h("div", { class: "actions" }, h("button", { class: "plain", type: "button", onclick: () => show(panel, round, isTampered ? restore(update) : tamper(update), !isTampered) }, isTampered ? "Undo the change" : "Change the score by one, to see it fail"), hash(round.verdict_root)));
}

function attempt(update, root) {
  try {
    return checkVerdict(update, root);
  } catch {
    return { path: [], ok: false }; // what was sent is no proof at all
  }
}

const tamper = (update) => ({ ...update, score: update.score === 0 ? 1 : update.score - 1, original: update });
const restore = (update) => update.original;
