// The leaderboard: a row a basis and method, overall and task by task, in the statistic chosen.

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
  const choices = page.statistics.filter(({ board }) => board).map(({ name }) => [name, name]);
  const tool = choice("Statistic of the leaderboard", "board", choices, state.board, (value) => {
    state.board = value;
    drawBoard();
  });
  byId("leaderboard-tools").replaceChildren(tool);
  byId("leaderboard-notes").replaceChildren(...page.board.notes.map((note) => make("li", {}, make("bdi", {}, note))));
}

const faint = (text, about = null) => make("span", { class: "faint", title: about || null }, text);

// Spread over seeds stands apart from intervals, which are over pairs.
function overSeeds(statistic, scores) {
  const spread = scores.spread[statistic.name];
  return spread === null ? null : statistic.log ? `seeds ×/÷ ${(10 ** spread).toFixed(1)}` : `seeds ± ${share(spread)}`;
}

function named(row) {
  return make("span", { class: "named" }, swatch(row.basis), make("bdi", {}, row.basis), row.control ? make("span", { class: "tag" }, "control") : null);
}

const scoreOf = (scores, statistic) => scores?.statistics[statistic.name]?.[0] ?? null;
const scoreText = (scores, statistic) =>
  estimate(scores.statistics[statistic.name], statisticWriter(statistic, scores.total), overSeeds(statistic, scores));

// A column as the board describes it: names and words as they are, numbers written in their form, intervals beneath.
function boardColumn(column) {
  const { name, title, about, words, descends, beneath } = column;
  const write = writer(column.form);
  const value = (row) => row.values[name];
  const key = (row) => (Array.isArray(value(row)) ? value(row)[0] : value(row));
  if (name === "basis") return { title, about, row: true, key, cell: named };
  if (words) return { title, about, key, cell: (row) => make("bdi", {}, value(row) ?? NONE) };
  const cell = (row) => {
    if (key(row) === null) return faint(NONE, row.note);
    if (Array.isArray(value(row))) return estimate(value(row), write);
    const small = beneath && make("small", {}, `${beneath[0]} ${write(row.values[beneath[1]])}`);
    return small ? make("span", { class: "estimate" }, write(value(row)), small) : write(value(row));
  };
  return { title, about, numeric: true, descends, key, cell };
}

function overallColumn(column, statistic) {
  const cell = (row) => {
    if (!row.overall) return faint(NONE, row.note);
    const band = row.overall.statistics[statistic.name];
    const drawn = statistic.log ? whisker(band.map((number) => number && Math.log10(number)), 5) : whisker(band, 1);
    return coloured(make("div", { class: "beside" }, drawn, scoreText(row.overall, statistic)), row.basis);
  };
  return { ...boardColumn(column), key: (row) => scoreOf(row.overall, statistic), cell };
}

function taskColumn(name, statistic, best) {
  return {
    title: name,
    id: `task ${name}`,
    about: name,
    numeric: true,
    descends: statistic.better === "higher",
    key: (row) => scoreOf(row.entries[name].scores, statistic),
    cell: (row) => {
      const { status, scores } = row.entries[name];
      if (!scores) return faint(status === "missing" ? "not run" : status);
      const text = scoreText(scores, statistic);
      return scoreOf(scores, statistic) === best ? make("span", { class: "best" }, text) : text;
    },
  };
}

function drawBoard(focused) {
  const passing = new Set(shown);
  const statistic = statistics.get(state.board);
  const tasks = page.board.tasks.filter((name) => !off.task.has(name));
  const rows = page.board.rows.filter((row) => Object.values(row.entries).some(({ cells }) => cells.some((index) => passing.has(index))));
  const best = (name) => {
    const values = rows.map((row) => scoreOf(row.entries[name].scores, statistic)).filter((value) => value !== null);
    return statistic.better === "lower" ? Math.min(...values) : Math.max(...values);
  };
  const kept = page.board.columns.filter(({ name }) => !statistics.has(name) || name === statistic.name);
  const made = (column) => (column.name === statistic.name ? overallColumn(column, statistic) : boardColumn(column));
  const noted = rows.some((row) => row.note);
  const columns = [
    ...kept.filter(({ leads }) => leads).map(made),
    ...tasks.map((name) => taskColumn(name, statistic, best(name))),
    ...kept.filter(({ leads }) => !leads).map(made),
    ...(noted ? [{ title: "note", key: (row) => row.note || null, cell: (row) => make("bdi", {}, row.note || NONE) }] : []),
  ];
  const table = sortable({ caption: "Leaderboard: a row a basis and method, best first", columns, rows, sort: boardSort, sorted: drawBoard });
  renew(byId("leaderboard-table"), table, focused);
  const several = new Set(page.board.rows.map((row) => row.question)).size > 1;
  const apart = several ? " Ranks and differences are within the rows that asked the same pairs the same way." : "";
  const every = tasks.length < page.board.tasks.length ? ` “Overall” and ranks stay those of all ${page.board.tasks.length} tasks.` : "";
  byId("leaderboard-hint").textContent = rows.length
    ? `Best first by ${page.board.by}, with 95 % intervals; overall is the mean over tasks. Bold: the best shown on a task.${apart}${every}`
    : "No row passes the filters.";
}
