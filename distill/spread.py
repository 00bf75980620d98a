"""An even choice of rows, where all of them are too many."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Scalar = TypeVar("Scalar", bound=np.generic)


def spread(rows: npt.NDArray[Scalar], most: int) -> npt.NDArray[Scalar]:
    """Return at most `most` of some rows (n, …), evenly spread over all of them and in their order."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def quota(part: int, total: int, most: int) -> int:
    """Return how many of a part's rows to take, if of the total at most about `most` are: rounded up."""
    return part if total <= most else -(-part * most // total)
