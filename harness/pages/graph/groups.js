// Groups: a list, what flows between them, and groups that the reader makes of pins.

const FLOWS = 16;

// Where an edge's end belongs, as [key, name]: its group, or its kind where it has none.
function partOf(node, membership) {
  const group = membership[node];
  if (group >= 0) return [`g${group}`, `${letterOf(group)} · ${groupsNow()[group].name}`];
  return { unit: ["units", "other units of the graph"], error: ["errors", "errors"], embedding: ["tokens", page.places === "token" ? "tokens" : "slots"], logit: ["logits", "logits"], other: ["rest", "units that are no nodes"], bias: ["bias", "constants"] }[nodes.kind[node]];
}

// Sums of edge attributions between parts, the largest first: {from, to, sum, keys}.
function flows() {
  const membership = everyNode.map(groupOf);
  const sums = new Map();
  for (const edge of everyEdge) {
    const [from, to] = [partOf(edges.source[edge], membership), partOf(edges.target[edge], membership)];
    if (from[0] === to[0]) continue;
    const key = `${from[0]} ${to[0]}`;
    if (!sums.has(key)) sums.set(key, { from: from[1], to: to[1], sum: 0, keys: [from[0], to[0]] });
    sums.get(key).sum += edges.attribution[edge];
  }
  return [...sums.values()].filter(({ keys }) => keys.some((key) => /^g\d/.test(key))).sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum));
}

// `own`: the group that the table is about, whose name need not be said again.
function flowTable(list, own = null) {
  if (!list.length) return muted("No edge of the graph runs between groups.");
  const named = (name, key) => bdi(key === own ? "this group" : name);
  const rows = list.slice(0, FLOWS).map(({ from, to, sum, keys }) => make("tr", {}, make("td", {}, named(from, keys[0])), make("td", {}, named(to, keys[1])), make("td", { class: `numeric ${signOf(sum)}` }, signed(sum))));
  return make(
    "div",
    { class: "scroll", role: "region", tabindex: 0, "aria-label": "What flows between groups" },
    make(
      "table",
      {},
      make("caption", { class: "unseen" }, "Sums of edge attributions between groups"),
      make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "from"), make("th", { scope: "col" }, "to"), make("th", { scope: "col", class: "numeric" }, "attribution"))),
      make("tbody", {}, ...rows),
    ),
  );
}

const attributionOf = (group) => group.attribution ?? group.nodes.reduce((sum, node) => sum + nodes.attribution[node], 0);

function groupCard(group, index) {
  const stability = group.stability === undefined ? "made on this page" : `stability ${percent(group.stability)}`;
  return make(
    "li",
    {},
    make(
      "button",
      { type: "button", class: "card", "aria-pressed": state.group === index, click: () => chooseGroup(state.group === index ? null : index) },
      make("span", { class: `letter g${index % 8}`, "aria-hidden": "true" }, letterOf(index)),
      make("span", { class: "named" }, bdi(group.name), make("small", {}, `${plural(group.nodes.length, "node")} · ${stability} · attribution ${signed(attributionOf(group))}`)),
    ),
  );
}

function groupPanel(index) {
  const group = groupsNow()[index];
  const members = group.nodes.toSorted((a, b) => nodes.influence[b] - nodes.influence[a]);
  const most = Math.max(...members.map((node) => Math.abs(nodes.attribution[node])), 0);
  const own = flows().filter(({ keys }) => keys.includes(`g${index}`));
  const items = [["nodes", String(members.length)], ["attribution", `${signed(attributionOf(group))} (${ofMetric(attributionOf(group))})`]];
  if (group.stability !== undefined) items.push(["stability", percent(group.stability)]);
  return [
    make(
      "header",
      {},
      make("h2", { id: "panel-title", tabindex: -1 }, make("span", { class: `letter g${index % 8}`, "aria-hidden": "true" }, letterOf(index)), bdi(group.name)),
      group.rests_on ? make("p", { class: "hint" }, "Name from: ", bdi(group.rests_on), ".") : null,
      make("p", { class: "buttons" }, make("button", { type: "button", class: "quiet", id: "close", click: closeNode }, "Close", make("kbd", {}, "Esc"))),
    ),
    facts(items),
    section("Flows in and out", flowTable(own, `g${index}`)),
    section("Nodes", make("ol", { class: "rows" }, ...members.map((node) => nodeRow(node, nodes.attribution[node], most)))),
  ];
}

function chooseGroup(index) {
  state.group = index;
  state.selected = state.current = state.hover = null;
  if (index !== null && state.colour !== "group") setColour("group");
  drawGroups();
  drawPanel();
  emphasise();
  announce(index === null ? "No group selected" : `Group ${groupsNow()[index].name}, ${plural(groupsNow()[index].nodes.length, "node")}`);
}

function drawGroups() {
  const all = groupsNow();
  byId("groups").hidden = !all.length;
  if (!all.length) return;
  const focused = [...byId("groups-list").querySelectorAll("button")].indexOf(document.activeElement);
  byId("groups-list").replaceChildren(...all.map(groupCard));
  if (focused >= 0) byId("groups-list").querySelectorAll("button")[focused]?.focus({ preventScroll: true });
  byId("groups-about").replaceChildren(...(page.groups ? [bdi(page.groups.criterion), `. Stability of all groups: ${percent(page.groups.stability)}.`] : ["Groups of your own, kept until the page is closed."]));
  byId("flows").replaceChildren(flowTable(flows()));
}

function groupPins(name) {
  if (!state.pins.size || !name.trim()) return;
  ownGroups.push({ name: name.trim().slice(0, 80), nodes: [...state.pins] });
  drawColours();
  chooseGroup(groupsNow().length - 1);
  redraw();
}
