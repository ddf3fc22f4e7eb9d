// Where the escrowed money is: a flow drawn to scale, and the same as a list for narrow screens.

import { h, svg } from "./dom.js";
import { money, share, tokens } from "./format.js";

const HEIGHT = 170, GAP = 18, BAR = 12, LABEL = 30;

/** money: the API's MoneyFlow, wei as decimal strings. */
export function moneyFlow(flow) {
  const claimable = String(BigInt(flow.earned) - BigInt(flow.claimed));
  const sinks = [
    ["earned", "Earned by providers", flow.earned],
    ["escrow", "In escrow", flow.escrow],
    ["refunded", "Refunded", flow.refunded],
    ["fees", "Coordinators’ fees", flow.fees],
  ];
  const ends = [["claimed", "Claimed", flow.claimed], ["claimable", "To be claimed", claimable]];
  const canvas = h("div", { class: "flow", "aria-hidden": "true" });
  new ResizeObserver(() => canvas.replaceChildren(draw(Math.floor(canvas.clientWidth), flow.deposited, sinks, ends))).observe(canvas);
  return h("div", {}, canvas, list([["deposited", "Deposited by requesters", flow.deposited], ...sinks, ...ends], flow.deposited));
}

function list(rows, whole) {
  return h("dl", { class: "flow-list" }, rows.map(([kind, label, wei]) =>
    h("div", {}, h("dt", {}, h("span", { class: `swatch ${kind}`, "aria-hidden": "true" }), label),
      h("dd", {}, money(wei), h("span", { class: "detail" }, ` ${(share(wei, whole) * 100).toFixed(1)} %`)))));
}

function draw(width, deposited, sinks, ends) {
  const scale = (wei) => Math.max(share(wei, deposited) * HEIGHT, BigInt(wei) > 0n ? 1.5 : 0);
  const columns = [0, width * 0.4, width * 0.78];
  const source = { x: columns[0], y: 0, height: HEIGHT };
  const placed = place(sinks, columns[1], 0, scale);
  const earned = placed[0];
  const final = place(ends, columns[2], 0, scale);
  const links = [...link(source, placed), ...link(earned, final)];
  const bars = [
    bar(source, "deposited", "Deposited", deposited),
    placed.map((each) => bar(each, each.kind, each.label, each.wei)),
    final.map((each) => bar(each, each.kind, each.label, each.wei)),
  ];
  const height = Math.max(HEIGHT, ...[...placed, ...final].map((each) => each.y + Math.max(each.height, LABEL))) + 16;
  return svg("svg", { width, height, viewBox: `0 -6 ${width} ${height}` }, links, bars);
}

function place(items, x, top, scale) {
  let y = top;
  return items.map(([kind, label, wei]) => {
    const each = { kind, label, wei, x, y, height: scale(wei) };
    y += Math.max(each.height, LABEL) + GAP;
    return each;
  });
}

function link(from, to) {
  let y = from.y;
  return to.filter((each) => each.height > 0).map((each) => {
    const [x1, x2] = [from.x + BAR, each.x];
    const middle = (x1 + x2) / 2;
    const upper = `M${x1} ${y}C${middle} ${y} ${middle} ${each.y} ${x2} ${each.y}`;
    const bottom = y + each.height;
    const lower = `L${x2} ${each.y + each.height}C${middle} ${each.y + each.height} ${middle} ${bottom} ${x1} ${bottom}Z`;
    y = bottom;
    return svg("path", { class: `stream ${each.kind}`, d: upper + lower });
  });
}

function bar({ x, y, height }, kind, label, wei) {
  const middle = y + Math.max(height, LABEL - 6) / 2;
  return svg("g", {},
    svg("rect", { class: `end ${kind}`, x, y, width: BAR, height: Math.max(height, 1.5), rx: 2 }),
    svg("text", { class: "flow-label", x: x + BAR + 8, y: middle - 1 }, label),
    svg("text", { class: "flow-value", x: x + BAR + 8, y: middle + 14 }, tokens(wei)));
}
