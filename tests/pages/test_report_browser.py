"""The report in a browser: what a reader sees, by pointer, by keyboard, on a phone, in the dark and on paper."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from basisbench.leaderboard import COLUMNS, Column, Leaderboard, Measured, build_leaderboard
from basisbench.measures import METRICS, STATISTICS, Metric, Statistic
from basisbench.measures.forms import Form
from basisbench.pages.report import read_board_results, report_page
from basisbench.results.schema import Result
from basisbench.writing import compact
from toys.browser import Browser, chromium, find_chromium
from toys.colours import LUMINANCE, MINUS, NONE
from toys.results import BASES, FULL, HOSTILE, METHODS, TASKS, write_toys

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here: install Debian's package chromium, or set BASISBENCH_CHROMIUM"
)
ROWS = "[...document.querySelectorAll('#{}-table tbody tr')].map(row => [...row.cells].map(cell => cell.innerText))"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM is not None
    with chromium(CHROMIUM) as started:
        yield started


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Leaderboard, list[Result]]:
    folder = write_toys(tmp_path_factory.mktemp("results"), FULL)
    board = build_leaderboard([folder], n_resamples=200)
    results = read_board_results(board, [folder])
    page = folder / "report.html"
    page.write_text(report_page(results, board, "A report"), "utf-8")
    return page, board, results


@pytest.fixture
def page(browser: Browser, made: tuple[Path, Leaderboard, list[Result]]) -> Iterator[Browser]:
    """The report of `FULL`, opened afresh; afterwards nothing may have gone wrong or been asked for."""
    browser.open(made[0])
    yield browser
    assert browser.problems == []
    assert browser.requests == [made[0].resolve().as_uri()]


@pytest.fixture
def cell(made: tuple[Path, Leaderboard, list[Result]]) -> Callable[..., Result]:
    def find(task: str, basis: str, method: str) -> Result:
        asked = (task, basis, method)
        (found,) = (r for r in made[2] if (r.cell.task, r.cell.basis, r.cell.method) == asked)
        return found

    return find


def share(value: float | None) -> str:
    assert value is not None
    return f"{value:z.2f}".replace("-", MINUS)


def column(page: Browser, section: str, title: str) -> list[str]:
    """The first line of each cell under `title`."""
    titles = page.run(f"[...document.querySelectorAll('#{section}-table thead th')].map(th => th.textContent)")
    return [row[titles.index(title)].split("\n")[0] for row in page.run(ROWS.format(section))]


def press_header(page: Browser, section: str, title: str) -> str:
    """Sort by a column and return the direction that its header then states."""
    find = f"[...document.querySelectorAll('#{section}-table th')].find(th => th.textContent === '{title}')"
    page.run(f"{find}.querySelector('button').click()")
    stated: str = page.run(f"{find}.ariaSort")
    others = page.run(f"document.querySelectorAll('#{section}-table th[aria-sort]:not([aria-sort=none])').length")
    assert others == 1
    return stated


def uncheck(page: Browser, label: str, value: str) -> None:
    page.run(
        "[...document.querySelectorAll('#filters fieldset')].find(f => f.querySelector('legend').textContent === "
        f"'{label}').querySelectorAll('label').forEach(l => l.textContent === '{value}' && l.click())"
    )


def curves(page: Browser) -> dict[str, int]:
    """How many curves each panel draws, by its caption."""
    page.settle()
    counted: dict[str, int] = page.run(
        "Object.fromEntries([...document.querySelectorAll('#panels figure')].map(f => "
        "[f.querySelector('figcaption bdi').textContent, f.querySelectorAll('.curve').length]))"
    )
    return counted


def focus(page: Browser) -> str:
    described: str = page.run("document.activeElement.ariaLabel ?? document.activeElement.textContent")
    return described


# -- tables ----------------------------------------------------------------------------------------------------------


def test_the_board_is_shown_best_first_with_its_numbers(
    page: Browser, made: tuple[Path, Leaderboard, list[Result]]
) -> None:
    board = made[1]
    assert page.run("document.querySelector('.sentence').innerText") == board.headlines[0].sentence
    names = [name.split("\n")[0] for name in column(page, "leaderboard", "basis")]
    assert names == [row.basis for row in board.rows]
    overall = column(page, "leaderboard", "overall auc_f")
    assert overall == [share(row.overall.statistics["auc_f"].value) if row.overall else NONE for row in board.rows]
    for task in board.tasks:
        entries = [next(entry for entry in row.entries if entry.task == task) for row in board.rows]
        shown = {"missing": "not run", "degenerate": "degenerate"}
        assert column(page, "leaderboard", task) == [
            share(entry.measures.statistics["auc_f"].value) if entry.measures else shown[entry.status]
            for entry in entries
        ]
    ranks = [str(round(row.rank.value)) if row.rank and row.rank.value else NONE for row in board.rows]
    assert column(page, "leaderboard", "rank") == ranks
    assert NONE in ranks  # rows without all tasks are not ranked


def test_headers_sort_both_ways_and_what_is_missing_stays_last(page: Browser) -> None:
    numbers = [float(text) for text in column(page, "leaderboard", "greater_than") if re.match(r"[\d.]+$", text)]
    rest = len(column(page, "leaderboard", "greater_than")) - len(numbers)
    assert rest > 0
    for expected in ("descending", "ascending"):
        assert press_header(page, "leaderboard", "greater_than") == expected
        shown = column(page, "leaderboard", "greater_than")
        values = [float(text) for text in shown[: len(numbers)]]
        assert values == sorted(numbers, reverse=expected == "descending")
        assert all(not re.match(r"[\d.]", text) for text in shown[len(numbers) :])
    assert press_header(page, "cells", "task") == "descending"  # it was sorted by task already
    assert column(page, "cells", "task") == sorted((c["task"] for c in FULL), reverse=True)


def test_another_statistic_shows_other_numbers(page: Browser, made: tuple[Path, Leaderboard, list[Result]]) -> None:
    page.run("document.querySelectorAll('input[name=board]')[1].click()")
    overall = column(page, "leaderboard", "overall auc_c")
    assert overall == [share(row.overall.statistics["auc_c"].value) if row.overall else NONE for row in made[1].rows]
    page.run("document.querySelectorAll('input[name=board]')[2].click()")
    reached = [row for row in made[1].rows if row.overall and not row.overall.numbers["unreached"]]
    assert reached
    shown = column(page, "leaderboard", "overall nodes@0.8")
    for row in reached:
        assert row.overall
        assert row.overall.statistics["nodes@0.8"].value
        assert shown[made[1].rows.index(row)] == compact(row.overall.statistics["nodes@0.8"].value)


def test_filters_narrow_tables_and_curves_and_reset(page: Browser) -> None:
    uncheck(page, "basis", "sae")
    uncheck(page, "task", "ioi")
    kept = [c for c in FULL if c["basis"] != "sae" and c["task"] != "ioi"]
    assert page.run("document.querySelector('#count').innerText") == f"{len(kept)} of {len(FULL)} cells"
    assert sorted(column(page, "cells", "task")) == sorted(c["task"] for c in kept)
    assert "sae" not in column(page, "leaderboard", "basis")
    assert "ioi" not in page.run("document.querySelector('#leaderboard-table thead').innerText")
    assert curves(page) == {task: sum(c["task"] == task for c in kept) for task in TASKS if task != "ioi"}
    assert page.run("document.querySelector('#filters .narrowed .shown').innerText") == "2 of 3"
    page.click("#reset")
    assert len(column(page, "cells", "task")) == len(FULL)
    assert page.run("document.querySelectorAll('#filters input:not(:checked)').length") == 0


def test_a_cell_opens_with_all_its_details_and_gives_the_focus_back(page: Browser, cell: Callable[..., Result]) -> None:
    wanted = cell("ioi", "sae", "relp")
    page.run(
        "[...document.querySelectorAll('#cells-table tr')].find(row => /ioi/.test(row.innerText) && "
        "/sae/.test(row.innerText) && /relp/.test(row.innerText)).querySelector('.open').focus()"
    )
    page.press("Enter")
    assert page.run("document.querySelector('#detail').open")
    text = " ".join(page.run("document.querySelector('#detail').innerText").split())
    environment = wanted.environment
    for said in (
        *("sae, relp", "ioi · toy", "ablation mean", "n_discovery 8", "12 used; 3 not: answers of several tokens"),
        *(environment.python, environment.platform, f"torch {environment.packages['torch']}", "attribution 0.3 s"),
        f"auc_f {share(wanted.summary['auc_f'].value)} [{share(wanted.summary['auc_f'].low)}, ",
        f"F(full) {share(wanted.f_full)}",
        f"{wanted.name}.json",
    ):
        assert said in text, said
    rows = page.run("document.querySelectorAll('#detail tbody tr').length")
    assert rows == len(wanted.curve.size)
    page.press("Escape")
    assert not page.run("document.querySelector('#detail').open")
    assert page.run("document.activeElement.className") == "open"


def test_a_degenerate_cell_says_so(page: Browser) -> None:
    page.run(
        "[...document.querySelectorAll('#cells-table tr')].find(row => /attn_out/.test(row.innerText))"
        ".querySelector('.open').click()"
    )
    assert "degenerate" in page.run("document.querySelector('#detail .notice').innerText")


# -- curves ----------------------------------------------------------------------------------------------------------


def test_every_defined_curve_is_drawn_where_its_values_are(page: Browser, cell: Callable[..., Result]) -> None:
    drawn = [c for c in FULL if "effect" not in c]
    assert curves(page) == {task: sum(c["task"] == task for c in drawn) for task in TASKS}
    assert "1 curve not drawn" in page.run("document.querySelectorAll('#panels figcaption')[1].innerText")
    # the pixels of two grid lines give the scale; the curve must pass its values on it
    points = page.run(
        """(() => {
          const figure = document.querySelector("#panels figure");
          const label = (text, axis) => [...figure.querySelectorAll(".axes text")].find(t => t.textContent === text);
          const height = (text) => label(text).getAttribute("y") - 3.5;
          const place = (text) => +label(text).getAttribute("x");
          const curves = [...figure.querySelectorAll(".curve")];
          const path = curves.at(-1).querySelector(".line").getAttribute("d");
          const numbers = path.slice(1).split("L").map(pair => pair.split(" ").map(Number));
          const index = +curves.at(-1).dataset.index;
          return numbers.map(([x, y]) => [
            10 ** (3 * (x - place("1")) / (place("1k") - place("1"))),
            (y - height("0.0")) / (height("1.0") - height("0.0")),
          ]);
        })()"""
    )
    first = cell("greater_than", "neurons", "atp")  # first in the legend, so on top
    assert [round(size) for size, _ in points] == pytest.approx(first.curve.size, rel=0.01)
    assert [value for _, value in points] == pytest.approx(first.curve.faithfulness, abs=0.005)


def test_the_switch_shows_completeness(page: Browser, cell: Callable[..., Result]) -> None:
    page.run("document.querySelector('input[value=completeness]').click()")
    page.run("document.querySelector('#panels .values').open = true")
    page.wait("document.querySelector('#panels .values table')")
    titles, first, *_ = page.run(
        "[...document.querySelectorAll('#panels .values')[0].querySelectorAll('tr')]"
        ".map(row => [...row.cells].map(cell => cell.innerText))"
    )
    curve = cell("greater_than", "sae", "relp").curve
    text = first[titles.index("sae · relp")].split("\n")
    assert text[0] == share(curve.completeness[0])
    assert text[1] == f"{share(curve.completeness_low[0])} to {share(curve.completeness_high[0])}"
    assert "ideal, 0" in page.run("document.querySelector('#curves-hint').innerText")


def test_the_legend_hides_curves_and_the_bands_go(page: Browser) -> None:
    before = curves(page)["sva/rc"]
    bands = page.run("document.querySelectorAll('#panels .band').length")
    assert bands == sum(curves(page).values())
    page.run("[...document.querySelectorAll('#legend button')].find(b => b.textContent === 'sae').click()")
    assert curves(page)["sva/rc"] == before - len(METHODS)
    page.run("[...document.querySelectorAll('#legend button')].find(b => b.textContent === 'atp').click()")
    assert curves(page)["sva/rc"] == len(BASES) - 1
    assert len(column(page, "cells", "task")) == len(FULL)  # the legend is of the curves only
    page.run("document.querySelector('#curves-tools .toggle').click()")
    assert page.run("document.querySelectorAll('#panels .band').length") == 0


def test_pointing_at_a_panel_reads_its_values(page: Browser, cell: Callable[..., Result]) -> None:
    page.run("document.querySelector('#panels .plot').scrollIntoView({block: 'center'})")
    left, top, place = page.run(
        "(() => { const p = document.querySelector('#panels .plot'); const b = p.getBoundingClientRect(); return "
        "[b.x, b.y, +[...p.querySelectorAll('text')].find(t => t.textContent === '10').getAttribute('x')]; })()"
    )
    page.point(left + place + 3, top + 100)
    tip = page.run("document.querySelector('#panels .tip').innerText")
    assert tip.startswith("10 nodes kept, faithfulness")
    value = cell("greater_than", "sae", "relp").curve.faithfulness[2]
    lines = page.run("[...document.querySelectorAll('#panels .tip tr')].map(row => row.textContent)")
    line = next(line for line in lines if "sae · relp" in line)
    assert share(value) in line
    page.point(2, 2)
    assert page.run("document.querySelector('#panels .tip').hidden")


# -- keyboard --------------------------------------------------------------------------------------------------------


def test_the_keyboard_reaches_and_works_everything(page: Browser, cell: Callable[..., Result]) -> None:
    page.press("Tab")
    assert focus(page) == "Skip to the leaderboard"
    seen = []
    for _ in range(80):
        page.press("Tab")
        seen.append(focus(page))
        ring = page.run("getComputedStyle(document.activeElement.matches('[type=radio]') ? "
                        "document.activeElement.nextSibling : document.activeElement).outlineStyle")  # fmt: skip
        assert ring != "none", seen[-1]
        if seen[-1].startswith("sva/rc: faithfulness"):
            break
    wanted = ["Theme: as the system", "task all", "basis all", "method all", "rank", "neurons", "relp", "Bands"]
    assert [name for name in seen if name in wanted] == [*wanted[:5], "Bands", "neurons", "relp"]

    curve = cell("sva/rc", "sae", "relp").curve
    said = "document.activeElement.ariaValueText"
    page.press("Home")
    assert page.run(said).startswith("1 node: ")
    page.press("ArrowRight", "ArrowRight")
    low, high = share(curve.faithfulness_low[2]), share(curve.faithfulness_high[2])
    assert f"sae · relp {share(curve.faithfulness[2])} [{low}, {high}]" in page.run(said)
    assert page.run(said).startswith("10 nodes: ")
    page.press("End", "ArrowRight")
    assert page.run(said).startswith("1,000 nodes: ")
    page.press("Escape")
    assert page.run("document.activeElement.parentNode.querySelector('.tip').hidden")


def test_sorting_and_filtering_by_keyboard_keep_the_focus(page: Browser) -> None:
    page.run("[...document.querySelectorAll('#cells-table th button')].find(b => b.textContent === 'auc_f').focus()")
    page.press("Enter")
    assert focus(page) == "auc_f"
    assert page.run("document.activeElement.closest('th').ariaSort") == "descending"
    page.press(" ")
    assert page.run("document.activeElement.closest('th').ariaSort") == "ascending"
    page.run("document.querySelector('#filters summary').focus()")
    page.press("Enter", "Tab", "Tab", "Tab", " ")  # past All and None, to the first box
    assert page.run("document.querySelector('#count').innerText") == (
        f"{sum(c['task'] != 'greater_than' for c in FULL)} of {len(FULL)} cells"
    )
    page.press("Escape")
    assert not page.run("document.querySelector('#filters details').open")
    assert page.run("document.activeElement.tagName") == "SUMMARY"
    page.run("document.querySelector('input[name=measure]').focus()")
    page.press("ArrowRight")
    assert page.run("document.querySelector('input[name=measure]:checked').value") == "completeness"


def test_controls_have_names_and_tables_have_captions_and_headers(page: Browser) -> None:
    nameless = page.run(
        "[...document.querySelectorAll('button, summary, [role=slider], [role=img], [role=region], nav')]"
        ".filter(e => !(e.ariaLabel || e.getAttribute('aria-labelledby') || e.textContent.trim())).length"
    )
    assert nameless == 0
    assert page.run("[...document.querySelectorAll('main table')].filter(t => !t.caption).length") == 0
    assert page.run("document.querySelectorAll('thead th:not([scope=col])').length") == 0
    assert page.run("document.querySelectorAll('.sortable tbody tr:not(:has(> th[scope=row]))').length") == 0
    assert page.run("new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size") == page.run(
        "document.querySelectorAll('[id]').length"
    )


# -- looks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dark", [False, True])
def test_it_follows_the_system_and_can_be_read_either_way(
    browser: Browser, made: tuple[Path, Leaderboard, list[Result]], dark: bool
) -> None:
    browser.open(made[0], dark=dark)
    ground, contrast = browser.run(LUMINANCE)
    assert (ground < 0.05) if dark else (ground > 0.9)
    assert contrast >= 4.5  # WCAG 2.1, 1.4.3


def test_the_theme_button_overrides_the_system(page: Browser) -> None:
    grounds = []
    for name in ("Light", "Dark", "Auto"):
        page.click("#theme")
        assert page.run("document.querySelector('#theme').innerText") == name
        grounds.append(page.run(LUMINANCE)[0])
    assert grounds[0] == grounds[2] > 0.9
    assert grounds[1] < 0.05


@pytest.mark.parametrize("width", [360, 768])
def test_no_width_scrolls_the_page_sideways(
    browser: Browser, made: tuple[Path, Leaderboard, list[Result]], width: int
) -> None:
    browser.open(made[0], width=width, height=740)
    inside = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert browser.run(inside)
    assert browser.run("(t => t.scrollWidth > t.clientWidth)(document.querySelector('#leaderboard-table'))")
    browser.run("document.querySelector('#filters details').open = true")
    box = browser.run("document.querySelector('#filters fieldset').getBoundingClientRect().toJSON()")
    assert box["left"] >= 0
    assert box["right"] <= width
    browser.run("document.querySelector('#panels .reader').focus()")
    tip = browser.run("document.querySelector('#panels .tip').getBoundingClientRect().toJSON()")
    assert tip["left"] >= 0
    assert tip["right"] <= width
    browser.run("document.querySelector('.open').click()")
    assert browser.run("(d => d.scrollWidth <= d.clientWidth)(document.querySelector('#detail'))")
    assert browser.run(inside)


def test_paper_is_white_and_leaves_the_controls_out(page: Browser) -> None:
    page.send("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    try:
        assert page.run(LUMINANCE)[0] > 0.99
        seen = "getComputedStyle(document.querySelector('{}')).display"
        assert {page.run(seen.format(name)) for name in ("#filters", "#theme", "nav", ".reader")} == {"none"}
        assert page.run(seen.format("#leaderboard-table table")) == "table"
    finally:
        page.send("Emulation.setEmulatedMedia", media="")


# -- hostile ---------------------------------------------------------------------------------------------------------


def test_hostile_names_are_shown_and_do_not_run(browser: Browser, tmp_path: Path) -> None:
    names = (HOSTILE, "x" * 500, "\u202eback\u2067wards", "__proto__", "constructor")
    cells = [dict.fromkeys(("basis", "method", "task", "model"), name) for name in names]
    board = build_leaderboard([write_toys(tmp_path, cells)], n_resamples=100)
    path = tmp_path / "evil.html"
    path.write_text(report_page(read_board_results(board, [tmp_path]), board, HOSTILE), "utf-8")
    browser.open(path, width=360)
    assert browser.problems == []
    assert browser.run("document.querySelectorAll('.curve').length") == len(names)
    assert HOSTILE in column(browser, "cells", "method")
    browser.run("document.querySelectorAll('.values').forEach(d => d.open = true)")
    for index in range(len(names)):
        browser.run(f"document.querySelectorAll('.open')[{index}].click()")
        assert browser.run("(d => d.scrollWidth <= d.clientWidth)(document.querySelector('#detail'))")
        browser.run("document.querySelector('#detail').close()")
    assert browser.run("typeof globalThis.ran") == "undefined"
    assert browser.run("document.querySelectorAll('img, main script').length") == 0
    assert browser.run("document.documentElement.scrollWidth") <= 360
    assert browser.problems == []


def test_the_policy_stops_what_would_get_in(page: Browser) -> None:
    """A script, a handler, a picture or a request that came into the page after all would not run."""
    page.run(
        """(() => {
          document.body.append(Object.assign(document.createElement("script"), { textContent: "globalThis.ran = 1" }));
          document.body.insertAdjacentHTML("beforeend", "<img src='data:,' onerror='globalThis.ran = 1'>");
          return fetch("data:,x").catch(() => 0);
        })()"""
    )
    assert page.run("typeof globalThis.ran") == "undefined"
    assert len(page.problems) >= 3
    assert all("Content Security Policy" in problem for problem in page.problems)
    page.problems.clear()
    page.requests[1:] = []


def test_many_rows_come_in_parts(browser: Browser, tmp_path: Path) -> None:
    cells = [{"task": "ioi", "basis": basis, "seed": seed} for basis in ("sae", "neurons") for seed in range(60)]
    board = build_leaderboard([write_toys(tmp_path, cells)], n_resamples=50)
    path = tmp_path / "long.html"
    path.write_text(report_page(read_board_results(board, [tmp_path]), board, "Long"), "utf-8")
    browser.open(path)
    assert len(column(browser, "cells", "task")) == 100
    assert browser.run("document.querySelector('#cells-count').innerText") == "100 of 120 rows"
    browser.click("#cells-more button")
    assert len(column(browser, "cells", "task")) == 120
    assert browser.run("document.activeElement === document.querySelectorAll('#cells-table .open')[100]")
    assert not browser.run("document.querySelector('#cells-more button')")


def test_records_that_were_added_are_shown(browser: Browser, tmp_path: Path) -> None:
    METRICS.add(Metric("lead", "answer above the next", lambda outcome: outcome.lead, short="ld", reported=True))
    gap = Statistic("gap", "Gap", "The gap.", lambda w: 1 - w.faithfulness.mean(axis=0), better="lower", board=True)
    STATISTICS.add(gap)
    measured = Measured(lambda result, curve, at: int(curve.error_nodes[-1]), lambda numbers: numbers[0])
    COLUMNS.add(Column("late", "late errors", measured=measured, form=Form("pieces", str), about="Errors in the end"))
    try:
        folder = write_toys(tmp_path, FULL)
        board = build_leaderboard([folder], n_resamples=50)
        results = read_board_results(board, [folder])
        path = folder / "added.html"
        path.write_text(report_page(results, board, "Added"), "utf-8")
    finally:
        METRICS.remove("lead")
        STATISTICS.remove("gap")
        COLUMNS.remove("late")
    browser.open(path)
    assert column(browser, "leaderboard", "late errors") == ["100" if row.overall else NONE for row in board.rows]
    browser.run("document.querySelectorAll('input[name=board]')[3].click()")
    shown = [row.overall.statistics["gap"].value if row.overall else None for row in board.rows]
    assert column(browser, "leaderboard", "overall gap") == [NONE if one is None else share(one) for one in shown]
    bold = "[...document.querySelectorAll('#leaderboard-table .best')].map(cell => cell.innerText.split('\\n')[0])"
    least = []
    for task in TASKS:
        found = [entry.measures for row in board.rows for entry in row.entries if entry.task == task]
        least.append(share(min(one.statistics["gap"].value or 0 for one in found if one)))
    assert sorted(browser.run(bold)) == sorted(least)
    assert press_header(browser, "leaderboard", "overall gap") == "ascending"  # less is better
    assert press_header(browser, "cells", "gap") == "ascending"
    (first,) = [r for r in results if (r.cell.task, r.cell.basis, r.cell.method) == ("ioi", "sae", "relp")]
    browser.run(
        "[...document.querySelectorAll('#cells-table tr')].find(row => /ioi/.test(row.innerText) && "
        "/sae/.test(row.innerText) && /relp/.test(row.innerText)).querySelector('.open').click()"
    )
    text = " ".join(browser.run("document.querySelector('#detail').innerText").split())
    assert f"gap {share(first.summary['gap'].value)} [" in text
    assert "ld ld without" in text
    assert "ld: answer above the next." in text
    assert share(first.curve.reported["lead"].circuit[0]) in text
    assert "The gap." in browser.run("document.querySelector('#reading').innerText")
    assert browser.problems == []


def test_many_curves_begin_with_one_seed_and_the_best_method(browser: Browser, tmp_path: Path) -> None:
    methods = ("atp", "ig", "relp", "random", "delta", "activation")
    cells = [
        {"task": "ioi", "basis": basis, "method": method, "seed": seed}
        for basis in BASES
        for method in methods
        for seed in (0, 1)
    ]
    board = build_leaderboard([write_toys(tmp_path, cells)], n_resamples=50)
    path = tmp_path / "many.html"
    path.write_text(report_page(read_board_results(board, [tmp_path]), board, "Many"), "utf-8")
    browser.open(path)
    assert curves(browser) == {"ioi": len(BASES)}
    pressed = "[...document.querySelectorAll('#legend [aria-pressed=true]')].map(b => b.textContent)"
    assert browser.run(pressed) == ["neurons", "sae", "resid_post", board.rows[0].method, "seed 0"]
    assert f"{len(cells) - len(BASES)} of {len(cells)} curves are switched off" in browser.run(
        "document.querySelector('#curves-hint').innerText"
    )
    browser.run("document.querySelectorAll('#legend [aria-pressed=false]').forEach(b => b.click())")
    assert curves(browser) == {"ioi": len(cells)}
