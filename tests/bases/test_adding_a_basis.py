"""What docs/adding-a-basis.md shows works as it stands there: its files are written, registered, checked and run."""

import csv
import hashlib
import random
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import basisbench
from basisbench import Basis, UserError, cli, load_basis
from basisbench.bases.basis import BASES
from basisbench.checks.basis import check_basis
from basisbench.circuits.ranking import Ranking
from basisbench.models.adapter import Model
from basisbench.models.sites import Site
from basisbench.text import sample
from toys.models import LAYERS, VOCABULARY, assert_identity, pair_rows, prompt_set, write_task

DOCUMENT = (Path(__file__).parents[2] / "docs" / "adding-a-basis.md").read_text("utf-8")
# a line that ends in a file's name and a colon, then the file
FILES = dict(re.findall(r"`([\w/.-]+)`:\n\n```\w+\n(.*?)```", DOCUMENT, re.DOTALL))
GROUP = "basisbench.bases"
WIDTH, UNITS, COMPONENTS = 24, 30, 16
Make = Callable[[str], Model]
Command = Callable[..., tuple[int, str, str]]
Array = npt.NDArray[np.float64]


def words(count: int, seed: int) -> str:
    draw = random.Random(seed)
    return " ".join(f"w{draw.randrange(3, VOCABULARY)}" for _ in range(count))


TEXT, OTHER = words(600, 0), words(600, 1)


@pytest.fixture(autouse=True)
def readable_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text in the tiny models' own words: to them all of ours is one unknown word."""
    monkeypatch.setattr(sample, "TEXT", TEXT)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The document's files, and weights for the ReLU dictionary in two of the layers."""
    for name, content in FILES.items():
        (tmp_path / name).write_text(content, "utf-8")
    generator = torch.Generator().manual_seed(0)
    shapes = {"encoder": (UNITS, WIDTH), "decoder": (UNITS, WIDTH), "threshold": (UNITS,), "bias": (WIDTH,)}
    weights = {
        f"{name}.{layer}": torch.randn(*shape, generator=generator) / 5
        for name, shape in shapes.items()
        for layer in (0, 2)
    }
    save_file(weights, tmp_path / "relu.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the document's bases, of which the package is on the path as an installer would leave it."""
    project = tomllib.loads(FILES["pyproject.toml"])["project"]
    points = project["entry-points"][GROUP]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *(f"{n} = {v}" for n, v in points.items())]))
    monkeypatch.syspath_prepend(folder)
    yield list(points)
    for name, value in points.items():
        BASES.entries.pop(name, None)
        sys.modules.pop(value.partition(":")[0], None)


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command with arguments; return exit status, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["basisbench", *map(str, arguments)])
        capsys.readouterr()
        status = cli.command()
        return status, *capsys.readouterr()

    return call


def outputs(model: Model, text: str, layer: int) -> Array:
    """MLP outputs [tokens, width] on rows of 64 tokens, each row passed alone, without the first position."""
    ids = model.tokenizer(text)["input_ids"]
    start = list(model.tokenizer("")["input_ids"])
    body = 64 - len(start)
    found: list[Array] = []
    for begin in range(0, len(ids) - len(start) - body + 1, body):
        row = torch.tensor([start + ids[len(start) :][begin : begin + body]])
        kept: list[torch.Tensor] = []
        with torch.no_grad():
            model.forward(row, torch.tensor([row.shape[1] - 1]), edits=[(Site(layer, "mlp_out"), kept.append)])
        found.append(kept[0][0, 1:].double().numpy())
    return np.concatenate(found)


def svd(x: Array) -> tuple[Array, Array]:
    """Singular values of the centred x, and right singular vectors as rows."""
    _, values, rows = np.linalg.svd(x - x.mean(0), full_matrices=False)
    return values, rows


def everything(basis: Basis, n_slots: int) -> Ranking:
    """Every unit at every slot, and every error."""
    nodes = [
        (layer, slot, unit)
        for layer in basis.layers()
        for slot in range(n_slots)
        for unit in range(basis.n_units(layer) + basis.has_error)
    ]
    layers, slots, units = (torch.tensor(column) for column in zip(*nodes, strict=True))
    is_error = torch.tensor([unit == basis.n_units(layer) for layer, _, unit in nodes])
    return Ranking(layers, slots, units, torch.ones(len(nodes)), is_error, len(nodes), pooled=False)


@pytest.fixture
def task(folder: Path, tiny: Make) -> Path:
    """A task that needs the MLPs: the answer is the token they do most for, the foil the one they do most against."""
    model = tiny("llama")

    def with_answers(row: dict[str, object]) -> dict[str, object]:
        tokens = torch.tensor([model.tokenizer(str(row["clean"]))["input_ids"]])
        last = torch.tensor([tokens.shape[1] - 1])
        off = [(Site(layer, "mlp_out"), torch.zeros_like) for layer in range(LAYERS)]
        with torch.no_grad():
            full, without = (model.logits(model.forward(tokens, last, edits=edits)) for edits in ([], off))
        done = (full - without)[0, 3:]
        return row | {"answer": f" w{3 + int(done.argmax())}", "foil": f" w{3 + int(done.argmin())}"}

    splits = {
        split: [with_answers(row) for row in pair_rows(12, seed=seed)]
        for seed, split in enumerate(("discovery", "evaluation"))
    }
    return write_task(folder / "words", **splits)


# -- the linear one: principal components --------------------------------------------------------------


def test_the_document_has_two_files_and_their_package() -> None:
    assert set(FILES) == {"pca.py", "relu.py", "pyproject.toml"}
    project = tomllib.loads(FILES["pyproject.toml"])
    assert [f"{name}.py" in FILES for name in project["tool"]["setuptools"]["py-modules"]] == [True, True]
    assert len(DOCUMENT.splitlines()) < 200


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma2"])
def test_its_directions_are_those_of_a_singular_value_decomposition(
    architecture: str, folder: Path, tiny: Make
) -> None:
    model = tiny(architecture)
    basis = load_basis("pca.py:pca", model)
    assert basis.layers() == tuple(range(LAYERS))
    for layer in basis.layers():
        site = Site(layer, "mlp_out")
        directions = basis.lift(layer, site, torch.eye(COMPONENTS)).double().numpy()
        values, rows = svd(outputs(model, TEXT, layer))
        assert np.allclose(directions @ directions.T, np.eye(COMPONENTS), atol=1e-5)
        # axes one by one where their variances differ; the space that they span in any case
        apart = np.abs(np.diff(values)) > 1e-2 * values[0]
        clear = [i for i in range(COMPONENTS) if apart[max(0, i - 1)] and apart[i]]
        assert len(clear) >= 3
        assert np.allclose(np.abs((directions * rows[:COMPONENTS]).sum(1))[clear], 1, atol=1e-4)
        assert np.allclose(directions.T @ directions, rows[:COMPONENTS].T @ rows[:COMPONENTS], atol=1e-3)
        biggest = np.abs(directions).argmax(1)
        assert (directions[np.arange(COMPONENTS), biggest] > 0).all()


def test_it_leaves_the_variance_of_the_other_components(folder: Path, tiny: Make) -> None:
    model = tiny("llama")
    seen, unseen = (check_basis(model, load_basis("pca.py:pca", model), [text]) for text in (TEXT, OTHER))
    for report, text in ((seen, TEXT), (unseen, OTHER)):
        assert not report.failed
        for check in report.layers:
            assert check.fit is not None
            assert check.fit.activity.active == COMPONENTS
            _, rows = svd(outputs(model, TEXT, check.layer))
            x = outputs(model, text, check.layer)
            centred = x - x.mean(0)
            left = centred - centred @ rows[:COMPONENTS].T @ rows[:COMPONENTS]
            share = (left**2).sum() / (centred**2).sum()
            assert share > 1e-3
            assert check.fit.unexplained == pytest.approx(share, rel=1e-3)


def test_it_is_the_same_each_time_and_depends_on_the_text(
    folder: Path, tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made() -> tuple[str, torch.Tensor]:
        basis = load_basis("pca.py:pca", tiny("llama"))
        return basis.content, basis.lift(1, Site(1, "mlp_out"), torch.eye(COMPONENTS))

    (content, first), (again, second) = made(), made()
    assert content == again == hashlib.sha256(TEXT.encode()).hexdigest()
    assert torch.equal(first, second)
    monkeypatch.setattr(sample, "TEXT", OTHER)
    content, third = made()
    assert content == hashlib.sha256(OTHER.encode()).hexdigest()
    assert not torch.allclose(first.abs(), third.abs(), atol=1e-2)


@pytest.mark.parametrize("name", ["pca", f"pca:{WIDTH}", "relu"])
def test_everything_kept_is_the_model_itself(name: str, installed: list[str], tiny: Make) -> None:
    model = tiny("llama")
    basis = load_basis(name, model)
    # with all components nothing is left, the mean included
    assert basis.has_error == (name != f"pca:{WIDTH}")
    prompts = prompt_set(model, pair_rows(6))
    assert_identity(model, basis, prompts, everything(basis, prompts.n_slots))


# -- the other one: a ReLU dictionary ------------------------------------------------------------------


def test_the_relu_dictionary_is_its_formula(folder: Path, tiny: Make) -> None:
    model = tiny("llama")
    basis = load_basis("relu.py:relu", model)
    assert list(basis.layers()) == [0, 2]
    assert basis.content == hashlib.sha256((folder / "relu.safetensors").read_bytes()).hexdigest()
    weights = {name: array.double().numpy() for name, array in load_file(folder / "relu.safetensors").items()}
    units = torch.tensor([7, 2, 29])
    for layer in basis.layers():
        x = outputs(model, TEXT, layer)
        f = np.maximum(0, x @ weights[f"encoder.{layer}"].T - weights[f"threshold.{layer}"])
        assert 0.1 < (f > 0).mean() < 0.9
        site, activation = Site(layer, "mlp_out"), torch.tensor(x).float()
        assert np.allclose(basis.encode(layer, activation), f, atol=1e-4)
        assert np.allclose(basis.encode(layer, activation, units), f[:, units], atol=1e-4)
        lifted = basis.lift(layer, site, torch.tensor(f).float())
        assert np.allclose(lifted, f @ weights[f"decoder.{layer}"], atol=1e-3)
        offset = basis.offset(layer, site, activation)
        assert offset is not None
        assert np.allclose(offset, weights[f"bias.{layer}"], atol=1e-6)


def test_check_knows_good_weights_from_bad_ones(folder: Path, tiny: Make, tiny_folder: Path, run_cli: Command) -> None:
    model = tiny("llama")
    good: dict[str, torch.Tensor] = {}
    for layer in range(LAYERS):
        x = outputs(model, TEXT, layer)
        values, rows = svd(x)
        # each component with both of its ends: relu(u) - relu(-u) = u
        both = torch.tensor(np.concatenate([rows[:12], -rows[:12]])).float().contiguous()
        mean = torch.tensor(x.mean(0)).float()
        good |= {f"encoder.{layer}": both, f"decoder.{layer}": both.clone(), f"threshold.{layer}": both @ mean}
        good |= {f"bias.{layer}": mean}
    options = ("--model", tiny_folder, "--device", "cpu")
    save_file(good, folder / "relu.safetensors")
    status, printed, _ = run_cli("check", "relu.py:relu", *options)
    assert (status, "keeps the contract" in printed) == (0, True)
    report = check_basis(model, load_basis("relu.py:relu", model), [TEXT])
    for check in report.layers:
        values, _ = svd(outputs(model, TEXT, check.layer))
        assert check.fit is not None
        assert check.fit.unexplained == pytest.approx((values[12:] ** 2).sum() / (values**2).sum(), rel=1e-3)
        assert check.fit.activity.active == pytest.approx(12)
    save_file(good | {"encoder.1": -3 * good["encoder.1"]}, folder / "relu.safetensors")
    status, printed, _ = run_cli("check", "relu.py:relu", *options)
    assert status == 1
    assert "broken layer 1: explains mlp_out[1] worse than its mean does" in printed


# -- the commands --------------------------------------------------------------------------------------


def test_both_go_from_check_to_the_page(folder: Path, tiny_folder: Path, task: Path, run_cli: Command) -> None:
    (folder / "another.txt").write_text(OTHER)
    on = ("--model", tiny_folder, "--device", "cpu")
    status, printed, _ = run_cli("check", "pca.py:pca", *on, "--text", "another.txt")
    assert status == 0
    assert re.search(rf"\n +0 +mlp_out +{COMPONENTS} +0\.\d+ +{COMPONENTS}\.0 ", printed)
    assert "basis 'pca' keeps the contract" in printed

    run = (
        "run", *on, "--tasks", task, "--bases", "pca.py:pca,relu.py:relu,mlp_out", "--methods", "relp",
        "--n-discovery", 12, "--n-evaluation", 12, "--out", "runs/pca",
    )  # fmt: skip
    status, _, errors = run_cli(*run)
    assert status == 0, errors
    results = {result.cell.basis: result for result in basisbench.read_results(folder / "runs" / "pca")}
    assert set(results) == {"pca", "relu", "mlp_out"}
    slots = results["mlp_out"].total_nodes // (LAYERS * WIDTH)
    assert results["pca"].total_nodes == slots * LAYERS * (COMPONENTS + 1)
    assert results["relu"].total_nodes == slots * 2 * (UNITS + 1)
    # the same site, so the same model with nothing ablated
    assert results["pca"].f_full == pytest.approx(results["mlp_out"].f_full, abs=1e-4)
    for result in results.values():
        assert not result.degenerate
    assert "(3 were there already)" in run_cli(*run)[1]

    status, printed, errors = run_cli("leaderboard", "runs/pca", "--format", "csv")
    assert status == 0, errors
    table = [row for row in csv.DictReader(printed.splitlines()) if row["scope"] == "overall"]
    assert [float(row["rank"]) for row in table] == [1, 2, 3]
    assert {row["basis"] for row in table} == set(results)
    for row in table:
        assert float(row["auc_f"]) == pytest.approx(results[row["basis"]].summary.auc_f.value, abs=1e-3)
    status, printed, errors = run_cli("report", "runs/pca", "--out", "runs/pca/report.html")
    assert status == 0, errors
    page = (folder / "runs" / "pca" / "report.html").read_text("utf-8")
    for result in results.values():
        assert result.name in page


def test_installed_they_take_options(
    installed: list[str], folder: Path, tiny_folder: Path, task: Path, tiny: Make, run_cli: Command
) -> None:
    assert installed == ["pca", "relu"]
    listed = run_cli("list", "bases")[1]
    assert re.search(r"\npca +Principal components of each layer's MLP output", listed)
    assert re.search(r"\nrelu +The dictionary in the file", listed)
    model = tiny("llama")
    assert load_basis("pca", model).n_units(0) == COMPONENTS
    assert load_basis("pca:5", model).n_units(0) == 5
    for wrong in ("0", "25", "-1", "1.5", "many"):
        with pytest.raises(UserError, match=re.escape(f"pca cannot have '{wrong}' components: valid: 1 to {WIDTH}")):
            load_basis(f"pca:{wrong}", model)
    with pytest.raises(UserError, match="no weights nowhere"):
        load_basis("relu:nowhere", model)

    (folder / "relu.safetensors").rename(folder / "weights.safetensors")
    run = (
        "run", "--model", tiny_folder, "--device", "cpu", "--tasks", task,
        "--bases", "pca:5,relu:weights.safetensors", "--methods", "atp",
        "--n-discovery", 12, "--n-evaluation", 12, "--out", "runs",
    )  # fmt: skip
    assert run_cli(*run)[0] == 0
    # other weights under the same name are another basis
    weights = load_file("weights.safetensors")
    save_file({name: 2 * array for name, array in weights.items()}, "weights.safetensors")
    assert "results: 2 in runs (1 were there already)" in run_cli(*run)[1]


def test_the_commands_of_the_document_exist(run_cli: Command) -> None:
    commands = re.findall(r"(?<!from )basisbench ([\w-]+)((?: --?[\w-]+| [\w,./:-]+)*)", DOCUMENT)
    assert {"check", "run", "leaderboard", "report", "list"} <= {name for name, _ in commands}
    for name, arguments in commands:
        result = CliRunner().invoke(cli.app, [name, "--help"])
        assert result.exit_code == 0, name
        for option in re.findall(r"--[\w-]+", arguments):
            assert option in result.output, (name, option)


def test_the_table_names_what_a_basis_has_to_define() -> None:
    rows = "".join(re.findall(r"^\| `.*$", DOCUMENT, re.MULTILINE))
    assert Basis.__abstractmethods__ == set(re.findall(r"`(\w+)\(\w*[),]", rows)) - {"lift(encode"}
