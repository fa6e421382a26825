"""Who is a control: the basis and the method say it, their results carry it, and older results are told by name."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from basisbench import UserError, make_config
from basisbench.attribution import METHODS, Method, Request, Scores, ask_scores, load_method
from basisbench.bases.basis import BASES
from basisbench.bases.load import load_basis
from basisbench.grid import run as runner
from basisbench.leaderboard import build_leaderboard
from basisbench.models.adapter import Model
from basisbench.results.controls import Control
from basisbench.results.files import RankingArrays, read_result
from basisbench.results.schema import Result
from basisbench.submissions.compare import compare
from basisbench.submissions.recompute import check_record
from toys.board import write_cell

FILE = """
from basisbench import LinearBasis, Site

def rotated_pca(model):
    return LinearBasis("rotated_pca", [Site(0, "mlp_out"), Site(2, "mlp_out")], model.d_model)

def promising(model):
    basis = rotated_pca(model)
    basis.is_control = True
    return basis

rotated_neurons = rotated_pca
"""


class Backwards(Method):
    """A user's own method, that says of itself whether it is a control."""

    description = "A user's own."

    def __init__(self, is_control: bool) -> None:
        self.is_control = is_control

    def score(self, request: Request) -> dict[str, Scores]:
        found = ask_scores(load_method("atp"), request)
        return {name: Scores(name, {i: -s for i, s in part.by_layer.items()}) for name, part in found.items()}


@pytest.fixture
def results(
    tiny_folder: Path, task_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[tuple[str, str], Result]:
    """Cells of a user's bases and methods, and of some that ship, by basis and method."""
    (tmp_path / "own.py").write_text(FILE)
    for name, control in (("randomised", False), ("signal", True)):
        monkeypatch.setitem(METHODS.entries, name, partial(Backwards, control))
    own = [f"{tmp_path / 'own.py'}:{name}" for name in ("rotated_pca", "promising", "rotated_neurons")]
    config = make_config(
        {
            "model": str(tiny_folder), "tasks": str(task_folder), "bases": [*own, "mlp_out", "rotated_mlp_out"],
            "methods": ["atp", "randomised", "signal", "random"], "n_discovery": 4, "n_evaluation": 4,
            "sizes": "1,10,40", "device": "cpu", "out": tmp_path / "out",
        }
    )  # fmt: skip
    report = runner.run(config)
    assert not report.failures
    return {(result.cell.basis, result.cell.method): result for result in report.results}


def test_results_carry_what_basis_and_method_say(results: dict[tuple[str, str], Result], tmp_path: Path) -> None:
    bases = {
        "rotated_pca": False,
        "promising": True,
        "rotated_neurons": False,
        "mlp_out": False,
        "rotated_mlp_out": True,
    }
    methods = {"atp": False, "randomised": False, "signal": True, "random": True}
    assert len(results) == len(bases) * len(methods)
    for (basis, method), result in results.items():
        expected = [part for part, said in (("basis", bases[basis]), ("method", methods[method])) if said]
        assert result.controls == expected
        assert read_result(tmp_path / "out" / f"{result.name}.json").controls == expected
        assert not any("control" in problem.words for problem in check_record(result).problems)
    board = build_leaderboard([tmp_path / "out"], n_resamples=50)
    assert len(board.rows) == len(results)
    for row in board.rows:
        assert row.control == (bases[row.basis] or methods[row.method])


def test_every_control_that_ships_says_so(tiny: Callable[[str], Model]) -> None:
    for name in BASES:
        if name not in ("sae", "transcoder", "clt"):
            assert load_basis(name, tiny("llama")).is_control == (name in ("rotated_neurons", "rotated_mlp_out"))
    for name in METHODS:
        if name != "scores":  # of a file, and no control
            assert load_method(name).is_control == (name in ("random", "delta", "activation"))


def without_controls(path: Path) -> Result:
    """A result as it was written before results carried their controls."""
    document = json.loads(path.read_text())
    del document["controls"]
    path.write_text(json.dumps(document))
    return read_result(path)


@pytest.mark.parametrize(
    ("basis", "method", "options", "expected"),
    [
        ("neurons", "relp", {}, []),
        ("rotated_neurons", "relp", {}, ["basis"]),
        ("rotated_mlp_out", "delta", {}, ["basis", "method"]),
        ("sae", "random", {}, ["method"]),
        ("sae", "activation", {}, ["method"]),
        # by exact names alone: one of a user's with a name like those is none, nor is one with such a name in a file
        ("rotated_pca", "relp", {}, []),
        ("rotated_neurons", "relp", {"basis_sha256": "0" * 64}, []),
        ("sae", "random", {"method_sha256": "0" * 64}, []),
        ("sae", "random_walk", {}, []),
        ("sae", "scores:random", {}, []),
    ],
)
def test_older_results_are_told_by_the_names_that_shipped(
    basis: str, method: str, options: dict[str, str], expected: list[Control], tmp_path: Path
) -> None:
    path = write_cell(tmp_path, basis, method=method, options=options, controls=[])
    assert without_controls(path).controls == expected


@pytest.mark.parametrize(
    ("basis", "method", "part"), [("rotated_neurons", "relp", "basis"), ("sae", "random", "method")]
)
def test_a_shipped_control_that_poses_as_none_is_found(basis: str, method: str, part: str, tmp_path: Path) -> None:
    honest = read_result(write_cell(tmp_path, basis, method=method))
    posing = honest.model_copy(update={"controls": []})
    said = f"its {part} is a control that ships, and controls does not say so"
    assert said in [problem.words for problem in check_record(posing).problems]
    assert said not in [problem.words for problem in check_record(honest).problems]


def test_making_a_result_again_tells_a_control_that_was_hidden(results: dict[tuple[str, str], Result]) -> None:
    again = results["promising", "atp"]
    posing = again.model_copy(update={"controls": []})
    none = np.empty(0, np.int32)
    nodes = RankingArrays(none, none, none, np.empty(0, np.float32))
    assert "controls: none recorded, here basis" in compare(posing, again, nodes, nodes).different
    assert not compare(again, again, nodes, nodes).different


def test_what_is_no_control_is_refused(tmp_path: Path) -> None:
    path = write_cell(tmp_path, "sae")
    for wrong in (["task"], ["basis"] * 3, "basis", [1]):
        document = json.loads(path.read_text())
        document["controls"] = wrong
        path.write_text(json.dumps(document))
        with pytest.raises(UserError, match="field controls"):
            read_result(path)
