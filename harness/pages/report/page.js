// The page: filters above, then leaderboard, curves and cells, each drawn again when what it shows changes.

const PANELS_AT_FIRST = 6;
const CELLS_AT_FIRST = 100;
const CELLS_MORE = 200;
const CURVES_AT_FIRST = 16; // curves in a panel that can still be told apart

const dimensions = ["task", "basis", "method", ...page.settings];
const off = Object.fromEntries(dimensions.map((name) => [name, new Set()]));
const hidden = { basis: new Set(), method: new Set(), seed: new Set() };
const state = { measure: "faithfulness", bands: true, panels: PANELS_AT_FIRST, cells: CELLS_AT_FIRST, board: page.board.by };
const cellSort = { column: "task", descending: false };
const boardSort = { column: null, descending: false };
let shown = everyCell;

function filtered() {
  return everyCell.filter((index) => dimensions.every((name) => !off[name].has(get(name, index))));
}

// -- filters --------------------------------------------------------------------------------------------------------

function drawFilters() {
  const menus = dimensions
    .filter((name) => distinct(name).length > 1)
    .map((name) => menu(name.replaceAll("_", " "), distinct(name).sort((a, b) => compare(a, b)), off[name], changed));
  const status = make("p", { class: "count", role: "status", id: "count" });
  const reset = make("button", {
    type: "button",
    class: "quiet",
    id: "reset",
    click: () => {
      Object.values(off).forEach((set) => set.clear());
      menus.forEach((one) => one.update());
      changed();
    },
  }, "Reset");
  byId("filters").replaceChildren(...menus, status, reset);
}

function changed() {
  shown = filtered();
  state.panels = PANELS_AT_FIRST;
  state.cells = CELLS_AT_FIRST;
  byId("count").textContent = shown.length === page.cells ? plural(page.cells, "cell") : `${grouped(shown.length)} of ${plural(page.cells, "cell")}`;
  byId("reset").hidden = shown.length === page.cells;
  drawBoard();
  drawCurves();
  drawCells();
}

// -- curves ---------------------------------------------------------------------------------------------------------

function drawCurveTools() {
  const measures = [["faithfulness", "Faithfulness"], ["completeness", "Completeness"]];
  const measure = choice("Measure", "measure", measures, state.measure, (value) => {
    state.measure = value;
    drawCurves();
  });
  const bands = toggle(["Bands"], state.bands, (on) => {
    state.bands = on;
    drawCurves();
  }, { title: "95 % intervals, pointwise" });
  byId("curves-tools").replaceChildren(measure, bands);
}

// Too many curves at once show nothing: one seed, and of many methods that of the best row, until the reader asks.
function chooseCurves() {
  const [, ...seeds] = distinct("seed").sort((a, b) => a - b);
  seeds.forEach((seed) => hidden.seed.add(seed));
  if (panelGroups().every(({ members }) => members.filter(visible).length <= CURVES_AT_FIRST)) return;
  methods.filter((method) => method !== page.board.rows[0].method).forEach((method) => hidden.method.add(method));
}

function drawLegend() {
  const seeds = distinct("seed").sort((a, b) => a - b);
  const named = [["basis", bases, (value) => [swatch(value), make("bdi", {}, value)]], ["method", methods, (value) => [swatch(undefined, value), make("bdi", {}, value)]]];
  if (seeds.length > 1) named.push(["seed", seeds, (value) => [make("bdi", {}, `seed ${value}`)]]);
  const groups = named.map(([name, values, content]) => {
    const present = new Set(distinct(name, shown));
    const buttons = values.filter((value) => present.has(value)).map((value) => {
      const light = (on) => emphasise(on ? (index) => get(name, index) === value : null);
      return toggle(content(value), !hidden[name].has(value), (on) => {
        if (on) hidden[name].delete(value);
        else hidden[name].add(value);
        drawPanels();
      }, { mouseenter: () => light(true), mouseleave: () => light(false) });
    });
    return make("div", { role: "group", "aria-label": `Show curves by ${name}` }, ...buttons);
  });
  byId("legend").replaceChildren(...groups);
}

function emphasise(matches) {
  for (const figure of byId("panels").querySelectorAll("figure")) figure.emphasise(matches);
}

function drawCurves() {
  drawLegend();
  drawPanels();
}

// Cells by task and by the settings that tell panels apart; seeds share a panel.
function panelGroups() {
  const apart = page.settings.filter((name) => name !== "seed" && distinct(name).length > 1);
  const groups = new Map();
  for (const index of shown) {
    const key = JSON.stringify(["task", ...apart].map((name) => get(name, index)));
    if (!groups.has(key)) {
      groups.set(key, { task: get("task", index), note: apart.map((name) => settingText(name, index)).join(", "), members: [] });
    }
    groups.get(key).members.push(index);
  }
  return [...groups.values()].sort((a, b) => compare(a.task, b.task) || compare(a.note, b.note));
}

function settingText(name, index) {
  const value = get(name, index);
  return typeof value === "boolean" || typeof value === "number" ? `${name.replaceAll("_", " ")} ${plain(value)}` : plain(value);
}

const visible = (index) => Object.entries(hidden).every(([name, values]) => !values.has(get(name, index)));

function drawPanels() {
  const groups = panelGroups();
  const seeds = distinct("seed").length > 1;
  const place = (index) => bases.indexOf(get("basis", index)) * methods.length + methods.indexOf(get("method", index));
  const drawn = groups.slice(0, state.panels).map(({ task, note, members }) => {
    const kept = members.filter(visible).sort((a, b) => place(a) - place(b));
    const label = (index) => [get("basis", index), get("method", index), ...(seeds ? [`seed ${get("seed", index)}`] : [])].join(" · ");
    const series = kept.filter((index) => !get("degenerate", index)).map((index) => seriesOf(index, state.measure, label(index)));
    const missing = kept.length - series.length;
    return { task, note: [note, missing ? `${plural(missing, "curve")} not drawn: F(full) − F(empty) is too near 0` : ""].filter(Boolean).join("; "), series };
  });
  const limits = limitsOf(drawn.flatMap(({ series }) => series));
  const panels = drawn.map(({ task, note, series }) => panel({ title: task, note, measure: state.measure, series, limits, bands: state.bands }));
  const rest = groups.length - panels.length;
  const more = make("button", {
    type: "button",
    class: "more",
    click: () => {
      const before = state.panels;
      state.panels += PANELS_AT_FIRST;
      drawPanels();
      byId("panels").children[before]?.querySelector(".reader")?.focus({ preventScroll: true });
    },
  }, rest > PANELS_AT_FIRST ? `Show ${PANELS_AT_FIRST} of ${rest} more panels` : `Show ${plural(rest, "more panel")}`);
  byId("panels").replaceChildren(...panels, ...(rest > 0 ? [more] : []));
  const ideal = IDEAL[state.measure];
  const line = state.measure === "faithfulness" && THRESHOLD !== null ? ` The thin line is at ${THRESHOLD}.` : "";
  const asleep = shown.filter((index) => !visible(index)).length;
  const switched = asleep ? ` ${grouped(asleep)} of ${plural(shown.length, "curve")} are switched off in the legend.` : "";
  byId("curves-hint").textContent = groups.length
    ? `Dashed: the ideal, ${ideal}.${line}${switched} Point at a panel, or focus it and use the arrow keys, to read values.`
    : "No cell passes the filters.";
}

// -- cells ----------------------------------------------------------------------------------------------------------

function cellColumns() {
  const name = (title) => ({ title: title.replaceAll("_", " "), key: (index) => get(title, index), cell: (index) => make("bdi", {}, plain(get(title, index))) });
  const told = (statistic) => ({
    title: statistic.name,
    about: statistic.about,
    numeric: true,
    descends: statistic.better === "higher",
    key: (index) => get(statistic.name, index)[0],
    cell: (index) => estimate(get(statistic.name, index), statisticWriter(statistic, get("total_nodes", index))),
  });
  const open = (index) =>
    make("button", { type: "button", class: "open", "aria-haspopup": "dialog", click: () => showCell(index) }, make("bdi", {}, get("task", index)));
  const spent = (index) => get("seconds", index).reduce((sum, seconds) => sum + seconds, 0);
  return [
    { title: "task", row: true, key: (index) => get("task", index), cell: open },
    { title: "basis", key: (index) => get("basis", index), cell: (index) => make("span", { class: "named" }, swatch(get("basis", index)), make("bdi", {}, get("basis", index))) },
    name("method"),
    ...page.settings.filter((setting) => distinct(setting).length > 1).map(name),
    ...page.told.map((name) => told(statistics.get(name))),
    { title: "F(full)", numeric: true, descends: true, key: (index) => get("F_full", index), cell: (index) => share(get("F_full", index)) },
    { title: "time", numeric: true, key: spent, cell: (index) => duration(spent(index)) },
    ...(everyCell.some((index) => get("flags", index).length)
      ? [{ title: "flags", key: (index) => get("flags", index).join(", ") || null, cell: (index) => get("flags", index).join(", "), class: "flags" }]
      : []),
  ];
}

function drawCells(focused) {
  const table = sortable({
    caption: "All measured cells that pass the filters",
    columns: cellColumns(),
    rows: shown,
    sort: cellSort,
    limit: state.cells,
    sorted: drawCells,
  });
  renew(byId("cells-table"), table, focused);
  const rest = shown.length - state.cells;
  byId("cells-count").textContent = rest > 0 ? `${grouped(state.cells)} of ${plural(shown.length, "row")}` : plural(shown.length, "row");
  const more = make("button", {
    type: "button",
    class: "more",
    click: () => {
      const before = state.cells;
      state.cells += CELLS_MORE;
      drawCells();
      byId("cells-table").querySelectorAll("tbody .open")[before]?.focus();
    },
  }, `Show ${grouped(Math.min(rest, CELLS_MORE))} more`);
  byId("cells-more").replaceChildren(...(rest > 0 ? [more] : []));
}

// -- theme ----------------------------------------------------------------------------------------------------------

const THEMES = { auto: "as the system", light: "light", dark: "dark" };

function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  byId("theme").textContent = { auto: "Auto", light: "Light", dark: "Dark" }[theme];
  byId("theme").setAttribute("aria-label", `Theme: ${THEMES[theme]}`);
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
chooseCurves();
drawFilters();
drawBoardTools();
drawCurveTools();
changed();
