"""How sure a score is: bootstrap replicates, from which intervals and differences between models come.

The items of a test set are drawn anew, with replacement, `REPLICATES` times; a replicate is the score of one such
draw (Efron & Tibshirani 1993). The draws depend on the number of items only, so that replicate r of one model and
replicate r of another are scores of the same items: their differences are the paired bootstrap.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

REPLICATES = 1_000
LEVEL = 0.95
SEED = 2009_04813
CHUNK = 1 << 22


@lru_cache(maxsize=4)
def multiplicities(n: int) -> npt.NDArray[np.uint8]:
    """Return how often each of n items is drawn in each replicate, (REPLICATES, n)."""
    random = np.random.default_rng([SEED, n])
    counts = np.empty((REPLICATES, n), np.uint8)
    for row in counts:
        row[:] = np.bincount(random.integers(n, size=n), minlength=n)
    counts.flags.writeable = False
    return counts


def _draws(n: int) -> Iterator[Floats]:
    """Yield the multiplicities as floats, some replicates at a time, (·, n)."""
    counts, rows = multiplicities(n), max(1, CHUNK // n)
    for start in range(0, REPLICATES, rows):
        yield counts[start : start + rows].astype(np.float64)


def mean_replicates(items: Floats) -> Floats:
    """Return the replicates of means of items.

    Args:
        items: one value per item and metric (n, metrics).

    Returns:
        (metrics, REPLICATES).
    """
    return np.concatenate([draw @ items for draw in _draws(len(items))]).T / len(items)


def pearson_replicates(first: Floats, second: Floats) -> Floats:
    """Return the replicates of Pearson's correlation of two values per item (n,); NaN where a draw is constant."""
    one, two = first - first.mean(), second - second.mean()
    moments = mean_replicates(np.stack([one, two, one * one, two * two, one * two], axis=1))
    mean_one, mean_two, square_one, square_two, product = moments
    covariance = product - mean_one * mean_two
    return _ratio(covariance, (square_one - mean_one**2) * (square_two - mean_two**2))


def spearman_replicates(first: Floats, second: Floats) -> Floats:
    """Return the replicates of Spearman's correlation of two values per item (n,); NaN where a draw is constant."""
    n = len(first)
    ties_one, ties_two = (np.unique(values, return_inverse=True)[1] for values in (first, second))
    replicates = []
    for draw in _draws(n):
        one, two = (_centred_ranks(draw, ties) for ties in (ties_one, ties_two))
        covariance = (draw * one * two).sum(axis=1)
        replicates.append(_ratio(covariance, (draw * one**2).sum(axis=1) * (draw * two**2).sum(axis=1)))
    return np.concatenate(replicates)


def _centred_ranks(draw: Floats, ties: npt.NDArray[np.int64]) -> Floats:
    """Return each item's rank among the items drawn, ties at their mean rank, less the mean of all ranks.

    Args:
        draw: multiplicities (replicates, n).
        ties: number of each item's group of equal values, in the order of the values (n,).
    """
    order = np.argsort(ties, kind="stable")
    starts = np.flatnonzero(np.diff(ties[order], prepend=-1))
    sizes = np.add.reduceat(draw[:, order], starts, axis=1)
    ranks = sizes.cumsum(axis=1) - sizes / 2 - draw.shape[1] / 2
    return np.asarray(ranks[:, ties], np.float64)


def macro_f1_replicates(labels: npt.NDArray[np.int64], predictions: npt.NDArray[np.int64]) -> Floats:
    """Return the replicates of the mean over classes of F1 (n,); classes that a draw lacks do not count in it.

    Args:
        labels: number of each item's class (n,).
        predictions: number of the class predicted (n,).
    """
    classes = np.arange(max(labels.max(), predictions.max()) + 1)
    true, predicted = labels[:, None] == classes, predictions[:, None] == classes
    hits, total = mean_replicates((true & predicted) * 1.0), mean_replicates(true * 1.0 + predicted)
    there = total > 0
    return np.asarray((2 * hits / np.where(there, total, 1)).sum(axis=0) / there.sum(axis=0), np.float64)


def _ratio(covariance: Floats, variances: Floats) -> Floats:
    """Return a correlation; `variances` is the product of both. NaN where it is zero, or no more than rounding."""
    real = variances > 1e-20
    return np.asarray(np.where(real, covariance / np.sqrt(np.where(real, variances, 1)), np.nan), np.float64)


def interval(replicates: Floats) -> tuple[float, float]:
    """Return the percentile interval of replicates at `LEVEL`; replicates that are NaN do not count."""
    known = replicates[~np.isnan(replicates)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
