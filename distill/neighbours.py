"""Nearest neighbours by cosine, exact, without a matrix of all similarities in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from distill.encode import Vectors

SMALLEST_GROUP = 512
MOST_GROUPS = 256
TILE_COLUMNS = 4_096
SEARCH_TILE = 1 << 24
REFINED_ROWS = 8_192


@dataclass(frozen=True)
class Neighbours:
    """The nearest rows of another matrix, nearest first; of equally near ones the one with the lower number.

    Attributes:
        similarity: cosines (n, k).
        index: row numbers (n, k).
    """

    similarity: Vectors
    index: npt.NDArray[np.int64]


def unit(vectors: Vectors) -> Vectors:
    """Return vectors scaled to length 1 (a zero vector stays zero)."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), np.float32)


def neighbours(queries: Vectors, candidates: Vectors, k: int = 1) -> tuple[Neighbours, Neighbours]:
    """Return the k nearest candidates of each query and the k nearest queries of each candidate.

    One pass over the product in tiles keeps only the greatest similarity of each vector to each group of the others
    (reading a tile for its maxima costs 4 % of computing it; ranking it would cost more than computing it). The k
    nearest lie in the k groups with the greatest maxima, whose similarities are computed a second time. Memory beside
    the unit vectors: at most `MOST_GROUPS` floats per vector.

    Args:
        queries: vectors (n, dimension).
        candidates: vectors (m, dimension).
        k: how many; no more than there are candidates, or queries, are returned.
    """
    left, right = torch.from_numpy(unit(queries)), torch.from_numpy(unit(candidates))
    rows, columns = _group_size(len(left)), _group_size(len(right))
    width = columns * max(1, TILE_COLUMNS // columns)
    left_maxima = torch.empty(len(left), -(-len(right) // columns))
    right_maxima = torch.empty(len(right), -(-len(left) // rows))
    memory = torch.empty(rows, width)
    for i, block in enumerate(torch.split(left, rows)):
        tile = memory[: len(block)]
        for start in range(0, len(right), width):
            others = right[start : start + width]
            torch.mm(block, others.T, out=tile[:, : len(others)])
            tile[:, len(others) :] = -torch.inf
            right_maxima[start : start + width, i] = tile[:, : len(others)].amax(0)
            groups = left_maxima[i * rows : i * rows + len(block), start // columns : (start + width) // columns]
            groups[:] = tile.view(len(block), -1, columns).amax(2)[:, : groups.shape[1]]
    return _refine(left, right, left_maxima, columns, k), _refine(right, left, right_maxima, rows, k)


def search(queries: Vectors, documents: Vectors, k: int) -> Neighbours:
    """Return the k nearest documents of each query; for few queries and large k.

    Args:
        queries: vectors (n, dimension).
        documents: vectors (m, dimension).
        k: how many; no more than there are documents are returned.
    """
    left, right = torch.from_numpy(unit(queries)), torch.from_numpy(unit(documents))
    rows = max(1, SEARCH_TILE // len(right))
    found = [(block @ right.T).topk(min(k, len(right)), 1) for block in torch.split(left, rows)]
    return _ordered(torch.cat([part.values for part in found]), torch.cat([part.indices for part in found]))


def _group_size(n: int) -> int:
    return max(SMALLEST_GROUP, -(-n // MOST_GROUPS))


def _refine(
    queries: torch.Tensor, candidates: torch.Tensor, maxima: torch.Tensor, group_size: int, k: int
) -> Neighbours:
    """Return the k nearest candidates from the greatest similarity to each group of them."""
    k = min(k, len(candidates))
    chosen = maxima.topk(min(k, maxima.shape[1]), 1).indices
    similarity = torch.full((*chosen.shape, k), -torch.inf)
    index = torch.zeros(similarity.shape, dtype=torch.int64)
    for number, group in enumerate(torch.split(candidates, group_size)):
        places = (chosen == number).nonzero()
        for row, slot in (part.unbind(1) for part in torch.split(places, REFINED_ROWS)):
            best = (queries[row] @ group.T).topk(min(k, len(group)), 1)
            similarity[row, slot, : best.values.shape[1]] = best.values
            index[row, slot, : best.values.shape[1]] = best.indices + number * group_size
    best = similarity.flatten(1).topk(k, 1)
    return _ordered(best.values, index.flatten(1).gather(1, best.indices))


def _ordered(similarity: torch.Tensor, index: torch.Tensor) -> Neighbours:
    order = np.lexsort((index.numpy(), -similarity.numpy()), axis=1)
    return Neighbours(
        np.take_along_axis(similarity.numpy(), order, axis=1), np.take_along_axis(index.numpy(), order, axis=1)
    )
