"""Ridge regression with a sparse design matrix and many targets, solved by conjugate gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy import sparse

ROWS_PER_PRODUCT = 65_536
"""Rows of the design multiplied at once: their products are dense."""

Matrix = npt.NDArray[np.float32]


def ridge_regression(design: sparse.csr_array, products: Matrix, start: Matrix, *, ridge: float, rounds: int) -> Matrix:
    """Return the coefficients E (columns, targets) that minimise ‖X E − Y‖² + ridge · ‖E − start‖².

    The normal equations (XᵀX + ridge) E = XᵀY + ridge · start are solved by conjugate gradients, each target with its
    own step lengths, preconditioned by their diagonal (Golub & Van Loan, Matrix Computations, algorithm 11.5.1).
    Nothing as large as Y is held: memory is a few times that of the coefficients.

    Args:
        design: X (rows, columns).
        products: XᵀY (columns, targets).
        start: what the coefficients are drawn to (columns, targets); the first guess too.
        ridge: how strongly, more than 0.
        rounds: rounds of conjugate gradients, one product with XᵀX each.
    """
    diagonal = (design.multiply(design).sum(axis=0) + ridge).astype(np.float32)[:, None]
    coefficients = start.copy()
    residual = products - gram_product(design, start)  # ridge · start is on both sides
    direction = residual / diagonal
    energy = (residual * direction).sum(axis=0)
    for _ in range(rounds):
        image = gram_product(design, direction) + np.float32(ridge) * direction
        step = _quotient(energy, (direction * image).sum(axis=0))
        coefficients += step * direction
        residual -= step * image
        scaled = residual / diagonal
        before, energy = energy, (residual * scaled).sum(axis=0)
        direction = scaled + _quotient(energy, before) * direction
    return coefficients


def gram_product(design: sparse.csr_array, vectors: Matrix) -> Matrix:
    """Return XᵀX V (columns, targets)."""
    product = np.zeros((design.shape[1], vectors.shape[1]), np.float32)
    for first in range(0, design.shape[0], ROWS_PER_PRODUCT):
        rows = design[first : first + ROWS_PER_PRODUCT]
        product += rows.T @ (rows @ vectors)
    return product


def _quotient(above: Matrix, below: Matrix) -> Matrix:
    """Return above / below, 0 where a target is solved exactly."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
