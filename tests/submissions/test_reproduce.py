"""A result made again from its record: nothing moves where nothing changed, and what did is named."""

import dataclasses
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from basisbench import UserError, cli, make_config
from basisbench.grid import run as runner
from basisbench.results.files import RankingArrays, write_result
from basisbench.results.find import read_arrays, read_result
from basisbench.results.schema import Result
from basisbench.submissions.compare import Move, Reproduction, compare, reproduction_table, verdict
from basisbench.submissions.evaluate_scores import evaluate_scores, prepare, settled
from basisbench.submissions.reproduce import Names, config_of, reproduce
from basisbench.submissions.scores_file import read_scores
from toys.models import one_line, pair_rows, write_task

BASIS = """
import torch
from basisbench import LinearBasis, Site

def half(model):
    sites = [Site(layer, "mlp_out") for layer in range(model.n_layers)]
    n = model.d_model // 2
    return LinearBasis("half", sites, model.d_model, lambda layer: torch.eye(model.d_model)[:n], n)
"""
Document = dict[str, Any]


@pytest.fixture
def model_folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A model of this test's own."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


@pytest.fixture
def names(task_folder: Path) -> Names:
    return Names(task=str(task_folder))


@pytest.fixture
def run(model_folder: Path, task_folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """Run one cell and return its file; keywords change the settings."""

    def call(**change: Any) -> Path:
        settings = {
            "model": str(model_folder), "tasks": str(task_folder), "bases": "neurons", "methods": "relp",
            "n_discovery": 6, "n_evaluation": 6, "ablation": "zero", "device": "cpu", "out": tmp_path / "out",
        }  # fmt: skip
        report = runner.run(make_config(settings | change))
        assert not report.failures
        (result,) = report.results
        return tmp_path / "out" / f"{result.name}.json"

    return call


def edit(path: Path, change: Callable[[Document], object]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


# -- nothing changed -----------------------------------------------------------------------------------

CELLS: list[dict[str, Any]] = [
    {},
    {"methods": "random", "seed": 3, "ablation": "resample"},
    {"positions": "pooled", "rank": "signed", "metric": "log_probability", "sizes": "1,7,30"},
    {"answers": "whole", "require_correct": True, "split": "heldout", "n_evaluation": 2, "dtype": "float64"},
]


@pytest.mark.parametrize("change", CELLS, ids=str)
def test_a_cell_comes_out_again_as_it_was(change: dict[str, Any], run: Callable[..., Path], names: Names) -> None:
    path = run(**change)
    found = reproduce(path, device="cpu", names=names)
    assert found.same
    assert found.again.name == found.recorded.name == path.stem
    assert found.again.curve == found.recorded.curve
    assert [move.distance for move in found.moves if move.distance] == []
    assert set(found.overlap) == {1.0}
    assert [note for note in found.notes if "degenerate" not in note] == []
    assert verdict(found).startswith("reproduced: nothing moved")


def test_the_configuration_is_that_of_this_cell_alone(run: Callable[..., Path], tmp_path: Path) -> None:
    cell = read_result(run(**CELLS[2])).cell
    config = config_of(cell, tmp_path, Names(task="there", model="here"), "cpu")
    assert (config.tasks, config.bases, config.methods) == (["there"], ["neurons"], ["relp"])
    assert (config.ablation, config.error, config.sizes) == (["zero"], ["score"], [1, 7, 30])
    # a name with a comma is one name
    assert config_of(cell.model_copy(update={"basis": "sae:a,b"}), tmp_path).bases == ["sae:a,b"]


def test_the_ranking_of_handed_in_scores_is_measured_again(
    run: Callable[..., Path], model_folder: Path, names: Names, tmp_path: Path
) -> None:
    scores = read_scores(run())
    options = {"task": names.task, "n_evaluation": 6, "ablation": "zero", "device": "cpu"}
    result, arrays = evaluate_scores(prepare(settled(options, scores)), scores, "mine")
    path = write_result(tmp_path / "scores", result, arrays)
    said: list[str] = []
    found = reproduce(path, device="cpu", names=names, say=said.append)
    assert found.same
    assert found.again.name == path.stem
    assert found.again.curve == result.curve
    assert any("the ranking is taken from the result" in line for line in said)


# -- something did -------------------------------------------------------------------------------------


def test_a_record_without_names_of_positions_is_of_the_same_pairs(run: Callable[..., Path], names: Names) -> None:
    path = run()
    edit(path, lambda document: document["data"].pop("slot_names"))
    found = reproduce(path, device="cpu", names=names)
    assert found.same
    assert not any("the pairs are others" in note for note in found.notes)
    edit(path, lambda document: document["data"].update(slot_names=["verb"]))
    assert any("the pairs are others" in note for note in reproduce(path, device="cpu", names=names).notes)


def test_another_model_is_said_and_moves_numbers(
    run: Callable[..., Path], model_folder: Path, tiny_folder: Path, names: Names
) -> None:
    path = run()
    hf = AutoModelForCausalLM.from_pretrained(model_folder)
    with torch.no_grad():
        hf.model.layers[1].mlp.down_proj.weight *= 1.5
    hf.save_pretrained(model_folder)
    found = reproduce(path, device="cpu", names=names)
    assert any(note.startswith("the model is another: ") for note in found.notes)
    assert not found.same
    assert {"F(full)"} <= {move.name for move in found.outside}
    assert re.match(r"not reproduced: \d+ of \d+ numbers moved too far", verdict(found))
    # the same model elsewhere is not another one
    shutil.copytree(tiny_folder, model_folder.parent / "elsewhere")
    again = reproduce(path, device="cpu", names=Names(str(model_folder.parent / "elsewhere"), names.task))
    assert again.same
    assert not any("the model is another" in note for note in again.notes)
    assert any(note.startswith("cell model: ") for note in again.notes)


def test_other_pairs_are_said(run: Callable[..., Path], tmp_path: Path) -> None:
    path = run()
    rows = {split: pair_rows(6, seed=seed) for seed, split in enumerate(("discovery", "evaluation"), start=5)}
    found = reproduce(path, device="cpu", names=Names(task=str(write_task(tmp_path / "other" / "words", **rows))))
    assert any(note.startswith("the pairs are others: 6 + 6 with hash ") for note in found.notes)
    assert not found.same


@pytest.mark.parametrize(
    ("way", "name", "tolerance"),
    [
        (("curve", "faithfulness", 3), "faithfulness at 5", 0.02),
        (("curve", "completeness", 5), "completeness at 10", 0.02),
        (("summary", "auc_f", "value"), "auc_f", 0.01),
        (("summary", "cmd", "value"), "cmd", 0.01),
    ],
)
def test_a_number_made_up_is_named(
    way: tuple[Any, ...], name: str, tolerance: float, run: Callable[..., Path], names: Names
) -> None:
    path = run()
    moved = 0.0
    for by, same in ((0.9 * tolerance, True), (1.1 * tolerance, False)):

        def move(document: Document, by: float = by - moved) -> None:
            document[way[0]][way[1]][way[2]] += by

        edit(path, move)
        moved = by
        found = reproduce(path, device="cpu", names=names)
        assert found.same is same
        assert [move.name for move in found.outside] == ([] if same else [name])
    assert name in verdict(found)
    assert reproduce(path, device="cpu", names=names, tolerance=0.1).same


def test_f_full_is_judged_by_the_effect(run: Callable[..., Path], names: Names) -> None:
    path = run()
    result = read_result(path)
    assert result.f_full is not None
    assert result.f_empty is not None
    by = 0.025 * abs(result.f_full - result.f_empty)
    edit(path, lambda document: document.update(F_full=document["F_full"] + by))
    assert [move.name for move in reproduce(path, device="cpu", names=names).outside] == ["F(full)"]


def test_what_is_null_must_be_null_again(run: Callable[..., Path], names: Names) -> None:
    path = run()
    edit(path, lambda document: document["summary"]["auc_c"].update(value=None))
    (outside,) = reproduce(path, device="cpu", names=names).outside
    assert (outside.name, outside.recorded, outside.distance) == ("auc_c", None, None)


def test_versions_and_places_are_said(run: Callable[..., Path], names: Names) -> None:
    path = run()
    edit(path, lambda document: document["environment"]["packages"].update(torch="1.0", jax="0.1"))
    edit(path, lambda document: document["environment"].update(device="cuda:7", python="3.8"))
    found = reproduce(path, device="cpu", names=names)
    assert found.same
    for note in ("torch: 1.0 is recorded, here ", "jax: 0.1 is recorded, here nothing", "device: cuda:7 is recorded"):
        assert any(said.startswith(note) for said in found.notes), note
    assert any(said.startswith("python: 3.8 is recorded") for said in found.notes)


def test_other_sizes_cannot_be_the_same(run: Callable[..., Path], names: Names) -> None:
    path = run()
    edit(path, lambda document: document.update(total_nodes=document["total_nodes"] + 1))
    found = reproduce(path, device="cpu", names=names)
    assert not found.outside
    assert not found.same
    assert verdict(found) == "not reproduced: the basis has 600 nodes here, 601 are recorded"


def test_the_shared_nodes_are_counted(run: Callable[..., Path]) -> None:
    path = run(sizes="1,5,30")
    result = read_result(path)
    ranking = read_arrays(path, result)[1]
    order = np.random.default_rng(0).permutation(30)
    other = RankingArrays(*(part[order] for part in vars(ranking).values()))
    found = compare(result, result, ranking, other)
    by_hand = [sum(index < size for index in order[:size]) / size for size in (1, 5, 30)]
    assert list(found.overlap) == pytest.approx(by_hand)
    assert len(set(by_hand)) == 3


def test_a_dtype_of_sixteen_bits_may_move_further(run: Callable[..., Path]) -> None:
    path = run()
    result = read_result(path)
    ranking = read_arrays(path, result)[1]
    coarse = result.model_copy(update={"cell": result.cell.model_copy(update={"dtype": "bfloat16"})})
    assert compare(result, result, ranking, ranking).tolerance == 0.02
    assert compare(coarse, coarse, ranking, ranking).tolerance == 0.1


def test_moves() -> None:
    assert Move("a", None, None, 0.1).within
    assert not Move("a", None, 1.0, 0.1).within
    assert not Move("a", 1.0, None, 0.1).within
    assert Move("a", 1.0, 9.0, None).within
    assert not Move("a", 1.0, 1.2, 0.1).within
    assert Move("a", 1.0, 1.2, 0.1).distance == pytest.approx(0.2)


# -- what cannot be made again -------------------------------------------------------------------------


def test_a_basis_that_is_code_must_be_named(run: Callable[..., Path], names: Names, tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(BASIS)
    path = run(bases=f"{own}:half")
    with pytest.raises(UserError, match="unknown basis 'half'"):
        reproduce(path, device="cpu", names=names)
    assert reproduce(path, device="cpu", names=dataclasses.replace(names, basis=f"{own}:half")).same
    own.write_text(BASIS.replace("n = model.d_model // 2", "n = model.d_model // 3"))
    found = reproduce(path, device="cpu", names=dataclasses.replace(names, basis=f"{own}:half"))
    assert not found.same
    assert any("basis_sha256" in note for note in found.notes)


@pytest.mark.parametrize("method", ["relp", "scores:mine"])
def test_a_record_cannot_have_code_run(method: str, run: Callable[..., Path], names: Names, tmp_path: Path) -> None:
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n{BASIS}")
    path = run()
    edit(path, lambda document: document["cell"].update(basis=f"{evil}:half", method=method))
    with pytest.raises(UserError, match="is Python code that a file names") as error:
        reproduce(path, device="cpu", names=names)
    one_line(error)
    assert not (tmp_path / "ran").exists()


def test_what_cannot_be_had_here_is_one_line(run: Callable[..., Path], names: Names) -> None:
    path = run()
    whole = path.read_text()
    for changes, words in (
        ({"task": "elsewhere"}, "unknown task 'elsewhere'"),
        ({"method": "my_method"}, "unknown method 'my_method'"),
        ({"ablation": "mine"}, "ablation 'mine'"),
        ({"metric": "mine"}, "metric"),
        ({"model": "no-such-model"}, "no-such-model"),
        ({"grid": [9999]}, "no circuit size"),
    ):
        edit(path, lambda document, changes=changes: document["cell"].update(changes))  # type: ignore[misc]
        with pytest.raises(UserError) as error:
            reproduce(path, device="cpu", names=Names() if "task" in changes else names)
        assert words in one_line(error), changes
        path.write_text(whole)
    path.with_suffix(".safetensors").unlink()
    with pytest.raises(UserError, match="no file"):
        reproduce(path, names=names)
    path.write_text("{")
    with pytest.raises(UserError, match="cannot be made again: not JSON"):
        reproduce(path, names=names)


# -- the command ---------------------------------------------------------------------------------------


def test_the_command(run: Callable[..., Path], names: Names) -> None:
    path = run()
    arguments = ["reproduce", str(path), "--task", str(names.task), "--device", "cpu"]
    passed = CliRunner().invoke(cli.app, arguments)
    assert passed.exit_code == 0
    assert "reproduced: nothing moved" in passed.output
    edit(path, lambda document: document["curve"]["faithfulness"].__setitem__(2, 7.5))
    failed = CliRunner().invoke(cli.app, arguments)
    assert failed.exit_code == 1
    assert "most of all faithfulness at 3, from 7.5 to" in " ".join(failed.output.split())
    (line,) = (line for line in failed.output.splitlines() if "outside" in line)
    assert line.split()[:2] == ["3", "7.5"]


def test_a_hostile_record_prints_nothing_strange(run: Callable[..., Path]) -> None:
    path = run()
    result = read_result(path)
    ranking = read_arrays(path, result)[1]
    strange = result.environment.model_copy(update={"platform": "[red]\u202e[link=http://x]"})
    found = compare(result.model_copy(update={"environment": strange}), result, ranking, ranking)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        text = printed(found)
    assert "[red]?[link=http://x] is recorded" in text
    assert "\u202e" not in text


def printed(found: Reproduction) -> str:
    import io

    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=200).print(reproduction_table(found))
    return out.getvalue()


def test_the_arrays_are_those_of_the_record(run: Callable[..., Path], names: Names) -> None:
    """A ranking changed under an old record is found out before anything is computed."""
    path = run()
    arrays = dict(safetensors.numpy.load_file(path.with_suffix(".safetensors")))
    arrays["ranking.unit"][0] += 1
    packed = safetensors.numpy.save(arrays)
    path.with_suffix(".safetensors").write_bytes(packed)
    with pytest.raises(UserError, match="arrays_sha256 differs"):
        reproduce(path, names=names)
    edit(path, lambda document: document.update(arrays_sha256=hashlib.sha256(packed).hexdigest()))
    found = reproduce(path, device="cpu", names=names)
    assert found.overlap[0] == 0
    assert isinstance(found.recorded, Result)
