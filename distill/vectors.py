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
from distill.progress import Update, progress
from distill.store import VectorStore, distinct_keys, text_keys

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

TEXTS_PER_SHARD = 32_768

LONG_WORK = 1_000
"""Texts from which progress is shown."""


def stored_vectors(
    store: VectorStore, texts: Sequence[str], compute: Callable[..., Vectors], title: str = ""
) -> Vectors:
    """Return vectors (n, dimension) of texts; those the store lacks are computed and added to it, a shard at a time.

    Args:
        store: what is known already.
        texts: texts in any order, also more than once.
        compute: gives the vectors of texts; calls its argument `progress` with the number of texts done.
        title: what is computed, shown with the progress of long work; nothing is shown if empty.
    """
    keys = text_keys(texts)
    absent = np.flatnonzero(store.find(keys) < 0)
    absent = absent[distinct_keys(keys[absent])]
    with progress(title, len(absent), title, show=bool(title) and len(absent) > LONG_WORK) as update:
        for start in range(0, len(absent), TEXTS_PER_SHARD):
            part = absent[start : start + TEXTS_PER_SHARD]
            vectors = compute([texts[row] for row in part], progress=partial(_add, update, start))
            store.append(keys[part], {"vectors": vectors})
    return store.read(store.find(keys))


def _add(update: Update, before: int, done: int) -> None:
    update(before + done)


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
