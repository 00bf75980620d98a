"""What cleaning gains: students trained for the same steps on noisy pairs, cleaned and not, and on the good ones alone.

Usage: python eval/bench/noise.py [--repeats 3] [--percent 30] [--steps 250] [--json eval/results/noise.json]

Needs ../shared/data. Of the en-uk pairs (tatoeba, news, docs, software) a share is replaced by spoilt ones, an equal
number of each kind of eval/bench/faults.py, those that rules about single rows do not tell among them.
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from common import DATA, finish, recipe, start
from faults import SPOILT, plant, rows

from distill.pipeline import run_recipe

SUITES = [str(DATA / part) for part in ("bitext/ntrex", "bitext/tatoeba", "sts/sts17")]
METRICS = {"accuracy_forward": 100, "accuracy_backward": 100, "spearman": 100, "mse": 1}
"""Metrics, and what they are multiplied by. The squared distance to the teacher tells most: its noise is the least."""
COLUMNS = ("en-uk", "en-en")


def write_pairs(folder: Path, share: float, seed: int) -> None:
    """Write good pairs, and as many with a share of them spoilt, below a folder."""
    rng = random.Random(seed)
    drawn = rows(rng)
    own = [(language, row) for language, row in drawn if language == "uk"]
    n_faults = int(share * len(own))
    good, spare = own[n_faults:], own[:n_faults]
    others = [(language, row) for language, row in drawn if language != "uk"]  # what a row in a wrong language is from
    faults = [row for _, row, _, _ in plant(good, [*others, *spare * 20], n_faults // len(SPOILT), rng)]
    noisy = [row for _, row in good] + faults
    rng.shuffle(noisy)
    for name, pairs in (("good", [row for _, row in good]), ("noisy", noisy)):
        path = folder / name / "en-uk"
        path.mkdir(parents=True)
        columns = {"english": [english for english, _ in pairs], "non_english": [other for _, other in pairs]}
        pq.write_table(pa.table(columns), path / "train.parquet")


def main() -> None:
    """Train, score and print."""
    options = start(__doc__ or "", percent=30, steps=250)
    found: list[dict[str, object]] = []
    for seed in range(1, options.repeats + 1):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_pairs(folder, options.percent / 100, seed)
            for variant, corpus, cleaning in (
                ("good pairs alone", "good", "off"),
                ("noisy, cleaned", "noisy", "default"),
                ("noisy", "noisy", "off"),
            ):
                outcome = run_recipe(
                    recipe(
                        name=variant.replace(", ", "-").replace(" ", "-"),
                        seed=seed,
                        runs=folder / "runs",
                        corpora={"pairs": {"folder": folder / corpus, "languages": ["uk"]}},
                        cleaning={"preset": cleaning},
                        objectives={"mse": {"loss": "mse", "english_share": 0.25}},
                        training={
                            "max_steps": options.steps,
                            "epochs": 10,
                            "learning_rate": {"body": 3e-4, "embeddings": 2e-3},
                            "trackers": [],
                        },
                        evaluation={"suites": SUITES, "pairs": list(COLUMNS)},
                    )
                )
                scores = {
                    f"{score.suite} {score.pair} {score.metric}": round(METRICS[score.metric] * score.value, 3)
                    for score in outcome.scores
                    if score.model == "student" and score.metric in METRICS
                }
                found.append({"seed": seed, "variant": variant, "rows": outcome.corpora[0].counts, "scores": scores})
                print(seed, variant, scores, flush=True)
    finish(options, {"percent": options.percent, "steps": options.steps, "runs": found})


if __name__ == "__main__":
    main()
