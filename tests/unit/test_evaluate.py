"""Scores by hand, each sentence encoded once per model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pytest

from distill.evaluate import Score, evaluate
from distill.testsets import BitextSet, StsSet

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
        self.scale = scale
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        return np.array([VECTORS[text] for text in texts], np.float32) * self.scale


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
    assert len(found) == 2


def test_correlations_by_hand() -> None:
    found = by_name(evaluate({"m": Encoder()}, [LIKENESS]))
    # cosines 0.8, 0.28, 0.96, -0.8 have ranks 3, 2, 4, 1; the scores have 4, 2, 3, 1: ρ = 1 - 6·2 / (4·15)
    assert found["m", "likeness", "en-uk", "spearman"] == pytest.approx(0.8)
    pearson = np.corrcoef([0.8, 0.28, 0.96, -0.8], [5, 1, 4, 0])[0, 1]
    assert found["m", "likeness", "en-uk", "pearson"] == pytest.approx(pearson)
    assert len(found) == 2


def test_a_student_is_compared_with_the_teachers_english_vectors() -> None:
    models = {"teacher": Encoder(), "student": Encoder(scale=2.0)}
    other = BitextSet("numbers", "uk-da", ("один",), ("два",))
    found = by_name(evaluate(models, [NUMBERS, LIKENESS, other], teacher="teacher"))
    # (1.6, 1.2) to (1, 0); (0.56, 1.92) to (0, 1); (-2.4, 3.2) to (-1, 0)
    assert found["student", "numbers", "en-uk", "mse"] == pytest.approx((1.8 + 1.16 + 12.2) / 3, rel=1e-6)
    assert [key for key in found if key[3] == "mse"] == [("student", "numbers", "en-uk", "mse")]


@pytest.mark.parametrize("teacher", [None, "a"])
def test_every_sentence_is_encoded_once_by_each_model(teacher: str | None) -> None:
    models = {"a": Encoder(), "b": Encoder()}
    scores = evaluate(models, [NUMBERS, LIKENESS, LIKENESS], teacher=teacher)
    for model in models.values():
        assert sorted(model.asked) == sorted(VECTORS)
    assert {score.n for score in scores if score.suite == "numbers"} == {3}
    assert {score.n for score in scores if score.suite == "likeness"} == {4}


def test_scores_are_made_again_from_their_json() -> None:
    scores = evaluate({"teacher": Encoder(), "m": Encoder()}, [NUMBERS, LIKENESS], teacher="teacher")
    lines = json.loads(json.dumps([score.as_dict() for score in scores]))
    assert [Score(**line) for line in lines] == scores
    assert lines[0] == asdict(scores[0])
