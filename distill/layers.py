"""Fewer layers: which of an encoder's layers a student keeps, and how it learns from those that it lacks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from distill.errors import ModelError
from distill.recipe import LayersSection

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger("distill")

LAYER_LISTS = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "camembert", "electra", "mpnet"), "encoder.layer"),
    "distilbert": "transformer.layer",
}
"""Where the layers of each supported model type are. What they share (MPNet's relative attention bias) lies beside."""


def keep_layers(model: PreTrainedModel, section: LayersSection) -> list[int]:
    """Return the numbers of the layers that an encoder keeps, from 0, after removing the others from it.

    Raises:
        ModelError: the model's layers cannot be removed one by one, or it has fewer layers than asked for.
    """
    kind = model.config.model_type
    if kind not in LAYER_LISTS:
        raise ModelError(
            "student.layers",
            f"layers of a {kind} cannot be left out",
            expected=f"a model of type {', '.join(LAYER_LISTS)}",
            hint="leave out `layers`",
        )
    path, _, name = LAYER_LISTS[kind].rpartition(".")
    parent = model.get_submodule(path)
    layers = list(getattr(parent, name))
    kept = section.of(len(layers))
    if min(kept) < 0 or max(kept) >= len(layers):
        raise ModelError("student.layers", f"the model has {len(layers)} layers", expected="layers that it has")
    setattr(parent, name, nn.ModuleList(layers[number] for number in kept))
    model.config.num_hidden_layers = len(kept)
    log.info("layers: %d of %d kept: %s", len(kept), len(layers), ", ".join(map(str, kept)))
    return kept


def matched_states(student_layers: int, teacher_layers: int) -> list[tuple[int, int]]:
    """Return which hidden state of a student should equal which of its teacher's: evenly spread, last with last.

    States are numbered as transformers gives them: 0 is the embeddings' output, i the output of layer i - 1. After
    TinyBERT's uniform strategy (Jiao et al. 2020, arXiv 1909.10351, section 3.2).
    """
    return [(i, round(i * teacher_layers / student_layers)) for i in range(1, student_layers + 1)]


def hidden_state_loss(
    student: Sequence[torch.Tensor],
    teacher: Sequence[torch.Tensor],
    mask: torch.Tensor,
    pairs: Sequence[tuple[int, int]],
) -> torch.Tensor:
    """Return the mean squared error between hidden states of the same tokens, a scalar (TinyBERT, equation 8).

    Args:
        student: hidden states, each (texts, tokens, hidden).
        teacher: hidden states of the same tokens, of the same size.
        mask: 1 for tokens, 0 for padding, (texts, tokens).
        pairs: which are compared (`matched_states`).
    """
    weight = mask.unsqueeze(-1).to(student[0].dtype)
    elements = weight.sum() * student[0].shape[-1] * len(pairs)
    squares = [((student[own] - teacher[other].detach()) * weight).square().sum() for own, other in pairs]
    return torch.stack(squares).sum() / elements
