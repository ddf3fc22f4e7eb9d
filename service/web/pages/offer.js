// Offering a job from a browser wallet: job file in, review, two signatures, and the job's page.

import { ApiError, get, post } from "../lib/api.js";
import { concat, fromHex, toHex } from "../lib/bytes.js";
import { cidOf } from "../lib/cid.js";
import { announce, h, section, swap, wrap } from "../lib/dom.js";
import { cid, count, hash, money } from "../lib/format.js";
import { keccak256 } from "../lib/keccak.js";
import { compact, connect, hasWallet, sign, signIn, WalletProblem } from "../lib/wallet.js";

const LOOK = 300; // milliseconds
// The contract's JobParameters, in its order: each is one word of what is hashed.
const WORDS = [
  "spec_digest", "initial_model", "rounds", "price_per_round", "validator_share_bps", "coordinator_share_bps", "coordinator", "min_trainers", "max_trainers", "committee_size",
  "min_stake", "commit_window", "reveal_window", "ballot_commit_window", "ballot_reveal_window", "attest_window", "recruit_until", "max_failed_rounds", "allowlist_root",
];

export function offerPage() {
  const text = h("textarea", { id: "job-file", rows: 18, spellcheck: "false", autocomplete: "off", "aria-describedby": "job-file-note", required: true });
  const [review, problem] = [h("div"), h("p", { class: "problem", role: "alert" })];
  const button = h("button", { class: "plain", type: "submit", "data-key": "review" }, "Connect wallet and review");
  const form = h("form", { class: "offer", onsubmit: (event) => { event.preventDefault(); run(button, problem, () => prepare(text.value, review, problem)); } },
    h("label", { for: "job-file" }, "Job file"), h("p", { class: "note", id: "job-file-note" }, "As ", h("code", {}, "weal job new"), " writes it: what is trained, and on what terms."),
    text, h("div", { class: "actions" }, button, problem));
  const without = h("p", { class: "empty" }, "This browser has no wallet. Offer the job from a terminal instead: ", h("code", {}, "weal job submit job.yaml"));
  const node = [
    h("header", { class: "head" }, h("h1", {}, "Offer a job"), h("p", { class: "lead" }, "Your wallet signs the offer and lets the board take the escrow. The coordinator pays the gas and can change nothing.")),
    section("What you offer", "", hasWallet() ? form : without), review,
  ];
  return { title: "Offer a job", node: wrap(node), concerns: () => false, refresh: async () => {} };
}

async function prepare(jobFile, review, problem) {
  swap(review);
  const network = await get("/v1/network");
  const account = await connect(network.chain_id);
  const token = await signIn(account);
  const draft = await post("/v1/drafts", { requester: account, job_file: jobFile }, token);
  const { message } = draft.documents.offer;
  if (hashParameters(draft.offer.parameters) !== message.parametersHash) throw new WalletProblem("The coordinator wants a hash signed that is not that of the parameters it shows");
  const button = h("button", { class: "plain", type: "button", "data-key": "sign" }, "Sign and offer");
  const refusal = h("p", { class: "problem", role: "alert" });
  button.addEventListener("click", () => run(button, refusal, () => offer(account, token, draft)));
  problem.textContent = "";
  swap(review, section("What you sign", "The hash was recomputed here from these terms.", facts(account, draft), h("div", { class: "actions" }, button, refusal)));
  announce("Review what you sign");
  button.focus();
}

async function offer(account, token, { offer: unsigned, documents }) {
  const allowance = await sign(account, documents.permit);
  const signature = compact(await sign(account, documents.offer));
  const permit = { value: documents.permit.message.value, deadline: documents.permit.message.deadline, v: allowance.v, r: toHex(allowance.r), s: toHex(allowance.s) };
  const { id } = await post("/v1/jobs", { ...unsigned, signature, permit }, token);
  announce("The offer was taken; it waits for its block");
  for (;;) {
    const state = await get(`/v1/offers/${id}`);
    if (state.job !== null) return void (location.hash = `#/jobs/${state.job}`);
    if (state.state === "refused") throw new WalletProblem(`The board refused the offer: ${state.reason}`);
    await new Promise((done) => setTimeout(done, LOOK));
  }
}

/** Runs with the button at rest, and says what went wrong beside it. */
async function run(button, problem, work) {
  button.disabled = true;
  problem.textContent = "";
  try {
    await work();
  } catch (error) {
    if (!(error instanceof WalletProblem || error instanceof ApiError)) console.error(error);
    problem.textContent = error.code ? `${error.message} (${error.code})` : error.message;
  } finally {
    button.disabled = false;
  }
}

function facts(account, { offer: { escrow, parameters }, documents }) {
  const rows = [
    ["Requester", hash(account)],
    ["Escrow", h("span", {}, money(escrow), " tokens")],
    ["Rounds", count(parameters.rounds)],
    ["Price per round", h("span", {}, money(parameters.price_per_round), " tokens")],
    ["Trainers", `${count(parameters.min_trainers)} to ${count(parameters.max_trainers)}`],
    ["Committee", count(parameters.committee_size)],
    ["Specification", cid(cidOf("dag-cbor", fromHex(parameters.spec_digest)))],
    ["Initial model", cid(cidOf("dag-cbor", fromHex(parameters.initial_model)))],
    ["Board", hash(documents.offer.domain.verifyingContract)],
    ["Parameters’ hash", hash(documents.offer.message.parametersHash)],
  ];
  return h("dl", { class: "terms" }, rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** keccak256(abi.encode(parameters)), as the board computes it. */
function hashParameters(parameters) {
  const words = WORDS.map((name) => {
    const value = parameters[name];
    const digits = String(value).startsWith("0x") ? value.slice(2) : BigInt(value).toString(16);
    return fromHex(digits.padStart(64, "0"));
  });
  return toHex(keccak256(concat(...words)));
}
