// Keccak-256 as Ethereum uses it (FIPS 202's permutation with the original padding byte 0x01).
// Written to be read: 64-bit lanes as BigInt. Checked against tests/vectors/merkle.json.

const MASK = (1n << 64n) - 1n;
const RATE = 136; // bytes absorbed at a time

const ROTATIONS = [
  0, 1, 62, 28, 27,
  36, 44, 6, 55, 20,
  3, 10, 43, 25, 39,
  41, 45, 15, 21, 8,
  18, 2, 61, 56, 14,
].map(BigInt); // lane x + 5 y

const CONSTANTS = computeConstants();

/** 32 bytes. */
export function keccak256(data) {
  const padded = new Uint8Array((Math.floor(data.length / RATE) + 1) * RATE);
  padded.set(data);
  padded[data.length] ^= 0x01;
  padded[padded.length - 1] ^= 0x80;
  const view = new DataView(padded.buffer);
  const lanes = new Array(25).fill(0n);
  for (let start = 0; start < padded.length; start += RATE) {
    for (let lane = 0; lane < RATE / 8; lane++) lanes[lane] ^= view.getBigUint64(start + 8 * lane, true);
    permute(lanes);
  }
  const digest = new DataView(new ArrayBuffer(32));
  for (let lane = 0; lane < 4; lane++) digest.setBigUint64(8 * lane, lanes[lane], true);
  return new Uint8Array(digest.buffer);
}

function permute(a) {
  for (const constant of CONSTANTS) {
    theta(a);
    const b = rhoAndPi(a);
    for (let y = 0; y < 25; y += 5)
      for (let x = 0; x < 5; x++) a[y + x] = b[y + x] ^ (~b[y + ((x + 1) % 5)] & MASK & b[y + ((x + 2) % 5)]);
    a[0] ^= constant;
  }
}

function theta(a) {
  const columns = [0, 1, 2, 3, 4].map((x) => a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20]);
  for (let x = 0; x < 5; x++) {
    const d = columns[(x + 4) % 5] ^ rotate(columns[(x + 1) % 5], 1n);
    for (let y = 0; y < 25; y += 5) a[y + x] ^= d;
  }
}

function rhoAndPi(a) {
  const b = new Array(25);
  for (let y = 0; y < 5; y++)
    for (let x = 0; x < 5; x++) b[y + 5 * ((2 * x + 3 * y) % 5)] = rotate(a[x + 5 * y], ROTATIONS[x + 5 * y]);
  return b;
}

const rotate = (lane, by) => ((lane << by) | (lane >> (64n - by))) & MASK;

/** The round constants of iota, from their linear feedback shift register. */
function computeConstants() {
  const constants = [];
  let register = 1;
  for (let round = 0; round < 24; round++) {
    let constant = 0n;
    for (let j = 0; j < 7; j++) {
      if (register & 1) constant |= 1n << BigInt((1 << j) - 1);
      register = (register << 1) ^ ((register >> 7) * 0x171);
    }
    constants.push(constant);
  }
  return constants;
}
