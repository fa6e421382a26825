"""The graph page: one HTML file that holds a trace, its style and its scripts, and asks the network for nothing.

1. The trace becomes the page's data: columns of rounded numbers, and texts in which every character can be seen.
2. What the graph explains, how it was made and how far it goes becomes sentences, in the page without any script.
3. The template is filled under a content security policy (`basisbench.pages.html`).
"""

from __future__ import annotations

from html import escape
from importlib.metadata import version

from pydantic import JsonValue

from basisbench.pages.graph.texts import visible_text, visible_token
from basisbench.pages.html import self_contained
from basisbench.reading.evidence import Context, Evidence, TokenScore
from basisbench.tracing.document import Asked, Groups, TraceDocument

# In this order: each uses what stands before it, and page.js starts the page.
SCRIPTS = ("data.js", "state.js", "layout.js", "draw.js", "panel.js", "groups.js", "controls.js", "page.js")
NODE_NUMBERS = ("activation", "attribution", "influence", "direct")
NODE_PLACES = ("kind", "layer", "position", "unit")
EDGE_NUMBERS = ("weight", "attribution", "share")
MINUS = "\u2212"


def trace_page(document: TraceDocument) -> str:
    """Return the trace as one self-contained HTML document."""
    values = {
        "version": escape(version("basisbench")),
        "title": _shown(document.title),
        "plain_title": escape(visible_text(document.title)),
        "question": _question(document.asked, document.model),
        "answer": _answer(document),
        "about": _about(document),
        "footer": _footer(document),
    }
    return self_contained("basisbench.pages.graph", SCRIPTS, values, page_data(document))


def page_data(document: TraceDocument) -> dict[str, JsonValue]:
    """Return what the scripts draw: columns of nodes and edges, numbers with five digits, visible texts."""
    nodes, edges, asked = document.nodes, document.edges, document.asked
    return {
        "tokens": [visible_text(token) if asked.prompt is None else visible_token(token) for token in document.tokens],
        "places": "slot" if asked.prompt is None else "token",
        "metric": _rounded(asked.metric),
        "metric_name": visible_text(asked.metric_name),
        "answer": None if asked.answer is None else visible_token(asked.answer),
        "foil": None if asked.foil is None else visible_token(asked.foil),
        "nodes": {
            **{name: [getattr(node, name) for node in nodes] for name in NODE_PLACES},
            **{name: [_rounded(getattr(node, name)) for node in nodes] for name in NODE_NUMBERS},
        },
        "edges": {
            "source": [*edges.source],
            "target": [*edges.target],
            **{name: [_rounded(number) for number in getattr(edges, name)] for name in EDGE_NUMBERS},
        },
        "evidence": {key: _evidence(evidence) for key, evidence in document.evidence.items()},
        "evidence_text": visible_text(document.evidence_text),
        "groups": _groups(document.groups),
    }


def _evidence(evidence: Evidence) -> dict[str, JsonValue]:
    return {
        "label": visible_text(evidence.label),
        "rests_on": visible_text(evidence.rests_on),
        "active_share": _rounded(evidence.active_share),
        "always_on": evidence.always_on,
        "promotes": _token_scores(evidence.promotes),
        "suppresses": _token_scores(evidence.suppresses),
        "contexts": _contexts(evidence.contexts),
        "negative_contexts": _contexts(evidence.negative_contexts),
        "serves": [[visible_text(use.task), _rounded(use.share), visible_text(use.slot)] for use in evidence.serves],
    }


def _token_scores(scores: list[TokenScore]) -> list[JsonValue]:
    return [[visible_token(entry.token), _rounded(entry.score)] for entry in scores]


def _contexts(contexts: list[Context]) -> list[JsonValue]:
    return [
        {
            "tokens": [visible_text(token) for token in context.tokens],
            "at": context.at,
            "activation": _rounded(context.activation),
            "source": visible_text(context.source),
        }
        for context in contexts
    ]


def _groups(groups: Groups | None) -> JsonValue:
    if groups is None:
        return None
    return {
        "criterion": visible_text(groups.criterion),
        "stability": _rounded(groups.stability),
        "groups": [
            {
                "name": visible_text(group.name),
                "nodes": [*group.nodes],
                "stability": _rounded(group.stability),
                "attribution": _rounded(group.attribution),
                "rests_on": visible_text(group.rests_on),
            }
            for group in groups.groups
        ],
    }


def _question(asked: Asked, model: str) -> str:
    """What the graph explains, as a question; HTML."""
    if asked.prompt is None:
        return f"How does {_shown(model)} do {_shown(asked.task or 'the task')}?"
    after = f"after “{_shown(asked.prompt)}”?"
    answer = _candidate(asked.answer, asked.answer_probability)
    if asked.foil is None:
        return f"How does {_shown(model)} come to {answer} {after}"
    return f"How does {_shown(model)} weigh {answer} against {_candidate(asked.foil, asked.foil_probability)} {after}"


def _candidate(token: str | None, probability: float | None) -> str:
    stated = "" if probability is None else f' <span class="whole">({_percent(probability)})</span>'
    name = "its answer" if token is None else f"“<bdi>{escape(visible_token(token))}</bdi>”"
    return f"{name}{stated}"


def _answer(document: TraceDocument) -> str:
    """How much there is to explain and how far the graph goes; HTML."""
    asked, units = document.asked, sum(node.kind == "unit" for node in document.nodes)
    metric = f"{_shown(asked.metric_name)} = <b>{_number(asked.metric)}</b>"
    over = (
        "" if asked.prompt is not None else f" over {asked.n_pairs:,} pairs" if asked.n_pairs != 1 else " of one pair"
    )
    traced = f"{units:,} of {document.traced:,} traced units" if document.traced != units else f"{units:,} units"
    return (
        f"{metric}{over}. Units and embeddings bring <b>{_percent(document.explained)}</b> of what enters the traced "
        f"nodes, errors and other units the rest. The graph shows {traced} and {len(document.edges.source):,} edges; "
        f"pruning left <b>{_percent(document.kept)}</b> of the influence."
    )


def _about(document: TraceDocument) -> str:
    return (
        f"Basis {_shown(document.basis)}, method {_shown(document.method)}, model {_shown(document.model)} "
        f"({document.n_layers} layers). Nodes: {_shown(document.chosen)}. What enters a node adds up to its value "
        f"within {_percent(max(document.gap, 1e-5))}."
    )


def _footer(document: TraceDocument) -> str:
    made = document.environment
    return (
        f"Made with basisbench {escape(version('basisbench'))} on {_shown(made.device)}, {_shown(made.dtype)}; "
        f"model {_shown(made.model_hash)}, data {_shown(made.data_hash)}. All that is shown is in this file."
    )


def _shown(text: str) -> str:
    return f"<bdi>{escape(visible_text(text))}</bdi>"


def _percent(share: float) -> str:
    """A share in percent, with two digits as long as three decimals hold them; HTML."""
    percent = 100 * share
    if 0 < abs(percent) < 1e-3:
        return "&lt; 0.001 %"
    digits = 0 if abs(percent) >= 10 else 1 if abs(percent) >= 1 else 2 if abs(percent) >= 0.1 else 3
    return f"{percent:z.{digits}f} %".replace("-", MINUS)


def _number(value: float) -> str:
    return f"{value:z,.2f}".replace("-", MINUS)


def _rounded(number: float) -> float | int:
    short = float(f"{number:.5g}")
    return int(short) if abs(short) < 1e15 and short == int(short) else short
