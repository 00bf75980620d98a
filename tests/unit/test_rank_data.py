"""Ranking corpora: the trials and the arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.corpora import SentenceFilter, load_corpora
from distill.errors import DataError, RecipeError, RunError
from distill.evaluate import Score
from distill.pipeline import Outcome, Ready
from distill.rank_data import Trial, place_student, rank, rank_markdown, rank_rows, trials
from distill.recipe import Recipe, load_recipe
from distill.scoring import main_scores, mean_score
from distill.testsets import BitextSet


def ready(recipe: Recipe) -> Ready:
    """What the recipe's trials begin with, but for the models, which trials do not look at."""
    sets: list[Any] = [BitextSet("s", pair, ["a"], ["b"]) for pair in ("en-uk", "en-da", "uk-uk")]
    models: Any = None
    return Ready(sets, load_corpora(recipe, SentenceFilter()), models, models)


def test_trials_of_one_name_are_refused(write_recipe: Callable[..., Path], tsv_corpus: Path) -> None:
    section = {"folder": str(tsv_corpus), "languages": ["uk"]}
    recipe = load_recipe(write_recipe(corpora={"a b": section, "a-b": {**section, "languages": ["da"]}}))
    with pytest.raises(RecipeError, match="small-rank-10-a-b"):
        trials(recipe, ready(recipe), 10)


def test_trials_have_no_skip_connection(write_recipe: Callable[..., Path]) -> None:
    recipe = load_recipe(write_recipe(student={"kind": "transplant", "skip": 0.5}))
    assert {trial.recipe.skip for trial in trials(recipe, ready(recipe), 10) if trial.recipe} == {None}


def outcome(after: float, shift: float) -> Outcome:
    """Scores of two sets, accuracy in two directions and a correlation; `shift` tells the replicates' noise apart."""
    noise = np.random.default_rng(1).normal(0, 0.02, 1000)

    def made(model: str, value: float, own: float) -> list[Score]:
        def one(suite: str, metric: str, value: float) -> Score:
            replicates = (value + noise + own * np.random.default_rng(7).normal(0, 1, 1000)).astype(np.float32)
            return Score(suite, "en-uk", metric, model, value, 100, replicates=replicates)

        directions = [one("bitext", "accuracy_forward", value), one("bitext", "accuracy_backward", value - 0.2)]
        return [*directions, one("sts", "spearman", value), one("bitext", "mse", 5.0)]

    models = made("teacher", 0.9, 0) + made("untrained", 0.4, 0) + made("student", after, shift)
    return Outcome(Path("x"), models, {})


def test_gains_are_of_means_over_test_sets_and_ties_with_the_best_are_marked(
    write_recipe: Callable[..., Path],
) -> None:
    recipe = load_recipe(write_recipe())
    ends = {"good": outcome(0.6, 0), "close": outcome(0.595, 0.05), "bad": outcome(0.3, 0)}

    def run(wanted: Recipe) -> Outcome:
        if wanted.name == "empty":
            raise DataError("corpora.empty", "all labels are 'x'")
        return ends[wanted.name]

    names = ["bad", "empty", "close", "good"]
    chosen = [Trial(name, 10, recipe.model_copy(update={"name": name})) for name in names]
    found = rank([*chosen, Trial("none", 0, None, "no rows to train on")], run)
    assert [ranked.trial.corpus for ranked in found] == ["good", "close", "bad", "empty", "none"]
    good, close, bad = found[:3]
    # (0.6 + 0.4) / 2 for bitext, 0.6 for sts: the mean of the sets is 0.55; the untrained student's 0.35.
    assert (good.before, good.after, good.gain.value) == pytest.approx((0.35, 0.55, 0.2))
    assert bad.gain.value == pytest.approx(-0.1)
    assert (good.tied, close.tied, bad.tied) == (False, True, False)
    assert [row[:2] for row in rank_rows(found)] == [
        ("1", "good"),
        ("2=", "close"),
        ("3", "bad"),
        ("–", "empty"),
        ("–", "none"),
    ]
    assert rank_rows(found)[2][-1] == "-10.0 [-10.0, -10.0]"
    assert "| – | empty | 10 |  |  | corpora.empty: all labels are 'x' |" in rank_markdown(10, found)


def test_sets_of_two_kinds_with_one_name_count_twice() -> None:
    values = {"accuracy_forward": 0.6, "accuracy_backward": 0.4, "spearman": 0.8, "pearson": 0.1, "mse": 3.0}
    scores = [Score("everyday", "en-uk", metric, "student", value, 9) for metric, value in values.items()]
    assert [(score.metric, score.value) for score in main_scores(scores)] == [("bitext %", 0.5), ("Spearman", 0.8)]
    assert mean_score(scores) == pytest.approx(0.65)


def test_a_student_is_placed_once_and_another_is_refused(tmp_path: Path) -> None:
    for name, content in (("one", b"1"), ("two", b"2")):
        (tmp_path / name / "untrained").mkdir(parents=True)
        (tmp_path / name / "untrained" / "model.safetensors").write_bytes(content)
    (tmp_path / "one" / "projection.npy").write_bytes(b"p")
    for _ in range(2):
        place_student(tmp_path / "one", tmp_path / "trial")
    assert (tmp_path / "trial" / "untrained" / "model.safetensors").read_bytes() == b"1"
    assert (tmp_path / "trial" / "projection.npy").read_bytes() == b"p"
    with pytest.raises(RunError, match="did not start from the student"):
        place_student(tmp_path / "two", tmp_path / "trial")
