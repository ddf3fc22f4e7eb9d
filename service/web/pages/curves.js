// A job's curves. What the chain decided and what trainers merely claim never share a chart.

import { h, section } from "../lib/dom.js";
import { lineChart, stackChart } from "../lib/charts.js";
import { count } from "../lib/format.js";

const KINDS = ["verified", "rejected", "invalid", "unavailable"];
const number = (value) => Number(value.toPrecision(3)).toString();

/** claims: the API's Claims. One chart per metric that the manifests name. */
export function claimedCharts({ items }) {
  const names = [...new Set(items.flatMap((item) => Object.keys(item.metrics)))].sort();
  const note = "Claimed by trainers of their own data, in the manifests of verified updates: median, and the range between trainers. Nobody checks these figures, and no payment rests on them.";
  if (!names.length) return section("Learning, as claimed", note, h("p", { class: "empty" }, "No manifest that this coordinator holds names a metric yet."));
  return section("Learning, as claimed", note, names.map((name) => [h("h3", { class: "chart-title" }, name[0].toUpperCase() + name.slice(1)), claimedChart(name, items.filter((item) => item.metrics[name]))]));
}

function claimedChart(name, items) {
  const found = new Map(items.map((item) => [item.round, item.metrics[name]]));
  const say = (round) => {
    const claim = found.get(round);
    return `Round ${round}\n${name} ${number(claim.median)} (${number(claim.low)} to ${number(claim.high)}), claimed in ${claim.updates} updates`;
  };
  return lineChart({
    label: `${name}, claimed by trainers`, say, format: number, zero: true, height: 190,
    series: [{ name: `${name} (claimed)`, kind: "claimed", points: items.map((item) => [item.round, item.metrics[name].median]), band: items.map((item) => [item.round, item.metrics[name].low, item.metrics[name].high]) }],
  });
}

/** history: the API's RoundHistory. */
export function scoreChart(history) {
  const points = history.round.map((round, at) => [round, history.median_score[at]]).filter(([, score]) => score !== null);
  const note = "Decided on chain: the median of the committee’s secret ballots, over the updates it found useful. A score is a weight in the next model and in the pay, not an accuracy; the chain holds no accuracy.";
  if (!points.length) return section("Usefulness, as judged", note, h("p", { class: "empty" }, "No round has been tallied yet."));
  const found = new Map(points);
  return section("Usefulness, as judged", note, h("h3", { class: "chart-title" }, "Median score of verified updates"), lineChart({
    label: "Median score of verified updates", format: (value) => count(Math.round(value)), zero: true, height: 190,
    say: (round) => `Round ${round}\nmedian score ${count(found.get(round))}`,
    series: [{ name: "median score", kind: "judged", points }],
  }));
}

export function verdictChart(history) {
  const columns = history.round.map((round, at) => ({ x: round, parts: KINDS.map((kind) => [kind, history[kind][at] ?? 0]) }));
  const shown = columns.filter((column) => column.parts.some(([, value]) => value));
  const title = "Verdicts per round";
  if (!shown.length) return section(title, "", h("p", { class: "empty" }, "No verdicts yet."));
  const say = (round) => {
    const column = shown.find((each) => each.x === round);
    return `Round ${round}\n${column.parts.filter(([, value]) => value).map(([kind, value]) => `${count(value)} ${kind}`).join(", ")}`;
  };
  return section(title, "How many updates the contract found verified, rejected, invalid or unavailable.", stackChart({ label: title, columns: shown, kinds: KINDS, say }));
}
