"""The training loop on a tiny model: the same result however a batch is cut, and the promised schedules."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from distill.corpora import SentenceFilter, english_columns, load_corpora
from distill.objectives import Heads, compared
from distill.optimizer import learning_rate_factor, make_optimizer
from distill.pipeline import training_data
from distill.recipe import Recipe, TrainingSection, load_recipe
from distill.rundir import RunDirectory
from distill.student import build_student
from distill.teacher import embed, load_teacher
from distill.train import Trainer, TrainingResult

CPU = torch.device("cpu")


@pytest.fixture
def make_trainer(write_recipe: Callable[..., Path]) -> Iterator[Callable[..., Trainer]]:
    """Yield a function that makes a trainer; keyword arguments change the recipe's objective and training section."""
    runs: list[RunDirectory] = []

    def make(*, objective: dict[str, Any] | None = None, **training: Any) -> Trainer:
        AcceleratorState._reset_state(reset_partial_state=True)
        base = {"batch_size": 16, "max_steps": 6, "learning_rate": 1e-3, "precision": "fp32", "trackers": []}
        objectives = {"translations": {"loss": "mse", **(objective or {})}}
        path = write_recipe(training={**base, **training}, objectives=objectives)
        recipe: Recipe = load_recipe(path)
        torch.manual_seed(recipe.seed)
        accelerator = Accelerator(cpu=True)
        teacher, corpora = load_teacher(recipe.teacher, CPU), load_corpora(recipe, SentenceFilter())
        embed(teacher, corpora, english_columns)
        student = build_student(recipe.student, teacher, corpora, CPU)
        data = training_data(recipe, teacher, teacher.store, student, corpora, accelerator)
        runs.append(RunDirectory.open(recipe.model_copy(update={"name": f"small-{len(runs)}"})))
        return Trainer(recipe, student, data, runs[-1], accelerator)

    yield make
    for run in runs:
        run.close()


def weights(result: TrainingResult) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in result.student.parameters()])


def losses(trainer: Trainer) -> list[float]:
    return [event["loss"] for event in trainer.run.read_log() if event["event"] == "train"]


@pytest.mark.parametrize(
    "training", [{"micro_batch_size": 5}, {"micro_batch_size": 1}, {"gradient_checkpointing": True}]
)
def test_memory_settings_do_not_change_the_result(
    make_trainer: Callable[..., Trainer], training: dict[str, Any]
) -> None:
    expected = weights(make_trainer().train())
    found = weights(make_trainer(**training).train())
    assert torch.allclose(found, expected, atol=2e-5)


def test_the_loss_falls_and_equals_the_naive_one_at_first(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer(epochs=4, max_steps=None, learning_rate=3e-3)
    step = next(trainer.schedule.steps())
    data = trainer.data.train["translations"]
    student = trainer.accelerator.unwrap_model(trainer.encoder).student
    with torch.no_grad():
        total = 0.0
        for row in step.rows:
            target = torch.from_numpy(trainer.data.vectors.read(data.target[[row], 0]))
            for side in (0, 1):
                ids = torch.from_numpy(trainer.data.tokens.read(data.texts[[row], side])[0]).long()[None]
                vector = student({"input_ids": ids, "attention_mask": torch.ones_like(ids)})["sentence_embedding"]
                total += float((vector - target).square().sum())
    trainer.train()
    seen = losses(trainer)
    assert seen[0] == pytest.approx(total / (2 * len(step.rows)), abs=1e-5)
    assert sum(seen[-5:]) < 0.7 * sum(seen[:5])


def test_english_is_encoded_only_in_its_share_of_the_steps(make_trainer: Callable[..., Trainer]) -> None:
    tokens = {}
    for share in (0.0, 1.0):
        trainer = make_trainer(objective={"english_share": share})
        step = next(trainer.schedule.steps())
        _, rows, tokens[share], _ = trainer.train_step(step)
        assert (step.english, rows) == (share == 1.0, 16)
        data, lengths = trainer.data.train["translations"], trainer.data.tokens.lengths
        sides = data.texts[step.rows][:, 0 if step.english else 1 :]
        assert tokens[share] == int(lengths(np.unique(sides)).sum())
    assert tokens[1.0] > tokens[0.0]


def test_further_candidates_are_vectors_of_the_teacher_drawn_by_the_step(
    make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []

    def spy(*given: Any) -> Any:
        drawn.append(given[3])
        return compared(*given)

    monkeypatch.setattr("distill.gradients.compared", spy)
    for _ in range(2):
        trainer = make_trainer(objective={"similarity": {"candidates": 20}})
        for step in islice(trainer.schedule.steps(), 2):
            trainer.train_step(step)
    assert np.array_equal(drawn[0], drawn[2])
    assert not np.array_equal(drawn[0], drawn[1])
    target = trainer.data.train["translations"].target
    assert target is not None
    stored = {tuple(vector) for vector in trainer.data.vectors.read(np.unique(target))}
    assert 10 < len(drawn[0]) <= 20
    assert {tuple(vector) for vector in drawn[0]} <= stored
    make_trainer(objective={"similarity": {"candidates": 0}}).train_step(step)
    assert drawn[-1] is None


def test_training_stops_when_the_dev_loss_no_longer_falls(make_trainer: Callable[..., Trainer]) -> None:
    stopping = {"patience": 2, "min_delta": 10.0}  # no fall is large enough
    trainer = make_trainer(max_steps=12, evaluate_every=2, early_stopping=stopping)
    result = trainer.train()
    assert result.stopped_early
    assert result.state.step == 6  # the first evaluation is an improvement on nothing, then two are not
    assert result.step == min((2, 4, 6), key=lambda step: result.state.dev[str(step)])  # the best, by however little


@pytest.mark.parametrize("select", ["best", "last"])
def test_the_selected_weights_are_the_best_or_the_last(make_trainer: Callable[..., Trainer], select: str) -> None:
    # A learning rate this high makes the last weights worse than the first ones.
    result = make_trainer(max_steps=8, evaluate_every=2, learning_rate=0.3, warmup=0.5, select=select).train()
    best = min(result.state.dev, key=lambda step: result.state.dev[step])
    assert result.step == (int(best) if select == "best" else 8)


def test_each_step_is_logged_once_with_its_learning_rate(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer(max_steps=10, warmup=0.2)
    trainer.train()
    events = [event for event in trainer.run.read_log() if event["event"] == "train"]
    assert [event["step"] for event in events] == list(range(1, 11))
    rates = [event["learning_rate"] for event in events]
    assert rates == pytest.approx([1e-3 * f for f in (0.5, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125)])


def test_checkpoints_are_pruned_and_carry_their_state(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer(max_steps=10, checkpoint_every=2, keep_checkpoints=2)
    trainer.train()
    found = trainer.run.checkpoints()
    assert [step for step, _ in found] == [8, 10]
    assert json.loads((found[0][1] / "state.json").read_text())["step"] == 8


def section(**values: Any) -> TrainingSection:
    return TrainingSection.model_validate(values)


def test_learning_rate_factors() -> None:
    linear, cosine = section(warmup=0.1), section(warmup=0.0, schedule="cosine")
    assert [learning_rate_factor(step, 100, linear) for step in (0, 9, 10, 55)] == pytest.approx([0.1, 1.0, 1.0, 0.5])
    assert [learning_rate_factor(step, 100, cosine) for step in (0, 50, 75)] == pytest.approx(
        [1.0, 0.5, 0.5 * (1 + math.cos(0.75 * math.pi))]
    )
    assert learning_rate_factor(99, 100, section(warmup=0.0, schedule="constant")) == 1.0


def test_embeddings_and_body_have_learning_rates_of_their_own(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer()
    student = trainer.accelerator.unwrap_model(trainer.encoder).student
    optimizer = make_optimizer(student, section(learning_rate={"body": 1e-4, "embeddings": 1e-2}), Heads({}, {}))
    body, embeddings = optimizer.param_groups
    assert (body["lr"], embeddings["lr"]) == (1e-4, 1e-2)
    assert [p.shape for p in embeddings["params"]] == [student[0].model.get_input_embeddings().weight.shape]
    trained = [p for p in student.parameters() if p.requires_grad]
    assert len(body["params"]) + 1 == len(trained)


def test_dropout_is_off_unless_asked_for(make_trainer: Callable[..., Trainer]) -> None:
    def probabilities(trainer: Trainer) -> set[float]:
        return {module.p for module in trainer.encoder.modules() if isinstance(module, torch.nn.Dropout)}

    assert probabilities(make_trainer()) == {0.0}
    assert probabilities(make_trainer(dropout=0.2)) == {0.2}
