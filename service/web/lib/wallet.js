// A browser wallet (EIP-1193): who it is, what it signs, and signing in with it.

import { post } from "./api.js";
import { fromHex, toHex } from "./bytes.js";

export class WalletProblem extends Error {}

export const hasWallet = () => Boolean(window.ethereum?.request);

/** The account that the user chose, on the coordinator's chain. Raises WalletProblem. */
export async function connect(chainId) {
  const [account] = await ask("eth_requestAccounts");
  if (!account) throw new WalletProblem("The wallet has no account");
  const wanted = `0x${chainId.toString(16)}`;
  if (BigInt(await ask("eth_chainId")) !== BigInt(chainId)) await ask("wallet_switchEthereumChain", [{ chainId: wanted }]);
  return account;
}

/** A token for this coordinator, good for an hour. */
export async function signIn(account) {
  const given = await post("/v1/sessions/challenge", {});
  const message = { host: location.host, coordinator: given.coordinator, account, nonce: given.nonce, expiresAt: String(given.expires_at) };
  const document = {
    types: { EIP712Domain: fields("string name,string version,uint256 chainId,address verifyingContract"), SignIn: fields("string host,address coordinator,address account,string nonce,uint256 expiresAt") },
    primaryType: "SignIn",
    domain: { name: "Commonweal", version: "1", chainId: given.chain_id, verifyingContract: given.contract },
    message,
  };
  const signature = compact(await sign(account, document));
  return (await post("/v1/sessions", { host: location.host, account, nonce: given.nonce, signature })).token;
}

/** { r, s, v } of an EIP-712 document. */
export async function sign(account, document) {
  const bytes = fromHex(await ask("eth_signTypedData_v4", [account, JSON.stringify(document)]));
  if (bytes.length !== 65) throw new WalletProblem(`The wallet's signature has ${bytes.length} bytes, not 65`);
  return { r: bytes.slice(0, 32), s: bytes.slice(32, 64), v: bytes[64] < 27 ? bytes[64] + 27 : bytes[64] };
}

/** 64 bytes (EIP-2098): the sign bit rides on top of s. */
export function compact({ r, s, v }) {
  const packed = new Uint8Array(64);
  packed.set(r);
  packed.set(s, 32);
  if (v === 28) packed[32] |= 0x80;
  return toHex(packed);
}

async function ask(method, params = []) {
  try {
    return await window.ethereum.request({ method, params });
  } catch (error) {
    throw new WalletProblem(error.code === 4001 ? "You declined in the wallet" : `The wallet says: ${error.message ?? error}`);
  }
}

const fields = (text) => text.split(",").map((each) => ({ type: each.split(" ")[0], name: each.split(" ")[1] }));
