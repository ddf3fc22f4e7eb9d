// One piece of content: its bytes are hashed here and compared with the CID, then read and shown.

import { getBlock } from "../lib/api.js";
import { toHex } from "../lib/bytes.js";
import { decode, Link } from "../lib/cbor.js";
import { checkBlock, parse } from "../lib/cid.js";
import { h, section, swap, wrap } from "../lib/dom.js";
import { cid as cidLink, copy, count, short } from "../lib/format.js";

const ADDRESS_FIELDS = ["trainer"];

export function contentPage(cid) {
  const [checked, fields] = [h("div"), h("div")];
  const node = [
    h("header", { class: "head" }, h("h1", {}, "Content"), h("p", { class: "facts" }, h("span", { class: "with-copy" }, h("span", { class: "hash" }, cid), copy(cid, "CID")))),
    section("Verified in your browser", "The CID is a hash: whoever holds the bytes can check it alone.", checked), fields,
  ];
  return { title: short(cid, 8, 6), node: wrap(node), concerns: () => false, refresh: () => refresh(cid, checked, fields) };
}

async function refresh(cid, checked, fields) {
  const block = await getBlock(cid);
  swap(checked, await checkPanel(cid, block));
  const { codec } = parse(cid);
  if (codec === "dag-cbor") swap(fields, section("What it says", "Decoded from DAG-CBOR here.", showManifest(block)));
  else swap(fields, section("What it is", "", h("p", { class: "actions note" }, codec === "raw" ? "A block of a file’s bytes, as they are." : "The root of a larger file."), download(cid)));
}

async function checkPanel(cid, block, isTampered = false) {
  const { ok, digest, computed } = await checkBlock(cid, block);
  const panel = h("div", { class: "proof", "data-ok": String(ok) });
  const again = async () => {
    const changed = block.slice();
    changed[changed.length - 1] ^= 1;
    panel.replaceWith(await checkPanel(cid, changed, !isTampered));
  };
  panel.append(
    h("p", { class: "outcome", role: "status" }, h("span", { "aria-hidden": "true" }, ok ? "✓" : "✗"), ok ? "Verified in your browser: these bytes are what the CID names." : "Not verified: these bytes are not what the CID names."),
    h("ol", {}, h("li", {}, `sha-256 of ${count(block.length)} bytes = ${toHex(digest)}`), h("li", {}, `as a CID  ${computed}`), h("li", {}, `asked for ${cid}`)),
    h("p", {}, isTampered && "One bit was changed, on purpose."),
    h("div", { class: "actions" }, h("button", { class: "plain", type: "button", onclick: again }, isTampered ? "Undo the change" : "Change one bit, to see it fail")));
  return panel;
}

/** { fields, ok }: a manifest that is only to be believed if ok. */
export async function fetchManifest(cid) {
  const block = await getBlock(cid);
  const { ok } = await checkBlock(cid, block);
  return { fields: decode(block), ok };
}

function showManifest(block) {
  try {
    return show(decode(block));
  } catch (error) {
    return h("p", { class: "empty" }, `It cannot be read: ${error.message}.`);
  }
}

function show(value, name = "") {
  if (value instanceof Link) return cidLink(value.cid, value.cid);
  if (value instanceof Map) return value.size ? h("dl", { class: "fields" }, [...value].flatMap(([key, item]) => [h("dt", {}, key.replaceAll("_", " ")), h("dd", {}, show(item, key))])) : "none";
  if (value instanceof Uint8Array) return bytes(value, name);
  if (Array.isArray(value)) return value.length ? value.map((item, at) => [at ? ", " : "", show(item)]) : "none";
  return value === null ? h("span", { class: "none" }, "–") : String(value);
}

function bytes(value, name) {
  const text = toHex(value);
  return ADDRESS_FIELDS.includes(name) ? h("a", { class: "hash", href: `#/providers/${text}` }, text) : h("span", { class: "hash" }, text);
}

function download(cid) {
  return h("p", { class: "actions" }, h("a", { href: `/ipfs/${cid}?format=car` }, "Download as CAR"), h("a", { href: `/ipfs/${cid}?format=raw` }, "Download this block"));
}
