"""A permutation of any number of rows, of which any part can be had without the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from distill.store import Rows

ROUNDS = 6


def permuted(places: Rows, n: int, seed: Sequence[int]) -> Rows:
    """Return which of `n` rows come at some places of a pseudo-random permutation (as many as places).

    A Feistel network over pairs of numbers, walked along its cycles until it is below n (Black & Rogaway 2002, section
    5): time and memory depend on the number of places, not on n.

    Args:
        places: numbers from 0 to n - 1.
        n: rows in all.
        seed: what the permutation depends on.
    """
    left = math.isqrt(max(0, n - 1)) + 1
    right = math.ceil(n / left)
    keys = np.random.SeedSequence(tuple(seed)).generate_state(ROUNDS, np.uint64).astype(np.uint64)
    rows = _network(places.astype(np.uint64), left, right, keys)
    outside = np.flatnonzero(rows >= n)
    while len(outside):
        rows[outside] = _network(rows[outside], left, right, keys)
        outside = outside[rows[outside] >= n]
    return rows.astype(np.int64)


def _network(
    values: npt.NDArray[np.uint64], left: int, right: int, keys: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint64]:
    """Return a permutation of the numbers below left * right."""
    first, second = np.divmod(values, np.uint64(right))
    for number, key in enumerate(keys):
        if number % 2:
            second = (second + _mixed(first, key)) % np.uint64(right)
        else:
            first = (first + _mixed(second, key)) % np.uint64(left)
    return first * np.uint64(right) + second


def _mixed(values: npt.NDArray[np.uint64], key: np.uint64) -> npt.NDArray[np.uint64]:
    """Return numbers below 2^32 that depend on all bits of value and key (as in splitmix64, Steele et al. 2014)."""
    mixed = values ^ key
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed >> np.uint64(32)
