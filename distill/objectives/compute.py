"""From an objective's section to the loss of a batch."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.nn import functional

from distill.objectives.batch import Compared
from distill.objectives.coupled import contrastive, cosent, similarity
from distill.objectives.heads import Heads
from distill.objectives.losses import classification, cosine_distance, cosine_to_score, margin_mse, mse, triplet
from distill.recipe.objectives import (
    ClassificationObjective,
    ContrastiveObjective,
    MarginMseObjective,
    MseObjective,
    Objective,
    Scale,
    ScoredObjective,
    SimilarityObjective,
    TranslationObjective,
    TripletObjective,
)

NON_ENGLISH, ENGLISH = 1, 0
"""Columns of parallel rows."""


def couples_rows(objective: Objective, *, english: bool) -> bool:
    """Return whether a row's loss depends on the other rows of the batch, in a step with or without English."""
    if isinstance(objective, TranslationObjective):
        return english and objective.similarity is not None
    if isinstance(objective, ScoredObjective):
        return objective.form == "cosent"
    return isinstance(objective, ContrastiveObjective | SimilarityObjective)


def compared_columns(objective: Objective, *, english: bool) -> tuple[int, ...] | None:
    """Return which columns of the rows are compared in a step, None for all."""
    if isinstance(objective, TranslationObjective):
        return (NON_ENGLISH, ENGLISH) if english else (NON_ENGLISH,)
    return None


def scale_at(scale: Scale, step: int) -> float:
    """Return a fixed or scheduled scale in the optimizer step of a number, which counts from 0."""
    assert scale.start is not None
    if scale.to is None or scale.steps is None:
        return scale.start
    return scale.start + (scale.to - scale.start) * min(1.0, step / scale.steps)


def row_losses(
    name: str, objective: Objective, batch: Compared, heads: Heads, *, step: int, unit_length: bool
) -> torch.Tensor:
    """Return an objective's loss of each row (n,), without its weight; the batch's loss is their mean.

    Args:
        name: the objective's name.
        objective: its section.
        batch: the vectors.
        heads: classifiers and learnable scales.
        step: number of the optimizer step, for scheduled scales.
        unit_length: whether the teacher's vectors, and so the student's, have length 1.
    """
    if objective.matryoshka is None:
        return _row_losses(name, objective, batch, heads, step, unit_length)
    total = batch.vectors.new_zeros(len(batch.place))
    weights = objective.matryoshka_weights or (1.0,) * len(objective.matryoshka)
    for length, weight in zip(objective.matryoshka, weights, strict=True):
        cut = _cut(objective, batch, length, unit_length)
        total = total + weight * _row_losses(name, objective, cut, heads, step, unit_length)
    return total


def _cut(objective: Objective, batch: Compared, length: int, unit_length: bool) -> Compared:
    """Return a batch with vectors cut to a length, as the loss compares them."""
    # Cosines do not depend on the length; squared errors and heads see vectors as the model gives them.
    by_value = isinstance(objective, MseObjective | MarginMseObjective | ClassificationObjective)
    distils = isinstance(objective, TranslationObjective)
    cut = batch.cut(length, unit_length=unit_length or not by_value, teacher=distils)
    if isinstance(objective, ClassificationObjective):  # as if the head's weights were cut (MRL-E of the paper)
        return replace(cut, vectors=functional.pad(cut.vectors, (0, batch.vectors.shape[1] - length)))
    return cut


def _row_losses(
    name: str, objective: Objective, batch: Compared, heads: Heads, step: int, unit_length: bool
) -> torch.Tensor:
    match objective:
        case TranslationObjective():
            squared = isinstance(objective, MseObjective)
            distance = mse(batch, unit_length=unit_length) if squared else cosine_distance(batch)
            term, n_columns = objective.similarity, batch.place.shape[1]
            if term is None or n_columns == 1:  # only the other side is trained
                return distance
            sides = (similarity(batch, form="kl", temperature=term.temperature, anchor=side) for side in (0, 1))
            return distance + term.weight * sum(sides) / 2
        case SimilarityObjective():
            return similarity(batch, form=objective.form, temperature=objective.temperature)
        case ContrastiveObjective():
            return contrastive(
                batch,
                scale=heads.scale(name) if objective.scale.learnable else scale_at(objective.scale, step),
                margin=objective.margin,
                symmetric=objective.symmetric,
                false_negatives=objective.false_negatives,
            )
        case TripletObjective():
            return triplet(batch, margin=objective.margin, distance=objective.distance)
        case ScoredObjective():
            return cosent(batch, scale=objective.scale) if objective.form == "cosent" else cosine_to_score(batch)
        case ClassificationObjective():
            return classification(batch, heads.classifiers[name])
        case MarginMseObjective():
            return margin_mse(batch)
