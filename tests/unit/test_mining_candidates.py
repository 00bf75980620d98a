"""Candidates by BM25 and by vectors, exact and approximate."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

from distill.errors import DistillError
from distill.mining.candidates import LEAST_RECALL, Find, Ranked, approximate_search, bm25, candidates, dense
from distill.mining.models import load_encoder

PASSAGES = ["The cat sat on the mat.", "A dog, a DOG and a cat!", "Ще один кіт спить", "nothing in common here"]


def everything(n: int) -> np.ndarray:
    return np.arange(n, dtype=np.int64)


def lucene(query: list[str], passage: list[str], passages: list[list[str]]) -> float:
    """Return BM25 as Lucene computes it: idf ln(1 + (N - n + 0.5) / (n + 0.5)), k1 1.5, b 0.75."""
    mean, score = np.mean([len(words) for words in passages]), 0.0
    for word in query:
        n = sum(word in words for words in passages)
        tf = passage.count(word)
        idf = math.log(1 + (len(passages) - n + 0.5) / (n + 0.5))
        score += idf * tf / (tf + 1.5 * (1 - 0.75 + 0.75 * len(passage) / mean))
    return score


def test_bm25_scores_as_lucene() -> None:
    words = [
        ["the", "cat", "sat", "on", "the", "mat"],
        ["a", "dog", "a", "dog", "and", "a", "cat"],
        ["ще", "один", "кіт", "спить"],
        ["nothing", "in", "common", "here"],
    ]
    found = bm25(["Dog and CAT", "кіт", "zebra"], PASSAGES, 100)(everything(3), None)
    assert found.passages.tolist() == [[1, 0, -1, -1], [2, -1, -1, -1], [-1] * 4]
    assert found.scores[0, :2] == pytest.approx([lucene(["dog", "and", "cat"], words[i], words) for i in (1, 0)])
    assert found.scores[1, 0] == pytest.approx(lucene(["кіт"], words[2], words))


def test_bm25_finds_words_that_no_spaces_part() -> None:
    passages = ["猫は床にいる", "犬は庭にいる", "แมวนอนหลับ"]
    found = bm25(["猫と庭の猫", "แมว"], passages, 3)(everything(2), None)
    assert found.passages[:, 0].tolist() == [0, 2]


def test_bm25_searches_the_allowed_passages_alone() -> None:
    found = bm25(["cat dog"], PASSAGES, 2)(everything(1), np.array([True, False, True, True]))
    assert found.passages.tolist() == [[0, -1]]


def test_dense_search_is_exact(tiny_teacher: Path, everyday_rows: list[dict[str, str]]) -> None:
    encode = load_encoder("--model", str(tiny_teacher))
    queries, passages = ([row["en"] for row in everyday_rows[part]] for part in (slice(20), slice(20, 300)))
    left, right = encode(queries), encode(passages)
    cosine = left @ right.T / np.linalg.norm(left, axis=1)[:, None] / np.linalg.norm(right, axis=1)
    found = dense(encode, queries, passages, 7)(everything(20), None)
    np.testing.assert_array_equal(found.passages, np.argsort(-cosine, axis=1, kind="stable")[:, :7])
    allowed = np.arange(len(passages)) % 3 == 0
    found = dense(encode, queries, passages, 7)(np.array([4, 9]), allowed)
    np.testing.assert_array_equal(
        found.passages, np.argsort(np.where(allowed, -cosine, 9), axis=1, kind="stable")[[4, 9], :7]
    )
    assert dense(encode, queries, passages, 7)(everything(2), ~allowed & allowed).passages.shape == (2, 0)


def test_vectors_are_computed_once(tiny_teacher: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_encoder("--model", str(tiny_teacher))(PASSAGES)
    again = load_encoder("--model", str(tiny_teacher))
    monkeypatch.setattr("sentence_transformers.SentenceTransformer.forward", None)
    np.testing.assert_array_equal(again(PASSAGES), first)
    with pytest.raises(TypeError):
        again(["a new text"])


def clusters(n: int, seed: int) -> np.ndarray:
    """Return unit vectors around fifty centres."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((50, 48))
    vectors = centres[random.integers(0, 50, n)] + 0.7 * random.standard_normal((n, 48))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_approximate_search_reports_its_recall(caplog: pytest.LogCaptureFixture) -> None:
    queries, passages = clusters(300, 1), clusters(4_000, 2)
    with caplog.at_level("INFO", "distill"):
        find, recall = approximate_search(queries, passages, 20)
    found = find(everything(300), None).passages
    exact = np.argsort(-queries @ passages.T, axis=1)[:, :20]
    true = np.mean([len(set(a) & set(b)) / 20 for a, b in zip(found.tolist(), exact.tolist(), strict=True)])
    assert recall >= LEAST_RECALL
    assert true == pytest.approx(recall, abs=0.02)  # reported for 200 of the 300
    assert f"recall@20 {recall:.3f}" in caplog.text


def test_approximate_search_keeps_to_the_allowed_passages() -> None:
    queries, passages = clusters(20, 1), clusters(2_000, 2)
    allowed = np.arange(2_000) % 2 == 0
    found = approximate_search(queries, passages, 10)[0](everything(20), allowed)
    assert allowed[found.passages].all()
    exact = np.argsort(-np.where(allowed, queries @ passages.T, -2), axis=1)[:, :10]
    shared = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.passages.tolist(), exact.tolist(), strict=True)])
    assert shared >= 0.9


def test_many_passages_are_searched_approximately(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = {"q": clusters(5, 1), "p": clusters(500, 2)}
    monkeypatch.setattr("distill.mining.candidates.EXACT_PASSAGES", 499)

    def encode(texts: list[str]) -> np.ndarray:
        return vectors[texts[0]]

    found = dense(encode, ["q"] * 5, ["p"] * 500, 3)(everything(5), None)  # type: ignore[arg-type]
    exact = np.argsort(-vectors["q"] @ vectors["p"].T, axis=1)[:, :3]
    assert np.mean(found.passages == exact) > 0.9


def fixed(passages: list[list[int]], scores: list[list[float]]) -> Find:
    ranked = Ranked(np.array(passages), np.array(scores, np.float32))
    return lambda rows, allowed: Ranked(ranked.passages[rows], ranked.scores[rows])


def test_candidates_of_two_searches_are_joined() -> None:
    one = fixed([[0, 0], [2, 1], [0, -1]], [[0, 0], [9, 8], [7, 0]])
    two = fixed([[0, 0], [1, 3], [-1, -1]], [[0, 0], [0.5, 0.25], [0, 0]])
    found = candidates({"bm25": one, "dense": two}, np.array([1, 2]), 4)
    assert found.query.tolist() == [1, 1, 1, 2]
    assert found.passage.tolist() == [1, 2, 3, 0]
    assert found.ranks["bm25"].tolist() == [2, 1, 0, 1]
    assert found.ranks["dense"].tolist() == [1, 0, 2, 0]
    np.testing.assert_array_equal(found.scores["bm25"], np.array([8, 9, np.nan, 7], np.float32))
    np.testing.assert_array_equal(found.scores["dense"], np.array([0.5, np.nan, 0.25, np.nan], np.float32))


@pytest.mark.parametrize("package", ["bm25s", "faiss"])
def test_an_absent_package_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DistillError, match=package) as error:
        bm25(["a"], ["b"], 1) if package == "bm25s" else approximate_search(clusters(2, 0), clusters(9, 0), 1)
    assert "distill-multilingual[mining]" in error.value.hint


def test_bm25_finds_nothing_in_passages_without_words() -> None:
    find = bm25(["a cat", "!"], ["!!!", "🙂"], 5)
    assert find(np.arange(2), None).passages.shape == (2, 0)
    found = candidates({"bm25": find}, np.arange(2), 2)
    assert len(found.query) == 0
