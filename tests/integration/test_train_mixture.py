"""A mixture and fixed lengths in the training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from distill.corpora import SentenceFilter, english_columns, load_corpora
from distill.errors import RunError
from distill.gradients import TOKENS_PER_BACKWARD, TOKENS_PER_CHUNK
from distill.pipeline import training_data
from distill.recipe import load_recipe
from distill.rundir import RunDirectory
from distill.student import build_student
from distill.teacher import embed, load_teacher
from distill.train import Trainer

CPU = torch.device("cpu")


@pytest.fixture
def make_trainer(write_recipe: Callable[..., Path]) -> Iterator[Callable[..., Trainer]]:
    """Yield a function that makes a trainer with a mixture; keyword arguments change the training section."""
    runs: list[RunDirectory] = []

    def make(mixture: dict[str, Any], **training: Any) -> Trainer:
        AcceleratorState._reset_state(reset_partial_state=True)
        base = {"batch_size": 16, "max_steps": 8, "learning_rate": 1e-3, "precision": "fp32", "trackers": []}
        recipe = load_recipe(write_recipe(mixture=mixture, training={**base, **training}))
        torch.manual_seed(recipe.seed)
        teacher, corpora = load_teacher(recipe.teacher, CPU), load_corpora(recipe, SentenceFilter())
        embed(teacher, corpora, english_columns)
        student = build_student(recipe.student, teacher, corpora, CPU)
        accelerator = Accelerator(cpu=True)
        data = training_data(recipe, teacher, teacher.store, student, corpora, accelerator)
        runs.append(RunDirectory.open(recipe.model_copy(update={"name": f"small-{len(runs)}"})))
        return Trainer(recipe, student, data, runs[-1], accelerator)

    yield make
    for run in runs:
        run.close()


def trained_shapes(trainer: Trainer) -> tuple[list[tuple[int, ...]], list[float]]:
    """Train, and return the shape of each input of the body and the losses."""
    seen: list[tuple[int, ...]] = []
    body = trainer.accelerator.unwrap_model(trainer.encoder).student[0].model
    body.get_input_embeddings().register_forward_hook(lambda _, ids, out: seen.append(tuple(ids[0].shape)))
    trainer.train()
    return seen, [event["loss"] for event in trainer.run.read_log() if event["event"] == "train"]


def test_only_fixed_shapes_reach_the_model_and_the_losses_are_the_same(make_trainer: Callable[..., Trainer]) -> None:
    mixture = {"sampling": "equal", "batches": "single"}
    free, losses = trained_shapes(make_trainer(mixture))
    budget, texts = TOKENS_PER_CHUNK["cpu"], 2 * 16
    for most, training in ((texts, {}), (2 * 5, {"micro_batch_size": 5})):
        shapes, found = trained_shapes(make_trainer(mixture, pad_to=[8, 24, 32], **training))
        assert set(shapes) <= {(min(most, budget // length), length) for length in (8, 24, 32)}
        assert len(set(free)) > len(set(shapes)) > 1
        assert found == pytest.approx(losses, abs=1e-5)


@pytest.mark.parametrize("device", TOKENS_PER_CHUNK)
def test_no_chunk_is_larger_than_what_is_kept_for_the_backward_pass(device: str) -> None:
    assert TOKENS_PER_CHUNK[device] <= TOKENS_PER_BACKWARD[device]


def test_steps_follow_the_mixture(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer({"sampling": "round_robin", "batches": "single"})
    (data,) = trainer.data.train.values()
    labels = [{data.labels[i] for i in data.corpus[step.rows]} for step in trainer.schedule.steps()]
    assert labels == [{"small en-uk"}, {"small en-da"}] * 4


def test_domains_that_no_corpus_has_are_an_error(make_trainer: Callable[..., Trainer]) -> None:
    with pytest.raises(RunError, match="no corpus has a column `domain`"):
        make_trainer({"cluster_by": "domain"})
