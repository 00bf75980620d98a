"""Which differences between models are real: the paired bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distill.evaluate import Score
from distill.uncertainty import interval

LOWER_IS_BETTER = frozenset({"mse", "xsim_forward", "xsim_backward"})


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % bootstrap interval; None where scores have no replicates."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def spread(self) -> float | None:
        """Half of the interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


@dataclass(frozen=True)
class Standing:
    """How models stand to each other on one or several scores.

    Attributes:
        means: model → its score, or the mean of its scores.
        best: the best model; None if there is only one, or scores have no replicates.
        tied: models not distinguishable from the best: the interval of the paired difference includes 0.
    """

    means: dict[str, Estimate]
    best: str | None = None
    tied: frozenset[str] = frozenset()


def standing(scores: Sequence[Score]) -> Standing:
    """Return how models stand to each other on the mean of some scores.

    Args:
        scores: of one metric, or of several of the same direction, on one or several pairs; a model that lacks one of
            the scores that another has is left out.
    """
    wanted, lower = {_key(score) for score in scores}, _lower_is_better(scores)
    by_model = {model: _of(scores, model) for model in dict.fromkeys(score.model for score in scores)}
    by_model = {model: own for model, own in by_model.items() if {_key(score) for score in own} == wanted}
    means = {model: _mean(own) for model, own in by_model.items()}
    known = {model: mean.value for model, mean in means.items() if not np.isnan(mean.value)}
    if len(known) < 2:
        return Standing(means)
    best = min(known, key=known.__getitem__) if lower else max(known, key=known.__getitem__)
    differences = {model: difference(scores, best, model) for model in known if model != best}
    if any(found.low is None for found in differences.values()):
        return Standing(means)
    return Standing(means, best, frozenset(model for model, found in differences.items() if not is_real(found)))


def difference(scores: Sequence[Score], first: str, second: str) -> Estimate:
    """Return how much higher the mean score of one model is than that of another, on the scores that both have.

    Its interval is of the paired bootstrap: both models are scored on the same resampled items.

    Args:
        scores: as for `standing`.
        first: name of a model.
        second: name of the model whose scores are subtracted.
    """
    both = {_key(score) for score in _of(scores, first)} & {_key(score) for score in _of(scores, second)}
    one, two = ([score for score in _of(scores, name) if _key(score) in both] for name in (first, second))
    value = _value(one) - _value(two)
    replicates_one, replicates_two = _replicates(one), _replicates(two)
    if replicates_one is None or replicates_two is None:
        return Estimate(value)
    return Estimate(value, *interval(replicates_one - replicates_two))


def is_real(found: Estimate) -> bool:
    """Return whether the interval of a difference is known and does not include 0."""
    return found.low is not None and found.high is not None and (found.low > 0 or found.high < 0)


def _lower_is_better(scores: Sequence[Score]) -> bool:
    directions = {score.metric in LOWER_IS_BETTER for score in scores}
    if len(directions) > 1:
        raise ValueError("scores of opposite directions have no mean")
    return directions == {True}


def _of(scores: Sequence[Score], model: str) -> list[Score]:
    return [score for score in scores if score.model == model]


def _key(score: Score) -> tuple[str, str, str]:
    return score.suite, score.pair, score.metric


def _mean(scores: Sequence[Score]) -> Estimate:
    """Return the mean of a model's scores."""
    if len(scores) == 1:
        return Estimate(scores[0].value, scores[0].low, scores[0].high)
    replicates = _replicates(scores)
    return Estimate(_value(scores), *(interval(replicates) if replicates is not None else ()))


def _value(scores: Sequence[Score]) -> float:
    return float(np.mean([score.value for score in scores])) if scores else float("nan")


def _replicates(scores: Sequence[Score]) -> npt.NDArray[np.float64] | None:
    """Return the replicates of the mean of scores, by the order of their sets; None if one has none."""
    found = [score.replicates for score in scores if score.replicates is not None]
    if not found or len(found) < len(scores):
        return None
    return np.asarray(np.mean(found, axis=0, dtype=np.float64), np.float64)
