// The leaderboard: a row a basis and method, overall and task by task, in the statistic chosen.

const STATISTICS = ["auc_f", "auc_c", "nodes@0.8"];
const ABOUT = {
  rank: `By ${page.board.by} over all tasks, 95 % interval beneath`,
  "to best": `Difference to the best row in ${page.board.by}${page.board.by === "nodes@0.8" ? " (log10)" : ""}, paired on the same resamples of the same pairs`,
  "p (Holm)": "Two-sided sign-flip test across tasks, after Holm's correction; beneath, the least it can be with so many tasks and comparisons",
  "effect size": "Mean difference to the best over its standard deviation across tasks",
  "nodes, × best": "nodes@0.8 over the best row's, a geometric mean over tasks",
  "units@0.8": "Distinct (layer, unit) among nodes@0.8: sizes without positions",
  "errors@0.8": "Error nodes among nodes@0.8",
  time: "Mean over cells",
};

function whisker([value, low, high], highest) {
  const width = 110;
  const x = (number) => 4 + ((width - 8) * Math.min(highest, Math.max(0, number))) / highest;
  const icon = make("svg", { class: "whisker", width, height: 12, viewBox: `0 0 ${width} 12`, "aria-hidden": "true" });
  icon.append(make("line", { class: "track", x1: 4, x2: width - 4, y1: 6, y2: 6 }));
  if (value === null) return icon;
  icon.append(make("line", { x1: x(low ?? value), x2: x(high ?? value), y1: 6, y2: 6 }));
  icon.append(make("path", { class: "marks", d: marker("o", x(value), 6, 3.4) }));
  return icon;
}

function drawBoardTools() {
  const choices = STATISTICS.map((statistic) => [statistic, statistic]);
  const tool = choice("Statistic of the leaderboard", "board", choices, state.board, (value) => {
    state.board = value;
    drawBoard();
  });
  byId("leaderboard-tools").replaceChildren(tool);
  byId("leaderboard-notes").replaceChildren(...page.board.notes.map((note) => make("li", {}, make("bdi", {}, note))));
}

const scored = (scores, write) => (scores ? write(scores) : make("span", { class: "faint" }, NONE));
// Spread over seeds stands apart from intervals, which are over pairs.
function overSeeds(statistic, scores) {
  const spread = scores.spread[statistic];
  return spread === null ? null : statistic === "nodes@0.8" ? `seeds ×/÷ ${(10 ** spread).toFixed(1)}` : `seeds ± ${share(spread)}`;
}

const written = (statistic, scores) => (statistic === "nodes@0.8" ? (value) => nodes(value, scores.total) : share);

function named(row) {
  return make("span", { class: "named" }, swatch(row.basis), make("bdi", {}, row.basis), row.control ? make("span", { class: "tag" }, "control") : null);
}

function rankColumns() {
  const { by } = page.board;
  const compared = (row, field) => row.comparison?.[field] ?? null;
  const text = (title, value) => ({ title, key: value, cell: (row) => make("bdi", {}, value(row) ?? NONE) });
  const several = (value) => new Set(page.board.rows.map(value)).size > 1;
  const ratio = (value) => (value === null ? NONE : `×${value >= 100 ? compact(value) : Number(value.toPrecision(2))}`);
  const columns = {
    rank: {
      title: "rank",
      numeric: true,
      key: (row) => row.rank && row.rank[0],
      cell: (row) => (row.rank ? estimate(row.rank, (rank) => (rank === null ? NONE : String(Math.round(rank)))) : make("span", { class: "faint", title: row.note }, NONE)),
    },
    basis: { title: "basis", row: true, key: (row) => row.basis, cell: named },
    method: text("method", (row) => row.method),
    settings: page.board.settings.map((name) => text(name.replaceAll("_", " "), (row) => row.settings[name] ?? null)),
    difference: {
      title: "to best",
      numeric: true,
      descends: by !== "nodes@0.8",
      key: (row) => row.comparison && row.comparison.difference[0],
      cell: (row) => scored(row.comparison, ({ difference }) => estimate(difference, share)),
    },
    holm: {
      title: "p (Holm)",
      numeric: true,
      key: (row) => compared(row, "holm"),
      cell: (row) => scored(row.comparison, ({ holm, smallest_holm }) => make("span", { class: "estimate" }, chance(holm), make("small", {}, `least ${chance(smallest_holm)}`))),
    },
    effect: {
      title: "effect size",
      numeric: true,
      key: (row) => compared(row, "effect_size"),
      cell: (row) => scored(row.comparison, ({ effect_size }) => share(effect_size)),
    },
    ratio: {
      title: "nodes, × best",
      numeric: true,
      key: (row) => row.comparison && row.comparison.node_ratio[0],
      cell: (row) => scored(row.comparison, ({ node_ratio }) => estimate(node_ratio, ratio)),
    },
    note: text("note", (row) => row.note || null),
  };
  return { columns, several };
}

const chance = (p) => (p === null ? NONE : p < 0.001 ? "< 0.001" : Number(p.toPrecision(2)).toString());

function scoreColumns(tasks, best) {
  const statistic = state.board;
  const lower = statistic === "nodes@0.8";
  const value = (scores) => scores?.[statistic][0] ?? null;
  const count = (title, field) => ({
    title,
    numeric: true,
    key: (row) => row.overall?.[field] ?? null,
    cell: (row) => scored(row.overall, (scores) => (scores[field] === null ? NONE : compact(scores[field]))),
  });
  const overall = {
    title: `overall ${statistic}`,
    numeric: true,
    descends: !lower,
    key: (row) => value(row.overall),
    cell: (row) =>
      scored(row.overall, (scores) => {
        const band = scores[statistic];
        const drawn = lower ? whisker(band.map((number) => number && Math.log10(number)), 5) : whisker(band, 1);
        return coloured(make("div", { class: "beside" }, drawn, estimate(band, written(statistic, scores), overSeeds(statistic, scores))), row.basis);
      }),
  };
  const task = (name) => ({
    title: name,
    id: `task ${name}`,
    numeric: true,
    descends: !lower,
    key: (row) => value(row.entries[name].scores),
    cell: (row) => {
      const { status, scores } = row.entries[name];
      if (!scores) return make("span", { class: "faint" }, status === "missing" ? "not run" : status);
      const text = estimate(scores[statistic], written(statistic, scores), overSeeds(statistic, scores));
      return value(scores) === best.get(name) ? make("span", { class: "best" }, text) : text;
    },
  });
  const costs = [
    { title: "time", numeric: true, key: (row) => row.overall?.seconds ?? null, cell: (row) => scored(row.overall, ({ seconds }) => (seconds === null ? NONE : duration(seconds))) },
    { title: "peak memory", numeric: true, key: (row) => row.overall?.memory ?? null, cell: (row) => scored(row.overall, ({ memory }) => mebibytes(memory)) },
  ];
  return { overall, tasks: tasks.map(task), sizes: [count("units@0.8", "units"), count("errors@0.8", "errors")], costs };
}

function drawBoard(focused) {
  const passing = new Set(shown);
  const tasks = page.board.tasks.filter((name) => !off.task.has(name));
  const rows = page.board.rows.filter((row) => Object.values(row.entries).some(({ cells }) => cells.some((index) => passing.has(index))));
  const best = new Map();
  for (const name of tasks) {
    const values = rows.map((row) => row.entries[name].scores?.[state.board][0] ?? null).filter((value) => value !== null);
    best.set(name, state.board === "nodes@0.8" ? Math.min(...values) : Math.max(...values));
  }
  const { columns: ranked, several } = rankColumns();
  const scores = scoreColumns(tasks, best);
  const optional = (wanted, column) => (wanted ? [column] : []);
  const columns = [
    ...[ranked.rank, ranked.basis, ranked.method],
    ...ranked.settings,
    ...[scores.overall, ranked.difference, ranked.holm],
    ...scores.tasks,
    ...[ranked.effect, ranked.ratio, ...scores.sizes, ...scores.costs],
    ...optional(rows.some((row) => row.note), ranked.note),
  ].map((column) => ({ ...column, about: column.id ? column.title : ABOUT[column.title] }));
  const table = sortable({ caption: "Leaderboard: a row a basis and method, best first", columns, rows, sort: boardSort, sorted: drawBoard });
  renew(byId("leaderboard-table"), table, focused);
  const apart = several((row) => row.question) ? " Ranks and differences are within the rows that asked the same pairs the same way." : "";
  const every = tasks.length < page.board.tasks.length ? ` “Overall” and ranks stay those of all ${page.board.tasks.length} tasks.` : "";
  byId("leaderboard-hint").textContent = rows.length
    ? `Best first by ${page.board.by}, with 95 % intervals; overall is the mean over tasks. Bold: the best shown on a task.${apart}${every}`
    : "No row passes the filters.";
}
