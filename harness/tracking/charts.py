"""Interactive charts as Plotly figures in plain values: W&B draws them as they are, log axes and bands included."""

from collections.abc import Sequence

from basisbench.figures import make_look
from basisbench.measures.statistic import Statistic
from basisbench.results.schema import Result
from basisbench.values import Numbers

Chart = dict[str, "ChartValue"]
ChartValue = str | int | float | bool | None | Sequence["ChartValue"] | Chart
COLOURS = {"faithfulness": ("#0072B2", "0,114,178"), "completeness": ("#D55E00", "213,94,0")}
PALE = "#6E6E6E"


def curve_chart(result: Result) -> Chart:
    """Faithfulness and completeness against nodes on a log axis, each with its 95 % band, and their ideals."""
    traces: list[ChartValue] = []
    for name, (colour, rgb) in COLOURS.items():
        value, low, high = (getattr(result.curve, name + end) for end in ("", "_low", "_high"))
        traces.append(_band(result.curve.size, low, high, f"rgba({rgb},0.18)"))
        line = {"x": [*result.curve.size], "y": value, "mode": "lines+markers", "type": "scatter", "name": name}
        traces.append({**line, "line": {"color": colour}, "marker": {"size": 5}})
    ideals: list[ChartValue] = [
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": {"color": PALE, "dash": "dash"}}
        for y in (0, 1)
    ]
    cell = result.cell
    return {
        "data": traces,
        "layout": {
            "title": {"text": _plain(f"{cell.task}, {cell.basis}, {cell.method}")},
            "xaxis": {"type": "log", "title": {"text": "nodes kept"}, "dtick": 1},
            "yaxis": {"title": {"text": "share of the behaviour (bands: 95 %)"}, "range": [-0.25, 1.5]},
            "shapes": ideals,
            "template": "plotly_white",
        },
    }


def comparison_chart(results: Sequence[Result], statistic: Statistic) -> Chart:
    """A statistic of every result with an effect against its task, a colour a basis, with 95 % intervals."""
    lines: dict[tuple[str, str], list[Result]] = {}
    for result in (result for result in results if not result.degenerate):
        lines.setdefault((result.cell.basis, result.cell.method), []).append(result)
    look = make_look({basis for basis, _ in lines}, {method for _, method in lines})
    symbols = dict(zip(sorted({method for _, method in lines}), _SYMBOLS * len(lines), strict=False))
    traces: list[ChartValue] = []
    for (basis, method), members in sorted(lines.items()):
        defined = [(r, i) for r in members if (i := r.statistic(statistic.name)).value is not None]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": _plain(f"{basis} {method}"),
                "x": [_plain(result.cell.task) for result, _ in defined],
                "y": [interval.value for _, interval in defined],
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": [_distance(interval.high, interval.value) for _, interval in defined],
                    "arrayminus": [_distance(interval.value, interval.low) for _, interval in defined],
                },
                "marker": {"color": look.bases[basis][0], "symbol": symbols[method], "size": 9},
            }
        )
    return {
        "data": traces,
        "layout": {
            "title": {"text": f"{statistic.title} ({statistic.direction} is sparser)"},
            "scattermode": "group",  # side by side at each task
            "xaxis": {"type": "category", "categoryorder": "category ascending"},
            "yaxis": {
                "title": {"text": statistic.axis or statistic.name},
                **({"type": "log", "dtick": 1} if statistic.logarithmic else {}),
            },
            "template": "plotly_white",
        },
    }


_SYMBOLS = ("circle", "diamond-open", "square", "x", "triangle-up", "cross")


def _distance(high: float | None, low: float | None) -> float | None:
    return None if high is None or low is None else high - low


def _band(size: Sequence[int], low: Numbers, high: Numbers, colour: str) -> Chart:
    """The area between two lines, as one outline that leaves undefined points out."""
    points = [(x, a, b) for x, a, b in zip(size, low, high, strict=True) if a is not None and b is not None]
    return {
        "x": [x for x, _, _ in points] + [x for x, _, _ in reversed(points)],
        "y": [b for _, _, b in points] + [a for _, a, _ in reversed(points)],
        "type": "scatter",
        "mode": "lines",
        "fill": "toself",
        "fillcolor": colour,
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _plain(text: str) -> str:
    """Text that Plotly, which reads a little HTML, shows as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
