"""Vectors of texts by any model, computed once per text and model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from distill.encode import EncodeTexts, Vectors, encode, speed_up
from distill.models import encoder_digest, load_model
from distill.store import VectorStore, distinct_keys, text_keys

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def stored_vectors(store: VectorStore, texts: Sequence[str], encode_texts: Callable[[list[str]], Vectors]) -> Vectors:
    """Return vectors (n, dimension) of texts; those the store lacks are computed and added to it."""
    keys = text_keys(texts)
    absent = np.flatnonzero(store.find(keys) < 0)
    absent = absent[distinct_keys(keys[absent])]
    if len(absent):
        store.append(keys[absent], {"vectors": encode_texts([texts[int(row)] for row in absent])})
    return store.read(store.find(keys))


def vectors_of(where: str, name: str, device: torch.device) -> EncodeTexts:
    """Return a function from texts to a model's stored vectors; it holds the model in memory only while it runs.

    Args:
        where: what names the model, for messages.
        name: Hub id or folder.
        device: where the model runs.
    """
    return vectors_by(lambda: load_model(where, name, device=str(device)), Path(name).name)


def vectors_by(load: Callable[[], SentenceTransformer], name: str) -> EncodeTexts:
    """Return a function from texts to stored vectors of the model that `load` returns; `name` is for the record."""

    def vectors(texts: Sequence[str]) -> Vectors:
        model = load()
        store = VectorStore({"model": name, "encoder": encoder_digest(model), "precision": "fp32"})
        speed_up(model)
        return stored_vectors(store, texts, partial(encode, model))

    return vectors
