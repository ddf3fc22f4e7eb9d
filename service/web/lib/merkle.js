// A verdict's Merkle proof, recomputed as ModelLedger does: keccak256 over sorted pairs.

import { compare, concat, fromHex, toHex, uint16 } from "./bytes.js";
import { keccak256 } from "./keccak.js";

/** keccak256(uint16 member, bytes32 digest, uint16 score) */
export function computeVerdictLeaf(member, digest, score) {
  const bytes = fromHex(digest);
  if (bytes.length !== 32) throw new Error(`a digest has 32 bytes, this one ${bytes.length}`);
  return keccak256(concat(uint16(member), bytes, uint16(score)));
}

export const join = (a, b) => keccak256(compare(a, b) < 0 ? concat(a, b) : concat(b, a));

/** Every node from the leaf up, in hex, and whether the last one is the root. */
export function checkVerdict({ member, digest, score, proof }, root) {
  let node = computeVerdictLeaf(member, digest, score);
  const path = [toHex(node)];
  for (const sibling of proof) {
    node = join(node, fromHex(sibling));
    path.push(toHex(node));
  }
  return { path, ok: toHex(node) === root.toLowerCase() };
}

/** Root over leaves in order; an odd last node moves up unchanged. */
export function computeRoot(leaves) {
  let level = leaves;
  while (level.length > 1) {
    const above = [];
    for (let at = 0; at < level.length; at += 2) above.push(at + 1 < level.length ? join(level[at], level[at + 1]) : level[at]);
    level = above;
  }
  return level[0];
}
