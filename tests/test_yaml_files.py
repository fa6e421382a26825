"""YAML of others: every way of being wrong is one line."""

from pathlib import Path

import pytest

from basisbench import UserError
from basisbench.yaml_files import read_yaml
from toys.models import one_line


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("", {}),
        ("# nothing\n", {}),
        ("a: 1\nb: [x, 2.5]\n", {"a": 1, "b": ["x", 2.5]}),
        ("base: &b {x: 1}\nmine:\n  <<: *b\n  y: 2\n", {"base": {"x": 1}, "mine": {"x": 1, "y": 2}}),
    ],
)
def test_names_with_values_are_read(text: str, content: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    assert read_yaml(path) == content


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a: [1", "is not YAML"),
        (b"a: b: c", "is not YAML"),
        (b"a: 2001-99-99", "is not YAML: month must be"),
        (b"a: !!float abc", "is not YAML: could not convert"),
        (b"a: " + b"9" * 6000, "is not YAML: Exceeds the limit"),
        (b"a: !!python/object/apply:os.getcwd []", "is not YAML: could not determine a constructor"),
        (b"a: " + b"[" * 5000, "nested too deep"),
        (b"a: 1\nb: 2\na: 3", "'a' stands there twice"),
        (b"- 1\n- 2", "holds no names with values"),
        (b"1: 2", "holds no names with values"),
        (b"a: \xff", "is not YAML"),
        (b"# " + b"x" * 2**20, "larger than 1,048,576 bytes"),
        (b'"\\e[31m": 1\n"\\e[31m": 2', "stands there twice"),
    ],
)
def test_what_is_wrong_is_one_printable_line(text: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(text)
    with pytest.raises(UserError, match=message) as raised:
        read_yaml(path)
    assert one_line(raised).isprintable()


def test_no_file_is_one_line(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(UserError, match="cannot read") as raised:
            read_yaml(path)
        one_line(raised)


def test_names_are_printable(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text('"\\e[31mred": 1\n')
    assert read_yaml(path) == {"?[31mred": 1}
