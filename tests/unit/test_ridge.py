"""Ridge regression by conjugate gradients, against numpy on dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from distill import ridge
from distill.ridge import gram_product, ridge_regression


@pytest.fixture
def problem() -> tuple[sparse.csr_array, np.ndarray, np.ndarray]:
    """A design of 200 rows and 40 columns of very different sizes, the last column empty; targets; a start."""
    random = np.random.default_rng(0)
    dense = random.random((200, 40)) * (random.random((200, 40)) < 0.1) * np.logspace(-1, 1, 40)
    dense[:, -1] = 0
    targets, start = random.normal(size=(200, 7)), random.normal(size=(40, 7))
    return sparse.csr_array(dense.astype(np.float32)), targets.astype(np.float32), start.astype(np.float32)


@pytest.mark.parametrize("strength", [0.01, 1.0, 100.0])
def test_the_solution_is_that_of_least_squares(
    problem: tuple[sparse.csr_array, np.ndarray, np.ndarray], strength: float
) -> None:
    design, targets, start = problem
    found = ridge_regression(design, design.T @ targets, start, ridge=strength, rounds=60)
    root = np.sqrt(strength)
    rows = np.concatenate([design.toarray(), root * np.eye(40)])
    expected = np.linalg.lstsq(rows, np.concatenate([targets, root * start]), rcond=None)[0]
    assert found == pytest.approx(expected, abs=2e-4)
    assert found[-1] == pytest.approx(start[-1])  # nothing is known of it


def test_a_few_rounds_come_near(problem: tuple[sparse.csr_array, np.ndarray, np.ndarray]) -> None:
    design, targets, start = problem
    products = design.T @ targets

    def error(rounds: int) -> float:
        found = ridge_regression(design, products, start, ridge=1.0, rounds=rounds)
        return float(np.square(design @ found - targets).sum() + np.square(found - start).sum())

    errors = [error(rounds) for rounds in (1, 3, 6, 60)]
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < 1.02 * errors[3]


def test_a_target_that_is_met_at_once_stays(problem: tuple[sparse.csr_array, np.ndarray, np.ndarray]) -> None:
    design, _, start = problem
    start = np.round(start)  # so that nothing is lost in rounding
    found = ridge_regression(design, gram_product(design, start), start, ridge=1.0, rounds=5)
    assert np.array_equal(found, start)


def test_rows_are_multiplied_in_parts(
    problem: tuple[sparse.csr_array, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    design, _, vectors = problem
    monkeypatch.setattr(ridge, "ROWS_PER_PRODUCT", 7)
    assert gram_product(design, vectors) == pytest.approx(design.toarray().T @ (design.toarray() @ vectors), rel=1e-4)
