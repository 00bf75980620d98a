"""What becomes of a student's language when another is added, by share of replay and interpolation: a Markdown table.

Usage: python eval/ablations/adding.py STUDENT [--steps 300] [--shares 0 0.1 0.3] [--interpolation 1 0.75]
       [--set KEY=VALUE …] [--json FILE] (needs ../shared/data)

STUDENT is the folder of an en-uk student, such as runs/ua-laptop/model. Swedish is added to it as in
recipes/add-sv.yaml, with several shares of the steps for Ukrainian rows; every run has the same number of steps.
Accuracy (from English / to English) and Spearman correlation in per cent. Given again, it runs only what is not
finished.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))
from common import DATA, ROOT, main_scores, table

from distill.evaluate import Score
from distill.pipeline import run_recipe
from distill.recipe import load_recipe
from distill.recipe.evaluation import MODELS

RECIPE = ROOT / "recipes" / "add-sv.yaml"
SUITES = ["everyday", *(str(DATA / name) for name in ("bitext/ntrex", "bitext/tatoeba", "sts/stsb-dev", "sts/sts17"))]
PAIRS = ["en-en", "en-uk", "en-sv", "uk-uk", "sv-sv"]


def main() -> None:
    """Print the table after each share."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("student", type=Path)
    parser.add_argument("--steps", type=int, default=300, help="of each run (default 300)")
    parser.add_argument("--shares", type=float, nargs="+", default=[0, 0.1, 0.3], help="of replay (default 0 0.1 0.3)")
    parser.add_argument("--interpolation", type=float, nargs="+", default=[1, 0.75], help="(default 1 0.75)")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: dict[str, list[dict[str, list[float]]]] = {}

    def add(name: str, scores: list[Score], model: str) -> None:
        rows[name] = [main_scores(score for score in scores if score.model == model)]

    for share in options.shares:
        for interpolation in options.interpolation:  # the first one trains, the others are of the same run
            chosen = [
                f"name=add-sv-replay-{share:g}",
                f"student.model={options.student.resolve()}",
                f"mixture.sampling.weights={{new: {1 - share:g}, known: {share:g}}}",
                "training.epochs=1000",
                f"training.max_steps={options.steps}",
                f"training.interpolation={interpolation:g}",
                "training.trackers=[]",
                f"evaluation.suites={json.dumps(SUITES)}",
                f"evaluation.pairs={json.dumps(PAIRS)}",
                f"evaluation.baselines={{before: {options.student.resolve()}}}",
                *options.overrides,
            ]
            scores = run_recipe(load_recipe(RECIPE, chosen), mode="resume").scores
            add("the student before", scores, "before")
            add("sv added, not trained", scores, MODELS[1])
            add(f"sv added, replay {share:g}, interpolation {interpolation:g}", scores, MODELS[2])
        print(f"\n{table(f'{options.steps} steps', rows)}", flush=True)
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
