"""What docs/adding-a-site.md shows works as it stands there: its file is checked and run, its table is the record."""

import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from basisbench import UserError, cli, load_basis, read_results
from basisbench.models.adapter import Model
from basisbench.models.sites import SITES, Site, SiteKind
from toys.models import LAYERS

DOCUMENT = (Path(__file__).parents[2] / "docs" / "adding-a-site.md").read_text("utf-8")
FILES = dict(re.findall(r"`([\w/.-]+)`:\n\n```\w+\n(.*?)```", DOCUMENT, re.DOTALL))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The document's file; what it registers is taken away again."""
    (tmp_path / "attention_input.py").write_text(FILES["attention_input.py"], "utf-8")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    SITES.entries.pop("attn_in", None)


def test_its_file_is_run_and_may_be_imported_again(folder: Path, tiny_folder: Path, task_folder: Path) -> None:
    on = ["--model", str(tiny_folder), "--device", "cpu"]
    named = "attention_input.py:attention_input"
    checked = CliRunner().invoke(cli.app, ["check", named, *on], env={"COLUMNS": "200"})
    assert checked.exit_code == 0, checked.output
    assert "basis 'attention_input' keeps the contract" in checked.output
    sizes = ["--n-discovery", "6", "--n-evaluation", "6", "--sizes", "1,10,100"]
    run = ["run", *on, "--tasks", str(task_folder), "--bases", f"{named},attn_out", "--methods", "relp,atp", *sizes]
    done = CliRunner().invoke(cli.app, [*run, "--out", "runs/attention"])
    assert done.exit_code == 0, done.output
    found = {(result.cell.basis, result.cell.method): result for result in read_results(folder / "runs" / "attention")}
    assert {basis for basis, _ in found} == {"attention_input", "attn_out"}
    # the same model, ablated elsewhere
    first, second = (found[basis, "relp"] for basis in ("attention_input", "attn_out"))
    assert first.f_full == pytest.approx(second.f_full, abs=1e-4)
    assert first.curve.faithfulness != second.curve.faithfulness


def test_a_name_that_is_taken_is_not_taken_twice(folder: Path, tiny: Callable[[str], Model]) -> None:
    (folder / "own.py").write_text(FILES["attention_input.py"].replace('"attn_in"', '"mlp_in"'))
    with pytest.raises(UserError, match="ValueError: kind of site 'mlp_in' is registered twice"):
        load_basis("own.py:attention_input", tiny("llama"))
    assert SITES.get("mlp_in").hook == "mlp.hook_in"


def test_a_model_without_the_hook_point_is_refused_by_name(folder: Path, tiny: Callable[[str], Model]) -> None:
    (folder / "own.py").write_text(FILES["attention_input.py"].replace("attn.hook_in", "attention.hook_in"))
    with pytest.raises(UserError, match="model 'llama' has no hook point attn_in: valid: attn_out, attn_proj"):
        load_basis("own.py:attention_input", tiny("llama"))


def test_an_installed_package_adds_a_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_sites.py").write_text(
        "from basisbench.models.sites import SiteKind\n"
        "LN = SiteKind('ln1_out', 'ln1.hook_out', 'After the first norm.')\n"
    )
    (tmp_path / "their_sites-1.0.dist-info").mkdir()
    (tmp_path / "their_sites-1.0.dist-info" / "METADATA").write_text("Name: their-sites\nVersion: 1.0\n")
    (tmp_path / "their_sites-1.0.dist-info" / "entry_points.txt").write_text(
        "[basisbench.sites]\nln1_out = their_sites:LN\n"
    )
    with pytest.raises(UserError, match="unknown kind of site 'ln1_out'"):
        Site(0, "ln1_out")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert Site(LAYERS, "ln1_out").spec.hook == "ln1.hook_out"
        assert SITES.describe("ln1_out") == "After the first norm."
    finally:
        SITES.entries.pop("ln1_out", None)


def test_the_table_names_what_a_kind_says() -> None:
    rows = re.findall(r"^\| (`.*?) \|", DOCUMENT, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == {field.name for field in fields(SiteKind)} - {"name", "description"}


def test_the_options_of_its_commands_exist() -> None:
    for name, arguments in re.findall(r"^basisbench ([\w-]+)(.*)$", DOCUMENT, re.MULTILINE):
        result = CliRunner().invoke(cli.app, [name, "--help"], env={"COLUMNS": "200"})
        assert result.exit_code == 0
        for option in re.findall(r"--[\w-]+", arguments):
            assert option in result.output
