"""Where results are found: in files of their own, packed, in folders below; and how one of them is named."""

import shutil
from pathlib import Path

import pytest

import basisbench
from basisbench.errors import UserError
from basisbench.leaderboard import build_leaderboard
from basisbench.results.find import PACKED, ResultFolder, find_results, locate, read_arrays, read_result, read_results
from basisbench.results.pack import pack
from basisbench.submissions.validate import validate
from toys.board import TASKS, write_board, write_cell


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Results in three folders, one of them packed; and what is no result."""
    write_board(tmp_path / "one", {"neurons": 0.1})
    write_board(tmp_path / "one" / "inner", {"sae": 0.2})
    write_board(tmp_path / "other", {"mlp_out": 0.3})
    list(pack(tmp_path / "one" / "inner"))
    write_board(tmp_path / "other" / "failures", {"failed": 0.3})
    write_board(tmp_path / "one" / ".hidden", {"hidden": 0.3})
    (tmp_path / "other" / "study.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_results_are_found_in_folders_and_those_below(tree: Path) -> None:
    found = list(find_results([tree]))
    assert [(stored.path.parent.relative_to(tree).as_posix(), stored.result().cell.basis) for stored in found] == [
        (folder, basis)
        for folder, basis in (("one", "neurons"), ("one/inner", "sae"), ("other", "mlp_out"))
        for _ in TASKS
    ]
    assert [bool(stored.packed) for stored in found] == [False, False, True, True, False, False]
    for stored in found:
        assert read_result(stored.path) == read_result(str(stored.path)) == stored.result()
        assert read_arrays(str(stored.path), stored.result())[0].size.tolist() == [1, 10, 100, 1000]
    assert basisbench.read_results(tree) == sorted((stored.result() for stored in found), key=lambda r: r.name)
    assert build_leaderboard([tree]).n_results == len(validate([tree])) == 6
    assert build_leaderboard([tree / "one"]).n_results == 4


def test_one_that_has_files_of_its_own_stands_before_a_packed_one(tree: Path) -> None:
    folder = tree / "one" / "inner"
    path = write_cell(folder, "sae", 0.15)
    (stored,) = [stored for stored in ResultFolder(folder) if not stored.packed]
    assert stored.path == path
    assert len(list(ResultFolder(folder))) == 2
    assert read_result(path) == stored.result() != ResultFolder(folder).packed()[path.stem].result()


def test_what_others_write_meanwhile_is_seen(tmp_path: Path) -> None:
    folder = ResultFolder(tmp_path)
    assert folder.find("ioi__sae__relp__0") is None
    path = write_cell(tmp_path, "sae")
    name = path.stem
    assert folder.find(name) == locate(path)
    list(pack(tmp_path))
    found = folder.find(name)
    assert found
    assert found.packed
    assert found.result().name == name
    (tmp_path / PACKED).unlink()
    assert folder.find(name) is None


def test_a_result_is_named_by_its_file_or_by_a_beginning(tree: Path) -> None:
    for folder, basis in ((tree / "one" / "inner", "sae"), (tree / "one", "neurons")):
        for result in read_results(folder):
            if result.cell.basis == basis:
                for name in (f"{result.name}.json", result.name, result.name[:-14]):
                    assert read_result(folder / name) == result
        with pytest.raises(UserError, match=r"no file .*none\.json: valid is a result file .*, the name of one in"):
            locate(folder / "none.json")
        with pytest.raises(UserError, match=r"no file .*none: valid is"):
            locate(folder / "none")
    inner = tree / "one" / "inner"
    write_board(inner, {"sae_more": 0.2}, ("ioi",))
    with pytest.raises(UserError, match=r"2 results begin as .*ioi__sae does: valid is more of one .*ioi__sae__relp"):
        locate(inner / "ioi__sae")
    with pytest.raises(UserError, match=r"results\.parquet holds 2 results: valid is one of them, .*/NAME\.json"):
        locate(inner / PACKED)
    with pytest.raises(UserError, match="no file"):
        read_result(inner)


def test_a_beginning_is_no_name(tree: Path) -> None:
    name = read_results(tree / "other")[0].name
    with pytest.raises(UserError, match="no file"):
        locate(tree / "other" / f"{name[:-1]}.json")


def test_folders_that_are_not_there(tmp_path: Path) -> None:
    for place in ([tmp_path / "none"], [tmp_path, tmp_path / "none"]):
        with pytest.raises(UserError, match="no folder"):
            list(find_results(place))
    with pytest.raises(UserError, match="no file"):
        locate(tmp_path / "none" / "name")
    with pytest.raises(UserError, match="cannot read the folder"):
        list(ResultFolder(tmp_path / "none"))


def test_a_bad_packed_file_is_one_bad_result(tree: Path) -> None:
    packed = tree / "one" / "inner" / PACKED
    packed.write_bytes(packed.read_bytes()[:-20])
    board = build_leaderboard([tree])
    assert board.n_results == 4
    (problem,) = board.problems
    assert str(packed) in problem
    reports = validate([tree])
    assert [report.path for report in reports if report.result is None] == [packed]
    with pytest.raises(UserError, match="does not end as a Parquet file"):
        locate(packed.parent / "ioi__sae.json")
    with pytest.raises(UserError, match="does not end as a Parquet file"):
        read_results(tree)


def test_folders_may_be_copied_with_their_packed_files(tree: Path) -> None:
    shutil.copytree(tree / "one", tree / "copy")
    board = build_leaderboard([tree])
    assert (board.n_results, board.notes, board.problems) == (6, (), ())
    assert len(read_results(tree)) == 10
