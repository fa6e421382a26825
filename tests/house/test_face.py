"""The public face: every name is there, the page tells of it, and what the page shows runs."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import basisbench
from basisbench.models.adapter import Model
from toys.models import pair_rows, write_task

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text("utf-8")


@pytest.mark.parametrize("name", basisbench.__all__)
def test_a_public_name_is_there_with_a_docstring_and_on_the_page(name: str) -> None:
    assert getattr(basisbench, name).__doc__
    assert f"`{name}`" in PAGE


def test_a_name_that_there_is_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'basisbench' has no attribute 'lode_model'"):
        basisbench.lode_model  # noqa: B018


def test_what_the_page_shows_runs(
    tiny: Callable[[str], Model], tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_task(tmp_path / "words", discovery=pair_rows(8), evaluation=pair_rows(8, seed=1))
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        small = code.replace("sva/nounpp", "words").replace("smollm2-135m", str(tiny_folder))
        small = small.replace('"out": ', f'"model": "{tiny_folder}", "sizes": [1, 10], "device": "cpu", "out": ')
        exec(small.replace("[1, 10, 100, 1000]", "[1, 10, 100]"), globals())
    assert list(Path("figures").glob("curves*.svg"))


def test_a_run_takes_settings_a_configuration_or_a_file(tiny_folder: Path, task_folder: Path, tmp_path: Path) -> None:
    settings = {
        "model": str(tiny_folder), "tasks": str(task_folder), "bases": "neurons", "methods": "atp", "sizes": [1, 5],
        "n_discovery": 4, "n_evaluation": 4, "device": "cpu", "out": str(tmp_path / "out"),
    }  # fmt: skip
    file = tmp_path / "grid.yaml"
    file.write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))
    first = basisbench.run(settings)
    for given in (basisbench.make_config(settings), str(file), file):
        again = basisbench.run(given)
        assert again.reused == 1
        assert again.results == first.results
    assert basisbench.read_results(str(tmp_path / "out")) == list(first.results)
