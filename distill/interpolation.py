"""Weights between those before training and those after it (WiSE-FT, Wortsman et al. 2022, arXiv 2109.01903).

A transplant is good before its first step: its layers are the teacher's. Training on some kinds of text teaches it the
new language, and makes it forget others. On the straight line between the two lie models that are better than both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

Weights = Mapping[str, torch.Tensor]


def copy_weights(model: nn.Module) -> Weights:
    """Return a copy of a model's weights by name; tied ones once."""
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


@torch.no_grad()
def interpolate(model: nn.Module, start: Weights, share: float) -> None:
    """Move a model's weights back towards those that it started from.

    Args:
        model: the model after training.
        start: its weights before training.
        share: what is left of the way from there: 0 for the weights of `start`, 1 for the model as it is.
    """
    if share == 1:
        return
    for name, weight in model.named_parameters():
        weight.lerp_(start[name].to(weight), 1 - share)


@contextmanager
def interpolated(model: nn.Module, start: Weights, share: float) -> Iterator[None]:
    """Interpolate a model's weights, and give it back its own afterwards; see `interpolate`."""
    if share == 1:
        yield
        return
    trained = copy_weights(model)
    interpolate(model, start, share)
    try:
        yield
    finally:
        interpolate(model, trained, 0)
