// One cell in full, in a dialog.

function pairsOf(split) {
  const { usable, unusable, shared } = split;
  const left = Object.entries(unusable).map(([reason, count]) => `${grouped(count)} not: ${reason}`);
  if (shared) left.push(`${grouped(shared)} scored after a shared beginning`);
  return [`${grouped(usable)} used`, ...left].join("; ");
}

function definitions(title, items) {
  const entries = items.map(([name, value, about]) => make("div", { title: about }, make("dt", {}, name), make("dd", {}, make("bdi", {}, value))));
  return make("section", {}, make("h3", {}, title), make("dl", { class: "facts" }, ...entries));
}

function summaryOf(index) {
  const total = get("total_nodes", index);
  const written = (statistic) => {
    const write = statisticWriter(statistic, total);
    const [value, low, high] = get(statistic.name, index);
    return value === null ? NONE : `${write(value)} [${write(low)}, ${write(high)}]`;
  };
  return [
    ...page.statistics.map((statistic) => [statistic.name, written(statistic), statistic.about]),
    ["F(full)", share(get("F_full", index))],
    ["F(empty)", share(get("F_empty", index))],
    ["total nodes", grouped(total)],
  ];
}

function curveTable(index) {
  const band = (name) => {
    const [value, low, high] = ["", "_low", "_high"].map((end) => thousandths(get(name + end, index)));
    return (i) => estimate([value[i], low[i], high[i]], share);
  };
  const one = ({ heading, name, form }) =>
    [["", ""], [" without", "_complement"]].map(([word, part]) => {
      const values = thousandths(get(name + part, index));
      return [heading + word, (i) => writer(form)(values[i])];
    });
  const columns = [
    ["nodes", (i) => grouped(get("size", index)[i])],
    ["units", (i) => grouped(get("distinct_units", index)[i])],
    ["errors", (i) => grouped(get("error_nodes", index)[i])],
    ["faithfulness", band("faithfulness")],
    ["completeness", band("completeness")],
    ...page.metrics.flatMap(one),
  ];
  const said = page.metrics.map(({ heading, axis }) => ` ${heading}: ${axis}.`).join("");
  const head = columns.map(([name]) => make("th", { scope: "col", class: "numeric" }, name));
  const rows = get("size", index).map((_, i) =>
    make("tr", {}, ...columns.map(([, write], c) => make(c ? "td" : "th", { class: "numeric", scope: c ? null : "row" }, write(i)))),
  );
  return make(
    "section",
    {},
    make("h3", {}, "Curve"),
    make("p", { class: "hint" }, `Units are distinct (layer, unit) among the nodes. “Without”: everything but the circuit is kept.${said}`),
    make(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": "Curve as a table" },
      make("table", {}, make("caption", { class: "unseen" }, "The curve of this cell"), make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows)),
    ),
  );
}

function cellDetail(index) {
  const environment = get("environment", index);
  const { packages, ...machine } = environment;
  const options = Object.entries(get("options", index));
  const seconds = get("seconds", index);
  const timing = get("phases", index).map((phase, i) => [phase, duration(seconds[i])]);
  const flags = get("flags", index);
  const panels = make("div", { class: "panels" });
  for (const measure of ["faithfulness", "completeness"]) {
    const series = [seriesOf(index, measure, measure)];
    panels.append(panel({ title: measure, note: `ideal: ${IDEAL[measure]}`, measure, series, limits: limitsOf(series), bands: true }));
  }
  return [
    make(
      "header",
      {},
      make("h2", { id: "detail-title" }, swatch(get("basis", index), get("method", index)), " ", make("bdi", {}, `${get("basis", index)}, ${get("method", index)}`)),
      make("p", {}, make("bdi", {}, get("task", index)), " · ", make("bdi", {}, get("model", index))),
      make("button", { type: "button", class: "quiet", click: () => byId("detail").close() }, "Close"),
    ),
    flags.length ? make("p", { class: "notice" }, `Before trusting this cell: ${flags.join(", ")}.`) : "",
    get("degenerate", index) ? "" : panels,
    definitions("Summary", summaryOf(index)),
    definitions("Settings", [...page.details.map((name) => [name, plain(get(name, index))]), ...options.map(([name, value]) => [name, plain(value)])]),
    definitions("Pairs", [
      ["discovery", pairsOf(get("discovery", index))],
      ["evaluation", pairsOf(get("evaluation", index))],
      ["hash", get("data_hash", index)],
    ]),
    curveTable(index),
    definitions("Time and memory", [...timing, ["peak memory", mebibytes(get("peak_memory_bytes", index))]]),
    definitions("Environment", [...Object.entries(machine), ...Object.entries(packages)].map(([name, value]) => [name, plain(value)])),
    definitions("File", [["name", `${get("name", index)}.json`]]),
  ];
}

// A modal dialog gives the focus back to what opened it when it closes.
function showCell(index) {
  const dialog = byId("detail");
  dialog.replaceChildren(make("div", { class: "sheet" }, ...cellDetail(index)));
  dialog.showModal();
  dialog.scrollTop = 0;
}
