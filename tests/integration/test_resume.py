"""A run that is killed and resumed ends as if it had never been killed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command import CommandServer, Moment

STEPS = 12
TRAINING: dict[str, Any] = {
    "batch_size": 16,
    "max_steps": STEPS,
    "learning_rate": 1e-3,
    "precision": "fp32",
    "evaluate_every": 3,
    "checkpoint_every": 4,
    "keep_checkpoints": 2,
    "trackers": [],
}

# Each comes later in a run than the one before: a run is killed at all of them, one after the other.
MOMENTS = {
    "the untrained student is written": Moment("os.rename", r"\.tmp-untrained$"),
    "before any checkpoint": Moment("shutil.rmtree", r"\.tmp-checkpoint$"),
    "a checkpoint is written": Moment("open", r"\.tmp-checkpoint/optimizer\.bin$"),
    "a checkpoint is whole but has no name": Moment("os.rename", r"\.tmp-checkpoint$"),
    "the second best weights are written": Moment("open", r"\.tmp-best/weights\.safetensors$", 2),
    "the best weights have just gone": Moment("os.rename", r"/\.tmp-best$", 1),
    "old checkpoints are removed": Moment("shutil.rmtree", r"checkpoints/step-"),
    "the model is written": Moment("os.rename", r"\.tmp-model$"),
    "the scores are written": Moment("os.rename", r"/\.scores\.json\."),
}


@pytest.fixture
def write(write_recipe: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a recipe with some training settings and a small test set."""
    suite = tmp_path / "en-uk.tsv"
    suite.write_text("english\tnon_english\nA cat.\tКіт.\nA dog.\tПес.\nA house.\tДім.\n", encoding="utf-8")

    def write(**training: Any) -> Path:
        return write_recipe(training={**TRAINING, **training}, evaluation={"suites": [str(suite)]})

    return write


@pytest.fixture
def recipe(write: Callable[..., Path]) -> Path:
    return write()


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def read_log(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def curve(run: Path) -> list[tuple[Any, ...]]:
    """Return what the log says of training and dev losses, without times."""
    return [
        (event["event"], event["step"], event["loss"]) for event in read_log(run) if event["event"] in ("train", "dev")
    ]


def assert_same_outcome(run: Path, whole: Path) -> None:
    """Check that two runs came to the same model, byte for byte, by the same losses, each logged once."""
    assert (run / "model/model.safetensors").read_bytes() == (whole / "model/model.safetensors").read_bytes()
    assert curve(run) == curve(whole)
    assert [step for event, step, _ in curve(run) if event == "train"] == list(range(1, STEPS + 1))
    scores, expected = (json.loads((folder / "scores.json").read_text())["scores"] for folder in (run, whole))
    assert scores == expected
    assert sorted(folder.name for folder in (run / "checkpoints").iterdir()) == ["step-00000008", "step-00000012"]
    assert not [entry.name for entry in run.iterdir() if entry.name.startswith(".")]


@pytest.mark.parametrize(
    ("dropout", "options", "moments"),
    [
        (0.0, [], list(MOMENTS)),
        (
            0.1,
            ["--set=student.skip=0.4", "--set=training.interpolation=0.8", "--set=evaluation.every=5"],
            [
                "before any checkpoint",
                "a checkpoint is whole but has no name",
                "old checkpoints are removed",
                "the model is written",
            ],
        ),
    ],
)
def test_a_killed_run_ends_as_if_never_killed(
    dropout: float,
    options: list[str],
    moments: list[str],
    distill: CommandServer,
    write: Callable[..., Path],
    runs: Path,
) -> None:
    recipe = write(dropout=dropout)
    assert distill.run("run", recipe, "--set", "name=whole", *options).code == 0
    for name in moments:
        ended = distill.run("run", recipe, "--set", "name=killed", "--resume", *options, kill_at=MOMENTS[name])
        assert ended.code == -9, f"{name}: {ended.errors}"
        assert not (runs / "killed" / "scores.json").exists()
    assert distill.run("run", recipe, "--set", "name=killed", "--resume", *options).code == 0
    assert_same_outcome(runs / "killed", runs / "whole")


def test_a_killed_run_with_heads_ends_as_if_never_killed(
    distill: CommandServer, write_recipe: Callable[..., Path], mixed_sections: dict[str, Any], runs: Path
) -> None:
    training = {**TRAINING, "dropout": 0.1, "batch_size": 12, "micro_batch_size": 5}
    recipe = write_recipe(training=training, evaluation={"suites": []}, **mixed_sections)
    assert distill.run("run", recipe, "--set", "name=whole").code == 0
    for moment in ("a checkpoint is whole but has no name", "the best weights have just gone", "the model is written"):
        ended = distill.run("run", recipe, "--set", "name=killed", "--resume", kill_at=MOMENTS[moment])
        assert ended.code == -9, ended.errors
    assert distill.run("run", recipe, "--set", "name=killed", "--resume").code == 0
    assert_same_outcome(runs / "killed", runs / "whole")
    for name in ("heads.json", "heads/topic.safetensors"):
        assert (runs / "killed/model" / name).read_bytes() == (runs / "whole/model" / name).read_bytes()


@pytest.mark.parametrize("damaged", [1, 2])
def test_damaged_checkpoints_are_passed_over(damaged: int, distill: CommandServer, recipe: Path, runs: Path) -> None:
    assert distill.run("run", recipe, "--set", "name=whole").code == 0
    name = ("--set", "name=damaged")
    assert distill.run("run", recipe, *name, kill_at=MOMENTS["the model is written"]).code == -9
    newest_first = sorted((runs / "damaged" / "checkpoints").iterdir(), reverse=True)
    for folder in newest_first[:damaged]:
        weights = bytearray((folder / "model.safetensors").read_bytes())
        weights[-1] ^= 1
        (folder / "model.safetensors").write_bytes(weights)
    ended = distill.run("run", recipe, *name, "--resume")
    assert ended.code == 0
    assert ended.errors.count("is damaged") == damaged
    resumed_from = [event["step"] for event in read_log(runs / "damaged") if event["event"] == "resume"]
    assert resumed_from == ([8] if damaged == 1 else [])
    assert_same_outcome(runs / "damaged", runs / "whole")


def test_an_older_run_is_resumed_or_moved_aside_only_when_asked(
    distill: CommandServer, recipe: Path, runs: Path
) -> None:
    killed = distill.run("run", recipe, kill_at=MOMENTS["a checkpoint is whole but has no name"])
    assert killed.code == -9
    ended = distill.run("run", recipe)
    assert ended.code == 2
    assert "unfinished run" in ended.errors
    assert "--resume" in ended.errors
    other = distill.run("run", recipe, "--resume", "--set", "training.batch_size=8")
    assert other.code == 2
    assert "training.batch_size: 16 there, 8 here" in other.errors

    ended = distill.run("run", recipe, "--fresh")
    assert ended.code == 0
    [aside] = [folder for folder in runs.iterdir() if folder.name != "small"]
    assert str(aside) in ended.errors
    assert len(curve(aside)) > 0
    assert "finished run" in distill.run("run", recipe).errors


def test_a_finished_run_shows_its_scores_again(distill: CommandServer, recipe: Path, runs: Path) -> None:
    first = distill.run("run", recipe)
    model = (runs / "small/model/model.safetensors").stat()
    again = distill.run("run", recipe, "--resume")
    assert (first.code, again.code, again.errors) == (0, 0, "")
    scores = first.output[first.output.index("Scores") :]
    assert scores in again.output
    assert (runs / "small/model/model.safetensors").stat() == model
