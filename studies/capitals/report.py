"""The study as a report (study.md), its figure, and every number of it (study.json)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from basisbench.cache import write_atomically
from basisbench.figures.files import write_figure
from basisbench.figures.style import SCREEN, drawn_in
from basisbench.measures.resampling import Band, Estimate
from basisbench.writing import markdown_table
from studies.capitals.agreement import Agreement
from studies.capitals.steering import Doses, Swapped

COMMAND = "python -m studies.capitals --out results/capitals"
FOLLOWED = {
    "answer": "#0072B2", "foil": "#D55E00", "state": "#009E73", "city": "#CC79A7", "any capital": "#555555",
    "any state": "#56B4E9",
}  # fmt: skip
CONTROLLED = ("answer", "any state")


@dataclass(frozen=True)
class Told:
    """How a place tells the state: of the first `tested` circuit nodes there how many are `selective`, and of controls;
    `eta2` of each, and of permuted states; accuracy `by` number of neurons, of `controls`, of `all` the model's.
    """

    tested: int
    selective: int
    control_selective: float
    eta2: list[float]
    eta2_null: float
    by: dict[int, Estimate]
    controls: dict[int, float]
    all: Estimate


@dataclass(frozen=True)
class Study:
    """Everything that is reported, by question."""

    n_prompts: int
    n_states: int
    discovery: str
    evaluation: str
    slots: dict[str, int]
    told: dict[str, Told]
    half: int
    speakers: list[tuple[int, int, float]]
    doses: dict[str, Doses]
    swaps: dict[str, Swapped]
    n_known: int
    state_swaps: dict[str, Swapped]
    agreement: Agreement
    labels: dict[str, list[tuple[str, str, str]]]
    seconds: float


def write(study: Study, folder: Path) -> list[Path]:
    """Write the report, the figure and the numbers into `folder`, and return the paths."""
    report, numbers = folder / "study.md", folder / "study.json"
    write_atomically(report, "\n".join(_lines(study)).encode() + b"\n")
    write_atomically(numbers, json.dumps(_plain(asdict(study)), indent=1, allow_nan=False).encode() + b"\n")
    with drawn_in(SCREEN):
        figure = _figure(study)
        drawn = write_figure(
            figure,
            folder / "study",
            ("png", "svg"),
            dpi=200,
            title="Capitals: which state, say a capital, and steering them",
            command=COMMAND,
        )
        plt.close(figure)
    return [report, numbers, *drawn]


# -- the text ------------------------------------------------------------------------------------------


def _lines(study: Study) -> Iterator[str]:
    yield "# The capitals study"
    yield ""
    yield (
        f"Made by `{COMMAND}` ({study.seconds / 60:.0f} minutes). smollm2-135m, neurons; `capitals/two_hop`: three "
        'examples, then "City: Dallas. State capital:". Circuits are found by relp on discovery pairs that the model '
        f"gets right ({study.discovery}), steering is measured on others ({study.evaluation}). Intervals are 95 % "
        "bootstraps over pairs, of swaps over answers; controls are equally active other neurons in the same layers "
        "and slots, means over draws."
    )
    yield ""
    yield "![What selects, says and steers](study.png)"
    yield ""
    yield "## Where the circuit stands"
    yield ""
    yield from _table(("slot", "of the first 100 nodes"), [(name, str(count)) for name, count in study.slots.items()])
    yield "## Which state"
    yield ""
    yield f"{study.n_prompts} cities of {study.n_states} states."
    yield ""
    for place, told in study.told.items():
        yield from _told_lines(place, told)
    lead = "Labels of the neurons at the city that differ between states, from evidence alone:"
    yield from _labelled(lead, study.labels["which state"])
    yield "## Say a capital"
    yield ""
    yield (
        f"At the prompt's last token, {study.half} neurons make up half of all that MLPs add directly to capitals over "
        "states. The first:"
    )
    yield ""
    yield from _labelled("", study.labels["say a capital"])
    yield "## Turning them"
    yield ""
    for name, doses in study.doses.items():
        yield f"**{name}**: probabilities in %, of what could be said."
        yield ""
        yield from _dose_table(doses)
    yield "## Swapping them"
    yield ""
    yield "Another prompt's activations of these nodes: how often its answer becomes the first of all capitals."
    yield ""
    yield from _swap_table(study.swaps)
    yield f"The same for `capitals/state_capital`, all ordered pairs of {study.n_known} states that the model knows:"
    yield ""
    yield from _swap_table(study.state_swaps)
    yield from _agreement_lines(study.agreement)


def _told_lines(place: str, told: Told) -> Iterator[str]:
    yield (
        f"**At {place}**: of the circuit's first {told.tested} nodes there, {told.selective} differ between states "
        f"(permutation test, Holm, p < 0.05), of as many equally active neurons {told.control_selective:.1f}. The "
        f"median share of variance between states is {np.median(told.eta2):.2f}; permuted states give "
        f"{told.eta2_null:.2f}. How often the nearest mean of other cities' states is the right one:"
    )
    yield ""
    rows = [(str(k), _estimate(value), f"{told.controls[k]:.2f}") for k, value in told.by.items()]
    yield from _table(("neurons", "of the circuit", "equally active"), [*rows, ("all", _estimate(told.all), "")])


def _swap_table(swaps: Mapping[str, Swapped]) -> Iterator[str]:
    rows = []
    for name, found in swaps.items():
        compared = ("", "") if np.isnan(found.controls) else (f"{found.controls:.2f}", _band(found.difference))
        counts = (f"{found.n_nodes:,}", f"{found.n_pairs:,}")
        rows.append((name, *counts, _band(found.success), *compared, _band(found.kept)))
    yield from _table(
        ("nodes", "count", "pairs", "donor's answer first", "controls", "difference", "own answer still first"), rows
    )


def _dose_table(doses: Doses) -> Iterator[str]:
    names = ("answer", "foil", "state", "city", "any capital", "any state")
    rows = []
    for i, dose in enumerate(doses.doses):
        shown = [_percent(doses.bands[name], i) for name in names]
        controls = [f"{100 * doses.controls[name].value[i]:.1f}" for name in ("answer", "any capital", "any state")]
        right = _band(doses.bands["answer over foil"], i)
        rows.append((f"{dose:g}", *shown, *controls, right, f"{doses.kl.value[i]:.2f}"))
    controls_header = ("controls: answer", "any capital", "any state")
    yield from _table(("dose", *names, *controls_header, "answer over foil", "KL on text, nats"), rows)


def _agreement_lines(found: Agreement) -> Iterator[str]:
    yield "## The neurons of agreement"
    yield ""
    yield from _table(
        ("task", "nodes@0.8", "distinct neurons"),
        [
            (task, f"{interval.value:g} [{interval.low:g}, {interval.high:g}]", str(found.distinct[task]))
            for task, interval in sorted(found.nodes.items())
        ],
    )
    shared = ", ".join(f"{count} in {number} of 4" for number, count in enumerate(found.shared, start=1))
    yield (
        f"The first 100 nodes of the four circuits are {found.neurons} neurons: {shared}; {found.always_on} of them "
        "are always on by the rule of `basisbench.reading.always_on`. Those in most circuits:"
    )
    yield ""
    yield from _labelled("", [(f"{i}:{u}", one.label, one.rests_on) for (i, u), one in found.strongest])


def _labelled(lead: str, rows: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    if lead:
        yield lead
        yield ""
    yield from _table(("neuron", "label", "rests on"), rows)


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    yield markdown_table(header, rows)


def _estimate(value: Estimate) -> str:
    return f"{value.value:.2f} [{value.low:.2f}, {value.high:.2f}]"


def _band(band: Band, index: int | None = None) -> str:
    value, low, high = (part if index is None else part[index] for part in (band.value, band.low, band.high))
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def _percent(band: Band, index: int) -> str:
    return f"{100 * band.value[index]:.1f} [{100 * band.low[index]:.1f}, {100 * band.high[index]:.1f}]"


def _plain(value: Any) -> Any:
    """JSON values of what a study holds; NaN is null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return None if isinstance(value, float) and np.isnan(value) else value


# -- the figure ----------------------------------------------------------------------------------------


def _figure(study: Study) -> Figure:
    figure = plt.figure(figsize=(10.5, 8.2), layout="constrained")
    rows = figure.add_gridspec(3, 1, height_ratios=(1, 1.1, 1.25))
    top, middle, bottom = (figure.add_subfigure(rows[row]) for row in range(3))
    for axis, (place, told) in zip(top.subplots(1, 2), study.told.items(), strict=True):
        _draw_told(axis, place, told)
    left, right = middle.subplots(1, 2)
    _draw_swaps(left, "city to capital", study.swaps)
    _draw_swaps(right, "state to capital", study.state_swaps)
    panels = np.ravel(bottom.subplots(1, len(study.doses)))
    for panel, (name, doses) in zip(panels, study.doses.items(), strict=True):
        _draw_doses(panel, name, doses)
    handles, labels = panels[0].get_legend_handles_labels()
    bottom.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize="small")
    return figure


def _draw_told(axis: Axes, place: str, told: Told) -> None:
    k = list(told.by)
    values = list(told.by.values())
    axis.fill_between(k, [v.low for v in values], [v.high for v in values], alpha=0.2, color="#0072B2", lw=0)
    axis.plot(k, [v.value for v in values], "o-", color="#0072B2", label="circuit")
    axis.plot(k, [told.controls[i] for i in k], "s--", color="#777777", mfc="none", label="equally active")
    axis.axhline(told.all.value, color="black", lw=0.8, ls=":", label="all neurons")
    axis.set(xscale="log", xlabel=f"neurons at {place}", ylabel="state told", ylim=(0, None), title="Which state")
    axis.set_xticks(k, [str(i) for i in k])
    axis.minorticks_off()
    axis.legend(fontsize="small", frameon=False)


def _draw_swaps(axis: Axes, title: str, swaps: Mapping[str, Swapped]) -> None:
    names = list(swaps)
    for row, found in enumerate(swaps.values()):
        value = float(found.success.value)
        error = [[max(0.0, value - float(found.success.low))], [max(0.0, float(found.success.high) - value)]]
        axis.errorbar(value, row, xerr=error, fmt="o", color="#0072B2")
        axis.plot(found.controls, row, "s", color="#777777", mfc="none")
    axis.set_yticks(range(len(names)), names, fontsize="small")
    axis.invert_yaxis()
    axis.set(xlim=(-0.02, 1.02), xlabel="donor's capital comes first", title=f"Swaps, {title} (squares: controls)")


def _draw_doses(axis: Axes, name: str, doses: Doses) -> None:
    for outcome, colour in FOLLOWED.items():
        band = doses.bands[outcome]
        axis.fill_between(doses.doses, band.low, band.high, alpha=0.15, color=colour, lw=0)
        axis.plot(doses.doses, band.value, "o-", ms=3, color=colour, label=outcome)
    for outcome in CONTROLLED:
        control = doses.controls[outcome].value
        axis.plot(doses.doses, control, "s--", ms=3, mfc="none", color=FOLLOWED[outcome], label=f"{outcome}, controls")
    axis.axvline(1, color="black", lw=0.5)
    axis.set(xlabel="multiplier", ylabel="probability", title=name.replace(" (", "\n("))
