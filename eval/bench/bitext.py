"""Searching translations both ways among 100,000 sentences of 384 dimensions, against the plain product in tiles.

Peak memory is of the whole process, libraries and vectors included.

Usage: python eval/bench/bitext.py [--rows 100000] [--repeats 3] [--json FILE]
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

import numpy as np
import torch
from common import finish, spread, start

from distill import metrics, uncertainty
from distill.encode import Vectors
from distill.neighbours import neighbours, unit

DIMENSION = 384
TILE_ROWS, TILE_COLUMNS = 512, 4_096


def plain_product(first: Vectors, second: Vectors) -> None:
    """Compute all similarities in tiles, and keep none."""
    left, right = torch.from_numpy(unit(first)), torch.from_numpy(unit(second))
    memory = torch.empty(TILE_ROWS * TILE_COLUMNS)
    for rows in torch.split(left, TILE_ROWS):
        for columns in torch.split(right, TILE_COLUMNS):
            torch.mm(rows, columns.T, out=memory[: len(rows) * len(columns)].view(len(rows), len(columns)))


def with_intervals(first: Vectors, second: Vectors) -> None:
    """Compute accuracy, F1 and xsim with their bootstrap replicates, as `evaluate` does."""
    uncertainty.multiplicities.cache_clear()
    uncertainty.mean_replicates(np.stack(list(metrics.bitext(first, second).values()), axis=1))


WAYS: dict[str, Callable[[Vectors, Vectors], object]] = {
    "plain product": plain_product,
    "nearest, both ways": lambda first, second: neighbours(first, second, 1),
    "4 nearest, both ways": lambda first, second: neighbours(first, second, metrics.MARGIN_NEIGHBOURS),
    "accuracy, F1, xsim, intervals": with_intervals,
}


def main() -> None:
    """Time the ways in alternating rounds, after a small one to warm up."""
    options = start(__doc__ or "", rows=100_000)
    random = np.random.default_rng(0)
    first = random.standard_normal((options.rows, DIMENSION), np.float32)
    second = first + 4 * random.standard_normal((options.rows, DIMENSION), np.float32)
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for number in range(options.repeats + 1):
        for name, way in WAYS.items():
            rows = options.rows if number else 4_096
            began = time.perf_counter()
            way(first[:rows], second[:rows])
            if number:
                seconds[name].append(time.perf_counter() - began)
    plain = seconds["plain product"]
    finish(
        options,
        {
            "rows": options.rows,
            "seconds": {name: spread(values) for name, values in seconds.items()},
            "times the plain product": {
                name: spread([own / other for own, other in zip(values, plain, strict=True)])
                for name, values in seconds.items()
            },
            "peak MiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        },
    )


if __name__ == "__main__":
    main()
