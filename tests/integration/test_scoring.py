"""Scores while a run trains, and beside baselines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command import CommandServer

TRAINING: dict[str, Any] = {"batch_size": 16, "max_steps": 5, "precision": "fp32", "trackers": ["tensorboard"]}


def test_a_run_is_scored_while_it_trains_and_beside_its_baselines(
    distill: CommandServer, write_recipe: Callable[..., Path], tmp_path: Path, tiny_teacher: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    evaluation = {"suites": ["everyday"], "every": 2, "baselines": {"itself": str(tiny_teacher)}}
    ended = distill.run("run", write_recipe(training=TRAINING, evaluation=evaluation))
    assert ended.code == 0, ended.errors
    run = tmp_path / "runs" / "small"
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    by_step = {event["step"]: event["scores"] for event in events if event["event"] == "scores"}
    stored = json.loads((run / "scores.json").read_text())
    final, last = stored["scores"], stored["weights_from"]
    assert list(by_step) == [2, 4, last]
    assert by_step[last] == [score for score in final if score["model"] == "student"]
    assert by_step[2] != by_step[last]
    assert "Scores while training × 100" in ended.output
    assert f"| set | step 2 | step 4 | step {last}* |" in (run / "report.md").read_text()
    value = {(s["model"], s["suite"], s["pair"], s["metric"]): s["value"] for s in final}
    teacher = {key[1:]: found for key, found in value.items() if key[0] == "teacher"}
    itself = {key[1:]: found for key, found in value.items() if key[0] == "itself" and key[3] != "mse"}
    assert itself == pytest.approx(teacher, abs=1e-3)
    assert " itself " in (run / "report.md").read_text()
    curves = EventAccumulator(str(run / "tracking" / "small"))
    curves.Reload()
    name = "everyday/en-uk accuracy_forward"
    expected = [(step, s["value"]) for step in (2, 4) for s in by_step[step] if f"{s['pair']} {s['metric']}" in name]
    assert [(point.step, pytest.approx(point.value)) for point in curves.Scalars(name)] == expected


def test_a_baseline_may_not_take_the_name_of_a_column(
    distill: CommandServer, write_recipe: Callable[..., Path], tiny_teacher: Path
) -> None:
    ended = distill.run("check", write_recipe(evaluation={"baselines": {"student": str(tiny_teacher)}}))
    assert ended.code == 2
    assert "evaluation.baselines.student" in ended.errors
    ended = distill.run("check", write_recipe(evaluation={"baselines": {"mine": "./no-such-folder"}}))
    assert ended.code == 2
    assert "evaluation.baselines.mine" in ended.errors
    assert "no folder" in ended.errors
