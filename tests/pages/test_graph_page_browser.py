"""The graph page in a browser: what a reader sees and does, by pointer, by keyboard, on a phone and in the dark."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from basisbench.pages.graph import trace_page
from basisbench.tracing.document import TraceDocument
from toys.browser import Browser, chromium, find_chromium
from toys.colours import LUMINANCE, MINUS
from toys.trace import hostile_trace, toy_trace

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here: install Debian's package chromium, or set BASISBENCH_CHROMIUM"
)
HIDDEN = ("other", "bias")
INSIDE = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM is not None
    with chromium(CHROMIUM) as started:
        yield started


@pytest.fixture(scope="module")
def document() -> TraceDocument:
    return toy_trace()


@pytest.fixture(scope="module")
def path(document: TraceDocument, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("graph") / "graph.html"
    file.write_text(trace_page(document), "utf-8")
    return file


@pytest.fixture
def page(browser: Browser, path: Path) -> Iterator[Browser]:
    """The page, opened afresh; afterwards nothing may have gone wrong or been asked for."""
    browser.open(path)
    yield browser
    assert browser.problems == []
    assert {request.split("#")[0] for request in browser.requests} == {path.resolve().as_uri()}
    browser.send("Page.navigate", url="about:blank")  # so that no address with pins is left
    browser.wait("location.href === 'about:blank'")


def key(page: Browser, character: str) -> None:
    """Press the key of a printable character."""
    for kind, text in (("keyDown", {"text": character}), ("keyUp", {})):
        page.send("Input.dispatchKeyEvent", type=kind, key=character, **text)
    page.settle()


def count(page: Browser, selector: str) -> int:
    found: int = page.run(f"document.querySelectorAll({selector!r}).length")
    return found


def texts(page: Browser, selector: str) -> list[str]:
    found: list[str] = page.run(f"[...document.querySelectorAll({selector!r})].map(e => e.textContent)")
    return found


def text(page: Browser, selector: str) -> str:
    found: str = page.run(f"document.querySelector({selector!r}).innerText")
    return found


def at_node(page: Browser) -> int:
    """The node that has the focus."""
    node: int = page.run("document.activeElement.node ?? -1")
    return node


def place(page: Browser, node: int) -> tuple[float, float]:
    box: dict[str, Any] = page.run(f"document.querySelector('#node-{node} .shape').getBoundingClientRect().toJSON()")
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def reload(page: Browser) -> None:
    page.run("globalThis.before = 1")
    page.send("Page.reload")
    page.wait("typeof before === 'undefined' && document.readyState === 'complete'")
    page.settle()


def units(document: TraceDocument, labelled: bool = True) -> list[int]:
    """Units by influence, the largest first, with or without evidence."""
    found = [
        number
        for number, node in enumerate(document.nodes)
        if node.kind == "unit" and (f"{node.layer}:{node.unit}" in document.evidence) == labelled
    ]
    return sorted(found, key=lambda number: -document.nodes[number].influence)


def visible_edges(document: TraceDocument) -> list[int]:
    """Edges of the first picture, the strongest first."""
    edges = document.edges
    seen = [
        edge
        for edge, source in enumerate(edges.source)
        if {document.nodes[source].kind, document.nodes[edges.target[edge]].kind}.isdisjoint(HIDDEN)
    ]
    return sorted(seen, key=lambda edge: -abs(edges.attribution[edge]))


# -- the picture -----------------------------------------------------------------------------------------------------


def test_nodes_stand_at_their_layers_and_tokens(page: Browser, document: TraceDocument) -> None:
    shown = [number for number, node in enumerate(document.nodes) if node.kind not in HIDDEN]
    assert count(page, ".graph .node") == len(shown)
    places = {number: place(page, number) for number in shown}
    for above in shown:
        for below in shown:
            a, b = document.nodes[above], document.nodes[below]
            if a.layer > b.layer:
                assert places[above][1] < places[below][1] - 10
            if a.position > b.position and "logit" not in (a.kind, b.kind):
                assert places[above][0] > places[below][0] + 5
    assert len({(round(x), round(y)) for x, y in places.values()}) == len(shown)  # side by side in a cell
    cells: dict[tuple[int, int], list[int]] = {}
    for number in shown:
        cells.setdefault((document.nodes[number].layer, document.nodes[number].position), []).append(number)
    assert max(map(len, cells.values())) > 2
    for members in cells.values():
        by_place = sorted(members, key=lambda number: places[number][0])
        influences = [document.nodes[number].influence for number in by_place]
        assert influences == sorted(influences, reverse=True)
    tokens = ["Fact", ":", "·the", "·capital", "·of", "·the", "·state", "·containing", "·Dallas", "·is"]
    assert texts(page, ".token") == tokens
    layers = sorted({n.layer for n in document.nodes if n.kind in ("unit", "error")}, reverse=True)
    assert texts(page, ".axis text:not(.gap)") == ["logits", *(f"L{layer}" for layer in layers), "tokens"]


def test_signs_are_seen_without_colour(page: Browser, document: TraceDocument) -> None:
    wrong = [
        number
        for number, node in enumerate(document.nodes)
        if node.kind == "unit"
        and page.run(f"document.querySelector('#node-{number}').classList.contains('hurts')") != (node.attribution < 0)
    ]
    assert wrong == []
    fill = "getComputedStyle(document.querySelector('.graph .unit.{} .shape')).{}"
    assert page.run(fill.format("helps", "fill")) == page.run(fill.format("helps", "stroke"))
    assert page.run(fill.format("hurts", "fill")) != page.run(fill.format("hurts", "stroke"))
    dashes = "getComputedStyle(document.querySelector('#edges .{}')).strokeDasharray"
    assert page.run(dashes.format("helps")) == "none"
    assert page.run(dashes.format("hurts")) != "none"
    shapes = [page.run(f"document.querySelector('.graph .{kind} .shape').localName") for kind in ("unit", "error")]
    assert shapes == ["circle", "path"]


def test_the_strongest_edges_are_shown_and_the_slider_shows_more_or_fewer(
    page: Browser, document: TraceDocument
) -> None:
    edges = visible_edges(document)
    assert count(page, "#edges path") == 150
    least = abs(document.edges.attribution[edges[149]])
    assert text(page, "#edges-count") == f"150 of {len(edges)} edges, |attribution| ≥ {least:.2g}"
    page.run("document.querySelector('#slider').focus()")
    page.press("End")
    assert count(page, "#edges path") == len(edges)
    page.press("Home")
    assert count(page, "#edges path") == 0
    page.press(*["ArrowRight"] * 30)
    some = count(page, "#edges path")
    assert some == round(len(edges) ** 0.3)
    assert text(page, "#edges-count").startswith(f"{some} of ")
    assert page.run("document.querySelector('#slider').getAttribute('aria-valuetext')").startswith(f"{some} of ")
    widths = page.run("[...document.querySelectorAll('#edges path')].map(e => Number(e.getAttribute('stroke-width')))")
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > widths[-1]


def test_edges_can_be_weighed_by_their_share(page: Browser, document: TraceDocument) -> None:
    page.run("document.querySelector('[name=weigh][value=share]').click()")
    edges = visible_edges(document)
    least = sorted((document.edges.share[edge] for edge in edges), reverse=True)[149]
    assert count(page, "#edges path") == 150
    assert text(page, "#edges-count") == f"150 of {len(edges)} edges, share ≥ {100 * least:.0f} %"


def test_remainders_are_hidden_until_asked_for(page: Browser, document: TraceDocument) -> None:
    hidden = sum(node.kind in HIDDEN for node in document.nodes)
    before = count(page, ".graph .node")
    assert text(page, "#remainders") == f"Remainders ({hidden})"
    page.click("#remainders")
    assert count(page, ".graph .node") == before + hidden == len(document.nodes)
    assert text(page, "#edges-count").split(",")[0] == f"150 of {len(document.edges.source)} edges"
    page.click("#remainders")
    assert count(page, ".graph .node") == before


def test_labels_do_not_lie_on_each_other(page: Browser) -> None:
    boxes = page.run("[...document.querySelectorAll('.label')].map(e => e.getBoundingClientRect().toJSON())")
    assert len(boxes) > 20
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            over = min(a["right"], b["right"]) - max(a["left"], b["left"])
            tall = min(a["bottom"], b["bottom"]) - max(a["top"], b["top"])
            assert over < 4 or tall < 5
    page.click("#labels-on")
    assert count(page, ".label") == 0


# -- evidence --------------------------------------------------------------------------------------------------------


def test_a_click_shows_the_evidence_of_a_node(page: Browser, document: TraceDocument) -> None:
    number = units(document)[0]
    node = document.nodes[number]
    evidence = document.evidence[f"{node.layer}:{node.unit}"]
    page.click(f"#node-{number}")
    shown = text(page, "#panel")
    assert text(page, "#panel-title") == evidence.label
    assert f"unit {node.layer}:{node.unit}, layer {node.layer}, token {node.position + 1}" in shown
    assert "Label from: raised tokens and contexts." in shown
    share = 100 * node.attribution / document.asked.metric
    facts = dict(zip(texts(page, "#panel dt"), texts(page, "#panel dd"), strict=True))
    assert facts["attribution"].split("%")[0].replace(MINUS, "-") == f"{node.attribution:+.2f} ({share:.1f} "
    assert facts["influence"].startswith(f"{100 * node.influence:.0f} %")
    assert texts(page, ".tokens li")[0] == f"{evidence.promotes[0].token.replace(' ', '·')} +0.90"
    assert texts(page, ".contexts mark")[0] == evidence.contexts[0].tokens[evidence.contexts[0].at].strip()
    assert texts(page, ".contexts p")[0] == "".join(evidence.contexts[0].tokens)
    assert "capitals/two_hop" in shown
    assert page.run("document.querySelector('#live').textContent").startswith(evidence.label)


def test_inputs_and_outputs_are_links_that_select(page: Browser, document: TraceDocument) -> None:
    number, edges = units(document)[0], document.edges
    page.click(f"#node-{number}")
    inputs = sorted((e for e, t in enumerate(edges.target) if t == number), key=lambda e: -abs(edges.attribution[e]))
    outputs = sorted((e for e, s in enumerate(edges.source) if s == number), key=lambda e: -abs(edges.attribution[e]))
    listed = page.run("[...document.querySelectorAll('#panel .link')].map(e => Number(e.dataset.node))")
    expected = [edges.source[e] for e in inputs[:12]] + [edges.target[e] for e in outputs[:12]]
    assert listed == expected
    page.click("#panel .link")
    page.settle()
    assert count(page, f"#node-{listed[0]}.selected") == 1
    assert page.run("document.activeElement.id") == "panel-title"


def test_what_has_no_evidence_says_so(page: Browser, document: TraceDocument) -> None:
    number = units(document, labelled=False)[0]
    node = document.nodes[number]
    page.click(f"#node-{number}")
    assert text(page, "#panel-title") == f"{node.layer}:{node.unit}"
    assert "No evidence was collected for this unit" in text(page, "#panel")
    for kind, says in (
        ("error", "What the basis leaves"),
        ("embedding", "enters the first layer"),
        ("logit", "explains"),
    ):
        page.click(f".graph .{kind}")
        assert says in text(page, "#panel")


def test_what_is_not_near_a_selected_node_fades(page: Browser, document: TraceDocument) -> None:
    number, edges = units(document)[0], document.edges
    page.click(f"#node-{number}")
    page.point(2, 2)
    page.settle()
    near = {number}
    for source, target in zip(edges.source, edges.target, strict=True):
        if number in (source, target):
            near |= {source, target}
    near = {n for n in near if document.nodes[n].kind not in HIDDEN}
    opaque = page.run(
        "[...document.querySelectorAll('.graph .node')].filter(e => getComputedStyle(e).opacity === '1')"
        ".map(e => e.node)"
    )
    assert set(opaque) == near
    assert count(page, "#own path") == sum(
        number in pair and near.issuperset(pair) for pair in zip(edges.source, edges.target, strict=True)
    )
    page.press("Escape")
    assert count(page, "#own path") == 0
    assert text(page, "#panel-title") == "Strongest nodes"


def test_pointing_at_a_node_reads_it(page: Browser, document: TraceDocument) -> None:
    number = units(document)[0]
    page.run(f"document.querySelector('#node-{number}').scrollIntoView({{block: 'center'}})")
    page.point(*place(page, number))
    page.settle()
    node = document.nodes[number]
    assert document.evidence[f"{node.layer}:{node.unit}"].label in text(page, "#tip")
    assert count(page, "#own path") > 0
    page.point(2, 2)
    page.settle()
    assert page.run("document.querySelector('#tip').hidden")


# -- search and keyboard ---------------------------------------------------------------------------------------------


def test_search_finds_labels_units_and_tokens(page: Browser, document: TraceDocument) -> None:
    key(page, "/")
    assert page.run("document.activeElement.id") == "search"
    page.send("Input.insertText", text="texas")
    labels = {n: document.evidence[f"{document.nodes[n].layer}:{document.nodes[n].unit}"] for n in units(document)}
    expected = [n for n, e in labels.items() if "texas" in (e.label + "".join(t.token for t in e.promotes)).lower()]
    assert len(expected) > 3
    assert text(page, "#found") == f"{len(expected)} matches"
    assert sorted(page.run("[...document.querySelectorAll('.match')].map(e => e.node)")) == sorted(expected)
    for turn in (0, 1):
        page.press("Enter")
        page.settle()
        assert page.run("document.querySelector('.selected').node") == expected[turn]
        assert text(page, "#found") == f"{turn + 1} of {len(expected)}"
    page.press("Shift+Enter", "Shift+Enter")
    assert page.run("document.querySelector('.selected').node") == expected[-1]
    page.press("Escape")
    assert count(page, ".match") == 0
    node = document.nodes[units(document)[0]]
    page.run("document.querySelector('#search').focus()")
    page.send("Input.insertText", text=f"{node.layer}:{node.unit}")
    assert text(page, "#found") == "1 match"
    page.run("document.querySelector('#search').select()")
    page.send("Input.insertText", text="(nothing)")
    assert text(page, "#found") == "0 matches"


def test_the_keyboard_walks_opens_pins_and_closes(page: Browser, document: TraceDocument) -> None:
    logit = next(n for n, node in enumerate(document.nodes) if node.kind == "logit")
    page.run(f"document.querySelector('#node-{logit}').focus()")
    page.press("ArrowDown")
    first = at_node(page)
    assert document.nodes[first].layer == max(node.layer for node in document.nodes if node.kind != "logit")
    assert count(page, "#own path") > 0
    assert page.run("document.querySelector('#live').textContent").startswith(
        page.run("document.activeElement.ariaLabel").split(";")[0]
    )
    halo = "getComputedStyle(document.activeElement.querySelector('.halo')).stroke"
    assert page.run(halo) != "none"
    seen = [first]
    for _ in range(40):
        page.press("ArrowDown")
        if at_node(page) == seen[-1]:
            break
        assert place(page, at_node(page))[1] > place(page, seen[-1])[1]
        seen.append(at_node(page))
    assert document.nodes[seen[-1]].kind == "embedding"
    for step, position in (("ArrowLeft", 8), ("ArrowLeft", 7), ("ArrowRight", 8)):
        page.press(step)
        assert document.nodes[at_node(page)].position == position
    opened = at_node(page)
    page.press("Enter")
    assert page.run("document.activeElement.id") == "panel-title"
    assert text(page, "#panel-title") == "·Dallas"
    key(page, "p")
    assert count(page, f"#node-{opened}.pinned") == 1
    page.press("Escape")
    assert at_node(page) == opened
    assert text(page, "#panel-title") == "Strongest nodes"
    key(page, "p")
    assert count(page, ".pinned") == 0
    assert at_node(page) == opened


def test_everything_can_be_reached_by_tab(page: Browser) -> None:
    seen = set()
    for _ in range(60):
        page.press("Tab")
        seen.add(page.run("document.activeElement.id || document.activeElement.className || 'x'"))
    assert {"help-open", "theme", "search", "slider", "labels-on", "remainders", "panel", "link", "card"} <= seen
    assert sum(name.startswith("node-") for name in seen) == 1  # the arrow keys do the rest
    key(page, "?")
    assert page.run("document.querySelector('#help').open")
    page.press("Escape")
    assert not page.run("document.querySelector('#help').open")


def test_controls_have_names_and_nodes_have_texts(page: Browser, document: TraceDocument) -> None:
    page.run("document.querySelector('#table').open = true")
    page.settle()
    assert count(page, "#table tbody tr") == len(document.nodes)
    nameless = page.run(
        "[...document.querySelectorAll('button, summary, input, [role=button], [role=application], [role=region]')]"
        ".filter(e => !(e.ariaLabel || e.getAttribute('aria-labelledby') || e.labels?.length || e.textContent.trim()))"
        ".length"
    )
    assert nameless == 0
    label = page.run("document.querySelector('#graph').ariaLabel")
    shown = sum(node.kind not in HIDDEN for node in document.nodes)
    assert label.startswith(f"Attribution graph: {shown} nodes, {len(visible_edges(document))} edges")
    number = units(document)[0]
    spoken = page.run(f"document.querySelector('#node-{number}').ariaLabel")
    assert "attribution" in spoken
    assert spoken.split("; ")[3].startswith("group ")


# -- pins and groups -------------------------------------------------------------------------------------------------


def test_pins_are_kept_in_the_address_and_filter_the_graph(page: Browser, document: TraceDocument) -> None:
    edges = document.edges
    number = units(document)[0]
    other = next(t for s, t in zip(edges.source, edges.target, strict=True) if s == number)
    for node in (number, other):
        page.click(f"#node-{node}")
        page.click("#pin")
    assert page.run("location.hash") == f"#pins={number},{other}"
    page.click("#only")
    page.settle()
    assert sorted(page.run("[...document.querySelectorAll('.graph .node')].map(e => e.node)")) == sorted(
        (number, other)
    )
    assert count(page, "#edges path") == sum(
        {s, t} == {number, other} for s, t in zip(edges.source, edges.target, strict=True)
    )
    reload(page)
    assert texts(page, "#pins h2") == ["2 pinned"]
    assert count(page, ".graph .pinned") == 2
    label = document.evidence[f"{document.nodes[number].layer}:{document.nodes[number].unit}"].label
    assert label[:20] in "".join(texts(page, ".label.strong"))
    page.click(".chip .off")
    assert page.run("location.hash") == f"#pins={other}"
    assert page.run("document.querySelector('#pins').contains(document.activeElement)")
    page.click("#unpin-all")
    assert page.run("document.querySelector('#pins').hidden")
    assert count(page, ".pinned") == 0


@pytest.mark.parametrize(
    ("address", "pinned"),
    [
        ("#pins=1,2,2,99999", 2),
        ("#pins=-1", 0),
        ("#pins=1;alert(1)", 0),
        ("#pins=<img src=x onerror=ran=1>", 0),
        ("#pins=1e1", 0),
        ("#pins=", 0),
    ],
)
def test_an_address_gives_numbers_of_nodes_and_nothing_else(page: Browser, address: str, pinned: int) -> None:
    page.run(f"location.hash = {address!r}")
    page.settle()
    reload(page)
    assert count(page, ".chip") == pinned
    assert page.run("typeof globalThis.ran") == "undefined"


def test_groups_are_coloured_chosen_and_their_flows_summed(page: Browser, document: TraceDocument) -> None:
    assert document.groups is not None
    groups, edges = document.groups.groups, document.edges
    cards = texts(page, ".card .named > bdi")
    assert cards == [group.name for group in groups]
    page.click(".card")
    page.settle()
    assert page.run("document.querySelector('[name=colour]:checked').value") == "group"
    assert (
        page.run("[...document.querySelectorAll('.graph .node.g0')].map(e => e.node)").sort()
        == [*groups[0].nodes].sort()
    )
    assert set(texts(page, ".graph .g0 .letter")) == {"A"}
    assert text(page, "#panel-title").endswith(groups[0].name)
    assert f"stability\n{100 * groups[0].stability:.0f} %" in text(page, "#panel")
    flows = page.run("[...document.querySelectorAll('#flows tbody tr')].map(r => [...r.cells].map(c => c.innerText))")
    member = {node: number for number, group in enumerate(groups) for node in group.nodes}
    for source, target, stated in flows:
        if source[1:4] == " · " and target[1:4] == " · ":
            ends = "ABCD".index(source[0]), "ABCD".index(target[0])
            total = sum(
                attribution
                for s, t, attribution in zip(edges.source, edges.target, edges.attribution, strict=True)
                if (member.get(s), member.get(t)) == ends
            )
            assert float(stated.replace(MINUS, "-")) == pytest.approx(total, abs=0.006)
    assert sum(source[1:4] == " · " for source, _, _ in flows) > 3
    page.press("Escape")
    assert text(page, "#panel-title") == "Strongest nodes"
    assert page.run("document.activeElement.className") == "card"


def test_pins_become_a_group_of_the_readers_own(page: Browser, document: TraceDocument) -> None:
    for number in units(document)[:3]:
        page.click(f"#node-{number}")
        page.click("#pin")
    page.click("#group-name")
    page.send("Input.insertText", text="my <b>group</b>")
    page.press("Enter")
    page.settle()
    assert texts(page, ".card .named > bdi")[-1] == "my <b>group</b>"
    assert count(page, ".graph .node.g4") == 3
    assert "made on this page" in text(page, "#groups-list")


def test_a_page_without_groups_or_evidence_takes_groups_too(browser: Browser, tmp_path: Path) -> None:
    document = toy_trace(groups=None, evidence={})
    path = tmp_path / "bare.html"
    path.write_text(trace_page(document), "utf-8")
    browser.open(path)
    assert browser.run("document.querySelector('#groups').hidden")
    assert count(browser, "[name=colour]") == 0
    browser.click("#node-20")
    key(browser, "p")
    browser.click("#group-name")
    browser.send("Input.insertText", text="mine")
    browser.press("Enter")
    browser.settle()
    assert not browser.run("document.querySelector('#groups').hidden")
    assert texts(browser, ".card .named > bdi") == ["mine"]
    assert browser.problems == []


def test_many_nodes_of_a_cell_stand_in_lines_by_influence(browser: Browser, tmp_path: Path) -> None:
    document = toy_trace(n_units=45)
    moved = [n.model_copy(update={"layer": 12, "position": 3}) if n.kind == "unit" else n for n in document.nodes]
    path = tmp_path / "crowded.html"
    path.write_text(trace_page(toy_trace(n_units=45, nodes=moved)), "utf-8")
    browser.open(path)
    assert browser.run("(s => s.scrollWidth <= s.clientWidth)(document.querySelector('#scroller'))")
    members = [number for number, node in enumerate(moved) if node.layer == 12 and node.position == 3]
    places = {number: place(browser, number) for number in members}
    order = sorted(members, key=lambda number: (round(places[number][1]), places[number][0]))
    assert len({round(y) for _, y in places.values()}) > 1
    influences = [moved[number].influence for number in order]
    assert influences == sorted(influences, reverse=True)
    for i, a in enumerate(members):
        for b in members[:i]:
            assert abs(places[a][0] - places[b][0]) + abs(places[a][1] - places[b][1]) > 10
    above = [n for n, node in enumerate(moved) if node.kind == "error" and node.layer > 12]
    assert max(place(browser, number)[1] for number in above) < min(y for _, y in places.values())


def test_a_task_has_slots_for_tokens(browser: Browser, document: TraceDocument, tmp_path: Path) -> None:
    asked = document.asked.model_copy(update={"prompt": None, "answer": None, "foil": None, "task": "sva/rc"})
    nodes = [n.model_copy(update={"position": -1}) if n.kind == "logit" else n for n in document.nodes]
    path = tmp_path / "task.html"
    path.write_text(trace_page(toy_trace(asked=asked, nodes=nodes)), "utf-8")
    browser.open(path)
    assert texts(browser, ".said") == ["logit difference"]
    logit = next(n for n, node in enumerate(nodes) if node.kind == "logit")
    last = place(browser, next(n for n, node in enumerate(nodes) if node.kind == "embedding" and node.position == 9))
    assert abs(place(browser, logit)[0] - last[0]) < 40  # over the last column
    number = units(document)[0]
    browser.click(f"#node-{number}")
    assert f"slot {nodes[number].position + 1}" in text(browser, "#panel")
    assert browser.problems == []


# -- looks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dark", [False, True])
def test_it_follows_the_system_and_can_be_read_either_way(
    browser: Browser, document: TraceDocument, path: Path, dark: bool
) -> None:
    browser.open(path, dark=dark)
    browser.click(f"#node-{units(document)[0]}")
    ground, contrast = browser.run(LUMINANCE)
    assert (ground < 0.05) if dark else (ground > 0.9)
    assert contrast >= 4.5  # WCAG 2.1, 1.4.3
    browser.run("document.querySelector('.card').click()")
    assert browser.run(LUMINANCE)[1] >= 4.5


def test_the_theme_button_overrides_the_system(page: Browser) -> None:
    grounds = []
    for name in ("Light", "Dark", "Auto"):
        page.click("#theme")
        assert text(page, "#theme") == name
        grounds.append(page.run(LUMINANCE)[0])
    assert grounds[0] == grounds[2] > 0.9
    assert grounds[1] < 0.05


@pytest.mark.parametrize("width", [360, 390, 768])
def test_on_a_phone_the_graph_scrolls_inside_and_the_panel_is_beneath(
    browser: Browser, document: TraceDocument, path: Path, width: int
) -> None:
    browser.open(path, width=width, height=844)
    assert browser.run(INSIDE)
    scrolls = "(s => s.scrollWidth > s.clientWidth)(document.querySelector('#scroller'))"
    assert browser.run(scrolls) == (width < 700)
    logit = next(n for n, node in enumerate(document.nodes) if node.kind == "logit")
    assert 0 < place(browser, logit)[0] < width  # what is explained is in sight
    browser.click(f"#node-{units(document)[0]}")
    browser.settle()
    panel, graph = (
        browser.run(f"document.querySelector('{name}').getBoundingClientRect().toJSON()")
        for name in ("#panel", "#stage")
    )
    assert panel["top"] >= graph["bottom"]
    assert 0 <= panel["top"] < 844  # scrolled to
    assert browser.run(INSIDE)
    for opener in ("#pin", "#table > summary", ".card"):
        browser.click(opener)
        assert browser.run(INSIDE)
    browser.click("#close")
    assert browser.problems == []
    browser.run("history.replaceState(null, '', '#')")


def test_paper_leaves_the_controls_out(page: Browser) -> None:
    page.send("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    try:
        assert page.run(LUMINANCE)[0] > 0.99
        seen = "getComputedStyle(document.querySelector('{}')).display"
        assert {page.run(seen.format(name)) for name in (".tools", "#theme", "#tip")} == {"none"}
        assert page.run(seen.format("#graph")) == "block"
    finally:
        page.send("Emulation.setEmulatedMedia", media="")


# -- hostile and large -----------------------------------------------------------------------------------------------


def test_hostile_texts_are_shown_and_do_not_run(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "evil.html"
    path.write_text(trace_page(hostile_trace()), "utf-8")
    browser.open(path, width=390)
    for number in browser.run("[...document.querySelectorAll('.graph .node')].map(e => e.node)"):
        browser.run(
            f"document.querySelector('#node-{number}').dispatchEvent(new MouseEvent('click', {{bubbles: true}}))"
        )
        browser.run("document.querySelector('#pin').click()")
        assert browser.run(INSIDE)
    browser.run("document.querySelector('.card').click(); document.querySelector('#table').open = true")
    browser.settle()
    assert browser.run(INSIDE)
    assert browser.run("typeof globalThis.ran") == "undefined"
    assert count(browser, "img, main script") == 0
    assert "</script>" in text(browser, "#panel")
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


def test_large_graphs_have_only_the_shown_edges_in_the_page(browser: Browser, tmp_path: Path) -> None:
    document = toy_trace(n_units=160, n_errors=30, n_edges=5000)
    path = tmp_path / "large.html"
    path.write_text(trace_page(document), "utf-8")
    browser.open(path)
    assert count(browser, "#edges path") == 150
    browser.run("document.querySelector('#slider').focus()")
    browser.press("End")
    browser.settle()
    assert count(browser, "#edges path") == len(visible_edges(document))
    browser.click(f"#node-{units(document)[0]}")
    assert 0 < count(browser, "#own path") <= 80
    assert browser.problems == []
