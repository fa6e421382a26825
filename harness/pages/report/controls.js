// Controls: menus of check boxes, switches of several choices, tables that sort.

// A drop-down of check boxes; `off` is the set of values that are not wanted, changed in place.
function menu(label, values, off, changed) {
  const shown = make("span", { class: "shown" });
  const boxes = values.map((value) =>
    make("input", {
      type: "checkbox",
      change: (event) => {
        if (event.target.checked) off.delete(value);
        else off.add(value);
        update();
        changed();
      },
    }),
  );
  function update() {
    boxes.forEach((box, i) => (box.checked = !off.has(values[i])));
    const on = values.filter((value) => !off.has(value));
    shown.textContent = on.length === values.length ? "all" : on.length === 1 ? plain(on[0]) : `${on.length} of ${values.length}`;
    element.classList.toggle("narrowed", on.length < values.length);
  }
  function set(all) {
    off.clear();
    if (!all) values.forEach((value) => off.add(value));
    update();
    changed();
  }
  const items = values.map((value, i) => make("label", {}, boxes[i], make("bdi", {}, plain(value))));
  const element = make(
    "details",
    { class: "menu", keydown: (event) => event.key === "Escape" && element.open && (close(), event.stopPropagation()) },
    make("summary", {}, make("span", { class: "label" }, label), " ", shown),
    make(
      "fieldset",
      {},
      make("legend", { class: "unseen" }, label),
      make(
        "p",
        { class: "both" },
        make("button", { type: "button", click: () => set(true) }, "All"),
        make("button", { type: "button", click: () => set(false) }, "None"),
      ),
      ...items,
    ),
  );
  function close() {
    element.open = false;
    element.querySelector("summary").focus();
  }
  element.update = update;
  update();
  return element;
}

// Menus close when the pointer or the focus goes elsewhere.
for (const kind of ["pointerdown", "focusin"]) {
  document.addEventListener(kind, (event) => {
    for (const open of document.querySelectorAll("details.menu[open]")) {
      if (!open.contains(event.target)) open.open = false;
    }
  });
}

// One of several: radio buttons drawn as a bar. `choices` are [value, text].
function choice(label, name, choices, chosen, changed) {
  const options = choices.map(([value, text]) =>
    make(
      "label",
      {},
      make("input", { type: "radio", name, value, checked: value === chosen, change: () => changed(value) }),
      make("span", {}, text),
    ),
  );
  return make("fieldset", { class: "choice" }, make("legend", { class: "unseen" }, label), ...options);
}

// A button that stays pressed.
function toggle(content, pressed, changed, attributes = {}) {
  const button = make("button", {
    type: "button",
    class: "toggle",
    "aria-pressed": pressed,
    ...attributes,
    click: () => {
      const now = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", now);
      changed(now);
    },
  });
  button.append(...content);
  return button;
}

// A table that sorts by its headers. A column is {title, id, key(row), cell(row), numeric, descends, row, class}: `key`
// gives what it sorts by, `cell` a node or text, `descends` whether the first click sorts the largest first, and
// `row` marks the row's header; titles can be equal where `id`s tell them apart. `sort` is {column, descending}, kept by the caller, changed here.
function sortable({ caption, columns, rows, sort, limit = Infinity, sorted }) {
  const identity = (candidate) => candidate.id ?? candidate.title;
  const column = columns.find((candidate) => identity(candidate) === sort.column);
  const order = column ? rows.toSorted((a, b) => compare(column.key(a), column.key(b), sort.descending)) : rows;
  const headers = columns.map((candidate) => {
    const active = candidate === column;
    const press = () => {
      sort.descending = active ? !sort.descending : Boolean(candidate.descends);
      sort.column = identity(candidate);
      sorted(columns.indexOf(candidate));
    };
    const direction = active ? (sort.descending ? "descending" : "ascending") : "none";
    return make(
      "th",
      { scope: "col", "aria-sort": direction, class: candidate.numeric ? "numeric" : candidate.row ? "pinned" : null, title: candidate.about ?? candidate.title },
      make("button", { type: "button", click: press }, make("bdi", {}, candidate.title), make("span", { class: "arrow", "aria-hidden": "true" })),
    );
  });
  const body = order.slice(0, limit).map((row) =>
    make(
      "tr",
      {},
      ...columns.map((candidate) => {
        const kinds = [candidate.numeric && "numeric", candidate.class].filter(Boolean).join(" ");
        const attributes = { class: kinds || null, ...(candidate.row ? { scope: "row" } : {}) };
        return make(candidate.row ? "th" : "td", attributes, candidate.cell(row));
      }),
    ),
  );
  return make(
    "table",
    { class: "sortable" },
    make("caption", { class: "unseen" }, caption),
    make("thead", {}, make("tr", {}, ...headers)),
    make("tbody", {}, ...body),
  );
}

// Put `table` into `place`, scrolled as the old one was; the header at `focused` gets the focus back.
function renew(place, table, focused) {
  const { scrollLeft } = place;
  place.replaceChildren(table);
  place.scrollLeft = scrollLeft;
  if (focused !== undefined) table.querySelectorAll("thead button")[focused].focus();
}

// A number with its interval beneath, and under that a note if there is one.
function estimate([value, low, high], write, note = null) {
  return make(
    "span",
    { class: "estimate" },
    write(value),
    value === null ? null : make("small", {}, `${write(low)} to ${write(high)}`),
    note && make("small", {}, note),
  );
}
