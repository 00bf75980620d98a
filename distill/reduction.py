"""Shorter vectors: the principal components of the teacher's vectors of one's own corpora."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from distill.errors import ModelError
from distill.spread import spread
from distill.store import Keys, Rows, VectorStore, distinct_keys

if TYPE_CHECKING:
    from sentence_transformers.sentence_transformer.modules import Dense

log = logging.getLogger("distill")

Vectors = npt.NDArray[np.float32]

MOST_VECTORS = 200_000
"""Most vectors that principal components are computed from."""

VECTORS_PER_BATCH = 32_768


@dataclass(frozen=True)
class Projection:
    """A linear map to fewer dimensions.

    Attributes:
        weight: orthonormal rows, (dimensions, dimensions before).
        unit_length: whether vectors have length 1 afterwards, as before.
    """

    weight: Vectors
    unit_length: bool

    def apply(self, vectors: Vectors) -> Vectors:
        """Return projected vectors (n, dimensions)."""
        projected = vectors @ self.weight.T
        if self.unit_length:
            projected /= np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), 1e-12)
        return projected

    def dense(self) -> Dense:
        """Return the map as a module of sentence-transformers; `Normalize` comes after it."""
        import torch
        from sentence_transformers.sentence_transformer.modules import Dense

        before, after = self.weight.shape[1], len(self.weight)
        weight = torch.from_numpy(self.weight.copy())
        return Dense(before, after, bias=False, activation_function=torch.nn.Identity(), init_weight=weight)


@dataclass(frozen=True)
class ProjectedVectors:
    """A store's vectors as training reads them, projected."""

    store: VectorStore
    projection: Projection

    def find(self, keys: Keys) -> Rows:
        """Return the store's row of each key (n,), -1 where it is not stored."""
        return self.store.find(keys)

    def read(self, rows: Rows) -> Vectors:
        """Return projected vectors (n, dimensions)."""
        return self.projection.apply(self.store.read(rows))


def principal_components(store: VectorStore, keys: Keys, dimensions: int) -> Vectors:
    """Return the directions in which stored vectors are longest, orthonormal rows (dimensions, dimensions before).

    The eigenvectors of the matrix of second moments, the greatest eigenvalue first. Neither centred nor whitened: that
    keeps no more of the teacher's similarities (DECISIONS.md).

    Args:
        store: the teacher's vectors.
        keys: whose vectors to use, (n, 2); of more than `MOST_VECTORS` distinct ones a spread of these.
        dimensions: how many directions.

    Raises:
        ModelError: there are too few vectors.
    """
    rows = np.sort(store.find(keys[distinct_keys(keys)]))
    rows = spread(rows, MOST_VECTORS)
    if len(rows) < dimensions:
        raise ModelError("student.dimensions", f"{dimensions} from {len(rows)} sentences", expected="more sentences")
    length = store.read(rows[:1]).shape[1]
    moments = np.zeros((length, length))
    for start in range(0, len(rows), VECTORS_PER_BATCH):
        vectors = store.read(rows[start : start + VECTORS_PER_BATCH]).astype(np.float64)
        moments += vectors.T @ vectors
    values, directions = np.linalg.eigh(moments)
    share = values[-dimensions:].sum() / values.sum()
    log.info("dimensions: %d of %d hold %.1f %% of the vectors' squared length", dimensions, length, 100 * share)
    return np.ascontiguousarray(directions[:, ::-1][:, :dimensions].T, np.float32)
