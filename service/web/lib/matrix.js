// The matrix of trainers × rounds. Only what is in view is drawn, and only its bands are fetched,
// so that 1,000 × 500 costs what a screenful costs. Walked by arrow keys; each state has its own sign.

import { fromBase64 } from "./bytes.js";
import { h } from "./dom.js";
import { SAID, STATES, short } from "./format.js";
import { paintCell } from "./cells.js";

const BAND = 32; // rounds fetched at a time
const HEAD = 26;

export class Matrix {
  /** trainers: addresses by member. rounds: { first, last }. fetchBand(first, last) → the API's Matrix. */
  constructor({ fetchBand, onOpen }) {
    this.fetchBand = fetchBand;
    this.onOpen = onOpen;
    this.bands = new Map();
    this.trainers = [];
    this.rounds = { first: 1, last: 0 };
    this.cursor = null;
    this.build();
  }

  build() {
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.spacer = h("div", { class: "matrix-spacer" });
    this.tip = h("div", { class: "tip", hidden: true });
    this.view = h("div", { class: "matrix", tabindex: "0", role: "application", "aria-roledescription": "matrix",
      "aria-label": "Verdicts by trainer and round. Arrow keys move, Page Up and Page Down by ten, Enter opens the round.", "data-key": "matrix" }, this.canvas, this.spacer);
    this.said = h("p", { class: "matrix-said", role: "status" }, "Point at a cell, or focus the matrix and use the arrow keys.");
    this.node = h("div", { class: "matrix-box" }, this.view, this.tip, this.said);
    this.view.addEventListener("scroll", () => this.draw(), { passive: true });
    this.view.addEventListener("pointermove", (event) => this.point(event));
    this.view.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    this.view.addEventListener("click", (event) => this.click(event));
    this.view.addEventListener("keydown", (event) => this.press(event));
    this.view.addEventListener("focus", () => this.draw());
    this.view.addEventListener("blur", () => this.draw());
    new ResizeObserver(() => this.resize()).observe(this.view);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** dirty: round numbers whose cells may have changed; undefined: all. */
  update(trainers, rounds, dirty) {
    const wasAtEnd = this.rounds.last < this.rounds.first || this.view.scrollLeft + this.view.clientWidth >= this.view.scrollWidth - this.cell;
    const stale = dirty === undefined ? [...this.bands.keys()] : dirty.map((round) => this.bandOf(round));
    for (const band of stale) if (this.bands.has(band)) this.bands.get(band).isStale = true;
    Object.assign(this, { trainers, rounds });
    this.resize();
    if (wasAtEnd) this.view.scrollLeft = this.view.scrollWidth;
    this.draw();
  }

  get columns() {
    return Math.max(0, this.rounds.last - this.rounds.first + 1);
  }

  get gutter() {
    return this.view.clientWidth < 560 ? 84 : 148;
  }

  resize() {
    const roomy = (this.view.clientWidth - this.gutter) / Math.max(this.columns, 1);
    this.cell = this.columns && this.trainers.length <= 40 ? Math.max(20, Math.min(34, Math.floor(roomy))) : 18;
    const width = this.gutter + this.columns * this.cell, height = HEAD + this.trainers.length * this.cell;
    this.spacer.style.setProperty("width", `${width}px`);
    this.spacer.style.setProperty("height", `${height}px`);
    const shown = Math.min(height + 2, Math.max(240, Math.round(innerHeight * 0.62)));
    this.view.style.setProperty("height", `${shown + (width > this.view.clientWidth ? 14 : 0)}px`);
    this.draw();
  }

  bandOf(round) {
    return Math.floor((round - 1) / BAND);
  }

  /** The cell's state and score; undefined while its band is on its way. */
  at(member, round) {
    const band = this.bands.get(this.bandOf(round));
    if (!band?.states || member >= band.members) return undefined;
    const index = (round - band.first) * band.members + member;
    return { state: STATES[band.states[index]], score: band.scores.getUint16(2 * index) };
  }

  async load(number) {
    const known = this.bands.get(number);
    if (known && !known.isStale) return;
    this.bands.set(number, { ...known, isStale: false });
    try {
      const answer = await this.fetchBand(number * BAND + 1, (number + 1) * BAND);
      this.bands.set(number, { first: answer.first, members: answer.members, states: fromBase64(answer.states), scores: new DataView(fromBase64(answer.scores).buffer) });
      if (this.cursor && this.bandOf(this.cursor.round) === number) this.said.textContent = this.describe(this.cursor);
      this.draw();
    } catch {
      setTimeout(() => { if (this.bands.get(number)) this.bands.get(number).isStale = true; }, 3000);
    }
  }

  draw() {
    if (this.isAsked) return;
    this.isAsked = true;
    requestAnimationFrame(() => {
      this.isAsked = false;
      this.paint();
    });
  }

  paint() {
    const { clientWidth: width, clientHeight: height, scrollLeft, scrollTop } = this.view;
    if (!width || !height || !this.cell) return;
    const ratio = devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
      this.canvas.style.setProperty("width", `${width}px`);
      this.canvas.style.setProperty("height", `${height}px`);
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    this.seen = this.window(width, height, scrollLeft, scrollTop);
    for (let band = this.bandOf(this.rounds.first + this.seen.left); band <= this.bandOf(this.rounds.first + this.seen.right); band++) if (this.columns) this.load(band);
    const style = getComputedStyle(this.view);
    this.paintCells(context, style);
    this.paintHeads(context, style, width, height);
  }

  /** Columns and rows in view, both ends included. */
  window(width, height, scrollLeft, scrollTop) {
    return {
      left: Math.floor(scrollLeft / this.cell),
      right: Math.min(this.columns - 1, Math.floor((scrollLeft + width - this.gutter) / this.cell)),
      top: Math.floor(scrollTop / this.cell),
      bottom: Math.min(this.trainers.length - 1, Math.floor((scrollTop + height - HEAD) / this.cell)),
    };
  }

  place(member, column) {
    return [this.gutter + column * this.cell - this.view.scrollLeft, HEAD + member * this.cell - this.view.scrollTop];
  }

  paintCells(context, style) {
    const { left, right, top, bottom } = this.seen;
    const best = this.bestScore();
    for (let member = top; member <= bottom; member++)
      for (let column = left; column <= right; column++) {
        const cell = this.at(member, this.rounds.first + column);
        paintCell(context, style, this.place(member, column), this.cell, cell, best);
      }
    if (this.cursor && document.activeElement === this.view) {
      const [x, y] = this.place(this.cursor.member, this.cursor.round - this.rounds.first);
      context.strokeStyle = style.getPropertyValue("--ink");
      context.lineWidth = 2;
      context.strokeRect(x + 1, y + 1, this.cell - 2, this.cell - 2);
    }
  }

  /** Strength of colour is relative to the best score in view. */
  bestScore() {
    const { left, right, top, bottom } = this.seen;
    let best = 1;
    for (let member = top; member <= bottom; member++)
      for (let column = left; column <= right; column++) {
        const cell = this.at(member, this.rounds.first + column);
        if (cell?.state === "verified") best = Math.max(best, cell.score);
      }
    return best;
  }

  paintHeads(context, style, width, height) {
    const { left, right, top, bottom } = this.seen;
    context.fillStyle = style.getPropertyValue("--surface");
    context.fillRect(0, 0, this.gutter, height);
    context.fillRect(0, 0, width, HEAD);
    context.fillStyle = style.getPropertyValue("--muted");
    context.textBaseline = "middle";
    context.font = `12px ${style.getPropertyValue("--mono")}`;
    const narrow = this.gutter < 100;
    for (let member = top; member <= bottom; member++) {
      const y = HEAD + (member + 0.5) * this.cell - this.view.scrollTop;
      if (y < HEAD + 2) continue;
      context.textAlign = "right";
      context.fillText(String(member), 30, y);
      context.textAlign = "left";
      context.fillText(short(this.trainers[member], narrow ? 4 : 6, narrow ? 0 : 4), 40, y);
    }
    context.textAlign = "center";
    context.font = `11px ${style.getPropertyValue("--sans")}`;
    const every = this.cell >= 26 ? 1 : 5;
    for (let column = left; column <= right; column++) {
      const round = this.rounds.first + column, x = this.gutter + (column + 0.5) * this.cell - this.view.scrollLeft;
      if ((round % every === 0 || every === 1) && x > this.gutter) context.fillText(String(round), x, HEAD / 2);
    }
  }

  cellUnder(event) {
    const box = this.view.getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top;
    const column = Math.floor((x - this.gutter + this.view.scrollLeft) / this.cell);
    const member = Math.floor((y - HEAD + this.view.scrollTop) / this.cell);
    const isInside = x > this.gutter && y > HEAD && column < this.columns && member < this.trainers.length;
    return isInside ? { member, round: this.rounds.first + column, x, y, width: box.width } : null;
  }

  describe({ member, round }) {
    const cell = this.at(member, round);
    if (!cell) return `Member ${member}, round ${round}: loading`;
    const score = ["verified", "rejected"].includes(cell.state) ? `, score ${cell.score}` : "";
    return `Member ${member} (${short(this.trainers[member] ?? "")}), round ${round}: ${SAID[cell.state]}${score}`;
  }

  point(event) {
    const cell = this.cellUnder(event);
    this.tip.hidden = !cell;
    if (!cell) return;
    this.tip.textContent = this.describe(cell);
    this.tip.style.setProperty("top", `${cell.y + 16}px`);
    this.tip.style.setProperty("left", cell.x < cell.width / 2 ? `${cell.x + 14}px` : "auto");
    this.tip.style.setProperty("right", cell.x < cell.width / 2 ? "auto" : `${cell.width - cell.x + 14}px`);
  }

  click(event) {
    const cell = this.cellUnder(event);
    if (cell) this.onOpen(cell.round, cell.member);
  }

  press(event) {
    const moves = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0], PageDown: [10, 0], PageUp: [-10, 0], Home: [0, -Infinity], End: [0, Infinity] };
    if (event.key === "Enter" && this.cursor) {
      this.onOpen(this.cursor.round, this.cursor.member);
      return;
    }
    if (!(event.key in moves) || !this.columns || !this.trainers.length) return;
    event.preventDefault();
    const [down, right] = moves[event.key];
    const from = this.cursor ?? { member: 0, round: this.rounds.last };
    const isFirst = !this.cursor;
    this.cursor = {
      member: clamp(from.member + (isFirst ? 0 : down), 0, this.trainers.length - 1),
      round: clamp(from.round + (isFirst ? 0 : right), this.rounds.first, this.rounds.last),
    };
    this.reveal();
    this.said.textContent = this.describe(this.cursor);
    this.draw();
  }

  /** Scrolls the cell under the cursor into view. */
  reveal() {
    const { view, cell } = this;
    const x = (this.cursor.round - this.rounds.first) * cell, y = this.cursor.member * cell;
    view.scrollLeft = clamp(view.scrollLeft, x + this.gutter + cell - view.clientWidth, x);
    view.scrollTop = clamp(view.scrollTop, y + HEAD + cell - view.clientHeight, y);
  }
}

const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
