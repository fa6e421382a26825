"""What tells results apart: read off the records of a cell's settings; the names of results that it decides stay."""

from typing import Any

import pytest

from basisbench import make_config
from basisbench.results.schema import Cell, result_name
from basisbench.results.settings import CONDITIONS, QUESTION, TOLD, UNSAID, identity_of, settings_of, shared, varying
from basisbench.results.tables import markdown_table, shared_settings, varying_settings
from basisbench.values import size_grid
from toys.made import made

MODEL = "3874e80a7a0fc9f862f429c1f654f48eda6faed6fa5d8ca3f361ed7f3bbcb7ff"
# committed results: what was asked beside the defaults, the hash of the pairs, the name
COMMITTED: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    ({}, {"task": "sva/nounpp", "basis": "neurons"}, "24b376a77400ebfb", "sva-nounpp__neurons__relp__4d7069bbaf992287"),
    (
        {"require_correct": True},
        {"task": "capitals/two_hop", "basis": "sae", "seed": 1, "options": {"content": "smollm2-135m-sae-57f2f1e3"}},
        "020865cce66b2537",
        "capitals-two_hop__sae__relp__db12aba37f40a615",
    ),
    (
        {},
        {
            "task": "sva/rc",
            "basis": "transcoder",
            "error": "remove",
            "options": {"content": "smollm2-135m-transcoder-3d132458"},
        },
        "41a9eca718f02d05",
        "sva-rc__transcoder__relp__7fdc038174b72b6a",
    ),
]
OTHER: dict[str, Any] = {
    "model": "other", "ablation": "zero", "positions": "pooled", "rank": "signed", "error": "keep", "n_discovery": 7,
    "n_evaluation": 7, "split": "heldout", "dtype": "bfloat16", "grid": [1, 10], "metric": "log_probability",
    "answers": "whole", "chat": True, "require_correct": True,
}  # fmt: skip
SHOWN = {"grid": "sizes"}


@pytest.mark.parametrize(("settings", "own", "data", "name"), COMMITTED)
def test_the_names_of_committed_results_stay(
    settings: dict[str, Any], own: dict[str, Any], data: str, name: str
) -> None:
    asked = {"model": "smollm2-135m", "method": "relp", "ablation": "mean", "error": "score", "seed": 0, **own}
    assert result_name(make_config(settings).cell(**asked), MODEL, data) == name


def cell(**changes: Any) -> Cell:
    return made(**changes).cell


def test_every_setting_is_a_question_or_a_condition_once() -> None:
    assert set(TOLD) == set(OTHER)
    assert not set(QUESTION) & set(CONDITIONS)
    assert {"model", "split", "metric", "n_discovery", "n_evaluation"} <= set(QUESTION)
    assert {"model_hash", "ablation", "positions", "rank", "error", "dtype", "sizes"} == set(CONDITIONS)
    # what says who answered, or with which luck, is neither
    assert not {"basis", "method", "task", "seed"} & {*QUESTION, *CONDITIONS}


@pytest.mark.parametrize("name", OTHER)
def test_a_setting_that_differs_tells_results_apart(name: str) -> None:
    first, second = cell(), cell(**{name: OTHER[name]})
    words = [settings_of(one, MODEL) for one in (first, second)]
    assert varying(words) == [SHOWN.get(name, name)]
    assert identity_of(first, MODEL) != identity_of(second, MODEL)
    assert result_name(first, MODEL, "d") != result_name(second, MODEL, "d")
    # and is a column of the table of results
    results = [made(), made(**{name: OTHER[name]})]
    assert varying_settings(results) == [SHOWN.get(name, name)]
    assert f"| {SHOWN.get(name, name)} |" in markdown_table(results).splitlines()[0]


def test_what_goes_without_saying_is_said_where_it_is_not_so() -> None:
    assert UNSAID == {
        "metric": "logit_difference",
        "answers": "first",
        "chat": "False",
        "require_correct": "False",
    }
    plain, chatting = shared_settings([made()]), shared_settings([made(chat=True)])
    assert not any(name in plain for name in UNSAID)
    assert "chat True" in chatting
    assert plain.endswith("seed 0")


def test_what_all_share_is_one_line() -> None:
    words = [settings_of(cell(seed=seed, grid=size_grid()), MODEL) for seed in (0, 1)]
    line = shared(words, [0, 1])
    assert line.startswith("model ")
    assert line.endswith(", sizes 21 to 10k, seeds 0, 1")
    assert "model_hash" not in line
