"""Teacher-layer matching: the layers that a student keeps see English as these layers of its teacher do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from distill.gradients import TOKENS_PER_CHUNK, TrainingData, token_budget
from distill.mixture import Step
from distill.objectives import ENGLISH
from distill.padding import length_batches, pad
from distill.recipe import Recipe
from distill.store import Rows, TokenStore

if TYPE_CHECKING:
    from accelerate import Accelerator
    from sentence_transformers import SentenceTransformer
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class LayerMatching:
    """Draws a student's hidden states of English texts to its teacher's, which are computed in the step.

    Attributes:
        student: the student, a transplant: its first pieces are the teacher's.
        teacher: the teacher's encoder, with all its layers.
        pieces: number of the teacher's pieces; a word with a letter that the teacher lacks has new ones.
        layers: numbers of the layers that the student keeps, from 0.
        weight: factor of the loss.
        tokens: the student's tokens by row.
        texts: objective → token-store row of the English text of each of its rows; only those that train English.
        accelerator: device and precision.
    """

    student: SentenceTransformer
    teacher: PreTrainedModel
    pieces: int
    layers: Sequence[int]
    weight: float
    tokens: TokenStore
    texts: dict[str, Rows]
    accelerator: Accelerator

    def backward(self, step: Step) -> torch.Tensor:
        """Add the gradient of a step's English texts to the parameters, and return their loss."""
        device = self.accelerator.device
        total = torch.zeros((), device=device)
        if not step.english or step.objective not in self.texts:
            return total
        found = self.tokens.read(np.unique(self.texts[step.objective][step.rows]))
        ids = [row for row in found if row.max() < self.pieces]
        lengths = np.fromiter((len(row) for row in ids), np.int32, len(ids))
        for rows in length_batches(lengths, token_budget(TOKENS_PER_CHUNK, device)):
            inputs = {name: tensor.to(device) for name, tensor in pad([ids[row] for row in rows], 0).items()}
            with self.accelerator.autocast():
                own = self.student[0].model(**inputs, output_hidden_states=True).hidden_states
                with torch.no_grad():
                    others = self.teacher(**inputs, output_hidden_states=True).hidden_states
            # State 0 is the embeddings' output, i the output of layer i - 1.
            loss = hidden_state_loss(own[1:], [others[layer + 1] for layer in self.layers], inputs["attention_mask"])
            part = self.weight * loss * float(lengths[rows].sum() / lengths.sum())
            self.accelerator.backward(part)
            total += part.detach()
        return total


def layer_matching(
    recipe: Recipe, student: SentenceTransformer, data: TrainingData, accelerator: Accelerator
) -> LayerMatching | None:
    """Return the layer matching of a run of one process, None if its recipe asks for none."""
    section = None if recipe.student.kind == "static" else recipe.student.layers
    if section is None or section.match is None or data.teacher is None:
        return None
    texts = {
        name: data.train[name].texts[:, ENGLISH]
        for name, objective in recipe.objectives.items()
        if hasattr(objective, "english_share")
    }
    encoder, pieces = data.teacher[0].model, len(data.teacher.tokenizer)
    layers = section.of(encoder.config.num_hidden_layers)
    return LayerMatching(student, encoder, pieces, layers, section.match, data.tokens, texts, accelerator)


def hidden_state_loss(
    student: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor], mask: torch.Tensor
) -> torch.Tensor:
    """Return the mean squared error between hidden states of the same tokens (TinyBERT, Jiao et al. 2020, equation 8).

    Args:
        student: hidden states, each (texts, tokens, hidden).
        teacher: what each should be, likewise.
        mask: 1 for tokens, 0 for padding, (texts, tokens).
    """
    weight = mask.unsqueeze(-1)
    elements = weight.sum() * student[0].shape[-1] * len(student)
    squares = [
        ((own.float() - other.float()) * weight).square().sum() for own, other in zip(student, teacher, strict=True)
    ]
    return torch.stack(squares).sum() / elements
