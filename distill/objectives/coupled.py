"""Losses that compare the rows of a batch with each other: their gradient needs the vectors of the whole batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from distill.objectives.batch import Compared
from distill.recipe.objectives import FalseNegatives

COSINES_AT_ONCE = 2**24
"""Most cosines between anchors and candidates kept for the backward pass (64 MiB); others are computed again."""

NEVER = -1e4
"""Logit of what is left out: e to its power is 0, and where all is left out nothing is infinite."""


def contrastive(
    batch: Compared,
    *,
    scale: torch.Tensor | float,
    margin: float = 0.0,
    symmetric: bool = False,
    false_negatives: FalseNegatives | None = None,
) -> torch.Tensor:
    """Return the cross-entropy (n,) of telling each anchor's positive from all other texts of the batch.

    Candidates are the distinct positives and negatives of all rows (Henderson et al. 2017, section 4.4). No
    negatives are: the anchor itself, and the positives of other rows with the same anchor.

    Args:
        batch: columns anchor, positive, negatives.
        scale: factor of the cosines.
        margin: taken from the positive's cosine (Yang et al. 2019, equation 5).
        symmetric: the mean with the loss of telling each positive's anchor from the other anchors.
        false_negatives: leave out candidates that the teacher finds as close as the positive.
    """

    def telling(anchor: int, positive: int, candidates: torch.Tensor) -> torch.Tensor:
        return _telling(
            batch,
            batch.place[:, anchor],
            batch.place[:, positive],
            torch.unique(candidates),
            scale=scale,
            margin=margin,
            false_negatives=false_negatives,
        )

    others = batch.place[:, 1:]
    forward = telling(0, 1, others[others >= 0])
    return (forward + telling(1, 0, batch.place[:, 0])) / 2 if symmetric else forward


def _telling(
    batch: Compared,
    anchors: torch.Tensor,
    positives: torch.Tensor,
    candidates: torch.Tensor,
    *,
    scale: torch.Tensor | float,
    margin: float,
    false_negatives: FalseNegatives | None,
) -> torch.Tensor:
    """Return the cross-entropy (n,) of telling `positives` (n,) from `candidates`, distinct and sorted."""
    unit = functional.normalize(batch.vectors, dim=1)
    guide = batch.teacher_of_texts() if false_negatives else None
    distinct, group = torch.unique(anchors, return_inverse=True)
    own = torch.searchsorted(candidates, positives.contiguous())
    # For each distinct anchor, the candidates that are its positive in some row, and itself.
    close = distinct[:, None] == candidates
    close[group, own] = True

    def part(rows: torch.Tensor) -> torch.Tensor:
        target = own[rows, None]
        cosines = unit[anchors[rows]] @ unit[candidates].T
        left_out = close[group[rows]]
        if guide is not None and false_negatives is not None:
            similar = guide[anchors[rows]] @ guide[candidates].T
            positive = similar.gather(1, target)
            left_out = left_out | (similar > positive - false_negatives.margin * _size(positive, false_negatives))
        left_out = left_out.scatter(1, target, False)
        if margin:
            cosines = cosines.scatter_add(1, target, torch.full_like(target, -margin, dtype=cosines.dtype))
        return functional.cross_entropy((cosines * scale).masked_fill(left_out, NEVER), own[rows], reduction="none")

    return _in_parts(part, len(anchors), len(candidates), anchors.device)


def _size(positive: torch.Tensor, section: FalseNegatives) -> torch.Tensor | float:
    return positive.abs() if section.relative else 1.0


def similarity(batch: Compared, *, form: Literal["kl", "mse"], temperature: float, anchor: int = 0) -> torch.Tensor:
    """Return how far each anchor's cosines with the other texts are from the teacher's (n,).

    kl: Kullback-Leibler divergence of their softmaxes (Fang et al. 2021, equations 3 to 5: their cross-entropy less
    the teacher's entropy). mse: mean squared error (Tung & Mori 2019, equation 4, with cosines).

    Args:
        batch: rows of any kind; teacher and student compare with the same further candidates, if there are any.
        form: see above.
        temperature: kl only: what cosines are divided by.
        anchor: column of the anchors; candidates are the texts of all other columns, or of this one if it is alone.
    """
    unit, teacher = functional.normalize(batch.vectors, dim=1), batch.teacher_of_texts()
    assert batch.teacher is not None
    assert batch.target_place is not None
    wanted_of = functional.normalize(batch.teacher.float(), dim=1)[batch.target_place[:, anchor]]
    columns = [column for column in range(batch.place.shape[1]) if column != anchor] or [anchor]
    anchors, others = batch.place[:, anchor], batch.place[:, columns]
    candidates = torch.unique(others[others >= 0])
    compared, teachers, number = unit[candidates], teacher[candidates], candidates
    if batch.candidates is not None:
        further = functional.normalize(batch.candidates.float(), dim=1)
        compared, teachers = torch.cat([compared, further]), torch.cat([teachers, further])
        number = functional.pad(candidates, (0, len(further)), value=-1)

    def part(rows: torch.Tensor) -> torch.Tensor:
        own, wanted = unit[anchors[rows]] @ compared.T, wanted_of[rows] @ teachers.T
        itself = anchors[rows, None] == number
        if form == "mse":
            squares = (own - wanted).square().masked_fill(itself, 0)
            mean: torch.Tensor = squares.sum(dim=1) / (~itself).sum(dim=1).clamp(min=1)
            return mean
        own, wanted = ((v / temperature).masked_fill(itself, NEVER).log_softmax(dim=1) for v in (own, wanted))
        divergence: torch.Tensor = functional.kl_div(own, wanted, reduction="none", log_target=True).sum(dim=1)
        return divergence

    return _in_parts(part, len(anchors), len(number), anchors.device)


def cosent(batch: Compared, *, scale: float) -> torch.Tensor:
    """Return the loss of the batch's order (n,), the same number for each row (CoSENT, Su 2022)."""
    from sentence_transformers.sentence_transformer.losses import CoSENTLoss

    assert batch.value is not None
    loss = CoSENTLoss(model=None, scale=scale)
    pairs = [batch.column(0), batch.column(1)]
    value: torch.Tensor = loss.compute_loss_from_embeddings(pairs, batch.value)
    return value.expand(len(batch.place))


def _in_parts(
    loss: Callable[[torch.Tensor], torch.Tensor], n_rows: int, n_candidates: int, device: torch.device
) -> torch.Tensor:
    """Return a loss of rows (n,), computed so many rows at a time that memory does not grow with the square of n."""
    rows = torch.arange(n_rows, device=device)
    size = max(1, COSINES_AT_ONCE // max(1, n_candidates))
    if n_rows <= size:
        return loss(rows)
    parts = [checkpoint(loss, part, use_reentrant=False, preserve_rng_state=False) for part in torch.split(rows, size)]
    return torch.cat(parts)
