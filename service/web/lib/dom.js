// Building and replacing elements. Text only ever goes in as text: nothing is parsed as markup.

const SVG = "http://www.w3.org/2000/svg";

/** h("a", { href, class, onclick, style: { width: "3px" } }, ...children) */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Replaces what a slot holds; who had the focus in it keeps it, found again by data-key. */
export function swap(slot, ...nodes) {
  const focused = slot.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const opened = [...slot.querySelectorAll("details[open][data-key]")].map((each) => each.dataset.key);
  slot.replaceChildren(...nodes.flat(3).filter(Boolean));
  for (const key of opened) slot.querySelector(`details[data-key="${CSS.escape(key)}"]`)?.setAttribute("open", "");
  if (focused) slot.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

/** Says it to screen readers, once. */
export function announce(text) {
  document.getElementById("announce").textContent = text;
}

/** columns: [{ label, number?, cell(row) }]; a region of its own, so that it can be scrolled by keyboard. */
export function table(caption, columns, rows, empty = "Nothing yet.") {
  if (!rows.length) return h("p", { class: "empty" }, empty);
  const kind = (column) => (column.number ? { class: "number" } : {});
  const head = columns.map((column) => h("th", { scope: "col", ...kind(column) }, column.label));
  const body = rows.map((row) =>
    h("tr", {}, columns.map((column, at) => h(at ? "td" : "th", { ...(at ? {} : { scope: "row" }), ...kind(column) }, column.cell(row)))));
  return h("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": `${caption}, table`, "data-key": `table:${caption}` },
    h("table", {}, h("caption", { class: "unseen" }, caption), h("thead", {}, h("tr", {}, head)), h("tbody", {}, body)));
}

export function section(title, note, ...content) {
  const id = `s-${title.toLowerCase().replace(/[^a-z]+/g, "-")}`;
  return h("section", { class: "panel", "aria-labelledby": id },
    h("header", { class: "panel-head" }, h("h2", { id }, title), note && h("p", { class: "note" }, note)), ...content);
}

/** The big numbers at the head of a page: [[label, value, detail]]. */
export function figures(items) {
  return h("dl", { class: "figures" }, items.map(([label, value, detail]) =>
    h("div", {}, h("dt", {}, label), h("dd", {}, h("span", { class: "value" }, value), detail && h("span", { class: "detail" }, detail)))));
}

/** The nodes of a page as one. */
export function wrap(nodes) {
  const box = document.createDocumentFragment();
  box.append(...nodes.flat().filter(Boolean));
  return box;
}
