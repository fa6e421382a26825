// The page: what pointer and keyboard do, and the first drawing.

const announce = (text) => (byId("live").textContent = text);

// -- nodes ----------------------------------------------------------------------------------------------------------

// Show the evidence on a node; `follow` moves to it in the graph, when it was chosen outside of it.
function openNode(node, follow = false) {
  state.selected = node;
  state.current = state.hover = state.group = null;
  if (!isVisible(node)) {
    state.onlyPinned = false;
    state.remainders ||= REMAINDERS.has(nodes.kind[node]);
    drawPins();
    drawSwitches();
    redraw();
  } else {
    emphasise();
  }
  drawGroups();
  drawPanel();
  tip.hidden = true;
  if (follow) byId("panel-title").focus({ preventScroll: true });
  reveal(node);
  announce(spoken(node));
}

// Scroll the graph sideways as far as the node needs.
function reveal(node) {
  const scroller = byId("scroller");
  const { x } = plan.at.get(node);
  if (x < scroller.scrollLeft + 40) scroller.scrollLeft = x - 80;
  else if (x > scroller.scrollLeft + scroller.clientWidth - 40) scroller.scrollLeft = x - scroller.clientWidth + 80;
}

const isNarrow = () => matchMedia("(max-width: 900px)").matches;

function showPanel() {
  if (isNarrow()) byId("panel").scrollIntoView({ block: "start" });
  byId("panel-title").focus({ preventScroll: true });
}

function closeNode() {
  const back = state.selected ?? state.current;
  const group = state.group;
  state.selected = state.current = state.hover = state.group = null;
  drawPanel();
  drawGroups();
  emphasise();
  announce("Closed");
  if (group !== null) byId("groups-list").querySelectorAll("button")[group].focus({ preventScroll: true });
  if (back === null || !drawn.has(back)) return;
  drawn.get(back).focus({ preventScroll: !isNarrow() });
  state.current = null;
  emphasise();
}

function setPins(pins) {
  const narrowed = state.onlyPinned;
  const inBar = byId("pins").contains(document.activeElement);
  state.pins = new Set(pins);
  if (!state.pins.size) state.onlyPinned = false;
  writePins();
  drawPins();
  if (narrowed) redraw();
  else emphasise();
  if (inBar) (byId("pins").querySelector("button") ?? byId("search")).focus();
  if (state.selected !== null) byId("pin").replaceWith(pinButton(state.selected));
}

function togglePin(node) {
  const focused = document.activeElement.id === "pin";
  const pinned = state.pins.has(node);
  setPins(pinned ? [...state.pins].filter((other) => other !== node) : [...state.pins, node]);
  if (focused) byId("pin").focus();
  announce(`${nameOf(node)} ${pinned ? "unpinned" : "pinned"}`);
}

// -- pointer --------------------------------------------------------------------------------------------------------

const tip = byId("tip");
const nodeAt = (event) => event.target.closest?.(".node")?.node ?? null;

function hover(node) {
  if (node === state.hover) return;
  state.hover = node;
  tip.hidden = node === null;
  if (node !== null) {
    tip.replaceChildren(make("b", {}, bdi(shortened(nameOf(node), 90))), make("span", {}, bdi(placeOf(node))), make("span", {}, `attribution ${signed(nodes.attribution[node])} (${ofMetric(nodes.attribution[node])}) · influence ${percent(nodes.influence[node])}`));
    const stage = byId("stage").getBoundingClientRect();
    const box = drawn.get(node).getBoundingClientRect();
    const left = Math.max(4, Math.min(box.x + box.width / 2 - stage.x + 16, stage.width - tip.offsetWidth - 4));
    const above = box.y - stage.y - tip.offsetHeight - 8;
    tip.style.left = `${left}px`;
    tip.style.top = `${above > 0 ? above : box.bottom - stage.y + 8}px`;
  }
  emphasise();
}

const graph = byId("graph");
graph.addEventListener("pointerover", (event) => event.pointerType === "mouse" && hover(nodeAt(event)));
graph.addEventListener("pointerleave", () => hover(null));
graph.addEventListener("click", (event) => {
  const node = nodeAt(event);
  if (node === null) return state.selected !== null || state.group !== null ? closeNode() : undefined;
  openNode(node);
  drawn.get(node).focus({ preventScroll: true });
  state.current = null;
  if (isNarrow()) showPanel();
  return undefined;
});

// -- keyboard -------------------------------------------------------------------------------------------------------

graph.addEventListener("focusin", (event) => {
  const node = nodeAt(event);
  if (node === null || node === state.selected || !event.target.matches(":focus-visible")) return;
  state.current = node;
  emphasise();
  reveal(node);
  announce(spoken(node));
});
graph.addEventListener("focusout", () => {
  if (state.current === null) return;
  state.current = null;
  emphasise();
});
graph.addEventListener("keydown", (event) => {
  const node = nodeAt(event);
  if (node === null || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key in DIRECTIONS) {
    hover(null); // of a pointer that only rests there
    const next = nearest(plan, node, event.key);
    if (next !== null) drawn.get(next).focus();
  } else if (event.key === "Enter" || event.key === " ") {
    openNode(node);
    showPanel();
  } else return;
  event.preventDefault();
});

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches?.("input[type=text], input[type=search]");
  if (event.key === "Escape" && !byId("help").open) {
    if (event.target.id === "search") {
      event.target.value = "";
      search("");
      event.target.blur();
    } else if (state.selected !== null || state.group !== null) closeNode();
    return;
  }
  if (typing || event.ctrlKey || event.altKey || event.metaKey || byId("help").open) return;
  const pinned = state.hover ?? document.activeElement.node ?? state.selected;
  if (event.key === "/") byId("search").focus();
  else if (event.key === "?") byId("help").showModal();
  else if (event.key === "p" && pinned !== null) {
    const kept = document.activeElement.node;
    togglePin(pinned);
    if (kept !== undefined) drawn.get(kept)?.focus({ preventScroll: true });
  } else return;
  event.preventDefault();
});

byId("search").addEventListener("input", (event) => search(event.target.value));
byId("search").addEventListener("keydown", (event) => event.key === "Enter" && nextMatch(event.shiftKey ? -1 : 1));
byId("help-open").addEventListener("click", () => byId("help").showModal());
byId("help-close").addEventListener("click", () => byId("help").close());
byId("table").addEventListener("toggle", () => {
  if (byId("table").open && !byId("table-place").childElementCount) byId("table-place").append(nodeTable());
});

// -- address, size and theme ----------------------------------------------------------------------------------------

addEventListener("hashchange", () => {
  const pins = pinsIn(location.hash);
  if (pins.length) setPins(pins);
  else if (state.pins.size) writePins(); // the address was used to jump
});

let measured = 0;
new ResizeObserver(([entry]) => {
  const width = Math.round(entry.contentRect.width);
  if (width === measured) return;
  measured = width;
  redraw();
}).observe(byId("scroller"));

const THEMES = { auto: ["Auto", "as the system"], light: ["Light", "light"], dark: ["Dark", "dark"] };

function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  byId("theme").textContent = THEMES[theme][0];
  byId("theme").setAttribute("aria-label", `Theme: ${THEMES[theme][1]}`);
}

function drawTheme() {
  const order = Object.keys(THEMES);
  let theme = "auto";
  try {
    theme = localStorage.getItem("basisbench-theme") ?? theme;
  } catch {} // storage can be switched off; the page then forgets
  if (!order.includes(theme)) theme = "auto";
  setTheme(theme);
  byId("theme").addEventListener("click", () => {
    theme = order[(order.indexOf(theme) + 1) % order.length];
    setTheme(theme);
    try {
      localStorage.setItem("basisbench-theme", theme);
    } catch {}
  });
}

drawTheme();
state.pins = new Set(pinsIn(location.hash));
drawEdgeTools();
drawColours();
drawSwitches();
drawLegend();
drawPins();
redraw();
drawGroups();
drawPanel();
if (logits.length && !state.onlyPinned) reveal(logits[0]); // on a phone, what is explained stands outside
