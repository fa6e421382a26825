"""A steering experiment as tables: for the terminal, as Markdown and as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from basisbench.cache import write_atomically
from basisbench.figures.files import write_table
from basisbench.figures.panels import Value
from basisbench.measures.forms import compact
from basisbench.results.schema import Interval
from basisbench.steering.board import KL_BUDGET
from basisbench.steering.document import BandRecord, BasisRecord, BoardRecord, ControlRecord, SteerDocument
from basisbench.steering.figures import draw_board, draw_doses
from basisbench.values import Number

Rows = list[list[str]]
BOARD_HEADER = ("basis", "nodes@half", "nodes@swap", "best effect", "best swap", "in budget", "a node")
DOSE_CAPTION = (
    "answer and other names: probabilities; logits: logit difference of answer and foil; effect: share of the way to "
    "the corrupt prompts', and that of the active and random controls; KL: on unrelated text, nats a token."
)
BOARD_CAPTION = (
    "Minus equally active controls, 95 % intervals. nodes@half: fewest that, multiplied by -1, go half of the way to "
    "the corrupt prompts' logit difference; nodes@swap: fewest with which half of the swaps succeed; @: at so many "
    f"nodes; in budget: the best effect at no more than {KL_BUDGET} nats a token of unrelated text; a node: that, over "
    "its nodes."
)


def write_document(document: SteerDocument, out: Path) -> list[Path]:
    """Write steer.json, steer.md, the CSV tables and the figures to `out`; returns the figures and tables."""
    written = [*draw_doses(document, out / "doses"), out / "doses.csv"]
    write_table(out / "doses.csv", *_dose_csv(document))
    if document.board:
        written += [*draw_board(document, out / "board"), out / "board.csv"]
        write_table(out / "board.csv", *_board_csv(document))
    write_atomically(out / "steer.md", markdown(document).encode())
    write_atomically(out / "steer.json", document.model_dump_json(indent=1).encode() + b"\n")
    return written


def terminal(document: SteerDocument) -> RenderableType:
    """The experiment for the terminal: a table of doses a basis, its swap in a line, and the board."""
    parts: list[RenderableType] = []
    for basis in document.bases:
        header, rows = dose_grid(basis, brief=True)
        parts.append(_table(f"{basis.basis}: {_heading(basis)}", header, rows, DOSE_CAPTION))
        parts += [Text(line) for line in _lines(basis)]
    if document.board:
        parts.append(_table("Steerability", BOARD_HEADER, board_rows(document.board), BOARD_CAPTION))
    return Group(*parts)


def markdown(document: SteerDocument) -> str:
    """The same in Markdown."""
    asked = document.asked
    lines = [f"# Steering {_escaped(str(asked['task']))} in {_escaped(str(asked['model']))}", ""]
    for basis in document.bases:
        header, rows = dose_grid(basis)
        lines += [
            f"## {_escaped(basis.basis)}",
            "",
            _escaped(_heading(basis)) + ".",
            "",
            *_markdown_table(header, rows),
        ]
        lines += ["", DOSE_CAPTION, "", *(f"- {_escaped(line)}" for line in _lines(basis)), ""]
    if document.board:
        lines += [
            "## Steerability",
            "",
            *_markdown_table(BOARD_HEADER, board_rows(document.board)),
            "",
            BOARD_CAPTION,
            "",
        ]
    return "\n".join(lines)


def dose_grid(basis: BasisRecord, brief: bool = False) -> tuple[list[str], Rows]:
    """Header and rows of a basis' doses: the outcomes, the effect and its controls, KL on unrelated text.

    If `brief`, the effect alone has its interval: for a terminal.
    """
    dose = basis.dose
    shown = [*(name for name in dose.bands if name.startswith("p(")), "logit_difference", "effect"]
    labels = {"logit_difference": "logits"} | ({name: name[2:-1] for name in shown[:-2]} if brief else {})
    header = ["x" if dose.operation == "multiply" else "set", *(labels.get(name, name) for name in shown)]
    header += [*(control.kind for control in dose.controls), "KL"]
    rows = []
    for i, value in enumerate(dose.doses):
        bands = [*(dose.bands[name] for name in shown), dose.kl_text]
        cells = [_number(b.value[i]) if brief and b is not dose.bands["effect"] else _at(b, i) for b in bands]
        controls = [_range(control, i, brief) for control in dose.controls]
        rows.append([f"{value:g}", *cells[:-1], *controls, cells[-1]])
    return header, rows


def board_rows(board: Sequence[BoardRecord]) -> Rows:
    """The rows of the board, in its order."""
    rows = []
    for row in board:
        effect, swap = (_best(band) for band in (row.corrected, row.swap_corrected))
        within = f"{_number(row.budget_effect)} @ {row.budget_nodes}" if row.budget_nodes else "-"
        rows.append(
            [
                row.basis,
                *(_nodes(count, row.size[-1]) for count in (row.nodes_half, row.nodes_swap)),
                f"{_at(row.corrected, effect)} @ {row.size[effect]}",
                f"{_at(row.swap_corrected, swap)} @ {row.size[swap]}",
                within,
                _number(row.effect_per_node, 4),
            ]
        )
    return rows


def _heading(basis: BasisRecord) -> str:
    few = ", ".join(basis.nodes[:3]) + (", ..." if len(basis.nodes) > 3 else "")
    return f"{basis.chosen} ({few})"


def _lines(basis: BasisRecord) -> Iterator[str]:
    for control in basis.dose.controls:
        draws = len(control.effect[0])
        yield f"{control.kind} controls: {draws} draws, activity {_number(control.activity)} of the nodes'"
    if basis.swap is None:
        return
    swap = basis.swap
    bands = {name: _interval(found) for name, found in swap.bands.items()}
    yield (
        f"swaps ({swap.n_pairs} ordered pairs, {swap.reached:.0%} of the nodes' slots in both prompts): donor's answer "
        f"first of the candidates {bands['success']} (without steering {swap.unsteered:.2f}), first of all tokens "
        f"{bands['top']}, recipient's answer kept {bands['kept']}"
    )
    if swap.controls and swap.corrected:
        yield (
            f"swaps of active controls: {np.mean(swap.controls):.2f}, {min(swap.controls):.2f} to "
            f"{max(swap.controls):.2f}; corrected {_interval(swap.corrected)}"
        )
    yield (
        f"log-probability of the donor's answer {bands['donor_change']}, of the recipient's "
        f"{bands['recipient_change']}; KL on text {_interval(swap.kl_text)}"
    )


def _dose_csv(document: SteerDocument) -> tuple[list[str], list[list[Value]]]:
    rows: list[list[Value]] = []
    for basis in document.bases:
        dose = basis.dose
        for name, band in {**dose.bands, "kl_text": dose.kl_text}.items():
            for i, value in enumerate(dose.doses):
                rows.append([basis.basis, name, value, band.value[i], band.low[i], band.high[i]])
        for control in dose.controls:
            for i, value in enumerate(dose.doses):
                draws = [found for found in control.effect[i] if found is not None]
                some: list[Value] = [float(np.mean(draws)), min(draws), max(draws)] if draws else [None, None, None]
                rows.append([basis.basis, f"effect of {control.kind} controls", value, *some])
    return ["basis", "quantity", document.bases[0].dose.operation, "value", "low", "high"], rows


def _board_csv(document: SteerDocument) -> tuple[list[str], list[list[Value]]]:
    rows: list[list[Value]] = []
    for row in document.board:
        for name in ("effect", "corrected", "swapped", "swap_corrected", "kl", "swap_kl"):
            band: BandRecord = getattr(row, name)
            for i, k in enumerate(row.size):
                rows.append([row.basis, name, k, band.value[i], band.low[i], band.high[i]])
    return ["basis", "quantity", "nodes", "value", "low", "high"], rows


def _table(title: str, header: Sequence[str], rows: Rows, caption: str = "") -> Table:
    table = Table(
        title=Text(title),
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=0,
        caption=Text(caption) if caption else None,
        caption_justify="left",
    )
    for i, name in enumerate(header):
        table.add_column(Text(name), justify="left" if i == 0 else "right", overflow="fold", no_wrap=name == "effect")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _markdown_table(header: Sequence[str], rows: Rows) -> list[str]:
    alignment = ["---", *["---:"] * (len(header) - 1)]
    return [
        f"| {' | '.join(map(_escaped, line))} |" if line is not alignment else f"| {' | '.join(line)} |"
        for line in (header, alignment, *rows)
    ]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|")


def _best(band: BandRecord) -> int:
    return int(np.nanargmax([-np.inf if value is None else value for value in band.value]))


def _at(band: BandRecord, i: int) -> str:
    return _interval(Interval(value=band.value[i], low=band.low[i], high=band.high[i]))


def _range(control: ControlRecord, i: int, brief: bool) -> str:
    draws = [value for value in control.effect[i] if value is not None]
    if brief:
        return _number(float(np.mean(draws))) if draws else "-"
    return f"{np.mean(draws):z.2f} ({min(draws):z.2f} to {max(draws):z.2f})" if draws else "-"


def _interval(found: Interval) -> str:
    return f"{_number(found.value)} [{_number(found.low)}, {_number(found.high)}]"


def _number(value: Number, digits: int = 2) -> str:
    return "-" if value is None else f"{value:z.{digits}f}"


def _nodes(count: Interval, largest: int) -> str:
    def one(value: Number) -> str:
        return "-" if value is None else f">{compact(largest)}" if value > largest else compact(value)

    return f"{one(count.value)} [{one(count.low)}, {one(count.high)}]"
