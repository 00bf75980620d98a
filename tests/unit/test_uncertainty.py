"""Bootstrap replicates against plain loops, scipy, and the share of simulated samples whose interval is right."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from distill import uncertainty
from distill.uncertainty import (
    interval,
    macro_f1_replicates,
    mean_replicates,
    multiplicities,
    pearson_replicates,
    spearman_replicates,
)


def samples(n: int) -> list[np.ndarray]:
    """Return the items drawn in the first replicates, one by one."""
    return [np.repeat(np.arange(n), counts) for counts in multiplicities(n)[:40]]


def likeness(seed: int, n: int = 50, rho: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and gold scores with ties in both."""
    first, noise = np.random.default_rng(seed).normal(size=(2, n))
    return np.round(first, 1), np.round(rho * first + np.sqrt(1 - rho**2) * noise, 1)


def test_every_replicate_draws_n_items_and_the_same_ones_each_time() -> None:
    counts = multiplicities(30).copy()
    assert (counts.sum(axis=1) == 30).all()
    multiplicities.cache_clear()
    assert (multiplicities(30) == counts).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(30), abs=0.15)
    assert counts.var() == pytest.approx(29 / 30, abs=0.05)


def test_replicates_of_means_equal_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uncertainty, "CHUNK", 7 * 50)
    items = np.random.default_rng(0).normal(size=(50, 2))
    found = mean_replicates(items)
    assert found.shape == (2, uncertainty.REPLICATES)
    for number, rows in enumerate(samples(50)):
        assert found[:, number] == pytest.approx(items[rows].mean(axis=0))


def test_replicates_of_correlations_equal_scipys_of_each_sample() -> None:
    first, second = likeness(1)
    ranks, values = spearman_replicates(first, second), pearson_replicates(first, second)
    for number, rows in enumerate(samples(50)):
        assert ranks[number] == pytest.approx(stats.spearmanr(first[rows], second[rows]).statistic)
        assert values[number] == pytest.approx(stats.pearsonr(first[rows], second[rows]).statistic)


def test_replicates_of_macro_f1_equal_sklearns_of_each_sample() -> None:
    random = np.random.default_rng(2)
    labels = random.choice(5, size=40, p=[0.4, 0.3, 0.2, 0.05, 0.05])
    predictions = np.where(random.random(40) < 0.7, labels, random.integers(5, size=40))
    found = macro_f1_replicates(labels, predictions)
    for number, rows in enumerate(samples(40)):
        assert found[number] == pytest.approx(f1_score(labels[rows], predictions[rows], average="macro"))


def test_the_interval_equals_scipys_bootstrap() -> None:
    first, second = likeness(3, n=200)
    result = stats.bootstrap(
        (first, second),
        lambda one, two: stats.spearmanr(one, two).statistic,
        paired=True,
        vectorized=False,
        n_resamples=1_000,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    assert interval(spearman_replicates(first, second)) == pytest.approx(tuple(result.confidence_interval), abs=0.02)
    items = np.random.default_rng(4).exponential(size=(300, 1))
    result = stats.bootstrap((items[:, 0],), np.mean, method="percentile", rng=np.random.default_rng(0))
    assert interval(mean_replicates(items)[0]) == pytest.approx(tuple(result.confidence_interval), abs=0.02)


def test_a_draw_without_variance_is_left_out_and_a_constant_has_no_interval() -> None:
    first = np.array([1.0, 1.0, 2.0])
    for found in (spearman_replicates(first, first), pearson_replicates(first, first)):
        assert 0 < np.isnan(found).sum() < len(found)
        assert interval(found) == pytest.approx((1.0, 1.0))
    assert np.isnan(interval(pearson_replicates(np.full(9, 0.1), np.arange(9.0)))).all()
    assert np.isnan(interval(spearman_replicates(np.full(9, 0.1), np.arange(9.0)))).all()


def test_intervals_hold_the_truth_in_about_95_of_100_samples() -> None:
    rho, share = 0.7, 0.8
    true_spearman = 6 / np.pi * np.arcsin(rho / 2)
    held = np.zeros(3)
    for seed in range(200):
        random = np.random.default_rng(seed)
        first, noise = random.normal(size=(2, 100))
        second = rho * first + np.sqrt(1 - rho**2) * noise
        hits = (random.random((100, 1)) < share).astype(float)
        for number, (replicates, truth) in enumerate(
            (
                (spearman_replicates(first, second), true_spearman),
                (pearson_replicates(first, second), rho),
                (mean_replicates(hits)[0], share),
            )
        ):
            low, high = interval(replicates)
            held[number] += low <= truth <= high
    assert held / 200 == pytest.approx(np.full(3, 0.95), abs=0.045)
