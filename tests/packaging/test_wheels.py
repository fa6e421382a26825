"""The two distributions: what is in them, and that they work elsewhere, beside names made to clash with ours."""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from basisbench.baselines import packed

ROOT = Path(__file__).parents[2]
# the import package's parts, and the folders that they are made of
PARTS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["package-dir"]
SOURCES = (*PARTS.values(), ".ci", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")
# nothing is asked of a network, and nothing of this machine is found
OFFLINE = {"PIP_NO_INDEX": "1", "HF_HUB_OFFLINE": "1", "https_proxy": "http://127.0.0.1:9", "WANDB_MODE": "disabled"}


def checked(*words: str | Path, cwd: Path, own: Mapping[str, str] = {}, status: int = 0) -> str:
    """What a command prints, on both streams, in an environment without this repository's paths."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done: subprocess.CompletedProcess[str] = subprocess.run(
        list(map(str, words)),
        cwd=cwd,
        env={**clean, **OFFLINE, **own},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert done.returncode == status, done.stdout
    return done.stdout


@dataclass(frozen=True)
class Built:
    """The files that were built."""

    sdist: Path
    wheel: Path
    dictionaries: Path


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    """A folder that goes afterwards: pytest would keep a gigabyte."""
    with TemporaryDirectory(prefix="basisbench-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def built(scratch: Path) -> Built:
    """An sdist, a wheel out of it, and the wheel of the dictionaries, built in a copy of the sources."""
    source, out = scratch / "source", scratch / "dist"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            unwanted = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
            shutil.copytree(ROOT / name, source / name, ignore=unwanted)
        else:
            shutil.copy(ROOT / name, source)
    for other in ("tests/test_other.py", "results/other.json", "results/other.py"):
        (source / other).parent.mkdir(exist_ok=True)
        (source / other).write_text("{}")
    build = (sys.executable, "-m", "build", "--no-isolation", "--outdir", out)
    assert "WARNING" not in checked(*build, source, cwd=scratch)
    checked(*build, "--wheel", source / "baselines/smollm2-135m", cwd=scratch)
    shutil.rmtree(source)
    (sdist,), (wheel,), (dictionaries,) = (out.glob(f"{name}") for name in (
        "basisbench-*.tar.gz", "basisbench-*.whl", "basisbench_smollm2_135m-*.whl"
    ))  # fmt: skip
    return Built(sdist, wheel, dictionaries)


def sources() -> set[str]:
    """The files of the import package, by the paths that they are installed at."""
    return {
        f"{part.replace('.', '/')}/{path.relative_to(ROOT / folder).as_posix()}"
        for part, folder in PARTS.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and packed.SHIPPED not in path.parents
    }


def content(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


@pytest.mark.slow
def test_the_wheel_is_small_and_holds_every_file_of_the_package_and_no_other(built: Built) -> None:
    assert content(built.wheel) == sources() | {"basisbench/baselines/smollm2-135m/packed.json"}
    assert {"basisbench/py.typed", "basisbench/boards/gpt2.yaml", "basisbench/sweeps/bases.yaml"} < content(built.wheel)
    assert built.wheel.stat().st_size < 5e6
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", ".ci/backend.py", "harness/py.typed", "boards/gpt2.yaml"} < names
    assert not [name for name in names if name.startswith(("tests", "results")) or name.endswith(".safetensors")]
    assert built.sdist.stat().st_size < 5e6


@pytest.mark.slow
def test_the_wheel_of_the_dictionaries_holds_these_alone(built: Built) -> None:
    files = [*packed.SHIPPED.glob("*.safetensors"), packed.SHIPPED / "card.json", packed.SHIPPED / "README.md"]
    assert content(built.dictionaries) == {f"{packed.PACKAGE}/{path.name}" for path in files}
    assert built.dictionaries.stat().st_size < 100e6  # what the registry takes


@dataclass(frozen=True)
class Elsewhere:
    """An environment of its own with the wheels, and a folder with names that clash."""

    bin: Path
    folder: Path
    cache: Path

    def run(self, command: str, *words: str | Path, status: int = 0) -> str:
        """What a command of the environment prints, run in the folder, without a network."""
        own = {"BASISBENCH_CACHE": str(self.cache), "HOME": str(self.cache)}
        return checked(self.bin / command, *words, cwd=self.folder, own=own, status=status)


def clash(folder: Path) -> Path:
    """Fill a folder with a user's own modules and folders that are called like ours; none of them may be imported."""
    for name in ("tasks.py", "baselines.py", "boards.py", "harness/__init__.py", "basisbench/tasks/__init__.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"raise AssertionError('{name} was imported')\n")
    (folder / "basisbench.yaml").write_text("nonsense: true\n")
    return folder


@pytest.fixture(scope="module")
def elsewhere(scratch: Path, built: Built) -> Elsewhere:
    """An environment that shares only the dependencies with this one."""
    place = scratch / "environment"
    venv.create(place, with_pip=True)
    bin = place / ("Scripts" if os.name == "nt" else "bin")
    (site,) = [Path(line) for line in checked(
        bin / "python", "-c", "import site; print(site.getsitepackages()[-1])", cwd=scratch
    ).splitlines()]  # fmt: skip
    shared = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (site / "shared.pth").write_text("\n".join(shared))
    # whatever of ours the shared folders hold, it is not taken for installed
    install = (bin / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--ignore-installed")
    checked(*install, built.wheel, built.dictionaries, cwd=scratch)
    (scratch / "cache").mkdir()
    return Elsewhere(bin, clash(scratch / "folder"), scratch / "cache")


@pytest.mark.slow
def test_names_that_clash_are_never_imported(elsewhere: Elsewhere) -> None:
    program = (
        "import basisbench, basisbench.shipped_tasks.sva as m; print(basisbench.load_task('sva/rc').name, m.__file__)"
    )
    (elsewhere.folder / "script.py").write_text(program)
    (elsewhere.folder / "test_own.py").write_text(
        "import basisbench\n\n\ndef test_own():\n    assert basisbench.load_task('sva/rc').name == 'sva/rc'\n"
    )
    for words in (["-c", program], ["script.py"]):
        name, file = elsewhere.run("python", *words).split(maxsplit=1)
        assert name == "sva/rc"
        assert elsewhere.bin.parent in Path(file).parents
    assert "1 passed" in elsewhere.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_own.py")
    listed = elsewhere.run("basisbench", "list", "tasks")
    assert listed == elsewhere.run("python", "-m", "basisbench", "list", "tasks")
    assert "sva/within_rc" in listed
    assert str(elsewhere.bin.parent) in elsewhere.run("basisbench", "list", "boards")


@pytest.mark.slow
def test_a_board_is_planned_and_a_cell_is_run_here_and_by_workers(
    elsewhere: Elsewhere, tiny_folder: Path, task_folder: Path
) -> None:
    planned = elsewhere.run("basisbench", "run", "--board", "embedded", "--dry-run")
    assert "16 tasks x 5 bases" in planned
    names = ("--model", tiny_folder, "--tasks", task_folder, "--bases", "neurons", "--methods", "atp")
    cell = ("run", *names, "--sizes", "1,10", "--n-discovery", "4", "--n-evaluation", "4")
    assert "results: 1 in here" in elsewhere.run("basisbench", *cell, "--out", "here")
    ray = ("--engine", "ray", "--address", "local")
    assert "results: 1 in there" in elsewhere.run("basisbench", *cell, *ray, "--out", "there")
    (ours,), (theirs,) = (sorted((elsewhere.folder / out).glob("*.safetensors")) for out in ("here", "there"))
    assert (ours.name, ours.read_bytes()) == (theirs.name, theirs.read_bytes())


@pytest.mark.slow
def test_dictionaries_are_found_without_a_network_and_their_absence_is_one_line(elsewhere: Elsewhere) -> None:
    program = "from basisbench.baselines.packed import unpack; print(len([*unpack('sae', print).iterdir()]))"
    said = "unpacking the sae dictionaries of smollm2-135m, once"
    assert elsewhere.run("python", "-c", program).splitlines() == [said, "30"]
    shutil.rmtree(elsewhere.cache / "dictionaries")
    elsewhere.run("python", "-m", "pip", "uninstall", "--yes", "--quiet", "basisbench-smollm2-135m")
    printed = elsewhere.run("python", "-c", program, status=1).splitlines()
    (line,) = [line for line in printed if line.startswith("basisbench.errors.UserError: ")]
    assert f"cannot fetch {packed.REQUIREMENT} (" in line
    assert "or the folder baselines/smollm2-135m of a clone" in line


def test_an_editable_install_is_found_beside_a_folder_called_basisbench(tmp_path: Path) -> None:
    program = "import basisbench; print(basisbench.load_task('sva/rc').name)"
    assert checked(sys.executable, "-c", program, cwd=clash(tmp_path)) == "sva/rc\n"
    assert "gpt2" in checked(sys.executable, "-m", "basisbench", "list", "boards", cwd=tmp_path)
