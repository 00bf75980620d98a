"""The data sets of a mixture and how large a share each gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distill.errors import RunError
from distill.recipe.mixture import (
    CappedSampling,
    PhaseSection,
    ProportionalSampling,
    Sampling,
    TemperatureSampling,
    WeightedSampling,
    part_names,
)
from distill.store import Rows

Shares = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stream:
    """The rows of one objective, as the schedule needs them.

    Attributes:
        lengths: tokens per row (n,).
        english_share: share of its steps that train the English side too.
        data_set: number of each row's data set (n,), rising; all of one if absent.
        labels: label of each data set, such as `talks en-uk`.
        domain: number of each row's domain (n,), -1 for none; None if no row has one.
    """

    lengths: npt.NDArray[np.int32]
    english_share: float
    data_set: npt.NDArray[np.int16] | None = None
    labels: tuple[str, ...] = ("",)
    domain: npt.NDArray[np.int32] | None = None


@dataclass(frozen=True)
class DataSet:
    """One data set of a mixture: a range of an objective's rows.

    Attributes:
        objective: the objective it belongs to.
        label: corpus and language, such as `talks en-uk`.
        first: its first row.
        n: its rows.
    """

    objective: str
    label: str
    first: int
    n: int

    @property
    def corpus(self) -> str:
        """Name of its corpus."""
        return self.label.rpartition(" ")[0]

    @property
    def names(self) -> tuple[str, ...]:
        """What weights may call it, the most special first."""
        corpus, _, language = self.label.rpartition(" ")
        language = language.removeprefix("en-").partition("/")[0]  # of pairs split off from triplets
        return (*part_names(corpus, language), corpus, self.objective)


def data_sets(streams: Mapping[str, Stream]) -> list[DataSet]:
    """Return the data sets of all objectives that have rows."""
    found = []
    for objective, stream in streams.items():
        n = len(stream.lengths)
        numbers = np.zeros(n, np.int16) if stream.data_set is None else stream.data_set
        if n and (numbers[1:] < numbers[:-1]).any():
            raise ValueError(f"rows of {objective!r} are not sorted by data set")
        ends = np.searchsorted(numbers, np.arange(len(stream.labels) + 1, dtype=numbers.dtype))  # no copy
        found += [
            DataSet(objective, label, int(ends[i]), int(ends[i + 1] - ends[i]))
            for i, label in enumerate(stream.labels)
            if ends[i] < ends[i + 1]
        ]
    return found


def in_phase(data_set: DataSet, phase: PhaseSection) -> bool:
    """Return whether a phase trains on a data set."""
    return (phase.objectives is None or data_set.objective in phase.objectives) and (
        phase.corpora is None or data_set.corpus in phase.corpora
    )


def weights(sampling: Sampling, sets: Sequence[DataSet]) -> Shares:
    """Return to what each data set's share is in proportion (data sets,)."""
    rows = np.array([data_set.n for data_set in sets], np.float64)
    match sampling:
        case TemperatureSampling():
            return np.asarray((rows / rows.max()) ** (1 / sampling.temperature))
        case CappedSampling():
            return np.minimum(rows, sampling.cap)
        case WeightedSampling():
            return _named_weights(sampling.weights or {}, sets)
        case ProportionalSampling():
            return rows
        case _:
            return np.ones(len(sets))


def _named_weights(named: Mapping[str, float], sets: Sequence[DataSet]) -> Shares:
    """Return the weights of data sets; a name's weight is divided by rows among those that have none more special."""
    keys = [next(name for name in data_set.names if name in named) for data_set in sets]
    rows = {key: sum(s.n for s, other in zip(sets, keys, strict=True) if other == key) for key in keys}
    found = np.array([named[key] * s.n / rows[key] for key, s in zip(keys, sets, strict=True)])
    if not found.any():
        raise RunError("mixture.sampling.weights", "all data sets with rows have the weight 0", expected="one above 0")
    return found


def domain_pools(rows: range, domain: npt.NDArray[np.int32], batch_size: int) -> list[Rows]:
    """Return a range of rows apart by domain; domains with less than half a batch of rows go with those without.

    Args:
        rows: the rows.
        domain: number of each row's domain, -1 for none.
        batch_size: rows of a batch.
    """
    numbers = domain[rows.start : rows.stop]
    order = np.argsort(numbers, kind="stable")
    pools = np.split(order + rows.start, np.flatnonzero(np.diff(numbers[order])) + 1)
    apart = [pool for pool in pools if domain[pool[0]] >= 0 and 2 * len(pool) >= batch_size]
    rest = [pool for pool in pools if domain[pool[0]] < 0 or 2 * len(pool) < batch_size]
    return [*apart, np.concatenate(rest)] if rest else apart
