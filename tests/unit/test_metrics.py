"""Metrics against independent implementations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import TranslationEvaluator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, ndcg_score

from distill import metrics


def vectors(seed: int, n: int = 60, dimension: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, dimension)).astype(np.float32)


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    one, two = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (first, second))
    return one @ two.T


def test_cosines_and_dot_products_of_pairs_by_hand() -> None:
    first = np.array([[3.0, 4.0], [1.0, 0.0], [0.0, 0.0]], np.float32)
    second = np.array([[3.0, 4.0], [0.0, 2.0], [1.0, 1.0]], np.float32)
    assert metrics.pair_cosines(first, second) == pytest.approx([1.0, 0.0, 0.0])
    assert metrics.pair_dots(first, second) == pytest.approx([25.0, 0.0, 0.0])


def test_correlations_equal_scipys_with_ties() -> None:
    similarity, gold = np.random.default_rng(0).normal(size=50), np.repeat(np.arange(10.0), 5)
    assert metrics.spearman(similarity, gold) == pytest.approx(stats.spearmanr(similarity, gold).statistic)
    assert metrics.pearson(similarity, gold) == pytest.approx(np.corrcoef(similarity, gold)[0, 1])


def test_squared_errors_sum_over_dimensions() -> None:
    assert metrics.squared_errors(np.array([[1.0, 1.0], [0.0, 0.0]]), np.zeros((2, 2))).tolist() == [2.0, 0.0]


@pytest.mark.parametrize("n", [1, 60, 600])
def test_bitext_accuracy_and_f1_equal_the_full_matrix(n: int) -> None:
    first = vectors(1, n)
    second = first + 1.2 * vectors(2, n)
    found = metrics.bitext(first, second)
    for direction, matrix in (("forward", cosines(first, second)), ("backward", cosines(second, first))):
        nearest = matrix.argmax(1)
        assert found[f"accuracy_{direction}"].mean() == pytest.approx((nearest == np.arange(n)).mean())
        f1 = f1_score(np.arange(n), nearest, average="weighted", zero_division=0)
        assert found[f"f1_{direction}"].mean() == pytest.approx(f1)


def test_bitext_accuracy_equals_sentence_transformers_evaluator(tiny_teacher: Path) -> None:
    model = SentenceTransformer(str(tiny_teacher), device="cpu")
    source = [f"{word} {other}" for word in ("cat", "dog", "house", "tree") for other in ("runs", "sleeps", "is big")]
    target = [text.replace("cat", "dogs").replace("runs", "sleeps now") for text in source]
    expected = TranslationEvaluator(source, target, write_csv=False)(model)
    found = metrics.bitext(model.encode(source), model.encode(target))
    assert found["accuracy_forward"].mean() == pytest.approx(expected["src2trg_accuracy"])
    assert found["accuracy_backward"].mean() == pytest.approx(expected["trg2src_accuracy"])
    assert 0 < expected["src2trg_accuracy"] < 1


def xsim(first: np.ndarray, second: np.ndarray, k: int = 4) -> float:
    """Return LASER's xsim error with the ratio margin, candidate by candidate."""
    forward, n = cosines(first, second), len(first)
    nearest = [sorted(range(n), key=lambda j: -forward[i, j])[:k] for i in range(n)]
    usual_first = [sum(sorted(forward[i])[-k:]) / k for i in range(n)]
    usual_second = [sum(sorted(forward[:, j])[-k:]) / k for j in range(n)]
    wrong = 0
    for i in range(n):
        margin = {j: forward[i, j] / ((usual_first[i] + usual_second[j]) / 2) for j in nearest[i]}
        wrong += max(margin, key=lambda j: margin[j]) != i
    return wrong / n


def test_xsim_equals_its_definition_and_is_not_the_error_of_cosines() -> None:
    first = vectors(4, 80) + 1.5
    second = first + 0.9 * vectors(5, 80)
    found = metrics.bitext(first, second)
    assert found["xsim_forward"].mean() == pytest.approx(xsim(first, second))
    assert found["xsim_backward"].mean() == pytest.approx(xsim(second, first))
    assert 0 < found["xsim_forward"].mean() != 1 - found["accuracy_forward"].mean()


def judged(seed: int, queries: int = 40, documents: int = 150) -> list[tuple[int, int, float]]:
    random = np.random.default_rng(seed)
    pairs = {(int(random.integers(queries)), int(random.integers(documents))) for _ in range(6 * queries)}
    return [(query, document, float(random.integers(1, 4))) for query, document in sorted(pairs)]


def test_retrieval_equals_trec_evals() -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    queries, documents, relevance = vectors(6, 40), vectors(7, 150), judged(8)
    relevance = [line for line in relevance if line[0] != 5]
    qrels: dict[str, dict[str, int]] = {}
    for query, document, grade in relevance:
        qrels.setdefault(f"q{query}", {})[f"d{document}"] = int(grade)
    matrix = cosines(queries, documents).tolist()
    run = {f"q{q}": {f"d{d}": matrix[q][d] for d in range(150)} for q in range(40) if f"q{q}" in qrels}
    measures = {"ndcg_cut.10", "recall.1,10,100", "recip_rank"}
    expected = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(run)
    found = metrics.retrieval(queries, documents, relevance)
    for own, theirs in (
        ("ndcg_at_10", "ndcg_cut_10"),
        ("recall_at_1", "recall_1"),
        ("recall_at_10", "recall_10"),
        ("recall_at_100", "recall_100"),
    ):
        assert found[own] == pytest.approx([expected[query][theirs] for query in qrels])
    reciprocal = np.array([expected[query]["recip_rank"] for query in qrels])
    assert found["mrr_at_10"] == pytest.approx(np.where(reciprocal >= 0.1, reciprocal, 0))
    assert (found["mrr_at_10"] < reciprocal).any()
    assert len(found["ndcg_at_10"]) == len(qrels) == 39


def test_ndcg_equals_sklearns_with_few_documents() -> None:
    queries, documents, relevance = vectors(9, 40), vectors(10, 7), judged(11, documents=7)
    found = metrics.retrieval(queries, documents, relevance)
    grades = np.zeros((40, 7))
    for query, document, grade in relevance:
        grades[query, document] = grade
    assert found["ndcg_at_10"].mean() == pytest.approx(
        ndcg_score(grades[grades.any(1)], cosines(queries, documents)[grades.any(1)])
    )
    assert set(found) == {"ndcg_at_10", "mrr_at_10", "recall_at_1"}


def test_retrieval_by_hand() -> None:
    queries = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    documents = np.array([[1.0, 0.1], [0.6, 0.8], [0.0, 1.0], [-1.0, 0.0]], np.float32)
    found = metrics.retrieval(queries, documents, [(0, 1, 2.0), (0, 0, 1.0), (1, 3, 1.0), (1, 0, 0.0)])
    # query 0 finds 0 (grade 1), 1 (grade 2), …: (1 + 2 / log2 3) / (2 + 1 / log2 3); query 1 finds 2, 1, 0, 3
    assert found["ndcg_at_10"] == pytest.approx([(1 + 2 / np.log2(3)) / (2 + 1 / np.log2(3)), 1 / np.log2(5)])
    assert found["mrr_at_10"] == pytest.approx([1.0, 0.25])
    assert found["recall_at_1"] == pytest.approx([0.5, 0.0])


def test_the_probe_is_a_logistic_regression_on_unscaled_vectors() -> None:
    centres = {"a": vectors(12, 1), "b": vectors(13, 1), "c": vectors(14, 1)}
    labels = ["a", "b", "c"] * 20
    train = np.concatenate([3 * centres[label] for label in labels]) + 6 * vectors(15)
    test = np.concatenate([3 * centres[label] for label in labels]) + 6 * vectors(16)
    expected = LogisticRegression(max_iter=1_000).fit(train, labels).predict(test)
    assert metrics.probe(train, labels, test) == expected.tolist()
    numbers = {label: number for number, label in enumerate("abc")}
    true, guessed = (np.array([numbers[label] for label in side]) for side in (labels, expected))
    assert 0.5 < metrics.macro_f1(true, guessed) == f1_score(labels, expected, average="macro") < 1
