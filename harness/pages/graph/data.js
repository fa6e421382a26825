// The page's data, how its numbers are written, and how its elements are made. Text only ever enters as text nodes.

const page = JSON.parse(document.getElementById("data").textContent);
const { nodes, edges, tokens } = page;
const everyNode = Array.from(nodes.kind, (_, node) => node);
const everyEdge = Array.from(edges.source, (_, edge) => edge);

const DRAWN = new Set(["svg", "g", "path", "line", "rect", "text", "circle"]);

function make(tag, attributes = {}, ...children) {
  const element = DRAWN.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true && !name.startsWith("aria-")) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
    else if (value === false && name.startsWith("aria-")) element.setAttribute(name, "false");
  }
  element.append(...children.filter((child) => child !== null).map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

const byId = (id) => document.getElementById(id);
const bdi = (text) => make("bdi", {}, text);

// -- numbers as text ------------------------------------------------------------------------------------------------

const minus = (text) => text.replace("-", "−");
const grouped = (count) => count.toLocaleString("en-US");
const plural = (count, noun) => `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;

// Two decimals, or two digits of what is small.
function plain(value) {
  const size = Math.abs(value);
  if (size === 0) return "0";
  return minus(size >= 0.1 ? value.toFixed(2) : size >= 1e-4 ? value.toPrecision(2) : value.toExponential(0));
}

const signed = (value) => (value > 0 ? `+${plain(value)}` : plain(value));

function percent(share) {
  const value = 100 * share;
  const size = Math.abs(value);
  if (size > 0 && size < 0.01) return "< 0.01 %";
  return `${minus(value.toFixed(size >= 10 || size === 0 ? 0 : size >= 1 ? 1 : 2))} %`;
}

const ofMetric = (value) => (page.metric ? `${percent(value / page.metric)} of ${page.metric_name}` : `${page.metric_name} is 0`);
const shortened = (text, length) => {
  const letters = [...text];
  return letters.length > length ? `${letters.slice(0, length - 1).join("")}…` : text;
};

// -- nodes ----------------------------------------------------------------------------------------------------------

const REMAINDERS = new Set(["other", "bias"]);
const KINDS = {
  unit: "A unit of the basis: one neuron or one latent, at one place.",
  error: "What the basis leaves of this layer's output here: real, but without a unit to read.",
  embedding: "The token as it enters the first layer.",
  logit: "What the graph explains.",
  other: "All units of this layer here that are not nodes of the graph, together.",
  bias: "All constants on the way to a node, in the model and in the basis.",
};
const logits = everyNode.filter((node) => nodes.kind[node] === "logit");
const evidenceOf = (node) => (nodes.kind[node] === "unit" ? page.evidence[`${nodes.layer[node]}:${nodes.unit[node]}`] ?? null : null);
const tokenAt = (position) => (position >= 0 ? tokens[position] : null);

function logitName(node) {
  if (logits.length > 1) return [page.answer, page.foil][nodes.unit[node]] ?? `logit ${nodes.unit[node]}`;
  if (page.answer === null) return page.metric_name;
  return page.foil === null ? page.answer : `${page.answer} − ${page.foil}`;
}

// What a node is called, shortly.
function nameOf(node) {
  const layer = nodes.layer[node];
  switch (nodes.kind[node]) {
    case "unit":
      return evidenceOf(node)?.label || `${layer}:${nodes.unit[node]}`;
    case "error":
      return `error of layer ${layer}`;
    case "other":
      return `other units of layer ${layer}`;
    case "embedding":
      return tokenAt(nodes.position[node]) ?? "embedding";
    case "bias":
      return "constants";
    default:
      return logitName(node);
  }
}

function placeOf(node) {
  const kind = nodes.kind[node];
  const position = nodes.position[node];
  const at = position >= 0 ? `${page.places} ${position + 1} ${tokens[position]}` : null;
  const what = { unit: `unit ${nodes.layer[node]}:${nodes.unit[node]}`, error: "error", other: "other units", embedding: "embedding", logit: "logit", bias: "bias" }[kind];
  const layer = ["unit", "error", "other"].includes(kind) ? `layer ${nodes.layer[node]}` : null;
  return [what, layer, at].filter(Boolean).join(", ");
}

// Where a node is, in a list: its unit's number is in the panel.
function shortPlace(node) {
  const kind = nodes.kind[node];
  if (kind === "embedding" || kind === "logit" || kind === "bias") return kind;
  const at = tokenAt(nodes.position[node]);
  return `layer ${nodes.layer[node]}${at === null ? "" : ` at ${at}`}`;
}

const helps = (value) => value >= 0;
const spoken = (node) => `${nameOf(node)}; ${placeOf(node)}; attribution ${signed(nodes.attribution[node])}, ${helps(nodes.attribution[node]) ? "helps" : "hurts"}`;

// Edges into and out of each node, strongest first.
const inputs = everyNode.map(() => []);
const outputs = everyNode.map(() => []);
const strength = (edge) => Math.abs(edges.attribution[edge]);
const byStrength = everyEdge.toSorted((a, b) => strength(b) - strength(a));
for (const edge of byStrength) {
  inputs[edges.target[edge]].push(edge);
  outputs[edges.source[edge]].push(edge);
}
const byInfluence = everyNode.toSorted((a, b) => nodes.influence[b] - nodes.influence[a]);
