"""Scoring models on test sets: every sentence is encoded once per model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from distill import metrics
from distill.encode import Vectors
from distill.testsets import BitextSet, StsSet, TestSet, sentences

EncodeTexts = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True)
class Score:
    """One number.

    Attributes:
        suite: name of the suite.
        pair: language pair.
        metric: spearman, pearson, accuracy_forward (the second language searched with the first),
            accuracy_backward or mse.
        model: column of the table.
        value: correlations and accuracies from 0 to 1 (-1 for correlations), mse as squared distance.
        n: number of sentence pairs.
    """

    suite: str
    pair: str
    metric: str
    model: str
    value: float
    n: int

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, for JSON."""
        return asdict(self)


def evaluate(models: Mapping[str, EncodeTexts], sets: Sequence[TestSet], *, teacher: str | None = None) -> list[Score]:
    """Return all scores of some models on some test sets.

    Args:
        models: name → function from texts to vectors (n, dimension).
        sets: test sets.
        teacher: name of the model whose English vectors the others' are compared with (mse); None for no such score.
    """
    texts = sentences(sets)
    place = {text: row for row, text in enumerate(texts)}
    pairs = [found for found in sets if isinstance(found, StsSet | BitextSet)]
    rows = {found: ([place[t] for t in found.first], [place[t] for t in found.second]) for found in pairs}
    target = models[teacher](texts) if teacher else None
    scores = []
    for name, encode in models.items():
        vectors = target if target is not None and name == teacher else encode(texts)
        for found in pairs:
            first, second = (vectors[which] for which in rows[found])
            for metric, value in _score(found, first, second):
                scores.append(Score(found.suite, found.pair, metric, name, value, len(found.first)))
            if target is not None and name != teacher and isinstance(found, BitextSet) and found.pair.startswith("en-"):
                error = metrics.mean_squared_error(second, target[rows[found][0]])
                scores.append(Score(found.suite, found.pair, "mse", name, error, len(found.first)))
    return scores


def _score(found: StsSet | BitextSet, first: Vectors, second: Vectors) -> list[tuple[str, float]]:
    """Return metric and value of each score of one set."""
    if isinstance(found, StsSet):
        cosines, gold = metrics.pair_cosines(first, second), found.gold_scores()
        return [
            ("spearman", metrics.spearman(cosines, gold)),
            ("pearson", metrics.pearson(cosines, gold)),
        ]
    return [
        ("accuracy_forward", metrics.retrieval_accuracy(first, second)),
        ("accuracy_backward", metrics.retrieval_accuracy(second, first)),
    ]
