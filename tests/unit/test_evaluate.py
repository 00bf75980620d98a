"""Scores by hand, each sentence encoded once per model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from distill import uncertainty
from distill.evaluate import Score, evaluate, store_replicates, with_replicates
from distill.testsets import BitextSet, ClassificationSet, RetrievalSet, StsSet, TestSet

NUMBERS = BitextSet("numbers", "en-uk", ("one", "two", "three"), ("один", "два", "три"))
LIKENESS = StsSet(
    "likeness", "en-uk", ("one", "one", "two", "three"), ("один", "два", "два", "один"), (5.0, 1.0, 4.0, 0.0)
)
VECTORS = {
    "one": [1.0, 0.0],
    "two": [0.0, 1.0],
    "three": [-1.0, 0.0],
    "один": [0.8, 0.6],
    "два": [0.28, 0.96],
    "три": [-1.2, 1.6],
}


class Encoder:
    """A model that knows the vectors of some words and remembers what it was asked for."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale, self.vectors = scale, VECTORS
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        return np.array([self.vectors[text] for text in texts], np.float32) * self.scale


def by_name(scores: Sequence[Score]) -> dict[tuple[str, str, str, str], float]:
    found = {(score.model, score.suite, score.pair, score.metric): score.value for score in scores}
    assert len(found) == len(scores)
    return found


def test_retrieval_in_both_directions_by_hand() -> None:
    found = by_name(evaluate({"m": Encoder()}, [NUMBERS]))
    # one → один (0.8), two → два (0.96), three → три (0.6)
    assert found["m", "numbers", "en-uk", "accuracy_forward"] == 1.0
    # один → one (0.8), два → two (0.96), but три → two (0.8)
    assert found["m", "numbers", "en-uk", "accuracy_backward"] == pytest.approx(2 / 3)
    # one and two find один and два; два and три both find two: F1 of one 1, of two 2/3, of three 0
    assert found["m", "numbers", "en-uk", "f1_forward"] == 1.0
    assert found["m", "numbers", "en-uk", "f1_backward"] == pytest.approx(5 / 9)
    assert {key[3] for key in found} == {
        f"{metric}_{direction}" for metric in ("accuracy", "f1", "xsim") for direction in ("forward", "backward")
    }


def test_correlations_by_hand() -> None:
    found = by_name(evaluate({"m": Encoder(scale=2.0)}, [LIKENESS]))
    # cosines 0.8, 0.28, 0.96, -0.8 have ranks 3, 2, 4, 1; the scores have 4, 2, 3, 1: ρ = 1 - 6·2 / (4·15)
    assert found["m", "likeness", "en-uk", "spearman"] == pytest.approx(0.8)
    pearson = np.corrcoef([0.8, 0.28, 0.96, -0.8], [5, 1, 4, 0])[0, 1]
    assert found["m", "likeness", "en-uk", "pearson"] == pytest.approx(pearson)
    # the vector of три alone is not of length 1, and it is not in this set: dot products are four times the cosines
    assert found["m", "likeness", "en-uk", "spearman_dot"] == pytest.approx(0.8)
    assert found["m", "likeness", "en-uk", "pearson_dot"] == pytest.approx(pearson)
    assert len(found) == 4


def test_retrieval_by_hand() -> None:
    found = RetrievalSet("search", "en-uk", ("one", "two"), ("один", "два"), ((0, 1, 1.0), (1, 1, 2.0)), note="small")
    scores = evaluate({"m": Encoder()}, [found])
    # one finds один, then два, its answer; two finds два
    assert by_name(scores) == {
        ("m", "search", "en-uk", "ndcg_at_10"): pytest.approx((1 / np.log2(3) + 1) / 2),
        ("m", "search", "en-uk", "mrr_at_10"): 0.75,
        ("m", "search", "en-uk", "recall_at_1"): 0.5,
    }
    assert {(score.n, score.note) for score in scores} == {(2, "small")}


def test_classification_by_hand() -> None:
    train = ("one", "two", "three")
    found = ClassificationSet("labels", "en-uk", train, ("right", "up", "left"), ("один", "два"), ("right", "right"))
    # один lies by one (right), два by two (up): F1 of right 2/3, of up 0
    assert by_name(evaluate({"m": Encoder()}, [found])) == {
        ("m", "labels", "en-uk", "accuracy"): 0.5,
        ("m", "labels", "en-uk", "macro_f1"): pytest.approx(1 / 3),
    }


def test_a_student_is_compared_with_the_teachers_english_vectors() -> None:
    models = {"teacher": Encoder(), "student": Encoder(scale=2.0)}
    other = BitextSet("numbers", "uk-da", ("один",), ("два",))
    found = by_name(evaluate(models, [NUMBERS, LIKENESS, other], teacher=models["teacher"]))
    # (1.6, 1.2) to (1, 0); (0.56, 1.92) to (0, 1); (-2.4, 3.2) to (-1, 0)
    assert found["student", "numbers", "en-uk", "mse"] == pytest.approx((1.8 + 1.16 + 12.2) / 3, rel=1e-6)
    assert [key for key in found if key[3] == "mse"] == [("student", "numbers", "en-uk", "mse")]


def test_a_model_of_another_dimension_has_no_distance_to_the_teacher() -> None:
    def longer(texts: Sequence[str]) -> np.ndarray:
        return np.pad(Encoder()(texts), ((0, 0), (0, 1)))

    found = by_name(evaluate({"m": Encoder(2.0), "longer": longer}, [NUMBERS], teacher=Encoder()))
    assert [key[0] for key in found if key[3] == "mse"] == ["m"]
    assert found["longer", "numbers", "en-uk", "accuracy_forward"] == 1.0


@pytest.mark.parametrize("teacher", [None, "a"])
def test_every_sentence_is_encoded_once_by_each_model(teacher: str | None) -> None:
    models = {"a": Encoder(), "b": Encoder()}
    scores = evaluate(models, [NUMBERS, LIKENESS, LIKENESS], teacher=models[teacher] if teacher else None)
    for model in models.values():
        assert sorted(model.asked) == sorted(VECTORS)
    assert {score.n for score in scores if score.suite == "numbers"} == {3}
    assert {score.n for score in scores if score.suite == "likeness"} == {4}


def noisy_sets(n: int = 40) -> tuple[list[TestSet], Encoder]:
    """Return sets of made-up words, and a model whose vectors of translations are alike."""
    random = np.random.default_rng(0)
    english, other = ([f"{side}{number}" for number in range(n)] for side in "ab")
    first = random.normal(size=(n, 4))
    encoder = Encoder()
    encoder.vectors = dict(zip(english, first, strict=True))
    encoder.vectors |= dict(zip(other, first + 0.6 * random.normal(size=(n, 4)), strict=True))
    gold = tuple(random.integers(6, size=n).astype(float))
    labels = tuple("yn"[int(vector[0] > 0)] for vector in first)
    relevance = tuple((row, row, 1.0) for row in range(n))
    sets: list[TestSet] = [
        StsSet("s", "en-uk", tuple(english), tuple(other), gold),
        BitextSet("b", "en-uk", tuple(english), tuple(other)),
        RetrievalSet("r", "en-uk", tuple(english), tuple(other), relevance),
        ClassificationSet("c", "en-uk", tuple(english), labels, tuple(other), labels),
    ]
    return sets, encoder


def test_every_score_has_an_interval_around_it_and_replicates_about_it() -> None:
    sets, encoder = noisy_sets()
    scores = evaluate({"teacher": encoder, "m": lambda texts: encoder(texts)}, sets, teacher=encoder)
    assert len({score.metric for score in scores}) == 4 + 6 + 1 + 4 + 2
    for score in scores:
        assert score.low is not None
        assert score.high is not None
        assert score.low <= score.value <= score.high
        assert score.low < score.high
        assert score.replicates is not None
        assert score.replicates.shape == (uncertainty.REPLICATES,)
        assert np.mean(score.replicates) == pytest.approx(score.value, abs=(score.high - score.low) / 4)


def test_scores_are_made_again_from_their_json() -> None:
    scores = evaluate({"m": Encoder()}, [NUMBERS, LIKENESS], teacher=Encoder())
    lines = json.loads(json.dumps([score.as_dict() for score in scores]))
    assert [Score(**line) for line in lines] == scores
    assert "replicates" not in lines[0]
    old = Score("numbers", "en-uk", "mse", "m", 0.5, 3)
    assert (old.low, old.high, old.note) == (None, None, "")


def test_replicates_are_stored_beside_the_scores(tmp_path: Path) -> None:
    scores = evaluate({"m": Encoder()}, [NUMBERS, LIKENESS], teacher=Encoder())
    plain = [Score(**score.as_dict()) for score in scores]
    assert with_replicates(plain, tmp_path / "scores.npz") == plain
    store_replicates(tmp_path / "scores.npz", scores)
    for before, after in zip(scores, with_replicates(plain[::-1], tmp_path / "scores.npz")[::-1], strict=True):
        assert after == before
        np.testing.assert_array_equal(after.replicates, before.replicates)
    store_replicates(tmp_path / "scores.npz", [])
    assert all(score.replicates is None for score in with_replicates(plain, tmp_path / "scores.npz"))
