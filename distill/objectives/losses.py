"""Losses of each row by itself, (n,): no row's loss depends on the others of the batch."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from distill.objectives.batch import Compared


def squared_error(student: torch.Tensor, teacher: torch.Tensor, *, unit_length: bool) -> torch.Tensor:
    """Return the squared error of each vector (n,).

    The sum over dimensions where the teacher's vectors have length 1: their mean per element is about
    1/dimension, so small that the stock recipe's gradients vanish in Adam's epsilon. The mean otherwise
    (Reimers & Gurevych 2020, equation 1).

    Args:
        student: vectors (n, dimension).
        teacher: vectors (n, dimension).
        unit_length: whether the teacher's vectors have length 1.
    """
    difference = (student.float() - teacher.float()).square()
    return difference.sum(dim=-1) if unit_length else difference.mean(dim=-1)


def mse(batch: Compared, *, unit_length: bool) -> torch.Tensor:
    """Return the squared error to the teacher's vectors (n,), the mean of a row's texts."""
    return squared_error(batch.vectors[batch.place], batch.target(), unit_length=unit_length).mean(dim=1)


def cosine_distance(batch: Compared) -> torch.Tensor:
    """Return 1 − cosine to the teacher's vectors (n,), the mean of a row's texts."""
    return (1 - functional.cosine_similarity(batch.vectors[batch.place], batch.target(), dim=2)).mean(dim=1)


def triplet(batch: Compared, *, margin: float, distance: Literal["cosine", "euclidean"]) -> torch.Tensor:
    """Return how much less than `margin` farther the negative is than the positive (n,), the mean of the negatives.

    Schroff et al. 2015, equation 3, without the squares.
    """
    anchor, others = batch.column(0)[:, None], batch.vectors[batch.place[:, 1:]]
    if distance == "cosine":
        far = 1 - functional.cosine_similarity(anchor, others, dim=2)
    else:
        far = torch.linalg.vector_norm(anchor - others, dim=2)
    return _mean_of_negatives(functional.relu(far[:, :1] - far[:, 1:] + margin), batch)


def margin_mse(batch: Compared) -> torch.Tensor:
    """Return the squared error of positive − negative dot product to the teacher's (n,), the mean of the negatives.

    Hofstätter et al. 2020, equation 2.
    """
    student, teacher = batch.vectors[batch.place], batch.target()
    own, wanted = ((v[:, :1] * v[:, 1:]).sum(dim=2) for v in (student, teacher))
    error = (own[:, :1] - own[:, 1:]) - (wanted[:, :1] - wanted[:, 1:])
    return _mean_of_negatives(error.square(), batch)


def _mean_of_negatives(values: torch.Tensor, batch: Compared) -> torch.Tensor:
    """Return the mean (n,) of values of negatives (n, columns - 2), those that a row lacks left out."""
    there = batch.place[:, 2:] >= 0
    return values.where(there, 0).sum(dim=1) / there.sum(dim=1)


def cosine_to_score(batch: Compared) -> torch.Tensor:
    """Return the squared error of the pair's cosine to its score (n,)."""
    assert batch.value is not None
    return (functional.cosine_similarity(batch.column(0), batch.column(1)) - batch.value).square()


def classification(batch: Compared, head: nn.Module) -> torch.Tensor:
    """Return the cross-entropy of a head's prediction with the label (n,)."""
    assert batch.value is not None
    return functional.cross_entropy(head(batch.column(0)), batch.value.long(), reduction="none")
