"""What is done after training: how far the weights go from the untrained student's to the trained ones
(`training.interpolation`), and the weight of the skip connection (`student.skip`), as a Markdown table.

Usage: python eval/ablations/after_training.py RECIPE … [--interpolation 0 0.5 0.75 1] [--skip 0 0.4]
       [--suites FOLDER …] [--set KEY=VALUE …]

Each recipe was run before: its untrained student and its model are taken from its run directory, and a skip connection
fitted to each student between them. Accuracy (from English / to English) and Spearman correlation in per cent.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))
from common import main_scores, table

from distill.corpora import SentenceFilter, english_columns, load_corpora
from distill.encode import EncodeTexts, Vectors, encode, speed_up
from distill.evaluate import Score, evaluate
from distill.interpolation import copy_weights, interpolate
from distill.recipe import load_recipe
from distill.skip import fit_skip, mean_embeddings, without_skip
from distill.student import load_student
from distill.teacher import embed, load_teacher
from distill.testsets import TestSet, load_suites, sentences_by_suite

CPU = torch.device("cpu")


def with_weights(
    student: SentenceTransformer, matrix: Vectors, weights: Sequence[float], sets: Sequence[TestSet]
) -> dict[float, list[Score]]:
    """Return weight → scores of a student whose skip connection is a map times this weight; its layers are run once."""
    known: dict[str, tuple[Vectors, Vectors]] = {}

    def model(weight: float) -> EncodeTexts:
        def vectors(texts: Sequence[str]) -> Vectors:
            new = [text for text in dict.fromkeys(texts) if text not in known]
            if new:
                words = mean_embeddings(student, new) @ matrix[:-1] + matrix[-1]
                known.update(zip(new, zip(encode(student, new), words, strict=True), strict=True))
            found = np.array([known[text][0] + weight * known[text][1] for text in texts])
            return found / np.linalg.norm(found, axis=1, keepdims=True)

        return vectors

    return {weight: evaluate({"model": model(weight)}, sets) for weight in weights}


def main() -> None:
    """Print a table of each recipe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="+", type=Path)
    parser.add_argument("--interpolation", nargs="+", type=float, default=[0, 0.5, 0.6, 0.7, 0.8, 0.9, 1])
    parser.add_argument("--skip", nargs="+", type=float, default=[0, 0.4])
    parser.add_argument("--suites", nargs="+", default=[])
    parser.add_argument("--set", dest="overrides", nargs="+", default=[])
    options = parser.parse_args()
    for path in options.recipes:
        recipe = load_recipe(path, options.overrides)
        sets = load_suites(options.suites or recipe.evaluation.suites, recipe.languages, recipe.evaluation.pairs)
        corpora = load_corpora(recipe, SentenceFilter(sentences_by_suite(sets)))
        teacher = load_teacher(recipe.teacher, CPU)
        embed(teacher, corpora, english_columns)
        run = recipe.runs / recipe.name
        start = copy_weights(without_skip(load_student(run / "untrained", CPU)))
        model = without_skip(load_student(run / "model", CPU))
        made_with = json.loads((run / "scores.json").read_text(encoding="utf-8")).get("interpolation", 1.0)
        rows: dict[str, list[dict[str, list[float]]]] = {}
        for share in options.interpolation:
            student = copy.deepcopy(model)
            interpolate(student, start, share / made_with)  # on the same line, beyond the model if need be
            speed_up(student)
            matrix = fit_skip(student, teacher, corpora)
            for weight, scores in with_weights(student, matrix, options.skip, sets).items():
                rows[f"interpolation {share:g}, skip {weight:g}"] = [main_scores(scores)]
        print(f"\n{table(recipe.name, rows)}", flush=True)


if __name__ == "__main__":
    main()
