// Charts as SVG, drawn at the width they have. Each can be walked by arrow keys and read as a table.

import { h, svg } from "./dom.js";

const MARGIN = { top: 12, right: 14, bottom: 26, left: 46 };

/**
 * A line per series over a shared x. series: [{ name, kind, points: [[x, y]], band?: [[x, low, high]] }].
 * say(x) tells what stands at x, for the tooltip and for screen readers.
 */
export function lineChart({ label, series, height = 200, format = String, formatX = String, zero = false, say }) {
  const xs = [...new Set(series.flatMap((each) => each.points.map(([x]) => x)))].sort((a, b) => a - b);
  return chart({ label, height, xs, say, headings: ["at", ...series.map((each) => each.name)], rows: tableRows(series, xs, format, formatX),
    draw: (width) => drawLines(series, xs, { width, height, format, formatX, zero }) });
}

/** Stacked bars. columns: [{ x, parts: [[kind, value]] }]; hatched kinds differ by more than colour. */
export function stackChart({ label, columns, kinds, height = 160, formatX = String, say }) {
  const xs = columns.map((column) => column.x);
  const rows = columns.map((column) => [formatX(column.x), ...kinds.map((kind) => String(partOf(column, kind)))]);
  return chart({ label, height, xs, say, headings: ["round", ...kinds], rows,
    draw: (width) => drawStacks(columns, { width, height, formatX }) });
}

const partOf = (column, kind) => column.parts.find(([each]) => each === kind)?.[1] ?? 0;

function chart({ label, height, xs, say, headings, rows, draw }) {
  const canvas = h("div", { class: "chart", tabindex: "0", role: "group", "aria-label": `${label}. Arrow keys walk along it.`, "data-key": `chart:${label}`, style: { "min-height": `${height}px` } });
  const tip = h("div", { class: "tip", hidden: true });
  const said = h("p", { class: "unseen", role: "status" });
  let place = null;
  const show = (at) => {
    if (!xs.length) return;
    const index = Math.max(0, Math.min(xs.length - 1, at));
    canvas.dataset.index = String(index);
    place?.(index, tip);
    tip.textContent = say(xs[index]);
    tip.hidden = false;
  };
  const redraw = () => {
    const width = Math.floor(canvas.clientWidth);
    if (width < 40) return;
    const drawn = draw(width);
    place = (index, box) => putCursor(drawn, index, box, width);
    canvas.replaceChildren(drawn.node, tip);
  };
  canvas.addEventListener("pointermove", (event) => show(nearest(event.clientX - canvas.getBoundingClientRect().left, xs.length, canvas.clientWidth)));
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
  canvas.addEventListener("blur", () => { tip.hidden = true; });
  canvas.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const from = canvas.dataset.index === undefined ? xs.length : Number(canvas.dataset.index);
    show(from + steps[event.key]);
    said.textContent = tip.textContent;
  });
  new ResizeObserver(redraw).observe(canvas);
  return h("div", { class: "chart-box" }, canvas, said, asTable(label, headings, rows));
}

function asTable(label, headings, rows) {
  const shown = rows.slice(-200);
  return h("details", { class: "as-table", "data-key": `as-table:${label}` }, h("summary", {}, "As a table"),
    h("div", { class: "scroll short", role: "region", tabindex: "0", "aria-label": `${label}, as a table` },
      h("table", {}, h("thead", {}, h("tr", {}, headings.map((each) => h("th", { scope: "col", class: "number" }, each)))),
        h("tbody", {}, shown.map((row) => h("tr", {}, row.map((each) => h("td", { class: "number" }, each))))))));
}

function tableRows(series, xs, format, formatX) {
  const values = series.map((each) => new Map(each.points));
  return xs.map((x) => [formatX(x), ...values.map((each) => (each.has(x) ? format(each.get(x)) : "–"))]);
}

function nearest(x, size, width) {
  const inner = width - MARGIN.left - MARGIN.right;
  return Math.round(((x - MARGIN.left) / inner) * (size - 1));
}

function putCursor({ cursor, positions }, index, tip, width) {
  const x = positions[index];
  cursor.setAttribute("x1", x);
  cursor.setAttribute("x2", x);
  cursor.removeAttribute("visibility");
  const isRight = x > width / 2;
  tip.style.setProperty("left", isRight ? "auto" : `${x + 10}px`);
  tip.style.setProperty("right", isRight ? `${width - x + 10}px` : "auto");
}

function drawLines(series, xs, { width, height, format, formatX, zero }) {
  const values = series.flatMap((each) => [...each.points.map(([, y]) => y), ...(each.band ?? []).flatMap(([, low, high]) => [low, high])]);
  const [low, high, ticks] = range(Math.min(...values, zero ? 0 : Infinity), Math.max(...values));
  const [first, last] = [xs[0] ?? 0, xs.at(-1) ?? 1];
  const x = (value) => MARGIN.left + ((width - MARGIN.left - MARGIN.right) * (value - first)) / (last - first || 1);
  const y = (value) => MARGIN.top + (height - MARGIN.top - MARGIN.bottom) * (1 - (value - low) / (high - low || 1));
  const marks = series.flatMap(({ kind, points, band }) => [
    band?.length > 1 && svg("path", { class: `band ${kind}`, d: bandPath(band, x, y) }),
    svg("path", { class: `line ${kind}`, d: path(points.map(([a, b]) => [x(a), y(b)])) }),
    points.length <= 60 && points.map(([a, b]) => svg("circle", { class: `point ${kind}`, cx: x(a), cy: y(b), r: points.length > 30 ? 2 : 3 })),
  ]);
  return frame(width, height, ticks.map((tick) => [y(tick), format(tick)]), labelsAlong(xs, x, formatX, width), marks, xs.map(x));
}

function drawStacks(columns, { width, height, formatX }) {
  const totals = columns.map((column) => column.parts.reduce((sum, [, value]) => sum + value, 0));
  const [low, high, ticks] = range(0, Math.max(1, ...totals), true);
  const step = (width - MARGIN.left - MARGIN.right) / Math.max(columns.length, 1);
  const bar = Math.max(Math.min(step - (step > 4 ? 2 : 0), 34), 0.8);
  const middle = (at) => MARGIN.left + step * (at + 0.5);
  const y = (value) => MARGIN.top + (height - MARGIN.top - MARGIN.bottom) * (1 - (value - low) / (high - low));
  const marks = columns.flatMap((column, at) => {
    let sum = 0;
    return column.parts.filter(([, value]) => value > 0).map(([kind, value]) => {
      const top = y((sum += value));
      return svg("rect", { class: `bar ${kind}`, x: middle(at) - bar / 2, y: top, width: bar, height: Math.max(y(sum - value) - top - (step > 6 ? 1 : 0), 0.5), rx: bar > 8 ? 2 : 0 });
    });
  });
  const positions = columns.map((_, at) => middle(at));
  const along = labelsAlong(columns.map((_, at) => at), (at) => middle(at), (at) => formatX(columns[at].x), width);
  return frame(width, height, ticks.map((tick) => [y(tick), String(tick)]), along, marks, positions);
}

function frame(width, height, ticks, along, marks, positions) {
  const cursor = svg("line", { class: "cursor", y1: MARGIN.top, y2: height - MARGIN.bottom, x1: 0, x2: 0, visibility: "hidden" });
  const node = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
    ticks.map(([y, text]) => [
      svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y, y2: y }),
      svg("text", { class: "tick", x: MARGIN.left - 8, y: y + 4, "text-anchor": "end" }, text),
    ]),
    along.map(([x, text]) => svg("text", { class: "tick", x, y: height - 8, "text-anchor": "middle" }, text)),
    marks, cursor);
  return { node, cursor, positions };
}

function labelsAlong(xs, x, format, width) {
  const most = Math.max(2, Math.floor(width / 90));
  const step = Math.max(1, Math.ceil(xs.length / most));
  return xs.filter((_, at) => at % step === 0).map((value) => [x(value), format(value)]);
}

/** [low, high, ticks]: round numbers that hold both ends. */
function range(low, high, whole = false) {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return [0, 1, [0, 1]];
  const span = high - low || Math.abs(high) || 1;
  const raw = span / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = Math.max([1, 2, 5, 10].map((each) => each * power).find((each) => each >= raw), whole ? 1 : 0);
  const start = Math.floor(low / step) * step;
  const ticks = [];
  for (let at = 0; at === 0 || ticks.at(-1) < high; at++) ticks.push(Number((start + at * step).toPrecision(10)));
  return [ticks[0], ticks.at(-1), ticks];
}

const path = (points) => points.map(([x, y], at) => `${at ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

function bandPath(band, x, y) {
  const over = band.map(([at, , high]) => [x(at), y(high)]);
  const under = band.map(([at, low]) => [x(at), y(low)]).reverse();
  return `${path([...over, ...under])}Z`;
}
