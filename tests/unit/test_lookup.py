"""Token embeddings whose gradient is added up in place."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import pytest
import torch
from torch import nn

from distill.lookup import InPlaceEmbedding

PADDING = 0
STEPS = [
    [[[5, 1, 1], [3, PADDING, PADDING]], [[2, 5, 7]]],
    [[[4, 4, PADDING]], [[9, 5, 1], [9, 8, PADDING]]],
]
"""Steps of two chunks of token ids, with padding and ids that come several times."""


class Means(nn.Module):
    """A student in small: the mean of the tokens' vectors, and a layer on it."""

    def __init__(self, padding_idx: int | None) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.embedding = nn.Embedding(10, 4, padding_idx=padding_idx)
        self.layer = nn.Linear(4, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layer(self.embedding(ids).mean(dim=1)).tanh()
        return found


def gradients(model: Means, step: Sequence[Sequence[Sequence[int]]]) -> dict[str, torch.Tensor]:
    """Return the gradients of a step whose chunks are run one after the other, some of them in one backward pass."""
    model.zero_grad()
    model(torch.tensor(step[0])).square().sum().backward()
    (model(torch.tensor(step[0])).sum() + model(torch.tensor(step[1])).pow(3).sum()).backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("padding_idx", [PADDING, None])
def test_gradients_are_those_of_autograd(padding_idx: int | None) -> None:
    usual = Means(padding_idx)
    own = copy.deepcopy(usual)
    own.embedding = InPlaceEmbedding(own.embedding)
    for step in STEPS:
        expected, found = gradients(usual, step), gradients(own, step)
        assert expected["embedding.weight"].abs().sum() > 0
        torch.testing.assert_close(found, expected)


def test_the_matrix_is_the_same_parameter() -> None:
    usual = Means(PADDING)
    weight = usual.embedding.weight
    usual.embedding = InPlaceEmbedding(usual.embedding)
    assert usual.embedding.weight is weight
    assert list(usual.state_dict()) == ["embedding.weight", "layer.weight", "layer.bias"]


def test_a_frozen_matrix_gets_no_gradient() -> None:
    model = Means(PADDING)
    model.embedding = InPlaceEmbedding(model.embedding)
    model.embedding.weight.requires_grad_(False)
    assert "embedding.weight" not in gradients(model, STEPS[0])
    with torch.inference_mode():
        assert model(torch.tensor(STEPS[0][0])).shape == (2, 3)
