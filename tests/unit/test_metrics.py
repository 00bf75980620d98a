"""Metrics against independent implementations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import TranslationEvaluator

from distill import metrics


def vectors(seed: int, n: int = 60, dimension: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, dimension)).astype(np.float32)


def test_cosines_of_pairs_by_hand() -> None:
    first = np.array([[3.0, 4.0], [1.0, 0.0], [0.0, 0.0]], np.float32)
    second = np.array([[3.0, 4.0], [0.0, 2.0], [1.0, 1.0]], np.float32)
    assert metrics.pair_cosines(first, second) == pytest.approx([1.0, 0.0, 0.0])


def test_correlations_equal_scipys_with_ties() -> None:
    similarity, gold = np.random.default_rng(0).normal(size=50), np.repeat(np.arange(10.0), 5)
    assert metrics.spearman(similarity, gold) == pytest.approx(stats.spearmanr(similarity, gold).statistic)
    assert metrics.pearson(similarity, gold) == pytest.approx(np.corrcoef(similarity, gold)[0, 1])


@pytest.mark.parametrize("n", [1, 60, metrics.BLOCK_ROWS + 7])
def test_retrieval_accuracy_equals_the_full_matrix(n: int) -> None:
    queries = vectors(1, n)
    candidates = queries + 1.2 * vectors(2, n)
    unit_q = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    unit_c = candidates / np.linalg.norm(candidates, axis=1, keepdims=True)
    expected = ((unit_q @ unit_c.T).argmax(1) == np.arange(n)).mean()
    assert metrics.retrieval_accuracy(queries, candidates) == pytest.approx(expected)


def test_retrieval_accuracy_equals_sentence_transformers_evaluator(tiny_teacher: Path) -> None:
    model = SentenceTransformer(str(tiny_teacher), device="cpu")
    source = [f"{word} {other}" for word in ("cat", "dog", "house", "tree") for other in ("runs", "sleeps", "is big")]
    target = [text.replace("cat", "dogs").replace("runs", "sleeps now") for text in source]
    found = TranslationEvaluator(source, target, write_csv=False)(model)
    first, second = model.encode(source), model.encode(target)
    assert metrics.retrieval_accuracy(first, second) == pytest.approx(found["src2trg_accuracy"])
    assert metrics.retrieval_accuracy(second, first) == pytest.approx(found["trg2src_accuracy"])
    assert 0 < found["src2trg_accuracy"] < 1


def test_mean_squared_error_sums_over_dimensions() -> None:
    assert metrics.mean_squared_error(np.array([[1.0, 1.0], [0.0, 0.0]]), np.zeros((2, 2))) == 1.0
