"""What docs/adding-a-task.md shows works as it stands there: its files are written out, registered and checked."""

import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from basisbench.checks.task import TaskReport, check_task
from basisbench.cli import app
from basisbench.errors import UserError
from basisbench.models.adapter import Model
from basisbench.models.loading import load_model
from basisbench.tasks.load import load_task
from basisbench.tasks.task import TASKS

DOCUMENT = (Path(__file__).parents[2] / "docs" / "adding-a-task.md").read_text("utf-8")
# a line that ends in a file's name and a colon, then the file
FILES = dict(re.findall(r"`([\w/.-]+)`:\n\n```\w+\n(.*?)```", DOCUMENT, re.DOTALL))
GROUP = "basisbench.tasks"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The document's files."""
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, "utf-8")
    return tmp_path


@pytest.fixture
def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of the document's task, of which the package is on the path as an installer would leave it."""
    project = tomllib.loads(FILES["pyproject.toml"])["project"]
    ((name, value),) = project["entry-points"][GROUP].items()
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {value}\n")
    with pytest.raises(UserError, match=f"unknown task '{name}'"):
        load_task(name)
    monkeypatch.syspath_prepend(folder)
    yield name
    TASKS.entries.pop(name, None)
    sys.modules.pop(value.partition(":")[0], None)


def verdicts(report: TaskReport) -> dict[str, str]:
    return {finding.check: finding.words for finding in report.findings if finding.verdict != "ok"}


def test_the_document_has_all_three_ways() -> None:
    assert set(FILES) == {
        *("country_languages.py", "pyproject.toml", "languages.csv", "languages.yaml"),
        *("languages/discovery.jsonl", "languages/evaluation.jsonl"),
    }
    module = tomllib.loads(FILES["pyproject.toml"])["tool"]["setuptools"]["py-modules"]
    assert [f"{name}.py" in FILES for name in module] == [True]


def test_the_python_file_keeps_the_contract(installed: str) -> None:
    report = check_task(load_task(installed), n=60, seeds=4)
    assert verdicts(report) == {}
    assert len(report.findings) == 8
    assert installed in list(TASKS)
    task = load_task(installed)
    assert TASKS.describe(installed) == task.description
    assert len(task.pairs("evaluation", 40, 0)) == 40


def test_its_pairs_are_of_the_countries_asked(installed: str) -> None:
    known = {"France": " French", "China": " Chinese", "Brazil": " Portuguese", "Korea": " Korean", "Iraq": " Arabic"}
    seen = set()
    for split in load_task(installed).splits:
        for pair in load_task(installed).pairs(split, 100, 1):
            sides = (pair.clean, pair.clean_spans, pair.answers), (pair.corrupt, pair.corrupt_spans, pair.foils)
            for prompt, spans, answers in sides:
                ((_, start, end),) = spans
                country = prompt[start:end]
                assert answers == (known.get(country, *answers),)
                seen.add(country)
    assert known.keys() <= seen


@pytest.mark.parametrize("name", ["languages", "languages.yaml"])
def test_the_folder_and_the_mapping_keep_the_contract(name: str, folder: Path) -> None:
    task = load_task(str(folder / name))
    report = check_task(task, n=10)
    assert verdicts(report) == {}
    for split in ("discovery", "evaluation"):
        (pair, other) = sorted(task.pairs(split, 10, 0), key=lambda pair: pair.clean)
        countries = {"discovery": ("France", "Italy"), "evaluation": ("Japan", "Russia")}[split]
        assert (pair.clean, pair.corrupt) == tuple(f"People in {country} speak" for country in countries)
        assert (pair.answers, pair.foils) == (other.foils, other.answers)


def test_the_commands_of_the_document_exist() -> None:
    commands = re.findall(r"(?<!from )basisbench ([\w-]+)((?: --?[\w-]+| [\w,./-]+)*)", DOCUMENT)
    assert {"check-task", "run", "list", "baseline"} <= {name for name, _ in commands}
    for name, arguments in commands:
        result = CliRunner().invoke(app, [name, "--help"])
        assert result.exit_code == 0, name
        for option in re.findall(r"--[\w-]+", arguments):
            assert option in result.output, (name, option)


def test_the_table_names_every_check(installed: str, tiny: Callable[[str], Model]) -> None:
    report = check_task(load_task(installed), tiny("llama"), n=5, seeds=1)
    rows = re.findall(r"^\| ([a-z][a-z -]+) \|.*\|.*\|$", DOCUMENT.partition("| check |")[2], re.MULTILINE)
    assert rows == [finding.check for finding in report.findings]


@pytest.mark.model
def test_the_embedded_model_can_do_it(installed: str) -> None:
    model, _ = load_model("smollm2-135m", device="cpu")
    report = check_task(load_task(installed), model, n=60, seeds=1)
    assert not report.failed
    assert set(verdicts(report)) <= {"tokens"}
