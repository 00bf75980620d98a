"""The schedule: which rows are trained on in which step, a pure function of recipe, seed and epoch.

Every process computes the same schedule and takes its own slice of each batch, so the global batch does not
depend on the number of processes, and a resumed run skips exactly the steps already done.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distill.store import Rows

BATCHES_PER_WINDOW = 50
"""Rows are sorted by length within windows of this many batches: little padding, and still a shuffled epoch."""


@dataclass(frozen=True)
class Step:
    """One optimizer step.

    Attributes:
        number: steps before this one in the run.
        epoch: epoch it belongs to.
        objective: name of the objective.
        rows: rows of the objective's data that form the global batch.
        english: whether the English side is trained too.
    """

    number: int
    epoch: int
    objective: str
    rows: Rows
    english: bool


@dataclass(frozen=True)
class Stream:
    """The rows of one objective, as the schedule needs them.

    Attributes:
        lengths: tokens per row (n,).
        english_share: share of its steps that train the English side too.
    """

    lengths: npt.NDArray[np.int32]
    english_share: float


@dataclass(frozen=True)
class Schedule:
    """All steps of a run.

    Attributes:
        streams: objective name → its rows.
        batch_size: most rows in a step.
        epochs: passes over all rows.
        seed: seed of the order.
        max_steps: stop after this many steps, None for no limit.
    """

    streams: Mapping[str, Stream]
    batch_size: int
    epochs: int
    seed: int
    max_steps: int | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps of one epoch."""
        return sum(n_batches(len(stream.lengths), self.batch_size) for stream in self.streams.values())

    @property
    def smallest_batch(self) -> int:
        """Rows of the smallest batch."""
        sizes = [len(stream.lengths) for stream in self.streams.values()]
        return min(size // n_batches(size, self.batch_size) for size in sizes)

    @property
    def n_steps(self) -> int:
        """Number of steps of the run."""
        return min(filter(None, (self.epochs * self.steps_per_epoch, self.max_steps)))

    def steps(self, start: int = 0) -> Iterator[Step]:
        """Yield the steps from number `start` on."""
        for epoch in range(start // self.steps_per_epoch, self.epochs):
            first = epoch * self.steps_per_epoch
            for offset, step in enumerate(self._epoch(epoch)):
                number = first + offset
                if number >= self.n_steps:
                    return
                if number >= start:
                    yield Step(number, epoch, *step)

    def _epoch(self, epoch: int) -> Iterator[tuple[str, Rows, bool]]:
        """Yield objective, rows and English flag of an epoch's steps, objectives in proportion to their batches."""
        batches = {
            name: epoch_batches(stream.lengths, self.batch_size, seed=(self.seed, epoch, index))
            for index, (name, stream) in enumerate(self.streams.items())
        }
        names = np.repeat(np.arange(len(batches)), [len(b) for b in batches.values()])
        np.random.default_rng((self.seed, epoch, len(batches))).shuffle(names)
        taken = dict.fromkeys(batches, 0)
        for index in names:
            name = list(batches)[index]
            n = taken[name]
            taken[name] += 1
            yield (
                name,
                batches[name][n],
                evenly(epoch * len(batches[name]) + n, self.streams[name].english_share),
            )


def n_batches(n_rows: int, batch_size: int) -> int:
    """Return into how many batches of at most `batch_size` rows are cut."""
    return math.ceil(n_rows / batch_size)


def epoch_batches(lengths: npt.NDArray[np.int32], batch_size: int, *, seed: Sequence[int]) -> list[Rows]:
    """Return the batches of one epoch: every row once, rows of a batch of similar length, batches shuffled.

    Batches differ in size by one row at most, so that none is a small remainder.

    Args:
        lengths: tokens per row (n,).
        batch_size: most rows in a batch.
        seed: what the order depends on.
    """
    rng = np.random.default_rng(tuple(seed))
    order = rng.permutation(len(lengths))
    count = n_batches(len(lengths), batch_size)
    sizes = np.full(count, len(lengths) // count)
    sizes[: len(lengths) % count] += 1
    ends = np.cumsum(sizes)
    batches: list[Rows] = []
    for first in range(0, count, BATCHES_PER_WINDOW):
        last = min(first + BATCHES_PER_WINDOW, count)
        start = ends[first] - sizes[first]
        window = order[start : ends[last - 1]]
        window = window[np.argsort(lengths[window], kind="stable")]
        batches += np.split(window, ends[first : last - 1] - start)
    return [batches[i] for i in rng.permutation(count)]


def evenly(n: int, share: float) -> bool:
    """Return whether the n-th of a sequence is chosen when a share of it is, spread evenly."""
    return math.floor((n + 1) * share + 1e-9) > math.floor(n * share + 1e-9)
