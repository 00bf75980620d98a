"""The optimizer, its learning rates, and which parameters it trains."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from distill.models import token_embeddings
from distill.recipe import TrainingSection

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def freeze_unused(student: SentenceTransformer) -> None:
    """Take from training the parameters that the vectors do not depend on, such as BERT's pooler.

    Several processes would wait for their gradients.
    """
    features = {
        name: value.to(student.device) if isinstance(value, torch.Tensor) else value
        for name, value in student.preprocess(["a"]).items()
    }
    parameters = [parameter for parameter in student.parameters() if parameter.requires_grad]
    vectors = student(features)["sentence_embedding"]
    gradients = torch.autograd.grad(vectors.sum(), parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.requires_grad_(gradient is not None)


def make_optimizer(student: SentenceTransformer, section: TrainingSection, heads: nn.Module) -> torch.optim.AdamW:
    """Return AdamW with groups for body, token embeddings and heads, fused where the device has it.

    Weight decay would pull learnable scales, which are logarithms, to 1: they are not decayed.
    """
    embeddings = {id(p) for p in token_embeddings(student).parameters()}
    body = [p for p in student.parameters() if p.requires_grad and id(p) not in embeddings]
    rest = [p for p in student.parameters() if p.requires_grad and id(p) in embeddings]
    rates, device = section.learning_rate, next(student.parameters()).device.type
    groups = [{"params": body, "lr": rates.body}, {"params": rest, "lr": rates.embeddings}]
    weights, scales = ([p for p in heads.parameters() if (p.ndim == 0) == scalar] for scalar in (False, True))
    groups += [{"params": weights, "lr": rates.heads}] if weights else []
    groups += [{"params": scales, "lr": rates.heads, "weight_decay": 0.0}] if scales else []
    return torch.optim.AdamW(groups, weight_decay=section.weight_decay, fused=device in {"cpu", "cuda"})


def learning_rate_factor(step: int, n_steps: int, section: TrainingSection) -> float:
    """Return the learning rate of a step as a share of the peak: a rise from 0, then the decay."""
    warmup = round(section.warmup * n_steps)
    if step < warmup:
        return (step + 1) / warmup
    rest = (step - warmup) / max(1, n_steps - warmup)
    if section.schedule == "linear":
        return 1.0 - rest
    if section.schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * rest))
    return 1.0
