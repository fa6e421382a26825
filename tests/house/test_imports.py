"""The house: rooms stand on rooms below them, no circle, and what must be light is light."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
# bottom to top: a room imports from itself and from rooms before it (docs/architecture.md)
ROOMS = (
    *("errors", "values", "writing", "progress", "registry", "user_code", "cache", "yaml_files", "settings"),
    *("measures", "models", "tasks", "prompts", "bases", "circuits", "attribution", "results", "text", "checks"),
    *("leaderboard", "figures", "tracking", "training", "reading", "tracing", "steering"),
    *("grid", "engines", "submissions", "pages", "cli"),
)
# the shipped ingredients: what they may stand on
INGREDIENTS = {"shipped_tasks": "tasks", "baselines": "bases", "boards": "errors", "sweeps": "errors"}
FACE = ("basisbench", "basisbench.__main__")


def modules() -> dict[str, Path]:
    """Every module of the import package, by name."""
    found = {}
    for package, folder in SETUPTOOLS["package-dir"].items():
        for path in (ROOT / folder).rglob("*.py"):
            inner = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join((package, *inner)).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imports_of(name: str) -> Iterator[str]:
    """The package's modules that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(MODULES[name].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute"
            if node.module in MODULES:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield inner if inner in MODULES else node.module


def room(name: str) -> str:
    return name.split(".")[1]


@pytest.mark.parametrize("name", sorted(set(MODULES) - set(FACE)))
def test_a_module_stands_on_rooms_below_it(name: str) -> None:
    own = room(name)
    if own in INGREDIENTS:
        allowed = {own, *ROOMS[: ROOMS.index(INGREDIENTS[own]) + 1]}
    else:
        allowed = set(ROOMS[: ROOMS.index(own) + 1])
    assert {room(other) for other in imports_of(name) if other not in FACE} <= allowed


def test_every_room_is_listed_in_its_place() -> None:
    assert {room(name) for name in MODULES if name not in FACE} == {*ROOMS, *INGREDIENTS}


def test_no_module_imports_itself_round_a_circle() -> None:
    graph = {name: set(imports_of(name)) - {"basisbench"} for name in MODULES if name != "basisbench"}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


def test_the_distribution_lists_every_package() -> None:
    packages = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    assert set(SETUPTOOLS["packages"]) == packages


LIGHT = (
    *("basisbench", "basisbench.results", "basisbench.settings", "basisbench.tasks", "basisbench.grid.config"),
    "basisbench.cli",
)


@pytest.mark.parametrize("name", LIGHT)
def test_reading_results_and_settings_loads_nothing_heavy(name: str) -> None:
    heavy = ("torch", "transformers", "datasets", "transformer_lens", "sae_lens", "matplotlib", "wandb")
    code = f"import sys, {name}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "docs")
    assert done.stdout.strip() == "[]"
