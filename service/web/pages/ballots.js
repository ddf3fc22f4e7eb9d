// The committee: who sits, what each gave every update, and how near to the medians that was.

import { h, table } from "../lib/dom.js";
import { count, hash } from "../lib/format.js";

const MOST_COLUMNS = 40;
const SPECIAL = { 65534: ["?", "could not be fetched in time"], 65535: ["✗", "invalid"] };

export function ballotsTable(facts, updates) {
  if (!facts.ballots.length) return h("p", { class: "empty" }, "The committee is drawn after COMMIT closes.");
  const revealed = updates.filter((update) => update.digest);
  const shown = revealed.slice(0, MOST_COLUMNS);
  const columns = [
    { label: "Seat", cell: (ballot) => `Seat ${ballot.seat}` },
    { label: "Member", number: true, cell: (ballot) => ballot.member },
    { label: "Ballot", cell: (ballot) => (ballot.scores ? "revealed" : ballot.commitment ? "sealed" : "none yet") },
    ...shown.map((update, at) => ({ label: `m${update.member}`, number: true, cell: (ballot) => given(ballot, at, update) })),
    { label: "Pay", number: true, cell: (ballot) => (ballot.share_bps === null ? "–" : `${(ballot.share_bps / 100).toFixed(1)} %`) },
    { label: "Attested", cell: (ballot) => (ballot.attested ? hash(ballot.attested) : h("span", { class: "none" }, "–")) },
  ];
  const medians = facts.ballots.some((ballot) => ballot.scores) && `Columns m… are the scores that each seat gave each member’s update; a score on one’s own update is not counted. ${revealed.length > shown.length ? `The first ${shown.length} of ${count(revealed.length)}.` : ""}`;
  return h("div", {}, table("Ballots", columns, facts.ballots), medians && h("p", { class: "actions note" }, medians));
}

function given(ballot, at, update) {
  if (!ballot.scores) return h("span", { class: "none" }, "·");
  const score = ballot.scores[at];
  const [sign, meaning] = SPECIAL[score] ?? [count(score), ""];
  const own = ballot.member === update.member;
  return h("span", { class: own ? "none" : "", title: own ? "its own update: not counted" : meaning }, own ? `(${sign})` : sign);
}
