// Curves: a panel of one measure against circuit size, drawn as SVG at the width it has, read by pointer or keyboard.

const LOWEST = -0.25;
const HIGHEST = 1.5;
const HEIGHT = 250;
const MARGIN = { top: 12, right: 12, bottom: 36, left: 38 };
const LISTED = 12; // curves that a readout lists
const THRESHOLD = statistics.get(page.told[0]).threshold;
const IDEAL = { faithfulness: 1, completeness: 0 };
let panelsMade = 0;

const thousandths = (list) => list.map((value) => (value === null ? null : value / 1000));

// The curve of a cell: {index, basis, method, label, size, value, low, high}.
function seriesOf(index, measure, label) {
  return {
    index,
    basis: get("basis", index),
    method: get("method", index),
    label,
    size: get("size", index),
    value: thousandths(get(measure, index)),
    low: thousandths(get(`${measure}_low`, index)),
    high: thousandths(get(`${measure}_high`, index)),
  };
}

// The range of the vertical axis that holds all `series`, so that panels beside each other can be compared.
function limitsOf(series) {
  let low = 0;
  let high = 1;
  for (const { value } of series) {
    for (const number of value) {
      if (number === null) continue;
      low = Math.min(low, number);
      high = Math.max(high, number);
    }
  }
  return [Math.max(LOWEST, low - 0.08), Math.min(HIGHEST, high + 0.08)];
}

const sizesOf = (series) => [...new Set(series.flatMap((curve) => curve.size))].sort((a, b) => a - b);

// A panel: caption, plot, readout and the same values as a table. `series` lie on top in their order.
function panel({ title, note, measure, series, limits, bands }) {
  const id = `panel-${++panelsMade}`;
  const sizes = sizesOf(series);
  const plot = make("div", { class: "plot" });
  const tip = make("div", { class: "tip", hidden: true });
  const reader = make("div", {
    class: "reader",
    role: "slider",
    tabindex: 0,
    "aria-label": `${title}: ${measure} at a circuit size`,
    "aria-valuemin": 0,
    "aria-valuemax": Math.max(0, sizes.length - 1),
  });
  const values = make("details", { class: "values", toggle: () => values.open && values.children.length < 2 && values.append(valuesTable()) });
  values.append(make("summary", {}, "Values as a table", make("span", { class: "unseen" }, `: ${title}`)));
  const figure = make(
    "figure",
    { class: "panel" },
    make("figcaption", {}, make("bdi", {}, title), note ? make("small", {}, note) : null),
    plot,
    values,
  );
  let place = Math.max(0, sizes.findLastIndex((size) => size <= 100));
  let drawing = null;

  function draw() {
    const width = Math.max(240, Math.round(plot.clientWidth));
    drawing = drawAxes({ id, title, measure, sizes, limits, width, count: series.length });
    for (const curve of series.toReversed()) drawing.curves.append(drawCurve(curve, drawing, limits, bands));
    plot.replaceChildren(drawing.svg, reader, tip);
  }

  function read(curve) {
    const size = sizes[place];
    const lines = series
      .map((member) => ({ member, point: member.size.indexOf(size) }))
      .filter(({ member, point }) => point >= 0 && member.value[point] !== null)
      .sort((a, b) => b.member.value[b.point] - a.member.value[a.point]);
    const text = ({ member, point }) => `${share(member.value[point])} [${share(member.low[point])}, ${share(member.high[point])}]`;
    tip.replaceChildren(
      make("p", {}, make("b", {}, plural(size, "node")), ` kept, ${measure}`),
      make(
        "table",
        {},
        ...lines.slice(0, LISTED).map((line) =>
          make(
            "tr",
            { class: line.member === curve ? "near" : null },
            make("td", {}, make("span", { class: "key" }, swatch(line.member.basis, line.member.method), make("bdi", {}, line.member.label))),
            make("td", {}, text(line)),
          ),
        ),
      ),
    );
    if (lines.length > LISTED) tip.append(make("p", {}, `and ${lines.length - LISTED} more in the table below`));
    const x = drawing.x(size);
    drawing.cross.setAttribute("x1", x);
    drawing.cross.setAttribute("x2", x);
    drawing.cross.classList.add("on");
    tip.hidden = false;
    const beneath = drawing.width < 480;
    tip.classList.toggle("beneath", beneath);
    if (!beneath) {
      const right = x < drawing.width / 2;
      tip.style.left = right ? `${x + 14}px` : "auto";
      tip.style.right = right ? "auto" : `${drawing.width - x + 14}px`;
    } else {
      tip.style.left = tip.style.right = "";
    }
    reader.setAttribute("aria-valuenow", place);
    reader.setAttribute("aria-valuetext", `${plural(size, "node")}: ` + lines.map((line) => `${line.member.label} ${text(line)}`).join("; "));
    emphasise(curve);
  }

  function emphasise(curve) {
    for (const group of drawing.curves.children) {
      group.classList.toggle("dim", Boolean(curve) && group.dataset.index !== String(curve.index));
    }
  }

  function hide() {
    tip.hidden = true;
    drawing?.cross.classList.remove("on");
    if (drawing) emphasise(null);
  }

  function point(event) {
    if (!sizes.length) return;
    const box = plot.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const distance = (size) => Math.abs(drawing.x(size) - x);
    place = sizes.reduce((best, size, i) => (distance(size) < distance(sizes[best]) ? i : best), 0);
    let nearest = null;
    let least = 24;
    for (const member of series) {
      const value = member.value[member.size.indexOf(sizes[place])];
      if (value === undefined || value === null) continue;
      const away = Math.abs(drawing.y(value) - y);
      if (away < least) [nearest, least] = [member, away];
    }
    read(nearest);
  }

  const STEPS = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 5, PageDown: -5, Home: -Infinity, End: Infinity };
  reader.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !tip.hidden) {
      event.preventDefault(); // a dialog around the panel stays open
      return hide();
    }
    if (!(event.key in STEPS) || !sizes.length) return;
    event.preventDefault();
    place = Math.min(sizes.length - 1, Math.max(0, place + STEPS[event.key]));
    read(null);
  });
  reader.addEventListener("focus", () => tip.hidden && sizes.length && read(null));
  reader.addEventListener("blur", hide);
  reader.addEventListener("pointermove", point);
  reader.addEventListener("pointerdown", point);
  reader.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && hide());

  function valuesTable() {
    const head = series.map((curve) => make("th", { scope: "col", class: "numeric" }, make("bdi", {}, curve.label)));
    const rows = sizes.map((size) =>
      make(
        "tr",
        {},
        make("th", { scope: "row", class: "numeric" }, grouped(size)),
        ...series.map((curve) => {
          const i = curve.size.indexOf(size);
          const whole = i < 0 ? [null] : [curve.value[i], curve.low[i], curve.high[i]];
          return make("td", { class: "numeric" }, estimate(whole, share));
        }),
      ),
    );
    return make(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": `${title}: ${measure} as a table` },
      make(
        "table",
        {},
        make("caption", { class: "unseen" }, `${title}: ${measure} by number of nodes kept, with 95 % intervals`),
        make("thead", {}, make("tr", {}, make("th", { scope: "col", class: "numeric" }, "nodes"), ...head)),
        make("tbody", {}, ...rows),
      ),
    );
  }

  new ResizeObserver(() => {
    if (plot.clientWidth && plot.clientWidth !== drawing?.width) draw();
  }).observe(plot);
  figure.emphasise = (matches) => {
    for (const group of drawing?.curves.children ?? []) group.classList.toggle("dim", matches !== null && !matches(Number(group.dataset.index)));
  };
  return figure;
}

// Axes, grid and the lines to compare with: {svg, curves, cross, x, y, width, clip}.
function drawAxes({ id, title, measure, sizes, limits, width, count }) {
  const largest = Math.max(10, sizes.at(-1) ?? 10);
  const [left, right, top, bottom] = [MARGIN.left, width - MARGIN.right, MARGIN.top, HEIGHT - MARGIN.bottom];
  const x = (size) => left + 5 + ((right - left - 10) * Math.log10(size)) / Math.log10(largest);
  const y = (value) => bottom - ((bottom - top) * (value - limits[0])) / (limits[1] - limits[0]);
  const svg = make("svg", {
    role: "img",
    width,
    height: HEIGHT,
    viewBox: `0 0 ${width} ${HEIGHT}`,
    "aria-label": `${title}: ${measure} against nodes kept, ${plural(count, "curve")}; the values stand in the table below`,
  });
  const axes = make("g", { class: "axes", "aria-hidden": "true" });
  for (let tenth = Math.ceil(limits[0] * 5); tenth / 5 <= limits[1]; tenth++) {
    const value = tenth / 5;
    axes.append(make("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) }));
    axes.append(make("text", { x: left - 7, y: y(value) + 3.5, "text-anchor": "end" }, value.toFixed(1).replace("-", "−")));
  }
  for (let size = 1; size <= largest; size *= 10) {
    axes.append(make("line", { class: "grid", x1: x(size), x2: x(size), y1: top, y2: bottom }));
    axes.append(make("text", { x: x(size), y: bottom + 15, "text-anchor": "middle" }, compact(size)));
  }
  axes.append(make("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }));
  axes.append(make("line", { class: "ideal", x1: left, x2: right, y1: y(IDEAL[measure]), y2: y(IDEAL[measure]) }));
  if (measure === "faithfulness" && THRESHOLD !== null) axes.append(make("line", { class: "threshold", x1: left, x2: right, y1: y(THRESHOLD), y2: y(THRESHOLD) }));
  axes.append(make("text", { class: "name", x: (left + right) / 2, y: HEIGHT - 4, "text-anchor": "middle" }, "nodes kept"));
  const clip = make("clipPath", { id: `${id}-clip` }, make("rect", { x: left, y: top - 4, width: right - left, height: bottom - top + 4 }));
  const cross = make("line", { class: "cross", y1: top, y2: bottom });
  const curves = make("g", { "aria-hidden": "true" });
  svg.append(make("defs", {}, clip), axes, cross, curves);
  return { svg, curves, cross, x, y, width, clip: `url(#${id}-clip)` };
}

function drawCurve(curve, { x, y, clip }, limits, bands) {
  const group = coloured(make("g", { class: "curve", "data-index": curve.index }), curve.basis);
  const points = curve.size.map((size, i) => ({ x: x(size), value: curve.value[i], low: curve.low[i], high: curve.high[i] }));
  const runs = [[]]; // a value that is not defined breaks the line
  for (const point of points) {
    if (point.value === null) runs.push([]);
    else runs.at(-1).push(point);
  }
  const path = (run, name) => run.map((point) => `${at(point.x)} ${at(y(point[name]))}`).join("L");
  const inside = ({ value }) => value !== null && value >= limits[0] && value <= limits[1];
  const whole = runs.filter((run) => run.length);
  if (bands) {
    const area = whole.map((run) => `M${path(run, "high")}L${path(run.toReversed(), "low")}Z`).join("");
    group.append(make("path", { class: "band", d: area, "clip-path": clip }));
  }
  const line = whole.map((run) => `M${path(run, "value")}`).join("");
  group.append(make("path", { class: "line", d: line, "clip-path": clip, "stroke-dasharray": dashes(curve.method) }));
  const shape = page.looks[curve.basis].marker;
  const marks = points.filter(inside).map((point) => marker(shape, point.x, y(point.value)));
  // Triangles at the edge stand for values beyond it.
  for (const point of points) {
    if (point.value === null || inside(point)) continue;
    const below = point.value < limits[0];
    marks.push(marker(below ? "v" : "^", point.x, y(limits[below ? 0 : 1]) + (below ? -3 : 3), 3.4));
  }
  group.append(make("path", { class: "marks", d: marks.join("") }));
  return group;
}
