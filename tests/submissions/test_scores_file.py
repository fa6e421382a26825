"""A ranking made by anyone's method: it gets the numbers of a built-in method with the same scores, or one line."""

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from basisbench import UserError, cli, make_config
from basisbench.attribution import load_method
from basisbench.grid import run as runner
from basisbench.progress import silent
from basisbench.results.files import RankingArrays, write_result
from basisbench.results.find import read_arrays, read_result
from basisbench.results.schema import Result
from basisbench.submissions.evaluate_scores import Setting, evaluate_scores, prepare, settled, template_of
from basisbench.submissions.scores_file import About, SubmittedScores, read_scores, write_scores
from basisbench.submissions.validate import validate
from toys.models import one_line, pair_rows

Floats = Any
DOCUMENT = (Path(__file__).parents[2] / "docs" / "submitting.md").read_text("utf-8")
BASIS = """
import torch
from basisbench import LinearBasis, Site

def half(model):
    sites = [Site(layer, "mlp_out") for layer in range(model.n_layers)]
    n = model.d_model // 2
    return LinearBasis("half", sites, model.d_model, lambda layer: torch.eye(model.d_model)[:n], n)
"""


@pytest.fixture(scope="module")
def options(tiny_folder: Path, task_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A cell of a basis with error nodes."""
    file = tmp_path_factory.mktemp("bases") / "own.py"
    file.write_text(BASIS)
    return {
        "model": str(tiny_folder), "task": str(task_folder), "basis": f"{file}:half", "n_discovery": 6,
        "n_evaluation": 6, "device": "cpu",
    }  # fmt: skip


@pytest.fixture(scope="module")
def setting(options: dict[str, Any]) -> Setting:
    return prepare(settled(options))


@pytest.fixture(scope="module")
def scored(setting: Setting) -> dict[int, Floats]:
    """The scores of `relp`, [slots, units and error] by layer."""
    method = load_method("relp")
    found = method(setting.model, setting.discovery, [setting.basis], seed=0, progress=silent)
    return {layer: values.numpy() for layer, values in found["half"].by_layer.items()}


@pytest.fixture(scope="module")
def about(setting: Setting) -> About:
    return template_of(setting)[0].model_copy(update={"name": "mine", "authors": "A. Person"})


def built_in(options: dict[str, Any], out: Path, **more: Any) -> tuple[Result, Path]:
    """The result of `relp` itself."""
    names = {"task": "tasks", "basis": "bases"}
    asked = {names.get(name, name): value for name, value in (options | more).items()}
    ((result,), _, failures, _) = vars(runner.run(make_config(asked | {"methods": "relp", "out": out}))).values()
    assert not failures
    return result, out / f"{result.name}.json"


def listed(scored: dict[int, Floats]) -> RankingArrays:
    """All nodes as a list, in an order that says nothing."""
    rows = [
        (layer, slot, unit if unit < values.shape[1] - 1 else -1, values[slot, unit])
        for layer, values in scored.items()
        for slot in range(values.shape[0])
        for unit in range(values.shape[1])
    ]
    columns = list(zip(*rows, strict=True))
    layer, slot, unit = (np.array(column, np.int32) for column in columns[:3])
    return RankingArrays(layer, slot, unit, np.array(columns[3], np.float32))


def evaluated(options: dict[str, Any], file: Path) -> Result:
    scores = read_scores(file)
    return evaluate_scores(prepare(settled(options, scores)), scores)[0]


def same_numbers(one: Result, other: Result) -> bool:
    parts = ("curve", "summary", "f_full", "f_empty", "total_nodes", "degenerate", "data")
    return all(getattr(one, part) == getattr(other, part) for part in parts)


# -- the numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"rank": "signed"},
        {"positions": "pooled"},
        {"error": "remove"},
        {"error": "keep", "ablation": "zero"},
        {"sizes": "1,7,30", "metric": "logit_difference", "split": "heldout"},
    ],
    ids=str,
)
def test_scores_of_a_built_in_method_give_its_numbers(
    more: dict[str, Any], options: dict[str, Any], scored: dict[int, Floats], about: About, tmp_path: Path
) -> None:
    theirs, path = built_in(options, tmp_path / "runs", **more)
    write_scores(tmp_path / "dense.safetensors", about, scored)
    write_scores(tmp_path / "list.safetensors", about, listed(scored))
    for file in (tmp_path / "dense.safetensors", tmp_path / "list.safetensors"):
        mine = evaluated(options | more, file)
        assert same_numbers(mine, theirs), file
        assert mine.cell.method == "scores:mine"
        named = {"method": "relp", "options": theirs.cell.options}
        assert mine.cell.model_copy(update=named) == theirs.cell
        assert mine.cell.options.keys() == {"basis_sha256", "scores_sha256"}
        assert mine.name != theirs.name
    # nor does it matter whether they come from the result: its nodes beyond the largest size were never used
    assert same_numbers(evaluated(options | more, path), theirs)


def test_scores_without_positions_are_pooled(
    options: dict[str, Any], scored: dict[int, Floats], about: About, tmp_path: Path
) -> None:
    theirs, _ = built_in(options, tmp_path / "runs", positions="pooled")
    pooled = listed({layer: values.sum(0, keepdims=True) for layer, values in scored.items()})
    pooled.position.fill(-1)
    write_scores(tmp_path / "pooled.safetensors", about, pooled)
    mine = evaluated(options, tmp_path / "pooled.safetensors")
    assert mine.cell.positions == "pooled"
    assert mine.curve.size == theirs.curve.size
    assert mine.curve.faithfulness == pytest.approx(theirs.curve.faithfulness, abs=1e-4)
    with pytest.raises(UserError, match="valid is --positions pooled"):
        evaluated(options | {"positions": "kept"}, tmp_path / "pooled.safetensors")


def test_slots_are_matched_by_name(
    setting: Setting, options: dict[str, Any], scored: dict[int, Floats], about: About, tmp_path: Path
) -> None:
    names = list(setting.discovery.slot_names)
    order = [3, 0, 4, 2, 1]
    shuffled = about.model_copy(update={"slot_names": [names[i] for i in order]})
    write_scores(tmp_path / "a.safetensors", about, scored)
    write_scores(tmp_path / "b.safetensors", shuffled, {layer: values[order] for layer, values in scored.items()})
    write_scores(tmp_path / "c.safetensors", shuffled, scored)
    write_scores(
        tmp_path / "d.safetensors", shuffled, listed({layer: values[order] for layer, values in scored.items()})
    )
    a, b, c, d = (evaluated(options, tmp_path / f"{name}.safetensors") for name in "abcd")
    assert same_numbers(a, b)
    assert not same_numbers(a, c)
    assert same_numbers(a, d)


def test_a_short_list_is_measured_at_every_size(
    options: dict[str, Any], scored: dict[int, Floats], about: About, tmp_path: Path
) -> None:
    """What is not listed scores 0: nobody gains by a list that ends before the curve does."""
    everything = listed(scored)
    best = np.argsort(-np.abs(everything.score), kind="stable")[:10]
    short = RankingArrays(*(part[best] for part in vars(everything).values()))
    write_scores(tmp_path / "short.safetensors", about, short)
    write_scores(tmp_path / "all.safetensors", about, everything)
    short_result, whole = (evaluated(options, tmp_path / f"{name}.safetensors") for name in ("short", "all"))
    assert short_result.curve.size == whole.curve.size
    within = sum(size <= 10 for size in whole.curve.size)
    assert short_result.curve.faithfulness[:within] == whole.curve.faithfulness[:within]
    assert short_result.curve.faithfulness[within:] != whole.curve.faithfulness[within:]


def test_errors_without_a_column_score_nothing(
    setting: Setting, options: dict[str, Any], scored: dict[int, Floats], about: About, tmp_path: Path
) -> None:
    write_scores(tmp_path / "units.safetensors", about, {layer: values[:, :-1] for layer, values in scored.items()})
    result = evaluated(options, tmp_path / "units.safetensors")
    n_units = sum(setting.basis.n_units(layer) for layer in setting.basis.layers()) * setting.discovery.n_slots
    errors = dict(zip(result.curve.size, result.curve.error_nodes, strict=True))
    assert all(count == 0 for size, count in errors.items() if size <= n_units // 2)
    assert result.total_nodes == n_units + 3 * setting.discovery.n_slots


def test_another_file_is_another_result(
    setting: Setting, scored: dict[int, Floats], about: About, tmp_path: Path
) -> None:
    names = set()
    for number, factor in enumerate((1.0, 2.0)):
        file = tmp_path / f"{number}.safetensors"
        write_scores(file, about, {layer: factor * values for layer, values in scored.items()})
        result, arrays = evaluate_scores(setting, read_scores(file))
        names.add(write_result(tmp_path / "out", result, arrays).name)
    assert len(names) == 2
    assert "broken" not in {report.verdict for report in validate([tmp_path / "out"])}


# -- what is refused -----------------------------------------------------------------------------------


def refused(tmp_path: Path, arrays: dict[str, Any], metadata: dict[str, str] | None = None) -> str:
    file = tmp_path / "bad.safetensors"
    file.write_bytes(safetensors.numpy.save(arrays, metadata))
    with pytest.raises(UserError) as error:
        read_scores(file)
    assert str(error.value).isprintable()
    return one_line(error)


def nodes(count: int = 3, **change: Any) -> dict[str, Any]:
    at = np.arange(count, dtype=np.int32)
    return {"layer": at * 0, "position": at * 0, "unit": at, "score": at.astype(np.float32)} | change


def test_files_that_hold_no_scores(tmp_path: Path) -> None:
    at = np.arange(3, dtype=np.int64)
    table: list[tuple[dict[str, Any], str]] = [
        ({}, "no scores"),
        ({"weights": at}, "array 'weights' is not known"),
        ({"scores.00": np.zeros((2, 2))}, "'scores.00'"),
        ({"scores.-1": np.zeros((2, 2))}, "'scores.-1'"),
        ({"scores.٣": np.zeros((2, 2))}, "is not known"),
        ({"scores.\x1b[2J": np.zeros((2, 2))}, "is not known"),
        ({f"scores.{10**30}": np.zeros((2, 2))}, "is not known"),
        ({"scores.0": np.zeros(2)}, "valid are 2 dimensions"),
        ({"scores.0": np.zeros((2, 2), np.int32)}, "F32"),
        ({"scores.0": np.array([[0, np.nan]])}, "NaN or infinity"),
        ({"scores.0": np.array([[0, 1e300]])}, "NaN or infinity"),  # infinite as float32
        (nodes(score=np.array([0, np.inf, 0], np.float32)), "NaN or infinity"),
        (nodes(layer=at.astype(np.float32)), "array layer is F32"),
        (nodes(unit=at[:2]), "one length"),
        (nodes(0), "one length, of 1 or more"),
        (nodes(layer=at - 1), "layer is -1 to 1"),
        (nodes(unit=at - 2), "unit is -2 to 0"),
        (nodes(unit=at + 2**31), "unit is 2147483648"),
        (nodes(position=at - 1), "in some entries only"),
        (nodes(position=at - 2), "position is -2"),
        (nodes(unit=at * 0), "layer 0, position 0, unit 0 is listed twice"),
    ]
    for arrays, words in table:
        assert words in refused(tmp_path, arrays), words


def test_metadata_that_say_nothing_sensible(tmp_path: Path) -> None:
    for metadata, words in (
        ({"name": "a b"}, "metadata name"),
        ({"name": "x" * 61}, "metadata name"),
        ({"name": "\\input{x}"}, "metadata name"),
        ({"authors": "\x1b[2J"}, "metadata authors is not printable"),
        ({"authors": "\u202eevil"}, "metadata authors is not printable"),
        ({"n_discovery": "many"}, "metadata n_discovery is not JSON"),
        ({"n_discovery": "0"}, "metadata n_discovery"),
        ({"n_discovery": "true"}, "metadata n_discovery"),
        ({"seed": "-1"}, "metadata seed"),
        ({"slot_names": "[" * 100_000}, "metadata slot_names is not JSON"),
        ({"slot_names": '["a\\u001b"]'}, "metadata slot_names"),
        ({"slot_names": '{"a": 1}'}, "metadata slot_names"),
    ):
        assert words in refused(tmp_path, nodes(), metadata), metadata
    (tmp_path / "good.safetensors").write_bytes(safetensors.numpy.save(nodes(), {"format": "np", "name": "m"}))
    assert read_scores(tmp_path / "good.safetensors").about == About(name="m")


def test_files_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "text").write_text("scores")
    (tmp_path / "bad.json").write_text("{}")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2**31 + 1)
    for name, words in {
        "nowhere": "no file", "folder": "no file", "pipe": "no file", "text": "not a safetensors file",
        "bad.json": "not a valid result", "nowhere.json": "no file", "large": "valid is at most",
    }.items():  # fmt: skip
        with pytest.raises(UserError, match=words) as error:
            read_scores(tmp_path / name)
        one_line(error)


def test_nodes_that_the_basis_or_the_task_lacks(setting: Setting) -> None:
    def refusal(nodes: Any, **about: Any) -> str:
        scores = SubmittedScores(About(name="m", **about), nodes, "0")
        with pytest.raises(UserError) as error:
            evaluate_scores(setting, scores)
        return one_line(error)

    def node(layer: int, position: int, unit: int) -> RankingArrays:
        at = [np.array([part], np.int32) for part in (layer, position, unit)]
        return RankingArrays(at[0], at[1], at[2], np.ones(1, np.float32))

    slots = list(setting.discovery.slot_names)
    assert "no units in layer 3: valid: layers 0 to 2" in refusal(node(3, 0, 0))
    assert "unit 12 of layer 1 is listed: valid: 0 to 11" in refusal(node(1, 0, 12))
    assert "position 5 is listed: valid: 0 to 4" in refusal(node(1, 5, 0))
    assert "no units in layer 7" in refusal({7: np.ones((5, 13), np.float32)})
    assert "[4, 13]: valid is [5, 13]" in refusal({0: np.ones((4, 13), np.float32)}).replace("has the shape ", "")
    assert "valid is [5, 13]" in refusal({0: np.ones((5, 14), np.float32)})
    assert "valid is [4, 13]" in refusal({0: np.ones((5, 13), np.float32)}, slot_names=slots[:4])
    assert "did you mean" in refusal(node(0, 0, 0), slot_names=[slots[0] + "0"])
    assert "twice" in refusal(node(0, 0, 0), slot_names=[slots[0], slots[0]])
    assert "scores of task 'other', not of 'words'" in refusal(node(0, 0, 0), task="other")
    assert "scores of basis 'neurons', not of 'half'" in refusal(node(0, 0, 0), basis="neurons")
    scores = SubmittedScores(About(), node(0, 0, 0), "0")
    with pytest.raises(UserError, match="which method"):
        evaluate_scores(setting, scores)
    no_error = prepare(settled(setting.config.model_dump() | {"basis": "mlp_out"}))
    with pytest.raises(UserError, match="basis 'mlp_out' has none"):
        evaluate_scores(no_error, SubmittedScores(About(name="m"), node(0, 0, -1), "0"))


def test_a_file_cannot_have_code_run(options: dict[str, Any], tmp_path: Path) -> None:
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef half(model): ...")
    about = {"name": "m", "model": options["model"], "task": options["task"], "basis": f"{evil}:half"}
    file = tmp_path / "evil.safetensors"
    file.write_bytes(safetensors.numpy.save(nodes(), about))
    with pytest.raises(UserError, match="is Python code that a file names") as error:
        settled({}, read_scores(file))
    one_line(error)
    assert not (tmp_path / "ran").exists()


def test_what_neither_says_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "bare.safetensors"
    file.write_bytes(safetensors.numpy.save(nodes()))
    with pytest.raises(UserError, match=r"which model.*--model NAME"):
        settled({"task": "ioi", "basis": "neurons"}, read_scores(file))


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_file_is_one_line(data: st.DataObject, about: About, tmp_path: Path) -> None:
    file = tmp_path / "damaged.safetensors"
    write_scores(file, about, RankingArrays(*nodes().values()))
    content = bytearray(file.read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=6)):
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.none() | st.integers(0, len(content)))
    file.write_bytes(bytes(content[:cut]) if data.draw(st.booleans()) else data.draw(st.binary(max_size=200)))
    said = ""
    try:
        read_scores(file)
    except UserError as error:
        said = str(error)
    assert said.isprintable()


# -- the command ---------------------------------------------------------------------------------------

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Run the command in an empty folder; return exit status, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["basisbench", *map(str, arguments)])
        capsys.readouterr()
        status = cli.command()
        return status, *capsys.readouterr()

    return call


def test_from_a_template_to_a_row(run_cli: Command, options: dict[str, Any], tmp_path: Path) -> None:
    asked = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
    status, printed, _ = run_cli("evaluate", "--template", "t.safetensors", *asked)
    assert status == 0
    assert "scores.0 to scores.2: zeros of the shape [5, 13], slots x nodes" in printed
    slots = [part.split(" ", 1) for part in printed.partition("slots: ")[2].splitlines()[0].split(", ")]
    assert [int(number) for number, _ in slots] == list(range(5))
    with safetensors.safe_open(tmp_path / "t.safetensors", framework="np") as file:
        metadata = file.metadata()
        scores = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
    assert json.loads(metadata["slot_names"]) == [name for _, name in slots]
    assert (metadata["task"], metadata["basis"], metadata["n_discovery"]) == ("words", "half", "6")
    assert not any(values.any() for values in scores.values())

    status, printed, errors = run_cli("evaluate", "--scores", "t.safetensors", *asked)
    assert (status, printed) == (2, "")
    assert "which method?" in errors.splitlines()[-1]
    scores["scores.1"][2, 5] = -3.0
    safetensors.numpy.save_file(scores, tmp_path / "m.safetensors", metadata | {"name": "one-node"})
    status, printed, _ = run_cli("evaluate", "--scores", "m.safetensors", *asked, "--out", "there")
    assert status == 0
    assert "scores:one-node" in printed
    path = tmp_path / printed.partition("result: ")[2].strip()
    ranking = read_arrays(path, read_result(path))[1]
    assert (ranking.layer[0], ranking.position[0], ranking.unit[0], ranking.score[0]) == (1, 2, 5, -3.0)
    assert run_cli("validate", "there")[0] == 0


def test_bad_options_are_one_line(run_cli: Command, tmp_path: Path) -> None:
    (tmp_path / "s.safetensors").write_bytes(safetensors.numpy.save(nodes(), {"name": "m", "model": "no-such-model"}))
    for arguments, words in (
        ([], "--scores FILE, or --template FILE"),
        (["--scores", "s.safetensors", "--template", "t"], "--scores FILE, or --template FILE"),
        (["--scores", "s.safetensors"], "which task?"),
        (["--scores", "s.safetensors", "--task", "ioo", "--basis", "neurons"], "did you mean 'ioi'"),
        (["--scores", "s.safetensors", "--task", "ioi", "--basis", "neuron"], "did you mean 'neurons'"),
        (["--scores", "s.safetensors", "--task", "ioi", "--basis", "neurons"], "no-such-model"),
        (["--scores", "s.safetensors", "--task", "ioi", "--basis", "neurons", "--rank", "up"], "setting rank"),
    ):
        status, printed, errors = run_cli("evaluate", *arguments)
        assert (status, printed) == (2, "")
        (line,) = errors.splitlines()
        assert words in line


# -- the document --------------------------------------------------------------------------------------


def test_the_example_of_the_document_works(
    run_cli: Command, tiny_folder: Path, task_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands and the file under "A complete example", with a small model and task for those it names."""
    example = DOCUMENT.partition("## A complete example")[2].partition("\n## ")[0]
    example = example.replace("smollm2-135m", str(tiny_folder)).replace("sva/nounpp", str(task_folder))
    ((name, code),) = re.findall(r"`([\w.]+\.py)`:\n\n```python\n(.*?)```", example, re.DOTALL)
    (tmp_path / name).write_text(code)
    commands = [line for block in re.findall(r"```bash\n(.*?)```", example, re.DOTALL) for line in block.splitlines()]
    assert [command.split()[1] for command in commands] == ["evaluate", name, "evaluate", "validate", "reproduce"]
    for command in commands:
        program, *arguments = command.split()
        if program == "python":
            exec(compile(code, name, "exec"), {"__name__": "__main__"})
            continue
        if arguments[0] == "reproduce":
            arguments = ["reproduce", *map(str, tmp_path.glob(arguments[1]))]
        if arguments[0] in ("evaluate", "reproduce") and "--task" not in arguments:
            arguments += ["--task", str(task_folder)]  # a folder's name in results is not its path
        status, printed, errors = run_cli(*arguments)
        assert status == 0, (command, errors, printed)
    (path,) = (tmp_path / "submission").glob("*.json")
    result = read_result(path)
    assert (result.cell.method, result.cell.basis) == ("scores:delta-norm", "neurons")
    ranking = read_arrays(path, result)[1]
    best = zip(ranking.layer[:20].tolist(), ranking.position[:20].tolist(), ranking.unit[:20].tolist(), strict=True)
    assert list(best) == delta_norm(tiny_folder)[:20]


def delta_norm(tiny_folder: Path) -> list[tuple[int, int, int]]:
    """The example's nodes in order, with none of our code: hooks on a Hugging Face model, pairs by hand."""
    hf = AutoModelForCausalLM.from_pretrained(tiny_folder)
    seen: list[torch.Tensor] = []
    downs = [block.mlp.down_proj for block in hf.model.layers]
    for down in downs:
        down.register_forward_pre_hook(lambda _, given: seen.append(given[0][0]))
    moved = torch.zeros(len(downs), 5, downs[0].in_features)
    for row in pair_rows(6, seed=0):
        for prompt in (row["clean"], row["corrupt"]):
            with torch.no_grad():
                hf(torch.tensor([[int(word[1:]) for word in str(prompt).split()]]))
        moved += (torch.stack(seen[len(downs) :]) - torch.stack(seen[: len(downs)])).abs()
        seen.clear()
    written = torch.stack([down.weight.norm(dim=0) for down in downs])
    order = (moved * written[:, None]).flatten().argsort(descending=True)
    return list(zip(*(part.tolist() for part in torch.unravel_index(order, moved.shape)), strict=True))


def test_the_document_tells_the_truth_about_commands(run_cli: Command) -> None:
    for name in ("validate", "reproduce", "evaluate", "check"):
        assert f"basisbench {name}" in DOCUMENT
    for option in set(re.findall(r"`(--[\w-]+)", DOCUMENT)):
        pages = [run_cli(name, "--help")[1] for name in ("validate", "reproduce", "evaluate", "check", "run")]
        assert any(option in page for page in pages), option
