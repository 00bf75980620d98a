"""An even choice of rows, where all of them are too many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Scalar = TypeVar("Scalar", bound=np.generic)


def spread(rows: npt.NDArray[Scalar], most: int) -> npt.NDArray[Scalar]:
    """Return at most `most` of some rows (n, …), evenly spread over all of them and in their order."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def spread_over(parts: Sequence[npt.NDArray[Scalar]], most: int) -> list[npt.NDArray[Scalar]]:
    """Return of each part's rows its share of `most` rows of all parts, rounded up, see `spread`."""
    total = sum(map(len, parts))
    return [spread(part, -(-len(part) * most // total) if total > most else len(part)) for part in parts]
