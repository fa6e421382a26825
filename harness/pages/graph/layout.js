// Where everything stands: columns are places in the text, rows are layers, and nodes of one cell stand side by side,
// in several lines where they are many.

const SLOT = 21; // width of a node among others in its cell
const LINE = 20; // height of a line of them
const PER_LINE = [14, 10, 8, 6, 5]; // nodes in a line of a cell, at most: the first with which the graph fits
const SCROLLED = 2; // the one where none does
const LEAST_COLUMN = 46;
const ROW = { least: 22, most: 54, all: 680 }; // heights
const SKIPPED = 7; // extra height where layers without nodes are left out
const MARGIN = { top: 30, bottom: 44, side: 10 };
const LETTER = 6.3; // width, about

const textWidth = (text) => [...text].reduce((sum, letter) => sum + (letter.codePointAt(0) > 0x2e7f ? 2 : 1), 0) * LETTER;
const rowOf = (node) => (nodes.kind[node] === "logit" ? Infinity : ["embedding", "bias"].includes(nodes.kind[node]) ? -1 : nodes.layer[node]);
const columnOf = (node) => (nodes.kind[node] === "logit" ? tokens.length - 1 : nodes.position[node]);
const logitText = (node) => shortened(nameOf(node), 26);
const logitWidth = (node) => Math.max(54, textWidth(logitText(node)) + 18);

function layOut(shown, width) {
  const cells = new Map();
  for (const node of byInfluence) {
    if (!shown.has(node)) continue;
    const key = `${columnOf(node)} ${rowOf(node)}`;
    if (!cells.has(key)) cells.set(key, { column: columnOf(node), row: rowOf(node), members: [] });
    cells.get(key).members.push(node);
  }
  const needs = PER_LINE.map((limit) => columnNeeds([...cells.values()], limit));
  const spares = needs.map((columns) => width - 2 * MARGIN.side - columns.reduce((sum, column) => sum + column.width, 0));
  const fitting = spares.findIndex((spare) => spare >= 0);
  const chosen = fitting >= 0 ? fitting : SCROLLED;
  const columns = spread(needs[chosen], Math.max(0, spares[chosen]));
  const { rows, height } = layRows([...cells.values()], PER_LINE[chosen]);
  const total = columns.at(-1).x + columns.at(-1).width + MARGIN.side;
  const at = new Map();
  for (const { column, row, members } of cells.values()) {
    const place = columns.find((candidate) => candidate.position === column);
    const lines = linesOf(members, PER_LINE[chosen]);
    const floor = rows.find((candidate) => candidate.layer === row).y;
    lines.forEach((line, i) => {
      const widths = line.map((node) => (row === Infinity ? logitWidth(node) + 8 : SLOT));
      const sum = widths.reduce((all, one) => all + one, 0);
      let x = Math.max(4, Math.min(place.x + (place.width - sum) / 2, total - sum - 4));
      line.forEach((node, j) => {
        at.set(node, { x: x + widths[j] / 2, y: floor - (lines.length - 1 - i) * LINE });
        x += widths[j];
      });
    });
  }
  return { at, rows, columns, width: total, height };
}

// The members of a cell in lines of about one length, the first above.
function linesOf(members, limit) {
  const count = Math.ceil(members.length / limit);
  const length = Math.ceil(members.length / count);
  return Array.from({ length: count }, (_, i) => members.slice(i * length, (i + 1) * length)).filter((line) => line.length);
}

function columnNeeds(cells, limit) {
  const outside = cells.some(({ column }) => column < 0) ? [-1] : [];
  const columns = [...outside, ...tokens.keys()].map((position) => {
    const own = cells.filter(({ column }) => column === position);
    const need = own.map(({ row, members }) => (row === Infinity ? 0 : linesOf(members, limit)[0].length * SLOT + 14));
    const text = Math.min(110, textWidth(tokenAt(position) ?? "bias") + 14);
    return { position, width: Math.max(LEAST_COLUMN, text, ...need), busy: own.length + 1 };
  });
  return columns.length ? columns : [{ position: 0, width: LEAST_COLUMN, busy: 1 }];
}

// What is left goes to columns with many cells, whose labels need the room.
function spread(columns, spare) {
  const busy = columns.reduce((sum, column) => sum + column.busy, 0);
  let x = MARGIN.side;
  for (const column of columns) {
    column.width += (spare * column.busy) / busy;
    column.x = x;
    x += column.width;
  }
  return columns;
}

function layRows(cells, limit) {
  const layers = [...new Set([-1, ...cells.map(({ row }) => row)])].sort((a, b) => b - a);
  const pitch = Math.max(ROW.least, Math.min(ROW.most, ROW.all / layers.length));
  const extra = (layer) => LINE * Math.max(0, ...cells.filter(({ row }) => row === layer).map(({ members }) => linesOf(members, limit).length - 1));
  let y = MARGIN.top + extra(layers[0]);
  const rows = layers.map((layer, i) => {
    const above = layers[i - 1];
    const skipped = i > 0 && Number.isFinite(above) && above - layer > 1;
    const gap = skipped ? y + (pitch + SKIPPED) / 2 : null; // where layers are left out
    if (i > 0) y += pitch + (skipped ? SKIPPED : 0) + extra(layer);
    return { layer, y, gap };
  });
  return { rows, height: y + MARGIN.bottom };
}

// The visible node nearest to `from` in a direction, or null: what lies ahead counts, what lies aside counts double.
const DIRECTIONS = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
function nearest(plan, from, key) {
  const [dx, dy] = DIRECTIONS[key];
  const start = plan.at.get(from);
  let best = null;
  let least = Infinity;
  for (const [node, place] of plan.at) {
    const ahead = (place.x - start.x) * dx + (place.y - start.y) * dy;
    const aside = Math.abs((place.x - start.x) * dy) + Math.abs((place.y - start.y) * dx);
    if (ahead < 1) continue;
    const distance = ahead + (dx ? 6 : 2) * aside;
    if (distance < least) [best, least] = [node, distance];
  }
  return best;
}
