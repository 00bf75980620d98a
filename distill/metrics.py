"""The numbers behind scores; vectors in, floats out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from distill.encode import Vectors

Floats = npt.NDArray[np.float64]

BLOCK_ROWS = 1024


def unit(vectors: Vectors) -> Vectors:
    """Return vectors scaled to length 1 (a zero vector stays zero)."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), np.float32)


def pair_cosines(first: Vectors, second: Vectors) -> Floats:
    """Return the cosine of each pair of rows, (n,)."""
    cosines = np.einsum("nd,nd->n", unit(first).astype(np.float64), unit(second).astype(np.float64))
    return np.asarray(cosines, np.float64)


def spearman(similarity: Floats, gold: Floats) -> float:
    """Return Spearman's rank correlation; ties get the mean rank."""
    return float(stats.spearmanr(similarity, gold).statistic)


def pearson(similarity: Floats, gold: Floats) -> float:
    """Return Pearson's correlation."""
    return float(stats.pearsonr(similarity, gold).statistic)


def retrieval_accuracy(queries: Vectors, candidates: Vectors) -> float:
    """Return the share of queries whose nearest candidate by cosine is the one in the same row.

    Rows are compared in blocks: memory is `BLOCK_ROWS` × n, not n × n.
    """
    queries, candidates = unit(queries), unit(candidates)
    hits = 0
    for start in range(0, len(queries), BLOCK_ROWS):
        nearest = (queries[start : start + BLOCK_ROWS] @ candidates.T).argmax(axis=1)
        hits += int((nearest == np.arange(start, start + len(nearest))).sum())
    return hits / len(queries)


def mean_squared_error(student: Vectors, teacher: Vectors) -> float:
    """Return the mean over sentences of the squared distance between student's and teacher's vectors."""
    return float(np.square(student.astype(np.float64) - teacher).sum(axis=1).mean())
