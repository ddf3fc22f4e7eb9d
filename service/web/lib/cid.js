// CIDv1 over sha2-256, and whether a block's bytes are those that a CID names.

import { compare, concat } from "./bytes.js";

const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";
export const CODECS = { 0x55: "raw", 0x70: "dag-pb", 0x71: "dag-cbor" };

export function encodeBase32(bytes) {
  let text = "", value = 0, bits = 0;
  for (const byte of bytes) {
    value = (value << 8) | byte;
    for (bits += 8; bits >= 5; bits -= 5) text += ALPHABET[(value >> (bits - 5)) & 31];
    value &= 31;
  }
  return bits ? text + ALPHABET[(value << (5 - bits)) & 31] : text;
}

export function decodeBase32(text) {
  const bytes = [];
  let value = 0, bits = 0;
  for (const character of text) {
    const five = ALPHABET.indexOf(character);
    if (five < 0) throw new Error("not base32");
    value = ((value & 0xff) << 5) | five;
    if ((bits += 5) >= 8) bytes.push((value >> (bits -= 8)) & 0xff);
  }
  return Uint8Array.from(bytes);
}

/** { codec, digest } of a CIDv1 of 36 bytes; anything else is refused. */
export function parseBinary(bytes) {
  const [version, code, hash, length] = bytes;
  if (bytes.length !== 36 || version !== 1 || hash !== 0x12 || length !== 32 || !(code in CODECS))
    throw new Error("only CIDv1 over sha2-256 is read here");
  return { codec: CODECS[code], digest: bytes.slice(4) };
}

export function parse(text) {
  if (!text.startsWith("b")) throw new Error("only base32 CIDs are read here");
  return parseBinary(decodeBase32(text.slice(1)));
}

export const format = (binary) => `b${encodeBase32(binary)}`;

export function cidOf(codec, digest) {
  const code = Number(Object.keys(CODECS).find((each) => CODECS[each] === codec));
  return format(concat(Uint8Array.of(1, code, 0x12, 32), digest));
}

/** Hashes the block here, in the browser. */
export async function checkBlock(text, block) {
  const { codec, digest } = parse(text);
  const computed = new Uint8Array(await crypto.subtle.digest("SHA-256", block));
  return { codec, digest: computed, computed: cidOf(codec, computed), ok: compare(computed, digest) === 0 };
}
