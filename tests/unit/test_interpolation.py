"""Weights between those before training and those after it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from distill.degrade import degradation_markdown, degrade, with_checkpoint
from distill.errors import RecipeError, RunError
from distill.pipeline import run_recipe
from distill.recipe import Recipe, load_recipe
from distill.rundir import RunDirectory
from distill.skip import without_skip
from distill.student import load_student

CPU = torch.device("cpu")
TRAINING = {"batch_size": 16, "max_steps": 8, "learning_rate": 5e-3, "precision": "fp32", "trackers": []}


def test_a_model_is_some_way_from_the_untrained_student(write_recipe: Callable[..., Path]) -> None:
    training = {**TRAINING, "interpolation": 0.25, "checkpoint_every": 4, "select": "last"}
    recipe = load_recipe(write_recipe(student={"kind": "transplant", "skip": 0.4}, training=training))
    outcome = run_recipe(recipe)
    path = recipe.runs / recipe.name
    start, model = (without_skip(load_student(path / name, CPU)) for name in ("untrained", "model"))
    checkpoints = dict(RunDirectory(path, writable=False).intact_checkpoints())
    middle, last = checkpoints[4], checkpoints[8]
    trained = dict(with_checkpoint(start, last)[0].named_parameters())
    own, moved = dict(start[0].named_parameters()), 0.0
    for name, weight in model[0].named_parameters():
        torch.testing.assert_close(weight, own[name] + 0.25 * (trained[name] - own[name]), atol=1e-6, rtol=0)
        moved = max(moved, float((weight - own[name]).detach().abs().max()))
    assert moved > 1e-3
    assert outcome.facts["weights from step"] == "8 (0.25 of the way from the untrained student)"
    assert "interpolation: 0.25" in (path / "model" / "README.md").read_text()
    half_way = dict(with_checkpoint(start, middle, 0.5)[0].named_parameters())
    of_middle = dict(with_checkpoint(start, middle)[0].named_parameters())
    torch.testing.assert_close(half_way, {name: (own[name] + of_middle[name]) / 2 for name in own})


def test_without_training_a_student_stays_as_it_was_built(write_recipe: Callable[..., Path]) -> None:
    recipe = load_recipe(
        write_recipe(training={"epochs": 0, "interpolation": 0.8, "precision": "fp32", "trackers": []})
    )
    outcome = run_recipe(recipe)
    start, model = (load_student(recipe.runs / recipe.name / name, CPU) for name in ("untrained", "model"))
    torch.testing.assert_close(dict(model[0].named_parameters()), dict(start[0].named_parameters()), rtol=0, atol=0)
    assert outcome.facts["weights from step"] == "0"


def test_all_scores_of_a_run_are_as_far_from_the_untrained_student(write_recipe: Callable[..., Path]) -> None:
    training = {**TRAINING, "interpolation": 0.5, "checkpoint_every": 4, "select": "last"}
    recipe = load_recipe(write_recipe(training=training, evaluation={"suites": ["everyday"], "every": 4}))
    outcome = run_recipe(recipe)
    path = recipe.runs / recipe.name
    found = degrade(path)
    assert found.steps == (0, 4, 8)
    assert "scores, not dev losses, are of weights 0.5 of the way" in degradation_markdown(found)
    assert found.as_dict()["interpolation"] == 0.5
    reported = [s for s in json.loads((path / "scores.json").read_text())["scores"] if s["model"] == "student"]
    for pair in ("en-uk", "en-da"):
        accuracies = [s["value"] for s in reported if s["pair"] == pair and "accuracy" in s["metric"]]
        (course,) = (c for c in found.scores if c.name[0] == "bitext %" and c.name[2] == pair)
        assert course.values[8] == pytest.approx(sum(accuracies) / len(accuracies), abs=1e-6)
        while_training = outcome.during["4"][f"everyday {pair} bitext %"]
        assert while_training == pytest.approx(100 * course.values[4], abs=1e-4)


def test_scores_while_training_leave_the_training_as_it_is(write_recipe: Callable[..., Path]) -> None:
    training = {**TRAINING, "interpolation": 0.5, "dropout": 0.1}
    student = {"kind": "transplant", "skip": 0.4}
    weights = []
    for name, every in (("often", 2), ("never", None)):
        evaluation = {"suites": ["everyday"], "pairs": ["en-uk"], "every": every}
        recipe = load_recipe(write_recipe(name=name, student=student, training=training, evaluation=evaluation))
        run_recipe(recipe)
        newest = RunDirectory(recipe.runs / name, writable=False).newest_checkpoint()
        assert newest is not None
        weights.append((newest[1] / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_a_finished_run_is_given_another_share_without_training(write_recipe: Callable[..., Path]) -> None:
    recipes = [load_recipe(write_recipe(training={**TRAINING, "interpolation": share})) for share in (0.5, 1.0)]
    half, whole = (run_recipe(recipe, mode="resume") for recipe in recipes)
    run = RunDirectory(whole.model.parent, writable=False)
    events = run.read_log()
    assert [event["step"] for event in events if event["event"] == "train"][-1] == 8
    assert sum(event["event"] == "resume" for event in events) == 1
    assert (half.facts["weights from step"], whole.facts["weights from step"]) == (
        "8 (0.5 of the way from the untrained student)",
        "8",
    )
    trained = with_checkpoint(load_student(run.untrained, CPU), run.path / "checkpoints" / "step-00000008")
    expected = dict(trained[0].named_parameters())
    torch.testing.assert_close(dict(load_student(run.model, CPU)[0].named_parameters()), expected, rtol=0, atol=0)
    assert run_recipe(recipes[1], mode="resume").corpora == []  # shown again


@pytest.mark.parametrize(
    ("training", "objectives", "message"),
    [
        ({"interpolation": 0.8}, {"topic": {"loss": "classification"}}, "training.interpolation.*classifier"),
        ({"interpolation": 0}, {"mse": {"loss": "mse"}}, "training.interpolation"),
        ({"interpolation": 1.5}, {"mse": {"loss": "mse"}}, "training.interpolation"),
    ],
)
def test_recipes_in_which_it_would_do_harm_are_refused(
    training: dict[str, Any],
    objectives: dict[str, Any],
    message: str,
    write_recipe: Callable[..., Path],
    tmp_path: Path,
) -> None:
    labels = {"files": str(tmp_path / "rows.csv"), "rows": "labelled", "languages": ["en"], "dev_rows": 0}
    corpora = {"rows": labels} if "topic" in objectives else {"uk": {"folder": str(tmp_path), "languages": ["uk"]}}
    with pytest.raises(RecipeError, match=f"(?s){message}"):
        load_recipe(write_recipe(training=training, corpora=corpora, objectives=objectives))


def test_a_model_is_never_beside_the_scores_of_another(
    write_recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def recipe(share: float) -> Recipe:
        training = {**TRAINING, "interpolation": share, "checkpoint_every": 4, "select": "last"}
        return load_recipe(write_recipe(training=training, evaluation={"suites": []}))

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    folder = run_recipe(recipe(0.5)).model
    half_way = dict(load_student(folder, CPU)[0].named_parameters())
    with monkeypatch.context() as patched:
        patched.setattr("distill.pipeline.store_replicates", killed)
        with pytest.raises(KeyboardInterrupt):
            run_recipe(recipe(0.25), mode="resume")
    run_recipe(recipe(0.5), mode="resume")
    torch.testing.assert_close(dict(load_student(folder, CPU)[0].named_parameters()), half_way, rtol=0, atol=1e-7)


def test_another_share_needs_the_trained_weights(write_recipe: Callable[..., Path]) -> None:
    def recipe(share: float) -> Recipe:
        training = {**TRAINING, "max_steps": 2, "interpolation": share}
        return load_recipe(write_recipe(training=training, evaluation={"suites": []}))

    path = run_recipe(recipe(0.5)).model.parent
    shutil.rmtree(path / "checkpoints")
    log = (path / "log.jsonl").read_bytes()
    with pytest.raises(RunError, match=r"has 0\.5, and no checkpoints .* with 0\.25"):
        run_recipe(recipe(0.25), mode="resume")
    assert (path / "log.jsonl").read_bytes().startswith(log)
    assert run_recipe(recipe(0.5), mode="resume").corpora == []  # shown again


def test_a_run_without_steps_cannot_forget(write_recipe: Callable[..., Path]) -> None:
    training = {"epochs": 0, "precision": "fp32", "trackers": []}
    outcome = run_recipe(load_recipe(write_recipe(training=training, evaluation={"suites": []})))
    with pytest.raises(RunError, match="the student was not trained"):
        degrade(outcome.model.parent)
