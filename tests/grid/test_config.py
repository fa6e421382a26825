"""Settings from defaults, a file and options; what is wrong is one line."""

from pathlib import Path
from typing import Any, Self

import pytest
from pydantic import BaseModel, model_validator

from basisbench import RunConfig, UserError, make_config
from basisbench.errors import unknown_name
from basisbench.settings import make_settings


def refusal(options: dict[str, Any], file: Path | None = None) -> str:
    with pytest.raises(UserError) as caught:
        make_config(options, file)
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return message


def test_no_settings_are_the_quickstart() -> None:
    config = make_config({})
    assert config == RunConfig()
    assert config.sizes[:7] == [1, 2, 3, 5, 7, 10, 20]
    assert config.sizes[-1] == 10_000


def test_names_and_sizes_are_lists_or_lines() -> None:
    line = make_config({"tasks": "a, b,a", "bases": "x", "sizes": "100, 1,10,10"})
    assert (line.tasks, line.bases, line.sizes) == (["a", "b"], ["x"], [1, 10, 100])
    assert make_config({"tasks": ["a", "b"], "bases": ["x"], "sizes": [1, 10, 100]}) == line


def test_options_go_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text("tasks: [sva/rc, sva/simple]\nmethods: ig\nseed: 3\nout: there\nsizes: [5, 1]\n")
    config = make_config({"seed": 4, "methods": "atp"}, file)
    assert (config.tasks, config.methods, config.seed) == (["sva/rc", "sva/simple"], ["atp"], [4])
    assert (config.out, config.sizes, config.n_discovery) == (Path("there"), [1, 5], 32)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"basis": "neurons"}, "unknown setting 'basis': did you mean 'bases'? valid: "),
        ({"seed": "one"}, "setting seed: "),
        ({"seed": -1}, "got -1"),
        ({"seed": 2**64}, "setting seed: "),
        ({"n_discovery": 0}, "setting n_discovery: "),
        ({"sizes": "1,x"}, "got 'x'"),
        ({"sizes": "0"}, "setting sizes: "),
        ({"sizes": ""}, "setting sizes: "),
        ({"tasks": ""}, "setting tasks: "),
        ({"tasks": "a,,b"}, "got ''"),
        ({"bases": 7}, "setting bases: "),
        ({"bases": ["a\nb"]}, "setting bases: "),
        ({"model": "m" * 501}, "setting model: "),
        ({"rank": "absolute"}, "Input should be 'abs' or 'signed', got 'absolute'"),
        ({"positions": "all"}, "'kept' or 'pooled'"),
        ({"error": "drop"}, "'score', 'keep' or 'remove'"),
        ({"split": "test"}, "'evaluation', 'heldout' or 'heldout_templates'"),
        ({"dtype": "float8"}, "'float32', 'bfloat16', 'float16' or 'float64'"),
        ({"model": None}, "setting model: "),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(options: dict[str, Any], expected: str) -> None:
    message = refusal(options)
    assert expected in message
    assert len(message) < 300


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"bases: [neurons\n", "is not YAML"),
        (b"bases: \xff\n", "is not YAML"),
        (b"just words\n", "holds no settings: valid: lines such as 'bases: [neurons, mlp_out]'"),
        (b"", "holds no settings"),
        (b"seeds: 1\n", "unknown setting 'seeds': did you mean 'seed'?"),
        (b"1: 2\n", "unknown setting '1'"),
        (b"tasks: {a: b}\n", "setting tasks: "),
        (b"out: [1]\n", "setting out: "),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, content: bytes, expected: str) -> None:
    file = tmp_path / "grid.yaml"
    file.write_bytes(content)
    assert expected in refusal({}, file)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    assert "No such file" in refusal({}, tmp_path / "none.yaml")
    assert "Is a directory" in refusal({}, tmp_path)


class _Pair(BaseModel):
    low: int = 0
    high: int = 1

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


def test_settings_that_do_not_go_together_are_one_line() -> None:
    assert make_settings(_Pair, {"low": 1}).low == 1
    with pytest.raises(UserError) as error:
        make_settings(_Pair, {"low": 2})
    assert str(error.value) == "low is above high"


def test_beside_the_nearest_name_a_long_list_is_cut() -> None:
    names = [f"name_{i:03}" for i in range(100)]
    near, far = str(unknown_name("task", "name_0100", names)), str(unknown_name("task", "zzz", names))
    assert near.startswith("unknown task 'name_0100': did you mean 'name_010'? valid: name_000, ")
    assert near.endswith(" ...")
    assert len(near) < 300
    assert far == f"unknown task 'zzz': valid: {', '.join(names)}"
