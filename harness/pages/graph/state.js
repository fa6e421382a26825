// What the reader has chosen, and which nodes and edges that leaves.

const EDGES_AT_FIRST = 150;
const PER_FOCUS = 40; // edges drawn into and out of a node in focus, each

const state = {
  selected: null, // a node whose evidence is shown
  current: null, // the node that the keyboard is on
  hover: null,
  group: null, // an index into `groupsNow()`
  pins: new Set(),
  onlyPinned: false,
  remainders: false,
  labels: true,
  colour: "sign",
  weigh: "attribution",
  edges: EDGES_AT_FIRST,
  query: "",
  matches: [],
};

const isVisible = (node) => (state.onlyPinned ? state.pins.has(node) : state.remainders || !REMAINDERS.has(nodes.kind[node]));
const weightOf = (edge) => Math.abs(edges[state.weigh][edge]);
const endsVisible = (edge) => isVisible(edges.source[edge]) && isVisible(edges.target[edge]);

let candidates = []; // edges between visible nodes, strongest first
function sortEdges() {
  candidates = everyEdge.filter(endsVisible).sort((a, b) => weightOf(b) - weightOf(a));
}
const shownEdges = () => candidates.slice(0, state.edges);

// -- groups ---------------------------------------------------------------------------------------------------------

const ownGroups = []; // made on this page: {name, nodes}
const groupsNow = () => [...(page.groups?.groups ?? []), ...ownGroups];
const letterOf = (group) => (group < 26 ? String.fromCharCode(65 + group) : String(group + 1));

// The group of a node, -1 for none: the one made last where there are several.
function groupOf(node) {
  return groupsNow().findLastIndex((group) => group.nodes.includes(node));
}

// -- pins in the address --------------------------------------------------------------------------------------------

// What stands in an address is untrusted: numbers of nodes are all that is taken from it.
function pinsIn(hash) {
  const list = /^#pins=(\d{1,9}(?:,\d{1,9})*)$/.exec(hash)?.[1];
  return list ? list.split(",").map(Number).filter((node) => node < nodes.kind.length) : [];
}

function writePins() {
  history.replaceState(null, "", `#${state.pins.size ? `pins=${[...state.pins].join(",")}` : ""}`);
}

// -- focus ----------------------------------------------------------------------------------------------------------

// What stands out while the rest fades: {nodes, edges, centre}; null where nothing does.
function inFocus() {
  const node = state.hover ?? state.current ?? state.selected;
  const members = node !== null ? [node] : state.group !== null ? groupsNow()[state.group].nodes : null;
  if (!members) return null;
  const centre = new Set(members.filter(isVisible));
  if (!centre.size) return null;
  const limit = Math.max(3, Math.ceil(PER_FOCUS / centre.size));
  const chosen = new Set();
  for (const member of centre) {
    for (const list of [inputs[member], outputs[member]]) list.filter(endsVisible).slice(0, limit).forEach((edge) => chosen.add(edge));
  }
  const near = new Set(centre);
  for (const edge of chosen) near.add(edges.source[edge]).add(edges.target[edge]);
  return { centre, near, edges: [...chosen] };
}
