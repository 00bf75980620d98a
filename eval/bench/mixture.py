"""What the schedule costs: seconds until the first step, per step and after a resume, and memory beside the rows' own.

Proportional sampling permutes all rows once an epoch; the others compute only what a window of batches needs. The 25
data sets have sizes from 10^4 rows up, growing by equal factors.

Usage: python eval/bench/mixture.py [--rows 50000000] [--steps 2000] [--json FILE]
"""

from __future__ import annotations

import resource
import time
from itertools import islice

import numpy as np
from common import finish, start

from distill.mixture import Schedule, Stream
from distill.recipe import MixtureSection

BATCH, N_SETS, SMALLEST, TOTAL_STEPS = 1024, 25, 10_000, 540_000
SAMPLINGS = {
    "weighted, single": {"sampling": {"kind": "temperature", "temperature": 2}, "batches": "single"},
    "weighted, cross": {"sampling": {"kind": "temperature", "temperature": 4}},
    "round robin": {"sampling": "round_robin", "batches": "single"},
    "proportional": {"sampling": "proportional"},
}


def sizes(rows: int) -> list[int]:
    """Return the sizes of the data sets."""
    low, high = 1.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        total = sum(SMALLEST * middle**i for i in range(N_SETS))
        low, high = (middle, high) if total < rows else (low, middle)
    return [int(SMALLEST * low**i) for i in range(N_SETS)]


def peak() -> float:
    """Return the peak memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure each sampling in turn, the one that needs most memory last."""
    arguments = start(__doc__, rows=50_000_000, steps=2_000)
    n = sizes(arguments.rows)
    lengths = np.random.default_rng(0).integers(3, 128, sum(n), dtype=np.int32)
    labels = tuple(f"set{i} en" for i in range(N_SETS))
    stream = Stream(lengths, 0.0, np.repeat(np.arange(N_SETS, dtype=np.int16), n), labels)
    results: dict[str, object] = {"rows": sum(n), "own_mb": round((lengths.nbytes + sum(n) * 2) / 1e6)}
    for name, mixture in SAMPLINGS.items():
        before, began = peak(), time.process_time()
        made = Schedule({"all": stream}, BATCH, 100, 1, TOTAL_STEPS, MixtureSection.model_validate(mixture))
        steps = made.steps()
        next(steps)
        first = time.process_time()
        for _ in islice(steps, arguments.steps):
            pass
        last = time.process_time()
        next(made.steps(made.n_steps - 1))
        resumed = time.process_time() - last
        results[name] = {
            "seconds_to_first_step": round(first - began, 2),
            "milliseconds_per_step": round((last - first) / arguments.steps * 1e3, 3),
            "seconds_to_last_step": round(resumed, 2),
            "memory_mb": round(peak() - before),
        }
    finish(arguments, results)


if __name__ == "__main__":
    main()
