"""The report of what a model can do, against passes by hand, and the board made of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from basisbench.checks.baseline import Baseline, baseline_markdown, measure_baseline, measure_task
from basisbench.cli import app
from basisbench.errors import UserError
from basisbench.grid.config import RunConfig, make_config
from basisbench.models.adapter import Model
from basisbench.settings.check import BaselineConfig
from basisbench.tasks.load import load_task, tasks_at_hand
from toys.models import one_line, pair_rows, write_task

RESULTS = Path(__file__).parents[2] / "results"


def ignore(line: str) -> None:
    """Take progress lines nobody looks at."""


def logits_after(model: Model, text: str) -> torch.Tensor:
    ids = torch.tensor([[int(word[1:]) for word in text.split()]])
    return model.logits(model.forward(ids, torch.tensor([ids.shape[1] - 1])))[0].detach()


def test_the_numbers_are_those_of_passes_by_hand(tiny: Callable[[str], Model], tmp_path: Path) -> None:
    model = tiny("llama")
    rows = pair_rows(30, (5, 4))
    folder = write_task(tmp_path / "words", discovery=pair_rows(3, seed=5), evaluation=rows)
    row = measure_task(load_task(str(folder)), BaselineConfig(n_evaluation=30), model)
    differences = []
    for pair in rows:
        logits = logits_after(model, str(pair["clean"]))
        answer, foil = (int(str(pair[side]).strip()[1:]) for side in ("answer", "foil"))
        differences.append(float(logits[answer] - logits[foil]))
    right = sum(d > 0 for d in differences)
    assert (row.usable, row.right, row.tokens, row.candidates) == (30, right, (4, 5), 0)
    assert row.accuracy.value == pytest.approx(right / 30)
    assert row.logit_difference.value == pytest.approx(sum(differences) / 30, abs=1e-5)
    assert row.accuracy.low is not None
    assert row.accuracy.high is not None
    assert row.accuracy.low <= right / 30 <= row.accuracy.high
    # a random model knows nothing, and too few pairs show nothing
    assert not row.can
    assert "75%" in row.why_not
    assert "only 3 pairs" in measure_task(load_task(str(folder)), BaselineConfig(split="discovery"), model).why_not


def test_what_the_model_always_gets_right_it_can_do(tiny: Callable[[str], Model], tmp_path: Path) -> None:
    model = tiny("llama")
    rows = []
    for pair in pair_rows(24):
        order = logits_after(model, str(pair["clean"]))[3:].argsort() + 3
        rows.append({**pair, "answer": f" w{int(order[-1])}", "foil": f" w{int(order[0])}"})
    folder = write_task(tmp_path / "easy", discovery=rows[:2], evaluation=rows[2:])
    row = measure_task(load_task(str(folder)), BaselineConfig(n_evaluation=22), model)
    assert row.can
    assert row.candidate_accuracy.value == pytest.approx(1)


def test_a_task_without_pairs_is_listed_and_the_others_go_on(tiny: Callable[[str], Model], tmp_path: Path) -> None:
    good = write_task(tmp_path / "good", discovery=pair_rows(3), evaluation=pair_rows(6, seed=1))
    bad = write_task(
        tmp_path / "bad", discovery=pair_rows(3), evaluation=[{**row, "answer": "w9"} for row in pair_rows(4, seed=2)]
    )
    report = measure_baseline(BaselineConfig(tasks=[str(bad), str(good)]), tiny("llama"), "hash", ignore)
    assert [row.task for row in report.tasks] == ["good"]
    assert list(report.failed) == ["bad"]
    table = baseline_markdown(report)
    assert table.count("\n| ") == 3  # under the header: a rule and two tasks
    assert "no usable pair" in table
    with pytest.raises(UserError) as error:
        measure_baseline(BaselineConfig(tasks=["sva/simpel"]), tiny("llama"), "hash", ignore)
    assert "sva/simple" in one_line(error)


def test_the_command_writes_what_it_shows(
    tiny_folder: Path, task_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        "--model",
        str(tiny_folder),
        "--tasks",
        str(task_folder),
        "--n-evaluation",
        "4",
        "--out",
        str(tmp_path / "out"),
    ]
    app(["baseline", *options], standalone_mode=False)
    assert "words" in capsys.readouterr().out
    report = Baseline.model_validate_json((tmp_path / "out" / "baseline.json").read_bytes())
    assert [row.task for row in report.tasks] == ["words"]
    assert "| words |" in (tmp_path / "out" / "baseline.md").read_text()


def test_the_board_is_what_the_embedded_model_can_do() -> None:
    report = Baseline.model_validate_json((RESULTS / "baseline" / "baseline.json").read_bytes())
    assert sorted(row.task for row in report.tasks) == sorted(tasks_at_hand())
    board = make_config({}, RESULTS.parent / "boards" / "embedded.yaml")
    assert isinstance(board, RunConfig)
    assert board.tasks == [row.task for row in report.tasks if row.can]
    assert json.loads((RESULTS / "baseline" / "baseline.json").read_text())["config"]["n_evaluation"] == 200
