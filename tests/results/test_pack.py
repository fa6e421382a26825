"""Packing a folder: nothing is lost, whatever happens meanwhile, and nothing that is not a result is touched."""

import csv
import hashlib
import io
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from filelock import FileLock

from basisbench.errors import UserError
from basisbench.results.files import name_arrays
from basisbench.results.find import PACKED, ResultFolder, read_results
from basisbench.results.pack import SUMMARIES, PackReport, pack
from basisbench.results.summaries import summary_csv
from toys.board import write_board, write_cell

Contents = dict[str, tuple[bytes, dict[str, bytes]]]


def contents(folder: Path) -> Contents:
    """Every result of one folder, as it is read: its document and the bytes of its arrays."""
    found = {}
    for stored in ResultFolder(folder):
        arrays = name_arrays(*stored.arrays(stored.result()))
        found[stored.path.name] = stored.document(), {name: array.tobytes() for name, array in arrays.items()}
    return found


def names(folder: Path) -> set[str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.parent.name != ".claims")
    return {path.relative_to(folder).as_posix() for path in files}


def packed(folder: Path, **options: Any) -> PackReport:
    (report,) = pack(folder, **options)
    return report


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_board(tmp_path / "runs", {"neurons": 0.1, "sae": 0.2})


def test_a_folder_becomes_one_file_and_its_table(folder: Path) -> None:
    before = contents(folder)
    size = sum(path.stat().st_size for path in folder.iterdir())
    (folder / "failures").mkdir()
    others = [
        "results.md",
        "curves.png",
        "notes.json",
        "failures/ioi__sae__atp__00.json",
        "ioi__sae__atp__01.safetensors",
    ]
    for name in others:
        (folder / name).write_text("{}")
    report = packed(folder)
    assert (report.results, report.new, report.before, report.problems) == (4, 4, size, ())
    assert report.after == (folder / PACKED).stat().st_size < size / 2
    assert names(folder) == {PACKED, SUMMARIES, *others}
    assert contents(folder) == before


def test_the_same_results_give_the_same_files(folder: Path, tmp_path: Path) -> None:
    again = shutil.copytree(folder, tmp_path / "again")
    packed(folder)
    packed(again)
    for name in (PACKED, SUMMARIES):
        assert (folder / name).read_bytes() == (again / name).read_bytes()
    # nor does it matter in how many steps
    steps = tmp_path / "steps"
    write_board(steps, {"sae": 0.2})
    packed(steps)
    write_board(steps, {"neurons": 0.1})
    report = packed(steps)
    assert (report.results, report.new) == (4, 2)
    for name in (PACKED, SUMMARIES):
        assert (folder / name).read_bytes() == (steps / name).read_bytes()


def test_their_own_files_may_stay_and_go_later(folder: Path) -> None:
    before, files = contents(folder), names(folder)
    assert packed(folder, keep=True).new == 4
    assert names(folder) == files | {PACKED, SUMMARIES}
    assert contents(folder) == before
    made = (folder / PACKED).stat()
    report = packed(folder)
    assert (report.results, report.new) == (4, 0)
    assert names(folder) == {PACKED, SUMMARIES}
    assert (folder / PACKED).stat() == made
    assert contents(folder) == before
    assert packed(folder) == report.__class__(folder, 4, 0, report.after, report.after, ())


def test_each_folder_is_packed_by_itself(folder: Path) -> None:
    write_board(folder / "a" / "b", {"sae": 0.3})
    (folder / "empty").mkdir()
    hidden = write_cell(folder / ".hidden", "sae")
    reports = list(pack(folder))
    assert [(report.folder, report.results) for report in reports] == [(folder, 4), (folder / "a" / "b", 2)]
    assert hidden.exists()
    assert names(folder / "a") == {f"b/{PACKED}", f"b/{SUMMARIES}"}


def test_a_folder_without_results_is_one_line(tmp_path: Path) -> None:
    for place, words in ((tmp_path / "none", "no folder"), (tmp_path, "no results in")):
        with pytest.raises(UserError, match=words):
            list(pack(place))


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    arrays = safetensors.numpy.load_file(path.with_suffix(".safetensors"))
    edit(arrays)
    path.with_suffix(".safetensors").write_bytes(safetensors.numpy.save(arrays))


def rehash(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Change the arrays, and the hash in the document with them."""

    def digest() -> str:
        return hashlib.sha256(path.with_suffix(".safetensors").read_bytes()).hexdigest()

    before = digest()
    change(path, edit)
    path.write_text(path.read_text().replace(before, digest()))


def test_what_cannot_be_packed_is_left_as_it_is(folder: Path) -> None:
    whole = contents(folder)
    torn, narrow, strange, renamed, cut, linked = (
        write_cell(folder, basis) for basis in ("torn", "narrow", "strange", "renamed", "cut", "linked")
    )
    change(torn, lambda arrays: arrays["full.kl"].__iadd__(1))
    rehash(narrow, lambda arrays: arrays.update(size=arrays["size"].astype(np.int16)))
    rehash(strange, lambda arrays: arrays.update(more=np.zeros(3)))
    for suffix in (".json", ".safetensors"):
        renamed.with_suffix(suffix).rename(renamed.with_name(f"a__b__c__0{suffix}"))
    cut.write_bytes(cut.read_bytes()[:100])
    linked.rename(linked.with_name("elsewhere"))
    linked.symlink_to(linked.with_name("elsewhere"))
    before = names(folder)
    report = packed(folder)
    assert report.results == 4
    assert len(report.problems) == 6
    words = {
        "a__b__c__0": "holds the result", "ioi__cut": "Invalid JSON", "ioi__linked": "is a link",
        "ioi__narrow": "kept as int16, as older versions", "ioi__strange": "not laid out as",
        "ioi__torn": "arrays_sha256 differs",
    }  # fmt: skip
    for line, (name, said) in zip(report.problems, words.items(), strict=True):
        assert name in line
        assert said in line
    left = {name for name in before if name.startswith((*words, "elsewhere"))}
    assert names(folder) == {PACKED, SUMMARIES, *left}
    for file in left:
        (folder / file).unlink()
    assert contents(folder) == whole


def test_other_numbers_under_a_packed_name_are_not_packed_over_it(folder: Path) -> None:
    packed(folder)
    path = write_cell(folder, "sae", 0.25)
    before = (folder / PACKED).read_bytes()
    report = packed(folder)
    assert [str(path) in line and "move it away" in line for line in report.problems] == [True]
    assert path.exists()
    assert (folder / PACKED).read_bytes() == before


def test_a_packed_file_that_cannot_be_read_is_not_packed_over(folder: Path) -> None:
    packed(folder)
    write_cell(folder, "mlp_out")
    before = (folder / PACKED).read_bytes()
    for content in (before[:-1], b"", before[:8] + b"\xff" * 40 + before[48:]):
        (folder / PACKED).write_bytes(content)
        with pytest.raises(UserError, match="restore the file, or move it away"):
            packed(folder)
        assert (folder / PACKED).read_bytes() == content
        assert len(names(folder)) == 4


def test_what_was_written_is_compared_before_anything_is_removed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, files = contents(folder), names(folder)
    write = sys.modules["basisbench.results.pack"].write_packed

    def another(file: Any, cells: Any) -> None:
        rows = [(name, text.replace(b'"toy"', b'"tou"', 1), curve, ranking) for name, text, curve, ranking in cells]
        write(file, rows)

    def other_arrays(file: Any, cells: Any) -> None:
        rows = list(cells)
        write(file, [(*row[:3], rows[0][3].__class__(*(a[:2] for a in vars(row[3]).values()))) for row in rows])

    for wrong, words in ((another, "another document"), (other_arrays, "arrays_sha256 differs")):
        monkeypatch.setattr("basisbench.results.pack.write_packed", wrong)
        with pytest.raises(UserError, match=words):
            packed(folder)
        assert names(folder) == files
        assert contents(folder) == before


def test_two_cannot_pack_a_folder_at_once(folder: Path) -> None:
    (folder / ".claims").mkdir()
    with FileLock(folder / ".claims" / "pack.lock"), pytest.raises(UserError, match="another process packs"):
        packed(folder)


# -- the table -------------------------------------------------------------------------------------------


def test_the_table_says_what_the_results_say(folder: Path) -> None:
    write_cell(folder, "=evil()", task="@task", seed=3)
    packed(folder)
    results = read_results(folder)
    text = (folder / SUMMARIES).read_text()
    assert text == summary_csv(results[::-1])
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["name"] for row in rows] == sorted(result.name for result in results)
    assert list(rows[0])[:5] == ["name", "task", "basis", "method", "seed"]
    for row, result in zip(rows, results, strict=True):
        assert row["basis"].removeprefix("'") == result.cell.basis
        assert not row["basis"].startswith("=")
        assert not row["task"].startswith("@")
        summary = result.summary
        assert float(row["auc_f"]) == pytest.approx(summary.auc_f.value, rel=1e-3)
        assert float(row["auc_f_high"]) == pytest.approx(summary.auc_f.high, rel=1e-3)
        assert float(row["nodes_at_0.8"]) == summary.nodes_at_08.value
        assert float(row["F_full"]) == pytest.approx(result.f_full, rel=1e-3)
        assert row["degenerate"] == str(result.degenerate)


# -- death in the middle ---------------------------------------------------------------------------------

DIE = textwrap.dedent(
    """
    import os, shutil, signal, sys
    from pathlib import Path
    from basisbench.results.pack import pack

    def at_step(folder, last):
        '''Pack, and be killed before the operation on files of the folder that has this number.'''
        count = 0
        def watch(event, arguments):
            nonlocal count
            if event in ("open", "os.rename", "os.remove", "os.mkdir") and str(folder) in str(arguments[0]):
                count += 1
                if count == last:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(watch)
        list(pack(folder))

    source, target = map(Path, sys.argv[1:])
    step = 0
    while True:
        step += 1
        folder = shutil.copytree(source, target / str(step))
        # pyarrow has started no thread in this process yet
        child = os.fork()
        if child == 0:
            at_step(folder, step)
            os._exit(0)
        if os.waitpid(child, 0)[1] == 0:
            break
    print(step)
    """
)


def test_whoever_is_killed_loses_nothing(folder: Path, tmp_path: Path) -> None:
    """By SIGKILL, before each operation on files in turn, with results that are packed and results that are not."""
    packed(folder)
    write_cell(folder, "mlp_out")
    write_cell(folder, "attn_out")
    before = contents(folder)
    target = tmp_path / "killed"
    command = [sys.executable, "-c", DIE, str(folder), str(target)]
    steps = int(subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ).stdout)
    assert steps > 20
    whole = set()
    for step in range(1, steps + 1):
        killed = target / str(step)
        assert contents(killed) == before, step
        whole.add(len(names(killed)))
        report = packed(killed)
        assert report.problems == ()
        assert names(killed) == {PACKED, SUMMARIES}, step
        assert contents(killed) == before
    assert len(whole) > 3, "killed with files of several stages lying there"


def test_whoever_is_killed_at_any_time_loses_nothing(folder: Path, tmp_path: Path) -> None:
    before = contents(folder)
    code = "import pathlib, sys; from basisbench.results.pack import pack; print(flush=True); "
    code += "list(pack(pathlib.Path(sys.argv[1])))"
    draw = np.random.default_rng(0)
    for number in range(8):
        killed = shutil.copytree(folder, tmp_path / str(number))
        process = subprocess.Popen([sys.executable, "-c", code, str(killed)], stdout=subprocess.PIPE)
        assert process.stdout
        process.stdout.readline()
        try:
            process.wait(float(draw.uniform(0, 0.15)))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        assert contents(killed) == before
        packed(killed)
        assert names(killed) == {PACKED, SUMMARIES}
        assert contents(killed) == before
