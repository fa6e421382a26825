// Controls above the graph: search, edges shown, colours, switches, and the bar of pins.

// One of several: radio buttons drawn as a bar. `choices` are [value, text].
function choice(label, name, choices, chosen, changed) {
  const options = choices.map(([value, text]) =>
    make("label", {}, make("input", { type: "radio", name, value, checked: value === chosen, change: () => changed(value) }), make("span", {}, text)),
  );
  return make("fieldset", { class: "choice" }, make("legend", {}, label), make("div", {}, ...options));
}

// A button that stays pressed.
function toggle(id, text, pressed, changed) {
  const button = make("button", {
    type: "button",
    class: "quiet",
    id,
    "aria-pressed": pressed,
    click: () => {
      const now = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", now);
      changed(now);
    },
  }, text);
  return button;
}

// -- edges ----------------------------------------------------------------------------------------------------------

const STEPS = 100;
// The slider is even in the logarithm of the count: its fine end is where a graph can be read.
const countAt = (step) => (step === 0 ? 0 : Math.max(1, Math.round(candidates.length ** (step / STEPS))));
const stepOf = (count) => (count <= 0 ? 0 : candidates.length < 2 ? STEPS : Math.min(STEPS, Math.max(1, Math.round((STEPS * Math.log(count)) / Math.log(candidates.length)))));

function tellEdges() {
  const shown = Math.min(state.edges, candidates.length);
  const least = shown ? `, ${state.weigh === "share" ? "share" : "|attribution|"} ≥ ${state.weigh === "share" ? percent(weightOf(candidates[shown - 1])) : plain(weightOf(candidates[shown - 1]))}` : "";
  const text = `${grouped(shown)} of ${plural(candidates.length, "edge")}${least}`;
  byId("edges-count").textContent = text;
  const slider = byId("slider");
  slider.value = stepOf(shown);
  slider.setAttribute("aria-valuetext", text);
}

function drawEdgeTools() {
  const slider = make("input", {
    type: "range",
    id: "slider",
    min: 0,
    max: STEPS,
    "aria-describedby": "edges-count",
    input: () => {
      state.edges = Number(slider.value) === STEPS ? candidates.length : countAt(Number(slider.value));
      const kept = slider.value;
      drawEdges();
      tellEdges();
      slider.value = kept;
    },
  });
  const count = make("output", { id: "edges-count", for: "slider" });
  const weigh = choice("Weighed by", "weigh", [["attribution", "attribution"], ["share", "share of input"]], state.weigh, (value) => {
    state.weigh = value;
    redraw();
  });
  byId("edge-tools").replaceChildren(make("label", { class: "field", for: "slider" }, "Edges shown"), slider, count, weigh);
}

// -- colours and switches -------------------------------------------------------------------------------------------

function setColour(colour) {
  state.colour = colour;
  drawColours();
  redraw();
}

function drawColours() {
  const wanted = groupsNow().length > 0;
  const colours = choice("Colour", "colour", [["sign", "helps / hurts"], ["group", "groups"]], state.colour, setColourFrom);
  byId("colours").replaceChildren(...(wanted ? [colours] : []));
}

function setColourFrom(colour) {
  if (colour === "sign") state.group = null;
  setColour(colour);
  drawGroups();
  drawPanel();
  byId("colours").querySelector("input:checked").focus();
}

function drawSwitches() {
  const hidden = everyNode.filter((node) => REMAINDERS.has(nodes.kind[node])).length;
  const labels = toggle("labels-on", "Labels", state.labels, (on) => {
    state.labels = on;
    emphasise();
  });
  const rest = toggle("remainders", `Remainders (${grouped(hidden)})`, state.remainders, (on) => {
    state.remainders = on;
    redraw();
    drawPanel();
  });
  rest.title = "Units that are no nodes, and constants";
  byId("switches").replaceChildren(labels, ...(hidden ? [rest] : []));
}

function drawLegend() {
  const entry = (picture, text) => make("span", { class: "key" }, picture, text);
  const stroke = (sign) => make("svg", { class: "swatch", width: 26, height: 10, viewBox: "0 0 26 10", "aria-hidden": "true" }, make("path", { class: `edge ${sign}`, d: "M1 5H25", "stroke-width": 2.4 }));
  const present = new Set(nodes.kind);
  const kinds = [["unit", "unit"], ["error", "error"], ["embedding", page.places], ["logit", "logit"], ["other", "remainder"]];
  byId("legend").replaceChildren(
    ...kinds.filter(([kind]) => present.has(kind)).map(([kind, text]) => entry(swatch(kind, "neutral"), text)),
    entry(swatch("unit", "helps"), "helps (filled)"),
    entry(swatch("unit", "hurts"), "hurts (hollow)"),
    entry(stroke("helps"), "raises"),
    entry(stroke("hurts"), "lowers (dashed)"),
    make("span", { class: "key" }, "larger: more influence"),
  );
}

// -- search ---------------------------------------------------------------------------------------------------------

function searchText(node) {
  const evidence = evidenceOf(node);
  return [nameOf(node), placeOf(node), ...(evidence?.promotes ?? []).map(([token]) => token)].join("\n").toLowerCase();
}
const haystack = everyNode.map(searchText);

function search(query) {
  state.query = query.trim().toLowerCase();
  const asked = [state.query, state.query.replaceAll(" ", "·")];
  state.matches = state.query ? byInfluence.filter((node) => isVisible(node) && asked.some((text) => haystack[node].includes(text))) : [];
  byId("found").textContent = state.query ? plural(state.matches.length, "match").replace("matchs", "matches") : "";
  emphasise();
}

function nextMatch(step) {
  if (!state.matches.length) return;
  const now = state.matches.indexOf(state.selected);
  const next = now < 0 ? (step > 0 ? 0 : state.matches.length - 1) : (now + step + state.matches.length) % state.matches.length;
  openNode(state.matches[next]);
  byId("found").textContent = `${next + 1} of ${state.matches.length}`;
}

// -- pins -----------------------------------------------------------------------------------------------------------

function drawPins() {
  const bar = byId("pins");
  bar.hidden = !state.pins.size;
  if (!state.pins.size) return bar.replaceChildren();
  const chips = [...state.pins].map((node) =>
    make(
      "li",
      { class: "chip" },
      make("button", { type: "button", "data-node": node, click: () => openNode(node) }, nodeSwatch(node), bdi(shortened(nameOf(node), 32))),
      make("button", { type: "button", class: "off", "aria-label": `Unpin ${nameOf(node)}`, click: () => togglePin(node) }, "×"),
    ),
  );
  const only = toggle("only", "Only pinned", state.onlyPinned, (on) => {
    state.onlyPinned = on;
    redraw();
    if (state.selected === null) drawPanel();
  });
  const name = make("input", { type: "text", id: "group-name", maxlength: 80, placeholder: "name of a group", "aria-label": "Name of a group of the pinned nodes", keydown: (event) => event.key === "Enter" && groupPins(name.value) });
  const group = make("button", { type: "button", class: "quiet", id: "group-pins", click: () => groupPins(name.value) }, "Group them");
  const clear = make("button", { type: "button", class: "quiet", id: "unpin-all", click: () => setPins([]) }, "Unpin all");
  bar.replaceChildren(make("h2", {}, `${grouped(state.pins.size)} pinned`), make("ul", {}, ...chips), make("p", { class: "buttons" }, only, name, group, clear));
}
