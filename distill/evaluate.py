"""Scoring models on test sets: every sentence is encoded once per model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from distill import metrics, uncertainty
from distill.encode import EncodeTexts, Vectors
from distill.files import write_atomically
from distill.metrics import Floats
from distill.testsets import BitextSet, ClassificationSet, RetrievalSet, StsSet, TestSet, sentences

Measured = tuple[str, float, Floats, int]
"""Metric, value, bootstrap replicates, number of items."""


@dataclass(frozen=True)
class Score:
    """One number and how sure it is.

    Attributes:
        suite: name of the suite.
        pair: language pair.
        metric: spearman, pearson (of cosines), spearman_dot, pearson_dot; accuracy, f1, xsim with _forward (the second
            language searched with the first) and _backward; mse; ndcg_at_10, mrr_at_10, recall_at_1, _10, _100;
            accuracy, macro_f1 (classification).
        model: column of the table.
        value: -1 to 1 for correlations, squared distance for mse, 0 to 1 for all others.
        n: number of items: sentence pairs, queries or texts.
        low: lower end of the 95 % bootstrap interval; None where it was not computed.
        high: upper end.
        note: what a reader should know of the set.
        replicates: the scores of resampled items (see `distill.uncertainty`); not part of the JSON, see
            `store_replicates`.
    """

    suite: str
    pair: str
    metric: str
    model: str
    value: float
    n: int
    low: float | None = None
    high: float | None = None
    note: str = ""
    replicates: npt.NDArray[np.float32] | None = field(default=None, compare=False, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields but the replicates, for JSON."""
        return {part.name: getattr(self, part.name) for part in fields(self) if part.name != "replicates"}


def evaluate(
    models: Mapping[str, EncodeTexts], sets: Sequence[TestSet], *, teacher: EncodeTexts | None = None
) -> list[Score]:
    """Return all scores of some models on some test sets.

    Args:
        models: name → function from texts to vectors (n, dimension).
        sets: test sets.
        teacher: what gives the English vectors that the models' are compared with (mse), where they have as many
            dimensions; may be one of the models. No such score if None.
    """
    if not sets:
        return []
    texts = sentences(sets)
    place = {text: row for row, text in enumerate(texts)}
    target = teacher(texts) if teacher else None
    scores = []
    for name, encode in models.items():
        vectors = target if target is not None and encode == teacher else encode(texts)

        def of(wanted: Sequence[str], rows: Vectors = vectors) -> Vectors:
            return rows[[place[text] for text in wanted]]

        reference = target if encode != teacher and target is not None and target.shape[1] == vectors.shape[1] else None
        for found in sets:
            measured = list(_measure(found, of))
            if reference is not None and isinstance(found, BitextSet) and found.pair.startswith("en-"):
                errors = metrics.squared_errors(of(found.second), of(found.first, reference))
                measured += _means({"mse": errors})
            scores += [_score(found, name, *one) for one in measured]
    return scores


def _score(found: TestSet, model: str, metric: str, value: float, replicates: Floats, n: int) -> Score:
    low, high = uncertainty.interval(replicates)
    stored = replicates.astype(np.float32)
    return Score(found.suite, found.pair, metric, model, value, n, low, high, found.note, stored)


def _measure(found: TestSet, of: EncodeTexts) -> Iterator[Measured]:
    """Yield what is measured on one set, of the vectors that `of` returns."""
    match found:
        case StsSet():
            first, second, gold = of(found.first), of(found.second), found.gold_scores()
            for suffix, compare in (("", metrics.pair_cosines), ("_dot", metrics.pair_dots)):
                likeness = compare(first, second)
                ranks, values = metrics.spearman(likeness, gold), metrics.pearson(likeness, gold)
                yield f"spearman{suffix}", ranks, uncertainty.spearman_replicates(likeness, gold), len(gold)
                yield f"pearson{suffix}", values, uncertainty.pearson_replicates(likeness, gold), len(gold)
        case BitextSet():
            yield from _means(metrics.bitext(of(found.first), of(found.second)))
        case RetrievalSet():
            yield from _means(metrics.retrieval(of(found.queries), of(found.documents), found.relevance))
        case ClassificationSet():
            predicted = metrics.probe(of(found.train), found.train_labels, of(found.test))
            numbers = np.unique([*found.test_labels, *predicted], return_inverse=True)[1]
            true, guessed = np.split(numbers, 2)
            yield from _means({"accuracy": (true == guessed).astype(np.float64)})
            yield "macro_f1", metrics.macro_f1(true, guessed), uncertainty.macro_f1_replicates(true, guessed), len(true)


def _means(items: Mapping[str, Floats]) -> Iterator[Measured]:
    """Yield metrics that are means of items (n,)."""
    values = np.stack(list(items.values()), axis=1)
    for metric, value, replicates in zip(items, values.mean(axis=0), uncertainty.mean_replicates(values), strict=True):
        yield metric, float(value), replicates, len(values)


def store_replicates(path: Path, scores: Sequence[Score]) -> None:
    """Write the replicates of scores to one .npz file, so that scores read from JSON can be compared with others."""
    kept = [(score, score.replicates) for score in scores if score.replicates is not None]
    file = BytesIO()
    replicates = np.stack([found for _, found in kept]) if kept else np.empty((0, uncertainty.REPLICATES), np.float32)
    np.savez_compressed(file, names=np.array([_name(score) for score, _ in kept], str), replicates=replicates)
    write_atomically(path, file.getvalue())


def with_replicates(scores: Sequence[Score], path: Path) -> list[Score]:
    """Return scores with the replicates that `store_replicates` wrote; without, where there is no such file."""
    if not path.exists():
        return list(scores)
    with np.load(path, allow_pickle=False) as stored:
        found = dict(zip(stored["names"].tolist(), stored["replicates"], strict=True))
    return [replace(score, replicates=found.get(_name(score))) for score in scores]


def _name(score: Score) -> str:
    return "\t".join((score.suite, score.pair, score.metric, score.model))
