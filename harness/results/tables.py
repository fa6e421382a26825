"""Results as text: a comparison for the terminal and for Markdown, and one result in full."""

from collections.abc import Collection, Iterable, Sequence

from rich.box import SIMPLE, SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from basisbench import writing
from basisbench.results.schema import Interval, Result
from basisbench.results.settings import settings_of, shared, varying
from basisbench.values import Number

NUMERIC = ("nodes@0.8", "auc_f", "auc_c", "F(full)")
# What a narrow terminal does without, first to last.
EXPENDABLE = ("F(full)", "auc_c", "auc_f")


def results_table(results: Sequence[Result], width: int | None = None) -> Table:
    """Return the comparison of `results` for the terminal, sorted by task, then by nodes@0.8.

    Columns that do not fit in `width` characters are left out, as the caption then says; flags never are.
    """
    header, rows = _comparison(results)
    absent = [] if any(row[-1] for row in rows) else ["flags"]
    for count in range(len(EXPENDABLE) + 1):
        left_out = EXPENDABLE[:count]
        caption = shared_settings(results) + (f"; too narrow for {', '.join(left_out)}" if left_out else "")
        table = _table(header, rows, {*absent, *left_out}, caption)
        if width is None or _natural_width(table) <= width:
            return table
    for column in table.columns:
        column.no_wrap = column.header in NUMERIC
    return table


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], left_out: Collection[str], caption: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), caption=Text(caption), caption_justify="left")
    for name in header:
        if name not in left_out:
            table.add_column(name, justify="right" if name in NUMERIC else "left", no_wrap=True, overflow="fold")
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        shown = [cell for name, cell in zip(header, row, strict=True) if name not in left_out]
        table.add_row(*_texts(shown), end_section=following is not None and following[0] != row[0])
    return table


def _natural_width(table: Table) -> int:
    boundless = Console(width=10_000)
    return Measurement.get(boundless, boundless.options, table).maximum


def markdown_table(results: Sequence[Result]) -> str:
    """Return the comparison of `results` as a Markdown table, with the cells of `results_table`."""
    table = writing.markdown_table(*_comparison(results), NUMERIC)
    return f"{table}\n{writing.markdown_text(shared_settings(results))}\n"


def result_detail(result: Result) -> RenderableType:
    """Return one result in full: what was asked, what came out, the pairs, the curve, where and how long."""
    pairs = {
        split: f"{counts.usable} used" + "".join(f", {count} {reason}" for reason, count in counts.unusable.items())
        for split, counts in (("discovery", result.data.discovery), ("evaluation", result.data.evaluation))
    }
    environment = result.environment.model_dump()
    packages = environment.pop("packages")
    memory = result.timing.peak_memory_bytes
    timing = {phase: f"{seconds:.1f} s" for phase, seconds in result.timing.seconds.items()}
    return Group(
        _pairs("Cell", result.cell.model_dump().items()),
        _pairs("Summary", _summary(result)),
        _pairs("Pairs", pairs.items()),
        _curve(result),
        _pairs("Environment", (environment | packages).items()),
        _pairs("Time", [*timing.items(), ("peak memory", f"{memory / 2**20:,.0f} MiB" if memory else "unknown")]),
    )


def shared_settings(results: Sequence[Result]) -> str:
    """Return, in a line, the settings beside task, basis and method that all `results` share."""
    return shared([settings_in_words(result) for result in results])


def varying_settings(results: Sequence[Result]) -> list[str]:
    """Return the settings beside task, basis and method in which `results` differ."""
    return varying([settings_in_words(result) for result in results])


def settings_in_words(result: Result) -> dict[str, str]:
    """Return what tells a result apart beside its task, basis and method."""
    return settings_of(result.cell, result.environment.model_hash) | {"seed": str(result.cell.seed)}


def flags(result: Result) -> list[str]:
    """Return what a reader must know before trusting a result's numbers."""
    full, empty = result.f_full, result.f_empty
    found = {
        "degenerate": result.degenerate,
        "F(full) < F(empty)": full is not None and empty is not None and full < empty,
        "one pair, no interval": result.data.evaluation.usable == 1,
    }
    return [flag for flag, holds in found.items() if holds]


def _comparison(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows, one a result, of every table that compares results."""
    differ = varying_settings(results)

    def order(result: Result) -> tuple[str, float, str, str]:
        nodes = result.summary.nodes_at_08.value
        cell = result.cell
        return cell.task, float("inf") if nodes is None else nodes, cell.basis, cell.method

    rows = [
        [
            result.cell.task,
            result.cell.basis,
            result.cell.method,
            *(settings_in_words(result)[name] for name in differ),
            interval_text(result.summary.nodes_at_08, result.total_nodes),
            interval_text(result.summary.auc_f),
            interval_text(result.summary.auc_c),
            _number(result.f_full),
            ", ".join(flags(result)),
        ]
        for result in sorted(results, key=order)
    ]
    return ["task", "basis", "method", *differ, *NUMERIC, "flags"], rows


def _summary(result: Result) -> Iterable[tuple[str, str]]:
    for name, field in type(result.summary).model_fields.items():
        total = result.total_nodes if name.startswith("nodes") else None
        yield field.alias or name, interval_text(getattr(result.summary, name), total)
    yield "F(full)", _number(result.f_full)
    yield "F(empty)", _number(result.f_empty)
    yield "total nodes", f"{result.total_nodes:,}"
    yield "flags", ", ".join(flags(result)) or "none"


def _curve(result: Result) -> Table:
    curve = result.curve
    title = (
        "Curve (acc: answer above foil, first: above all candidates, dp: p(answer) - p(foil), "
        "KL: to the full model; of the circuit, and of all but the circuit)"
    )
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    beside = [name + part for name in ("acc", "first", "dp", "KL") for part in ("", " but")]
    names = ("nodes", "units", "errors", "faithfulness", "completeness", *beside)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for i, size in enumerate(curve.size):
        f, f_low, f_high = curve.faithfulness[i], curve.faithfulness_low[i], curve.faithfulness_high[i]
        c, c_low, c_high = curve.completeness[i], curve.completeness_low[i], curve.completeness_high[i]
        table.add_row(
            f"{size:,}",
            f"{curve.distinct_units[i]:,}",
            f"{curve.error_nodes[i]:,}",
            interval_text(Interval(value=f, low=f_low, high=f_high)),
            interval_text(Interval(value=c, low=c_low, high=c_high)),
            _number(curve.accuracy[i]),
            _number(curve.accuracy_complement[i]),
            _number(curve.candidate_accuracy[i]),
            _number(curve.candidate_accuracy_complement[i]),
            _number(curve.probability_difference[i]),
            _number(curve.probability_difference_complement[i]),
            _number(curve.kl[i]),
            _number(curve.kl_complement[i]),
        )
    return table


def _pairs(title: str, items: Iterable[tuple[str, object]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=SIMPLE)
    for name, value in items:
        table.add_row(*_texts((name, str(value))))
    return table


def _texts(cells: Iterable[str]) -> Iterable[Text]:
    """Return cells as rich text: names that come from a file are not markup."""
    return map(Text, cells)


def interval_text(interval: Interval, total_nodes: int | None = None) -> str:
    """Return ``value [low, high]``; a number of nodes where `total_nodes` is given."""
    value, low, high = (_number(part, total_nodes) for part in (interval.value, interval.low, interval.high))
    return f"{value} [{low}, {high}]"


def _number(number: Number, total_nodes: int | None = None) -> str:
    if number is None:
        return "-"
    if total_nodes is None:
        return f"{number:z.2f}"  # z: no -0.00
    return "all" if number == total_nodes else writing.compact(number)
