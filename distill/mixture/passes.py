"""Rows passed again and again, each pass in an order of its own; any batch can be had without those before it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from distill.mixture.permutation import permuted
from distill.store import Rows

BATCHES_PER_WINDOW = 50
"""Rows are sorted by length within windows of this many batches: little padding, and still a shuffled pass."""


class EndlessRows:
    """One pass after the other over the rows of a data set, seamlessly.

    Runs of rows of similar length follow each other in a random order. No row comes again before all have come, nor
    twice in a batch: the rows of a batch that the end of a pass cuts do not begin the next pass.

    Args:
        first: the data set's first row.
        lengths: tokens of its rows (n,).
        run: rows in a run.
        reach: None if batches are runs. Otherwise, most rows that a batch takes; batches may begin anywhere.
        seed: what the orders depend on.
    """

    def __init__(
        self, first: int, lengths: npt.NDArray[np.int32], run: int, reach: int | None, seed: tuple[int, ...]
    ) -> None:
        self.first, self.lengths, self.n, self.run, self.reach, self.seed = (
            first,
            lengths,
            len(lengths),
            run,
            reach,
            seed,
        )
        self._window = lru_cache(maxsize=4)(self._make_window)

    def rows(self, start: int, stop: int) -> Rows:
        """Return the rows at some positions of the endless sequence."""
        parts = []
        while start < stop:
            number, low = divmod(start, self.n)
            high = min(self.n, low + stop - start)
            parts.append(self._ordered(number, low, high))
            start += high - low
        return np.concatenate(parts) + self.first

    def batch(self, number: int) -> Rows:
        """Return a batch of one run."""
        return self.rows(number * self.run, (number + 1) * self.run)

    def _ordered(self, number: int, low: int, high: int) -> Rows:
        """Return places of a pass: at its front, those that the end of the pass before does not have come first."""
        tail = number * self.n % self.run if self.reach is None else self.reach
        front_size = self.run if self.reach is None else 2 * self.reach
        if low >= front_size or number == 0 or tail == 0:
            return self._sorted(number, low, high)
        front = self._sorted(number, 0, front_size)
        again = np.isin(front, self._sorted(number - 1, self.n - tail, self.n))
        front = np.concatenate([front[~again], front[again]])
        if high <= front_size:
            return front[low:high]
        return np.concatenate([front[low:], self._sorted(number, front_size, high)])

    def _sorted(self, number: int, low: int, high: int) -> Rows:
        """Return places of a pass, runs of similar length."""
        size, base = BATCHES_PER_WINDOW * self.run, number * self.n
        parts = []
        for window in range((base + low) // size, (base + high - 1) // size + 1):
            start = max(0, window * size - base)
            parts.append(self._window(number, window)[max(0, low - start) : high - start])
        return np.concatenate(parts)

    def _make_window(self, number: int, window: int) -> Rows:
        """Return the part of a pass that lies in a window of the endless sequence; its whole runs are sorted."""
        size, base = BATCHES_PER_WINDOW * self.run, number * self.n
        start, stop = max(0, window * size - base), min(self.n, (window + 1) * size - base)
        rows = permuted(np.arange(start, stop), self.n, (*self.seed, number))
        low, high = -(-(base + start) // self.run) * self.run - base, (base + stop) // self.run * self.run - base
        if low < high:
            whole = rows[low - start : high - start]
            runs = whole[np.argsort(self.lengths[whole], kind="stable")].reshape(-1, self.run)
            order = np.random.default_rng((*self.seed, number, window)).permutation(len(runs))
            rows[low - start : high - start] = runs[order].ravel()
        return rows


class PooledRows:
    """Passes over rows that lie in pools, each batch from one pool.

    Every pool is cut anew in each pass, in batches whose sizes differ by one row at most. No batch has rows
    of two passes.

    Args:
        pools: rows of each pool.
        lengths: tokens of all rows of the stream (n,).
        batch_size: most rows in a batch.
        seed: what the orders depend on.
    """

    def __init__(
        self, pools: Sequence[Rows], lengths: npt.NDArray[np.int32], batch_size: int, seed: tuple[int, ...]
    ) -> None:
        self.pools, self.lengths, self.seed = pools, lengths, seed
        self.n_batches = np.array([-(-len(pool) // batch_size) for pool in pools])
        self.per_pass = int(self.n_batches.sum())
        self.smallest = min(len(pool) // int(n) for pool, n in zip(pools, self.n_batches, strict=True))
        self._pool_order = lru_cache(maxsize=2)(self._make_pool_order)
        self._window = lru_cache(maxsize=2 * len(pools))(self._make_window)

    def batch(self, number: int) -> Rows:
        """Return a batch."""
        turn, place = divmod(number, self.per_pass)
        order = self._pool_order(turn)
        pool = int(order[place])
        window, offset = divmod(int(np.count_nonzero(order[:place] == pool)), BATCHES_PER_WINDOW)
        return self._window(pool, turn, window)[offset]

    def _make_pool_order(self, turn: int) -> npt.NDArray[np.int64]:
        order = np.repeat(np.arange(len(self.pools)), self.n_batches)
        np.random.default_rng((*self.seed, turn)).shuffle(order)
        return order

    def _make_window(self, pool: int, turn: int, window: int) -> list[Rows]:
        """Return some successive batches of a pool in a random order, the rows of each of similar length."""
        rows, total = self.pools[pool], int(self.n_batches[pool])
        low, high = window * BATCHES_PER_WINDOW, min((window + 1) * BATCHES_PER_WINDOW, total)
        ends = np.arange(low, high + 1) * len(rows) // total
        chosen = rows[permuted(np.arange(ends[0], ends[-1]), len(rows), (*self.seed, pool, turn))]
        chosen = chosen[np.argsort(self.lengths[chosen], kind="stable")]
        batches = np.split(chosen, ends[1:-1] - ends[0])
        order = np.random.default_rng((*self.seed, pool, turn, window)).permutation(len(batches))
        return [batches[i] for i in order]
