"""The graph page's file: what it holds, what it asks of the network (nothing), what hostile texts can do (nothing)."""

import base64
import hashlib
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from basisbench.pages.graph import trace_page
from basisbench.pages.graph.page import page_data
from basisbench.pages.graph.texts import visible_text, visible_token
from basisbench.tracing.document import TraceDocument
from toys.page import Page
from toys.results import HOSTILE
from toys.trace import hostile_trace, toy_trace

VOID = {"meta", "input"}


@pytest.fixture(scope="module")
def document() -> TraceDocument:
    return toy_trace()


@pytest.fixture(scope="module")
def html(document: TraceDocument) -> str:
    return trace_page(document)


def sentences(html: str) -> str:
    """The text of the page without its scripts, on one line."""
    return re.sub(r"\s+", " ", Page(html).text)


def test_the_data_say_what_the_document_says(document: TraceDocument, html: str) -> None:
    data = Page(html).data
    assert data == page_data(document)
    assert Counter(data["nodes"]["kind"]) == Counter(node.kind for node in document.nodes)
    for name in ("layer", "position", "unit"):
        assert data["nodes"][name] == [getattr(node, name) for node in document.nodes]
    for name in ("activation", "attribution", "influence", "direct"):
        assert data["nodes"][name] == pytest.approx([getattr(node, name) for node in document.nodes], rel=1e-4)
    assert (data["edges"]["source"], data["edges"]["target"]) == (document.edges.source, document.edges.target)
    for name in ("weight", "attribution", "share"):
        assert data["edges"][name] == pytest.approx(getattr(document.edges, name), rel=1e-4)
    assert data["evidence"].keys() == document.evidence.keys()
    key, evidence = next(iter(document.evidence.items()))
    assert data["evidence"][key]["label"] == evidence.label
    assert data["evidence"][key]["promotes"][0][0] == evidence.promotes[0].token.replace(" ", "·")
    assert document.groups is not None
    assert [group["nodes"] for group in data["groups"]["groups"]] == [group.nodes for group in document.groups.groups]
    assert data["tokens"] == ["Fact", ":", "·the", "·capital", "·of", "·the", "·state", "·containing", "·Dallas", "·is"]


def test_the_sentences_ask_the_question_and_say_how_far_the_graph_goes(html: str) -> None:
    text = sentences(html)
    assert (
        "How does smollm2-135m weigh “·Austin” (12 %) against “·Dallas” (2.1 %) after "
        "“Fact: the capital of the state containing Dallas is”?"
    ) in text
    assert "logit difference = 3.21. Units and embeddings bring 81 % of what enters the traced nodes" in text
    assert "60 of 400 traced units and 600 edges; pruning left 87 % of the influence" in text
    assert "Basis transcoder, method relp" in text
    assert "the 60 units of the largest attribution" in text


def test_a_task_without_foil_groups_or_evidence_has_a_page_too(document: TraceDocument) -> None:
    asked = document.asked.model_copy(
        update=dict.fromkeys(("prompt", "answer", "foil", "answer_probability", "foil_probability"))
        | {"task": "sva/rc", "n_pairs": 40, "metric": -0.004}
    )
    slots = ["after relative", *document.tokens[1:]]
    page = trace_page(toy_trace(asked=asked, groups=None, evidence={}, explained=0.5, kept=0.0004, tokens=slots))
    text = sentences(page)
    assert "How does smollm2-135m do sva/rc?" in text
    assert "logit difference = 0.00 over 40 pairs. Units and embeddings bring 50 % of what enters" in text
    assert "pruning left 0.040 % of the influence" in text
    assert Page(page).data["groups"] is None
    assert Page(page).data["tokens"][0] == "after relative"
    without_foil = document.asked.model_copy(update={"foil": None, "foil_probability": None})
    assert "come to “·Austin” (12 %) after “Fact" in sentences(trace_page(toy_trace(asked=without_foil)))


def test_every_element_that_opens_closes(html: str) -> None:
    body = re.sub(r"(?s)<(script|style)\b[^>]*>.*?</\1>", "", html)
    opened: list[str] = []
    for end, tag in re.findall(r"<(/?)([a-z][a-z0-9]*)\b[^>]*>", body):
        if end:
            assert opened.pop() == tag
        elif tag not in VOID:
            opened.append(tag)
    assert opened == []
    ids = [value for _, name, value in Page(html).attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_the_policy_admits_this_style_and_this_script_only(html: str) -> None:
    page = Page(html)
    assert page.elements["script"] == 2
    assert page.elements["style"] == 1

    def source(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert page.policy.split("; ") == [
        "default-src 'none'",
        f"script-src {source(page.inside['script'])}",
        f"style-src {source(page.inside['style'])}",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_nothing_points_out_of_the_file(html: str) -> None:
    page = Page(html)
    for tag, name, value in page.attributes:
        assert name not in ("src", "srcset", "action", "formaction", "style", "background", "poster"), (tag, name)
        assert not name.startswith("on"), (tag, name)
        assert name != "href" or value.startswith("#"), (tag, value)
    assert not page.elements.keys() & {"link", "iframe", "object", "embed", "img", "base", "form"}
    # the name of SVG is an address that nobody asks
    assert set(re.findall(r"[a-z]+://[^\s\"'`]*", html)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(
        r"url\((?!#)|@import|\bfetch\(|XMLHttpRequest|WebSocket|innerHTML|insertAdjacent|\beval\(",
        page.inside["style"] + page.inside["script"],
    )


def test_hostile_texts_stay_text(html: str) -> None:
    plain, evil = Page(html), Page(trace_page(hostile_trace()))
    assert evil.elements.keys() == plain.elements.keys()
    assert {tag: evil.elements[tag] for tag in evil.elements if tag != "bdi"} == {
        tag: plain.elements[tag] for tag in plain.elements if tag != "bdi"
    }
    assert evil.inside["script"] == plain.inside["script"]
    assert evil.policy == plain.policy
    assert HOSTILE in evil.text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ufeff]", str(evil.data))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ufeff]", evil.text)
    assert trace_page(toy_trace(title="{{data}}")).count('"metric_name"') == html.count('"metric_name"')


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        (" the", "·the"),
        ("\n\n", "⏎⏎"),
        ("\t", "⇥"),
        ("", "∅"),
        (" ", "·"),
        ("\u202ea", "⟨U+202E⟩a"),
        ("\x00", "⟨U+0000⟩"),
        ("\u00a0", "⟨U+00A0⟩"),
        ("<b>é漢", "<b>é漢"),
    ],
)
def test_every_character_of_a_token_can_be_seen(token: str, shown: str) -> None:
    assert visible_token(token) == shown


def test_running_text_keeps_its_spaces() -> None:
    assert visible_text("the end.\nThe \u200bnext") == "the end.⏎The ⟨U+200B⟩next"


def test_the_largest_graphs_stay_a_file_that_opens() -> None:
    assert len(trace_page(toy_trace(n_units=160, n_errors=30, n_edges=5000))) < 600_000


def test_the_files_of_the_page_go_into_the_package() -> None:
    root = Path(__file__).parents[2]
    settings = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["basisbench.pages.graph"]
    packed = {path for pattern in patterns for path in (root / "harness/pages/graph").glob(pattern)}
    files = {path for path in (root / "harness/pages/graph").iterdir() if path.suffix in (".html", ".css", ".js")}
    assert files
    assert files <= packed
