"""What each choice of the training brings: variants of a recipe that differ in one setting, as a Markdown table.

Usage: python eval/ablations/training.py [RECIPE] [--steps 300] [--seeds 1 2] [--variants "cosine loss" …]
       [--set KEY=VALUE …] [--json FILE]

Each variant is trained with every seed, which changes the order of the rows, and without a skip connection. A cell is
the mean over seeds ± half of what lies between the lowest and the highest. Accuracy (from English / to English) and
Spearman correlation in per cent.
Given again, it runs only what is not finished.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))
from common import DATA, ROOT, main_scores, table

from distill.pipeline import run_recipe
from distill.recipe import load_recipe
from distill.sweep import run_name

RECIPE = ROOT / "recipes" / "ua-laptop.yaml"
SUITES = [str(DATA / name) for name in ("bitext/ntrex", "bitext/tatoeba", "sts/sts17", "sts/stsb-dev")]

RATE, LOSS = "training.learning_rate", "objectives.translations"
TERM = f"{LOSS}.similarity"
VARIANTS: dict[str, tuple[str, ...]] = {
    "the recipe": (),
    "rows aligned by IBM 1 alone": ("student.alignment.hmm_rounds=0",),
    "MSE alone": (f"{LOSS}={{loss: mse}}",),
    "MSE alone, English in a quarter of the steps": (f"{LOSS}={{loss: mse, english_share: 0.25}}",),
    "MSE alone, English in no step": (f"{LOSS}={{loss: mse, english_share: 0}}",),
    "cosine in place of MSE": (f"{LOSS}.loss=cosine",),
    "weights not interpolated": ("training.interpolation=1.0",),
    "interpolation 0.75": ("training.interpolation=0.75",),
    "similarity × 1.5": (f"{TERM}.weight=1.5",),
    "similarity × 15": (f"{TERM}.weight=15",),
    "similarity alone": (f"{LOSS}={{loss: similarity}}",),
    "temperature 0.025": (f"{TERM}.temperature=0.025",),
    "temperature 0.1": (f"{TERM}.temperature=0.1",),
    "no further candidates": (f"{TERM}.candidates=0",),
    "512 further candidates": (f"{TERM}.candidates=512",),
    "8,192 further candidates": (f"{TERM}.candidates=8192",),
    "English in half of the steps": (f"{LOSS}.english_share=0.5",),
    "embeddings at 1e-3": (f"{RATE}.embeddings=1e-3",),
    "embeddings at 4e-3": (f"{RATE}.embeddings=4e-3",),
    "layers at 1e-4": (f"{RATE}.body=1e-4",),
    "layers at 6e-4": (f"{RATE}.body=6e-4",),
    "layers frozen": (f"{RATE}.body=1e-12",),
    "embeddings frozen": (f"{RATE}.embeddings=1e-12",),
    "batches of 64, half of the rows": ("training.batch_size=64",),
    "rate falls as a cosine": ("training.schedule=cosine",),
    "rate stays": ("training.schedule=constant",),
    "weight decay 0.01": ("training.weight_decay=0.01",),
    "dropout 0.1": ("training.dropout=0.1",),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="?", type=Path, default=RECIPE)
    parser.add_argument("--steps", type=int, default=300, help="of each run (default 300)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    common = [
        f"training.max_steps={options.steps}",
        "training.epochs=1000",
        f"training.evaluate_every={options.steps}",
        "training.trackers=[]",
        "student.skip=null",
        f"evaluation.suites={json.dumps(SUITES)}",
        *options.overrides,
    ]
    found: dict[str, list[dict[str, list[float]]]] = {}
    for variant in options.variants:
        for seed in options.seeds:
            chosen = [*common, *VARIANTS[variant], f"seed={seed}"]
            name = run_name(load_recipe(options.recipe, common), f"{variant} seed {seed}")
            outcome = run_recipe(load_recipe(options.recipe, [*chosen, f"name={name}"]), mode="resume")
            of_student = [score for score in outcome.scores if score.model == "student"]
            found.setdefault(variant, []).append(main_scores(of_student))
        print(f"\n{table(str(options.steps) + ' steps', found)}", flush=True)
        if options.json:
            options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
