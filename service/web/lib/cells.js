// How a cell of the matrix looks: each state has its own sign, so that colour is never needed.

import { h } from "./dom.js";
import { SAID } from "./format.js";

const FAINTEST = 0.35;
const COLOURED = ["verified", "rejected", "invalid", "unavailable", "unrevealed"];

/** Paints one cell; `cell` is undefined while it is not loaded. `best`: the score of full strength. */
export function paintCell(context, style, [x, y], size, cell, best) {
  const inset = 1.5, side = size - 2 * inset;
  const colour = (name) => style.getPropertyValue(`--${name}`);
  if (!cell || cell.state === "absent") {
    context.fillStyle = colour("cell");
    box(context, x + inset, y + inset, side);
    return;
  }
  context.fillStyle = context.strokeStyle = colour(COLOURED.includes(cell.state) ? cell.state : "muted");
  context.lineWidth = Math.max(1.5, size / 12);
  context.globalAlpha = cell.state === "verified" ? FAINTEST + (1 - FAINTEST) * (cell.score / best) : 1;
  SIGNS[cell.state]?.(context, x + inset, y + inset, side, colour);
  context.globalAlpha = 1;
}

const SIGNS = {
  verified: (context, x, y, side) => box(context, x, y, side),
  rejected: (context, x, y, side) => {
    outline(context, x, y, side);
    stroke(context, [[x + side * 0.2, y + side * 0.8], [x + side * 0.8, y + side * 0.2]]);
  },
  invalid: (context, x, y, side, colour) => {
    box(context, x, y, side);
    context.strokeStyle = colour("surface");
    stroke(context, [[x + side * 0.28, y + side * 0.28], [x + side * 0.72, y + side * 0.72]]);
    stroke(context, [[x + side * 0.28, y + side * 0.72], [x + side * 0.72, y + side * 0.28]]);
  },
  unavailable: (context, x, y, side) => {
    outline(context, x, y, side);
    dot(context, x + side / 2, y + side / 2, side * 0.16);
  },
  unrevealed: (context, x, y, side) => stroke(context, [[x + side * 0.15, y + side / 2], [x + side * 0.85, y + side / 2]]),
  revealed: (context, x, y, side) => {
    context.beginPath();
    context.arc(x + side / 2, y + side / 2, side * 0.3, 0, 2 * Math.PI);
    context.stroke();
  },
  committed: (context, x, y, side) => dot(context, x + side / 2, y + side / 2, side * 0.16),
};

function box(context, x, y, side) {
  context.beginPath();
  context.roundRect(x, y, side, side, side * 0.18);
  context.fill();
}

function outline(context, x, y, side) {
  context.beginPath();
  context.roundRect(x + 0.75, y + 0.75, side - 1.5, side - 1.5, side * 0.18);
  context.stroke();
}

function stroke(context, [[x1, y1], [x2, y2]]) {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}

function dot(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

/** The key to the signs, drawn by the same hand. */
export function legend(states) {
  const items = states.map((state) => {
    const canvas = h("canvas", { width: 36, height: 36, "aria-hidden": "true" });
    requestAnimationFrame(() => {
      const context = canvas.getContext("2d");
      context.scale(2, 2);
      paintCell(context, getComputedStyle(canvas), [0, 0], 18, { state, score: 1 }, 1);
    });
    return h("li", {}, canvas, h("span", { title: SAID[state] }, state));
  });
  return h("ul", { class: "legend" }, items);
}
