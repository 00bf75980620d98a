"""Weights between those before training and those after it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from distill.degrade import degradation_markdown, degrade, with_checkpoint
from distill.errors import ModelError, RecipeError
from distill.interpolation import interpolate
from distill.pipeline import run_recipe
from distill.recipe import load_recipe
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
        moved = max(moved, float((weight - own[name]).abs().max()))
    assert moved > 1e-3
    assert outcome.facts["weights from step"] == "8 (0.25 of the way from the untrained student)"
    assert "interpolation: 0.25" in (path / "model" / "README.md").read_text()
    half_way = dict(with_checkpoint(start, middle, 0.5)[0].named_parameters())
    of_middle = dict(with_checkpoint(start, middle)[0].named_parameters())
    torch.testing.assert_close(half_way, {name: (own[name] + of_middle[name]) / 2 for name in own})


def test_degrade_scores_all_steps_as_far_from_the_untrained_student(write_recipe: Callable[..., Path]) -> None:
    training = {**TRAINING, "interpolation": 0.5, "checkpoint_every": 4, "select": "last"}
    recipe = load_recipe(write_recipe(training=training))
    run_recipe(recipe)
    path = recipe.runs / recipe.name
    found = degrade(path)
    assert found.steps == (0, 4, 8)
    assert "all steps are scored 0.5 of the way from the untrained student" in degradation_markdown(found)
    assert found.as_dict()["interpolation"] == 0.5
    reported = [s for s in json.loads((path / "scores.json").read_text())["scores"] if s["model"] == "student"]
    for pair in ("en-uk", "en-da"):
        accuracies = [s["value"] for s in reported if s["pair"] == pair and "accuracy" in s["metric"]]
        (course,) = (c for c in found.scores if c.name[0] == "bitext %" and c.name[2] == pair)
        assert course.values[8] == pytest.approx(sum(accuracies) / len(accuracies), abs=1e-6)


def test_models_with_other_weights_are_refused(tiny_teacher: Path) -> None:
    start = load_student(tiny_teacher, CPU)
    other = copy.deepcopy(start)
    assert other[0].model.config.num_hidden_layers == 2
    del other[0].model.encoder.layer[1]
    with pytest.raises(ModelError, match=r"encoder\.layer\.1"):
        interpolate(start, other, 0.5)


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
