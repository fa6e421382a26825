"""What docs/adding-a-method.md shows works as it stands there: its file is written, checked, run and reproduced."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

import basisbench
from basisbench import Basis, Method, cli, make_config
from basisbench.attribution import METHODS, Request, ask_scores, load_method
from basisbench.attribution.methods import Passes
from basisbench.bases.basis import LinearBasis
from basisbench.bases.load import load_basis
from basisbench.checks.method import check_method, random_pairs
from basisbench.models.adapter import Model
from basisbench.models.sites import Site
from basisbench.models.tiny import VOCABULARY, tiny_model
from basisbench.prompts.prompt_set import PromptSet
from toys.dictionaries import Variant, basis_of
from toys.models import pair_rows, prompt_set

DOCUMENT = (Path(__file__).parents[2] / "docs" / "adding-a-method.md").read_text("utf-8")
# a line that ends in a file's name and a colon, then the file
FILES = dict(re.findall(r"`([\w/.-]+)`:\n\n```\w+\n(.*?)```", DOCUMENT, re.DOTALL))
NAME = "grad_act.py:GradientTimesActivation"
Make = Callable[[str], Model]
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the document's file, where commands run."""
    for name, content in FILES.items():
        (tmp_path / name).write_text(content, "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["basisbench", *map(str, arguments)])
        capsys.readouterr()
        status = cli.command()
        return status, *capsys.readouterr()

    return call


def test_the_document_has_one_file() -> None:
    assert list(FILES) == ["grad_act.py"]
    assert len(FILES["grad_act.py"].splitlines()) < 60
    assert len(DOCUMENT.splitlines()) < 160


def test_the_document_names_what_there_is() -> None:
    rows = re.findall(r"^\| `(\w+)", DOCUMENT, re.MULTILINE)
    assert [name for name in rows if not hasattr(Method, name)] == []
    assert {name for name in vars(Method) if not name.startswith("_")} - {"name"} == set(rows)
    assert set(re.findall(r'`"(\w+)"`', DOCUMENT)) <= {"run", "site", "basis", "node"}
    assert {Passes(per="site").per, Passes(per="basis").per, Passes(per="node").per} <= set(
        re.findall(r'`"(\w+)"`', DOCUMENT)
    )
    model = tiny_model()
    report = check_method(load_method("atp"), model, random_pairs(model, VOCABULARY))
    table = DOCUMENT.partition("| check | what must hold |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| ([\w ]+) \|", table, re.MULTILINE) == [finding.check for finding in report.findings]


def taken_away(model: Model, prompts: PromptSet, basis: Basis, layer: int) -> Tensor:
    """Scores [n_slots, nodes] by a pass a pair: minus dm/dx . (what a node writes), by autograd at the written site."""
    (site,) = basis.writes(layer)
    total = torch.zeros(prompts.n_slots, basis.n_units(layer) + basis.has_error)
    for pair in range(prompts.n_pairs):
        prompt = int(prompts.pair_prompt[pair])
        last = int(prompts.last[prompt])
        seen: dict[Site, Tensor] = {}

        def keep(site: Site, seen: dict[Site, Tensor] = seen) -> Callable[[Tensor], Tensor]:
            def edit(x: Tensor) -> Tensor:
                seen[site] = x if x.requires_grad else x.detach().requires_grad_()
                return seen[site]

            return edit

        sites = dict.fromkeys([basis.read(layer), site])
        edits = [(one, keep(one)) for one in sites]
        hidden = model.forward(prompts.clean[prompt : prompt + 1, : last + 1], torch.tensor([last]), edits=edits)
        logits = model.logits(hidden)[0]
        m = logits[prompts.answer.tokens[pair, 0]] - logits[prompts.foil.tokens[pair, 0]]
        (gradient,) = torch.autograd.grad(m, seen[site])
        f = basis.encode(layer, seen[basis.read(layer)]).detach()
        alone = torch.diag_embed(f[0])  # [position, unit, unit]: each unit by itself
        written = torch.stack([basis.lift(layer, site, one) for one in alone])
        scores = -(written * gradient[0][:, None]).sum(-1)
        if basis.has_error:
            left = seen[site].detach() - basis.lift(layer, site, f)
            scores = torch.cat([scores, -(left * gradient).sum(-1).T], 1)
        for position in range(last + 1):
            total[prompts.slot[prompt, position]] += scores[position].detach() / prompts.n_pairs
    return total


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma2"])
def test_its_scores_are_those_by_hand(architecture: str, folder: Path, tiny: Make, tmp_path: Path) -> None:
    model = tiny(architecture)
    prompts = prompt_set(model, pair_rows(4, (5, 4)))
    half = LinearBasis("half", [Site(1, "mlp_out")], model.d_model, lambda _: torch.eye(model.d_model)[:10], 10)
    transcoder = basis_of(Variant("transcoder", "ln2.hook_normalized"), model, tmp_path)
    bases: list[Basis] = [load_basis("neurons", model), half, transcoder]
    transcoder.name = "transcoder"
    found = ask_scores(load_method(NAME), Request(model, prompts, bases))
    for basis in bases:
        for layer in basis.layers()[-2:]:
            expected = taken_away(model, prompts, basis, layer)
            torch.testing.assert_close(
                found[basis.name].by_layer[layer], expected, atol=1e-4 * float(expected.abs().max()), rtol=1e-3
            )


def test_its_commands_run(folder: Path, run_cli: Command, tiny_folder: Path, task_folder: Path) -> None:
    """Every command of the document, with a small model and task in place of those it names."""
    words = {
        "smollm2-135m": str(tiny_folder),
        "sva/simple": str(task_folder),
        "run --methods": f"run --model {tiny_folder} --tasks {task_folder} --n-discovery 6 --n-evaluation 6 --methods",
    }
    commands = [line for block in re.findall(r"```bash\n(.*?)```", DOCUMENT, re.DOTALL) for line in block.splitlines()]
    assert [command.split()[1] for command in commands] == ["check-method", "check-method", "run", "leaderboard"]
    for command in commands:
        for theirs, ours in words.items():
            command = command.replace(theirs, ours)
        status, printed, errors = run_cli(*command.split()[1:])
        assert status == 0, (command, printed, errors)
    results = basisbench.read_results(folder / "runs" / "grad_act")
    assert {(r.cell.basis, r.cell.method) for r in results} == {
        (basis, method) for basis in ("neurons", "mlp_out") for method in ("GradientTimesActivation", "relp", "random")
    }
    (mine,) = (r for r in results if (r.cell.basis, r.cell.method) == ("neurons", "GradientTimesActivation"))
    assert mine.cell.options.keys() == {"method_sha256"}
    path = folder / "runs" / "grad_act" / f"{mine.name}.json"
    status, printed, _ = run_cli("reproduce", path, "--method", NAME, "--task", task_folder)
    assert status == 0
    assert "reproduced: nothing moved" in printed


@pytest.fixture
def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name that the document's entry point gives the method, on the path as an installer would leave it."""
    name, value = re.findall(r'`(\w+) = "([\w.:]+)"`', DOCUMENT)[0]
    (group,) = re.findall(r'\[project\.entry-points\."([\w.]+)"\]', DOCUMENT)
    info = folder / "grad_act-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: grad_act\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {value}\n")
    monkeypatch.syspath_prepend(folder)
    yield name
    METHODS.entries.pop(name, None)
    sys.modules.pop("grad_act", None)


def test_it_is_installed_under_a_name(installed: str, run_cli: Command) -> None:
    assert load_method(installed).name == "grad_act"
    status, printed, _ = run_cli("list", "methods")
    assert status == 0
    assert re.search(r"^grad_act +Gradient times activation on the clean prompt\.$", printed, re.MULTILINE)


def test_an_object_is_taken_as_the_document_says(folder: Path, tiny_folder: Path, task_folder: Path) -> None:
    settings = {"model": str(tiny_folder), "tasks": str(task_folder), "bases": "neurons", "methods": "mine"}
    small = {"sizes": "1,10", "n_discovery": 6, "n_evaluation": 6, "out": folder / "out"}
    config = make_config(settings | small)
    method = load_method(NAME)
    method.name = "mine"
    report = basisbench.run(config, methods={"mine": method})
    assert [result.cell.method for result in report.results] == ["mine"]
