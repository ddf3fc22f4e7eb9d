// A round's phases in the order of the protocol, each from the event that began it.

import { h } from "../lib/dom.js";
import { duration, time, transaction, words } from "../lib/format.js";

const PHASES = ["commit", "reveal", "ballot-commit", "ballot-reveal", "attest"];

/** facts: the round. log: its events, newest first. */
export function timeline(facts, log) {
  const events = [...log].reverse();
  const starts = findStarts(events);
  const end = events.find((event) => ["RoundFinalised", "RoundFailed"].includes(event.name));
  const items = PHASES.map((phase, at) => {
    const start = starts.get(phase);
    const next = PHASES.slice(at + 1).map((each) => starts.get(each)).find(Boolean) ?? end;
    return phaseItem(phase, start, next, facts);
  });
  return h("ol", { class: "timeline", tabindex: "0", "aria-label": "Phases of the round" }, items, endItem(facts, end));
}

function findStarts(events) {
  const starts = new Map();
  for (const event of events) {
    if (event.name === "RoundOpened") starts.set("commit", event);
    if (event.name === "PhaseStarted" && !starts.has(event.data.phase)) starts.set(event.data.phase, event);
  }
  return starts;
}

function phaseItem(phase, start, next, facts) {
  const kind = !start ? "" : next ? "done" : facts.state === "open" ? "now" : "done";
  const took = start && next ? `${duration(next.timestamp - start.timestamp)}, ${next.block - start.block} blocks` : null;
  return h("li", { class: kind }, h("b", {}, capital(words(phase))),
    start ? [h("span", {}, took ?? `until ${new Date(facts.ends_at * 1000).toLocaleTimeString("en-GB")}`), h("span", {}, "block ", transaction(start.tx, start.block, String(start.block)))] : h("span", {}, "not reached"));
}

function endItem(facts, end) {
  const name = { finalised: "Final", failed: "Failed", open: "Final" }[facts.state];
  return h("li", { class: { finalised: "done", failed: "failed", open: "" }[facts.state] }, h("b", {}, name),
    end ? [h("span", {}, time(end.timestamp)), h("span", {}, "block ", transaction(end.tx, end.block, String(end.block)))] : h("span", {}, "not reached"));
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);
