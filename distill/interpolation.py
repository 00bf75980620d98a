"""Weights between those before training and those after it (WiSE-FT, Wortsman et al. 2022, arXiv 2109.01903).

A transplant is good before its first step: its layers are the teacher's. Training on some kinds of text teaches it the
new language, and makes it forget others. On the straight line between the two lie models that are better than both.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from distill.errors import ModelError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def interpolate(start: SentenceTransformer, trained: SentenceTransformer, share: float) -> SentenceTransformer:
    """Return a model on the straight line between the weights of two models.

    Args:
        start: the model before training; left as it is.
        trained: the same model after training; left as it is.
        share: how far to go, 0 for the weights of `start`, 1 for those of `trained`.

    Raises:
        ModelError: the two do not have the same weights.
    """
    model = copy.deepcopy(trained)
    origins = dict(start.named_parameters())
    shapes = [{name: tuple(w.shape) for name, w in m.named_parameters()} for m in (start, trained)]
    if shapes[0] != shapes[1]:
        names = sorted(name for name, _ in shapes[0].items() ^ shapes[1].items())
        raise ModelError(
            "training.interpolation", f"the untrained student differs in {names[0]}", expected="the same weights"
        )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.lerp_(origins[name].to(weight), 1 - share)
    return model
