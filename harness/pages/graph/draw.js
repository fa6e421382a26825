// The graph as SVG: rows and columns, edges, nodes, labels; and what stands out of it.

const MARK = { least: 3.2, most: 9.5 };
const LABEL = { letters: 24, height: 12, scale: 0.93, strong: 1.02 };
const SPEAKING = new Set(["embedding", "logit"]); // their text stands there already
const EDGE = { least: 0.7, most: 5.5 };

let plan = null;
let drawn = new Map(); // node: its element
const paths = new Map(); // edge: its element, of this plan
const strongest = Math.max(...everyNode.filter((node) => !logits.includes(node)).map((node) => nodes.influence[node]), 1e-12);

const radiusOf = (node) => {
  const radius = MARK.least + (MARK.most - MARK.least) * Math.sqrt(Math.max(0, Math.min(1, nodes.influence[node] / strongest)));
  return state.colour === "group" && groupOf(node) >= 0 ? Math.max(7, radius) : radius;
};
const at = (number) => number.toFixed(1);
const polygon = (points) => "M" + points.map(([x, y]) => `${at(x)} ${at(y)}`).join("L") + "Z";

function shapeOf(node) {
  const r = radiusOf(node);
  switch (nodes.kind[node]) {
    case "unit":
      return make("circle", { class: "shape", r: at(r) });
    case "error":
      return make("path", { class: "shape", d: polygon([[0, -1.25 * r], [1.25 * r, 0], [0, 1.25 * r], [-1.25 * r, 0]]) });
    case "embedding":
      return make("rect", { class: "shape", x: at(-r), y: at(-r), width: at(2 * r), height: at(2 * r), rx: 1.5 });
    case "logit":
      return make("rect", { class: "shape", x: at(-logitWidth(node) / 2), y: -13, width: at(logitWidth(node)), height: 26, rx: 9 });
    default:
      return make("path", { class: "shape", d: "M-3 -3L3 3M-3 3L3 -3" });
  }
}

function drawNode(node) {
  const { x, y } = plan.at.get(node);
  const kind = nodes.kind[node];
  const group = groupOf(node);
  const grouped = state.colour === "group";
  const colour = grouped ? (group >= 0 ? `g${group % 8}` : "ungrouped") : helps(nodes.attribution[node]) ? "helps" : "hurts";
  const element = make(
    "g",
    {
      id: `node-${node}`,
      class: `node ${kind} ${colour}`,
      role: "button",
      tabindex: -1,
      "aria-label": spoken(node) + (group >= 0 ? `; group ${groupsNow()[group].name}` : ""),
      transform: `translate(${at(x)} ${at(y)})`,
    },
    make("circle", { class: "reach", r: 12 }),
    make("circle", { class: "halo", r: at(kind === "logit" ? 17 : radiusOf(node) + 4) }),
    shapeOf(node),
  );
  if (kind === "logit") element.append(make("text", { class: "said", y: 4, "text-anchor": "middle" }, logitText(node)));
  else if (grouped && group >= 0) element.append(make("text", { class: "letter", y: 3.6, "text-anchor": "middle" }, letterOf(group)));
  element.node = node;
  return element;
}

function pathOf(edge, heaviest) {
  const [from, to] = [plan.at.get(edges.source[edge]), plan.at.get(edges.target[edge])];
  const bend = Math.max(16, (from.y - to.y) * 0.42);
  // edges that would run straight up lie on each other: they bow, further the longer they are
  const bow = Math.abs(from.x - to.x) < 30 ? Math.min(46, (from.y - to.y) * 0.16) : 0;
  const width = EDGE.least + (EDGE.most - EDGE.least) * (weightOf(edge) / heaviest);
  return make("path", {
    class: helps(edges.attribution[edge]) ? "edge helps" : "edge hurts",
    d: `M${at(from.x)} ${at(from.y)}C${at(from.x - bow)} ${at(from.y - bend)} ${at(to.x - bow)} ${at(to.y + bend)} ${at(to.x)} ${at(to.y)}`,
    "stroke-width": width.toFixed(2),
  });
}

const heaviest = () => (candidates.length ? weightOf(candidates[0]) || 1 : 1);

// Only the edges shown are in the page: the list grows and shrinks at its end.
function drawEdges() {
  const place = byId("edges");
  const most = heaviest();
  const shown = shownEdges();
  while (place.childElementCount > shown.length) place.lastElementChild.remove();
  for (const edge of shown.slice(place.childElementCount)) {
    if (!paths.has(edge)) paths.set(edge, pathOf(edge, most));
    place.append(paths.get(edge));
  }
}

function drawFrame() {
  const { rows, columns, width, height } = plan;
  const frame = [];
  columns.forEach((column, i) => {
    if (i % 2) frame.push(make("rect", { class: "stripe", x: at(column.x), y: 0, width: at(column.width), height: at(height) }));
  });
  for (const { y } of rows) frame.push(make("line", { class: "rule", x1: 0, x2: at(width), y1: at(y), y2: at(y) }));
  const floor = rows.at(-1).y;
  for (const { position, x, width: room } of columns) {
    const text = tokenAt(position) ?? "bias";
    const label = make("text", { class: "token", x: at(x + room / 2), y: at(floor + 28), "text-anchor": "middle" }, shortened(text, Math.max(3, Math.floor(room / LETTER) - 1)));
    frame.push(label);
  }
  return frame;
}

function drawAxis() {
  const names = { [-1]: `${page.places}s`, Infinity: "logits" };
  const labels = plan.rows.flatMap(({ layer, y, gap }) => {
    const name = make("text", { x: 50, y: at(y + 4), "text-anchor": "end" }, names[layer] ?? `L${layer}`);
    return gap === null ? [name] : [make("text", { class: "gap", x: 44, y: at(gap + 4), "text-anchor": "middle" }, "⋮"), name];
  });
  const axis = byId("axis");
  axis.setAttribute("width", 58);
  axis.setAttribute("height", plan.height);
  axis.replaceChildren(...labels);
}

function redraw() {
  const scroller = byId("scroller");
  const shown = new Set(everyNode.filter(isVisible));
  plan = layOut(shown, Math.max(320, scroller.clientWidth));
  sortEdges();
  paths.clear();
  const graph = byId("graph");
  graph.setAttribute("width", plan.width);
  graph.setAttribute("height", plan.height);
  graph.setAttribute("viewBox", `0 0 ${plan.width} ${plan.height}`);
  graph.setAttribute("aria-label", `Attribution graph: ${plural(shown.size, "node")}, ${plural(candidates.length, "edge")}. The arrow keys move from node to node.`);
  byId("frame").replaceChildren(...drawFrame());
  byId("edges").replaceChildren();
  drawn = new Map([...shown].map((node) => [node, drawNode(node)]));
  // in the order of the picture, so that a reader by keyboard or by ear meets them so
  const order = [...shown].sort((a, b) => plan.at.get(b).y - plan.at.get(a).y || plan.at.get(a).x - plan.at.get(b).x);
  byId("nodes").replaceChildren(...order.map((node) => drawn.get(node)));
  drawAxis();
  drawEdges();
  tellEdges();
  emphasise();
}

// -- what stands out ------------------------------------------------------------------------------------------------

function emphasise() {
  const focus = inFocus();
  const matches = new Set(state.matches);
  byId("graph").classList.toggle("focused", focus !== null);
  const stop = [state.current, state.selected, byInfluence.find((node) => drawn.has(node))].find((node) => drawn.has(node));
  for (const [node, element] of drawn) {
    element.classList.toggle("near", Boolean(focus?.near.has(node)));
    element.classList.toggle("selected", node === state.selected);
    element.classList.toggle("pinned", state.pins.has(node));
    element.classList.toggle("match", matches.has(node));
    element.setAttribute("aria-pressed", node === state.selected);
    element.setAttribute("tabindex", node === stop ? 0 : -1);
  }
  const most = heaviest();
  byId("own").replaceChildren(...(focus ? focus.edges.map((edge) => pathOf(edge, most)) : []));
  drawLabels(focus);
}

// Labels go where there is room: first what is in focus, then pins, then matches, then by influence.
function drawLabels(focus) {
  const neighbours = focus ? focus.edges.toSorted((a, b) => strength(b) - strength(a)).flatMap((edge) => [edges.source[edge], edges.target[edge]]) : [];
  const centre = [...(focus?.centre ?? [])];
  const always = new Set([...(centre.length === 1 ? centre : []), ...state.pins]);
  const rest = !state.labels ? [] : focus ? [...centre, ...neighbours] : [...state.matches, ...byInfluence];
  const wanted = [...new Set([...always, ...rest])].filter((node) => drawn.has(node) && (nodes.kind[node] === "unit" || (always.has(node) && !SPEAKING.has(nodes.kind[node]))));
  const taken = [...plan.at].flatMap(([node, { x, y }]) => {
    const isLogit = nodes.kind[node] === "logit";
    const half = isLogit ? logitWidth(node) / 2 : radiusOf(node) + 1;
    // the box of a logit is as high as two labels
    return (isLogit ? [y - 8, y + 8] : [y]).map((height) => ({ left: x - half, right: x + half, y: height }));
  });
  const labels = [];
  for (const node of wanted) {
    const text = shortened(nameOf(node), LABEL.letters);
    const width = textWidth(text) * (always.has(node) ? LABEL.strong : LABEL.scale);
    const sides = sidesOf(node, width);
    const isFree = ({ left, y }) =>
      left > 0 && left + width < plan.width && !taken.some((box) => Math.abs(box.y - y) < LABEL.height && box.left < left + width + 2 && box.right > left - 2);
    const side = sides.find(isFree) ?? (always.has(node) ? sides.find(({ left }) => left > 0 && left + width < plan.width) : undefined);
    if (!side) continue;
    taken.push({ left: side.left, right: side.left + width, y: side.y });
    labels.push(make("text", { class: always.has(node) ? "label strong" : "label", x: at(side.left), y: at(side.y + 3.7) }, text));
  }
  byId("labels").replaceChildren(...labels);
}

// Where the label of a node may stand: beside it, else above or beneath.
function sidesOf(node, width) {
  const { x, y } = plan.at.get(node);
  const ringed = state.pins.has(node) || node === state.selected;
  const gap = radiusOf(node) + (ringed ? 8 : 4);
  const middle = Math.max(2, Math.min(x - width / 2, plan.width - width - 2));
  const places = [[x + gap, y], [x - gap - width, y], [middle, y - gap - 6], [middle, y + gap + 6]];
  return places.map(([left, height]) => ({ left, y: height }));
}
