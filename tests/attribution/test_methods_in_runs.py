"""Methods in a run: out of a file, per ablation, as circuits, as someone's scores; what is recorded and what fails."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from basisbench import UserError, cli, make_config
from basisbench.attribution import Circuit, Circuits, Method, Request, Scores, load_method
from basisbench.bases.load import load_basis
from basisbench.circuits.curves import evaluate
from basisbench.circuits.ranking import rank_nodes
from basisbench.grid import run as runner
from basisbench.grid.run import RunReport
from basisbench.models.loading import load_model
from basisbench.prompts.selection import load_prompts
from basisbench.results.files import CircuitArrays, RankingArrays, read_arrays, read_result
from basisbench.submissions.reproduce import Names, reproduce
from basisbench.submissions.scores_file import About, read_scores, write_scores
from basisbench.submissions.validate import validate
from basisbench.tasks.load import load_task
from toys.models import one_line

Run = Callable[..., RunReport]

OWN = """
import torch
from basisbench import Circuit, Circuits, Method, Scores
from basisbench.attribution.fields import Atp

class Mine(Atp):
    description = "As atp."

class Wrong(Method):
    def score(self, request):
        return {basis.name: Scores(basis.name, {}) for basis in request.bases}

class Drawn(Method):
    needs_ablation = True

    def score(self, request):
        return {basis.name: self.drawn(basis, request) for basis in request.bases}

    def drawn(self, basis, request):
        draw = torch.Generator().manual_seed(request.seed)
        total, by_size = request.n_nodes(basis), {}
        for size in request.sizes:
            node = torch.randperm(total, generator=draw)[:size]
            width = basis.n_units(0) + (basis.has_error and request.error == "score")
            unit = node % width
            unit = torch.where(unit == basis.n_units(0), -1, unit)
            layer, slot = node // width % 3, node // width // 3
            by_size[size] = Circuit(layer, slot, unit)
        return Circuits(basis.name, by_size, total)
"""
BASIS = """
import torch
from basisbench import LinearBasis, Site

def half(model):
    sites = [Site(layer, "mlp_out") for layer in range(model.n_layers)]
    n = model.d_model // 2
    return LinearBasis("half", sites, model.d_model, lambda layer: torch.eye(model.d_model)[:n], n)
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


@pytest.fixture
def half(tmp_path: Path) -> str:
    path = tmp_path / "basis.py"
    path.write_text(BASIS)
    return f"{path}:half"


@pytest.fixture
def run(tiny_folder: Path, task_folder: Path, tmp_path: Path) -> Run:
    """A small run into `tmp_path/out`; keywords change the settings, `methods` may be objects by name."""

    def call(handed: Mapping[str, Method] | None = None, report: Any = lambda *_: None, **settings: Any) -> RunReport:
        small = {
            "model": str(tiny_folder), "tasks": str(task_folder), "bases": "mlp_out", "methods": "atp",
            "n_discovery": 6, "n_evaluation": 6, "sizes": "1,10,100", "device": "cpu", "out": tmp_path / "out",
        }  # fmt: skip
        return runner.run(make_config(small | settings), methods=handed or {}, report=report)

    return call


# -- out of a file -------------------------------------------------------------------------------------


def test_a_method_from_a_file_gives_the_numbers_of_the_same_built_in(run: Run, own: Path) -> None:
    theirs, mine = run(methods=f"atp,{own}:Mine").results
    assert (theirs.cell.method, mine.cell.method) == ("atp", "Mine")
    assert mine.curve == theirs.curve
    assert mine.cell.options == {"method_sha256": str(load_method(f"{own}:Mine").identity["method_sha256"])}
    assert theirs.cell.options == {}


def test_a_method_file_that_changed_is_computed(run: Run, own: Path) -> None:
    for source, reused in ((OWN, 0), (OWN, 1), (OWN + "\n", 0), (OWN, 1)):
        own.write_text(source)
        assert run(methods=f"{own}:Mine").reused == reused


def test_a_method_that_answers_wrongly_fails_its_cells_alone(run: Run, own: Path) -> None:
    report = run(methods=f"{own}:Wrong,atp", ablation="mean,zero")
    (failure,) = report.failures
    assert failure.cell == "words Wrong mlp_out"
    assert failure.reason == "method 'Wrong': scored layers [] of basis 'mlp_out': valid are [0, 1, 2]"
    assert [result.cell.method for result in report.results] == ["atp", "atp"]
    assert len(list((report.folder / "failures").glob("*.json"))) == 2
    again = run(methods=f"{own}:Wrong", ablation="mean,zero")
    assert all("failed before" in failure.reason for failure in again.failures)


def test_two_methods_of_a_name_are_refused(run: Run, own: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text(OWN)
    with pytest.raises(UserError, match="two methods are called 'Mine'"):
        run(methods=f"{own}:Mine,{other}:Mine")


def test_an_installed_method_is_found_by_its_entry_point(
    run: Run, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "packaged_method.py").write_text(OWN)
    info = tmp_path / "packaged-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: packaged\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[basisbench.methods]\ninstalled = packaged_method:Mine\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        (result,) = run(methods="installed").results
    finally:
        from basisbench.attribution import METHODS

        METHODS.entries.pop("installed", None)
        sys.modules.pop("packaged_method", None)
    assert (result.cell.method, result.cell.options) == ("installed", {})


def test_a_method_is_handed_over_as_it_is(run: Run) -> None:
    class Told(type(load_method("atp"))):  # type: ignore[misc]  # any method will do
        pass

    method = Told()
    method.name = "told"
    method.identity = {"told_sha256": "1"}
    theirs, mine = run({"told": method}, methods="atp,told").results
    assert (mine.cell.method, mine.cell.options) == ("told", {"told_sha256": "1"})
    assert mine.curve == theirs.curve


# -- a method that needs the ablation -------------------------------------------------------------------


class Noting(Method):
    """Random scores; notes what it is asked."""

    name = "noting"

    def __init__(self, needs_ablation: bool) -> None:
        self.needs_ablation = needs_ablation
        self.asked: list[tuple[object, ...]] = []

    def score(self, request: Request) -> Mapping[str, Scores | Circuits]:
        self.asked.append((request.ablation, request.error, tuple(basis.name for basis in request.bases)))
        assert (request.seed, request.task, request.positions) == (3, "words", "kept")
        assert list(request.sizes) == [1, 10, 100]
        return load_method("random").score(request)


def test_scores_are_shared_over_ablations_unless_the_method_needs_them(run: Run, half: str) -> None:
    settings = {"bases": f"mlp_out,{half}", "ablation": "mean,zero", "error": "score,remove", "methods": "noting"}
    method = Noting(needs_ablation=False)
    report = run({"noting": method}, seed=3, **settings)
    assert not report.failures
    assert method.asked == [(None, None, ("mlp_out", "half"))]
    needing = Noting(needs_ablation=True)
    seen: list[float] = []
    again = run(
        {"noting": needing}, lambda _, done: seen.append(done), seed=3, retry=True, out=report.folder / "b", **settings
    )
    assert len(again.results) == len(report.results) == 6
    # a basis without an error has one treatment of it, and shares it with those that have one
    assert needing.asked == [
        ("mean", "score", ("mlp_out", "half")),
        ("zero", "score", ("mlp_out", "half")),
        ("mean", "remove", ("half",)),
        ("zero", "remove", ("half",)),
    ]
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1)


# -- circuits that need not be nested --------------------------------------------------------------------


@pytest.mark.parametrize("error", ["score", "remove"])
def test_circuits_of_their_own_sizes_go_all_the_way(
    error: str, run: Run, own: Path, half: str, tiny_folder: Path, task_folder: Path
) -> None:
    """A run writes them, `validate` finds nothing wrong, `reproduce` makes them again; the curve is that by hand."""
    report = run(methods=f"{own}:Drawn", bases=half, error=error)
    assert not report.failures
    (result,) = report.results
    path = report.folder / f"{result.name}.json"
    assert read_result(path) == result
    (checked,) = validate([path])
    assert [finding.words for finding in checked.findings if finding.verdict == "broken"] == []
    curve, held = read_arrays(path, result)
    assert isinstance(held, CircuitArrays)
    assert held.sizes.tolist() == result.curve.size == [1, 10, 100]
    assert [len(held.circuit(size)) for size in (1, 10, 100)] == [1, 10, 100]
    assert not set(map(tuple, held.circuit(10).tolist())) <= set(map(tuple, held.circuit(100).tolist()))

    model, _ = load_model(str(tiny_folder), device="cpu")
    task = load_task(str(task_folder))
    prompts = load_prompts(task, "discovery", 6, 0, model)
    evaluation = load_prompts(task, "evaluation", 6, 0, model, slot_names=prompts.slot_names)
    basis = load_basis(half, model)
    request = Request(model, prompts, [basis], 0, [1, 10, 100], ablation="mean", error=error)  # type: ignore[arg-type]
    chosen = load_method(f"{own}:Drawn").score(request)["half"]
    assert isinstance(chosen, Circuits)
    for size, circuit in chosen.by_size.items():
        assert sorted(held.circuit(size).tolist()) == sorted(circuit.nodes.tolist())
    expected = evaluate(model, evaluation, basis, chosen, [1, 10, 100], error=error)  # type: ignore[arg-type]
    np.testing.assert_allclose(curve.circuit.answer, expected.circuit.answer, atol=1e-5)

    names = Names(task=str(task_folder), basis=half, method=f"{own}:Drawn")
    found = reproduce(path, device="cpu", names=names)
    assert found.same
    assert found.again.name == path.stem
    assert set(found.overlap) == {1.0}


def test_a_changed_circuit_is_found_out(run: Run, own: Path) -> None:
    report = run(methods=f"{own}:Drawn", bases="neurons")
    (result,) = report.results
    path = report.folder / f"{result.name}.json"
    _, held = read_arrays(path, result)
    assert isinstance(held, CircuitArrays)
    from basisbench.submissions.recompute import check_ranking

    assert check_ranking(result, held).verdict == "ok"
    kept = held.kept.copy()
    kept[0, :3] = 1
    words = check_ranking(result, CircuitArrays(*_columns(held), held.sizes, kept)).words
    assert "the circuit of size 1 has" in words
    assert "distinct_units at 1 is 1, the ranking has" in words
    short = CircuitArrays(*_columns(held), held.sizes[:2], held.kept[:2])
    assert "circuits of the sizes [1, 10] are held" in check_ranking(result, short).words
    with pytest.raises(ValueError, match="kept needs a row of 0 and 1"):
        CircuitArrays(*_columns(held), held.sizes, held.kept[:2])


def _columns(held: RankingArrays) -> tuple[Any, Any, Any, Any]:
    return held.layer, held.position, held.unit, held.score


def test_circuits_are_no_scores_to_hand_in(run: Run, own: Path) -> None:
    report = run(methods=f"{own}:Drawn", bases="neurons")
    path = report.folder / f"{report.results[0].name}.json"
    for file in (path, path.with_suffix(".safetensors")):
        with pytest.raises(UserError, match="valid is one ranking") as error:
            read_scores(file)
        one_line(error)


# -- someone else's ranking -----------------------------------------------------------------------------


@pytest.fixture
def scores(tiny_folder: Path, task_folder: Path, tmp_path: Path) -> Path:
    """Those of `relp` for MLP outputs."""
    model, _ = load_model(str(tiny_folder), device="cpu")
    prompts = load_prompts(load_task(str(task_folder)), "discovery", 6, 0, model)
    found = load_method("relp").score(Request(model, prompts, [load_basis("mlp_out", model)]))["mlp_out"]
    assert isinstance(found, Scores)
    about = About(name="theirs", task="words", basis="mlp_out", n_discovery=6, seed=0)
    path = tmp_path / "theirs.safetensors"
    write_scores(path, about, {layer: values.numpy() for layer, values in found.by_layer.items()})
    return path


def test_scores_are_a_method_of_a_run(run: Run, scores: Path, task_folder: Path) -> None:
    theirs, mine = run(methods=f"relp,scores:{scores}").results
    assert mine.cell.method == "scores:theirs"
    assert mine.cell.options == {"scores_sha256": read_scores(scores).sha256}
    assert mine.curve == theirs.curve
    path = (run().folder) / f"{mine.name}.json"
    assert "broken" not in {report.verdict for report in validate([path])}
    assert reproduce(path, device="cpu", names=Names(task=str(task_folder))).same
    # under several ablations, and again from the folder
    report = run(methods=f"scores:{scores}", ablation="mean,zero")
    assert (report.reused, len(report.results)) == (1, 2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bases": "neurons"}, "these are scores of basis 'mlp_out', not of 'neurons'"),
        ({"seed": 1}, "these scores were made with seed 0, not 1"),
        ({"positions": "pooled"}, None),
    ],
)
def test_scores_of_something_else_fail_their_cell(
    change: dict[str, Any], words: str | None, run: Run, scores: Path
) -> None:
    report = run(methods=f"scores:{scores},atp", **change)
    assert [failure.reason for failure in report.failures] == (
        [f"method 'scores:theirs': {words}"] if words is not None else []
    )
    assert [result.cell.method for result in report.results if result.cell.method == "atp"] == ["atp"]


def test_scores_made_with_fewer_pairs_are_refused(run: Run, scores: Path, tmp_path: Path) -> None:
    given = read_scores(scores)
    fewer = tmp_path / "fewer.safetensors"
    write_scores(fewer, given.about.model_copy(update={"n_discovery": 4}), given.nodes)
    (failure,) = run(methods=f"scores:{fewer}").failures
    assert failure.reason.endswith("made with 4 discovery pairs, not 6: valid is --n-discovery 4")


def test_a_missing_or_nameless_file_is_one_line(run: Run, tmp_path: Path) -> None:
    for name, words in (
        ("scores", "valid: scores:FILE"),
        ("scores:nowhere.safetensors", "no file nowhere.safetensors"),
    ):
        with pytest.raises(UserError, match=words) as error:
            run(methods=name)
        one_line(error)


# -- reproducing what a file's method made ----------------------------------------------------------------


def test_a_method_that_is_code_must_be_named(run: Run, own: Path, task_folder: Path) -> None:
    report = run(methods=f"{own}:Mine")
    path = report.folder / f"{report.results[0].name}.json"
    with pytest.raises(UserError, match="unknown method 'Mine'"):
        reproduce(path, device="cpu", names=Names(task=str(task_folder)))
    arguments = ["reproduce", str(path), "--task", str(task_folder), "--method", f"{own}:Mine", "--device", "cpu"]
    passed = CliRunner().invoke(cli.app, arguments)
    assert passed.exit_code == 0, passed.output
    own.write_text(OWN + "\n")
    found = reproduce(path, device="cpu", names=Names(task=str(task_folder), method=f"{own}:Mine"))
    assert any("method_sha256" in note for note in found.notes)


def test_a_record_cannot_have_a_methods_code_run(run: Run, task_folder: Path, tmp_path: Path) -> None:
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n{OWN}")
    report = run()
    path = report.folder / f"{report.results[0].name}.json"
    path.write_text(path.read_text().replace('"method": "atp"', f'"method": "{evil}:Mine"'))
    with pytest.raises(UserError, match="is Python code that a file names") as error:
        reproduce(path, device="cpu", names=Names(task=str(task_folder)))
    one_line(error)
    assert not (tmp_path / "ran").exists()


def test_rankings_are_of_the_circuits_that_were_measured(run: Run, tiny_folder: Path) -> None:
    """What a result keeps of a ranking gives the circuit of each size."""
    report = run(methods="relp", bases="neurons")
    (result,) = report.results
    _, ranking = read_arrays(report.folder / f"{result.name}.json", result)
    assert ranking.circuit(10).tolist() == ranking.nodes[:10].tolist()
    assert [ranking.has_circuit(size) for size in (1, 100, 101)] == [True, True, False]
    assert isinstance(rank_nodes(Scores("b", {0: torch.zeros(1, 3)}), _three()).circuit(2), Circuit)


def _three() -> Any:
    from basisbench import LinearBasis, Site

    return LinearBasis("b", [Site(0, "mlp_out")], 3)
