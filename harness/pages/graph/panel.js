// Beside the graph: the evidence on the node selected, or, where none is, the strongest nodes.

const LISTED = 12; // inputs, outputs and strongest nodes

const section = (title, ...content) => make("section", {}, make("h3", {}, title), ...content);
const muted = (...text) => make("p", { class: "hint" }, ...text);

// A small picture of a node, for lists and the legend.
function swatch(kind, colour) {
  const icon = make("svg", { class: `swatch node ${kind} ${colour}`, width: 14, height: 14, viewBox: "-8 -8 16 16", "aria-hidden": "true" });
  const shapes = {
    unit: () => make("circle", { class: "shape", r: 5.5 }),
    error: () => make("path", { class: "shape", d: "M0 -7L7 0L0 7L-7 0Z" }),
    embedding: () => make("rect", { class: "shape", x: -5, y: -5, width: 10, height: 10, rx: 1 }),
    logit: () => make("rect", { class: "shape", x: -7, y: -4.5, width: 14, height: 9, rx: 3.5 }),
  };
  icon.append(shapes[kind]?.() ?? make("path", { class: "shape", d: "M-4 -4L4 4M-4 4L4 -4" }));
  return icon;
}

const signOf = (value) => (helps(value) ? "helps" : "hurts");
const nodeSwatch = (node) => swatch(nodes.kind[node], signOf(nodes.attribution[node]));

// A row that selects a node: its name, where it is, a number and a bar of it.
function nodeRow(node, value, most) {
  const bar = make("span", { class: `bar ${signOf(value)}`, "aria-hidden": "true" });
  bar.style.setProperty("--part", most ? Math.abs(value) / most : 0);
  return make(
    "li",
    {},
    make("button", { type: "button", class: "link", "data-node": node, click: () => openNode(node, true) }, nodeSwatch(node), make("span", { class: "named" }, bdi(nameOf(node)), make("small", {}, bdi(shortPlace(node))))),
    make("span", { class: "amount" }, signed(value), bar),
  );
}

function edgeList(list, end) {
  const most = list.length ? strength(list[0]) : 0;
  const rows = list.slice(0, LISTED).map((edge) => nodeRow(edges[end][edge], edges.attribution[edge], most));
  const rest = list.length > LISTED ? muted(`and ${plural(list.length - LISTED, "weaker edge")}`) : null;
  return list.length ? [make("ol", { class: "rows" }, ...rows), ...(rest ? [rest] : [])] : [muted("None in this graph.")];
}

function tokenList(title, scores) {
  const items = scores.map(([token, score]) => make("li", {}, bdi(token), " ", make("small", {}, signed(score))));
  return make("div", {}, make("h4", {}, title), scores.length ? make("ul", { class: "tokens" }, ...items) : muted("none"));
}

function contextItem({ tokens: words, at: place, activation, source }) {
  const text = words.flatMap((word, i) => {
    const start = word.length - word.trimStart().length;
    return i === place ? [word.slice(0, start), make("mark", {}, word.slice(start))] : [word];
  });
  return make("li", {}, make("p", { dir: "auto" }, ...text), make("small", {}, `activation ${plain(activation)} · `, bdi(source)));
}

function contextsOf(title, contexts, missing) {
  if (!contexts.length && !missing) return null;
  const list = contexts.length ? make("ol", { class: "contexts" }, ...contexts.map(contextItem)) : muted(missing);
  return section(title, list);
}

function facts(items) {
  return make("dl", { class: "facts" }, ...items.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, bdi(value)))));
}

function nodeFacts(node) {
  const evidence = evidenceOf(node);
  const kind = nodes.kind[node];
  const attribution = nodes.attribution[node];
  const items = [["attribution", `${signed(attribution)} (${ofMetric(attribution)})`]];
  if (kind !== "other" && kind !== "bias") items.unshift([{ error: "length", embedding: "length", logit: "value" }[kind] ?? "activation", plain(nodes.activation[node])]);
  if (kind !== "logit") items.push(["influence", `${percent(nodes.influence[node])} (${percent(nodes.direct[node])} direct)`]);
  if (evidence) items.push(["active on", `${percent(evidence.active_share)} of tokens${evidence.always_on ? ", always on" : ""}`]);
  const group = groupOf(node);
  if (group >= 0) items.push(["group", `${letterOf(group)} · ${groupsNow()[group].name}`]);
  return facts(items);
}

function evidenceSections(node) {
  const evidence = evidenceOf(node);
  if (nodes.kind[node] !== "unit") return [];
  if (!evidence) return [muted("No evidence was collected for this unit: its label is its number.")];
  const most = Math.max(...evidence.serves.map(([, amount]) => amount), 1e-9);
  const uses = evidence.serves.map(([task, amount, slot]) => {
    const bar = make("span", { class: "bar helps", "aria-hidden": "true" });
    bar.style.setProperty("--part", amount / most);
    return make("li", {}, make("span", { class: "named" }, bdi(task), make("small", {}, "most at ", bdi(slot))), make("span", { class: "amount" }, percent(amount), bar));
  });
  return [
    section("Adds to the logits", muted("Directly, for each 1 of activation."), make("div", { class: "pair" }, tokenList("raises", evidence.promotes), tokenList("lowers", evidence.suppresses))),
    contextsOf("Where it is most active", evidence.contexts, "No context was found."),
    contextsOf("Where it is most negative", evidence.negative_contexts, null),
    evidence.contexts.length || evidence.negative_contexts.length ? muted("From ", bdi(page.evidence_text), ".") : null,
    section("Serves tasks", uses.length ? make("ul", { class: "rows" }, ...uses) : muted("None known.")),
  ];
}

function pinButton(node) {
  const pinned = state.pins.has(node);
  return make("button", { type: "button", class: "quiet", id: "pin", "aria-pressed": pinned, click: () => togglePin(node) }, pinned ? "Unpin" : "Pin", make("kbd", {}, "p"));
}

function nodePanel(node) {
  const evidence = evidenceOf(node);
  return [
    make(
      "header",
      {},
      make("h2", { id: "panel-title", tabindex: -1 }, nodeSwatch(node), bdi(nameOf(node))),
      make("p", { class: "hint" }, bdi(placeOf(node))),
      evidence ? make("p", { class: "hint" }, "Label from: ", bdi(evidence.rests_on), ".") : muted(KINDS[nodes.kind[node]]),
      make("p", { class: "buttons" }, pinButton(node), make("button", { type: "button", class: "quiet", id: "close", click: closeNode }, "Close", make("kbd", {}, "Esc"))),
    ),
    nodeFacts(node),
    ...evidenceSections(node),
    section("Strongest inputs", ...edgeList(inputs[node], "source")),
    section("Strongest outputs", ...edgeList(outputs[node], "target")),
  ].filter(Boolean);
}

function strongestPanel() {
  const strong = byInfluence.filter((node) => isVisible(node) && nodes.kind[node] !== "logit").slice(0, LISTED);
  const most = Math.max(...strong.map((node) => Math.abs(nodes.attribution[node])), 0);
  return [
    make("header", {}, make("h2", { id: "panel-title", tabindex: -1 }, "Strongest nodes"), muted("By influence on the logits; the number is the attribution. Choose one to see its evidence.")),
    make("ol", { class: "rows" }, ...strong.map((node) => nodeRow(node, nodes.attribution[node], most))),
  ];
}

function drawPanel() {
  const node = state.selected;
  const panel = byId("panel");
  panel.replaceChildren(...(node !== null ? nodePanel(node) : state.group !== null ? groupPanel(state.group) : strongestPanel()));
  panel.scrollTop = 0;
}

// -- all nodes as a table -------------------------------------------------------------------------------------------

function nodeTable() {
  const head = ["node", "kind", "layer", page.places, "unit", "activation", "attribution", "influence"];
  const rows = byInfluence.map((node) => {
    const number = (value) => make("td", { class: "numeric" }, value);
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, make("button", { type: "button", class: "link", click: () => openNode(node, true) }, bdi(nameOf(node)))),
      make("td", {}, nodes.kind[node]),
      number(["unit", "error", "other"].includes(nodes.kind[node]) ? nodes.layer[node] : "–"),
      make("td", {}, bdi(tokenAt(nodes.position[node]) ?? "–")),
      number(nodes.kind[node] === "unit" ? nodes.unit[node] : "–"),
      number(plain(nodes.activation[node])),
      number(signed(nodes.attribution[node])),
      number(percent(nodes.influence[node])),
    );
  });
  return make(
    "table",
    {},
    make("caption", { class: "unseen" }, "All nodes of the graph, by influence"),
    make("thead", {}, make("tr", {}, ...head.map((name, i) => make("th", { scope: "col", class: i === 2 || i > 3 ? "numeric" : null }, name)))),
    make("tbody", {}, ...rows),
  );
}
