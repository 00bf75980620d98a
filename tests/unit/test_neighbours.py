"""Nearest neighbours against the full matrix."""

from __future__ import annotations

import numpy as np
import pytest

from distill import neighbours as module
from distill.neighbours import neighbours, search, unit


def vectors(seed: int, n: int, dimension: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, dimension)).astype(np.float32)


def full(queries: np.ndarray, candidates: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return similarities and indices of the k nearest, by sorting every row of the full matrix."""
    matrix = unit(queries).astype(np.float64) @ unit(candidates).astype(np.float64).T
    index = np.argsort(-matrix, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(matrix, index, 1), index


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 2), (700, 90), (513, 1025), (5, 4_700)])
def test_neighbours_in_both_directions_equal_those_of_the_full_matrix(n: int, m: int, k: int) -> None:
    queries, candidates = vectors(1, n), vectors(2, m)
    forward, backward = neighbours(queries, candidates, k)
    for found, (similarity, index) in (
        (forward, full(queries, candidates, k)),
        (backward, full(candidates, queries, k)),
    ):
        assert (found.index == index).all()
        assert np.allclose(found.similarity, similarity, atol=1e-6)


@pytest.mark.parametrize("tile_columns", [1, 40, 64])
def test_tiles_of_any_size_give_the_same(tile_columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SMALLEST_GROUP", 7)
    monkeypatch.setattr(module, "TILE_COLUMNS", tile_columns)
    monkeypatch.setattr(module, "REFINED_ROWS", 3)
    queries, candidates = vectors(3, 100), vectors(4, 61)
    forward, backward = neighbours(queries, candidates, 5)
    assert (forward.index == full(queries, candidates, 5)[1]).all()
    assert (backward.index == full(candidates, queries, 5)[1]).all()


def test_of_equal_candidates_the_first_is_taken() -> None:
    candidates = np.repeat(vectors(5, 3), 2, axis=0)
    forward, _ = neighbours(vectors(6, 50), candidates, 2)
    assert (forward.index[:, 0] % 2 == 0).all()
    assert (forward.index[:, 1] == forward.index[:, 0] + 1).all()


def test_search_equals_the_full_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEARCH_TILE", 1_000)
    queries, documents = vectors(7, 30), vectors(8, 300)
    found = search(queries, documents, 100)
    similarity, index = full(queries, documents, 100)
    assert (found.index == index).all()
    assert np.allclose(found.similarity, similarity, atol=1e-6)
    assert search(queries, documents[:9], 100).index.shape == (30, 9)
