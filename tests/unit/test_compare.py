"""Which differences are real: against a paired bootstrap written as a loop."""

from __future__ import annotations

import numpy as np
import pytest

from distill.compare import difference, is_real, standing
from distill.evaluate import Score
from distill.uncertainty import interval, mean_replicates, multiplicities


def score(model: str, items: np.ndarray, metric: str = "accuracy_forward", pair: str = "en-uk") -> Score:
    """Return the score of a model from the values of its items."""
    replicates = mean_replicates(items[:, None].astype(float))[0]
    low, high = interval(replicates)
    return Score(
        "s", pair, metric, model, float(items.mean()), len(items), low, high, "", replicates.astype(np.float32)
    )


def hits(share: float, seed: int, n: int = 200) -> np.ndarray:
    return (np.random.default_rng(seed).random(n) < share).astype(float)


def test_the_interval_of_a_difference_equals_a_paired_bootstrap() -> None:
    one, two = hits(0.8, 0), hits(0.6, 1)
    found = difference([score("a", one), score("b", two)], "a", "b")
    differences = [one[rows].mean() - two[rows].mean() for rows in samples(200)]
    assert found.value == pytest.approx(one.mean() - two.mean())
    assert (found.low, found.high) == pytest.approx(np.quantile(differences, [0.025, 0.975]), abs=1e-6)


def samples(n: int) -> list[np.ndarray]:
    return [np.repeat(np.arange(n), counts) for counts in multiplicities(n)]


def test_models_that_err_on_the_same_items_are_told_apart_where_their_intervals_overlap() -> None:
    better = hits(0.7, 2)
    worse = better.copy()
    worse[np.flatnonzero(better)[:8]] = 0
    scores = [score("worse", worse), score("better", better)]
    assert scores[0].high > scores[1].low  # type: ignore[operator]
    assert is_real(difference(scores, "better", "worse"))
    found = standing(scores)
    assert (found.best, found.tied) == ("better", frozenset())


def test_models_not_distinguishable_from_the_best_are_tied_with_it() -> None:
    base = hits(0.7, 3)
    close, far = base.copy(), base.copy()
    close[np.flatnonzero(base)[:2]] = 0
    far[np.flatnonzero(base)[:60]] = 0
    found = standing([score("far", far), score("close", close), score("best", base)])
    assert (found.best, found.tied) == ("best", {"close"})
    assert list(found.means) == ["far", "close", "best"]


@pytest.mark.parametrize("metric", ["mse", "xsim_forward", "xsim_backward"])
def test_of_errors_the_lower_is_better(metric: str) -> None:
    found = standing([score("low", hits(0.1, 4), metric), score("high", hits(0.9, 5), metric)])
    assert (found.best, found.tied) == ("low", frozenset())
    with pytest.raises(ValueError, match="opposite"):
        standing([score("a", hits(0.1, 4), metric), score("b", hits(0.9, 5))])


def test_the_mean_over_pairs_is_of_paired_replicates() -> None:
    one, two = hits(0.5, 6), hits(0.9, 7, n=90)
    scores = [score("a", one, pair="en-uk"), score("a", two, pair="en-da")]
    scores += [score("b", hits(0.4, 8), pair="en-uk"), score("b", hits(0.4, 9, n=90), pair="en-da")]
    mean = standing(scores).means["a"]
    both = [(one[r].mean() + two[s].mean()) / 2 for r, s in zip(samples(200), samples(90), strict=True)]
    assert mean.value == pytest.approx((one.mean() + two.mean()) / 2)
    assert (mean.low, mean.high) == pytest.approx(np.quantile(both, [0.025, 0.975]), abs=1e-6)
    assert standing(scores).best == "a"


def test_a_model_that_lacks_a_score_has_no_mean_and_differences_are_of_what_both_have() -> None:
    scores = [score("a", hits(0.5, 6)), score("a", hits(0.9, 7), pair="en-da"), score("b", hits(0.4, 8))]
    assert list(standing(scores).means) == ["a"]
    assert standing(scores).best is None
    assert difference(scores, "a", "b").value == pytest.approx(scores[0].value - scores[2].value)


def test_without_replicates_nothing_is_claimed() -> None:
    scores = [Score("s", "en-uk", "spearman", "a", 0.9, 50), score("b", hits(0.1, 0), "spearman")]
    found = standing(scores)
    assert (found.best, found.tied, found.means["a"].low) == (None, frozenset(), None)
    assert not is_real(difference(scores, "a", "b"))
