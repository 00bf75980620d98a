"""Near-duplicates within a corpus: MinHash against the exact search, and its growth on more rows than there are.

Usage: python eval/bench/minhash.py [--repeats 3] [--exact 150000] [--most 1000000] [--json FILE]
(needs ../shared/data)

Rows are both sides of all training corpora; `--exact` of them, evenly spread, are searched exactly too. The larger sets
are made of them: the first half of one row and the second of another, on both sides, each twentieth row a copy of an
earlier one with a letter changed. All times are processor seconds of one thread, without the time of normal forms.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from common import DATA, finish, spread, start

from distill.cleaning.across import row_forms
from distill.cleaning.minhash import near_duplicates, sketch
from distill.duplicates import index_duplicates
from distill.duplicates import near_duplicates as exact_pairs


def real_forms() -> list[str]:
    """Return the distinct normal forms of all rows."""
    forms: dict[str, None] = {}
    for path in sorted((DATA / "parallel").glob("*/en-*/train.parquet")):
        table = pq.read_table(path)
        forms |= dict.fromkeys(row_forms([table["english"].to_pylist(), table["non_english"].to_pylist()]))
    return list(forms)


def mixed(forms: list[str], count: int) -> tuple[list[str], np.ndarray]:
    """Return rows made of halves of others, and the numbers of those that are near-copies of the row before."""
    rng = np.random.default_rng(0)
    halves = [tuple(side.split() for side in form.split("\n")) for form in forms]
    made: list[str] = []
    for number, (left, right) in enumerate(rng.integers(len(forms), size=(count, 2)).tolist()):
        if number % 20 == 19:
            old = made[number - 1]
            made.append(old[: len(old) // 3] + "x" + old[len(old) // 3 + 1 :])
            continue
        pairs = zip(halves[left], halves[right], strict=False)
        made.append("\n".join(" ".join(a[: len(a) // 2] + b[len(b) // 2 :]) for a, b in pairs))
    return made, np.arange(19, count, 20)


def timed(forms: list[str]) -> tuple[float, np.ndarray]:
    """Return the processor seconds that the search takes, and what it found."""
    began = time.process_time()
    near = near_duplicates(sketch(forms), lambda rows: [forms[row] for row in rows.tolist()])
    return time.process_time() - began, near


def greedy(count: int, later: np.ndarray, earlier: np.ndarray) -> np.ndarray:
    """Return for each row the first kept one that it is near, of all pairs."""
    near = np.arange(count)
    order = np.lexsort((earlier, later))
    for row, other in zip(later[order].tolist(), earlier[order].tolist(), strict=True):
        if near[row] == row and near[other] == other:
            near[row] = other
    return near


def memory(field: str) -> int:
    """Return the memory this process has (`VmRSS`) or has had at most (`VmHWM`), in MiB; Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) // 1024


def main() -> None:
    """Measure growth and memory first: the exact search takes more memory."""
    options = start(__doc__ or "", exact=150_000, most=1_000_000)
    forms = real_forms()
    growth = {}
    rows, copies = mixed(forms, options.most)
    for count in (options.most // 8, options.most // 4, options.most // 2, options.most):
        part = rows[:count]
        before = memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        seconds, near = timed(part)
        own = copies[copies < count]
        growth[f"{count:,}"] = {
            "seconds": round(seconds, 1),
            "microseconds per row": round(seconds / count * 1e6, 1),
            "MiB above the texts": memory("VmHWM") - before,
            "near-copies found": round(float((near[own] != own).mean()), 5),
            "rows dropped": int((near != np.arange(count)).sum()),
        }
    del rows
    sample = [forms[n] for n in np.linspace(0, len(forms) - 1, options.exact).astype(int).tolist()]
    fast, exact = [], []
    for _ in range(options.repeats):
        seconds, near = timed(sample)
        fast.append(seconds)
        began = time.process_time()
        pairs = exact_pairs(index_duplicates(sample), sample)
        exact.append(time.process_time() - began)
    wanted = pairs.texts > pairs.sentences
    later, earlier = pairs.texts[wanted], pairs.sentences[wanted]
    bands = sketch(sample).bands
    found = (bands[later] == bands[earlier]).any(axis=1)
    expected = greedy(len(sample), later, earlier)
    finish(
        options,
        {
            "rows": len(sample),
            "near-duplicates, pairs": len(later),
            "pairs that share a key": round(float(found.mean()), 5),
            "pairs of similarity below 0.82 that share a key": round(
                float(found[pairs.similarity[wanted] < 0.82].mean()), 5
            ),
            "rows dropped": int((near != np.arange(len(near))).sum()),
            "rows dropped by the exact search": int((expected != np.arange(len(near))).sum()),
            "rows on which they differ": int((near != expected).sum()),
            "seconds": spread(fast),
            "seconds, exact search": spread(exact),
            "times the exact search": spread([b / a for a, b in zip(fast, exact, strict=True)]),
            "all real rows": len(forms),
            "seconds, all real rows": round(timed(forms)[0], 1),
            "growth": growth,
        },
    )


if __name__ == "__main__":
    main()
