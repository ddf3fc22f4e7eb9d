// DAG-CBOR, strictly: definite lengths, text keys, no tags but links. Bounded in depth.

import { format, parseBinary } from "./cid.js";

const DEEPEST = 32;
const LINK_TAG = 42;

export class Link {
  constructor(cid) {
    this.cid = cid;
  }
}

/** The one item of a block. Raises Error for anything that is not DAG-CBOR. */
export function decode(block) {
  const reader = { view: new DataView(block.buffer, block.byteOffset, block.byteLength), at: 0 };
  const value = readItem(reader, 0);
  if (reader.at !== block.length) throw new Error(`${block.length - reader.at} bytes after the end`);
  return value;
}

function readItem(reader, depth) {
  if (depth > DEEPEST) throw new Error(`nested deeper than ${DEEPEST}`);
  const first = reader.view.getUint8(reader.at++);
  const major = first >> 5;
  if (major === 7) return readSimple(reader, first & 31);
  const argument = readArgument(reader, first & 31);
  if (major === 0) return argument;
  if (major === 1) return typeof argument === "bigint" ? -1n - argument : -1 - argument;
  if (typeof argument === "bigint") throw new Error("a length of more than 53 bits");
  if (major === 2) return take(reader, argument);
  if (major === 3) return readText(reader, argument);
  if (major === 4) return readMany(reader, argument, () => readItem(reader, depth + 1));
  if (major === 5) return readMap(reader, argument, depth);
  return readLink(reader, argument, depth);
}

function readArgument(reader, low) {
  if (low < 24) return low;
  const { view, at } = reader;
  reader.at += [1, 2, 4, 8][low - 24] ?? fail("an indefinite length");
  if (low === 24) return view.getUint8(at);
  if (low === 25) return view.getUint16(at);
  if (low === 26) return view.getUint32(at);
  const wide = view.getBigUint64(at);
  return wide <= Number.MAX_SAFE_INTEGER ? Number(wide) : wide;
}

function readSimple(reader, low) {
  if (low === 20) return false;
  if (low === 21) return true;
  if (low === 22) return null;
  if (low !== 27) fail(`simple value ${low}`);
  const value = reader.view.getFloat64(reader.at);
  reader.at += 8;
  return value;
}

function readMap(reader, size, depth) {
  const entries = readMany(reader, size, () => {
    const key = readItem(reader, depth + 1);
    if (typeof key !== "string") fail("a key that is not text");
    return [key, readItem(reader, depth + 1)];
  });
  return new Map(entries);
}

function readLink(reader, tag, depth) {
  const bytes = readItem(reader, depth + 1);
  if (tag !== LINK_TAG || !(bytes instanceof Uint8Array) || bytes[0] !== 0) fail("a tag that is not a link");
  parseBinary(bytes.slice(1));
  return new Link(format(bytes.slice(1)));
}

function readMany(reader, size, read) {
  if (size > reader.view.byteLength - reader.at) fail("more items than bytes");
  return Array.from({ length: size }, read);
}

function take(reader, size) {
  if (size > reader.view.byteLength - reader.at) fail("an item that is cut off");
  const { buffer, byteOffset } = reader.view;
  const bytes = new Uint8Array(buffer, byteOffset + reader.at, size).slice();
  reader.at += size;
  return bytes;
}

const readText = (reader, size) => new TextDecoder("utf-8", { fatal: true }).decode(take(reader, size));

function fail(what) {
  throw new Error(`not DAG-CBOR: ${what}`);
}
