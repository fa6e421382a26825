// The page's data, how its numbers are written, and how its elements are made. Text only ever enters as text nodes.

const page = JSON.parse(document.getElementById("data").textContent);
const everyCell = Array.from({ length: page.cells }, (_, index) => index);

function get(name, index) {
  const column = page.columns[name];
  if ("all" in column) return column.all;
  return "each" in column ? column.each[index] : column.values[column.codes[index]];
}

function distinct(name, indices = everyCell) {
  return [...new Set(indices.map((index) => get(name, index)))];
}

function make(tag, attributes = {}, ...children) {
  const drawn = ["svg", "g", "path", "line", "rect", "text", "circle", "clipPath", "defs"].includes(tag);
  const element = drawn ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (name.startsWith("aria-") && value !== null) element.setAttribute(name, String(value));
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== null).map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

const byId = (id) => document.getElementById(id);

// -- numbers as text ------------------------------------------------------------------------------------------------

const NONE = "–";

function compact(count) {
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (count >= size) return Number((count / size).toPrecision(3)) + unit;
  }
  return String(Math.round(count));
}

function share(value) {
  if (value === null || value === undefined) return NONE;
  const text = value.toFixed(2);
  return (text === "-0.00" ? "0.00" : text).replace("-", "−");
}

const grouped = (count) => (count === null ? NONE : count.toLocaleString("en-US"));
const duration = (seconds) => (seconds >= 600 ? `${Math.round(seconds / 60)} min` : `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`);
const mebibytes = (bytes) => (bytes === null ? NONE : `${grouped(Math.round(bytes / 2 ** 20))} MiB`);
const plain = (value) => (value === null ? "none" : value === true ? "True" : value === false ? "False" : String(value));
const plural = (count, noun) => `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;

// Writers of numbers by the names of their forms (measures/forms.py); of another form a number stands as it is.
const WRITERS = {
  share,
  count: compact,
  ratio: (value) => `×${value >= 100 ? compact(value) : Number(value.toPrecision(2))}`,
  chance: (p) => (p < 0.001 ? "< 0.001" : Number(p.toPrecision(2)).toString()),
  rank: (value) => String(Math.round(value)),
  seconds: duration,
  mebibytes,
};
const writer = (form) => (value) => (value === null || value === undefined ? NONE : (WRITERS[form] ?? String)(value));

// -- statistics -----------------------------------------------------------------------------------------------------

const statistics = new Map(page.statistics.map((statistic) => [statistic.name, statistic]));

// How the numbers of a statistic are written; one at a threshold is "all" at `total`, which may be a mean, rounded.
function statisticWriter({ form, threshold }, total) {
  const write = writer(form);
  return (value) => (threshold !== null && value !== null && value > 0.9999 * total ? "all" : write(value));
}

// Values in order: numbers by size, names by their natural order, what is missing last whichever way.
const collator = new Intl.Collator("en", { numeric: true });
function compare(a, b, descending = false) {
  const missing = (value) => value === null || value === undefined;
  if (missing(a) || missing(b)) return missing(a) - missing(b);
  const order = typeof a === "number" && typeof b === "number" ? a - b : collator.compare(String(a), String(b));
  return descending ? -order : order;
}

// -- looks ----------------------------------------------------------------------------------------------------------

const DASH_UNIT = 1.6; // width of a line, which its dashes are measured in
const bases = Object.keys(page.looks);
const methods = Object.keys(page.dashes);

function coloured(element, basis) {
  const { light, dark } = page.looks[basis];
  element.style.setProperty("--light", light);
  element.style.setProperty("--dark", dark);
  element.classList.add("coloured");
  return element;
}

const regular = (corners, turn = 0, radius = () => 1.1) =>
  Array.from({ length: corners }, (_, i) => {
    const angle = (2 * Math.PI * i) / corners - Math.PI / 2 + turn;
    return [radius(i) * Math.cos(angle), radius(i) * Math.sin(angle)];
  });
const PLUS = [[-1, -3], [1, -3], [1, -1], [3, -1], [3, 1], [1, 1], [1, 3], [-1, 3], [-1, 1], [-3, 1], [-3, -1], [-1, -1]];
const SHAPES = {
  o: regular(20, 0, () => 1),
  s: regular(4, Math.PI / 4, () => 1.3),
  "^": regular(3, 0, () => 1.3),
  v: regular(3, Math.PI, () => 1.3),
  "<": regular(3, -Math.PI / 2, () => 1.3),
  ">": regular(3, Math.PI / 2, () => 1.3),
  D: regular(4, 0, () => 1.3),
  d: [[0, -1.4], [0.8, 0], [0, 1.4], [-0.8, 0]],
  P: PLUS.map(([x, y]) => [0.42 * x, 0.42 * y]),
  X: PLUS.map(([x, y]) => [0.3 * (x - y), 0.3 * (x + y)]),
  p: regular(5, 0, () => 1.2),
  h: regular(6, 0, () => 1.2),
  "*": regular(10, 0, (i) => (i % 2 ? 0.6 : 1.45)),
};

const at = (number) => number.toFixed(1);
const marker = (shape, x, y, size = 2.9) =>
  "M" + SHAPES[shape].map(([dx, dy]) => `${at(x + size * dx)} ${at(y + size * dy)}`).join("L") + "Z";

const dashes = (method) => page.dashes[method].map((length) => at(length * DASH_UNIT)).join(" ");

// A short piece of a curve, for legends and tables: with its marker, its dashes or both.
function swatch(basis, method) {
  const width = method === undefined ? 16 : 26;
  const icon = make("svg", { class: "swatch", width, height: 12, viewBox: `0 0 ${width} 12`, "aria-hidden": "true" });
  if (method !== undefined) {
    icon.append(make("line", { x1: 0, x2: width, y1: 6, y2: 6, class: "line", "stroke-dasharray": dashes(method) }));
  }
  if (basis === undefined) return icon;
  icon.append(make("path", { class: "marks", d: marker(page.looks[basis].marker, width / 2, 6, 3.6) }));
  return coloured(icon, basis);
}
