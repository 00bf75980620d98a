"""Whose turn it is: an endless sequence of choices in given proportions, any place of which can be had at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

SMALLEST_SHARE = 1e-6
"""No item gets less: a block of turns has every item at least once."""

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Turns:
    """Turns of some items, cut into blocks in which each item is spread evenly.

    After each block, every item has had its share of all turns to within one.

    Attributes:
        shares: of each item; they sum to 1.
        block: turns in a block; `block * min(shares)` is above 1 or each item has a whole number of turns in it.
        seed: what the order within a block depends on; None for the same order in every block.
    """

    shares: tuple[float, ...]
    block: int
    seed: tuple[int, ...] | None

    def item(self, turn: int) -> int:
        """Return the item whose turn it is."""
        block, place = divmod(turn, self.block)
        return int(self._order(block)[place])

    def before(self, turn: int) -> Counts:
        """Return how many turns each item had before a turn (items,)."""
        block, place = divmod(turn, self.block)
        return _quotas(self, block) + np.bincount(self._order(block)[:place], minlength=len(self.shares))

    def counts(self, turn: int, n: int) -> Counts:
        """Return how many of `n` turns from `turn` on, all in one block, each item has (items,)."""
        block, place = divmod(turn, self.block)
        return np.bincount(self._order(block)[place : place + n], minlength=len(self.shares))

    def _order(self, block: int) -> npt.NDArray[np.int32]:
        return _order(self, 0 if self.seed is None else block)


def mixed_turns(weights: npt.NDArray[np.float64], seed: tuple[int, ...], *, multiple: int = 1) -> Turns:
    """Return turns in proportion to weights, in a random order; a block is a multiple of `multiple` turns."""
    shares = np.maximum(weights / weights.sum(), SMALLEST_SHARE)
    shares /= shares.sum()
    block = math.ceil(max(100, 1 / shares.min() + 1) / multiple) * multiple
    return Turns(tuple(shares.tolist()), block, seed)


def regular_turns(ratio: tuple[int, ...]) -> Turns:
    """Return turns at a ratio of whole numbers, each block the same: a, b, a, b, … for (1, 1)."""
    return Turns(tuple(part / sum(ratio) for part in ratio), sum(ratio), None)


def _quotas(turns: Turns, blocks: int) -> Counts:
    """Return how many turns each item has in the first blocks: its share, to within one (largest remainders)."""
    exact = blocks * turns.block * np.array(turns.shares)
    whole = np.floor(exact + 1e-9).astype(np.int64)
    missing = blocks * turns.block - int(whole.sum())
    whole[np.argsort(whole - exact, kind="stable")[:missing]] += 1
    return whole


@lru_cache(maxsize=16)
def _order(turns: Turns, block: int) -> npt.NDArray[np.int32]:
    """Return the items of a block in order: one turn of an item in each of as many equal parts as it has turns."""
    counts = _quotas(turns, block + 1) - _quotas(turns, block)
    items = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    number = np.arange(len(items)) - np.repeat(np.cumsum(counts) - counts, counts)
    within = 0.5 if turns.seed is None else np.random.default_rng((*turns.seed, block)).random(len(items))
    return items[np.argsort((number + within) / np.repeat(counts, counts), kind="stable")]


def evenly(n: int, share: float) -> bool:
    """Return whether the n-th of a sequence is chosen when a share of it is, spread evenly."""
    return math.floor((n + 1) * share + 1e-9) > math.floor(n * share + 1e-9)
