"""Curves beside log.jsonl: TensorBoard's files, and a clear error for a tracker that is not installed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from command import CommandServer

TRAINING: dict[str, Any] = {"batch_size": 16, "max_steps": 4, "evaluate_every": 2, "precision": "fp32"}
NOT_INSTALLED = [name for name in ("mlflow", "wandb", "trackio") if find_spec(name) is None]


def test_tensorboard_gets_what_the_log_gets(
    distill: CommandServer, write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    recipe = write_recipe(training={**TRAINING, "trackers": ["tensorboard"]}, evaluation={"suites": []})
    ended = distill.run("run", recipe)
    assert ended.code == 0, ended.errors
    run = tmp_path / "runs" / "small"
    curves = EventAccumulator(str(run / "tracking" / "small"))
    curves.Reload()
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    for kind in ("train", "dev"):
        expected = [(event["step"], event["loss"]) for event in events if event["event"] == kind]
        assert len(expected) == (4 if kind == "train" else 2)
        found = [(point.step, pytest.approx(point.value, rel=1e-6)) for point in curves.Scalars(f"{kind}/loss")]
        assert expected == found


def test_a_resumed_run_shows_each_step_once(
    distill: CommandServer, write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    training = {**TRAINING, "checkpoint_every": 2, "trackers": ["tensorboard"]}
    recipe = write_recipe(training=training, evaluation={"suites": []})
    assert distill.run("run", recipe).code == 0
    run = tmp_path / "runs" / "small"
    # as if it had been killed after step 4 was shown, with the checkpoint of step 2 the newest
    shutil.rmtree(run / "checkpoints" / "step-00000004")
    shutil.rmtree(run / "model")
    (run / "scores.json").unlink()
    ended = distill.run("run", recipe, "--resume")
    assert ended.code == 0, ended.errors
    curves = EventAccumulator(str(run / "tracking" / "small"))
    curves.Reload()
    assert [point.step for point in curves.Scalars("train/loss")] == [1, 2, 3, 4]


@pytest.mark.skipif(not NOT_INSTALLED, reason="all trackers are installed")
def test_a_tracker_that_is_not_installed_is_named_before_anything_is_loaded(
    distill: CommandServer, write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    name = NOT_INSTALLED[0]
    recipe = write_recipe(training={**TRAINING, "trackers": ["tensorboard", name]}, teacher={"model": "no/such-model"})
    ended = distill.run("run", recipe)
    assert ended.code == 2
    assert f"training.trackers.1: the package {name} is not installed" in ended.errors
    assert f"distill-multilingual[{name}]" in ended.errors
    assert not (tmp_path / "runs").exists()


def test_a_run_without_trackers_warns_of_nothing(
    distill: CommandServer, write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    ended = distill.run("run", write_recipe(training={**TRAINING, "trackers": []}, evaluation={"suites": []}))
    assert ended.code == 0
    assert "warn" not in ended.errors.lower()
    assert not (tmp_path / "runs" / "small" / "tracking").exists()
