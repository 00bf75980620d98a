"""Fewer layers: which of an encoder's layers a student keeps."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

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
