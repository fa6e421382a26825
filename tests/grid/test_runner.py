"""A grid from beginning to end: what the documents say, what is computed again, what a failure leaves."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

import basisbench
from basisbench import UserError, make_config
from basisbench.bases.load import find_basis
from basisbench.circuits import curves
from basisbench.grid import cells
from basisbench.grid import run as runner
from basisbench.grid.cells import content_hash
from basisbench.grid.run import RunReport
from basisbench.models.sites import SITES
from basisbench.progress import say_nothing
from toys.models import altered, pair_rows, random_hf, write_task

Run = Callable[..., RunReport]

BASIS = """
import torch
from basisbench import LinearBasis, Site

def mine(model):
    sites = [Site(layer, "mlp_out") for layer in range(model.n_layers)]
    return LinearBasis("mine", sites, model.d_model)

def nan(model):
    sites = [Site(layer, "mlp_out") for layer in range(model.n_layers)]
    return LinearBasis("nan", sites, model.d_model, lambda layer: torch.full((model.d_model, model.d_model), torch.nan))

def half(model):
    sites = [Site(layer, "mlp_out") for layer in range(model.n_layers)]
    n = model.d_model // 2
    return LinearBasis("half", sites, model.d_model, lambda layer: torch.eye(model.d_model)[:n], n)

def beyond(model):
    return LinearBasis("beyond", [Site(model.n_layers, "mlp_out")], model.d_model)

def nowhere(model):
    return LinearBasis("nowhere", [Site(0, "mlp_gate")], model.d_model)

def inside(model):
    return LinearBasis("inside", [Site(0, "mlp_in")], model.d_model)
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASISBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def basis_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bases") / "own.py"
    path.write_text(BASIS)
    return path


@pytest.fixture
def run(tiny_folder: Path, task_folder: Path, tmp_path: Path) -> Run:
    """A small run: one task, one cell, into `tmp_path/out`; keywords change the settings."""

    def call(say: Callable[[str], None] = say_nothing, **settings: Any) -> RunReport:
        small = {
            "model": str(tiny_folder), "tasks": str(task_folder), "bases": "mlp_out", "methods": "atp",
            "n_discovery": 6, "n_evaluation": 6, "sizes": "1,10,100", "out": tmp_path / "out",
        }  # fmt: skip
        return runner.run(make_config(small | settings), say=say)

    return call


def one_line(error: pytest.ExceptionInfo[UserError]) -> str:
    message = str(error.value)
    assert message
    assert "\n" not in message
    return message


def documents(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


def whole(folder: Path) -> list[basisbench.Result]:
    """Read every result and its arrays, and check that nothing else lies there."""
    results = basisbench.read_results(folder) if documents(folder) else []
    for path, result in zip(documents(folder), results, strict=True):
        assert path.stem == result.name
        basisbench.read_arrays(path, result)
    return results


# -- a whole grid --------------------------------------------------------------------------------------


def test_a_grid_gives_a_document_for_each_cell(run: Run, tiny_folder: Path, tmp_path: Path) -> None:
    report = run(
        bases="neurons,rotated_neurons,mlp_out", methods="relp,random", ablation="mean,zero", sizes="1,10,100,9999"
    )
    assert (len(report.results), report.reused, report.failures) == (12, 0, ())
    assert {(r.cell.basis, r.cell.method, r.cell.ablation) for r in report.results} == {
        (basis, method, ablation)
        for basis in ("neurons", "rotated_neurons", "mlp_out")
        for method in ("relp", "random")
        for ablation in ("mean", "zero")
    }
    assert sorted(whole(tmp_path / "out"), key=lambda r: r.name) == sorted(report.results, key=lambda r: r.name)

    # the plain model, without any of our code: mean logit difference over the six pairs
    hf = AutoModelForCausalLM.from_pretrained(tiny_folder)
    differences = []
    for pair in pair_rows(6, seed=1):
        words = [*pair.clean.split(), pair.answers[0].strip(), pair.foils[0].strip()]
        *prompt, answer, foil = (int(word[1:]) for word in words)
        with torch.no_grad():
            logits = hf(torch.tensor([prompt])).logits[0, -1]
        differences.append(float(logits[answer] - logits[foil]))
    for path, result in zip(documents(tmp_path / "out"), basisbench.read_results(tmp_path / "out"), strict=True):
        assert result.f_full == pytest.approx(np.mean(differences), abs=1e-4)
        full = basisbench.read_arrays(path, result)[0].full
        np.testing.assert_allclose(np.sort(full.answer - full.foil), np.sort(differences), atol=1e-4)
        # three layers, five positions, 24 coordinates or 40 neurons: 9,999 nodes there are not
        assert result.total_nodes == 3 * 5 * (24 if result.cell.basis == "mlp_out" else 40)
        assert result.curve.size == [1, 10, 100]
        assert (result.data.discovery.usable, result.data.evaluation.usable) == (6, 6)
        assert result.cell.model == str(tiny_folder)

    # one site, one ablation: nothing kept is the same model whatever the basis or the method
    empty = {(r.cell.basis == "mlp_out", r.cell.ablation): r.f_empty for r in report.results}
    for result in report.results:
        assert result.f_empty == pytest.approx(empty[result.cell.basis == "mlp_out", result.cell.ablation], abs=1e-5)
    assert empty[False, "mean"] != pytest.approx(empty[False, "zero"], abs=1e-3)


def test_progress_only_grows_and_ends_at_one(tiny_folder: Path, task_folder: Path, tmp_path: Path) -> None:
    settings = {
        "model": str(tiny_folder), "tasks": f"{task_folder},{empty_task(tmp_path)}", "bases": "mlp_out,neurons",
        "methods": "atp,ig,delta", "out": tmp_path / "out",
    }  # fmt: skip
    for expected in (0, 6):  # the second time everything is there
        seen: list[float] = []

        def note(what: str, fraction: float, seen: list[float] = seen) -> None:
            seen.append(fraction)

        assert runner.run(make_config(settings), report=note).reused == expected
        assert seen == sorted(seen)
        assert seen[-1] == pytest.approx(1)


def test_a_basis_from_a_file_gives_the_numbers_of_the_same_basis_built_in(run: Run, basis_file: Path) -> None:
    (theirs, mine) = run(bases=f"mlp_out,{basis_file}:mine").results
    assert (theirs.cell.basis, mine.cell.basis) == ("mlp_out", "mine")
    assert mine.curve == theirs.curve
    assert mine.cell.options.keys() == {"basis_sha256"}


def test_pairs_that_cannot_be_used_are_counted_and_said(run: Run, tmp_path: Path) -> None:
    rows = pair_rows(5, seed=1)
    longer = altered(rows[0], corrupt=f"{rows[0].corrupt} w9")
    joined = altered(rows[1], answers=("w9",))
    folder = write_task(tmp_path / "mixed", discovery=pair_rows(6), evaluation=[*rows, longer, joined])
    said: list[str] = []
    (result,) = run(say=said.append, tasks=str(folder), n_evaluation=7).results
    assert result.data.evaluation.usable == 5
    assert sorted(result.data.evaluation.unusable.values()) == [1, 1]
    (line,) = (line for line in said if "evaluation" in line)
    assert "7 pairs asked for" in line
    assert "5" in line.partition("asked for")[2]


# -- what is computed again ----------------------------------------------------------------------------


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The bases of the curves that are computed from now on."""
    bases: list[str] = []

    def evaluate(model: Any, prompts: Any, basis: basisbench.Basis, *rest: Any, **options: Any) -> Any:
        bases.append(basis.name)
        return original(model, prompts, basis, *rest, **options)

    original = curves.evaluate
    monkeypatch.setattr(cells, "evaluate", evaluate)
    return bases


def test_a_second_run_computes_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"bases": "mlp_out,neurons", "methods": "atp,relp", "ablation": "mean,counterfactual"}
    first = run(**settings)

    def fail(*_: Any, **__: Any) -> Any:
        raise AssertionError("computed again")

    monkeypatch.setattr(cells, "evaluate", fail)
    monkeypatch.setattr(runner, "write_result", fail)
    monkeypatch.setattr(runner.Grid, "_scores", fail)
    second = run(**settings)
    assert (second.reused, second.results) == (8, first.results)
    # nor does another spelling of the same
    third = run(bases="neurons,mlp_out,neurons", methods="relp,atp", ablation="counterfactual,mean", sizes="100,1,10,1")
    assert third.reused == 8


CHANGES: list[dict[str, Any]] = [
    {"ablation": "zero"},
    {"rank": "signed"},
    {"positions": "pooled"},
    {"metric": "log_probability"},
    {"answers": "whole"},
    {"require_correct": True},
    {"seed": 1},
    {"sizes": "1,10"},
    {"n_discovery": 5},
    {"n_evaluation": 5},
    {"split": "heldout"},
    {"methods": "relp"},
    {"bases": "rotated_mlp_out"},
    {"dtype": "float64"},
]


def test_every_setting_that_changes_numbers_is_computed(run: Run, computed: list[str], tmp_path: Path) -> None:
    run()
    fields = {"methods": "method", "bases": "basis"}
    for count, change in enumerate(CHANGES, start=2):
        report = run(**change)
        assert report.reused == 0, change
        ((setting, value),) = change.items()
        (cell,) = (result.cell for result in report.results)
        assert cell.grid == [1, 10] if setting == "sizes" else getattr(cell, fields.get(setting, setting)) == value
        assert len(computed) == len(documents(tmp_path / "out")) == count
    for change in CHANGES:
        assert run(**change).reused == 1, change


def test_each_treatment_of_errors_is_a_cell_of_bases_that_have_errors(run: Run, basis_file: Path) -> None:
    report = run(bases=f"{basis_file}:half,neurons", error="remove,score")
    assert [(result.cell.basis, result.cell.error) for result in report.results] == [
        ("half", "remove"),
        ("half", "score"),
        ("neurons", "score"),
    ]
    assert run(bases=f"{basis_file}:half,neurons", error="score,keep").reused == 2


def test_other_weights_and_other_pairs_are_computed(
    run: Run, computed: list[str], tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    model, task = tmp_path / "model", tmp_path / "task"
    settings = {"model": str(model), "tasks": str(task)}
    for weights, pairs, expected in ((0, 0, 0), (0, 0, 1), (1, 0, 0), (1, 5, 0), (0, 0, 1)):
        random_hf("llama", seed=weights).save_pretrained(model)
        tokenizer.save_pretrained(model)
        write_task(task, discovery=pair_rows(6, seed=pairs), evaluation=pair_rows(6, seed=9))
        assert run(**settings).reused == expected
    assert len(computed) == 3


def test_a_basis_file_that_changed_is_computed(run: Run, computed: list[str], tmp_path: Path) -> None:
    path = tmp_path / "changing.py"
    for source, expected in ((BASIS, 0), (BASIS, 1), (BASIS.replace("mlp_out", "resid_post"), 0), (BASIS, 1)):
        path.write_text(source)
        report = run(bases=f"{path}:mine")
        assert (report.reused, report.failures) == (expected, ())
    assert len(computed) == 2


def test_a_basis_file_that_changed_within_a_second_is_read_again(tmp_path: Path) -> None:
    """Python's cached bytecode goes by time and size, and would give the old one under the new hash."""
    path = tmp_path / "own.py"
    for number in (2, 3):
        path.write_text(f"def own(model):\n    raise ValueError({number})\n")
        os.utime(path, (1_000_000_000, 1_000_000_000))
        with pytest.raises(UserError, match=rf"ValueError: {number} \(line 2\)"):
            find_basis(f"{path}:own")(None)


def test_a_basis_folder_that_changed_has_another_hash(tmp_path: Path) -> None:
    for layer in (0, 1):
        (tmp_path / f"layer_{layer}").mkdir()
        (tmp_path / f"layer_{layer}" / "sae_weights.safetensors").write_bytes(b"one")
    names = (f"sae:{tmp_path}", f"sae:{tmp_path}/layer_{{layer}}")
    (first,) = {str(content_hash(name)) for name in names}
    (tmp_path / "layer_1" / "sae_weights.safetensors").write_bytes(b"two")
    (second,) = {str(content_hash(name)) for name in names}
    assert first != second
    assert content_hash("sae:gpt2-small-res-jb") == content_hash("neurons") == {}


def test_a_damaged_result_is_named(run: Run, tmp_path: Path) -> None:
    run()
    (path,) = documents(tmp_path / "out")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError) as caught:
        run()
    assert path.name in one_line(caught)


# -- names and files that are wrong --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"tasks": "sva/nounp"}, "unknown task 'sva/nounp': did you mean 'sva/nounpp'? valid: "),
        ({"bases": "mlp_out,neuron"}, "unknown basis 'neuron': did you mean 'neurons'? valid: "),
        ({"methods": "replp"}, "unknown method 'replp': did you mean 'relp'? valid: "),
        ({"ablation": "means"}, "unknown ablation 'means': did you mean 'mean'? valid: "),
        ({"methods": "atp:3"}, "method 'atp' takes no option, got '3'"),
        ({"bases": "own.py"}, "basis 'own.py' names no class or function: valid: path/to/file.py:Name"),
        ({"bases": "no/own.py:mine"}, f"no file {Path('no/own.py')}: valid: path/to/file.py:Name"),
    ],
)
def test_an_unknown_name_is_one_line_before_the_model_is_loaded(
    run: Run, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], expected: str
) -> None:
    monkeypatch.setattr(runner, "load_model", lambda *_: pytest.fail("the model was loaded"))
    with pytest.raises(UserError) as caught:
        run(**settings)
    assert one_line(caught).startswith(expected)


def test_an_unknown_model_or_device_is_one_line(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        run(model="smolm2-135m")
    assert "did you mean 'smollm2-135m'?" in one_line(caught)
    with pytest.raises(UserError) as caught:
        run(model=str(tmp_path))
    assert "no config.json" in one_line(caught)
    with pytest.raises(UserError) as caught:
        run(device="cuda:99")
    assert "valid: auto, cpu" in one_line(caught)


def test_two_of_a_name_are_refused(run: Run, basis_file: Path, task_folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "own.py"
    other.write_text(BASIS)
    with pytest.raises(UserError, match="two bases are called 'mine'"):
        run(bases=f"{basis_file}:mine,{other}:mine")
    same = write_task(tmp_path / "words", discovery=pair_rows(3), evaluation=pair_rows(3, seed=1))
    with pytest.raises(UserError, match="two tasks are called 'words'"):
        run(tasks=f"{task_folder},{same}")


def test_a_malformed_row_is_named_with_its_line(run: Run, tmp_path: Path) -> None:
    folder = write_task(tmp_path / "bad", discovery=pair_rows(3), evaluation=pair_rows(3, seed=1))
    with (folder / "evaluation.jsonl").open("a") as file:
        file.write('{"clean_prefix": "w3 w4"\n')
    with pytest.raises(UserError) as caught:
        run(tasks=str(folder))
    assert f"{folder / 'evaluation.jsonl'} line 4, column 25: " in one_line(caught)
    (folder / "evaluation.jsonl").unlink()
    with pytest.raises(UserError) as caught:
        run(tasks=str(folder))
    assert f"no file {folder / 'evaluation.jsonl'}" in one_line(caught)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("beyond", "mlp_out[3] is not in model"),
        ("nowhere", "unknown kind of site 'mlp_gate': did you mean 'mlp_"),
        ("inside", "has no hook point mlp_in: valid: "),
    ],
)
def test_a_site_that_the_model_lacks_is_one_line(
    run: Run, basis_file: Path, monkeypatch: pytest.MonkeyPatch, name: str, expected: str
) -> None:
    monkeypatch.setitem(SITES.entries, "mlp_in", replace(SITES.get("mlp_in"), hook="mlp.no_such_hook"))
    with pytest.raises(UserError) as caught:
        run(bases=f"{basis_file}:{name}")
    assert expected in one_line(caught)


# -- cells that fail -----------------------------------------------------------------------------------


def empty_task(folder: Path) -> Path:
    """A task of which no pair can be used."""
    rows = [altered(pair, foils=pair.answers, answers=("w9",)) for pair in pair_rows(3)]
    return write_task(folder / "hopeless", discovery=rows, evaluation=pair_rows(3, seed=1))


def test_an_empty_split_fails_its_task_alone(run: Run, task_folder: Path, tmp_path: Path) -> None:
    report = run(tasks=f"{empty_task(tmp_path)},{task_folder}")
    (failure,) = report.failures
    assert failure.cell == "hopeless"
    assert "no usable pair in 'discovery'" in failure.reason
    assert "3 " in failure.reason
    assert [result.cell.task for result in report.results] == ["words"]


def test_a_split_that_a_folder_lacks_fails_its_task_alone(run: Run, task_folder: Path, tmp_path: Path) -> None:
    without = write_task(tmp_path / "without", discovery=pair_rows(3), evaluation=pair_rows(3, seed=1))
    report = run(tasks=f"{without},{task_folder}", split="heldout")
    (failure,) = report.failures
    assert "no file" in failure.reason
    assert "heldout.jsonl" in failure.reason
    assert [result.cell.split for result in report.results] == ["heldout"]


def test_sizes_beyond_the_model_fail_their_cell_alone(run: Run, tmp_path: Path) -> None:
    # 3 x 5 x 24 = 360 coordinates, 3 x 5 x 40 = 600 neurons
    report = run(bases="mlp_out,neurons", sizes="400,100000")
    (failure,) = report.failures
    assert failure.cell == "words atp mlp_out mean"
    assert failure.reason == "no circuit size in [400, 100000] is valid: from 1 to 359 nodes"
    assert [(result.cell.basis, result.curve.size) for result in report.results] == [("neurons", [400])]
    assert len(whole(tmp_path / "out")) == 1


@pytest.mark.parametrize("method", ["atp", "relp", "ig", "delta"])
def test_nan_scores_fail_their_cell_alone(run: Run, basis_file: Path, method: str) -> None:
    report = run(bases=f"{basis_file}:nan,mlp_out,neurons", methods=method)
    (failure,) = report.failures
    assert failure.cell == f"words {method} nan"
    assert "NaN" in failure.reason
    # and what the others score does not change for having met it
    alone = run(bases="mlp_out,neurons", methods=method, out=report.folder / "alone")
    assert [result.curve for result in report.results] == [result.curve for result in alone.results]


def test_nan_in_a_forward_pass_fails_its_cell_alone(run: Run, basis_file: Path) -> None:
    # random scores are finite: the curve meets the NaN first
    report = run(bases=f"{basis_file}:nan,mlp_out", methods="random", ablation="mean,zero")
    assert [failure.cell for failure in report.failures] == ["words random nan mean", "words random nan zero"]
    assert all("not finite" in failure.reason for failure in report.failures)
    assert len(report.results) == 2


def test_a_model_with_nan_is_one_line(run: Run, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    hf = random_hf("llama")
    with torch.no_grad():
        next(hf.parameters())[40] = torch.nan
    hf.save_pretrained(tmp_path / "broken")
    tokenizer.save_pretrained(tmp_path / "broken")
    with pytest.raises(UserError) as caught:
        run(model=str(tmp_path / "broken"))
    assert "gives NaN or infinite logits" in one_line(caught)


# -- runs that end early -------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_is_told_before_the_model_is_loaded(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "load_model", lambda *_: pytest.fail("the model was loaded"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as caught:
        run(out=tmp_path / "file" / "out")
    assert "cannot write" in one_line(caught)


def test_a_full_disk_keeps_what_is_there_and_the_next_run_goes_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"bases": "mlp_out,neurons", "methods": "atp,delta"}

    def fill(calls: Iterator[int]) -> None:
        def replace(source: Path, target: Path) -> None:
            if Path(target).parent == tmp_path / "out" and next(calls) == 4:
                raise OSError(errno.ENOSPC, "No space left on device", str(target))
            real(source, target)

        monkeypatch.setattr(os, "replace", replace)

    real = os.replace
    fill(iter(range(100)))  # a probe, the first cell's two files, the second's arrays, and then no more
    with pytest.raises(UserError) as caught:
        run(**settings)
    assert "No space left on device" in one_line(caught)
    monkeypatch.setattr(os, "replace", real)
    kept = whole(tmp_path / "out")
    assert len(kept) == 1
    assert {path.suffix for path in (tmp_path / "out").iterdir() if path.is_file()} == {".json", ".safetensors"}
    report = run(**settings)
    assert (report.reused, len(report.results)) == (1, 4)
    assert len(whole(tmp_path / "out")) == 4


# The basis sends the signal itself, from inside a pass, once two results are there.
SIGNALLING = """
import os, signal
from dataclasses import replace
from pathlib import Path
from basisbench import LinearBasis, Site

class Own(LinearBasis):
    def __init__(self, model):
        super().__init__("own", [Site(layer, "mlp_out") for layer in range(model.n_layers)], model.d_model)

    def encode(self, layer, x, units=None):
        number = int(os.environ.get("SIGNAL", 0))
        if number and len(list(Path(os.environ["OUT"]).glob("*.json"))) == 2:
            os.kill(os.getpid(), number)
        return super().encode(layer, x, units)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_stopped_keeps_its_cells_and_goes_on(
    run: Run, tiny_folder: Path, task_folder: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out"
    (tmp_path / "own.py").write_text(SIGNALLING)
    settings = {"bases": f"{tmp_path / 'own.py'}:Own", "methods": "atp,delta", "ablation": "mean,zero"}
    options = settings | {
        "model": str(tiny_folder), "tasks": str(task_folder), "n-discovery": "6", "n-evaluation": "6",
        "sizes": "1,10,100", "out": str(out),
    }  # fmt: skip
    stopped = subprocess.run(
        [sys.executable, "-m", "basisbench", "run", *(f"--{name}={value}" for name, value in options.items())],
        env={**os.environ, "SIGNAL": str(int(number)), "OUT": str(out), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    if number == signal.SIGINT:
        assert stopped.returncode == 130
        assert stopped.stderr.splitlines()[-1].startswith("basisbench: interrupted; finished cells are kept")
        assert "Traceback" not in stopped.stderr
    else:
        assert stopped.returncode == -signal.SIGKILL
    before = whole(out)
    assert len(before) == 2
    report = run(**settings)
    assert (report.reused, len(report.results), report.failures) == (2, 4, ())
    assert {result.name for result in before} < {result.name for result in whole(out)}


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_interruption_that_an_import_swallows_still_ends_the_command(tmp_path: Path) -> None:
    (tmp_path / "yaml.py").write_text(
        "import os, signal\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\nexcept BaseException:\n    pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "basisbench", "run"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 130
    (line,) = done.stderr.splitlines()
    assert line.startswith("basisbench: interrupted")
