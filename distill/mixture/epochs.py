"""Proportional sampling: epochs that have every row once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from distill.mixture.data_sets import DataSet, Stream, domain_pools
from distill.mixture.passes import BATCHES_PER_WINDOW
from distill.mixture.turns import evenly
from distill.store import Rows

Batch = tuple[str, Rows, bool]


class RowEpochs:
    """Epochs of batches, each from one pool of rows; pools get steps in proportion to their batches.

    Args:
        streams: objective name → its rows.
        sets: the data sets that keep to batches of their own; None to mix those of an objective.
        batch_size: most rows in a step.
        by_domain: whether each domain keeps to batches of its own.
        seed: seed of the order.
    """

    def __init__(
        self,
        streams: Mapping[str, Stream],
        sets: Sequence[DataSet] | None,
        batch_size: int,
        by_domain: bool,
        seed: int,
    ) -> None:
        self.streams, self.batch_size, self.seed = streams, batch_size, seed
        if sets is None:
            ranges = [(name, range(len(stream.lengths))) for name, stream in streams.items()]
        else:
            ranges = [(s.objective, range(s.first, s.first + s.n)) for s in sets]
        self.pools: list[tuple[str, Rows | range]] = []
        for name, rows in ranges:
            domain = streams[name].domain if by_domain else None
            pools = [rows] if domain is None else domain_pools(rows, domain, batch_size)
            self.pools += [(name, pool) for pool in pools]
        sizes = [(len(pool), n_batches(len(pool), batch_size)) for _, pool in self.pools]
        self.steps_per_epoch = sum(n for _, n in sizes)
        self.smallest_batch = min(size // n for size, n in sizes)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield objective, rows and English flag of an epoch's steps."""
        batches = [
            epoch_batches(_part(self.streams[name].lengths, pool), self.batch_size, seed=(self.seed, number, index))
            for index, (name, pool) in enumerate(self.pools)
        ]
        order = np.repeat(np.arange(len(batches), dtype=np.int32), [len(b) for b in batches])
        np.random.default_rng((self.seed, number, len(batches))).shuffle(order)
        taken = [0] * len(batches)
        for index in order:
            name, pool = self.pools[index]
            n, own = taken[index], batches[index]
            taken[index] += 1
            rows = own[n].astype(np.int64)
            english = evenly(number * len(own) + n, self.streams[name].english_share)
            yield name, (rows + pool.start if isinstance(pool, range) else pool[rows]), english


def n_batches(n_rows: int, batch_size: int) -> int:
    """Return into how many batches of at most `batch_size` rows are cut."""
    return math.ceil(n_rows / batch_size)


def epoch_batches(lengths: npt.NDArray[np.int32], batch_size: int, *, seed: Sequence[int]) -> list[npt.NDArray[Any]]:
    """Return the batches of one epoch: every row once, rows of a batch of similar length, batches shuffled.

    Batches differ in size by one row at most, so that none is a small remainder.

    Args:
        lengths: tokens per row (n,).
        batch_size: most rows in a batch.
        seed: what the order depends on.
    """
    rng = np.random.default_rng(tuple(seed))
    order: npt.NDArray[Any] = np.arange(len(lengths), dtype=np.int32 if len(lengths) < 2**31 else np.int64)
    rng.shuffle(order)
    count = n_batches(len(lengths), batch_size)
    sizes = np.full(count, len(lengths) // count)
    sizes[: len(lengths) % count] += 1
    ends = np.cumsum(sizes)
    for first in range(0, count, BATCHES_PER_WINDOW):
        window = order[ends[first] - sizes[first] : ends[min(first + BATCHES_PER_WINDOW, count) - 1]]
        window[:] = window[np.argsort(lengths[window], kind="stable")]
    return [order[ends[i] - sizes[i] : ends[i]] for i in rng.permutation(count)]


def _part(lengths: npt.NDArray[np.int32], pool: Rows | range) -> npt.NDArray[np.int32]:
    return lengths[pool.start : pool.stop] if isinstance(pool, range) else lengths[pool]
